// Several publisher threads, several I/O threads: order and completeness all the same.

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "../../support/seed.hpp"
#include "harness.hpp"

namespace stratwire::test {
namespace {

class IoThreads : public ::testing::TestWithParam<std::size_t> {
 protected:
  [[nodiscard]] static ServerConfig config() {
    ServerConfig config = quiet_config();
    config.io_threads = GetParam();
    config.lane_bytes_max = 256 << 20;
    config.lane_messages_max = 1 << 20;
    // Clients are read one after the other, and each waits for its turn.
    config.stall_max = std::chrono::hours(1);
    return config;
  }
};
INSTANTIATE_TEST_SUITE_P(Server, IoThreads, ::testing::Values(1, 2, 3));

void publish_all(Publisher publisher, std::uint64_t thread, std::uint64_t count) {
  for (std::uint64_t i = 1; i <= count; ++i) {
    while (publisher.publish(AccountUpdate{.pubkey = "k", .lamports = thread, .slot = i}) !=
           PublishStatus::ok) {
      std::this_thread::yield();
    }
  }
}

TEST_P(IoThreads, OneChannelFromManyThreads) {
  Server server = open_server(config());
  std::vector<TestClient> clients;
  for (const Speaks speaks : {Speaks::json, Speaks::msgpack, Speaks::plain, Speaks::json}) {
    clients.emplace_back(server, speaks);
    clients.back().send(Subscribe{{"accounts:A"}, 1});
    if (speaks != Speaks::plain) (void)clients.back().expect<Subscribed>();
    clients.back().expect_silence();
  }
  constexpr std::uint64_t kThreads = 4;
  constexpr std::uint64_t kEach = 3'000;
  std::vector<std::thread> publishers;
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    publishers.emplace_back(publish_all, server.publisher("accounts:A"), t, kEach);
  }
  // All see the same, and what one thread published stays in its order.
  std::vector<std::uint64_t> first_seen;
  for (TestClient& client : clients) {
    std::map<std::uint64_t, std::uint64_t> last;
    std::vector<std::uint64_t> seen;
    for (std::uint64_t seq = 1; seq <= kThreads * kEach; ++seq) {
      const Message* const message = client.next();
      ASSERT_NE(message, nullptr);
      ASSERT_EQ(message->envelope.seq, seq);
      const auto& update = std::get<AccountUpdate>(message->body);
      ASSERT_EQ(update.slot, ++last[update.lamports]);
      seen.push_back(update.lamports);
    }
    if (first_seen.empty()) first_seen = seen;
    EXPECT_EQ(seen, first_seen);
  }
  for (std::thread& publisher : publishers) publisher.join();
  EXPECT_EQ(server.stats().published, kThreads * kEach);
  EXPECT_EQ(server.stats().gaps, 0U);
}

TEST_P(IoThreads, ManyChannelsFromManyThreads) {
  Server server = open_server(config());
  std::vector<TestClient> clients;
  for (const Speaks speaks : {Speaks::json, Speaks::msgpack, Speaks::json}) {
    clients.emplace_back(server, speaks);
  }
  (void)clients[0].subscribe({"accounts:*"});
  (void)clients[1].subscribe({"accounts:*"});
  (void)clients[2].subscribe({"accounts:0", "accounts:3"});
  constexpr std::uint64_t kThreads = 4;
  constexpr std::uint64_t kEach = 2'000;
  std::vector<std::thread> publishers;
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    publishers.emplace_back(publish_all, server.publisher("accounts:" + std::to_string(t)), t,
                            kEach);
  }
  for (std::size_t i = 0; i < clients.size(); ++i) {
    Oracle oracle;
    for (std::uint64_t t = 0; t < kThreads; ++t) oracle.start("accounts:" + std::to_string(t), 0);
    const std::uint64_t expected = (i == 2 ? 2 : kThreads) * kEach;
    while (oracle.received() < expected) {
      const Message* const message = clients[i].next();
      ASSERT_NE(message, nullptr);
      oracle.see(*message);
    }
    EXPECT_EQ(oracle.gaps(), 0U);
    EXPECT_EQ(oracle.cursor("accounts:1"), i == 2 ? 0 : kEach);
  }
  for (std::thread& publisher : publishers) publisher.join();
}

