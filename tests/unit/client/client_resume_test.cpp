// What a client asks for after a loss, and where a subscription begins.
#include <chrono>
#include <utility>
#include <vector>

#include <stratwire/client.hpp>
#include <stratwire/limits.hpp>

#include "strategy.hpp"

namespace stratwire::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kEpoch = 77;
using Points = std::vector<ResumePoint>;

INSTANTIATE_TEST_SUITE_P(Modes, ClientTest, kModes, mode_name);

TEST_P(ClientTest, AsksForWhatItMissedAndIsLiveWhenItHasIt) {
  Strategy strategy{peer, config()};
  ASSERT_TRUE(strategy.follows("prices:A", kEpoch));
  strategy.take();
  peer.cut();
  peer.greet(kEpoch);
  const auto request = peer.expect<Subscribe>();
  EXPECT_EQ(request.since, (Points{{"prices:A", kEpoch, 1}}));
  peer.grant_resumed(request, kEpoch, 3);
  peer.price("prices:A", 2, 2);
  peer.price("prices:A", 3, 3);
  ASSERT_TRUE(strategy.hears("prices:A 3 = 3"));
  EXPECT_EQ(strategy.client.state(), ClientState::recovering);
  peer.caught_up(request);
  peer.price("prices:A", 4, 4);
  ASSERT_TRUE(strategy.hears("prices:A 4 = 4"));
  EXPECT_EQ(strategy.take(),
            (Lines{"backing_off #1 connection_lost", "connecting #2", "subscribing #2",
                   "subscribed prices:A", "recovering #2", "prices:A 2 = 2", "prices:A 3 = 3",
                   "live #2", "prices:A 4 = 4"}));
  EXPECT_EQ(strategy.client.metrics().gaps, 0u);
}

TEST_P(ClientTest, ManuallyResumingClientsAreToldOfTheGap) {
  ClientConfig manual = config();
  manual.resume = Resume::manual;
  Strategy strategy{peer, manual};
  ASSERT_TRUE(strategy.follows("prices:A", kEpoch));
  peer.cut();
  peer.greet(kEpoch);
  const auto request = peer.expect<Subscribe>();
  EXPECT_EQ(request.since, Points{});
  peer.grant(request, kEpoch, 4);
  EXPECT_TRUE(strategy.hears("gap prices:A 2-4 disconnected"));
}

TEST_P(ClientTest, AStrategyBringsItsOwnPoints) {
  Strategy strategy{peer, config()};
  const std::vector<std::string> channels{"prices:A", "prices:B"};
  const Points since{{"prices:A", kEpoch, 41}};
  strategy.client.subscribe(channels, since, Start::latest).value();
  peer.greet(kEpoch);
  // What begins where it was and what begins with its latest message are two requests.
  const auto first = peer.expect<Subscribe>();
  const auto second = peer.expect<Subscribe>();
  const auto& resumed = first.snapshot ? second : first;
  const auto& latest = first.snapshot ? first : second;
  EXPECT_EQ(resumed.channels, std::vector<std::string>{"prices:A"});
  EXPECT_EQ(resumed.since, since);
  EXPECT_EQ(latest.channels, std::vector<std::string>{"prices:B"});
  EXPECT_TRUE(latest.snapshot);
  peer.grant_resumed(resumed, kEpoch, 42);
  peer.price("prices:A", 42, 1);
  peer.caught_up(resumed);
  peer.grant(latest, kEpoch, 6);
  peer.price("prices:B", 7, 2);
  peer.caught_up(latest);
  ASSERT_TRUE(strategy.hears("live #1"));
  EXPECT_TRUE(strategy.hears("prices:A 42 = 1"));
  EXPECT_TRUE(strategy.hears("prices:B 7 = 2"));
  EXPECT_EQ(strategy.client.metrics().gaps, 0u);
}

