// Connections that are open and dead, alive and stale, slow and alive: told apart rightly.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "../support/audited.hpp"
#include "../support/seed.hpp"
#include "../unit/server/harness.hpp"
#include "chaos.hpp"

namespace stratwire::test {
namespace {

using Clock = std::chrono::steady_clock;

/// The longest time for which this machine did not let the loop of a test run: no client that is
/// driven by it can be blamed for that.
class Absence {
 public:
  void look() {
    const auto now = Clock::now();
    longest_ = std::max(longest_, now - last_);
    last_ = now;
  }
  [[nodiscard]] Clock::duration longest() const { return longest_; }

 private:
  Clock::time_point last_ = Clock::now();
  Clock::duration longest_{0};
};

TEST(HalfOpen, IsNoticedWithinTwoHeartbeatsAnd500MillisecondsByEachOfTwenty) {
  constexpr std::size_t kClients = 20;
  constexpr auto kInterval = 100ms;
  ServerConfig server_config = chaos_server_config();
  server_config.heartbeat_interval = kInterval;
  const Behind behind(server_config);
  std::vector<std::unique_ptr<AuditedStrategy>> strategies;
  for (std::size_t i = 0; i < kClients; ++i) {
    ClientConfig config = chaos_client_config(behind.proxy->url());
    config.threading = Threading::caller;
    strategies.push_back(
        std::make_unique<AuditedStrategy>(config, std::vector<std::string>{"prices:A"}));
    ASSERT_TRUE(strategies.back()->until_live());
  }
  // Some heartbeats later, so that their clocks do not all stand at zero.
  const auto ready = Clock::now() + 3 * kInterval;
  while (Clock::now() < ready) {
    for (auto& each : strategies) each->take(0ns);
  }
  const auto cut = Clock::now();
  ASSERT_EQ(behind.proxy->apply({.kind = FaultKind::black_hole}), kClients);
  std::vector<Clock::duration> noticed(kClients);
  Absence absence;
  std::size_t missing = kClients;
  while (missing > 0 && Clock::now() < cut + kAuditPatience) {
    for (std::size_t i = 0; i < kClients; ++i) {
      strategies[i]->take(0ns);
      if (noticed[i].count() != 0 || strategies[i]->count(ClientState::backing_off) == 0) continue;
      noticed[i] = Clock::now() - cut;
      --missing;
    }
    absence.look();
  }
  ASSERT_EQ(missing, 0u) << "never noticed";
  const auto slowest = *std::max_element(noticed.begin(), noticed.end());
  std::cout << "slowest " << slowest / 1ms << " ms, longest absence " << absence.longest() / 1us
            << " us\n";
  for (std::size_t i = 0; i < kClients; ++i) {
    EXPECT_LE(noticed[i], 2 * kInterval + 500ms + 3 * absence.longest()) << i;
    const auto& states = strategies[i]->states;
    const auto lost = std::find_if(states.begin(), states.end(), [](const StateEvent& event) {
      return event.state == ClientState::backing_off;
    });
    EXPECT_EQ(lost->cause.code, Errc::peer_timeout) << i;
  }
  // And they are all back.
  for (auto& each : strategies) {
    ASSERT_TRUE(each->until([&] { return each->count(ClientState::live) >= 2; }));
  }
}

TEST(HalfOpen, TheLastMessageBeforeTheSilenceIsNotLost) {
  Behind behind;
  AuditedFeed feed(behind.server, {"accounts:A", "prices:A"}, seed());
  AuditedStrategy strategy(chaos_client_config(behind.proxy->url()), {"accounts:A", "prices:A"});
  ASSERT_TRUE(strategy.until_live());
  for (int round = 1; round <= sized(5, 50); ++round) {
    feed.publish_anywhere();
    ASSERT_TRUE(strategy.until([&] { return strategy.covered() == feed.published(); }));
    // The newest one; the server keeps the older ones until their pings are not answered.
    const std::uint64_t connection = behind.proxy->stats().accepted;
    ASSERT_EQ(behind.proxy->apply({.connection = connection, .kind = FaultKind::black_hole}), 1u);
    // Written, acknowledged by the kernel, gone; and nothing follows that could show the hole.
    feed.publish_anywhere();
    ASSERT_TRUE(strategy.until([&] { return strategy.covered() == feed.published(); }))
        << "round " << round << ": the last message was lost in silence";
    ASSERT_TRUE(strategy.until_live());
  }
  strategy.oracle.finish(feed.ledger());
  EXPECT_TRUE(strategy.oracle.clean()) << strategy.oracle.report();
}

// ---- Heartbeats and data do not starve each other

TEST(HalfOpen, ASlowLineThatIsFullOfDataIsAlive) {
  ServerConfig server_config = chaos_server_config();
  server_config.lane_bytes_max = 64 * 1024;
  Behind behind(server_config);
  // A heartbeat behind what sockets hold arrives much later than two of its intervals.
  AuditedFeed feed(behind.server, {"trades:A"}, seed());
  AuditedStrategy strategy(chaos_client_config(behind.proxy->url()), {"trades:A"});
  ASSERT_TRUE(strategy.until_live());
  ASSERT_EQ(behind.proxy->apply({.kind = FaultKind::throttle, .amount = 200'000}), 1u);
  const std::uint64_t bytes_before = behind.proxy->stats().forwarded_bytes[1];
  // Three times the patience of a client that counts heartbeats only.
  while (behind.proxy->stats().forwarded_bytes[1] - bytes_before < 400'000) {
    for (int i = 0; i < 200; ++i) feed.publish(0);
    strategy.take();
    ASSERT_EQ(strategy.count(ClientState::backing_off), 0u)
        << "given up although data came all the time";
  }
  EXPECT_EQ(strategy.client.metrics().connects, 1u);
  behind.proxy->apply({.kind = FaultKind::throttle, .amount = 0});
  ASSERT_TRUE(strategy.until([&] { return strategy.covered() == feed.published(); }));
  strategy.oracle.finish(feed.ledger());
  EXPECT_TRUE(strategy.oracle.clean()) << strategy.oracle.report();
}

TEST(HalfOpen, AStrategyThatDoesNotTakeIsNotADeadServer) {
  Behind behind;
  AuditedFeed feed(behind.server, {"accounts:A"}, seed());
  ClientConfig config = chaos_client_config(behind.proxy->url());
  config.message_bytes_max = 4 * 1024;
  config.ring_bytes = 64 * 1024;
  AuditedStrategy strategy(config, {"accounts:A"});
  ASSERT_TRUE(strategy.until_live());
  // More than the ring holds, and much longer than a silence may last: the client reads nothing.
  const auto end = Clock::now() + 2 * kHeartbeat + 1s;
  while (Clock::now() < end || feed.published() < 3'000) {
    if (feed.published() < 3'000) feed.publish(0);
    std::this_thread::yield();
  }
  ASSERT_TRUE(strategy.until([&] { return strategy.covered() == feed.published(); }));
  EXPECT_EQ(strategy.client.metrics().connects, 1u);
  EXPECT_GT(strategy.client.metrics().ring_full, 0u);
  strategy.oracle.finish(feed.ledger());
  EXPECT_TRUE(strategy.oracle.clean()) << strategy.oracle.report();
  EXPECT_EQ(strategy.oracle.missed(), 0u);
}

TEST(HalfOpen, AStreamThatIsConnectedAndSilentIsCalledStaleAndThenLiveAgain) {
  ServerConfig server_config = chaos_server_config();
  // Long enough that nothing is given up while the silence lasts.
  server_config.heartbeat_interval = 400ms;
  Behind behind(server_config);
  AuditedFeed feed(behind.server, {"accounts:A"}, seed());
  AuditedStrategy strategy(chaos_client_config(behind.proxy->url()), {"accounts:A"});
  ASSERT_TRUE(strategy.until_live());
  for (int i = 0; i < 100; ++i) feed.publish(0);
  ASSERT_TRUE(strategy.until([&] { return strategy.covered() == 100; }));
  // Nothing ends, nothing is reset, nothing comes: only the client's own clock can tell.
  ASSERT_EQ(behind.proxy->apply({.kind = FaultKind::stall}), 1u);
  for (int i = 0; i < 100; ++i) feed.publish(0);
  ASSERT_TRUE(strategy.until([&] { return strategy.count(ClientState::stale) == 1; }))
      << "its owner takes old data for new: " << to_string(strategy.client.state());
  EXPECT_EQ(strategy.covered(), 100u);
  behind.proxy->apply({.kind = FaultKind::stall, .amount = 1});
  ASSERT_TRUE(strategy.until([&] { return strategy.covered() == 200; }));
  ASSERT_TRUE(strategy.until_live());
  EXPECT_EQ(strategy.client.metrics().connects, 1u) << "the connection was good";
  strategy.oracle.finish(feed.ledger());
  EXPECT_TRUE(strategy.oracle.clean()) << strategy.oracle.report();
  EXPECT_EQ(strategy.oracle.missed(), 0u);
}

TEST(HalfOpen, HeartbeatsComeThroughAFlood) {
  ServerConfig server_config = chaos_server_config();
  Server server = Server::open(server_config).value();
  Publisher trades = server.publisher("trades:A");
  TestClient reader(server);
  reader.want_heartbeats();
  reader.subscribe({"trades:A"});
  // More than the server can hand on: whenever it looks, something waits. Exactly when a heartbeat
  // comes then is in the shard's own test.
  std::atomic<bool> over{false};
  std::atomic<bool> is_full{false};
  std::thread flood([&] {
    // relaxed, both: nothing hangs on when they are seen.
    while (!over.load(std::memory_order_relaxed)) {
      if (trades.publish(Event{"Trade", {}}) != PublishStatus::back_pressured) continue;
      is_full.store(true, std::memory_order_relaxed);
    }
  });
  std::uint64_t data = 0;
  const auto patience = Clock::now() + kAuditPatience;
  while ((reader.heartbeats() < 3 || !is_full) && Clock::now() < patience) {
    const Message* const message = reader.next();
    if (message == nullptr) break;
    if (message->envelope.seq != 0) ++data;
  }
  over = true;
  flood.join();
  EXPECT_GE(reader.heartbeats(), 3u) << "among " << data << " messages";
  EXPECT_TRUE(is_full) << "the server had time to rest";
}

}  // namespace
}  // namespace stratwire::test
