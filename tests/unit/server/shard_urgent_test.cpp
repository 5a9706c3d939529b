// Signs of life of readers that are behind, and what overtakes what waits for them.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "shard_rig.hpp"

namespace stratwire::server {
namespace {

constexpr std::int64_t kPingMs = 30'000;
constexpr std::size_t kText = 4'000;
/// Times kText: more than unread replies may be, and less than a connection is closed for.
constexpr std::uint64_t kBacklog = 200;

ServerConfig quiet() {
  ServerConfig config;
  config.lane_bytes_max = 256 * 1024;
  config.heartbeat_interval = std::chrono::hours(1);
  config.ping_interval = std::chrono::milliseconds(kPingMs);
  return config;
}

AccountUpdate account(std::uint64_t slot) {
  static const std::string text(kText, 'x');
  return {.pubkey = text, .slot = slot};
}

/// Subscribed to a lossless channel, of which it has read nothing: the first frame is begun.
RigClient reader_with_backlog(ShardRig& rig, std::uint64_t messages = kBacklog) {
  RigClient client(rig);
  client.send(Subscribe{{"accounts:A"}, 1});
  EXPECT_TRUE(client.next_of<Subscribed>());
  client.pipe().window = 10;
  for (std::uint64_t i = 1; i <= messages; ++i) rig.publish("accounts:A", account(i));
  return client;
}

/// The number of the next message; 0 when it has none, or when nothing waits.
std::uint64_t next_seq(RigClient& client) {
  const Message* const message = client.next();
  return message == nullptr ? 0 : message->envelope.seq;
}

template <class T>
bool is_next(RigClient& client) {
  const Message* const message = client.next();
  return message != nullptr && std::holds_alternative<T>(message->body);
}

std::uint64_t count(const telemetry::Counter& counter) {
  return counter.value();
}

const ShardCounters& counters(ShardRig& rig) {
  return rig.core().figures[0].counters;
}

// ---- Signs of life

TEST(ShardUrgent, OneThatTakesItsBacklogBitByBitIsAlive) {
  ShardRig rig(quiet());
  RigClient client = reader_with_backlog(rig);
  // Far longer than two intervals, in which it takes less than what waits and says nothing.
  for (std::int64_t passed = 0; passed < 10 * kPingMs; passed += 1'000) {
    client.pipe().window = kText / 2;
    rig.advance(1'000);
    ASSERT_EQ(rig.shard().open_connections(), 1U) << "after " << passed << " ms";
  }
  EXPECT_EQ(count(counters(rig).timeouts), 0U);
  client.pipe().window = SIZE_MAX;
  rig.settle();
  std::uint64_t read = 0;
  while (client.next() != nullptr) ++read;
  EXPECT_EQ(read, kBacklog);
  EXPECT_EQ(client.pings(), 0U) << "what it took said enough";
  // Now that it has all, silence means something again.
  rig.advance(2 * kPingMs + 1'000);
  EXPECT_EQ(client.next(), nullptr);
  EXPECT_EQ(client.pings(), 1U);
  EXPECT_EQ(count(counters(rig).timeouts), 1U);
  EXPECT_TRUE(client.pipe().closed);
}

TEST(ShardUrgent, WhatTheKernelKeepsForOneThatIsGoneIsNoSignOfLife) {
  // There is room enough for Heartbeats for hours: that they are taken tells nothing of the peer.
  ServerConfig config = quiet();
  config.heartbeat_interval = std::chrono::seconds(1);
  ShardRig rig(config);
  RigClient client(rig);
  rig.advance(2 * kPingMs + 1'000);
  EXPECT_EQ(count(counters(rig).timeouts), 1U);
  EXPECT_TRUE(client.pipe().closed);
}

TEST(ShardUrgent, SilenceOfOneThatIsNotReadIsNotHeldAgainstIt) {
  ServerConfig config = quiet();
  config.stall_max = std::chrono::hours(1);
  ShardRig rig(config);
  RigClient client(rig);
  client.pipe().window = 10;
  std::uint64_t asked = 0;
  while (client.pipe().to_server.empty()) client.send(Ping{static_cast<std::int64_t>(++asked)});
  rig.advance(10 * kPingMs);
  EXPECT_EQ(count(counters(rig).timeouts), 0U) << "it can't be heard";
  // Once it is read again it has all its time.
  client.pipe().window = SIZE_MAX;
  rig.settle();
  EXPECT_TRUE(client.pipe().to_server.empty());
  for (std::uint64_t i = 1; i <= asked; ++i) {
    const auto pong = client.next_of<Pong>();
    ASSERT_TRUE(pong) << i << " of " << asked;
    EXPECT_EQ(pong->t1, static_cast<std::int64_t>(i));
  }
  rig.advance(kPingMs + 1'000);
  EXPECT_EQ(client.next(), nullptr);
  EXPECT_EQ(client.pings(), 1U);
  EXPECT_EQ(rig.shard().open_connections(), 1U);
}

// ---- What overtakes

TEST(ShardUrgent, PongsOvertakeABacklog) {
  ShardRig rig(quiet());
  RigClient client = reader_with_backlog(rig);
  std::uint64_t read = 0;
  for (std::int64_t i = 1; i <= 20; ++i) {
    client.send(Ping{i});
    client.send_frame(transport::Opcode::ping, std::to_string(i));
    // Room for the rest of a frame and for both pongs, not for another frame.
    client.pipe().window = kText + 500;
    rig.settle();
    bool answered = false;
    while (const Message* const message = client.next()) {
      if (const Pong* const pong = std::get_if<Pong>(&message->body)) {
        EXPECT_EQ(pong->t1, i);
        answered = true;
      } else {
        ASSERT_EQ(message->envelope.seq, ++read) << "data keeps its order";
      }
    }
    EXPECT_TRUE(answered) << i;
    ASSERT_EQ(client.pongs().size(), static_cast<std::size_t>(i));
    EXPECT_EQ(client.pongs().back(), std::to_string(i));
  }
  EXPECT_LT(read, kBacklog);
  client.pipe().window = SIZE_MAX;
  rig.settle();
  while (const Message* const message = client.next()) ASSERT_EQ(message->envelope.seq, ++read);
  EXPECT_EQ(read, kBacklog);
}

TEST(ShardUrgent, PongsOvertakeAReplay) {
  ShardRig rig(quiet());
  for (std::uint64_t i = 1; i <= kBacklog; ++i) rig.publish("events:A", account(i));
  RigClient client(rig);
  client.pipe().window = 10;
  client.send(
      Subscribe{.channels = {"events:A"}, .id = 1, .since = {{"events:A", ShardRig::kEpoch, 0}}});
  client.send(Ping{7});
  // The answer was begun; a piece waits behind it.
  client.pipe().window = 1'000;
  rig.settle();
  EXPECT_TRUE(is_next<Subscribed>(client));
  EXPECT_TRUE(is_next<Pong>(client));
  client.pipe().window = SIZE_MAX;
  rig.settle();
  EXPECT_EQ(next_seq(client), 1U);
}

TEST(ShardUrgent, ThePingOfTheServerOvertakesToo) {
  ServerConfig config = quiet();
  config.stall_max = std::chrono::hours(1);
  ShardRig rig(config);
  RigClient client = reader_with_backlog(rig);
  rig.advance(kPingMs + 1'000);
  client.pipe().window = kText + 500;
  rig.settle();
  EXPECT_NE(client.next(), nullptr);
  EXPECT_EQ(client.next(), nullptr);
  EXPECT_EQ(client.pings(), 1U);
}

TEST(ShardUrgent, AnswersAndHeartbeatsKeepTheirPlace) {
  ServerConfig config = quiet();
  config.heartbeat_interval = std::chrono::seconds(1);
  ShardRig rig(config);
  RigClient client = reader_with_backlog(rig);
  client.send(Subscribe{{"accounts:B"}, 2});
  rig.advance(2'000);
  client.send(Ping{7});
  client.pipe().window = SIZE_MAX;
  rig.settle();
  std::vector<std::string> order;
  while (const Message* const message = client.next()) {
    if (message->envelope.seq != 0) {
      if (message->envelope.seq == 1) order.emplace_back("first");
      if (message->envelope.seq == kBacklog) order.emplace_back("last");
    } else if (std::holds_alternative<Pong>(message->body)) {
      order.emplace_back("pong");
    } else if (std::holds_alternative<Subscribed>(message->body)) {
      order.emplace_back("subscribed");
    } else if (std::holds_alternative<Heartbeat>(message->body) && order.back() != "beat") {
      order.emplace_back("beat");
    }
  }
  EXPECT_EQ(order, (std::vector<std::string>{"first", "pong", "last", "subscribed", "beat"}));
}

TEST(ShardUrgent, OneThatReadsInTimeGetsItsAnswersInOrder) {
  ShardRig rig(quiet());
  RigClient client(rig);
  // Both in one read, so that both answers go in one send().
  for (const WsMessage& request : {WsMessage{Subscribe{{"accounts:A"}, 1}}, WsMessage{Ping{7}}}) {
    std::string payload;
    ASSERT_TRUE(encode(Codec::json, {{}, request}, payload));
    transport::append_frame(client.pipe().to_server,
                            {transport::Opcode::text, transport::MaskKey{}}, payload);
  }
  rig.settle();
  EXPECT_TRUE(is_next<Subscribed>(client));
  EXPECT_TRUE(is_next<Pong>(client));
}

TEST(ShardUrgent, OneThatIsCutGetsTheFrameThatWasBegunAndTheClose) {
  ServerConfig config = quiet();
  config.stall_max = std::chrono::seconds(1);
  constexpr std::size_t kPong = 42;
  std::size_t rest = 0;
  {
    ShardRig rig(config);
    RigClient client = reader_with_backlog(rig, 1);
    rest = rig.shard().connection_stats().at(0).lag_bytes;
  }
  struct Cut {
    std::size_t taken;
    std::size_t pongs;
  };
  // Wherever it stopped: in a message of the feed, in one of two pongs, or between them.
  for (const auto& [taken, pongs] :
       {Cut{rest - 1, 0}, Cut{rest, 0}, Cut{rest + 1, 1}, Cut{rest + kPong, 1},
        Cut{rest + kPong + 1, 2}, Cut{rest + 2 * kPong, 2}}) {
    ShardRig rig(config);
    RigClient client = reader_with_backlog(rig);
    client.send_frame(transport::Opcode::ping, std::string(kPong - 2, 'p'));
    client.send_frame(transport::Opcode::ping, std::string(kPong - 2, 'q'));
    client.pipe().window = taken;
    rig.settle();
    rig.advance(2'000);
    client.pipe().window = SIZE_MAX;
    rig.settle();
    EXPECT_EQ(next_seq(client), 1U) << taken;
    EXPECT_EQ(client.next(), nullptr) << taken;
    EXPECT_EQ(client.closed_by(), 4101) << taken;
    EXPECT_EQ(client.pongs().size(), pongs) << taken;
  }
}

// ---- What is read of one that does not read

TEST(ShardUrgent, PingsOfOneThatDoesNotReadPileUpToALimit) {
  for (const bool frames : {false, true}) {
    ShardRig rig(quiet());
    RigClient client(rig);
    client.pipe().window = 10;
    std::uint64_t asked = 0;
    while (client.pipe().to_server.empty()) {
      ASSERT_LT(++asked, 100'000U) << "they are read for ever";
      if (frames) {
        client.send_frame(transport::Opcode::ping, std::string(100, 'p'));
      } else {
        client.send(Ping{1});
      }
    }
    EXPECT_LT(rig.shard().connection_stats().at(0).lag_bytes, 257U * 1024);
    client.pipe().window = SIZE_MAX;
    rig.settle();
    std::uint64_t answered = 0;
    while (client.next() != nullptr) ++answered;
    EXPECT_EQ(answered + client.pongs().size(), asked);
  }
}

TEST(ShardUrgent, OneThatIsOverloadedCanUnsubscribe) {
  ShardRig rig(quiet());
  RigClient client = reader_with_backlog(rig);
  ASSERT_GT(rig.shard().connection_stats().at(0).lag_bytes, 512U * 1024);
  client.send(Ping{1});
  client.send(Unsubscribe{{"accounts:A"}, 2});
  EXPECT_TRUE(client.pipe().to_server.empty());
  EXPECT_EQ(rig.shard().connection_stats().at(0).channels, 0U);
  // And its pings are answered while it takes what is left.
  client.send(Ping{2});
  client.pipe().window = kText + 500;
  rig.settle();
  EXPECT_EQ(client.next_of<Pong>(), (Pong{1, rig.now().wall_ns, rig.now().wall_ns}));
  EXPECT_EQ(client.next_of<Pong>(), (Pong{2, rig.now().wall_ns, rig.now().wall_ns}));
}

TEST(ShardUrgent, RequestsAreReadAgainBeforeAllOfTheBacklogIsTaken) {
  ServerConfig config = quiet();
  ShardRig rig(config);
  RigClient client = reader_with_backlog(rig);
  // Their answers do not overtake: they are behind the backlog.
  std::uint64_t asked = 0;
  while (client.pipe().to_server.empty())
    client.send(Publish{.id = ++asked, .channel = "trades:A"});
  // Until half of them are read.
  std::uint64_t taken = 0;
  while (!client.pipe().to_server.empty()) {
    client.pipe().window = 1'000;
    rig.settle();
    ++taken;
    ASSERT_LT(taken, 10'000U) << "never";
  }
  EXPECT_GT(rig.shard().connection_stats().at(0).lag_bytes, 64U * 1024);
}

TEST(ShardUrgent, OneThatTakesPongsOnlyGetsNoFurtherPieceOfItsReplay) {
  ShardRig rig(quiet());
  for (std::uint64_t i = 1; i <= kBacklog; ++i) rig.publish("events:A", account(i));
  RigClient client(rig);
  client.pipe().window = 10;
  client.send(
      Subscribe{.channels = {"events:A"}, .id = 1, .since = {{"events:A", ShardRig::kEpoch, 0}}});
  for (int round = 0; round < 10; ++round) {
    while (client.pipe().to_server.empty()) client.send(Ping{1});
    ASSERT_LT(rig.shard().connection_stats().at(0).lag_bytes, (256U + 64 + 8) * 1024) << round;
    client.pipe().window = 150 * 1024;
    rig.settle();
  }
}

}  // namespace
}  // namespace stratwire::server
