// Two servers of one log, each behind a proxy that breaks its line: as long as one of them, or the
// log of one of them, has a message, the strategy is handed it, once and in order, without a Gap.

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/arbiter.hpp>
#include <stratwire/testing/delivery_oracle.hpp>

#include "../support/seed.hpp"
#include "chaos.hpp"

namespace stratwire::test {
namespace {

using testing::DeliveryOracle;
using testing::PublishedLedger;

constexpr std::uint64_t kFirstEpoch = 20'261'121;
constexpr auto kPatience = 60s;
const std::vector<std::string> kChannels = {"accounts:A", "accounts:B", "accounts:C"};

ServerConfig lines_server_config(std::uint64_t epoch = kFirstEpoch) {
  ServerConfig config = chaos_server_config();
  config.epoch = epoch;
  config.channel_log.messages_max = 1'000'000;
  config.channel_log.bytes_max = 64 << 20;
  return config;
}

/// One publisher that feeds both servers, and one strategy, on one thread.
class TwoLines {
 public:
  explicit TwoLines(ServerConfig config = lines_server_config(), ArbiterConfig arbiting = {},
                    std::vector<std::string> channels = kChannels) {
    for (std::size_t i = 0; i < 2; ++i) lines.push_back(std::make_unique<Behind>(config));
    for (const auto& line : lines) {
      arbiting.lines.push_back(chaos_client_config(line->proxy->url()));
    }
    arbiter.emplace(Arbiter::open(std::move(arbiting)).value());
    arbiter->subscribe(channels).value();
    EXPECT_TRUE(until([this] { return all_live(); }));
    for (const std::string& channel : kChannels) oracle.start(channel, 0);
  }

  void publish(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::string& channel = kChannels[published_ % kChannels.size()];
      ++published_;
      ledger.append(channel, epoch, published_);
      for (const auto& line : lines) {
        const AccountUpdate message{.pubkey = "A", .lamports = published_, .slot = published_};
        ASSERT_EQ(line->server.publish(channel, message), PublishStatus::ok);
      }
      poll();
    }
  }
  void poll() {
    arbiter->poll([this](const LineDelivery& delivery) noexcept { take(delivery); });
  }
  [[nodiscard]] bool until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (!done()) {
      if (std::chrono::steady_clock::now() > end) return false;
      poll();
    }
    return true;
  }
  /// The first so many lines are cut, and can't come back.
  void break_lines(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      lines[i]->proxy->set_admission(testing::Admission::refuse);
      lines[i]->proxy->apply({.kind = FaultKind::reset});
    }
    EXPECT_TRUE(until([&] {
      for (std::size_t i = 0; i < count; ++i) {
        if (arbiter->state(i) != ClientState::backing_off) return false;
      }
      return true;
    }));
  }
  /// They can come back, and do, when their servers have stamped all that was published.
  void mend_lines(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_TRUE(until([&] { return lines[i]->server.stats().published == published_; }));
      lines[i]->proxy->set_admission(testing::Admission::open);
    }
    EXPECT_TRUE(until([&] { return all_live(); }));
  }
  [[nodiscard]] bool all_live() const {
    return arbiter->state(0) == ClientState::live && arbiter->state(1) == ClientState::live;
  }
  /// Everything that was published came or was named by a Gap.
  void finish() {
    const bool came = until([this] {
      for (const std::string& channel : kChannels) {
        if (oracle.cursor(channel) < ledger.head(channel, epoch)) return false;
      }
      return true;
    });
    oracle.finish(ledger);
    EXPECT_TRUE(came && oracle.clean()) << oracle.report();
    for (const LineStatistics& line : arbiter->statistics().lines) {
      std::cout << line.name << ": " << line.copies << " copies, " << line.wins << " wins, "
                << line.holes << " holes, " << line.replays << " replays, lag "
                << line.lag_mean.count() / 1'000 << " us\n";
    }
  }

  std::vector<std::unique_ptr<Behind>> lines{};
  std::optional<Arbiter> arbiter{};
  PublishedLedger ledger{};
  DeliveryOracle oracle{};
  std::vector<Gap> gaps{};
  std::uint64_t epoch = kFirstEpoch;

 private:
  void take(const LineDelivery& delivery) noexcept {
    const std::string_view channel = delivery.envelope.channel;
    if (const auto* update = delivery.get_if<AccountUpdate>()) {
      oracle.handed(channel, delivery.epoch, delivery.envelope.seq, update->slot);
    } else if (const auto* gap = delivery.get_if<Gap>()) {
      oracle.gap(channel, *gap);
      gaps.push_back(*gap);
    } else if (delivery.get_if<Divergence>() != nullptr) {
      ADD_FAILURE() << "both servers published the same";
    }
  }

  std::uint64_t published_ = 0;
};

TEST(Lines, OneThatIsGoneIsNotMissed) {
  TwoLines two;
  two.publish(300);
  two.break_lines(1);
  two.publish(600);
  two.mend_lines(1);
  two.publish(300);
  two.finish();
  EXPECT_TRUE(two.gaps.empty());
  EXPECT_GE(two.arbiter->statistics().lines[0].holes, 1u);
}

