// Everybody is cut in the same moment: all come back, and not all at once.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/client.hpp>
#include <stratwire/testing/crowd.hpp>

#include "../unit/server/harness.hpp"
#include "chaos.hpp"

namespace stratwire::test {
namespace {

using testing::raise_descriptor_limit;

using Clock = std::chrono::steady_clock;

/// Clients without a thread, all driven by the test's own.
class Herd {
 public:
  Herd(std::size_t count, const std::string& url) {
    for (std::size_t i = 0; i < count; ++i) {
      ClientConfig config;
      config.url = url;
      config.codec = Codec::msgpack;
      config.threading = Threading::caller;
      config.message_bytes_max = 4 * 1024;
      config.ring_bytes = 16 * 1024;
      // One that was put off by a crowd asks again, whatever the machine is doing.
      config.connect_timeout = 30s;
      clients_.push_back(std::make_unique<Client>(Client::open(config).value()));
      clients_.back()->subscribe({"prices:A"}).value();
      lives_.push_back(0);
      first_delays_.push_back(-1ms);
    }
  }
  /// Drives all until each has been live so often. \return how long that took; nothing if never
  std::optional<Clock::duration> until_live(std::size_t times, std::chrono::seconds patience) {
    const auto start = Clock::now();
    std::size_t missing = clients_.size();
    while (missing > 0) {
      if (Clock::now() > start + patience) return std::nullopt;
      missing = 0;
      const auto before = Clock::now();
      for (std::size_t i = 0; i < clients_.size(); ++i) {
        poll(i);
        missing += lives_[i] < times ? 1U : 0U;
      }
      longest_round_ = std::max(longest_round_, Clock::now() - before);
    }
    return Clock::now() - start;
  }

  /// Drives all until none has a connection, so that none waits for a close handshake at its end.
  bool until_lost(std::chrono::seconds patience) {
    const auto end = Clock::now() + patience;
    for (std::size_t i = 0; i < clients_.size();) {
      poll(i);
      if (clients_[i]->state() != ClientState::live) {
        ++i;
      } else if (Clock::now() > end) {
        return false;
      }
    }
    return true;
  }

  /// What each said about its first try after the cut.
  [[nodiscard]] const std::vector<std::chrono::milliseconds>& first_delays() const {
    return first_delays_;
  }
  [[nodiscard]] Clock::duration longest_round() const { return longest_round_; }

 private:
  void poll(std::size_t index) {
    clients_[index]->poll([this, index](const Delivery& delivery) noexcept {
      const auto* const state = delivery.get_if<StateEvent>();
      if (state == nullptr) return;
      if (state->state == ClientState::live) ++lives_[index];
      if (state->state == ClientState::backing_off && first_delays_[index] < 0ms) {
        first_delays_[index] = state->retry_in;
      }
    });
  }

