// Gates: shut whenever something is not known to be live, fresh and in the strategy's hands.
#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>

#include <stratwire/client.hpp>
#include <stratwire/limits.hpp>

#include "../../../sdk/client/src/gates.hpp"
#include "strategy.hpp"

namespace stratwire {

void PrintTo(GateVerdict verdict, std::ostream* out) {
  *out << to_string(verdict);
}

}  // namespace stratwire

namespace stratwire::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kEpoch = 77;
// No limit: what is tested is not the time.
constexpr GateLimits kAnyTime{0ns, 0ns};

INSTANTIATE_TEST_SUITE_P(Modes, ClientTest, kModes, mode_name);

struct Gated : Strategy {
  Gated(ScriptedPeer& peer, const ClientConfig& config, GateLimits limits = kAnyTime)
      : Strategy(peer, config), gate(client.gate("prices:A", limits).value()) {}

  /// Takes one after the other until the gate says so.
  [[nodiscard]] ::testing::AssertionResult gets_to(GateVerdict wanted) {
    const bool reached = eventually([&] {
      poll();
      return gate.verdict() == wanted;
    });
    if (reached) return ::testing::AssertionSuccess();
    return ::testing::AssertionFailure() << "the gate says " << to_string(gate.verdict());
  }

  ChannelGate gate;
};

TEST_P(ClientTest, AGateOpensWithTheFirstMessageInHand) {
  Gated strategy{peer, config()};
  EXPECT_EQ(strategy.gate.verdict(), GateVerdict::not_live);
  peer.greet(kEpoch);
  ASSERT_TRUE(strategy.hears("live #1"));
  ASSERT_TRUE(strategy.gets_to(GateVerdict::not_subscribed));
  strategy.client.subscribe({"prices:A"}).value();
  peer.grant(peer.expect<Subscribe>(), kEpoch, 0);
  ASSERT_TRUE(strategy.gets_to(GateVerdict::no_data));
  peer.price("prices:B", 1, 1);  // Somebody else's.
  peer.price("prices:A", 1, 1);
  std::optional<GateVerdict> in_handler;
  ASSERT_TRUE(eventually([&] {
    strategy.client.poll([&](const Delivery& delivery) noexcept {
      if (delivery.envelope.channel == "prices:A") in_handler = strategy.gate.verdict();
    });
    return in_handler.has_value();
  }));
  EXPECT_EQ(*in_handler, GateVerdict::open);
  EXPECT_TRUE(strategy.gate.open());
}

TEST(ClientGate, WhatWaitsInTheRingShutsIt) {
  ScriptedPeer peer{Codec::json};
  Gated strategy{peer, config_for({}, peer)};
  strategy.client.subscribe({"prices:*"}).value();
  peer.greet_and_grant(kEpoch, 0);
  peer.price("prices:A", 1, 1);
  ASSERT_TRUE(strategy.gets_to(GateVerdict::open));
  peer.while_waiting = [] {};
  peer.price("prices:A", 2, 1);
  peer.price("prices:B", 1, 1);
  ASSERT_TRUE(eventually([&] { return strategy.client.metrics().messages == 3; }));
  EXPECT_EQ(strategy.gate.verdict(), GateVerdict::behind);
  ASSERT_EQ(strategy.client.poll(1), 1u);
  EXPECT_EQ(strategy.gate.verdict(), GateVerdict::open);  // B is another channel.
}

TEST_P(ClientTest, AGapShutsItUntilTheNextMessage) {
  Gated strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  peer.price("prices:A", 1, 1);
  ASSERT_TRUE(strategy.gets_to(GateVerdict::open));
  peer.send(Gap{kEpoch, 2, 3, Gap::Reason::slow_consumer}, {"prices:A", 0});
  ASSERT_TRUE(strategy.gets_to(GateVerdict::missed));
  peer.price("prices:A", 4, 1);
  ASSERT_TRUE(strategy.gets_to(GateVerdict::open));
  // One that the client finds itself, with the message right behind it.
  peer.while_waiting = [] {};
  peer.price("prices:A", 6, 1);
  std::vector<GateVerdict> seen;
  ASSERT_TRUE(eventually([&] {
    strategy.client.poll(
        [&](const Delivery& delivery) noexcept {
          if (delivery.envelope.channel.empty()) return;
          seen.push_back(strategy.gate.verdict());
        },
        1);
    return seen.size() == 2;
  }));
  EXPECT_NE(seen[0], GateVerdict::open);
  EXPECT_EQ(seen[1], GateVerdict::open);
}

