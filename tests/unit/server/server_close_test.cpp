// How connections and servers end.

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "harness.hpp"

namespace stratwire::test {
namespace {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    char name[] = "/tmp/stratwire-test-XXXXXX";
    if (::mkdtemp(name) != nullptr) path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    ::unlink(socket().c_str());
    ::rmdir(path_.c_str());
  }
  [[nodiscard]] std::string socket() const { return path_ + "/feed.sock"; }

 private:
  std::string path_{};
};

TEST(ServerClose, EchoesTheCloseOfAClient) {
  Server server = open_server();
  for (const std::uint16_t code : std::initializer_list<std::uint16_t>{1000, 1001, 4000}) {
    TestClient client(server);
    (void)client.subscribe({"prices:A"});
    client.raw().send_close(transport::CloseCode{code}, "bye");
    EXPECT_EQ(client.next(), nullptr);
    ASSERT_TRUE(client.closed_by());
    EXPECT_EQ(client.closed_by()->code, transport::CloseCode{code});
    EXPECT_FALSE(client.raw().read_frame());
    EXPECT_EQ(client.raw().last_read(), Read::ended);
  }
  eventually([&] { return server.stats().connections == 0; }, "all are gone");
  EXPECT_EQ(server.stats().subscribers, 0U);
  EXPECT_EQ(server.stats().disconnected, 3U);
  EXPECT_EQ(server.stats().protocol_violations, 0U);
}

TEST(ServerClose, WhatWasPublishedBeforeTheCloseIsDelivered) {
  Server server = open_server();
  TestClient client(server);
  (void)client.subscribe({"prices:A"});
  for (int i = 0; i < 100; ++i) ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
  eventually([&] { return server.stats().published == 100; }, "stamped");
  client.raw().send_close(transport::CloseCode::normal);
  for (std::uint64_t i = 1; i <= 100; ++i) ASSERT_EQ(client.expect_seq("prices:A"), i);
  EXPECT_EQ(client.next(), nullptr);
  EXPECT_TRUE(client.closed_by());
}

TEST(ServerClose, PeersThatVanishAreForgotten) {
  ServerConfig config = quiet_config();
  config.io_threads = 2;
  Server server = open_server(config);
  std::vector<TestClient> clients;
  for (int i = 0; i < 6; ++i) {
    clients.emplace_back(server, i % 2 == 0 ? Speaks::json : Speaks::msgpack);
    (void)clients.back().subscribe({"prices:A", "prices:*"});
  }
  EXPECT_EQ(server.stats().subscribers, 6U);
  for (std::size_t i = 0; i < 3; ++i) clients[i].raw().close();
  for (std::size_t i = 3; i < 6; ++i) clients[i].raw().reset();
  eventually([&] { return server.stats().connections == 0; }, "all are gone");
  eventually([&] { return server.stats().subscribers == 0; }, "nobody is subscribed");
  // The hub has forgotten them too: nothing is encoded for nobody, and a new one gets all.
  ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
  eventually([&] { return server.stats().published == 1; }, "stamped");
  TestClient fresh(server);
  EXPECT_EQ(fresh.subscribe({"prices:A"}).results.at(0).head, 1U);
  ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
  EXPECT_EQ(fresh.expect_seq("prices:A"), 2U);
}

class Forgetting : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(IoThreads, Forgetting, ::testing::Values(1, 2, 3));

TEST_P(Forgetting, NothingIsEncodedForThoseWhoWent) {
  // MessagePack binary has no form in JSON: the hub says so whenever somebody wants it in JSON.
  std::atomic<std::uint64_t> wanted_in_json{0};
  ServerConfig config = quiet_config();
  config.io_threads = GetParam();
  config.log = [&wanted_in_json](LogLevel, std::string_view text) {
    if (text.find("can't be encoded") != std::string_view::npos) ++wanted_in_json;
  };
  Server server = open_server(config);
  Publisher events = server.publisher("events:A");
  const auto is_wanted = [&] {
    const std::uint64_t before = wanted_in_json;
    const std::uint64_t published = server.stats().published;
    EXPECT_EQ(events.publish(Event{"Blob", {Codec::msgpack, std::string_view("\xc4\x01x")}}),
              PublishStatus::ok);
    eventually([&] { return server.stats().published > published; }, "stamped");
    (void)server.connections(0);  // behind the turn in which it was encoded
    return wanted_in_json != before;
  };
  EXPECT_FALSE(is_wanted());
  {
    std::vector<TestClient> clients;
    for (int i = 0; i < 3; ++i) {
      clients.emplace_back(server);
      (void)clients.back().subscribe({"events:A", "events:*"});
    }
    EXPECT_TRUE(is_wanted());
    for (TestClient& client : clients) (void)client.expect<Gap>();
    // One unsubscribes, one closes, one is killed.
    (void)clients[0].unsubscribe({"events:A", "events:*"});
    clients[1].raw().send_close(transport::CloseCode::normal);
    EXPECT_TRUE(is_wanted());
    clients[2].raw().reset();
    eventually([&] { return !is_wanted(); }, "nobody wants it in JSON any more");
  }
  // While the subscription is still on its way to the hub.
  for (int i = 0; i < 60; ++i) {
    TestClient client(server);
    for (int n = 0; n <= i % 3; ++n) {
      client.send(Subscribe{{"events:A", "events:*"}, 1});
      if (n == 1) client.send(Unsubscribe{{"events:A"}, 2});
    }
    client.raw().reset();
  }
  eventually([&] { return server.stats().connections == 0; }, "all are gone");
  eventually([&] { return !is_wanted(); }, "nobody wants it in JSON any more");
}

