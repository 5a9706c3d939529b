// What a strategy sends over connections that die: every message is reported once, what is reported
// as published was published once, and nothing is sent twice.

#include <algorithm>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "../support/audited.hpp"
#include "../support/seed.hpp"
#include "chaos.hpp"

namespace stratwire::test {
namespace {

constexpr std::string_view kChannel = "prices:A";

ServerConfig trusting() {
  ServerConfig config = chaos_server_config();
  config.network_publish = NetworkPublish::allowed;
  // The observer is to miss nothing, however much comes at once, and however long it was away.
  config.lane_bytes_max = 64 << 20;
  config.channel_log.bytes_max = 64 << 20;
  return config;
}

/// A sender behind the proxy, and an observer who is not.
class Sends : public ::testing::Test {
 protected:
  Sends() : observer_(chaos_client_config("ws://" + behind_.server.local_addr()), {}) {
    observer_.client.on<PriceUpdate>(
        [this](const PriceUpdate& price) noexcept { ++arrived_[price.volume]; });
    observer_.client.on<AccountUpdate>(
        [this](const AccountUpdate& account) noexcept { ++arrived_[account.lamports]; });
    observer_.client.subscribe({kChannel}).value();
    EXPECT_TRUE(observer_.until_live());
  }

  static void send(AuditedStrategy& sender, std::uint64_t id) {
    const PriceUpdate price{"USDC", "SOL", 1.5, id, 99};
    ASSERT_EQ(sender.client.send(kChannel, price, id), SendStatus::ok);
    ASSERT_TRUE(sender.client.state() != ClientState::failed);
  }
  /// Waits for the reports of `count` messages from `first` on, and judges them.
  void judge(AuditedStrategy& sender, std::uint64_t first, std::uint64_t count) {
    ASSERT_TRUE(sender.until([&] { return sender.published.size() >= count; }))
        << "only " << sender.published.size() << " of " << count << " were reported";
    std::map<std::uint64_t, std::vector<Errc>> reports;
    std::uint64_t ok = 0;
    for (const Published& fate : sender.published) {
      reports[fate.id].push_back(fate.code);
      ok += fate.code == Errc::ok ? 1U : 0U;
    }
    // Everything that was published before this one is there when this one is.
    marker_ += 1'000'000;
    ASSERT_EQ(behind_.server.publish(kChannel, PriceUpdate{"USDC", "SOL", 1.5, marker_, 99}),
              PublishStatus::ok);
    ASSERT_TRUE(observer_.until([&] { return arrived_.contains(marker_); }));
    for (std::uint64_t id = first; id < first + count; ++id) {
      ASSERT_EQ(reports[id].size(), 1u) << "message " << id << " was reported so often";
      EXPECT_LE(arrived_[id], 1u) << "message " << id << " was sent twice";
      if (reports[id][0] == Errc::ok) {
        EXPECT_EQ(arrived_[id], 1u) << "message " << id << " was lost, but reported as published";
      }
    }
    reported_ok_ = ok;
  }

  Behind behind_{trusting()};
  std::map<std::uint64_t, std::uint64_t> arrived_{};
  AuditedStrategy observer_;
  std::uint64_t marker_ = 0;
  std::uint64_t reported_ok_ = 0;
};

TEST_F(Sends, AWriteOnADeadSocketThatSucceedsIsNoPublish) {
  constexpr std::uint64_t kMessages = 50;
  AuditedStrategy sender(chaos_client_config(behind_.proxy->url()), {});
  ASSERT_TRUE(sender.until_live());
  ASSERT_EQ(behind_.proxy->apply({.kind = FaultKind::black_hole}), 1u);
  // The kernel takes all of it, and nobody ever reads it.
  for (std::uint64_t id = 1; id <= kMessages; ++id) send(sender, id);
  ASSERT_NO_FATAL_FAILURE(judge(sender, 1, kMessages));
  EXPECT_EQ(reported_ok_, 0u) << "none of them can have got anywhere";
  EXPECT_EQ(sender.client.metrics().sends_dropped, kMessages);
  sender.published.clear();
  ASSERT_TRUE(sender.until_live());
  for (std::uint64_t id = 101; id <= 100 + kMessages; ++id) send(sender, id);
  ASSERT_NO_FATAL_FAILURE(judge(sender, 101, kMessages));
  EXPECT_EQ(reported_ok_, kMessages);
}

TEST_F(Sends, ABufferIsNotClearedBeforeItsFlushHasSucceeded) {
  // Buffered without a connection, then the flush is broken after every so many bytes: within the
  // upgrade, between two messages, within one.
  constexpr std::uint64_t kMessages = 20;
  constexpr std::array kKinds{FaultKind::reset, FaultKind::cut, FaultKind::half_close};
  std::uint64_t first = 1;
  std::uint64_t rounds_with_loss = 0;
  std::uint64_t round = 0;
  const std::uint64_t bytes_max = 2'600;
  for (std::uint64_t offset = 0; offset <= bytes_max; offset += sized<std::uint64_t>(61, 3)) {
    behind_.proxy->set_admission(testing::Admission::refuse);
    AuditedStrategy sender(chaos_client_config(behind_.proxy->url()), {});
    for (std::uint64_t i = 0; i < kMessages; ++i) send(sender, first + i);
    const Fault broken{0, Direction::up, offset, kKinds[round % kKinds.size()]};
    const std::uint64_t faults_before = behind_.proxy->stats().disconnects();
    behind_.proxy->set_plan(testing::Plan{std::vector<Fault>{broken}});
    behind_.proxy->set_admission(testing::Admission::open);
    // The first connections are broken, and those after that are not; a flush that was through
    // before its fault is as good.
    ASSERT_TRUE(sender.until([&] {
      return behind_.proxy->stats().disconnects() > faults_before ||
             sender.published.size() >= kMessages;
    })) << "offset "
        << offset;
    behind_.proxy->set_plan({});
    ASSERT_NO_FATAL_FAILURE(judge(sender, first, kMessages)) << "offset " << offset;
    rounds_with_loss += reported_ok_ < kMessages ? 1U : 0U;
    first += kMessages;
    ++round;
  }
  EXPECT_GT(rounds_with_loss, 0u) << "no flush was ever broken";
  EXPECT_LT(rounds_with_loss, round) << "nothing ever survived";
}

TEST_F(Sends, WhatHadNotLeftYetWaitsForTheNextConnection) {
  // More than the kernels hold, into a line that takes nothing, which then breaks.
  constexpr std::uint64_t kMessages = 800;
  const std::string padding(30'000, 'p');
  ClientConfig config = chaos_client_config(behind_.proxy->url());
  config.send_buffer.bytes_max = 64 << 20;
  AuditedStrategy sender(config, {});
  ASSERT_TRUE(sender.until_live());
  ASSERT_EQ(behind_.proxy->apply({.direction = Direction::up, .kind = FaultKind::stall}), 1u);
  for (std::uint64_t id = 1; id <= kMessages; ++id) {
    ASSERT_EQ(sender.client.send(kChannel, AccountUpdate{padding, id, 7, 99}, id), SendStatus::ok);
  }
  ASSERT_EQ(behind_.proxy->apply({.kind = FaultKind::reset}), 1u);
  ASSERT_NO_FATAL_FAILURE(judge(sender, 1, kMessages));
  EXPECT_GT(reported_ok_, 0u) << "nothing had to wait";
  EXPECT_EQ(reported_ok_ + sender.client.metrics().sends_dropped, kMessages);
}

}  // namespace
}  // namespace stratwire::test
