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

}  // namespace
}  // namespace stratwire::test