class Draining : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(IoThreads, Draining, ::testing::Values(1, 3));

TEST_P(Draining, DeliversEverythingThenSaysGoodbye) {
  ServerConfig config = quiet_config();
  config.io_threads = GetParam();
  Server server = open_server(config);
  std::vector<TestClient> clients;
  for (int i = 0; i < 4; ++i) {
    clients.emplace_back(server, i % 2 == 0 ? Speaks::json : Speaks::msgpack);
    (void)clients.back().subscribe({"accounts:A"});
  }
  TestClient plain(server, Speaks::plain);
  plain.send(Subscribe{{"accounts:A"}, 0});
  plain.expect_silence();
  constexpr std::uint64_t kMessages = 10'000;
  std::thread readers([&] {
    for (TestClient& client : clients) {
      Oracle oracle;
      oracle.start("accounts:A", 0);
      bool told = false;
      while (const Message* const message = client.next()) {
        if (std::holds_alternative<GoAway>(message->body)) told = true;
        oracle.see(*message);
      }
      EXPECT_TRUE(told);
      EXPECT_EQ(oracle.received() + oracle.missed(), kMessages);
      EXPECT_EQ(oracle.missed(), 0U);
      ASSERT_TRUE(client.closed_by());
      EXPECT_EQ(client.closed_by()->code, transport::CloseCode::going_away);
      client.raw().send_close(transport::CloseCode::going_away);
      EXPECT_FALSE(client.raw().read_frame());
    }
    std::uint64_t received = 0;
    while (plain.next() != nullptr) ++received;
    EXPECT_EQ(received, kMessages);
    ASSERT_TRUE(plain.closed_by());
    EXPECT_EQ(plain.closed_by()->code, transport::CloseCode::going_away);
    plain.raw().send_close(transport::CloseCode::going_away);
  });
  Publisher accounts = server.publisher("accounts:A");
  for (std::uint64_t i = 0; i < kMessages; ++i) {
    ASSERT_TRUE(eventually([&] { return accounts.publish(account(i)) == PublishStatus::ok; },
                           "the inbox has room"));
  }
  const auto drained = server.drain(std::chrono::seconds(20));
  EXPECT_TRUE(drained) << drained.error().message();
  readers.join();
  EXPECT_EQ(server.stats().connections, 0U);
  EXPECT_EQ(accounts.publish(account()), PublishStatus::closed);
  // Nobody listens any more.
  EXPECT_FALSE(RawClient::tcp(server.local_port()).is_open());
  EXPECT_TRUE(server.connections(10).empty());
  EXPECT_TRUE(server.drain(1s)) << "a second time is no error";
}

TEST(ServerDrain, EachConnectionIsToldItsOwnTimeToComeBack) {
  ServerConfig config = quiet_config();
  config.io_threads = 2;
  config.drain.reconnect_spread = 1s;
  config.drain.alternatives = {"ws://10.0.0.2:8080", "ws://10.0.0.3:8080"};
  Server server = open_server(config);
  std::vector<TestClient> clients;
  for (int i = 0; i < 5; ++i) clients.emplace_back(server);
  std::thread drainer([&] { (void)server.drain(100ms); });
  std::set<std::uint32_t> slots;
  for (TestClient& client : clients) {
    const auto message = client.expect<GoAway>();
    EXPECT_EQ(message.deadline_ms, 0U);
    EXPECT_EQ(message.alternatives, config.drain.alternatives);
    slots.insert(message.reconnect_after_ms);
  }
  drainer.join();
  EXPECT_EQ(slots, (std::set<std::uint32_t>{0, 200, 400, 600, 800}));
}

