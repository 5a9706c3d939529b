// What one turn may hand on before it is sent.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include "shard_rig.hpp"
#include "turn_limits.hpp"

namespace stratwire::server {
namespace {

constexpr std::uint64_t kBurst = 1'200;

AccountUpdate account(std::uint64_t slot) {
  static const std::string text(900, 'x');
  return {.pubkey = text, .slot = slot};
}

/// Submits a burst, more than any turn takes.
void submit_burst(ShardRig& rig, const std::string& channel) {
  for (std::uint64_t i = 1; i <= kBurst; ++i) rig.submit(channel, account(i));
}

TEST(TurnLimits, AreWellWithinWhatAReaderMayBeBehind) {
  ServerConfig config;
  EXPECT_EQ(TurnLimits(config).bytes, TurnLimits::kBytesMax);
  EXPECT_EQ(TurnLimits(config).messages, TurnLimits::kMessagesMax);
  config.lane_bytes_max = 2 << 20;
  config.lane_messages_max = 32'768;
  EXPECT_EQ(TurnLimits(config).bytes, std::size_t{512} << 10);
  EXPECT_EQ(TurnLimits(config).messages, 2'048U);
  config.lane_bytes_max = 64 << 10;
  config.lane_messages_max = 16;
  EXPECT_EQ(TurnLimits(config).bytes, TurnLimits::kBytesMin);
  EXPECT_EQ(TurnLimits(config).messages, TurnLimits::kMessagesMin);
}

class ShardTurnTest : public testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(LaneKiB, ShardTurnTest, testing::Values(64, 128, 256, 512, 1024, 4096));

TEST_P(ShardTurnTest, ABurstPutsNobodyBehindWhoTakesAllThatHisSocketHolds) {
  constexpr std::size_t kSocket = 300 * 1024;
  ServerConfig config;
  config.lane_bytes_max = GetParam() * 1024;
  for (const std::string channel : {"accounts:A", "prices:A", "trades:A"}) {
    ShardRig rig(config);
    RigClient client(rig);
    client.send(Subscribe{{channel}, 1});
    ASSERT_TRUE(client.next_of<Subscribed>());
    submit_burst(rig, channel);
    std::uint64_t received = 0;
    // In each turn of the server the client empties its socket once.
    for (int turn = 0; turn < 60; ++turn) {
      client.pipe().window = kSocket;
      rig.turn();
      while (const Message* const message = client.next()) {
        ASSERT_FALSE(std::holds_alternative<Gap>(message->body)) << channel;
        if (std::holds_alternative<AccountUpdate>(message->body)) ++received;
      }
    }
    EXPECT_EQ(received, kBurst) << channel;
    EXPECT_EQ(client.closed_by(), 0) << channel;
  }
}

TEST(ShardTurn, EndsBeforeItsCopiesFillTheMemory) {
  ShardRig rig;
  std::vector<std::unique_ptr<RigClient>> clients;
  // Each with a set of channels, and so a log, of its own.
  for (int i = 0; i < 200; ++i) {
    clients.push_back(std::make_unique<RigClient>(rig));
    clients.back()->send(Subscribe{{"prices:" + std::to_string(i), "accounts:A"}, 1});
  }
  submit_burst(rig, "accounts:A");
  const std::size_t handled = rig.hub().drain(kBurst, rig.now());
  EXPECT_TRUE(rig.shard().has_enough());
  EXPECT_GT(handled, 200U);
  EXPECT_LT(handled, 400U) << "64 MiB of frames of some 1,000 bytes for 200";
  rig.shard().write(rig.now());
  EXPECT_FALSE(rig.shard().has_enough());
}

}  // namespace
}  // namespace stratwire::server
