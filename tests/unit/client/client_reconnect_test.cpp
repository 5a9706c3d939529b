// Connections that break, servers that refuse, and what the strategy is told of it.
#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include <stratwire/client.hpp>

#include "strategy.hpp"

namespace stratwire::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kEpoch = 77;

INSTANTIATE_TEST_SUITE_P(Modes, ClientTest, kModes, mode_name);

TEST_P(ClientTest, ComesBackSubscribesAgainAndSaysWhatWasMissed) {
  Strategy strategy{peer, config()};
  ASSERT_TRUE(strategy.follows("prices:A", kEpoch));
  strategy.take();
  peer.cut();
  peer.greet_and_grant(kEpoch, 5);
  peer.price("prices:A", 6, 6);
  ASSERT_TRUE(strategy.hears("prices:A 6 = 6"));
  EXPECT_EQ(strategy.take(), (Lines{"backing_off #1 connection_lost", "connecting #2",
                                    "subscribing #2", "subscribed prices:A", "recovering #2",
                                    "gap prices:A 2-5 disconnected", "prices:A 6 = 6"}))
      << "the peer does not know how to resume, so that the next message tells";
  EXPECT_EQ(strategy.client.metrics().connects, 2u);
}

TEST_P(ClientTest, ARestartedServerIsAnotherEpoch) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"prices:*"}).value();
  peer.greet_and_grant(kEpoch, 0);
  peer.price("prices:A", 41, 1);
  ASSERT_TRUE(strategy.hears("prices:A 41 = 1"));
  strategy.take();
  peer.cut();
  peer.greet_and_grant(kEpoch + 1, 0);
  peer.price("prices:A", 1, 2);
  ASSERT_TRUE(strategy.hears("prices:A 1 = 2"));
  EXPECT_EQ(strategy.take(), (Lines{"backing_off #1 connection_lost", "connecting #2",
                                    "subscribing #2", "subscribed prices:*", "recovering #2",
                                    "gap prices:A 42-0 epoch_change", "prices:A 1 = 2"}));
}

TEST_P(ClientTest, NothingOfAnOldConnectionComesAfterANewerOneWasAnnounced) {
  ClientConfig quiet = config();
  // A Ping that the peer has not read when it closes would make the kernel throw away what the peer
  // has sent.
  quiet.clock_interval = 0ms;
  Strategy strategy{peer, quiet};
  strategy.client.subscribe({"prices:A"}).value();
  std::uint64_t seq = 0;
  for (int connection = 1; connection <= 5; ++connection) {
    peer.greet_and_grant(kEpoch, seq);
    for (int i = 0; i < 50; ++i) peer.price("prices:A", ++seq, connection);
    peer.cut();
  }
  ASSERT_TRUE(strategy.hears("backing_off #5 connection_lost"));
  int generation = 0;
  int prices = 0;
  for (const std::string& text : strategy.take()) {
    if (text.starts_with("connecting #")) {
      EXPECT_EQ(text, "connecting #" + std::to_string(++generation));
    }
    if (text.starts_with("prices:A ")) {
      ++prices;
      EXPECT_TRUE(text.ends_with(" = " + std::to_string(generation))) << text;
    }
  }
  EXPECT_EQ(prices, 250) << "what was sent before the end was received";
  EXPECT_EQ(strategy.client.metrics().gaps, 0u);
}

TEST_P(ClientTest, BackWithin150MillisecondsOfThePortBeingOpen) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  ASSERT_TRUE(strategy.hears("live #1"));
  peer.stop_listening();
  peer.cut();
  // Away for long enough that a back-off of any kind would have grown beyond 150 ms.
  auto seen = std::chrono::steady_clock::now();
  const auto away_until = seen + 1500ms;
  auto longest_gap = seen - seen;
  const auto poll = [&] {
    strategy.poll();
    const auto now = std::chrono::steady_clock::now();
    longest_gap = std::max(longest_gap, now - std::exchange(seen, now));
  };
  peer.while_waiting = poll;
  ASSERT_TRUE(eventually([&] {
    poll();
    return seen >= away_until;
  }));
  peer.listen();
  const auto open = std::chrono::steady_clock::now();
  peer.greet_and_grant(kEpoch + 1, 0);
  const auto back = std::chrono::steady_clock::now() - open;
  // A machine that does not let this very thread run can't be blamed on the client.
  EXPECT_LT(back, 150ms + 10 * longest_gap);
  // The knocks between the tries of the schedule are not told of.
  std::size_t told = 0;
  for (const std::string& text : strategy.take()) told += text.starts_with("backing_off") ? 1u : 0u;
  EXPECT_GE(told, 1u);
  EXPECT_LE(told, 12u);
  if (longest_gap < 10ms) {
    EXPECT_GE(strategy.client.metrics().connect_failures, 15u);
  }
}