TEST(ServerDrain, TheTimesAreNoCloserThanTheServerAdmits) {
  ServerConfig config = quiet_config();
  config.accepts_per_second = 10;
  Server server = open_server(config);
  std::vector<TestClient> clients;
  for (int i = 0; i < 3; ++i) clients.emplace_back(server);
  std::thread drainer([&] { (void)server.drain(100ms); });
  std::set<std::uint32_t> slots;
  for (TestClient& client : clients) slots.insert(client.expect<GoAway>().reconnect_after_ms);
  drainer.join();
  EXPECT_EQ(slots, (std::set<std::uint32_t>{0, 100, 200}));
}

TEST(ServerDrain, PublishingGoesOnUntilTheGoAwayDeadline) {
  for (const std::size_t threads : {1U, 2U}) {
    ServerConfig config = quiet_config();
    config.io_threads = threads;
    config.drain.go_away_deadline = std::chrono::hours(1);
    Server server = open_server(config);
    TestClient stays(server);
    TestClient leaves(server);
    (void)stays.subscribe({"prices:A"});
    (void)leaves.subscribe({"prices:A"});
    // Half of this; all leave before.
    std::thread drainer([&] { EXPECT_TRUE(server.drain(2 * kPatience)); });
    const auto message = stays.expect<GoAway>();
    EXPECT_EQ(message.deadline_ms, std::chrono::milliseconds(kPatience).count());
    EXPECT_GE(message.reconnect_after_ms, message.deadline_ms);
    (void)leaves.expect<GoAway>();
    EXPECT_FALSE(RawClient::tcp(server.local_port()).is_open());
    ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
    EXPECT_EQ(stays.expect_seq("prices:A"), 1U);
    EXPECT_EQ(leaves.expect_seq("prices:A"), 1U);
    leaves.raw().send_close(transport::CloseCode::normal);
    ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
    EXPECT_EQ(stays.expect_seq("prices:A"), 2U);
    stays.raw().send_close(transport::CloseCode::normal);
    drainer.join();
    EXPECT_EQ(server.publish("prices:A", price()), PublishStatus::closed);
  }
}

TEST(ServerDrain, OneThatUpgradesMeanwhileIsToldToo) {
  ServerConfig config = quiet_config();
  config.drain.go_away_deadline = std::chrono::hours(1);
  config.drain.alternatives = {"ws://10.0.0.2:8080"};
  Server server = open_server(config);
  RawClient late = RawClient::tcp(server.local_port());
  TestClient early(server);
  // In the order in which they knocked: the one that has not upgraded is there as well.
  std::thread drainer([&] { EXPECT_TRUE(server.drain(2 * kPatience)); });
  (void)early.expect<GoAway>();
  TestClient upgraded(std::move(late));
  EXPECT_EQ(upgraded.expect<GoAway>().alternatives, config.drain.alternatives);
  early.raw().send_close(transport::CloseCode::normal);
  upgraded.raw().send_close(transport::CloseCode::normal);
  drainer.join();
}

TEST(ServerDrain, AfterTheGoAwayDeadlineTheOthersAreClosed) {
  ServerConfig config = quiet_config();
  config.drain.go_away_deadline = 20ms;
  Server server = open_server(config);
  TestClient client(server);
  std::thread drainer([&] { EXPECT_TRUE(server.drain(2 * kPatience)); });
  EXPECT_EQ(client.expect<GoAway>().deadline_ms, 20U);
  EXPECT_EQ(client.next(), nullptr) << "one GoAway is enough";
  ASSERT_TRUE(client.closed_by());
  EXPECT_EQ(client.closed_by()->code, transport::CloseCode::going_away);
  client.raw().send_close(transport::CloseCode::going_away);
  drainer.join();
}

TEST(ServerDrain, ASecondCallWaitsForTheFirst) {
  Server server = open_server();
  TestClient stubborn(server);
  std::vector<std::thread> callers;
  std::atomic<int> expired{0};
  for (int i = 0; i < 2; ++i) {
    callers.emplace_back([&] {
      const auto drained = server.drain(100ms);
      EXPECT_EQ(server.stats().connections, 0U) << "returned before the end";
      // relaxed: read after the threads ended.
      if (drained.error().code == Errc::expired) expired.fetch_add(1, std::memory_order_relaxed);
    });
  }
  for (std::thread& caller : callers) caller.join();
  // relaxed: as above.
  EXPECT_EQ(expired.load(std::memory_order_relaxed), 2);
}

