// Closing: from any thread, from callbacks, in every stage, and never for ever.
#include <algorithm>
#include <chrono>
#include <optional>
#include <thread>

#include <stratwire/client.hpp>

#include "strategy.hpp"

namespace stratwire::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kEpoch = 77;

/// Runs `destroy` and expects it to be through within the close timeout and some.
template <class Destroy>
void expect_quick(Destroy&& destroy) {
  const auto start = std::chrono::steady_clock::now();
  destroy();
  EXPECT_LT(std::chrono::steady_clock::now() - start, limits::kCloseTimeout + 5s);
}

INSTANTIATE_TEST_SUITE_P(Modes, ClientTest, kModes, mode_name);

TEST_P(ClientTest, CloseIsAHandshakeAndTheEndOfReceive) {
  Strategy strategy{peer, config()};
  peer.greet(kEpoch);
  ASSERT_TRUE(strategy.hears("live #1"));
  strategy.client.close();
  EXPECT_EQ(peer.expect_close(), 1000);
  peer.send_close(1000);
  ASSERT_TRUE(strategy.hears("closed #1"));
  EXPECT_EQ(strategy.client.state(), ClientState::closed);
  EXPECT_FALSE(strategy.client.receive<PriceUpdate>());
  EXPECT_EQ(strategy.client.error().code, Errc::ok);
  EXPECT_EQ(strategy.client.send("prices:A", PriceUpdate{}, 1), SendStatus::closed);
  strategy.client.close();  // Again: nothing.
}

TEST_P(ClientTest, CloseFromACallbackEndsReceive) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  int taken = 0;
  strategy.client.on<PriceUpdate>([&](const PriceUpdate&) noexcept {
    ++taken;
    strategy.client.close();
  });
  peer.while_waiting = [] {};
  peer.price("prices:A", 1, 1);
  peer.cut();  // The close handshake ends at once.
  while (strategy.client.receive<AccountUpdate>()) {
  }
  EXPECT_EQ(taken, 1);
  EXPECT_EQ(strategy.client.state(), ClientState::closed);
}

TEST_P(ClientTest, CloseFromAnotherThreadEndsReceive) {
  Strategy strategy{peer, config()};
  peer.greet(kEpoch);
  ASSERT_TRUE(strategy.hears("live #1"));
  peer.cut();
  std::thread other([&] { strategy.client.close(); });
  EXPECT_FALSE(strategy.client.receive<PriceUpdate>());
  other.join();
  EXPECT_EQ(strategy.client.state(), ClientState::closed);
}

TEST_P(ClientTest, WhatWasReceivedBeforeTheEndIsTaken) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  ASSERT_TRUE(strategy.hears("live #1"));
  peer.while_waiting = [] {};
  for (std::uint64_t seq = 1; seq <= 100; ++seq) peer.price("prices:A", seq, 1);
  peer.send_close(4000, "that was all");
  int taken = 0;
  while (strategy.client.receive<PriceUpdate>()) ++taken;
  EXPECT_EQ(taken, 100);
  EXPECT_EQ(strategy.client.state(), ClientState::failed);
}

TEST_P(ClientTest, CloseWhileBackingOffIsImmediate) {
  peer.stop_listening();
  ClientConfig patient = config();
  patient.reconnect.first_delay_max = 1h;
  patient.reconnect.delay_base = 1h;
  patient.reconnect.delay_max = 1h;
  Strategy strategy{peer, patient};
  ASSERT_TRUE(strategy.hears("backing_off #1 connect_failed"));
  strategy.client.close();
  EXPECT_TRUE(strategy.hears("closed #1"));
}