TEST_P(ClientTest, ARefusedPortIsTriedUntilTheAttemptsAreUsedUp) {
  peer.stop_listening();
  ClientConfig limited = config();
  limited.reconnect.attempts_max = 3;
  Strategy strategy{peer, limited};
  ASSERT_TRUE(strategy.reaches(ClientState::failed));
  const Error error = strategy.client.error();
  EXPECT_EQ(error.code, Errc::attempts_exhausted);
  EXPECT_NE(error.context.find("3 tries"), std::string::npos) << error.context;
  EXPECT_NE(error.context.find("127.0.0.1"), std::string::npos) << error.context;
  EXPECT_FALSE(strategy.client.receive<PriceUpdate>()) << "the end, not a wait";
  EXPECT_EQ(strategy.client.send("prices:A", PriceUpdate{}, 1), SendStatus::closed);
}

TEST_P(ClientTest, ANotFoundIsTheEndAndSaysWhatTheServerSaid) {
  Strategy strategy{peer, config()};
  peer.refuse(404, "nothing here; ask for /stream");
  ASSERT_TRUE(strategy.reaches(ClientState::failed));
  const Error error = strategy.client.error();
  EXPECT_EQ(error.code, Errc::not_websocket);
  EXPECT_NE(error.context.find("404"), std::string::npos) << error.context;
  EXPECT_NE(error.context.find("ask for /stream"), std::string::npos) << error.context;
  EXPECT_TRUE(strategy.hears("failed #1 not_websocket"));
}

TEST_P(ClientTest, AWebSocketServerOfAnotherProtocolIsTheEnd) {
  Strategy strategy{peer, config()};
  peer.accept_plain();
  EXPECT_TRUE(strategy.hears("failed #1 subprotocol_refused"));
}

TEST_P(ClientTest, AServerErrorIsTriedAgain) {
  Strategy strategy{peer, config()};
  peer.refuse(503, "full");
  peer.greet(kEpoch);
  EXPECT_TRUE(strategy.hears("live #2"));
}

TEST_P(ClientTest, AServerThatDoesNotAnswerTheUpgradeIsGivenUp) {
  ClientConfig hasty = config();
  hasty.connect_timeout = 50ms;
  Strategy strategy{peer, hasty};
  peer.accept_silently();
  EXPECT_TRUE(strategy.hears("backing_off #1 handshake_timeout"));
  peer.greet(kEpoch);
  EXPECT_TRUE(strategy.reaches(ClientState::live));
}

TEST_P(ClientTest, AHalfOpenConnectionIsNoticedByItsHeartbeat) {
  Strategy strategy{peer, config()};
  const auto start = std::chrono::steady_clock::now();
  peer.greet(kEpoch, 50);
  ASSERT_TRUE(strategy.hears("live #1"));
  ASSERT_TRUE(strategy.hears("backing_off #1 peer_timeout"));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 600ms);
}

TEST_P(ClientTest, HeartbeatsKeepItAlive) {
  Strategy strategy{peer, config()};
  peer.greet(kEpoch, 50);
  const auto end = std::chrono::steady_clock::now() + 800ms;
  ASSERT_TRUE(eventually([&] {
    peer.send(Heartbeat{1});
    strategy.poll();
    return std::chrono::steady_clock::now() > end;
  }));
  // A machine that lets nobody run for 75 ms makes it stale; the next sign of life ends that.
  EXPECT_TRUE(strategy.reaches(ClientState::live));
  EXPECT_EQ(strategy.client.metrics().connects, 1u);
}

