// A reader that stops reading harms only itself, and is told exactly what it missed.

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "harness.hpp"

namespace stratwire::test {
namespace {

/// The smallest that Linux grants: sends come to a stop, and frames are cut, soon.
constexpr int kSmallBuffer = 2'048;

ServerConfig small_lanes(std::size_t messages = 1 << 20) {
  ServerConfig config = quiet_config();
  config.lane_bytes_max = 64 * 1024;
  config.lane_messages_max = messages;
  return config;
}

/// Publishes on and on until the server says that it gave `gaps` Gaps.
std::uint64_t flood_until_gaps(Server& server, const std::string& channel, std::uint64_t gaps) {
  Publisher publisher = server.publisher(channel);
  std::uint64_t sent = 0;
  const std::string type(300, 't');
  eventually(
      [&] {
        for (int i = 0; i < 64; ++i) {
          if (publisher.publish(Event{type, {Codec::json, std::to_string(sent + 1)}}) ==
              PublishStatus::ok) {
            ++sent;
          }
        }
        return server.stats().gaps >= gaps;
      },
      "gaps for a reader that does not read");
  return sent;
}

/// Reads until a channel is at `head`.
void read_up_to(TestClient& client, Oracle& oracle, const std::string& channel,
                std::uint64_t head) {
  while (oracle.cursor(channel) < head) {
    const Message* const message = client.next();
    ASSERT_NE(message, nullptr) << "after " << oracle.cursor(channel);
    oracle.see(*message);
  }
}

struct Case {
  Speaks speaks = Speaks::json;
  std::size_t io_threads = 1;
};
class SlowReader : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Server, SlowReader,
                         ::testing::Values(Case{Speaks::json, 1}, Case{Speaks::msgpack, 1},
                                           Case{Speaks::json, 3}, Case{Speaks::msgpack, 2}),
                         [](const auto& each) {
                           return std::string(to_string(each.param.speaks)) +
                                  std::to_string(each.param.io_threads);
                         });

TEST_P(SlowReader, GetsExactGapsAndOthersGetEverything) {
  ServerConfig config = small_lanes();
  config.io_threads = GetParam().io_threads;
  Server server = open_server(config);
  TestClient slow(server, GetParam().speaks, kSmallBuffer);
  TestClient quick(server, GetParam().speaks);
  (void)slow.subscribe({"trades:A"});
  (void)quick.subscribe({"trades:A"});

  // Slowly enough for the quick one: it gets everything, whatever the other one does.
  Oracle for_quick;
  for_quick.start("trades:A", 0);
  Publisher trades = server.publisher("trades:A");
  std::uint64_t head = 0;
  const std::string type(300, 't');
  while (server.stats().gaps < 3) {
    for (int i = 0; i < 50; ++i) {
      ++head;
      ASSERT_EQ(trades.publish(Event{type, {Codec::json, "1"}}), PublishStatus::ok);
    }
    read_up_to(quick, for_quick, "trades:A", head);
    if (::testing::Test::HasFatalFailure()) return;
  }
  EXPECT_EQ(for_quick.gaps(), 0U);
  EXPECT_EQ(for_quick.received(), head);

  Oracle for_slow;
  for_slow.start("trades:A", 0);
  read_up_to(slow, for_slow, "trades:A", head);
  EXPECT_EQ(for_slow.received() + for_slow.missed(), head);
  EXPECT_EQ(for_slow.gaps(), settled_stats(server).gaps);
  EXPECT_EQ(for_slow.missed(), server.stats().missed);
  EXPECT_EQ(for_slow.last_gap().reason, Gap::Reason::slow_consumer);
  EXPECT_EQ(for_slow.last_gap().epoch, server.stats().epoch);
  // It is a reader like any other again.
  ASSERT_EQ(trades.publish(account(1)), PublishStatus::ok);
  EXPECT_EQ(slow.expect_seq("trades:A"), head + 1);
  EXPECT_EQ(server.connections(2).size(), 2U);
}

/// One that never reads, whatever the policy: publish() never waits and never says no, and the
/// others get everything.
TEST_P(SlowReader, TrapOneSlowReaderSlowingAll) {
  ServerConfig config = small_lanes();
  config.io_threads = GetParam().io_threads;
  Server server = open_server(config);
  const std::vector<std::string> channels{"prices:A", "trades:A", "accounts:A"};
  TestClient stalled(server, GetParam().speaks, kSmallBuffer);
  (void)stalled.subscribe(channels);
  struct Reader {
    TestClient client;
    Oracle oracle{};
  };
  std::vector<Reader> others;
  for (int i = 0; i < 6; ++i) {
    Reader& one = others.emplace_back(Reader{TestClient(server, GetParam().speaks)});
    (void)one.client.subscribe(channels);
    for (const std::string& channel : channels) one.oracle.start(channel, 0);
  }
  const std::string type(300, 't');
  std::uint64_t head = 0;
  // Until it was moved on several times, and closed for what it is owed of the lossless channel.
  while (server.stats().slow_consumers == 0) {
    ASSERT_LT(head, 100'000U) << "it was never too slow";
    for (int i = 0; i < 30; ++i) {
      ++head;
      for (const std::string& channel : channels) {
        ASSERT_EQ(server.publish(channel, Event{type, {Codec::json, "1"}}), PublishStatus::ok);
      }
    }
    for (Reader& one : others) {
      for (const std::string& channel : channels) {
        read_up_to(one.client, one.oracle, channel, head);
        if (::testing::Test::HasFatalFailure()) return;
      }
    }
  }
  EXPECT_GT(server.stats().gaps, 0U);
  for (const Reader& one : others) {
    EXPECT_EQ(one.oracle.gaps(), 0U);
    EXPECT_EQ(one.oracle.received(), head * channels.size());
  }
}

TEST_P(SlowReader, GetsTheLatestPriceBehindTheGap) {
  ServerConfig config = small_lanes();
  config.io_threads = GetParam().io_threads;
  Server server = open_server(config);
  TestClient slow(server, GetParam().speaks, kSmallBuffer);
  (void)slow.subscribe({"prices:*", "trades:A"});
  const std::uint64_t head_a = flood_until_gaps(server, "prices:A", 1);
  const std::uint64_t head_trades = flood_until_gaps(server, "trades:A", 4);
  const std::uint64_t head_b = flood_until_gaps(server, "prices:B", 6);

  Oracle oracle;
  oracle.start("trades:A", 0);
  oracle.start("prices:A", 0);
  oracle.start("prices:B", 0);
  bool conflated_seen = false;
  while (oracle.cursor("prices:A") < head_a || oracle.cursor("trades:A") < head_trades ||
         oracle.cursor("prices:B") < head_b) {
    const Message* message = slow.next();
    ASSERT_NE(message, nullptr);
    oracle.see(*message);
    if (const Gap* const gap = std::get_if<Gap>(&message->body)) {
      const std::string channel(message->envelope.channel);
      const bool is_price = channel.starts_with("prices:");
      EXPECT_EQ(gap->reason, is_price ? Gap::Reason::conflated : Gap::Reason::slow_consumer);
      if (!is_price) continue;
      // At once: the value that the Gap leads to.
      conflated_seen = true;
      const std::uint64_t to = gap->to;
      message = slow.next();
      ASSERT_NE(message, nullptr);
      oracle.see(*message);
      EXPECT_EQ(message->envelope.channel, channel);
      EXPECT_EQ(message->envelope.seq, to + 1);
      const auto& event = std::get<Event>(message->body);
      std::string value;
      ASSERT_TRUE(transcode(event.data, Codec::json, value));
      EXPECT_EQ(value, std::to_string(to + 1));
    }
  }
  EXPECT_TRUE(conflated_seen);
}

TEST(ServerSlowReader, LaneLimitInMessages) {
  // Far below the limit in bytes.
  ServerConfig config = small_lanes(16);
  config.lane_bytes_max = 1 << 30;
  Server server = open_server(config);
  TestClient slow(server, Speaks::json, kSmallBuffer);
  (void)slow.subscribe({"trades:A"});
  const std::uint64_t head = flood_until_gaps(server, "trades:A", 2);
  Oracle oracle;
  oracle.start("trades:A", 0);
  read_up_to(slow, oracle, "trades:A", head);
  EXPECT_GE(oracle.gaps(), 2U);
}

TEST(ServerSlowReader, LaneLimitInBytes) {
  Server server = open_server(small_lanes());
  TestClient slow(server, Speaks::json, kSmallBuffer);
  (void)slow.subscribe({"trades:A"});
  flood_until_gaps(server, "trades:A", 1);
  // What waits is never more than the lane, what came in one turn, and the gaps.
  EXPECT_LT(server.connections(1).at(0).lag_bytes, 64U * 1024 + 300 * 1024);
}

TEST(ServerSlowReader, BroadcastsAreKept) {
  Server server = open_server(small_lanes());
  TestClient slow(server, Speaks::json, kSmallBuffer);
  (void)slow.subscribe({"trades:A"});
  flood_until_gaps(server, "trades:A", 1);
  // The flood may have left the inbox full.
  ASSERT_TRUE(eventually([&] { return server.broadcast(account(77)) == PublishStatus::ok; },
                         "room for a broadcast"));
  const std::uint64_t gaps = server.stats().gaps;
  flood_until_gaps(server, "trades:A", gaps + 1);
  int broadcasts = 0;
  while (broadcasts == 0) {
    const Message* const message = slow.next();
    ASSERT_NE(message, nullptr);
    const auto* const account_seen = std::get_if<AccountUpdate>(&message->body);
    if (account_seen != nullptr && account_seen->slot == 77) ++broadcasts;
  }
}

TEST(ServerSlowReader, WordsForOneConnectionNeverTearAFrame) {
  // Pongs and answers are asked for while frames are cut in the middle.
  Server server = open_server(small_lanes());
  TestClient slow(server, Speaks::json, kSmallBuffer);
  (void)slow.subscribe({"trades:A"});
  const std::uint64_t head = flood_until_gaps(server, "trades:A", 1);
  constexpr int kPings = 200;
  for (int i = 1; i <= kPings; ++i) {
    slow.send(Ping{i});
    slow.raw().send_frame(transport::Opcode::ping, std::to_string(i));
  }
  slow.send(Subscribe{{"trades:B"}, 9});
  Oracle oracle;
  oracle.start("trades:A", 0);
  int pongs = 0;
  bool subscribed = false;
  while (oracle.cursor("trades:A") < head || pongs < kPings || !subscribed) {
    const Message* const message = slow.next();
    ASSERT_NE(message, nullptr);
    if (const auto* const pong = std::get_if<Pong>(&message->body)) {
      EXPECT_EQ(pong->t1, ++pongs);
    } else if (std::holds_alternative<Subscribed>(message->body)) {
      subscribed = true;
    } else {
      oracle.see(*message);
    }
  }
}

TEST(ServerSlowReader, SubscribesAgainBehindWhatItIsOwed) {
  // The answer's head is where the stream stands: nothing up to it comes behind it.
  Server server = open_server(small_lanes());
  TestClient slow(server, Speaks::json, kSmallBuffer);
  (void)slow.subscribe({"trades:A"});
  const std::uint64_t head = flood_until_gaps(server, "trades:A", 1);
  eventually([&] { return server.stats().published == head; }, "everything stamped");
  slow.send(Subscribe{{"trades:A"}, 5});
  Oracle oracle;
  oracle.start("trades:A", 0);
  for (;;) {
    const Message* const message = slow.next();
    ASSERT_NE(message, nullptr);
    if (const auto* const answer = std::get_if<Subscribed>(&message->body)) {
      EXPECT_EQ(answer->results.at(0).head, head);
      break;
    }
    oracle.see(*message);
  }
  EXPECT_EQ(oracle.cursor("trades:A"), head);
}

TEST(ServerSlowReader, OneThatDoesNotEvenTakeItsGapsIsDropped) {
  ServerConfig config = small_lanes(16);
  config.lane_hard_bytes_max = config.lane_bytes_max;
  Server server = open_server(config);
  TestClient never(server, Speaks::json, kSmallBuffer);
  TestClient healthy(server);
  (void)never.subscribe({"trades:*"});
  Publisher trades = server.publisher("trades:A");
  std::uint64_t sent = 0;
  eventually(
      [&] {
        for (int i = 0; i < 64; ++i) {
          if (trades.publish(account(sent)) == PublishStatus::ok) ++sent;
        }
        return server.stats().disconnected == 1;
      },
      "a reader that never reads is dropped");
  EXPECT_EQ(settled_stats(server).connections, 1U);
  EXPECT_EQ(server.stats().slow_consumers, 1U);
  healthy.expect_silence();
}

TEST(ServerSlowReader, GapsThatAPlainConnectionIsNotSentAreNotCounted) {
  Server server = open_server(small_lanes());
  TestClient plain(server, Speaks::plain, kSmallBuffer);
  plain.send(Subscribe{{"trades:A"}, 0});
  plain.expect_silence();
  Publisher trades = server.publisher("trades:A");
  const std::string type(300, 't');
  eventually(
      [&] {
        for (int i = 0; i < 64; ++i) (void)trades.publish(Event{type, {Codec::json, "1"}});
        return server.stats().missed != 0;
      },
      "messages missed by a reader that does not read");
  EXPECT_EQ(server.stats().gaps, 0U);
}

TEST(ServerSlowReader, AFrameLargerThanTheLaneDropsNobodyWhoReads) {
  Server server = open_server(small_lanes());
  TestClient client(server, Speaks::json, kSmallBuffer);
  (void)client.subscribe({"accounts:A"});
  const std::string large(200 * 1024, 'x');
  for (std::uint64_t i = 1; i <= 20; ++i) {
    ASSERT_EQ(server.publish("accounts:A", AccountUpdate{.pubkey = large}), PublishStatus::ok);
    ASSERT_EQ(client.expect_seq("accounts:A"), i);
  }
}

TEST(ServerSlowReader, RequestsOfOneThatDoesNotReadItsAnswersWait) {
  // 40 MB of answers asked for: the server keeps a bounded part of them.
  Server server = open_server(small_lanes());
  TestClient client(server, Speaks::json, kSmallBuffer);
  std::string burst;
  std::string request;
  ASSERT_TRUE(encode(Codec::json, Message{{}, Subscribe{{"nonsense:A"}, 1}}, request));
  for (int i = 0; i < 500; ++i) {
    transport::append_frame(burst, {transport::Opcode::text, transport::MaskKey{}}, request);
  }
  std::uint64_t asked = 0;
  while (asked < 200'000) {
    const auto before = server.stats().received_messages;
    ASSERT_TRUE(client.raw().send_bytes(burst));
    asked += 500;
    bool stalled = false;
    eventually(
        [&] {
          stalled = server.connections(1).at(0).lag_bytes > 200 * 1024;
          return stalled || server.stats().received_messages >= before + 500;
        },
        "requests are read, or wait");
    if (stalled) break;
  }
  EXPECT_LT(server.connections(1).at(0).lag_bytes, 300U * 1024);
  // All are answered once it reads.
  for (std::uint64_t i = 0; i < asked; ++i) {
    const Message* const message = client.next();
    ASSERT_NE(message, nullptr) << i << " of " << asked;
    ASSERT_TRUE(std::holds_alternative<Subscribed>(message->body)) << client.payload();
  }
  client.expect_silence();
}

TEST(ServerSlowReader, APlainOneCannotPileUpByResubscribing) {
  // It gets no answers, so that what it is owed at each change is what has to hold it back.
  Server server = open_server(small_lanes());
  TestClient client(server, Speaks::plain, kSmallBuffer);
  client.send(Subscribe{{"trades:A"}, 0});
  client.expect_silence();
  Publisher trades = server.publisher("trades:A");
  const std::string type(1'000, 't');
  std::uint64_t changes = 1;
  for (int round = 0; round < 200; ++round) {
    for (int i = 0; i < 20; ++i) {
      ASSERT_EQ(trades.publish(Event{type, {Codec::json, "1"}}), PublishStatus::ok);
    }
    const std::uint64_t published = server.stats().published;
    eventually([&] { return server.stats().published >= published; }, "stamped");
    if (round % 2 == 0) {
      client.send(Subscribe{{"trades:B"}, 0});
    } else {
      client.send(Unsubscribe{{"trades:B"}, 0});
    }
    ++changes;
    const auto lag = server.connections(1);
    if (lag.empty()) return;  // dropped: that is a bound too
    ASSERT_LT(lag.at(0).lag_bytes, 700U * 1024) << "after " << changes << " changes";
  }
}

// ---- Pacing

TEST_P(SlowReader, PacedPublisherLosesNothing) {
  ServerConfig config = small_lanes(256);
  config.io_threads = GetParam().io_threads;
  Server server = open_server(config);
  TestClient slow(server, GetParam().speaks, kSmallBuffer);
  TestClient quick(server, GetParam().speaks);
  (void)slow.subscribe({"trades:A"});
  (void)quick.subscribe({"trades:A"});
  Publisher trades = server.publisher("trades:A", Pacing::slowest_reader);

  // Flat out; only when the server says no, something is read.
  constexpr std::uint64_t kMessages = 5'000;
  std::uint64_t sent = 0;
  std::uint64_t pressed = 0;
  Oracle for_slow;
  Oracle for_quick;
  for_slow.start("trades:A", 0);
  for_quick.start("trades:A", 0);
  const std::string type(200, 't');
  while (sent < kMessages) {
    const auto status = trades.publish(Event{type, {Codec::json, "1"}});
    if (status == PublishStatus::ok) {
      ++sent;
      continue;
    }
    ASSERT_EQ(status, PublishStatus::back_pressured);
    ++pressed;
    if (for_slow.cursor("trades:A") < sent) {
      read_up_to(slow, for_slow, "trades:A", for_slow.cursor("trades:A") + 1);
    }
    if (for_quick.cursor("trades:A") < sent) {
      read_up_to(quick, for_quick, "trades:A", for_quick.cursor("trades:A") + 1);
    }
    if (::testing::Test::HasFatalFailure()) return;
  }
  read_up_to(slow, for_slow, "trades:A", kMessages);
  read_up_to(quick, for_quick, "trades:A", kMessages);
  EXPECT_GT(pressed, 0U);
  EXPECT_EQ(server.stats().publish_back_pressured, pressed);
  EXPECT_EQ(for_slow.received(), kMessages);
  EXPECT_EQ(for_quick.received(), kMessages);
  EXPECT_EQ(server.stats().gaps, 0U);
}

TEST(ServerSlowReader, PacedTextsThatGrowInJsonAreNotLostEither) {
  // A control character is one byte in memory and six in JSON.
  Server server = open_server(small_lanes());
  TestClient slow(server, Speaks::json, kSmallBuffer);
  (void)slow.subscribe({"accounts:A"});
  Publisher accounts = server.publisher("accounts:A", Pacing::slowest_reader);
  const std::string growing(1'000, '\x01');
  constexpr std::uint64_t kMessages = 2'500;
  std::uint64_t sent = 0;
  Oracle oracle;
  oracle.start("accounts:A", 0);
  while (sent < kMessages) {
    if (accounts.publish(AccountUpdate{.pubkey = growing}) == PublishStatus::ok) {
      ++sent;
    } else if (oracle.cursor("accounts:A") < sent) {
      read_up_to(slow, oracle, "accounts:A", oracle.cursor("accounts:A") + 1);
    }
    if (::testing::Test::HasFatalFailure()) return;
  }
  read_up_to(slow, oracle, "accounts:A", kMessages);
  EXPECT_EQ(oracle.missed(), 0U);
}

TEST(ServerSlowReader, PacedTakesAMessageLargerThanHalfTheLane) {
  Server server = open_server(small_lanes());
  TestClient client(server);
  (void)client.subscribe({"accounts:A"});
  Publisher accounts = server.publisher("accounts:A", Pacing::slowest_reader);
  const std::string large(60 * 1024, 'x');
  for (std::uint64_t i = 1; i <= 5; ++i) {
    eventually(
        [&] { return accounts.publish(AccountUpdate{.pubkey = large}) == PublishStatus::ok; },
        "the lane is empty and takes one message of any size");
    ASSERT_EQ(client.expect_seq("accounts:A"), i);
  }
}

}  // namespace
}  // namespace stratwire::test