TEST(ClientGate, AGapShutsItAsSoonAsItIsKnown) {
  const auto client = std::make_shared<detail::GateClientWords>();
  const auto channel = std::make_shared<detail::GateChannelWords>();
  client::Gates gates{client};
  const std::vector<std::string> wishes{"prices:A"};
  gates.wished(wishes);
  gates.add("prices:A", channel);
  gates.went_live();
  Delivery delivery;
  delivery.envelope = {"prices:A", 1};
  delivery.body = PriceUpdate{};
  gates.handed(delivery, {});
  // relaxed: one thread.
  client->taken.store(1, std::memory_order_relaxed);
  const ChannelGate gate{client, channel, kAnyTime};
  ASSERT_TRUE(gate.open());
  gates.gap_known("prices:B");
  EXPECT_TRUE(gate.open());
  gates.gap_known("prices:A");
  EXPECT_EQ(gate.verdict(), GateVerdict::missed) << "before it is handed over";
}

TEST_P(ClientTest, ALostConnectionShutsIt) {
  Gated strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  peer.price("prices:A", 1, 1);
  ASSERT_TRUE(strategy.gets_to(GateVerdict::open));
  peer.cut();
  ASSERT_TRUE(strategy.gets_to(GateVerdict::not_live));
  peer.greet(kEpoch);
  const auto again = peer.expect<Subscribe>();
  EXPECT_EQ(strategy.gate.verdict(), GateVerdict::not_live);
  peer.grant_resumed(again, kEpoch, 1);  // Nothing was missed.
  peer.caught_up(again);
  ASSERT_TRUE(strategy.gets_to(GateVerdict::open));
  // And with another head than what was handed over.
  peer.cut();
  ASSERT_TRUE(strategy.gets_to(GateVerdict::not_live));
  peer.greet(kEpoch + 1);
  const auto anew = peer.expect<Subscribe>();
  peer.grant(anew, kEpoch + 1, 5);
  peer.caught_up(anew);
  ASSERT_TRUE(strategy.gets_to(GateVerdict::missed));
  peer.price("prices:A", 6, 1);
  ASSERT_TRUE(strategy.gets_to(GateVerdict::open));
}

TEST_P(ClientTest, AFurtherSubscriptionShutsNoOtherGate) {
  Gated strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  peer.price("prices:A", 1, 1);
  ASSERT_TRUE(strategy.gets_to(GateVerdict::open));
  strategy.client.subscribe({"prices:B"}).value();
  const ChannelGate other = strategy.client.gate("prices:B", kAnyTime).value();
  const auto request = peer.expect<Subscribe>();
  peer.price("prices:B", 1, 1);  // Through another subscription, it may be; it was not answered.
  ASSERT_TRUE(strategy.hears("prices:B 1 = 1"));
  EXPECT_EQ(other.verdict(), GateVerdict::not_subscribed);
  EXPECT_EQ(strategy.gate.verdict(), GateVerdict::open);
  peer.grant(request, kEpoch, 1);
  ASSERT_TRUE(eventually([&] {
    strategy.poll();
    return other.open();
  }));
}

