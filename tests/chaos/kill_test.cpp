// The server is killed with SIGKILL again and again under one client: each time it is back and
// subscribed, and the new server's numbering is announced before its first message.

#include <algorithm>
#include <chrono>
#include <iostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "../support/audited.hpp"
#include "../support/child_process.hpp"
#include "chaos.hpp"

namespace stratwire::test {
namespace {

/// Of the demo feed.
const std::vector<std::string> kChannels = {"prices:*"};

std::vector<std::string> arguments(const std::string& path) {
  return {"--port", "0", "--unix-path", path, "--demo", "--rate", "2000", "--seed", "7"};
}

TEST(Kill, TheClientIsBackAndSubscribedEachTime) {
  const int kills = sized(10, 100);
  const std::string path = temporary_path("killed.sock");
  ClientConfig config = chaos_client_config("ws+unix://" + path);
  AuditedStrategy strategy(config, {});
  strategy.client.subscribe(kChannels).value();
  std::uint64_t epochs_seen = 0;
  std::uint64_t last_epoch = 0;
  std::uint64_t of_this_epoch = 0;
  std::uint64_t gaps_of_change = 0;
  std::vector<std::string> channels_before_their_gap;
  strategy.client.on<Gap>([&](const Gap& gap) noexcept {
    if (gap.reason == Gap::Reason::epoch_change) ++gaps_of_change;
  });
  strategy.client.on<PriceUpdate>([&](const PriceUpdate&, const Delivery& delivery) noexcept {
    if (delivery.epoch != last_epoch) {
      last_epoch = delivery.epoch;
      ++epochs_seen;
      of_this_epoch = 0;
    }
    ++of_this_epoch;
  });
  auto longest = 0ns;
  for (int i = 0; i <= kills; ++i) {
    ChildProcess server(STRATWIRE_SERVER, arguments(path));
    ASSERT_TRUE(server.says("listening on", 30s)) << server.said();
    const auto listening = std::chrono::steady_clock::now();
    const std::uint64_t before = epochs_seen;
    ASSERT_TRUE(strategy.until([&] { return epochs_seen > before && of_this_epoch >= 50; }))
        << "not back after kill " << i << ": " << to_string(strategy.client.state());
    EXPECT_EQ(strategy.client.state(), ClientState::live);
    longest = std::max(longest, std::chrono::steady_clock::now() - listening);
    server.kill();
    ASSERT_TRUE(strategy.until([&] { return strategy.client.state() != ClientState::live; }));
  }
  std::cout << "longest from listening to 50 messages: " << longest.count() / 1'000'000 << " ms\n";
  EXPECT_EQ(epochs_seen, static_cast<std::uint64_t>(kills) + 1);
  EXPECT_EQ(strategy.client.metrics().connects, static_cast<std::uint64_t>(kills) + 1);
  EXPECT_GE(gaps_of_change, static_cast<std::uint64_t>(kills)) << "one channel or more each time";
  EXPECT_EQ(strategy.client.metrics().duplicates, 0u);
}

TEST(Kill, EveryChannelIsJudgedAcrossTheEpochs) {
  const int kills = sized(3, 100);
  const std::string path = temporary_path("judged.sock");
  // Those of the demo, told by a first look at it.
  std::vector<std::string> channels;
  {
    ChildProcess server(STRATWIRE_SERVER, arguments(path));
    ASSERT_TRUE(server.says("listening on", 30s)) << server.said();
    AuditedStrategy scout(chaos_client_config("ws+unix://" + path), {});
    scout.client.on<PriceUpdate>([&](const PriceUpdate&, const Delivery& delivery) noexcept {
      const std::string channel{delivery.envelope.channel};
      if (std::find(channels.begin(), channels.end(), channel) == channels.end()) {
        channels.push_back(channel);
      }
    });
    scout.client.subscribe(kChannels).value();
    ASSERT_TRUE(scout.until([&] { return channels.size() >= 10; }));
  }
  AuditedStrategy strategy(chaos_client_config("ws+unix://" + path), {});
  for (const std::string& channel : channels) strategy.oracle.start_anywhere(channel);
  strategy.client.subscribe(channels).value();
  for (int i = 0; i <= kills; ++i) {
    ChildProcess server(STRATWIRE_SERVER, arguments(path));
    ASSERT_TRUE(server.says("listening on", 30s)) << server.said();
    const std::uint64_t before = strategy.oracle.handed();
    ASSERT_TRUE(strategy.until([&] { return strategy.oracle.handed() >= before + 500; }))
        << to_string(strategy.client.state());
  }
  EXPECT_TRUE(strategy.oracle.clean()) << strategy.oracle.report();
  EXPECT_GE(strategy.oracle.gaps(), static_cast<std::uint64_t>(kills));
}

}  // namespace
}  // namespace stratwire::test
