// A tenth of the readers stops reading: the others lose nothing, and each stalled one costs the
// server no more than its limit. What it does to the others' latency: bench/stalled_readers.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <ostream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/testing/crowd.hpp>

#include "chaos.hpp"

namespace stratwire::test {
namespace {

using testing::Crowd;
using testing::raise_descriptor_limit;

using Clock = std::chrono::steady_clock;

constexpr auto kPatience = 60s;
/// The smallest that Linux grants.
constexpr int kSmallBuffer = 2'048;

struct Case {
  std::string name{};
  std::string channel{};
  std::size_t io_threads = 1;

  friend void PrintTo(const Case& value, std::ostream* out) { *out << value.name; }
};

class StalledReaders : public ::testing::TestWithParam<Case> {
 protected:
  static ServerConfig config() {
    ServerConfig config;
    config.port = 0;
    config.lane_bytes_max = 64 * 1024;
    config.io_threads = GetParam().io_threads;
    return config;
  }
  [[nodiscard]] Crowd join(std::size_t members, int receive_buffer_bytes) const {
    return Crowd(
        {server.local_port(), members, GetParam().channel, Codec::msgpack, receive_buffer_bytes});
  }
  static void subscribe(Crowd& crowd) {
    const auto end = Clock::now() + kPatience;
    while (crowd.subscribed() < crowd.size() && Clock::now() < end) crowd.poll(10ms);
    ASSERT_EQ(crowd.subscribed(), crowd.size());
  }
  /// Polls until every member that has not ended is at `head`.
  static void catch_up(Crowd& crowd, std::uint64_t head) {
    const auto end = Clock::now() + kPatience;
    std::size_t behind = 0;
    while (behind < crowd.size()) {
      const auto& member = crowd.member(behind);
      if (member.cursor >= head || member.has_ended || member.close_code != 0) {
        ++behind;
        continue;
      }
      ASSERT_LT(Clock::now(), end)
          << "member " << behind << " is at " << member.cursor << " of " << head;
      crowd.poll(10ms);
    }
  }
  /// The most that any connection makes the server keep.
  [[nodiscard]] std::uint64_t lag_bytes() const {
    const auto furthest = server.connections(1);
    return furthest.empty() ? 0 : furthest[0].lag_bytes;
  }