TEST_P(Draining, CutsThoseWhoDoNotAnswer) {
  ServerConfig config = quiet_config();
  config.io_threads = GetParam();
  Server server = open_server(config);
  std::vector<TestClient> silent;
  for (int i = 0; i < 3; ++i) silent.emplace_back(server);
  RawClient half_open = RawClient::tcp(server.local_port());
  ASSERT_TRUE(half_open.send_bytes("GET / HTT"));
  eventually([&] { return server.stats().connections == 4; }, "all are accepted");
  const auto drained = server.drain(100ms);
  EXPECT_EQ(drained.error().code, Errc::expired);
  EXPECT_NE(drained.error().context.find("100 ms"), std::string::npos);
  for (TestClient& client : silent) {
    EXPECT_TRUE(std::holds_alternative<GoAway>(client.next()->body));
    EXPECT_EQ(client.next(), nullptr);
    EXPECT_TRUE(client.closed_by());
    EXPECT_FALSE(client.raw().read_frame());
    EXPECT_EQ(client.raw().last_read(), Read::ended);
  }
  EXPECT_EQ(half_open.read_to_end(), "");
  EXPECT_EQ(half_open.last_read(), Read::ended);
}

TEST(ServerClose, DestructorDoesNotHangOnOpenConnections) {
  std::vector<TestClient> clients;
  const auto start = std::chrono::steady_clock::now();
  {
    ServerConfig config = quiet_config();
    config.io_threads = 2;
    Server server = open_server(config);
    for (int i = 0; i < 4; ++i) clients.emplace_back(server);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(15));
  for (TestClient& client : clients) {
    EXPECT_TRUE(std::holds_alternative<GoAway>(client.next()->body));
    EXPECT_EQ(client.next(), nullptr);
    EXPECT_TRUE(client.closed_by());
  }
}

TEST(ServerClose, EveryWayOfWaitingEnds) {
  for (const Waiting waiting : {Waiting::spin, Waiting::yield, Waiting::park}) {
    ServerConfig config = quiet_config();
    config.waiting = waiting;
    config.io_threads = 2;
    Server server = open_server(config);
    TestClient client(server);
    (void)client.subscribe({"prices:A"});
    ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
    EXPECT_EQ(client.expect_seq("prices:A"), 1U);
    client.raw().close();
  }
}

TEST(ServerClose, MovedServersWork) {
  Server first = open_server();
  const std::uint16_t port = first.local_port();
  Server second = std::move(first);
  EXPECT_EQ(second.local_port(), port);
  second = open_server();
  EXPECT_FALSE(RawClient::tcp(port).is_open());
  TestClient client(second);
  client.expect_silence();
}

// ---- Addresses

TEST(ServerClose, PortZeroIsAnyAndPortInUseIsNamed) {
  Server server = open_server();
  EXPECT_NE(server.local_port(), 0);
  EXPECT_EQ(server.local_addr(), "127.0.0.1:" + std::to_string(server.local_port()));
  ServerConfig config = quiet_config();
  config.port = server.local_port();
  const auto second = Server::open(config);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::io_failed);
  EXPECT_NE(second.error().message().find(std::to_string(config.port)), std::string::npos)
      << second.error().message();
  TestClient client(server);
  client.expect_silence();
}

TEST(ServerClose, PortCanBeTakenAgainAtOnce) {
  std::uint16_t port = 0;
  {
    Server server = open_server();
    port = server.local_port();
    TestClient client(server);
  }
  ServerConfig config = quiet_config();
  config.port = port;
  const auto again = Server::open(config);
  EXPECT_TRUE(again) << again.error().message();
}

TEST(ServerClose, EpochRisesFromStartToStart) {
  const std::uint64_t first = open_server().stats().epoch;
  const std::uint64_t second = open_server().stats().epoch;
  EXPECT_LT(first, second);
}

TEST(ServerClose, UnixPathWorksAndIsRemoved) {
  const TemporaryFolder folder;
  ServerConfig config = quiet_config();
  config.unix_path = folder.socket();
  {
    Server server = open_server(config);
    TestClient client(RawClient::unix_socket(folder.socket()), Speaks::msgpack);
    (void)client.subscribe({"prices:A"});
    ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
    EXPECT_EQ(client.expect_seq("prices:A"), 1U);
    EXPECT_EQ(server.connections(1).at(0).peer, "unix");
    const auto second = Server::open(config);
    ASSERT_FALSE(second) << "two servers on one path";
    EXPECT_NE(second.error().message().find(folder.socket()), std::string::npos)
        << second.error().message();
    client.raw().close();
  }
  EXPECT_NE(::access(folder.socket().c_str(), F_OK), 0) << "the socket file was left behind";
}

TEST(ServerClose, HostThatCannotBeListenedOnIsNamed) {
  ServerConfig config = quiet_config();
  config.host = "192.0.2.1";
  const auto server = Server::open(config);
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().code, Errc::io_failed);
  EXPECT_NE(server.error().message().find("192.0.2.1"), std::string::npos)
      << server.error().message();
}

}  // namespace
}  // namespace stratwire::test