TEST_P(ClientTest, ARefusedOrLeftChannelIsShut) {
  Gated strategy{peer, config()};
  const ChannelGate wild = strategy.client.gate("trades:X", kAnyTime).value();
  strategy.client.subscribe({"prices:A", "trades:*"}).value();
  peer.greet(kEpoch);
  const auto request = peer.expect<Subscribe>();
  Subscribed answer{request.id, {}};
  answer.results.push_back({"prices:A", Errc::too_many_channels, "no"});
  answer.results.push_back({"trades:*", Errc::ok, "", kEpoch, 0});
  peer.send(answer);
  peer.price("prices:A", 1, 1);
  peer.price("trades:X", 1, 1);
  ASSERT_TRUE(strategy.hears("trades:X 1 = 1"));
  EXPECT_EQ(strategy.gate.verdict(), GateVerdict::not_subscribed);
  EXPECT_EQ(wild.verdict(), GateVerdict::open);
  strategy.client.unsubscribe({"trades:*"}).value();
  ASSERT_TRUE(eventually([&] {
    strategy.poll();
    return wild.verdict() == GateVerdict::not_subscribed;
  }));
}

TEST_P(ClientTest, APriceOfAnEarlierSubscriptionDoesNotOpenIt) {
  Gated strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  peer.price("prices:A", 1, 1);
  ASSERT_TRUE(strategy.gets_to(GateVerdict::open));
  strategy.client.unsubscribe({"prices:A"}).value();
  const auto leave = peer.expect<Unsubscribe>();
  peer.price("prices:A", 2, 1);  // On its way.
  peer.send(Unsubscribed{leave.id, {{"prices:A", Errc::ok, "", kEpoch, 0}}});
  ASSERT_TRUE(strategy.gets_to(GateVerdict::not_subscribed));
  strategy.client.subscribe({"prices:A"}).value();
  // A hundred more were published meanwhile.
  peer.grant(peer.expect<Subscribe>(), kEpoch, 102);
  ASSERT_TRUE(strategy.gets_to(GateVerdict::no_data));
  peer.price("prices:A", 103, 1);
  ASSERT_TRUE(strategy.gets_to(GateVerdict::open));
}

TEST(ClientGate, AConnectionThatTakesOverBeforeItHasCaughtUpShutsIt) {
  const auto client = std::make_shared<detail::GateClientWords>();
  client::Gates gates{client};
  const auto is_live = [&] {
    return client->live.load(std::memory_order_relaxed) != 0;  // relaxed: one thread.
  };
  gates.state_known({.state = ClientState::live, .generation = 1});
  gates.went_live();
  gates.state_known({.state = ClientState::subscribing, .generation = 1});
  EXPECT_TRUE(is_live()) << "a further subscription of the same connection";
  gates.state_known({.state = ClientState::live, .generation = 2});
  EXPECT_TRUE(is_live()) << "a hand-over without a break";
  gates.state_known({.state = ClientState::recovering, .generation = 3});
  EXPECT_FALSE(is_live());
  gates.went_live();
  EXPECT_TRUE(is_live());
}

TEST_P(ClientTest, AGateThatIsMadeLateOpensFromWhatIsKnown) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"prices:A", "prices:B", "prices:C", "prices:D"}).value();
  peer.greet_and_grant(kEpoch, 7);
  peer.price("prices:A", 8, 1);
  peer.price("prices:D", 8, 1);
  peer.price("prices:C", 8, 1);
  peer.send(Gap{kEpoch, 9, 9, Gap::Reason::slow_consumer}, {"prices:C", 0});
  ASSERT_TRUE(strategy.hears("gap prices:C 9-9 slow_consumer"));
  const auto gate = [&](const char* channel, GateLimits limits = kAnyTime) {
    return strategy.client.gate(channel, limits).value();
  };
  const ChannelGate known = gate("prices:A");
  const ChannelGate aged = gate("prices:A", {0ns, 1h});
  const ChannelGate quiet = gate("prices:B");
  const ChannelGate missed = gate("prices:C");
  // Commands are taken in their order, if not all at once.
  ASSERT_TRUE(eventually([&] {
    strategy.poll();
    return known.open() && missed.verdict() == GateVerdict::no_data;
  }));
  EXPECT_EQ(aged.verdict(), GateVerdict::old) << "nobody knows how old it is";
  EXPECT_EQ(quiet.verdict(), GateVerdict::no_data) << "the head is not a message that we have";
  // Still there after a reconnect that missed nothing, and told of what was.
  peer.cut();
  peer.greet(kEpoch);
  const auto again = peer.expect<Subscribe>();
  const ChannelGate later = gate("prices:D");
  EXPECT_FALSE(later.open());
  peer.grant_resumed(again, kEpoch, 8);
  peer.caught_up(again);
  ASSERT_TRUE(eventually([&] {
    strategy.poll();
    return later.open() && known.open();
  }));
  peer.price("prices:A", 9, 1);
  ASSERT_TRUE(strategy.hears("prices:A 9 = 1"));
  EXPECT_TRUE(aged.open());
}

