// Signs of life of readers that are behind, and what overtakes what waits for them.

#include <cstddef>
#include <cstdint>
#include <string>

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
  EXPECT_TRUE(std::holds_alternative<Subscribed>(client.next()->body));
  EXPECT_TRUE(std::holds_alternative<Pong>(client.next()->body));
  client.pipe().window = SIZE_MAX;
  rig.settle();
  EXPECT_EQ(client.next()->envelope.seq, 1U);
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

TEST(ShardUrgent, OneThatReadsInTimeGetsItsAnswersInOrder) {
  ShardRig rig(quiet());
  RigClient client(rig);
  rig.hold_answers();
  client.send(Subscribe{{"accounts:A"}, 1});
  client.send(Ping{7});
  rig.release_answers();
  EXPECT_TRUE(std::holds_alternative<Subscribed>(client.next()->body));
  EXPECT_TRUE(std::holds_alternative<Pong>(client.next()->body));
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

}  // namespace
}  // namespace stratwire::server
