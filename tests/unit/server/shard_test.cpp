// Rules that hang on time or on exact amounts, with a clock and sockets that are made up.

#include "shard.hpp"

#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "shard_rig.hpp"

namespace stratwire::server {
namespace {

constexpr std::int64_t kBeatMs = 1'000;

PriceUpdate price(std::uint64_t volume = 0) {
  return {.input_mint = "USDC", .output_mint = "SOL", .price = 1.5, .volume = volume};
}

ServerConfig small_lanes() {
  ServerConfig config;
  config.lane_bytes_max = 64 * 1024;
  config.lane_messages_max = 16;
  config.heartbeat_interval = std::chrono::hours(1);
  return config;
}

/// Reads all that waits; fails where a channel is not in order. \return numbers, a Gap as 0
std::vector<std::uint64_t> read_channel(RigClient& client) {
  std::vector<std::uint64_t> seen;
  std::uint64_t cursor = 0;
  while (const Message* const message = client.next()) {
    if (const Gap* const gap = std::get_if<Gap>(&message->body)) {
      EXPECT_EQ(gap->from, cursor + 1);
      cursor = gap->to;
      seen.push_back(0);
    } else if (message->envelope.seq != 0) {
      EXPECT_EQ(message->envelope.seq, cursor + 1);
      cursor = message->envelope.seq;
      seen.push_back(cursor);
    }
  }
  return seen;
}

// ---- Subscriptions

TEST(Shard, OneThatGoesBeforeItsAnswerLeavesNoInterestBehind) {
  // What somebody wants is encoded, and what can't be is counted: so interest shows.
  const std::string binary("\xc4\x02\x00\x01", 4);
  const Event blob{"Blob", {Codec::msgpack, binary}};
  for (const bool resumes : {false, true}) {
    ShardRig rig;
    RigClient client(rig);
    Subscribe request{{"events:A", "events:*"}, 1};
    if (resumes) request.since = {{"events:A", ShardRig::kEpoch, 0}};
    rig.hold_answers();
    client.send(request);
    rig.publish("events:A", blob);
    EXPECT_EQ(rig.core().not_encodable.value(), 1U) << "it is wanted";
    client.pipe().broken = true;
    rig.settle();
    EXPECT_EQ(rig.shard().open_connections(), 0U);
    rig.release_answers();
    rig.publish("events:A", blob);
    EXPECT_EQ(rig.core().not_encodable.value(), 1U);
  }
}

TEST(Shard, AnAnswerOnItsWayChangesNothingInTheOrder) {
  ShardRig rig;
  rig.publish("trades:A", price());
  RigClient client(rig);
  rig.hold_answers();
  client.send(
      Subscribe{.channels = {"trades:A"}, .id = 1, .since = {{"trades:A", ShardRig::kEpoch, 0}}});
  client.send(Ping{7});
  EXPECT_EQ(client.next(), nullptr) << "what comes behind a request waits for its answer";
  rig.release_answers();
  EXPECT_EQ(client.next_of<Subscribed>()->results.at(0).head, 1U);
  EXPECT_EQ(client.next()->envelope.seq, 1U);
  EXPECT_TRUE(client.next_of<CaughtUp>());
  EXPECT_EQ(client.next_of<Pong>()->t1, 7);
  rig.publish("trades:A", price());
  EXPECT_EQ(client.next()->envelope.seq, 2U);
}

// ---- Heartbeats

TEST(Shard, EveryNativeConnectionGetsAHeartbeatEachInterval) {
  ShardRig rig;
  RigClient busy(rig);
  RigClient idle(rig);
  busy.send(Subscribe{{"prices:A"}, 1});
  rig.advance(kBeatMs + Shard::kTickMs);
  while (busy.next() != nullptr) {
  }
  while (idle.next() != nullptr) {
  }
  for (int i = 0; i < 5; ++i) {
    rig.publish("prices:A", price());
    rig.advance(kBeatMs);
    EXPECT_TRUE(busy.next_of<Heartbeat>()) << "also one that was sent something else";
    EXPECT_FALSE(busy.next_of<Heartbeat>());
    EXPECT_TRUE(idle.next_of<Heartbeat>());
    EXPECT_FALSE(idle.next_of<Heartbeat>());
  }
}

TEST(Shard, HeartbeatThatIsDueGoesWithWhatIsSentAnyway) {
  ServerConfig config;
  config.heartbeat_interval = std::chrono::milliseconds(kBeatMs);
  ShardRig rig(config);
  RigClient client(rig);
  client.send(Subscribe{{"prices:A"}, 1});
  ASSERT_TRUE(client.next_of<Subscribed>());
  rig.sleep(kBeatMs);
  const std::size_t writes = client.pipe().writes;
  rig.publish("prices:A", price(7));
  EXPECT_EQ(client.pipe().writes, writes + 1);
  ASSERT_NE(client.next(), nullptr);
  const Message* const second = client.next();
  ASSERT_NE(second, nullptr);
  EXPECT_TRUE(std::holds_alternative<Heartbeat>(second->body));
  // The next one is due an interval later.
  rig.advance(kBeatMs - Shard::kTickMs);
  EXPECT_FALSE(client.next_of<Heartbeat>());
  rig.advance(Shard::kTickMs);
  EXPECT_TRUE(client.next_of<Heartbeat>());
}

TEST(Shard, TrapHeartbeatsStarvedByData) {
  ServerConfig config;
  config.heartbeat_interval = std::chrono::milliseconds(kBeatMs);
  ShardRig rig(config);
  RigClient client(rig);
  client.send(Subscribe{{"trades:A"}, 1});
  ASSERT_TRUE(client.next_of<Subscribed>());
  // Not one turn without data: one that waited for an idle turn would wait for ever.
  std::int64_t beat_at = rig.now().ms;
  std::size_t beats = 0;
  for (int turn = 0; turn < 2'000; ++turn) {
    rig.sleep(10);
    rig.publish_in_one_turn("trades:A", price());
    while (const Message* const message = client.next()) {
      if (!std::holds_alternative<Heartbeat>(message->body)) continue;
      ++beats;
      beat_at = rig.now().ms;
    }
    ASSERT_LE(rig.now().ms - beat_at, kBeatMs + Shard::kTickMs) << "after " << beats;
  }
  EXPECT_GE(beats, 19U);
}

TEST(Shard, AHeadComesOnceAfterAQuietInterval) {
  ShardRig rig;
  RigClient by_name(rig);
  RigClient by_kind(rig);
  RigClient other(rig);
  by_name.send(Subscribe{{"prices:A"}, 1});
  by_kind.send(Subscribe{{"prices:*"}, 1});
  other.send(Subscribe{{"prices:C"}, 1});
  rig.advance(kBeatMs + Shard::kTickMs);
  for (RigClient* const client : {&by_name, &by_kind, &other}) {
    while (client->next() != nullptr) {
    }
  }
  rig.publish("prices:A", price());
  rig.publish("prices:A", price());
  rig.publish("prices:B", price());
  rig.advance(kBeatMs);
  // In the interval that ends here there were messages.
  EXPECT_TRUE(by_name.next_of<Heartbeat>()->heads.empty());
  EXPECT_TRUE(by_kind.next_of<Heartbeat>()->heads.empty());
  // B goes on, A falls quiet.
  rig.publish("prices:B", price());
  rig.advance(kBeatMs);
  const std::vector<ChannelHead> head_a{{"prices:A", 2}};
  EXPECT_EQ(by_name.next_of<Heartbeat>()->heads, head_a);
  EXPECT_EQ(by_kind.next_of<Heartbeat>()->heads, head_a);
  rig.advance(kBeatMs);
  EXPECT_TRUE(by_name.next_of<Heartbeat>()->heads.empty()) << "once is enough";
  EXPECT_EQ(by_kind.next_of<Heartbeat>()->heads, (std::vector<ChannelHead>{{"prices:B", 2}}));
  while (const auto heartbeat = other.next_of<Heartbeat>()) EXPECT_TRUE(heartbeat->heads.empty());
}

TEST(Shard, PartsThatStopComingAreForgotten) {
  ShardRig rig;
  RigClient client(rig);
  constexpr std::int64_t kTimeoutMs = limits::kRequestPartsTimeout.count();
  client.send(Subscribe{.channels = {"prices:A"}, .id = 5, .more = true});
  rig.advance(kTimeoutMs - 1'000);
  client.send(Subscribe{.channels = {"prices:B"}, .id = 5, .more = true});
  rig.advance(kTimeoutMs - 1'000);
  EXPECT_FALSE(client.next_of<ErrorReply>()) << "each part has its own time";
  rig.advance(2'000);
  const auto error = client.next_of<ErrorReply>();
  ASSERT_TRUE(error);
  EXPECT_EQ(error->id, 5u);
  EXPECT_EQ(error->code, Errc::deadline_exceeded);
  rig.advance(2 * kTimeoutMs);
  EXPECT_FALSE(client.next_of<ErrorReply>()) << "once is enough";
  // The end of it comes after all: nobody waits for an answer any more.
  client.send(Subscribe{.channels = {"prices:C"}, .id = 5});
  EXPECT_FALSE(client.next_of<Subscribed>());
  client.send(Subscribe{.channels = {"prices:D"}, .id = 6});
  const auto answer = client.next_of<Subscribed>();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->id, 6u);
}

TEST(Shard, AnotherRequestTakesThePlaceOfPartsThatWereForgotten) {
  ShardRig rig;
  RigClient client(rig);
  client.send(Subscribe{.channels = {"prices:A"}, .id = 5, .more = true});
  rig.advance(limits::kRequestPartsTimeout.count() + 1'000);
  ASSERT_TRUE(client.next_of<ErrorReply>());
  client.send(Subscribe{.channels = {"prices:D"}, .id = 6});
  const auto answer = client.next_of<Subscribed>();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->id, 6u);
  ASSERT_EQ(answer->results.size(), 1u);
}

TEST(Shard, ManyHeadsComeInSeveralHeartbeats) {
  ServerConfig config;
  config.inbox_messages = 32'768;
  ShardRig rig(config);
  RigClient client(rig);
  client.send(Subscribe{{"prices:*"}, 1});
  rig.advance(kBeatMs + Shard::kTickMs);
  constexpr std::size_t kChannels = limits::kHeartbeatEntriesMax + 10;
  for (std::size_t i = 0; i < kChannels; ++i) rig.publish("prices:" + std::to_string(i), price());
  rig.advance(kBeatMs);
  while (client.next() != nullptr) {
  }
  rig.advance(kBeatMs);
  std::size_t heads = 0;
  std::size_t heartbeats = 0;
  while (const auto heartbeat = client.next_of<Heartbeat>()) {
    ++heartbeats;
    heads += heartbeat->heads.size();
    EXPECT_LE(heartbeat->heads.size(), limits::kHeartbeatEntriesMax);
  }
  EXPECT_EQ(heads, kChannels);
  EXPECT_EQ(heartbeats, 2U);
}

TEST(Shard, TimesOfEverySixtyFourthMessageAreTold) {
  ShardRig rig;
  RigClient client(rig);
  client.send(Subscribe{{"prices:A"}, 1});
  rig.advance(kBeatMs + Shard::kTickMs);
  while (client.next() != nullptr) {
  }
  const std::int64_t published = rig.now().wall_ns;
  for (int i = 0; i < 130; ++i) rig.publish("prices:A", price());
  rig.advance(kBeatMs);
  const auto heartbeat = client.next_of<Heartbeat>();
  ASSERT_TRUE(heartbeat);
  ASSERT_EQ(heartbeat->times.size(), 2U);
  EXPECT_EQ(heartbeat->times[0], (HopTimes{"prices:A", 64, published, published}));
  EXPECT_EQ(heartbeat->times[1].seq, 128U);
  rig.advance(kBeatMs);
  EXPECT_TRUE(client.next_of<Heartbeat>()->times.empty());
}

// ---- Slow readers

TEST(Shard, LosslessMessagesAreKeptBeyondTheSoftLimit) {
  ShardRig rig(small_lanes());
  RigClient client(rig);
  client.send(Subscribe{{"accounts:A"}, 1});
  client.pipe().window = 10;
  for (std::uint64_t i = 1; i <= 60; ++i) rig.publish("accounts:A", AccountUpdate{.slot = i});
  client.pipe().window = SIZE_MAX;
  rig.settle();
  EXPECT_EQ(read_channel(client).size(), 60U);
  EXPECT_EQ(rig.core().figures[0].counters.gaps.value(), 0U);
}

TEST(Shard, HeartbeatsTakeNoRoomFromWhatIsPublished) {
  ServerConfig config = small_lanes();
  config.heartbeat_interval = std::chrono::milliseconds(kBeatMs);
  config.stall_max = std::chrono::hours(1);
  ShardRig rig(config);
  RigClient client(rig);
  client.send(Subscribe{{"prices:A"}, 1});
  client.pipe().window = 10;
  for (std::size_t i = 0; i < config.lane_messages_max; ++i) rig.publish("prices:A", price());
  rig.advance(kBeatMs * static_cast<std::int64_t>(config.lane_messages_max));
  client.pipe().window = SIZE_MAX;
  rig.settle();
  EXPECT_EQ(read_channel(client).size(), config.lane_messages_max);
  EXPECT_EQ(rig.core().figures[0].counters.gaps.value(), 0U);
}

TEST(Shard, HeartbeatsTakeNoBytesFromItEither) {
  ServerConfig config = small_lanes();
  config.lane_messages_max = 1 << 20;
  config.lane_bytes_max = 4 * 1'024;
  config.heartbeat_interval = std::chrono::milliseconds(kBeatMs);
  config.ping_interval = std::chrono::hours(1);
  config.stall_max = std::chrono::hours(1);
  ShardRig rig(config);
  RigClient client(rig);
  client.send(Subscribe{{"prices:A"}, 1});
  client.pipe().window = 10;
  constexpr std::size_t kMessages = 20;
  for (std::size_t i = 0; i < kMessages; ++i) rig.publish("prices:A", price());
  // relaxed: one thread.
  const auto lag = [&] { return rig.core().figures[0].lag_bytes.load(std::memory_order_relaxed); };
  ASSERT_LT(lag(), config.lane_bytes_max);
  for (int i = 0; i < 100 && lag() <= config.lane_bytes_max; ++i) rig.advance(kBeatMs);
  ASSERT_GT(lag(), config.lane_bytes_max);
  EXPECT_EQ(rig.core().figures[0].counters.gaps.value(), 0U);
  // As much room again, and no more.
  rig.advance(200 * kBeatMs);
  EXPECT_EQ(rig.core().figures[0].counters.gaps.value(), 1U);
}

TEST(Shard, BeyondTheHardLimitLosslessIsClosedWith4101WithoutAGap) {
  ServerConfig config = small_lanes();
  config.lane_hard_messages_max = 50;
  ShardRig rig(config);
  RigClient client(rig);
  client.send(Subscribe{{"accounts:A"}, 1});
  client.pipe().window = 10;
  for (std::uint64_t i = 1; i <= 50; ++i) rig.publish("accounts:A", AccountUpdate{.slot = i});
  EXPECT_EQ(rig.core().figures[0].counters.slow_consumers.value(), 0U);
  for (std::uint64_t i = 51; i <= 100; ++i) rig.publish("accounts:A", AccountUpdate{.slot = i});
  EXPECT_EQ(rig.core().figures[0].counters.slow_consumers.value(), 1U);
  client.pipe().window = SIZE_MAX;
  rig.settle();
  // The frame that was begun, then the close: nothing else, and nothing torn.
  EXPECT_EQ(read_channel(client), (std::vector<std::uint64_t>{1}));
  EXPECT_EQ(client.closed_by(), 4101);
}

TEST(Shard, BeyondTheHardLimitInBytesToo) {
  ServerConfig config = small_lanes();
  config.lane_hard_bytes_max = config.lane_bytes_max;
  ShardRig rig(config);
  RigClient client(rig);
  client.send(Subscribe{{"accounts:A"}, 1});
  client.pipe().window = 10;
  const std::string text(4'000, 'x');
  for (int i = 0; i < 40; ++i) rig.publish("accounts:A", AccountUpdate{.pubkey = text});
  client.pipe().window = SIZE_MAX;
  rig.settle();
  (void)read_channel(client);
  EXPECT_EQ(client.closed_by(), 4101);
}

TEST(Shard, EachChannelFollowsItsOwnPolicy) {
  ServerConfig config = small_lanes();
  config.policies["trades"] = {Overflow::conflate};
  config.policies.erase("accounts");
  ShardRig rig(config);
  for (const std::string channel : {"trades:A", "accounts:A"}) {
    RigClient client(rig);
    client.send(Subscribe{{channel}, 1});
    client.pipe().window = 10;
    for (std::uint64_t i = 1; i <= 20; ++i) rig.publish(channel, AccountUpdate{.slot = i});
    client.pipe().window = SIZE_MAX;
    rig.settle();
    const auto seen = read_channel(client);
    ASSERT_GE(seen.size(), 2U);
    EXPECT_EQ(std::ranges::count(seen, 0U), 1);
    EXPECT_EQ(seen[0], 1U) << "what was begun is finished";
    EXPECT_EQ(seen[1], 0U) << channel;
    EXPECT_EQ(seen.size() > 2 && seen[2] == 17U, channel == "trades:A") << "the latest at the lap";
  }
}

TEST(Shard, OneThatTakesNothingForTheStallTimeIsClosedWith4101) {
  ServerConfig config = small_lanes();
  config.stall_max = std::chrono::seconds(10);
  ShardRig rig(config);
  RigClient client(rig);
  client.send(Subscribe{{"trades:A"}, 1});
  client.pipe().window = 10;
  rig.publish("trades:A", price(1));
  rig.publish("trades:A", price(2));
  rig.advance(9'000);
  // A single byte is a sign of life.
  client.pipe().window = 1;
  rig.settle();
  rig.advance(9'000);
  EXPECT_EQ(rig.core().figures[0].counters.slow_consumers.value(), 0U);
  rig.advance(2'000);
  EXPECT_EQ(rig.core().figures[0].counters.slow_consumers.value(), 1U);
  // It wakes up in time for the close.
  client.pipe().window = SIZE_MAX;
  rig.settle();
  EXPECT_EQ(read_channel(client), (std::vector<std::uint64_t>{1}));
  EXPECT_EQ(client.closed_by(), 4101);
  EXPECT_FALSE(client.pipe().closed);
  // It does not answer.
  rig.advance(3'000);
  EXPECT_TRUE(client.pipe().closed);
  EXPECT_EQ(rig.shard().open_connections(), 0U);
}

TEST(Shard, OneThatHasEverythingNeverStalls) {
  ServerConfig config = small_lanes();
  config.ping_interval = std::chrono::milliseconds(0);
  ShardRig rig(config);
  RigClient client(rig);
  client.send(Subscribe{{"trades:A"}, 1});
  rig.publish("trades:A", price(1));
  rig.advance(60'000);
  EXPECT_EQ(rig.core().figures[0].counters.slow_consumers.value(), 0U);
  EXPECT_EQ(rig.shard().open_connections(), 1U);
}

// ---- Logs

TEST(Shard, LogsForgetWhatIsTooOldButTheLatestOfAConflatingChannel) {
  ServerConfig config;
  config.heartbeat_interval = std::chrono::hours(1);
  ShardRig rig(config);
  for (int i = 0; i < 3; ++i) rig.publish("prices:A", price());
  for (int i = 0; i < 3; ++i) rig.publish("trades:A", price());
  rig.advance(121'000);
  RigClient client(rig);
  client.send(
      Subscribe{.channels = {"prices:A", "trades:A"},
                .id = 1,
                .since = {{"prices:A", ShardRig::kEpoch, 1}, {"trades:A", ShardRig::kEpoch, 1}}});
  EXPECT_FALSE(client.next_of<Subscribed>()->results.at(0).recovered);
  EXPECT_EQ(client.next_of<Gap>(), (Gap{ShardRig::kEpoch, 2, 2, Gap::Reason::retention}));
  EXPECT_EQ(client.next()->envelope.seq, 3U);
  EXPECT_EQ(client.next_of<Gap>(), (Gap{ShardRig::kEpoch, 2, 3, Gap::Reason::retention}));
  EXPECT_TRUE(client.next_of<CaughtUp>());
  // A snapshot has it too.
  RigClient late(rig);
  late.send(Subscribe{.channels = {"prices:A", "trades:A"}, .id = 1, .snapshot = true});
  const auto answer = late.next_of<Subscribed>();
  EXPECT_EQ(answer->results.at(0).head, 2U);
  EXPECT_EQ(answer->results.at(1).head, 3U) << "the log does not have it any more";
  EXPECT_EQ(late.next()->envelope.seq, 3U);
  EXPECT_TRUE(late.next_of<CaughtUp>());
}

TEST(Shard, WhatGrewTooOldWhileTheServerSleptIsNotReplayed) {
  ShardRig rig;
  // Many logs are aged in turn; those that are asked for must not wait for theirs.
  std::vector<std::string> channels;
  Subscribe request{.id = 1};
  for (int i = 0; i < 200; ++i) {
    channels.push_back("trades:" + std::to_string(i));
    rig.publish(channels.back(), price());
    request.since.push_back({channels.back(), ShardRig::kEpoch, 0});
  }
  request.channels = channels;
  rig.sleep(121'000);
  RigClient client(rig);
  client.send(request);
  const auto answer = client.next_of<Subscribed>();
  for (const ChannelResult& result : answer->results) {
    EXPECT_FALSE(result.recovered) << result.channel;
  }
}

TEST(Shard, AReplayWaitsForItsReaderWithOnePiece) {
  ServerConfig config;
  config.heartbeat_interval = std::chrono::hours(1);
  ShardRig rig(config);
  const std::string text(1'000, 'x');
  for (int i = 0; i < 500; ++i) rig.publish("events:A", AccountUpdate{.pubkey = text});
  RigClient client(rig);
  client.pipe().window = 5'000;
  client.send(
      Subscribe{.channels = {"events:A"}, .id = 1, .since = {{"events:A", ShardRig::kEpoch, 0}}});
  std::uint64_t read = 0;
  bool caught_up = false;
  while (!caught_up) {
    EXPECT_LE(rig.shard().connection_stats().at(0).lag_bytes, 64U * 1024 + 2'000);
    // Nothing live before the end of the replay.
    rig.publish("events:A", AccountUpdate{.pubkey = "live"});
    client.pipe().window = 40'000;
    rig.settle();
    while (const Message* const message = client.next()) {
      caught_up = caught_up || std::holds_alternative<CaughtUp>(message->body);
      if (message->envelope.seq == 0) continue;
      ASSERT_EQ(message->envelope.seq, ++read);
    }
  }
  EXPECT_GT(read, 500U);
}

}  // namespace
}  // namespace stratwire::server
