/// What publish() costs the thread that calls it: every call timed, by number of publishing
/// threads.
///
///   bench_publish [--calls N] [--burst N]
///
/// 1. A thread sleeps for a moment, publishes a burst, and so on, as a feed does; one subscriber
///    (which reads nothing: the kernel's buffers and the limit of lagging are far away, or it is
///    lapped, which costs the hub and not the publisher).
/// 2. Each call is timed by the processor's counter; the cost of timing nothing (its median) is
///    taken off. What the scheduler does to a thread in the middle of a call is in the figures.
/// 3. Rows: the I/O thread spins (nobody has to be woken); it sleeps, so that the first call of a
///    burst wakes it; the inbox is full (the answer is back_pressured, at once); and the thread of
///    Server::poll(), where a call encodes.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
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

void show(const char* what, std::size_t threads, std::vector<double> all, const Server& server) {
  std::sort(all.begin(), all.end());
  std::printf("%-34s %7zu %8.0f %8.0f %8.0f %10.0f %14llu\n", what, threads, percentile(all, 50),
              percentile(all, 99), percentile(all, 99.9), all.back(),
              static_cast<unsigned long long>(server.stats().publish_back_pressured));
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

void run(const Plan& plan) {
  std::printf("%-34s %7s %8s %8s %8s %10s %14s\n", "ns per publish()", "threads", "p50", "p99",
              "p99.9", "max", "back_pressured");
  for (const Waiting waiting : {Waiting::spin, Waiting::park}) {
    for (std::size_t threads = 1; threads <= 4; ++threads) {
      Server server = open(waiting, Threading::own_thread);
      const Subscriber subscriber(server);
      const auto all = from_threads(server, threads, plan);
      show(waiting == Waiting::spin ? "I/O thread spins" : "I/O thread sleeps before each burst",
           threads, all, server);
    }
  }
  {
    // Nobody polls: what is published stays where it is.
    Server server = open(Waiting::park, Threading::caller);
    Publisher publisher = server.publisher("prices:SOL-USDC");
    while (publisher.publish(PriceUpdate{}) == PublishStatus::ok) {
    }
    const auto all = publish_calls(publisher, plan, [] {});
    show("inbox full", 1, all, server);
  }
  Server server = open(Waiting::park, Threading::caller);
  const Subscriber subscriber(server);
  const auto all =
      publish_calls(server.publisher("prices:SOL-USDC"), plan, [&server] { server.poll(); });
  show("on the thread of poll()", 1, all, server);
}

int main_of(int argc, char** argv) {
  Plan plan;
  plan.calls = static_cast<std::size_t>(option(argc, argv, "--calls", 200'000));
  plan.burst = static_cast<std::size_t>(option(argc, argv, "--burst", 16));
  plan.tick_ns = ns_per_tick();
  plan.overhead_ns = timing_nothing(plan.tick_ns);
  std::printf("%zu calls of each thread, bursts of %zu; timing costs %.0f ns, taken off\n",
              plan.calls, plan.burst, plan.overhead_ns);
  run(plan);
  return 0;
}

}  // namespace
}  // namespace stratwire::bench

int main(int argc, char** argv) {
  return stratwire::bench::main_of(argc, argv);
}
