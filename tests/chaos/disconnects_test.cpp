// Disconnects of every kind at random bytes of a stream: nothing comes twice, nothing out of order,
// and what does not come is named. How it works:
//  1. A server publishes through a proxy that ends each connection at a random byte, in a random
//     way; the seed is printed, and `stratwire chaos --random --seed N --print M` prints the plan.
//  2. One thread publishes, mostly no further ahead of the strategy than the server's log reaches,
//     at times far beyond it, so that some ranges can be replayed and some can't.
//  3. The strategy takes everything; a judge compares it with what was published.
// The last message lost would leave the publisher waiting for ever: that is noticed, too.

#include <atomic>
#include <cstdint>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "../support/audited.hpp"
#include "../support/seed.hpp"
#include "chaos.hpp"

namespace stratwire::test {
namespace {

const std::vector<std::string> kChannels = {"prices:SOL-USDC", "prices:BTC-USDC", "accounts:A",
                                            "accounts:B",      "trades:SOL-USDC", "trades:BTC-USDC",
                                            "token-x",         "global"};

/// Far below the 4,096 messages of every channel's log: all of it can be replayed.
constexpr std::uint64_t kWithinLog = 1'500;
/// More than one channel's log holds.
constexpr int kBeyondLog = 6'000;

enum class Pace {
  within_log,  ///< Everything that was missed can be replayed.
  mixed,       ///< At times more is published than the log keeps.
};

struct Size {
  std::uint64_t disconnects = 0;
  std::uint64_t messages = 0;
};

/// \thread its own; the test ends it by its last member
class PublisherThread {
 public:
  PublisherThread(AuditedFeed& feed, const AuditedStrategy& strategy, const testing::Proxy& proxy,
                  Size size, Pace pace, std::uint64_t seed)
      : feed_(feed), strategy_(strategy), proxy_(proxy), size_(size), pace_(pace), random_(seed) {
    thread_ = std::thread([this] { run(); });
  }
  ~PublisherThread() {
    stop_ = true;
    thread_.join();
  }
  PublisherThread(const PublisherThread&) = delete;
  PublisherThread& operator=(const PublisherThread&) = delete;

  [[nodiscard]] bool is_done() const { return done_; }

 private:
  void run() {
    while (!stop_ && !is_enough()) {
      if (pace_ == Pace::mixed && random_() % 40 == 0) {
        const std::size_t channel = random_() % feed_.channels();
        for (int i = 0; i < kBeyondLog; ++i) feed_.publish(channel);
      }
      for (int i = 0; i < 100; ++i) feed_.publish_anywhere();
      while (!stop_ && feed_.published() - strategy_.covered() > kWithinLog) {
        std::this_thread::yield();
      }
    }
    done_ = true;
  }
  [[nodiscard]] bool is_enough() const {
    return feed_.published() >= size_.messages && proxy_.stats().disconnects() >= size_.disconnects;
  }

  AuditedFeed& feed_;
  const AuditedStrategy& strategy_;
  const testing::Proxy& proxy_;
  Size size_;
  Pace pace_;
  std::mt19937_64 random_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> done_{false};
  std::thread thread_{};
};

struct Case {
  std::string name{};
  Codec codec = Codec::msgpack;
  bool is_unix = false;
  Threading threading = Threading::own_thread;