TEST_P(ClientTest, AnUnrecoverableRangeIsAskedForOnce) {
  Strategy strategy{peer, config()};
  ASSERT_TRUE(strategy.follows("prices:A", kEpoch));
  peer.cut();
  peer.greet(kEpoch);
  const auto request = peer.expect<Subscribe>();
  peer.grant(request, kEpoch, 9);  // Not recovered.
  peer.send(Gap{kEpoch, 2, 9, Gap::Reason::retention}, {"prices:A", 0});
  peer.caught_up(request);
  ASSERT_TRUE(strategy.hears("live #2"));
  EXPECT_TRUE(strategy.hears("gap prices:A 2-9 retention"));
  peer.cut();
  peer.greet(kEpoch);
  EXPECT_EQ(peer.expect<Subscribe>().since, (Points{{"prices:A", kEpoch, 9}}));
}

TEST_P(ClientTest, TheHeadOfAQuietChannelTellsOfItsLastMessage) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  peer.price("prices:A", 1, 1);
  peer.send(Heartbeat{1, {{"prices:A", 3}}, {}});
  EXPECT_TRUE(strategy.hears("gap prices:A 2-3 upstream"));
}

TEST_P(ClientTest, WhoIsHandedAGapFindsItCounted) {
  Strategy strategy{peer, config()};
  ASSERT_TRUE(strategy.follows("prices:A", kEpoch));
  std::vector<std::pair<std::uint64_t, std::uint64_t>> counted;
  const auto poll = [&] {
    strategy.client.poll([&](const Delivery& delivery) noexcept {
      if (delivery.get_if<Gap>() == nullptr) return;
      const ClientMetrics metrics = strategy.client.metrics();
      counted.emplace_back(metrics.gaps, metrics.missed);
    });
    return counted.size() == 2;
  };
  peer.while_waiting = poll;
  peer.price("prices:A", 4, 4);  // 2 and 3 never came.
  peer.send(Heartbeat{1, {{"prices:A", 7}}, {}});
  ASSERT_TRUE(eventually(poll));
  // A thread of the client's own may be further already.
  EXPECT_GE(counted[0].first, 1u);
  EXPECT_GE(counted[0].second, 2u);
  EXPECT_EQ(counted[1], (std::pair<std::uint64_t, std::uint64_t>{2, 5}));
}

TEST_P(ClientTest, PointsBeyondTheirLimitAreRefused) {
  Strategy strategy{peer, config()};
  const std::vector<std::string> channels{"prices:*"};
  Points since(limits::kResumePointsMax + 1, ResumePoint{"prices:A", kEpoch, 1});
  const auto refused = strategy.client.subscribe(channels, since);
  EXPECT_EQ(refused.error().code, Errc::too_large);
  EXPECT_NE(refused.error().context.find("65536"), std::string::npos);
  since.pop_back();
  EXPECT_TRUE(strategy.client.subscribe(channels, since).ok());
  const Points bad{{"a b", kEpoch, 1}};
  EXPECT_EQ(strategy.client.subscribe(channels, bad).error().code, Errc::invalid_channel_name);
}

TEST_P(ClientTest, AnOverdueHeartbeatIsStaleAndShutsGates) {
  Strategy strategy{peer, config()};
  const ChannelGate gate = strategy.client.gate("prices:A", {0ns, 0ns}).value();
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet(kEpoch, 200);
  peer.grant(peer.expect<Subscribe>(), kEpoch, 0);
  peer.price("prices:A", 1, 1);
  ASSERT_TRUE(strategy.hears("prices:A 1 = 1"));
  ASSERT_TRUE(strategy.hears("stale #1 peer_timeout"));
  EXPECT_EQ(gate.verdict(), GateVerdict::not_live);
  strategy.take();
  peer.send(Heartbeat{1, {}, {}});
  ASSERT_TRUE(strategy.hears("live #1"));
  EXPECT_EQ(gate.verdict(), GateVerdict::open);
  EXPECT_EQ(strategy.client.metrics().stales, 1u);
}

TEST_P(ClientTest, ReplayedMessagesDoNotOpenAGate) {
  Strategy strategy{peer, config()};
  const ChannelGate gate = strategy.client.gate("prices:A", {0ns, 0ns}).value();
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  peer.price("prices:A", 1, 1);
  ASSERT_TRUE(eventually([&] {
    strategy.poll();
    return gate.open();
  }));
  peer.cut();
  peer.greet(kEpoch);
  const auto request = peer.expect<Subscribe>();
  peer.grant_resumed(request, kEpoch, 3);
  peer.price("prices:A", 2, 2);
  ASSERT_TRUE(strategy.hears("prices:A 2 = 2"));
  EXPECT_EQ(gate.verdict(), GateVerdict::not_live);
  peer.price("prices:A", 3, 3);
  peer.caught_up(request);
  ASSERT_TRUE(eventually([&] {
    strategy.poll();
    return gate.open();
  }));
}

