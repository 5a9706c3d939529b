/// Hand-over of 64-byte messages between two threads, each pinned to a core of its own and
/// spinning.
///
/// RoundTrip: one message there and back, one at a time; p50_ns and p99_ns are of single round
/// trips, the reading of the clock (about 20 ns) included. Throughput: one side pushes as fast as
/// it can, the other pops; with batches both sides move 32 at a time. PushPop: on one thread, the
/// cost of the instructions alone. BareRing is the floor: a ring without anything else.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <memory>
#include <pthread.h>
#include <sched.h>
#include <string>
#include <thread>

#include <benchmark/benchmark.h>

#include <stratwire/queue/sleep_flag.hpp>
#include <stratwire/queue/wait.hpp>
#include <stratwire/telemetry/clock.hpp>
#include <stratwire/telemetry/counter.hpp>
#include <stratwire/telemetry/histogram.hpp>

#include "rigs.hpp"

namespace stratwire::bench {
namespace {

using telemetry::monotonic_ns;

constexpr std::size_t kTrips = 100'000;
constexpr std::size_t kWarmUpTrips = 10'000;
constexpr std::size_t kItemsPerIteration = 200'000;

/// Moves this thread to one of the cores that the process may use.
bool pin(int nth) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return false;
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed) || nth-- != 0) continue;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    return pthread_setaffinity_np(pthread_self(), sizeof one, &one) == 0;
  }
  return false;
}

/// The main thread on the first core, a partner on the second, and afterwards as it was before.
class Pair {
 public:
  template <class Work>
  Pair(benchmark::State& state, Work work) {
    sched_getaffinity(0, sizeof before_, &before_);
    partner_ = std::thread([this, work] {
      ready_.store(pin(1) ? 1 : -1, std::memory_order_release);
      while (!stop_.load(std::memory_order_relaxed)) work();
    });
    while (ready_.load(std::memory_order_acquire) == 0) {
    }
    if (ready_.load(std::memory_order_relaxed) < 0 || !pin(0)) {
      state.SkipWithError("needs two cores");
    }
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  ~Pair() {
    stop_.store(true, std::memory_order_relaxed);
    partner_.join();
    sched_setaffinity(0, sizeof before_, &before_);
  }

 private:
  cpu_set_t before_{};
  std::atomic<int> ready_{0};
  std::atomic<bool> stop_{false};
  std::thread partner_;
};

template <class Rig>
void round_trip(benchmark::State& state) {
  const auto there = std::make_unique<Rig>();
  const auto back = std::make_unique<Rig>();
  const Pair pair(state, [&there, &back] {
    Item item;
    if (there->pop(item)) {
      while (!back->push(item)) {
      }
    }
  });
  Item item;
  const auto trip = [&] {
    while (!there->push(item)) {
    }
    while (!back->pop(item)) {
    }
  };
  for (std::size_t i = 0; i < kWarmUpTrips; ++i) trip();
  telemetry::Histogram latency;
  std::int64_t before = monotonic_ns();
  for (auto _ : state) {
    trip();
    const std::int64_t now = monotonic_ns();
    latency.record(now - before);
    state.SetIterationTime(static_cast<double>(now - before) * 1e-9);
    before = now;
  }
  const auto seen = latency.snapshot();
  state.counters["p50_ns"] = static_cast<double>(seen.percentile(50));
  state.counters["p99_ns"] = static_cast<double>(seen.percentile(99));
}

template <class Rig>
void throughput(benchmark::State& state) {
  const auto queue = std::make_unique<Rig>();
  const Item sent;
  const Pair pair(state, [&queue, &sent] { benchmark::DoNotOptimize(queue->push(sent)); });
  Item item;
  for (auto _ : state) {
    for (std::size_t seen = 0; seen < kItemsPerIteration;) seen += queue->pop(item) ? 1u : 0u;
    benchmark::DoNotOptimize(item);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kItemsPerIteration));
}

template <class Rig>
void batch_throughput(benchmark::State& state) {
  const auto queue = std::make_unique<Rig>();
  const std::array<Item, kBatch> sent{};
  const Pair pair(state, [&queue, &sent] { benchmark::DoNotOptimize(queue->push_batch(sent)); });
  std::array<Item, kBatch> items{};
  for (auto _ : state) {
    for (std::size_t seen = 0; seen < kItemsPerIteration;) seen += queue->pop_batch(items);
    benchmark::DoNotOptimize(items);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kItemsPerIteration));
}

template <class Rig>
void push_pop(benchmark::State& state) {
  const auto queue = std::make_unique<Rig>();
  Item item;
  for (auto _ : state) {
    benchmark::DoNotOptimize(queue->push(item));
    benchmark::DoNotOptimize(queue->pop(item));
  }
}

void copy(benchmark::State& state) {
  Item from;
  Item to;
  for (auto _ : state) {
    benchmark::DoNotOptimize(from);
    to = from;
    benchmark::DoNotOptimize(to);
  }
}

void park_notify(benchmark::State& state) {
  queue::ParkWait wait;
  for (auto _ : state) wait.notify();
}

void counter_add(benchmark::State& state) {
  telemetry::Counter counter;
  for (auto _ : state) {
    counter.add();
    benchmark::ClobberMemory();
  }
}

void histogram_record(benchmark::State& state) {
  telemetry::Histogram histogram;
  std::int64_t ns = 0;
  for (auto _ : state) {
    histogram.record(ns);
    ns = (ns + 977) & 0xffff;
  }
  benchmark::DoNotOptimize(histogram.snapshot().count());
}

template <class Rig>
void add(const std::string& name) {
  const std::string prefix = "BM_" + name;
  const std::string suffix = "/bytes:64";
  benchmark::RegisterBenchmark((prefix + "_RoundTrip" + suffix).c_str(), round_trip<Rig>)
      ->UseManualTime()
      ->Iterations(kTrips);
  benchmark::RegisterBenchmark((prefix + "_Throughput" + suffix).c_str(), throughput<Rig>)
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
  if constexpr (requires(Rig rig, std::span<Item> items) { rig.pop_batch(items); }) {
    benchmark::RegisterBenchmark((prefix + "_BatchThroughput" + suffix + "/batch:32").c_str(),
                                 batch_throughput<Rig>)
        ->UseRealTime()
        ->Unit(benchmark::kMillisecond);
  }
  benchmark::RegisterBenchmark((prefix + "_PushPop" + suffix).c_str(), push_pop<Rig>);
}

void add_all() {
  benchmark::RegisterBenchmark("BM_Floor_Copy/bytes:64", copy);
  add<BareRing<128>>("BareRing128");
  add<BareRing<64>>("BareRing64");
  add<SpscRig>("Spsc");
  add<SpscBytesRig>("SpscBytes");
  add<MpmcRig>("Mpmc");
  add<ConcurrentQueueRig>("MoodycamelConcurrentQueue");
  add<ReaderWriterQueueRig>("MoodycamelReaderWriterQueue");
  add<BoostSpscRig>("BoostSpscQueue");
  add<BoostQueueRig>("BoostQueue");
  add<DequeMutexRig>("DequeMutex");
  benchmark::RegisterBenchmark("BM_ParkWait_NotifyNobody", park_notify);
  benchmark::RegisterBenchmark("BM_Counter_Add", counter_add);
  benchmark::RegisterBenchmark("BM_Histogram_Record", histogram_record);
}

}  // namespace
}  // namespace stratwire::bench

int main(int argc, char** argv) {
  stratwire::bench::add_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
