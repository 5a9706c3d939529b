// What a reader missed comes back: replays from the channels' logs, through real sockets.

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "harness.hpp"

namespace stratwire::test {
namespace {

struct Case {
  Speaks speaks = Speaks::json;
  std::size_t io_threads = 1;
};

class Resume : public ::testing::TestWithParam<Case> {
 protected:
  [[nodiscard]] static ServerConfig config() {
    ServerConfig config = quiet_config();
    config.io_threads = GetParam().io_threads;
    return config;
  }
  /// On each thread once; the last one is behind a ring if there is one.
  static TestClient connect(const Server& server) {
    for (std::size_t i = 1; i < GetParam().io_threads; ++i) TestClient passing(server);
    return TestClient(server, GetParam().speaks);
  }
};
INSTANTIATE_TEST_SUITE_P(Server, Resume,
                         ::testing::Values(Case{Speaks::json, 1}, Case{Speaks::msgpack, 1},
                                           Case{Speaks::json, 2}, Case{Speaks::msgpack, 3}),
                         [](const auto& each) {
                           return std::string(to_string(each.param.speaks)) +
                                  std::to_string(each.param.io_threads);
                         });

void publish(Server& server, const std::string& channel, std::uint64_t count) {
  const std::uint64_t before = server.stats().published;
  for (std::uint64_t i = 0; i < count; ++i) {
    ASSERT_EQ(server.publish(channel, price(i)), PublishStatus::ok);
  }
  eventually([&] { return server.stats().published == before + count; }, "stamped");
}

/// Subscribes from these points; the answer must be the next message.
Subscribed resume(TestClient& client, std::vector<std::string> channels,
                  std::vector<ResumePoint> since) {
  client.send(Subscribe{.channels = std::move(channels), .id = 9, .since = std::move(since)});
  return client.expect<Subscribed>();
}

void expect_seqs(TestClient& client, const std::string& channel, std::uint64_t from,
                 std::uint64_t to) {
  for (std::uint64_t seq = from; seq <= to; ++seq) ASSERT_EQ(client.expect_seq(channel), seq);
}

TEST_P(Resume, WhatWasMissedThenLive) {
  Server server = open_server(config());
  publish(server, "trades:A", 20);
  TestClient client = connect(server);
  const std::uint64_t epoch = client.welcome().epoch;
  const Subscribed answer = resume(client, {"trades:A"}, {{"trades:A", epoch, 12}});
  ASSERT_EQ(answer.results.size(), 1U);
  EXPECT_EQ(answer.results[0].head, 20U);
  EXPECT_EQ(answer.results[0].epoch, epoch);
  EXPECT_TRUE(answer.results[0].recovered);
  expect_seqs(client, "trades:A", 13, 20);
  EXPECT_EQ(client.expect<CaughtUp>().id, 9U);
  publish(server, "trades:A", 1);
  EXPECT_EQ(client.expect_seq("trades:A"), 21U);
  const ServerStats stats = settled_stats(server);
  EXPECT_EQ(stats.replays, 1U);
  EXPECT_EQ(stats.replayed, 8U);
  EXPECT_EQ(stats.delivered, 9U);
}

TEST_P(Resume, NothingMissedIsCaughtUpAtOnce) {
  Server server = open_server(config());
  publish(server, "trades:A", 3);
  TestClient client = connect(server);
  const std::uint64_t epoch = client.welcome().epoch;
  EXPECT_TRUE(
      resume(client, {"trades:A", "trades:B"}, {{"trades:A", epoch, 3}, {"trades:B", epoch, 0}})
          .results[1]
          .recovered);
  EXPECT_EQ(client.expect<CaughtUp>().id, 9U);
  publish(server, "trades:A", 1);
  EXPECT_EQ(client.expect_seq("trades:A"), 4U);
  publish(server, "trades:B", 1);
  EXPECT_EQ(client.expect_seq("trades:B"), 1U);
}

TEST_P(Resume, WhatTheLogNoLongerHasIsOneGap) {
  ServerConfig small = config();
  small.channel_log.messages_max = 5;
  Server server = open_server(small);
  publish(server, "trades:A", 20);
  TestClient client = connect(server);
  const std::uint64_t epoch = client.welcome().epoch;
  const Subscribed answer = resume(client, {"trades:A"}, {{"trades:A", epoch, 12}});
  EXPECT_EQ(answer.results.at(0).head, 20U);
  EXPECT_FALSE(answer.results[0].recovered);
  EXPECT_EQ(client.expect<Gap>(), (Gap{epoch, 13, 15, Gap::Reason::retention}));
  expect_seqs(client, "trades:A", 16, 20);
  (void)client.expect<CaughtUp>();
  EXPECT_EQ(settled_stats(server).gaps, 1U);
  EXPECT_EQ(server.stats().missed, 3U);
}

TEST_P(Resume, WithoutALogTheGapGoesUpToTheHead) {
  ServerConfig none = config();
  none.channel_log.messages_max = 0;
  Server server = open_server(none);
  publish(server, "trades:A", 7);
  TestClient client = connect(server);
  const std::uint64_t epoch = client.welcome().epoch;
  EXPECT_FALSE(resume(client, {"trades:A"}, {{"trades:A", epoch, 4}}).results.at(0).recovered);
  EXPECT_EQ(client.expect<Gap>(), (Gap{epoch, 5, 7, Gap::Reason::retention}));
  (void)client.expect<CaughtUp>();
  publish(server, "trades:A", 1);
  EXPECT_EQ(client.expect_seq("trades:A"), 8U);
}

TEST_P(Resume, AVoidPointIsAnEpochChangeThenEverything) {
  Server server = open_server(config());
  publish(server, "trades:A", 4);
  TestClient client = connect(server);
  const std::uint64_t epoch = client.welcome().epoch;
  const Subscribed answer = resume(client, {"trades:A"}, {{"trades:A", epoch - 1, 2}});
  EXPECT_FALSE(answer.results.at(0).recovered);
  EXPECT_EQ(answer.results[0].epoch, epoch);
  EXPECT_EQ(client.expect<Gap>(), (Gap{epoch - 1, 3, 0, Gap::Reason::epoch_change}));
  expect_seqs(client, "trades:A", 1, 4);
  (void)client.expect<CaughtUp>();
}

TEST_P(Resume, APointBeyondTheHeadIsOfAServerThatIsAhead) {
  Server server = open_server(config());
  publish(server, "trades:A", 2);
  TestClient client = connect(server);
  const std::uint64_t epoch = client.welcome().epoch;
  const Subscribed answer =
      resume(client, {"trades:A", "trades:B", "prices:*"},
             {{"trades:A", epoch, 3}, {"trades:B", epoch, 9}, {"prices:*", epoch, 90}});
  EXPECT_EQ(answer.results.at(0).head, 2U);
  for (const ChannelResult& result : answer.results) EXPECT_TRUE(result.recovered);
  (void)client.expect<CaughtUp>();
  publish(server, "trades:A", 1);
  EXPECT_EQ(client.expect_seq("trades:A"), 3U);
  publish(server, "trades:B", 1);
  EXPECT_EQ(client.expect_seq("trades:B"), 1U);
}

TEST_P(Resume, ANameWithoutAPointHasThatOfItsWildcard) {
  Server server = open_server(config());
  publish(server, "trades:old", 2);
  publish(server, "trades:A", 3);
  TestClient client = connect(server);
  const std::uint64_t epoch = client.welcome().epoch;
  const Subscribed answer = resume(client, {"trades:A", "trades:*"}, {{"trades:*", epoch, 3}});
  EXPECT_EQ(answer.results.at(0).head, 3U);
  EXPECT_TRUE(answer.results[0].recovered);
  expect_seqs(client, "trades:A", 2, 3);
  (void)client.expect<CaughtUp>();
  publish(server, "trades:A", 1);
  EXPECT_EQ(client.expect_seq("trades:A"), 4U);
}

TEST_P(Resume, AVoidPointOfAChannelThatNobodyPublishesYet) {
  Server server = open_server(config());
  TestClient client = connect(server);
  const std::uint64_t epoch = client.welcome().epoch;
  const Subscribed answer =
      resume(client, {"trades:A", "prices:*"},
             {{"trades:A", epoch - 1, 5}, {"prices:*", epoch - 1, 90}, {"prices:X", 7, 7}});
  EXPECT_FALSE(answer.results.at(0).recovered);
  EXPECT_FALSE(answer.results.at(1).recovered);
  EXPECT_EQ(client.expect<Gap>(), (Gap{epoch - 1, 6, 0, Gap::Reason::epoch_change}));
  EXPECT_EQ(client.expect<Gap>(), (Gap{7, 8, 0, Gap::Reason::epoch_change}));
  (void)client.expect<CaughtUp>();
  publish(server, "trades:A", 1);
  EXPECT_EQ(client.expect_seq("trades:A"), 1U);
  publish(server, "prices:X", 1);
  EXPECT_EQ(client.expect_seq("prices:X"), 1U);
}

TEST_P(Resume, AWildcardGoesOnByPosition) {
  Server server = open_server(config());
  publish(server, "trades:old", 3);
  publish(server, "prices:other", 2);
  std::uint64_t position = 0;
  {
    TestClient before = connect(server);
    position = before.subscribe({"trades:*"}).results.at(0).head;
    EXPECT_EQ(position, 5U);
  }
  publish(server, "trades:old", 2);   // 4, 5
  publish(server, "trades:seen", 4);  // 1..4, of which the client had two
  publish(server, "trades:new", 3);   // 1..3
  TestClient client = connect(server);
  const std::uint64_t epoch = client.welcome().epoch;
  const Subscribed answer =
      resume(client, {"trades:*"}, {{"trades:*", epoch, position}, {"trades:seen", epoch, 2}});
  EXPECT_EQ(answer.results.at(0).head, 14U);
  EXPECT_TRUE(answer.results[0].recovered);
  expect_seqs(client, "trades:old", 4, 5);
  expect_seqs(client, "trades:seen", 3, 4);
  expect_seqs(client, "trades:new", 1, 3);
  (void)client.expect<CaughtUp>();
  publish(server, "trades:later", 1);
  EXPECT_EQ(client.expect_seq("trades:later"), 1U);
}

TEST_P(Resume, AWildcardsGapBeginsWithTheLowestThatMayBeMissing) {
  ServerConfig small = config();
  small.channel_log.messages_max = 2;
  Server server = open_server(small);
  publish(server, "trades:A", 10);  // positions 1..10
  publish(server, "trades:A", 5);   // 11..15; 14 and 15 are kept
  TestClient client = connect(server);
  const std::uint64_t epoch = client.welcome().epoch;
  EXPECT_FALSE(resume(client, {"trades:*"}, {{"trades:*", epoch, 10}}).results.at(0).recovered);
  EXPECT_EQ(client.expect<Gap>(), (Gap{epoch, 11, 13, Gap::Reason::retention}));
  expect_seqs(client, "trades:A", 14, 15);
  (void)client.expect<CaughtUp>();
}

TEST_P(Resume, ASnapshotIsTheLatestOfEach) {
  Server server = open_server(config());
  publish(server, "prices:A", 5);
  publish(server, "prices:B", 2);
  publish(server, "trades:A", 3);
  TestClient client = connect(server);
  client.send(
      Subscribe{.channels = {"prices:*", "trades:A", "trades:B"}, .id = 9, .snapshot = true});
  const auto answer = client.expect<Subscribed>();
  EXPECT_EQ(answer.results.at(0).head, 10U) << "a position";
  EXPECT_EQ(answer.results.at(1).head, 2U) << "the number before its latest message";
  EXPECT_EQ(answer.results.at(2).head, 0U);
  EXPECT_EQ(client.expect_seq("trades:A"), 3U);
  EXPECT_EQ(client.expect_seq("prices:A"), 5U);
  EXPECT_EQ(client.expect_seq("prices:B"), 2U);
  EXPECT_EQ(client.expect<CaughtUp>().id, 9U);
  publish(server, "prices:A", 1);
  EXPECT_EQ(client.expect_seq("prices:A"), 6U);
}

TEST_P(Resume, WhatFlowsAlreadyIsNotReplayed) {
  Server server = open_server(config());
  publish(server, "trades:A", 5);
  publish(server, "trades:B", 5);
  TestClient client = connect(server);
  const std::uint64_t epoch = client.welcome().epoch;
  (void)client.subscribe({"trades:A"});
  // By name, and covered by a wildcard.
  (void)resume(client, {"trades:A", "trades:*"},
               {{"trades:A", epoch, 1}, {"trades:B", epoch, 3}, {"trades:*", epoch, 0}});
  expect_seqs(client, "trades:B", 4, 5);
  (void)client.expect<CaughtUp>();
  publish(server, "trades:A", 1);
  EXPECT_EQ(client.expect_seq("trades:A"), 6U);
  publish(server, "trades:B", 1);
  EXPECT_EQ(client.expect_seq("trades:B"), 6U);
  // And once more by name, which the wildcard has now.
  (void)resume(client, {"trades:B"}, {{"trades:B", epoch, 1}});
  (void)client.expect<CaughtUp>();
  client.expect_silence();
}

TEST_P(Resume, ANameTwiceIsReplayedOnce) {
  Server server = open_server(config());
  publish(server, "trades:A", 3);
  TestClient client = connect(server);
  const std::uint64_t epoch = client.welcome().epoch;
  const Subscribed answer = resume(client, {"trades:A", "trades:A", "trades:*", "trades:*"},
                                   {{"trades:A", epoch, 7}, {"trades:A", epoch, 1}});
  ASSERT_EQ(answer.results.size(), 4U);
  EXPECT_EQ(answer.results[0].head, answer.results[1].head);
  EXPECT_TRUE(answer.results[1].recovered) << "the last point counts";
  expect_seqs(client, "trades:A", 2, 3);
  (void)client.expect<CaughtUp>();
}

TEST_P(Resume, ManyPiecesWhileItFlows) {
  // A log of some 2 MB, through a small window, while more is published: in order, complete, and
  // nothing live before its turn.
  Server server = open_server(config());
  const std::string type(400, 't');
  Publisher trades = server.publisher("trades:A");
  for (int i = 0; i < 4'000; ++i) {
    eventually(
        [&] {
          return trades.publish(Event{type, {Codec::json, "1"}}) == PublishStatus::ok;
        },
        "room in the inbox");
  }
  eventually([&] { return server.stats().published == 4'000; }, "stamped");
  TestClient client(RawClient::tcp(server.local_port(), 2'048), GetParam().speaks);
  const std::uint64_t epoch = client.welcome().epoch;
  (void)resume(client, {"trades:*"}, {{"trades:*", epoch, 4'000}, {"trades:A", epoch, 1'000}});
  Oracle oracle;
  oracle.start("trades:A", 1'000);
  // It appears while the replay is under way: not a message of it is passed over.
  oracle.start("trades:B", 0);
  bool caught_up = false;
  std::uint64_t after = 0;
  std::uint64_t turns = 0;
  while (!caught_up || after < 50) {
    if (++turns % 4 == 0) {
      (void)trades.publish(price());
      (void)server.publish("trades:B", price());
    }
    const Message* const message = client.next();
    ASSERT_NE(message, nullptr);
    if (std::holds_alternative<CaughtUp>(message->body)) {
      caught_up = true;
      EXPECT_GE(oracle.cursor("trades:A"), 4'000U);
      continue;
    }
    after += caught_up ? 1 : 0;
    oracle.see(*message);
  }
  EXPECT_GT(oracle.cursor("trades:B"), 0U);
}

TEST_P(Resume, RequestsBehindAReplayAreAnsweredInTheirTurn) {
  Server server = open_server(config());
  const std::string type(2'000, 't');
  for (int i = 0; i < 500; ++i) {
    ASSERT_EQ(server.publish("trades:A", Event{type, {Codec::json, "1"}}), PublishStatus::ok);
  }
  eventually([&] { return server.stats().published == 500; }, "stamped");
  TestClient client(RawClient::tcp(server.local_port(), 2'048), GetParam().speaks);
  const std::uint64_t epoch = client.welcome().epoch;
  client.send(Subscribe{.channels = {"trades:A"}, .id = 1, .since = {{"trades:A", epoch, 0}}});
  client.send(Unsubscribe{.channels = {"trades:A"}, .id = 2});
  client.send(Subscribe{.channels = {"trades:A"}, .id = 3, .since = {{"trades:A", epoch, 498}}});
  client.send(Ping{4});
  EXPECT_EQ(client.expect<Subscribed>().id, 1U);
  expect_seqs(client, "trades:A", 1, 500);
  EXPECT_EQ(client.expect<CaughtUp>().id, 1U);
  EXPECT_EQ(client.expect<Unsubscribed>().id, 2U);
  EXPECT_EQ(client.expect<Subscribed>().id, 3U);
  expect_seqs(client, "trades:A", 499, 500);
  EXPECT_EQ(client.expect<CaughtUp>().id, 3U);
  EXPECT_EQ(client.expect<Pong>().t1, 4);
}

TEST_P(Resume, OneThatGoesInTheMiddleLeavesNothingBehind) {
  Server server = open_server(config());
  const std::string type(2'000, 't');
  for (int i = 0; i < 1'000; ++i) {
    ASSERT_EQ(server.publish("trades:A", Event{type, {Codec::json, "1"}}), PublishStatus::ok);
  }
  eventually([&] { return server.stats().published == 1'000; }, "stamped");
  for (int i = 0; i < 4; ++i) {
    TestClient going(RawClient::tcp(server.local_port(), 2'048), GetParam().speaks);
    (void)resume(going, {"trades:A"}, {{"trades:A", going.welcome().epoch, 0}});
    going.raw().reset();
  }
  eventually([&] { return server.stats().connections == 0; }, "all are gone");
  EXPECT_EQ(server.stats().subscribers, 0U);
  // Nobody wants it: it is not even encoded for anybody.
  const std::uint64_t delivered = settled_stats(server).delivered;
  publish(server, "trades:A", 1);
  EXPECT_EQ(settled_stats(server).delivered, delivered);
}

TEST(ServerResume, APlainConnectionGetsTheMessagesOnly) {
  ServerConfig config = quiet_config();
  config.channel_log.messages_max = 2;
  Server server = open_server(config);
  publish(server, "trades:A", 4);
  TestClient plain(server, Speaks::plain);
  plain.send(Subscribe{.channels = {"trades:A"}, .since = {{"trades:A", server.stats().epoch, 0}}});
  expect_seqs(plain, "trades:A", 3, 4);
  plain.expect_silence();
  EXPECT_EQ(settled_stats(server).gaps, 0U);
  EXPECT_EQ(server.stats().missed, 2U);
}

TEST(ServerResume, AValueWithoutFormInOneCodecIsAGapInItsReplayToo) {
  Server server = open_server();
  const std::string binary("\xc4\x02\x00\x01", 4);
  ASSERT_EQ(server.publish("events:A", Event{"Blob", {Codec::msgpack, binary}}), PublishStatus::ok);
  eventually([&] { return server.stats().published == 1; }, "stamped");
  publish(server, "events:A", 1);
  TestClient json(server);
  TestClient msgpack(server, Speaks::msgpack);
  const std::uint64_t epoch = json.welcome().epoch;
  (void)resume(json, {"events:A"}, {{"events:A", epoch, 0}});
  EXPECT_EQ(json.expect<Gap>(), (Gap{epoch, 1, 1, Gap::Reason::upstream}));
  EXPECT_EQ(json.expect_seq("events:A"), 2U);
  (void)resume(msgpack, {"events:A"}, {{"events:A", epoch, 0}});
  EXPECT_EQ(msgpack.expect<Event>().data.bytes, binary);
}

TEST(ServerResume, TheTotalOfTheLogsIsBounded) {
  ServerConfig config = quiet_config();
  config.log_total_bytes_max = 64 * 1024;
  Server server = open_server(config);
  const std::string type(1'000, 't');
  for (int i = 0; i < 400; ++i) {
    const std::string channel = "trades:" + std::to_string(i % 8);
    ASSERT_EQ(server.publish(channel, Event{type, {Codec::json, "1"}}), PublishStatus::ok);
  }
  // The figures are taken now and then.
  eventually(
      [&] {
        (void)server.publish("trades:0", price());
        return server.stats().log_evicted != 0;
      },
      "messages pushed out by the cap");
  EXPECT_LE(server.stats().log_bytes, 64U * 1024);
}

// ---- Parts

TEST(ServerResume, PartsArePutTogether) {
  Server server = open_server();
  publish(server, "trades:A", 3);
  publish(server, "trades:B", 3);
  TestClient client(server);
  const std::uint64_t epoch = client.welcome().epoch;
  client.send(Subscribe{.channels = {"trades:A"}, .id = 5, .more = true});
  client.send(Subscribe{.id = 5, .since = {{"trades:A", epoch, 1}}, .more = true});
  client.expect_silence();
  client.send(Subscribe{.channels = {"trades:B"}, .id = 5, .since = {{"trades:B", epoch, 2}}});
  const auto answer = client.expect<Subscribed>();
  ASSERT_EQ(answer.results.size(), 2U);
  EXPECT_EQ(answer.results[0].channel, "trades:A");
  EXPECT_EQ(answer.results[1].channel, "trades:B");
  expect_seqs(client, "trades:A", 2, 3);
  expect_seqs(client, "trades:B", 3, 3);
  EXPECT_EQ(client.expect<CaughtUp>().id, 5U);
}

TEST(ServerResume, NothingStandsBetweenParts) {
  Server server = open_server();
  TestClient client(server);
  for (const bool unsubscribes : {false, true}) {
    client.send(Subscribe{.channels = {"trades:A"}, .id = 5, .more = true});
    if (unsubscribes) {
      client.send(Unsubscribe{.channels = {"trades:A"}, .id = 6});
    } else {
      client.send(Subscribe{.channels = {"trades:B"}, .id = 6});
    }
    const auto error = client.expect<ErrorReply>();
    EXPECT_EQ(error.id, 6U);
    EXPECT_EQ(error.code, Errc::protocol_violation);
    EXPECT_EQ(server.connections(1).at(0).channels, 0U) << "the parts are forgotten";
  }
  // It can begin anew.
  EXPECT_EQ(client.subscribe({"trades:C"}).results.at(0).code, Errc::ok);
}

TEST(ServerResume, TooManyPointsOverAllPartsIsOneError) {
  ServerConfig config = quiet_config();
  config.inbound_message_bytes_max = 8 << 20;
  Server server = open_server(config);
  TestClient client(server, Speaks::msgpack);
  Subscribe part{.channels = {"trades:A"}, .id = 5, .more = true};
  part.since.assign(limits::kResumePointsMax / 2, {"trades:A", 1, 1});
  client.send(part);
  client.send(part);
  client.expect_silence();
  part.since.resize(1);
  client.send(part);
  const auto error = client.expect<ErrorReply>();
  EXPECT_EQ(error.id, 5U);
  EXPECT_EQ(error.code, Errc::too_large);
  // What comes behind it belongs to it.
  client.send(part);
  part.more = false;
  client.send(part);
  client.expect_silence();
  EXPECT_EQ(server.connections(1).at(0).channels, 0U);
  // As many as may be.
  part.since.assign(limits::kResumePointsMax, {"trades:A", client.welcome().epoch, 0});
  client.send(part);
  EXPECT_EQ(client.expect<Subscribed>().id, 5U);
  (void)client.expect<CaughtUp>();
}

TEST(ServerResume, TooManyChannelsOverAllPartsIsOneError) {
  ServerConfig config = quiet_config();
  config.channels_per_connection_max = 3;
  Server server = open_server(config);
  TestClient client(server);
  client.send(Subscribe{.channels = {"trades:A", "trades:B"}, .id = 5, .more = true});
  client.send(Subscribe{.channels = {"trades:C", "trades:D"}, .id = 5});
  EXPECT_EQ(client.expect<ErrorReply>().code, Errc::too_many_channels);
  EXPECT_EQ(client.subscribe({"trades:C"}).results.at(0).code, Errc::ok);
}

}  // namespace
}  // namespace stratwire::test