// ---- Clocks

TEST_P(ClientTest, TheServersClockAndEveryHopAreMeasured) {
  ClientConfig quick = config();
  quick.clock_interval = 1s;
  Strategy strategy{peer, quick};
  EXPECT_FALSE(strategy.client.clock());
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet(kEpoch);
  constexpr std::int64_t kAhead = 3'600'000'000'000;  // The server's clock is an hour ahead.
  const auto request = peer.expect<Subscribe>();
  const auto ping = peer.expect<Ping>();
  ASSERT_NE(ping.t1, 0);
  peer.send(Pong{ping.t1, ping.t1 + kAhead, ping.t1 + kAhead});
  peer.grant(request, kEpoch, kHopSampleEvery - 1);
  ASSERT_TRUE(eventually([&] {
    strategy.poll();
    return strategy.client.clock().has_value();
  }));
  const auto clock = *strategy.client.clock();
  EXPECT_LE(std::chrono::abs(clock.offset - std::chrono::nanoseconds{kAhead}), clock.error);
  // Sent an hour and ten seconds ago by the server's clock: ten seconds ago by ours.
  ASSERT_TRUE(strategy.hears("live #1"));
  peer.price("prices:A", kHopSampleEvery, 1);
  ASSERT_TRUE(strategy.hears("prices:A 64 = 1"));
  const std::int64_t written = ping.t1 + kAhead - 10'000'000'000;
  peer.send(Heartbeat{1, {}, {{"prices:A", kHopSampleEvery, written - 5'000, written}}});
  ASSERT_TRUE(eventually([&] {
    strategy.poll();
    return strategy.client.latencies().server.count() == 1;
  }));
  const auto latencies = strategy.client.latencies();
  EXPECT_EQ(latencies.server.max(), 5'000u);
  EXPECT_EQ(latencies.network.count(), 1u);
  EXPECT_GE(latencies.network.max(), 9'000'000'000u);
  EXPECT_EQ(latencies.network.negative(), 0u);
  EXPECT_EQ(latencies.strategy.count(), 1u);
  EXPECT_EQ(latencies.uncertain, 0u);
}

TEST_P(ClientTest, WhatIsBelowTheErrorOfTheClocksIsNotTold) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet(kEpoch);
  const auto request = peer.expect<Subscribe>();
  const auto ping = peer.expect<Ping>();
  peer.send(Pong{ping.t1, ping.t1, ping.t1});
  peer.grant(request, kEpoch, kHopSampleEvery - 1);
  ASSERT_TRUE(strategy.hears("live #1"));
  peer.price("prices:A", kHopSampleEvery, 1);
  ASSERT_TRUE(strategy.hears("prices:A 64 = 1"));
  // Sent after it came, says the server; and one that this client has never seen.
  const std::int64_t later = ping.t1 + 60'000'000'000;
  peer.send(Heartbeat{1, {}, {{"prices:A", 64, later, later}, {"prices:A", 128, later, later}}});
  ASSERT_TRUE(eventually([&] {
    strategy.poll();
    return strategy.client.latencies().uncertain == 1;
  }));
  EXPECT_EQ(strategy.client.latencies().network.count(), 0u);
  EXPECT_EQ(strategy.client.latencies().network.negative(), 0u);
}

TEST_P(ClientTest, AClockThatIsNotWantedIsNotAskedFor) {
  ClientConfig without = config();
  without.clock_interval = 0ms;
  Strategy strategy{peer, without};
  peer.greet(kEpoch);
  ASSERT_TRUE(strategy.hears("live #1"));
  strategy.client.close();
  // The close frame is the first thing that comes.
  EXPECT_EQ(peer.expect_close(), 1000);
  EXPECT_EQ(peer.pings_left_out(), 0u);
}

}  // namespace
}  // namespace stratwire::testing
