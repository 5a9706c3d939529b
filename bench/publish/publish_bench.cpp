/// What publish() costs the thread that calls it: every call timed, by number of publishing
/// threads.
///
///   bench_publish [--calls N] [--burst N] [--rounds N]
///
/// 1. A thread sleeps for a moment, publishes a burst, and so on, as a feed does; one subscriber
///    (which reads nothing: the kernel's buffers and the limit of lagging are far away, or it is
///    lapped, which costs the hub and not the publisher).
/// 2. Each call is timed by the processor's counter; the cost of timing nothing (its median) is
///    taken off. What the scheduler does to a thread in the middle of a call is in the figures.
/// 3. Rows: the I/O thread spins (nobody has to be woken); it sleeps, so that the first call of a
///    burst wakes it; the inbox is full (the answer is back_pressured, at once); and the thread of
///    Server::poll(), where a call encodes. Floor: a copy into a ring, timed the same way.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include <stratwire/server.hpp>
#include <stratwire/testing/crowd.hpp>

#include "../support/rig.hpp"

namespace stratwire::bench {
namespace {

using Clock = std::chrono::steady_clock;

/// Ticks of the quickest clock there is.
std::uint64_t ticks() {
#if defined(__x86_64__)
  // Loads and stores before it are done, those behind it have not begun.
  unsigned core = 0;
  const std::uint64_t now = __rdtscp(&core);
  _mm_lfence();
  return now;
#else
  return static_cast<std::uint64_t>(Clock::now().time_since_epoch().count());
#endif
}

double ns_per_tick() {
  const auto begin = Clock::now();
  const std::uint64_t first = ticks();
  while (Clock::now() - begin < std::chrono::milliseconds(50)) {
  }
  const std::chrono::duration<double, std::nano> passed = Clock::now() - begin;
  return passed.count() / static_cast<double>(ticks() - first);
}

struct Plan {
  std::size_t calls = 200'000;  ///< Of each thread.
  std::size_t burst = 16;
  double tick_ns = 1;
  double overhead_ns = 0;
};

double timing_nothing(double tick_ns) {
  std::vector<double> all(100'001);
  for (double& ns : all) {
    const std::uint64_t begin = ticks();
    ns = static_cast<double>(ticks() - begin) * tick_ns;
  }
  return median(all);
}

/// The calls of one thread. `between` comes before each burst.
template <class Between>
std::vector<double> publish_calls(Publisher publisher, const Plan& plan, Between&& between) {
  std::vector<double> all;
  all.reserve(plan.calls);
  while (all.size() < plan.calls) {
    between();
    for (std::size_t i = 0; i < plan.burst; ++i) {
      const PriceUpdate update{.input_mint = "USDC",
                               .output_mint = "SOL",
                               .price = 142.3317,
                               .volume = all.size(),
                               .timestamp = 1'732'094'400'123'456'789};
      const std::uint64_t begin = ticks();
      publisher.publish(update);
      const double ns = static_cast<double>(ticks() - begin) * plan.tick_ns;
      all.push_back(std::max(0.0, ns - plan.overhead_ns));
    }
  }
  return all;
}

/// One that reads nothing once it is subscribed.
class Subscriber {
 public:
  explicit Subscriber(Server& server)
      : crowd_({server.local_port(), 1, "prices:SOL-USDC", Codec::json, 0}) {
    while (crowd_.subscribed() == 0) {
      server.poll();
      crowd_.poll(std::chrono::milliseconds{1});
    }
  }

 private:
  testing::Crowd crowd_;
};

std::vector<double> from_threads(Server& server, std::size_t threads, const Plan& plan) {
  std::vector<std::vector<double>> parts(threads);
  std::vector<std::thread> publishers;
  for (std::size_t t = 0; t < threads; ++t) {
    publishers.emplace_back([&server, &parts, &plan, t] {
      parts[t] = publish_calls(server.publisher("prices:SOL-USDC"), plan,
                               [] { std::this_thread::sleep_for(std::chrono::microseconds(50)); });
    });
  }
  std::vector<double> all;
  for (std::size_t t = 0; t < threads; ++t) {
    publishers[t].join();
    all.insert(all.end(), parts[t].begin(), parts[t].end());
  }
  return all;
}

Server open(Waiting waiting, Threading threading) {
  ServerConfig config;
  config.port = 0;
  config.waiting = waiting;
  config.threading = threading;
  return std::move(Server::open(config)).value();
}

/// The least that a hand-over costs: a copy into a ring, and the index moved for all to see.
std::vector<double> into_bare_ring(const Plan& plan) {
  struct Slot {
    std::array<char, 128> bytes{};
  };
  constexpr std::size_t kSlots = 4096;
  const auto ring = std::make_unique<std::array<Slot, kSlots>>();
  std::atomic<std::size_t> head{0};
  std::vector<double> all;
  all.reserve(plan.calls);
  Slot slot;
  while (all.size() < plan.calls) {
    slot.bytes[all.size() % slot.bytes.size()] = 'x';
    const std::uint64_t begin = ticks();
    // relaxed: one thread writes it.
    const std::size_t at = head.load(std::memory_order_relaxed);
    (*ring)[at % kSlots] = slot;
    // release: what a reader would pair its acquire with; it is part of the price.
    head.store(at + 1, std::memory_order_release);
    const double ns = static_cast<double>(ticks() - begin) * plan.tick_ns;
    all.push_back(std::max(0.0, ns - plan.overhead_ns));
  }
  return all;
}

constexpr const char* kFloor = "floor: a copy into a bare ring";

/// One row: percentiles, and how often the answer was back_pressured.
void note(Table& table, const Table::Name& name, std::vector<double> all,
          std::uint64_t back_pressured) {
  std::sort(all.begin(), all.end());
  table.add(name, {percentile(all, 50), percentile(all, 99), percentile(all, 99.9), all.back(),
                   static_cast<double>(back_pressured)});
}

void run(const Plan& plan, Table& table) {
  note(table, {kFloor}, into_bare_ring(plan), 0);
  for (const Waiting waiting : {Waiting::spin, Waiting::park}) {
    for (std::size_t threads = 1; threads <= 4; ++threads) {
      Server server = open(waiting, Threading::own_thread);
      const Subscriber subscriber(server);
      const std::string row =
          std::string(waiting == Waiting::spin ? "I/O thread spins"
                                               : "I/O thread sleeps before each burst") +
          ", publishing threads: " + std::to_string(threads);
      auto all = from_threads(server, threads, plan);
      note(table, {row, kFloor}, std::move(all), server.stats().publish_back_pressured);
    }
  }
  {
    // Nobody polls: what is published stays where it is.
    Server server = open(Waiting::park, Threading::caller);
    Publisher publisher = server.publisher("prices:SOL-USDC");
    while (publisher.publish(PriceUpdate{}) == PublishStatus::ok) {
    }
    auto all = publish_calls(publisher, plan, [] {});
    note(table, {"inbox full", kFloor}, std::move(all), server.stats().publish_back_pressured);
  }
  Server server = open(Waiting::park, Threading::caller);
  const Subscriber subscriber(server);
  auto all = publish_calls(server.publisher("prices:SOL-USDC"), plan, [&server] { server.poll(); });
  note(table, {"on the thread of poll()", kFloor}, std::move(all),
       server.stats().publish_back_pressured);
}

int main_of(int argc, char** argv) {
  Plan plan;
  plan.calls = static_cast<std::size_t>(option(argc, argv, "--calls", 200'000));
  plan.burst = static_cast<std::size_t>(option(argc, argv, "--burst", 16));
  plan.tick_ns = ns_per_tick();
  plan.overhead_ns = timing_nothing(plan.tick_ns);
  const auto rounds = static_cast<std::size_t>(option(argc, argv, "--rounds", 1));
  std::printf(
      "publish(): %zu calls of each thread, bursts of %zu; timing costs %.0f ns, taken off\n",
      plan.calls, plan.burst, plan.overhead_ns);
  Table table{"ns", Table::Better::less, {"p50", "p99", "p99.9", "max", "refused"}};
  for (std::size_t round = 0; round < rounds; ++round) run(plan, table);
  table.finish(argc, argv);
  return 0;
}

}  // namespace
}  // namespace stratwire::bench

int main(int argc, char** argv) {
  return stratwire::bench::main_of(argc, argv);
}