  std::vector<std::unique_ptr<Client>> clients_{};
  std::vector<std::size_t> lives_{};
  std::vector<std::chrono::milliseconds> first_delays_{};
  Clock::duration longest_round_{0};
};

TEST(ReconnectHerd, AllAreBackWithinTenSecondsAndNotInTheSameMoment) {
  // Each client has a handful of descriptors, the proxy two for it and the server one.
  const std::size_t wanted = sized<std::size_t>(200, 2'000);
  ASSERT_GE(raise_descriptor_limit(), wanted * 9) << "too few descriptors for this test";
  ServerConfig config;
  config.port = 0;
  Behind behind(config);
  Herd herd(wanted, behind.proxy->url());
  ASSERT_TRUE(herd.until_live(1, 120s)) << "never all live";
  const std::uint64_t accepted_before = behind.proxy->stats().accepted;
  ASSERT_EQ(behind.proxy->apply({.kind = FaultKind::reset}), wanted);
  const auto back = herd.until_live(2, 120s);
  ASSERT_TRUE(back) << "some never came back";
  const ProxyStats stats = behind.proxy->stats();
  std::cout << wanted << " clients back within " << *back / 1ms << " ms, "
            << stats.accepted - accepted_before << " connections for it, longest round "
            << herd.longest_round() / 1ms << " ms\n";
  EXPECT_LE(*back, 10s);

  // Each draws its own delay: no tenth of the first delay is anywhere near crowded. Whoever drew
  // more than 50 ms knocks before, after 25 to 50, as the server is on the same host: three tenths
  // of all within 10 ms.
  std::array<std::size_t, 10> buckets{};
  for (const auto delay : herd.first_delays()) {
    ASSERT_GE(delay, 0ms);
    ASSERT_LE(delay, 100ms);
    ++buckets[std::min<std::size_t>(9, static_cast<std::size_t>(delay.count()) / 10)];
  }
  EXPECT_LE(*std::max_element(buckets.begin(), buckets.end()), wanted * 2 / 5);

  behind.proxy->set_admission(testing::Admission::refuse);
  behind.proxy->apply({.kind = FaultKind::reset});
  EXPECT_TRUE(herd.until_lost(60s));
}

/// When each of the open connections was let in, by the server's clock.
std::vector<std::int64_t> admissions(const Server& server, std::size_t count) {
  std::vector<std::int64_t> times;
  for (const ConnectionStats& one : server.connections(count)) times.push_back(one.connected_at);
  std::sort(times.begin(), times.end());
  return times;
}

/// How many of a row of admissions a bucket of `burst` and `per_second` would not have
/// let in; 0 when it would have let in all.
std::size_t beyond_bucket(const std::vector<std::int64_t>& times, std::size_t per_second,
                          std::size_t burst) {
  // The governor counts in whole milliseconds, of a clock that nobody sets.
  constexpr std::int64_t kClocksApartNs = 2'000'000;
  std::size_t most = 0;
  for (std::size_t first = 0; first < times.size(); ++first) {
    for (std::size_t last = first; last < times.size(); ++last) {
      const auto passed = static_cast<double>(times[last] - times[first] + kClocksApartNs) / 1e9;
      const auto allowed = burst + 1 + static_cast<std::size_t>(passed * double(per_second));
      const std::size_t admitted = last - first + 1;
      most = std::max(most, admitted - std::min(admitted, allowed));
    }
  }
  return most;
}

TEST(ReconnectHerd, NoMoreAreLetInThanTheGovernorsRate) {
  const std::size_t wanted = sized<std::size_t>(200, 2'000);
  ASSERT_GE(raise_descriptor_limit(), wanted * 9) << "too few descriptors for this test";
  ServerConfig config;
  config.port = 0;
  // A crowd that needs some seconds, of the ten that it has.
  config.accepts_per_second = wanted / 4;
  config.accepts_burst = wanted / 20;
  Behind behind(config);
  Herd herd(wanted, behind.proxy->url());
  ASSERT_TRUE(herd.until_live(1, 120s)) << "never all live";
  const std::uint64_t refused_before = behind.server.stats().accepts_refused;
  ASSERT_EQ(behind.proxy->apply({.kind = FaultKind::reset}), wanted);
  const auto back = herd.until_live(2, 120s);
  ASSERT_TRUE(back) << "some never came back";
  const std::vector<std::int64_t> times = admissions(behind.server, wanted);
  const std::uint64_t refused = behind.server.stats().accepts_refused - refused_before;
  std::cout << wanted << " clients back within " << *back / 1ms << " ms at "
            << config.accepts_per_second << "/s, " << refused << " upgrades put off\n";
  EXPECT_LE(*back, 10s);
  EXPECT_GT(refused, 0u) << "nobody was put off: the governor had nothing to do";
  ASSERT_EQ(times.size(), wanted);
  EXPECT_EQ(beyond_bucket(times, config.accepts_per_second, config.accepts_burst), 0u);
  EXPECT_GT(beyond_bucket(times, config.accepts_per_second / 4, config.accepts_burst), 0u)
      << "this test would not notice a governor that lets too many in";

  behind.proxy->set_admission(testing::Admission::refuse);
  behind.proxy->apply({.kind = FaultKind::reset});
  EXPECT_TRUE(herd.until_lost(60s));
}

TEST(ReconnectHerd, AServerThatGoesGivesEachClientASlotOfItsOwn) {
  constexpr std::size_t kClients = 50;
  ServerConfig config = quiet_config();
  config.drain.reconnect_spread = 5s;
  Server server = open_server(std::move(config));
  std::vector<std::unique_ptr<TestClient>> clients;
  for (std::size_t i = 0; i < kClients; ++i)
    clients.push_back(std::make_unique<TestClient>(server));
  std::thread drain([&] { (void)server.drain(10s); });
  std::set<std::uint32_t> slots;
  for (auto& client : clients) {
    slots.insert(client->expect<GoAway>().reconnect_after_ms);
    client->raw().close();
  }
  drain.join();
  EXPECT_GE(slots.size(), kClients * 9 / 10) << "they would all be back in the same moment";
}

}  // namespace
}  // namespace stratwire::test
