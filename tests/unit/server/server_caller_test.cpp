// A server without a thread of its own: the test's thread polls, clients live on others.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <poll.h>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "harness.hpp"

namespace stratwire::test {
namespace {

ServerConfig caller_config() {
  ServerConfig config = quiet_config();
  config.threading = Threading::caller;
  return config;
}

/// Runs `clients` on a thread, and the server on this one until they are done.
template <class Clients>
void serve(Server& server, Clients&& clients) {
  std::atomic<bool> done{false};
  std::thread thread([&] {
    clients();
    // release: pairs with the acquire below.
    done.store(true, std::memory_order_release);
  });
  // acquire: pairs with the release above.
  while (!done.load(std::memory_order_acquire)) server.poll(1ms);
  thread.join();
}

/// Polls until `condition` holds. Fails the test when it never does.
template <class Condition>
bool poll_until(Server& server, Condition&& condition, std::string_view what) {
  return eventually(
      [&] {
        server.poll();
        return condition();
      },
      what);
}

bool is_readable(int fd) {
  pollfd polled{fd, POLLIN, 0};
  return ::poll(&polled, 1, 0) == 1;
}

class CallerWaits : public ::testing::TestWithParam<Waiting> {};
INSTANTIATE_TEST_SUITE_P(Server, CallerWaits,
                         ::testing::Values(Waiting::park, Waiting::yield, Waiting::spin));

TEST_P(CallerWaits, PublishesAndServesOnOneThread) {
  ServerConfig config = caller_config();
  config.waiting = GetParam();
  Server server = open_server(config);
  Publisher publisher = server.publisher("accounts:A");
  constexpr std::uint64_t kMessages = 3'000;
  std::atomic<bool> subscribed{false};
  std::thread client([&] {
    TestClient subscriber(server);
    (void)subscriber.subscribe({"accounts:A"});
    // release: pairs with the acquire below.
    subscribed.store(true, std::memory_order_release);
    for (std::uint64_t i = 1; i <= kMessages; ++i) {
      ASSERT_EQ(subscriber.expect_seq("accounts:A"), i);
    }
    subscriber.expect_silence();
  });
  poll_until(
      server,
      // acquire: pairs with the release above.
      [&] { return subscribed.load(std::memory_order_acquire); }, "the subscription");
  for (std::uint64_t i = 1; i <= kMessages; ++i) {
    ASSERT_EQ(publisher.publish(account(i)), PublishStatus::ok);
    if (i % 16 == 0) server.poll(1us);
  }
  poll_until(
      server, [&] { return server.stats().received_messages == 2; }, "the last request");
  client.join();
  poll_until(
      server, [&] { return server.stats().connections == 0; }, "the end");
  EXPECT_EQ(server.stats().delivered, kMessages);
  EXPECT_EQ(server.stats().gaps, 0U);
}

TEST(ServerCaller, WhatItsThreadPublishesPassesTheInbox) {
  Server server = open_server(caller_config());
  Publisher publisher = server.publisher("accounts:A");
  // Nobody has polled yet.
  EXPECT_EQ(publisher.publish(account(1)), PublishStatus::ok);
  EXPECT_EQ(server.stats().published, 0U);
  EXPECT_EQ(server.poll(), 1U);
  EXPECT_EQ(server.stats().published, 1U);
  EXPECT_EQ(publisher.publish(account(2)), PublishStatus::ok);
  EXPECT_EQ(server.stats().published, 2U);
  EXPECT_EQ(server.poll(), 1U);
  EXPECT_EQ(server.poll(), 0U);
}

TEST(ServerCaller, WhatOthersPublishedIsTakenBeforeAnythingPassesTheInbox) {
  Server server = open_server(caller_config());
  Publisher publisher = server.publisher("accounts:A");
  server.poll();
  std::thread([&] { EXPECT_EQ(publisher.publish(account(1)), PublishStatus::ok); }).join();
  EXPECT_EQ(publisher.publish(account(2)), PublishStatus::ok);
  EXPECT_EQ(server.stats().published, 0U);
  EXPECT_EQ(server.poll(), 2U);
  EXPECT_EQ(publisher.publish(account(3)), PublishStatus::ok);
  EXPECT_EQ(server.stats().published, 3U);
}

TEST(ServerCaller, WhatIsTooMuchForOneTurnWaitsInTheInboxUntilThatIsFull) {
  Server server = open_server(caller_config());
  Publisher publisher = server.publisher("accounts:A");
  std::atomic<std::uint64_t> published{0};
  std::atomic<bool> subscribed{false};
  std::thread client([&] {
    TestClient subscriber(server);
    (void)subscriber.subscribe({"accounts:A"});
    // release: pairs with the acquire below.
    subscribed.store(true, std::memory_order_release);
    std::uint64_t seq = 0;
    // acquire: pairs with the release below.
    while (published.load(std::memory_order_acquire) == 0 ||
           seq < published.load(std::memory_order_acquire)) {
      const Message* const message = subscriber.next();
      ASSERT_NE(message, nullptr);
      ASSERT_EQ(message->envelope.seq, ++seq);
      ASSERT_EQ(std::get<AccountUpdate>(message->body).slot, seq) << "another order";
    }
  });
  poll_until(
      server,
      // acquire: pairs with the release above.
      [&] { return subscribed.load(std::memory_order_acquire); }, "the subscription");
  std::uint64_t taken = 0;
  while (publisher.publish(account(taken + 1)) == PublishStatus::ok) ++taken;
  const std::uint64_t handed_on = server.stats().published;
  EXPECT_EQ(taken - handed_on, ServerConfig{}.inbox_messages);
  EXPECT_GE(handed_on, 256U * 1024 / 256);
  EXPECT_EQ(server.stats().publish_back_pressured, 1U);
  // There is room again, but not in front of what waits.
  server.poll();
  EXPECT_EQ(publisher.publish(account(taken + 1)), PublishStatus::ok);
  EXPECT_LT(server.stats().published, ++taken);
  // release: pairs with the acquire in the client.
  published.store(taken, std::memory_order_release);
  poll_until(
      server, [&] { return server.stats().published == taken; }, "all handed on");
  poll_until(
      server, [&] { return server.stats().connections == 0; }, "the end");
  client.join();
  EXPECT_EQ(server.stats().gaps, 0U);
}

TEST(ServerCaller, FurtherIoThreadsGetTheirShare) {
  ServerConfig config = caller_config();
  config.io_threads = 3;
  Server server = open_server(config);
  Publisher publisher = server.publisher("accounts:A");
  constexpr std::uint64_t kMessages = 2'000;
  std::atomic<int> subscribed{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 3; ++i) {
    clients.emplace_back([&, i] {
      TestClient client(server, i % 2 == 0 ? Speaks::json : Speaks::msgpack);
      (void)client.subscribe({"accounts:A"});
      // release: pairs with the acquire below.
      subscribed.fetch_add(1, std::memory_order_release);
      for (std::uint64_t seq = 1; seq <= kMessages; ++seq) {
        ASSERT_EQ(client.expect_seq("accounts:A"), seq);
      }
    });
  }
  poll_until(
      server,
      // acquire: pairs with the release above.
      [&] { return subscribed.load(std::memory_order_acquire) == 3; }, "all subscriptions");
  for (std::uint64_t i = 1; i <= kMessages; ++i) {
    ASSERT_EQ(publisher.publish(account(i)), PublishStatus::ok);
    if (i % 100 == 0) server.poll();
  }
  poll_until(
      server, [&] { return server.stats().connections == 0; }, "the end");
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(server.stats().delivered, 3 * kMessages);
}

TEST(ServerCaller, PublishOfAClientGoesInOrderWithThatOfTheThread) {
  ServerConfig config = caller_config();
  config.network_publish = NetworkPublish::allowed;
  Server server = open_server(config);
  serve(server, [&] {
    TestClient client(server);
    (void)client.subscribe({"accounts:A"});
    for (std::uint64_t i = 1; i <= 50; ++i) {
      client.send(Publish{i, "accounts:A", account(i)});
      std::uint64_t slot = 0;
      for (int seen = 0; seen < 2; ++seen) {
        const Message* const message = client.next();
        ASSERT_NE(message, nullptr);
        if (const auto* const update = std::get_if<AccountUpdate>(&message->body)) {
          EXPECT_EQ(message->envelope.seq, i);
          slot = update->slot;
        }
      }
      EXPECT_EQ(slot, i);
    }
  });
}

TEST(ServerCaller, SleepingPollIsWokenByAPublishElsewhere) {
  Server server = open_server(caller_config());
  Publisher publisher = server.publisher("accounts:A");
  std::thread other([&] { EXPECT_EQ(publisher.publish(account(1)), PublishStatus::ok); });
  // No limit: it returns because there is something to do.
  EXPECT_NE(server.poll(-1ns), 0U);
  other.join();
  poll_until(
      server, [&] { return server.stats().published == 1; }, "the message");
  EXPECT_EQ(server.poll(1ms), 0U);
}

TEST(ServerCaller, DescriptorTellsOfEverythingThatPollWouldDo) {
  Server server = open_server(caller_config());
  Publisher publisher = server.publisher("accounts:A");
  EXPECT_EQ(publisher.publish(account(1)), PublishStatus::ok);
  const int fd = server.poll_fd();
  ASSERT_GE(fd, 0);
  EXPECT_TRUE(is_readable(fd)) << "published before";
  while (server.poll() != 0) {
  }
  EXPECT_FALSE(is_readable(fd));
  std::thread([&] { EXPECT_EQ(publisher.publish(account(2)), PublishStatus::ok); }).join();
  EXPECT_TRUE(is_readable(fd)) << "published elsewhere";
  while (server.poll() != 0) {
  }
  EXPECT_EQ(server.stats().published, 2U);
  EXPECT_FALSE(is_readable(fd));
  const RawClient raw = RawClient::tcp(server.local_port());
  EXPECT_TRUE(eventually([&] { return is_readable(fd); }, "somebody who connects"));
}

TEST(ServerCaller, ConnectionsAreToldOnItsThread) {
  ServerConfig config = caller_config();
  config.io_threads = 2;
  Server server = open_server(config);
  std::atomic<int> ready{0};
  std::atomic<bool> stop{false};
  std::thread clients([&] {
    TestClient first(server);
    TestClient second(server);
    // release, acquire: pair with the main thread's.
    ready.store(1, std::memory_order_release);
    // acquire: as above.
    while (!stop.load(std::memory_order_acquire)) std::this_thread::yield();
  });
  poll_until(
      server,
      // acquire: pairs with the release above.
      [&] { return ready.load(std::memory_order_acquire) == 1; }, "both clients");
  EXPECT_EQ(server.connections(10).size(), 2U);
  // release: pairs with the acquire above.
  stop.store(true, std::memory_order_release);
  clients.join();
}

TEST(ServerCaller, DrainRunsTheLoopItself) {
  ServerConfig config = caller_config();
  config.io_threads = 2;
  Server server = open_server(config);
  Publisher publisher = server.publisher("accounts:A");
  std::atomic<int> subscribed{0};
  std::vector<std::thread> clients;
  for (int i = 0; i < 2; ++i) {
    clients.emplace_back([&] {
      TestClient client(server);
      (void)client.subscribe({"accounts:A"});
      // release: pairs with the acquire below.
      subscribed.fetch_add(1, std::memory_order_release);
      // Published, never polled for: sent all the same.
      std::uint64_t slot = 0;
      while (const Message* const message = client.next()) {
        const auto* const update = std::get_if<AccountUpdate>(&message->body);
        if (update != nullptr) slot = update->slot;
      }
      EXPECT_EQ(slot, 1U);
      ASSERT_TRUE(client.closed_by());
      client.raw().send_frame(transport::Opcode::close, client.closed_by()->payload);
    });
  }
  poll_until(
      server,
      // acquire: pairs with the release above.
      [&] { return subscribed.load(std::memory_order_acquire) == 2; }, "the subscriptions");
  EXPECT_EQ(publisher.publish(account(1)), PublishStatus::ok);
  EXPECT_TRUE(server.drain(kPatience));
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(publisher.publish(account(2)), PublishStatus::closed);
  EXPECT_EQ(server.stats().connections, 0U);
  EXPECT_EQ(server.poll(), 0U);
}

TEST(ServerCaller, DrainCutsThoseThatDoNotAnswer) {
  Server server = open_server(caller_config());
  std::optional<RawClient> silent;
  serve(server, [&] {
    silent.emplace(RawClient::tcp(server.local_port()));
    EXPECT_TRUE(silent->upgrade({"stratwire.v1.json"}));
  });
  const auto drained = server.drain(100ms);
  ASSERT_FALSE(drained);
  EXPECT_EQ(drained.error().code, Errc::expired);
  EXPECT_EQ(server.stats().connections, 0U);
}

TEST(ServerCaller, PollingMayPassToAnotherThread) {
  Server server = open_server(caller_config());
  Publisher publisher = server.publisher("accounts:A");
  server.poll();
  std::thread([&] {
    server.poll();
    EXPECT_EQ(publisher.publish(account(1)), PublishStatus::ok);
    EXPECT_EQ(server.stats().published, 1U) << "past the inbox";
  }).join();
  // Here the other one polled last.
  EXPECT_EQ(publisher.publish(account(2)), PublishStatus::ok);
  EXPECT_EQ(server.stats().published, 1U);
  EXPECT_EQ(server.poll(), 2U);
}

TEST(ServerCaller, ServerWithAThreadOfItsOwnIsNotPolled) {
  Server server = open_server();
  EXPECT_EQ(server.poll(-1ns), 0U);
  EXPECT_EQ(server.poll_fd(), -1);
}

}  // namespace
}  // namespace stratwire::test