  friend void PrintTo(const Case& value, std::ostream* out) { *out << value.name; }
};
class Disconnects : public ::testing::TestWithParam<Case> {
 protected:
  /// All of it; the judge's verdict is the caller's to look at.
  void run(Size size, Pace pace) {
    const std::uint64_t seed_of_all = seed();
    testing::RandomFaults random;
    random.seed = seed_of_all;
    random.offset_min = 1'000;
    // About as many bytes as the messages have, twice, because half of it is the mean.
    random.offset_max = 2 * size.messages / size.disconnects * bytes_of_message();
    random.connections_max = size.disconnects;
    const std::string path = temporary_path("chaos.sock");
    ServerConfig server_config = chaos_server_config();
    testing::ProxyConfig proxy_config;
    if (GetParam().is_unix) {
      server_config.unix_path = path;
      proxy_config.listen = "unix:" + path + ".proxy";
    }
    Server server = Server::open(server_config).value();
    proxy_config.target = GetParam().is_unix ? "unix:" + path : server.local_addr();
    proxy_config.plan = testing::Plan{random};
    const auto proxy = open_proxy(std::move(proxy_config));
    ASSERT_NE(proxy, nullptr);

    AuditedFeed feed(server, kChannels, seed_of_all);
    ClientConfig client_config = chaos_client_config(proxy->url(), GetParam().codec);
    client_config.threading = GetParam().threading;
    AuditedStrategy strategy(client_config, kChannels);
    // What was published before the first subscription took effect is nobody's loss.
    ASSERT_TRUE(strategy.until_live()) << "never live";
    {
      const PublisherThread publisher(feed, strategy, *proxy, size, pace, seed_of_all + 1);
      ASSERT_TRUE(strategy.until(
          [&] {
            return (publisher.is_done() && strategy.covered() >= feed.published()) ||
                   !strategy.oracle.clean();
          },
          is_full() ? 20min : std::chrono::minutes{1}))
          << "stuck at " << strategy.covered() << " of " << feed.published() << " after "
          << proxy->stats().disconnects() << " disconnects, " << to_string(strategy.client.state())
          << '\n'
          << strategy.oracle.report();
    }
    strategy.oracle.finish(feed.ledger());
    print(*proxy, strategy);
    handed_ = strategy.oracle.handed();
    missed_ = strategy.oracle.missed();
    EXPECT_TRUE(strategy.oracle.clean()) << strategy.oracle.report();
    EXPECT_GE(proxy->stats().disconnects(), size.disconnects);
    EXPECT_GE(feed.published(), size.messages);
    EXPECT_EQ(handed_ + missed_, feed.published());
    EXPECT_EQ(strategy.client.metrics().decode_errors, 0u);
    // The client would mend these; a server that is right gives it nothing to mend.
    EXPECT_EQ(strategy.upstream_gaps, 0u);
    EXPECT_EQ(strategy.client.metrics().duplicates, 0u);
  }

  [[nodiscard]] std::uint64_t missed() const { return missed_; }
  [[nodiscard]] std::uint64_t handed() const { return handed_; }

 private:
  static std::uint64_t bytes_of_message() { return GetParam().codec == Codec::msgpack ? 70 : 140; }
  static void print(const testing::Proxy& proxy, const AuditedStrategy& strategy) {
    const ProxyStats stats = proxy.stats();
    std::cout << stats.accepted << " connections;";
    for (std::size_t kind = 0; kind < testing::kFaultKinds; ++kind) {
      std::cout << ' ' << stats.faults[kind] << ' ' << to_string(static_cast<FaultKind>(kind));
    }
    std::cout << "\n" << strategy.oracle.report();
  }

  std::uint64_t handed_ = 0;
  std::uint64_t missed_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Chaos, Disconnects,
                         ::testing::Values(Case{"msgpack"}, Case{"json_unix", Codec::json, true},
                                           Case{"caller", Codec::msgpack, false,
                                                Threading::caller}),
                         [](const auto& each) { return each.param.name; });

TEST_P(Disconnects, LoseNothingInSilence) {
  run({sized<std::uint64_t>(30, 1'000), sized<std::uint64_t>(100'000, 1'000'000)}, Pace::mixed);
  EXPECT_GT(handed(), 0u);
}

TEST_P(Disconnects, LoseNothingAtAllThatTheLogStillHas) {
  run({sized<std::uint64_t>(20, 300), sized<std::uint64_t>(50'000, 300'000)}, Pace::within_log);
  EXPECT_EQ(missed(), 0u);
}

}  // namespace
}  // namespace stratwire::test