TEST_P(IoThreads, SubscribingInTheMiddleOfAFloodStartsBehindTheHead) {
  // Paced with a small lane, so that a reader is never far behind and each round is short.
  ServerConfig small = config();
  small.lane_bytes_max = 64 * 1024;
  Server server = open_server(small);
  std::atomic<bool> stop{false};
  std::thread flood(
      [&, publisher = server.publisher("prices:A", Pacing::slowest_reader)]() mutable {
        // relaxed: the end may come a message later.
        for (std::uint64_t i = 0; !stop.load(std::memory_order_relaxed); ++i) {
          if (publisher.publish(price(i)) != PublishStatus::ok) std::this_thread::yield();
        }
      });
  std::vector<TestClient> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back(server, i % 2 == 0 ? Speaks::json : Speaks::msgpack);
  }
  std::uint64_t known = 0;
  for (int round = 0; round < 40 && !::testing::Test::HasFailure(); ++round) {
    TestClient& client = clients[static_cast<std::size_t>(round) % clients.size()];
    const Subscribed answer = client.subscribe({"prices:A"});
    const std::uint64_t head = answer.results.at(0).head;
    EXPECT_GE(head, known);
    for (std::uint64_t i = 1; i <= 20; ++i) ASSERT_EQ(client.expect_seq("prices:A"), head + i);
    // Once more, while it flows: the answer stands where its head says.
    client.send(Subscribe{{"prices:A", "prices:B"}, 77});
    std::uint64_t cursor = head + 20;
    for (int answers = 0; answers < 2;) {
      const Message* const message = client.next();
      ASSERT_NE(message, nullptr);
      if (const auto* const again = std::get_if<Subscribed>(&message->body)) {
        EXPECT_EQ(again->results.at(0).head, cursor) << "answer " << answers;
        if (++answers == 1) client.send(Subscribe{{"prices:A"}, 78});
      } else {
        ASSERT_EQ(message->envelope.seq, ++cursor);
      }
    }
    client.send(Unsubscribe{{"prices:A", "prices:B"}, 79});
    for (bool stopped = false; !stopped;) {
      const Message* const message = client.next();
      ASSERT_NE(message, nullptr);
      stopped = std::holds_alternative<Unsubscribed>(message->body);
      if (!stopped) {
        ASSERT_EQ(message->envelope.seq, ++cursor);
      }
    }
    client.expect_silence();
    known = cursor;
  }
  // relaxed: as above.
  stop.store(true, std::memory_order_relaxed);
  flood.join();
}

TEST_P(IoThreads, ConnectionsGoToThreadsInTurn) {
  // A page that is fetched every second must not leave all the readers to one thread.
  Server server = open_server(config());
  std::vector<TestClient> clients;
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back(server);
    (void)clients.back().subscribe({"prices:A"});
  }
  ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
  for (TestClient& client : clients) EXPECT_EQ(client.expect_seq("prices:A"), 1U);
  EXPECT_EQ(server.connections(10).size(), 6U);
  EXPECT_EQ(server.stats().subscribers, 6U);
}