  Server server = Server::open(config()).value();
};
INSTANTIATE_TEST_SUITE_P(Chaos, StalledReaders,
                         ::testing::Values(Case{"trades", "trades:A"}, Case{"prices", "prices:A"},
                                           Case{"trades_two_threads", "trades:A", 2}),
                         [](const auto& each) { return each.param.name; });

TEST_P(StalledReaders, CostTheOthersNothingAndTheServerTheirLimit) {
  raise_descriptor_limit();
  const std::size_t all = sized<std::size_t>(200, 1'000);
  Crowd readers = join(all - all / 10, 0);
  Crowd stalled = join(all / 10, kSmallBuffer);
  ASSERT_NO_FATAL_FAILURE(subscribe(readers));
  ASSERT_NO_FATAL_FAILURE(subscribe(stalled));
  for (std::size_t i = 0; i < stalled.size(); ++i) stalled.stall(i);

  Publisher publisher = server.publisher(GetParam().channel);
  const std::string type(1'000, 't');
  std::uint64_t head = 0;
  std::uint64_t worst_lag = 0;
  // Until each has been beyond what kernel and lane hold.
  while (head < 200 || server.stats().gaps < stalled.size() + 1) {
    ASSERT_LT(head, 2'000'000u) << "nobody is lapped: the server keeps everything";
    for (int i = 0; i < 20; ++i) {
      ASSERT_EQ(publisher.publish(Event{type, {}}), PublishStatus::ok) << "the publisher waits";
      ++head;
    }
    ASSERT_NO_FATAL_FAILURE(catch_up(readers, head));
    worst_lag = std::max(worst_lag, lag_bytes());
  }
  std::cout << head << " messages to " << readers.size() << " readers, " << stalled.size()
            << " stalled, at most " << worst_lag << " bytes behind\n";
  // One frame more than the limit at the most, and the Gap that it is owed.
  EXPECT_LE(worst_lag, 64u * 1024 + 2'048);
  for (std::size_t i = 0; i < readers.size(); ++i) {
    EXPECT_EQ(readers.member(i).received, head) << i;
    EXPECT_EQ(readers.member(i).gaps, 0u) << i;
    EXPECT_EQ(readers.member(i).broken_promises, 0u) << i;
  }

  // They wake up, and are told what they missed.
  for (std::size_t i = 0; i < stalled.size(); ++i) stalled.go_on(i);
  ASSERT_NO_FATAL_FAILURE(catch_up(stalled, head));
  for (std::size_t i = 0; i < stalled.size(); ++i) {
    EXPECT_FALSE(stalled.member(i).has_ended) << i;
    EXPECT_EQ(stalled.member(i).received + stalled.member(i).missed, head) << i;
    EXPECT_EQ(stalled.member(i).broken_promises, 0u) << i;
    EXPECT_GE(stalled.member(i).gaps, 1u) << i;
  }
}

// ---- Those that are closed

/// Nine tenths that read, and one that does not, of a server that closes them.
class ClosedReaders {
 public:
  ClosedReaders(ServerConfig config, std::string channel)
      : server(Server::open(std::move(config)).value()),
        publisher_(server.publisher(channel)),
        readers({server.local_port(), kAll - kAll / 10, channel, Codec::msgpack, 0}),
        stalled({server.local_port(), kAll / 10, channel, Codec::msgpack, kSmallBuffer}) {
    for (Crowd* const crowd : {&readers, &stalled}) {
      const auto end = Clock::now() + kPatience;
      while (crowd->subscribed() < crowd->size() && Clock::now() < end) crowd->poll(10ms);
      EXPECT_EQ(crowd->subscribed(), crowd->size());
    }
    for (std::size_t i = 0; i < stalled.size(); ++i) stalled.stall(i);
  }

  /// Publishes, the readers reading along, until the condition holds.
  template <class Done>
  void publish_until(Done&& done) {
    const auto end = Clock::now() + kPatience;
    while (!done()) {
      ASSERT_LT(Clock::now(), end)
          << head << " messages, " << server.stats().slow_consumers << " closed";
      for (int i = 0; i < 20; ++i) {
        ASSERT_EQ(publisher_.publish(Event{type_, {}}), PublishStatus::ok) << "it waits";
        ++head;
      }
      read_along();
    }
  }
  void read_along() {
    const auto end = Clock::now() + kPatience;
    for (std::size_t i = 0; i < readers.size();) {
      if (readers.member(i).cursor >= head) {
        ++i;
        continue;
      }
      ASSERT_LT(Clock::now(), end) << i << " is at " << readers.member(i).cursor;
      ASSERT_FALSE(readers.member(i).has_ended) << i;
      readers.poll(10ms);
    }
    const auto furthest = server.connections(1);
    if (!furthest.empty()) worst_lag = std::max(worst_lag, furthest[0].lag_bytes);
  }
  void expect_that_readers_lost_nothing() {
    const auto end = Clock::now() + kPatience;
    while (server.stats().connections > readers.size() && Clock::now() < end) stalled.poll(10ms);
    for (std::size_t i = 0; i < readers.size(); ++i) {
      EXPECT_EQ(readers.member(i).received, head) << i;
      EXPECT_EQ(readers.member(i).broken_promises, 0u) << i;
    }
    EXPECT_EQ(server.stats().connections, readers.size());
  }
  /// They wake up: what was on its way to them comes, in order, then the close.
  void expect_that_stalled_ones_are_told() {
    const auto end = Clock::now() + kPatience;
    for (std::size_t i = 0; i < stalled.size(); ++i) stalled.go_on(i);
    for (std::size_t i = 0; i < stalled.size();) {
      if (stalled.member(i).has_ended || stalled.member(i).close_code != 0) {
        EXPECT_EQ(stalled.member(i).broken_promises, 0u) << i;
        EXPECT_LT(stalled.member(i).cursor, head) << i;
        ++i;
        continue;
      }
      ASSERT_LT(Clock::now(), end) << i << " still waits at " << stalled.member(i).cursor;
      stalled.poll(10ms);
    }
  }

  static inline const std::size_t kAll = sized<std::size_t>(100, 1'000);

  Server server;

 private:
  Publisher publisher_;
  const std::string type_ = std::string(1'000, 't');

 public:
  Crowd readers;
  Crowd stalled;
  std::uint64_t head = 0;
  std::uint64_t worst_lag = 0;
};

TEST(StalledLosslessReaders, AreClosedAtTheirHardLimitAndCostTheOthersNothing) {
  raise_descriptor_limit();
  ServerConfig config;
  config.port = 0;
  config.lane_bytes_max = 64 * 1024;
  config.lane_hard_bytes_max = 192 * 1024;
  ClosedReaders all(config, "accounts:A");
  ASSERT_NO_FATAL_FAILURE(
      all.publish_until([&] { return all.server.stats().slow_consumers == all.stalled.size(); }));
  // What a lossless reader is owed: the soft limit in the log and the hard one in its lane, and a
  // frame more than each.
  EXPECT_LE(all.worst_lag, (64u + 192u) * 1024 + 2 * 1'100);
  EXPECT_GT(all.worst_lag, 64u * 1024) << "it was kept for nobody";
  EXPECT_EQ(all.server.stats().gaps, 0u) << "a lossless channel told a Gap";
  ASSERT_NO_FATAL_FAILURE(all.expect_that_stalled_ones_are_told());
  for (std::size_t i = 0; i < all.stalled.size(); ++i) {
    EXPECT_EQ(all.stalled.member(i).gaps, 0u) << i;
    EXPECT_EQ(all.stalled.member(i).close_code, 4101u) << i << ": it comes back and resumes";
  }
  all.expect_that_readers_lost_nothing();
}

class StalledForTooLong : public ::testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Chaos, StalledForTooLong,
                         ::testing::Values("trades:A", "prices:A", "accounts:A"),
                         [](const auto& each) {
                           return each.param.substr(0, each.param.find(':'));
                         });

TEST_P(StalledForTooLong, AreClosedWhateverTheirPolicy) {
  raise_descriptor_limit();
  ServerConfig config;
  config.port = 0;
  config.lane_bytes_max = 64 * 1024;
  // Not to be reached: only the time may close them.
  config.lane_hard_bytes_max = std::size_t{1} << 30;
  config.stall_max = 300ms;
  ClosedReaders all(config, GetParam());
  ASSERT_NO_FATAL_FAILURE(
      all.publish_until([&] { return all.server.stats().slow_consumers == all.stalled.size(); }));
  ASSERT_NO_FATAL_FAILURE(all.expect_that_stalled_ones_are_told());
  all.expect_that_readers_lost_nothing();
}

}  // namespace
}  // namespace stratwire::test