TEST(ClientGate, AGateThatIsMadeLateIsShutUntilWhatWaitsInTheRingIsTaken) {
  ScriptedPeer peer{Codec::json};
  Strategy strategy{peer, config_for({}, peer)};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  ASSERT_TRUE(strategy.hears("live #1"));
  peer.while_waiting = [] {};
  peer.price("prices:A", 1, 1);
  ASSERT_TRUE(eventually([&] { return strategy.client.metrics().messages == 1; }));
  const ChannelGate gate = strategy.client.gate("prices:A", kAnyTime).value();
  ASSERT_TRUE(eventually([&] { return gate.verdict() == GateVerdict::behind; }));
  ASSERT_EQ(strategy.client.poll(1), 1u);
  EXPECT_TRUE(gate.open());
}

TEST_P(ClientTest, WhatWasReplayedMayBeOfAnyAge) {
  Gated strategy{peer, config()};
  const ChannelGate aged = strategy.client.gate("prices:A", {0ns, 1h}).value();
  const ChannelGate other = strategy.client.gate("prices:B", {0ns, 1h}).value();
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  peer.price("prices:A", 1, 1);
  ASSERT_TRUE(strategy.gets_to(GateVerdict::open));
  EXPECT_TRUE(aged.open());
  peer.cut();
  peer.greet(kEpoch);
  const auto again = peer.expect<Subscribe>();
  peer.grant_resumed(again, kEpoch, 2);
  peer.price("prices:A", 2, 1);
  peer.caught_up(again);
  ASSERT_TRUE(strategy.gets_to(GateVerdict::open));
  EXPECT_EQ(aged.verdict(), GateVerdict::old);
  peer.price("prices:A", 3, 1);
  ASSERT_TRUE(strategy.hears("prices:A 3 = 1"));
  EXPECT_TRUE(aged.open());
  // The latest one of a channel that is asked for while others are live.
  const std::vector<std::string> more{"prices:B"};
  strategy.client.subscribe(more, Start::latest).value();
  const auto latest = peer.expect<Subscribe>();
  peer.grant(latest, kEpoch, 8);
  peer.price("prices:B", 9, 1);
  peer.caught_up(latest);
  ASSERT_TRUE(eventually([&] {
    strategy.poll();
    return other.verdict() == GateVerdict::old;
  }));
  peer.price("prices:B", 10, 1);
  ASSERT_TRUE(strategy.hears("prices:B 10 = 1"));
  EXPECT_TRUE(other.open());
}

TEST_P(ClientTest, LimitsOfTimeShutIt) {
  Gated strategy{peer, config()};
  const auto limited = [&](GateLimits limits) {
    return strategy.client.gate("prices:A", limits).value();
  };
  const ChannelGate silent = limited({1ns, 0ns});
  const ChannelGate old = limited({0ns, 1ns});
  const ChannelGate patient = limited({1h, 1h});
  const ChannelGate exact = limited({1h, 1ns});
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  peer.price("prices:A", 1, 1);
  ASSERT_TRUE(strategy.gets_to(GateVerdict::open));
  EXPECT_EQ(silent.verdict(), GateVerdict::silent);
  EXPECT_EQ(old.verdict(), GateVerdict::old);
  EXPECT_EQ(exact.verdict(), GateVerdict::old);
  EXPECT_EQ(patient.verdict(), GateVerdict::open);
}