TEST_P(IoThreads, LargeMessagesInBothCodecsPassTheRing) {
  // A message of 170 KiB of control characters is 1 MiB in JSON and 170 KiB in MessagePack. With
  // all the cohorts behind the ring it fills up, and must be waited for, whatever the sizes are.
  // Those that are read last fall behind: their channels may drop.
  ServerConfig small = config();
  small.lane_bytes_max = 4 << 20;
  Server server = open_server(small);
  std::vector<TestClient> clients;
  // Connections go to the threads in turn: none that reads is for the first.
  const auto reads = [](std::size_t i) { return GetParam() == 1 || i % GetParam() != 0; };
  for (std::size_t i = 0; i < 10 * GetParam(); ++i) {
    clients.emplace_back(server, i / GetParam() == 0 ? Speaks::msgpack : Speaks::json);
    if (!reads(i)) continue;
    (void)clients.back().subscribe({"events:A", "events:" + std::to_string(i)});
  }
  std::minstd_rand random(static_cast<std::minstd_rand::result_type>(seed()));
  Publisher accounts = server.publisher("events:A");
  constexpr std::uint64_t kMessages = 40;
  for (std::uint64_t i = 0; i < kMessages; ++i) {
    const std::string text(100'000 + random() % 74'000, '\x01');
    eventually([&] { return accounts.publish(AccountUpdate{.pubkey = text}) == PublishStatus::ok; },
               "taken");
  }
  for (std::size_t i = 0; i < clients.size(); ++i) {
    if (!reads(i)) continue;
    Oracle oracle;
    oracle.start("events:A", 0);
    while (oracle.cursor("events:A") < kMessages) {
      const Message* const message = clients[i].next();
      ASSERT_NE(message, nullptr);
      oracle.see(*message);
    }
  }
}

TEST_P(IoThreads, CountersMatchWhatHappened) {
  Server server = open_server(config());
  ASSERT_EQ(server.stats().connections, 0U);
  std::vector<TestClient> clients;
  for (const Speaks speaks : {Speaks::json, Speaks::msgpack, Speaks::json, Speaks::msgpack}) {
    clients.emplace_back(server, speaks);
    (void)clients.back().subscribe({"prices:A"});
  }
  TestClient idle(server);
  Publisher prices = server.publisher("prices:A");
  constexpr std::uint64_t kMessages = 1'000;
  for (std::uint64_t i = 0; i < kMessages; ++i) {
    ASSERT_EQ(prices.publish(price(i)), PublishStatus::ok);
  }
  for (TestClient& client : clients) {
    for (std::uint64_t i = 1; i <= kMessages; ++i) ASSERT_EQ(client.expect_seq("prices:A"), i);
    client.expect_silence();
  }
  const ServerStats stats = settled_stats(server);
  EXPECT_EQ(stats.connections, 5U);
  EXPECT_EQ(stats.subscribers, 4U);
  EXPECT_EQ(stats.accepted, 5U);
  EXPECT_EQ(stats.channels, 1U);
  EXPECT_EQ(stats.published, kMessages);
  EXPECT_EQ(stats.delivered, 4 * kMessages);
  EXPECT_EQ(stats.received_messages, 8U);
  EXPECT_EQ(stats.missed + stats.gaps + stats.bad_messages + stats.refused_requests +
                stats.protocol_violations + stats.timeouts + stats.handshakes_refused +
                stats.publish_back_pressured + stats.publish_refused + stats.disconnected,
            0U);
  EXPECT_GT(stats.epoch, 0U);
  EXPECT_EQ(stats.lag_bytes_max, 0U);
  std::uint64_t sent = 0;
  for (const ConnectionStats& connection : server.connections(10)) sent += connection.sent_bytes;
  EXPECT_EQ(stats.sent_bytes, sent);
  EXPECT_EQ(server.connections(2).size(), 2U);
}