TEST(ClientClose, AFullSocketLosesNeitherTheCloseFrameNorAMessage) {
  for (const auto threading : {Threading::caller, Threading::own_thread}) {
    ScriptedPeer peer{Codec::json, ScriptedPeer::Family::unix_socket};
    Strategy strategy{peer, config_for({threading, Codec::json}, peer)};
    peer.greet(kEpoch);
    ASSERT_TRUE(strategy.hears("live #1"));
    // Many times what a socket file takes for a peer that does not read.
    const std::string text = '"' + std::string(8'000, 'x') + '"';
    std::uint64_t sent = 0;
    while (strategy.client.send("events:A", Event{"note", {Codec::json, text}}, sent + 1) ==
           SendStatus::ok) {
      ++sent;
    }
    strategy.poll();
    peer.send_close(1001);
    ASSERT_TRUE(strategy.hears("backing_off #1 connection_lost"));
    // Whole messages, also the one that was cut short, then the answer; the rest comes again.
    const auto first = peer.take_publishes(sent);
    EXPECT_LT(first.size(), sent);
    EXPECT_EQ(peer.expect_close(), 1001);
    peer.greet(kEpoch);
    auto all = peer.take_publishes(sent - first.size());
    all.insert(all.begin(), first.begin(), first.end());
    ASSERT_EQ(all.size(), sent);
    EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
    EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
  }
}

TEST(ClientClose, APeerThatGoesOnSendingIsCut) {
  ScriptedPeer peer{Codec::json};
  Strategy strategy{peer, config_for({}, peer)};
  peer.greet(kEpoch);
  peer.send_close(1001);
  EXPECT_EQ(peer.expect_close(), 1001);
  EXPECT_TRUE(eventually([&] { return !peer.can_send(std::string(4096, 'x')); }));
}

TEST_P(ClientTest, DestructionDoesNotWaitForAPeerThatDoesNotAnswer) {
  auto client = std::make_optional<Client>(Client::open(config()).value());
  peer.while_waiting = [&] { client->poll(); };
  peer.greet(kEpoch);
  ASSERT_TRUE(eventually([&] {
    client->poll();
    return client->state() == ClientState::live;
  }));
  peer.while_waiting = [] {};
  expect_quick([&] { client.reset(); });
  EXPECT_EQ(peer.expect_close(), 1000);
  peer.expect_end();
}

TEST_P(ClientTest, DestructionEndsWithThePeersCloseAndNotALookLater) {
  // One that slept once more would do so every time; the quickest of some shows it on a machine
  // that is busy, too.
  auto quickest = std::chrono::nanoseconds::max();
  for (int i = 0; i < 10; ++i) {
    std::optional<Client> client{Client::open(config()).value()};
    peer.while_waiting = [&] { client->poll([](const Delivery&) noexcept {}); };
    peer.greet(kEpoch);
    ASSERT_TRUE(eventually([&] {
      peer.while_waiting();
      return client->state() == ClientState::live;
    }));
    peer.while_waiting = [] {};
    std::thread answers([&] {
      EXPECT_EQ(peer.expect_close(), 1000);
      peer.send_close(1000);
    });
    const auto start = std::chrono::steady_clock::now();
    client.reset();
    quickest = std::min(quickest, std::chrono::steady_clock::now() - start);
    answers.join();
    peer.cut();
  }
  EXPECT_LT(quickest, 100ms);
}

TEST_P(ClientTest, DestructionWhileTheUpgradeHangs) {
  auto client = std::make_optional<Client>(Client::open(config()).value());
  peer.while_waiting = [&] { client->poll(); };
  peer.accept_silently();
  peer.while_waiting = [] {};
  expect_quick([&] { client.reset(); });
  peer.expect_end();
}

TEST_P(ClientTest, DestructionRightAfterOpen) {
  for (int i = 0; i < 20; ++i) {
    auto strategy = std::make_optional<Strategy>(peer, config());
    expect_quick([&] { strategy.reset(); });
  }
}

TEST_P(ClientTest, DestructionWhileNamesAreLookedUp) {
  ClientConfig far = config();
  far.url = "ws://no-such-host.invalid:9";
  for (int i = 0; i < 3; ++i) {
    auto client = std::make_optional<Client>(Client::open(far).value());
    client->poll();
    expect_quick([&] { client.reset(); });
  }
}

TEST_P(ClientTest, DestructionWithEverythingUnread) {
  ClientConfig small = config();
  small.message_bytes_max = 1024;
  small.ring_bytes = 4096;
  auto strategy = std::make_optional<Strategy>(peer, small);
  strategy->client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  peer.while_waiting = [] {};
  for (std::uint64_t seq = 1; seq <= 200; ++seq) peer.price("prices:A", seq, 1);
  if (GetParam().threading == Threading::own_thread) {
    ASSERT_TRUE(eventually([&] { return strategy->client.metrics().ring_full > 0; }));
  }
  expect_quick([&] { strategy.reset(); });
}

TEST_P(ClientTest, CloseWithAFullRingEndsWhenTheStrategyTakesTheRest) {
  ClientConfig small = config();
  small.message_bytes_max = 1024;
  small.ring_bytes = 4096;
  Strategy strategy{peer, small};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  peer.while_waiting = [] {};
  for (std::uint64_t seq = 1; seq <= 200; ++seq) peer.price("prices:A", seq, 1);
  strategy.client.close();
  std::uint64_t last = 0;
  bool in_order = true;
  while (const auto update = strategy.client.receive<PriceUpdate>()) {
    in_order = in_order && update.seq() == ++last;
  }
  EXPECT_TRUE(in_order);
  EXPECT_EQ(strategy.client.state(), ClientState::closed);
}

TEST_P(ClientTest, AMovedClientGoesOn) {
  Strategy strategy{peer, config()};
  peer.greet(kEpoch);
  ASSERT_TRUE(strategy.hears("live #1"));
  Client moved = std::move(strategy.client);
  EXPECT_EQ(moved.state(), ClientState::live);
  strategy.client = std::move(moved);
  strategy.client.subscribe({"prices:A"}).value();
  EXPECT_EQ(peer.expect<Subscribe>().channels, std::vector<std::string>{"prices:A"});
}

TEST_P(ClientTest, CommandsFromManyThreadsAllArrive) {
  Strategy strategy{peer, config()};
  peer.greet(kEpoch);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        const std::string channel = "prices:T" + std::to_string(t) + "-" + std::to_string(i);
        strategy.client.subscribe({channel}).value();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::size_t asked = 0;
  while (asked < 100) {
    const auto request = peer.expect<Subscribe>();
    ASSERT_FALSE(request.channels.empty());
    asked += request.channels.size();
    peer.grant(request, kEpoch, 0);
  }
  EXPECT_TRUE(strategy.reaches(ClientState::live));
}

}  // namespace
}  // namespace stratwire::testing