TEST(Lines, OneThatIsLateFillsTheHolesOfTheOther) {
  ArbiterConfig config;
  config.hold_max = 20s;  // Only the late line may fill them.
  TwoLines two(lines_server_config(), std::move(config));
  two.lines[1]->proxy->apply({.kind = FaultKind::delay, .amount = 30});
  two.publish(300);
  two.break_lines(1);
  two.publish(300);
  two.mend_lines(1);
  two.publish(300);
  two.finish();
  EXPECT_TRUE(two.gaps.empty());
  ASSERT_TRUE(two.until([&] { return two.arbiter->statistics().lines[1].copies == 900; }));
  const ArbiterStatistics all = two.arbiter->statistics();
  EXPECT_EQ(all.lines[0].replays + all.lines[1].replays, 0u);
  EXPECT_GT(all.lines[1].wins, 0u);
  EXPECT_GT(all.lines[1].lag_max, 10ms);
}

TEST(Lines, WhatBothHaveLostIsReplayed) {
  for (const Threading threading : {Threading::own_thread, Threading::caller}) {
    ArbiterConfig config;
    config.threading = threading;
    config.waiting = threading == Threading::caller ? Waiting::yield : Waiting::park;
    TwoLines two(lines_server_config(), std::move(config));
    two.publish(300);
    two.break_lines(2);
    two.publish(300);
    two.mend_lines(2);
    two.publish(300);
    two.finish();
    EXPECT_TRUE(two.gaps.empty());
    const ArbiterStatistics all = two.arbiter->statistics();
    EXPECT_GE(all.lines[0].replays + all.lines[1].replays, 1u);
    EXPECT_GE(all.filled, 100u);
  }
}

TEST(Lines, AWildcardIsReplayedToo) {
  TwoLines two(lines_server_config(), {}, {"accounts:*"});
  two.publish(300);
  two.break_lines(2);
  two.publish(300);
  two.mend_lines(2);
  two.publish(300);
  two.finish();
  EXPECT_TRUE(two.gaps.empty());
}

TEST(Lines, ChannelsOfAWildcardThatWereOnlyPublishedWhileAllWereAwayAreReplayed) {
  TwoLines two(lines_server_config(), {}, {"accounts:*"});
  two.break_lines(2);
  two.publish(300);
  two.mend_lines(2);
  two.finish();
  EXPECT_TRUE(two.gaps.empty());
}

TEST(Lines, WhatNoLogHasIsOneGapWithTheExactRange) {
  ServerConfig config = lines_server_config();
  config.channel_log.messages_max = 10;
  TwoLines two(config);
  two.publish(300);
  ASSERT_TRUE(two.until([&] { return two.arbiter->statistics().duplicates == 300; }));
  two.break_lines(2);
  two.publish(300);
  two.mend_lines(2);
  two.finish();
  ASSERT_EQ(two.gaps.size(), kChannels.size());
  for (const Gap& gap : two.gaps) {
    EXPECT_EQ(gap, (Gap{kFirstEpoch, 101, 190, Gap::Reason::retention}));
  }
}

TEST(Lines, NewServersAreOneChangeOfEpoch) {
  TwoLines two;
  two.publish(300);
  ASSERT_TRUE(two.until([&] { return two.arbiter->statistics().duplicates == 300; }));
  std::vector<Server> next;
  for (const auto& line : two.lines) {
    next.push_back(Server::open(lines_server_config(kFirstEpoch + 1)).value());
    line->proxy->set_target(next.back().local_addr());
  }
  std::swap(two.lines[0]->server, next[0]);
  std::swap(two.lines[1]->server, next[1]);
  two.epoch = kFirstEpoch + 1;
  two.lines[0]->proxy->apply({.kind = FaultKind::reset});
  two.publish(300);
  two.lines[1]->proxy->apply({.kind = FaultKind::reset});
  two.publish(300);
  two.finish();
  ASSERT_EQ(two.gaps.size(), kChannels.size());
  for (const Gap& gap : two.gaps) {
    EXPECT_EQ(gap, (Gap{kFirstEpoch, 101, 0, Gap::Reason::epoch_change}));
  }
}

TEST(Lines, WhateverBreaksBothNothingIsMissing) {
  const std::uint64_t seed = test::seed();
  const std::uint64_t messages = sized<std::uint64_t>(20'000, 400'000);
  TwoLines two;
  for (std::size_t i = 0; i < 2; ++i) {
    testing::RandomFaults faults;
    faults.seed = seed + i;
    faults.offset_max = 64 * 1024;
    two.lines[i]->proxy->set_plan(testing::Plan{faults});
    two.lines[i]->proxy->apply({.kind = FaultKind::reset});
  }
  // In portions, so that both come back now and then.
  for (std::uint64_t sent = 0; sent < messages; sent += 200) {
    two.publish(200);
    ASSERT_TRUE(two.until([&] { return two.arbiter->statistics().messages >= sent; }));
  }
  for (const auto& line : two.lines) line->proxy->set_plan({});
  for (const auto& line : two.lines) line->proxy->apply({.kind = FaultKind::reset});
  two.finish();
  EXPECT_TRUE(two.gaps.empty()) << two.gaps.size();
  for (const auto& line : two.lines) {
    std::cout << line->proxy->stats().disconnects() << " disconnects\n";
    EXPECT_GE(line->proxy->stats().disconnects(), 5u);
  }
}

}  // namespace
}  // namespace stratwire::test