TEST_P(IoThreads, DeliveredAndMissedAddUp) {
  // Whatever way a message takes - the log, the lane, the latest value behind a gap - it is counted
  // once.
  ServerConfig small = config();
  small.lane_bytes_max = 64 * 1024;
  Server server = open_server(small);
  TestClient slow(server, Speaks::json, 2'048);
  (void)slow.subscribe({"prices:A"});
  Publisher prices = server.publisher("prices:A");
  std::uint64_t head = 0;
  eventually(
      [&] {
        for (int i = 0; i < 64; ++i) head += prices.publish(price(head)) == PublishStatus::ok;
        return server.stats().gaps >= 2;
      },
      "gaps for a reader that does not read");
  slow.send(Subscribe{{"prices:B"}, 5});
  Oracle oracle;
  oracle.start("prices:A", 0);
  bool answered = false;
  while (oracle.cursor("prices:A") < head || !answered) {
    const Message* const message = slow.next();
    ASSERT_NE(message, nullptr);
    answered = answered || std::holds_alternative<Subscribed>(message->body);
    if (!std::holds_alternative<Subscribed>(message->body)) oracle.see(*message);
  }
  slow.expect_silence();
  const ServerStats stats = settled_stats(server);
  EXPECT_EQ(stats.missed, oracle.missed());
  EXPECT_EQ(stats.gaps, oracle.gaps());
  EXPECT_EQ(stats.delivered, oracle.received());
  EXPECT_EQ(stats.delivered + stats.missed, stats.published);
}

TEST_P(IoThreads, PublishersMayComeAndGo) {
  // More threads than the inbox has room for by name, one after the other and many at once.
  Server server = open_server(config());
  TestClient client(server);
  (void)client.subscribe({"accounts:A"});
  constexpr std::uint64_t kThreads = 100;
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back(publish_all, server.publisher("accounts:A"), t, 20);
    if (t % 10 == 9) {
      for (std::thread& thread : threads) thread.join();
      threads.clear();
    }
  }
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back(publish_all, server.publisher("accounts:A"), t, 20);
  }
  for (std::uint64_t i = 1; i <= 2 * kThreads * 20; ++i) {
    ASSERT_EQ(client.expect_seq("accounts:A"), i);
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_P(IoThreads, PublishingWhileTheServerDrains) {
  for (int round = 0; round < 5; ++round) {
    auto server = std::make_unique<Server>(open_server(config()));
    TestClient client(*server);
    (void)client.subscribe({"accounts:A"});
    std::vector<std::thread> publishers;
    std::atomic<std::uint64_t> taken{0};
    for (int t = 0; t < 3; ++t) {
      publishers.emplace_back([&taken, publisher = server->publisher("accounts:A")]() mutable {
        for (;;) {
          const PublishStatus status = publisher.publish(account());
          if (status == PublishStatus::closed) return;
          // relaxed: read after the threads ended.
          if (status == PublishStatus::ok) taken.fetch_add(1, std::memory_order_relaxed);
        }
      });
    }
    for (std::uint64_t i = 1; i <= 100; ++i) ASSERT_EQ(client.expect_seq("accounts:A"), i);
    std::thread drainer([&] { server.reset(); });
    Oracle oracle;
    oracle.start("accounts:A", 100);
    while (const Message* const message = client.next()) oracle.see(*message);
    EXPECT_TRUE(client.closed_by());
    client.raw().send_close(transport::CloseCode::going_away);
    drainer.join();
    for (std::thread& publisher : publishers) publisher.join();
    // What was said ok for was sent. One that was told `closed` may have been sent too.
    // relaxed: the threads have ended.
    EXPECT_GE(oracle.cursor("accounts:A"), taken.load(std::memory_order_relaxed));
    EXPECT_LE(oracle.cursor("accounts:A"), taken.load(std::memory_order_relaxed) + 3);
  }
}

// A server that spins looks at the connection that spoke last more often than at the others.
TEST(SpinningServer, HearsThoseBesideTheOneThatSpeaks) {
  ServerConfig config = quiet_config();
  config.waiting = Waiting::spin;
  Server server = open_server(config);
  std::int64_t asked = 0;
  const auto answers = [&asked](TestClient& client) {
    EXPECT_TRUE(client.send(Ping{++asked}));
    return client.expect<Pong>().t1 == asked;
  };
  auto talker = std::make_unique<TestClient>(server);
  TestClient other(server);
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(answers(*talker));
    ASSERT_TRUE(answers(*talker));
    ASSERT_TRUE(answers(other));
  }
  ASSERT_TRUE(answers(*talker));
  talker->raw().reset();
  talker.reset();
  eventually([&] { return server.stats().connections == 1; }, "the talker has gone");
  TestClient late(server);
  ASSERT_TRUE(answers(late));
  ASSERT_TRUE(answers(other));
}

}  // namespace
}  // namespace stratwire::test