TEST_P(ClientTest, AGateOutlivesItsClient) {
  EXPECT_EQ(ChannelGate{}.verdict(), GateVerdict::not_live);
  auto strategy = std::make_optional<Gated>(peer, config());
  strategy->client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  peer.price("prices:A", 1, 1);
  ASSERT_TRUE(strategy->gets_to(GateVerdict::open));
  const ChannelGate gate = strategy->gate;
  strategy.reset();
  EXPECT_EQ(gate.verdict(), GateVerdict::not_live);
}

TEST_P(ClientTest, OtherThreadsMayLook) {
  Gated strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  std::atomic<bool> done{false};
  std::uint64_t looks = 0;
  std::thread other([&] {
    // relaxed: the join orders what is read afterwards.
    while (!done.load(std::memory_order_relaxed)) {
      if (strategy.gate.open()) ++looks;
    }
  });
  constexpr std::uint64_t kMessages = 2'000;
  for (std::uint64_t seq = 1; seq <= kMessages; ++seq) peer.price("prices:A", seq, 1);
  EXPECT_TRUE(strategy.hears("prices:A 2000 = 1"));
  EXPECT_EQ(strategy.gate.verdict(), GateVerdict::open);
  // relaxed: as above.
  done.store(true, std::memory_order_relaxed);
  other.join();
}

TEST(ClientGate, BadRequestsAreRefused) {
  ScriptedPeer peer{Codec::json};
  Strategy strategy{peer, config_for({Threading::caller, Codec::json}, peer)};
  EXPECT_EQ(strategy.client.gate("prices:*").error().code, Errc::invalid_channel_name);
  EXPECT_EQ(strategy.client.gate("").error().code, Errc::invalid_channel_name);
  EXPECT_EQ(strategy.client.gate("prices:A", {-1ns, 0ns}).error().code, Errc::invalid_config);
  EXPECT_EQ(strategy.client.gate("prices:A", {0ns, -1ns}).error().code, Errc::invalid_config);
  for (std::size_t i = 0; i < limits::kGatesMax; ++i) {
    ASSERT_TRUE(strategy.client.gate("prices:" + std::to_string(i)).ok());
  }
  const auto refused = strategy.client.gate("prices:one-more");
  EXPECT_EQ(refused.error().code, Errc::too_many_channels);
  EXPECT_NE(refused.error().context.find("65536"), std::string::npos);
  EXPECT_TRUE(strategy.client.gate("prices:7").ok()) << "one that is there already";
}

TEST(ClientGate, ManyChannelsFindTheirOwn) {
  ScriptedPeer peer{Codec::msgpack};
  Strategy strategy{peer, config_for({Threading::caller, Codec::msgpack}, peer)};
  constexpr std::uint64_t kChannels = 500;
  const auto name = [](std::uint64_t i) { return "prices:" + std::to_string(i); };
  std::vector<ChannelGate> gates;
  for (std::uint64_t i = 0; i < kChannels; i += 2) {
    gates.push_back(strategy.client.gate(name(i), kAnyTime).value());
  }
  strategy.client.subscribe({"prices:*"}).value();
  peer.greet_and_grant(kEpoch, 0);
  for (std::uint64_t i = 0; i < kChannels; ++i) peer.price(name(i), 1, 1);
  ASSERT_TRUE(strategy.hears("prices:499 1 = 1"));
  for (std::size_t i = 0; i < gates.size(); ++i) EXPECT_TRUE(gates[i].open()) << i;
  // One that is made now finds its own as well.
  const ChannelGate late = strategy.client.gate(name(1), kAnyTime).value();
  peer.price(name(3), 2, 1);
  ASSERT_TRUE(strategy.hears("prices:3 2 = 1"));
  EXPECT_TRUE(late.open());
  peer.price(name(1), 2, 1);
  ASSERT_TRUE(strategy.hears("prices:1 2 = 1"));
  EXPECT_TRUE(late.open());
  for (std::size_t i = 0; i < gates.size(); ++i) EXPECT_TRUE(gates[i].open()) << i;
}

}  // namespace
}  // namespace stratwire::testing