TEST_P(ClientTest, ASilentServerWithoutHeartbeatsIsPinged) {
  ClientConfig watchful = config();
  watchful.ping_interval = 50ms;
  Strategy strategy{peer, watchful};
  peer.greet(kEpoch, 0);
  peer.expect_control(transport::Incoming::Kind::ping);
  EXPECT_TRUE(strategy.hears("backing_off #1 peer_timeout"));
}

TEST_P(ClientTest, AStopCodeIsTheEnd) {
  Strategy strategy{peer, config()};
  peer.greet(kEpoch);
  peer.send_close(4003, "not for you");
  EXPECT_EQ(peer.expect_close(), 4003);
  ASSERT_TRUE(strategy.reaches(ClientState::failed));
  EXPECT_NE(strategy.client.error().context.find("4003: not for you"), std::string::npos);
}

TEST_P(ClientTest, GoingAwayIsNotTheEnd) {
  Strategy strategy{peer, config()};
  peer.greet(kEpoch);
  peer.send(GoAway{100, 0});
  peer.send_close(1001, "restarting");
  EXPECT_EQ(peer.expect_close(), 1001);
  peer.greet(kEpoch);
  EXPECT_TRUE(strategy.hears("live #2"));
  EXPECT_TRUE(strategy.hears("goaway"));
}

TEST_P(ClientTest, ABrokenFrameIsAnsweredWithItsCodeAndTriedAgain) {
  Strategy strategy{peer, config()};
  peer.greet(kEpoch);
  peer.send_bytes({"\xc1\x00", 2});  // RSV1 set, nothing negotiated.
  EXPECT_EQ(peer.expect_close(), 1002);
  peer.expect_end();
  peer.greet(kEpoch);
  EXPECT_TRUE(strategy.hears("backing_off #1 protocol_violation"));
  EXPECT_TRUE(strategy.hears("live #2"));
}

TEST_P(ClientTest, TheCloseCodeArrivesAlthoughMoreWasOnItsWay) {
  Strategy strategy{peer, config()};
  peer.greet(kEpoch);
  // Closing a socket with unread bytes resets the connection, and the close frame with it.
  peer.send_bytes(std::string{"\xc1\x00", 2} + std::string(300'000, 'x'));
  EXPECT_EQ(peer.expect_close(), 1002);
}

TEST_P(ClientTest, AMessageThatIsTooLargeEndsTheConnectionWith1009) {
  ClientConfig small = config();
  small.message_bytes_max = 2048;
  Strategy strategy{peer, small};
  peer.greet(kEpoch);
  peer.send_payload(std::string(2049, ' '));
  EXPECT_EQ(peer.expect_close(), 1009);
  EXPECT_TRUE(strategy.hears("backing_off #1 protocol_violation"));
}

TEST_P(ClientTest, TheLargestMessageArrives) {
  ClientConfig small = config();
  small.message_bytes_max = 200'000;
  Strategy strategy{peer, small};
  strategy.client.subscribe({"events:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  ASSERT_TRUE(strategy.hears("live #1"));
  const std::string value = '"' + std::string(199'000, 'x') + '"';
  std::string data;
  transcode({Codec::json, value}, GetParam().codec, data).value();
  for (std::uint64_t seq = 1; seq <= 5; ++seq) {
    peer.send(Event{"Big", {GetParam().codec, data}}, {"events:A", seq});
  }
  EXPECT_TRUE(strategy.hears("events:A 5 Big " + data));
}

// A host name that does not exist is an error that names it, not a crash and not the end.
TEST(ClientResolve, AHostThatDoesNotExistIsNamed) {
  ClientConfig config;
  config.url = "ws://no-such-host.invalid:9";
  config.reconnect.attempts_max = 1;
  auto client = Client::open(config).value();
  ASSERT_TRUE(eventually([&] { return client.state() == ClientState::failed; }));
  EXPECT_NE(client.error().context.find("no-such-host.invalid"), std::string::npos)
      << client.error().context;
}

}  // namespace
}  // namespace stratwire::testing
