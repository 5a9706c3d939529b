/// What one look at a channel's gate costs, beside the clocks that it could read.
///
/// 1. `idle`: nothing new comes, as between two messages on the strategy's own thread.
/// 2. `busy`: another thread hands over messages of that very channel as fast as it can, so that
///    the gate's line is always somewhere else.
/// 3. `message`: what a gated channel adds to a message on the I/O thread. Run with
///   bench_gate --benchmark_repetitions=9 --benchmark_enable_random_interleaving=true
///              --benchmark_report_aggregates_only=true
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <benchmark/benchmark.h>

#include <stratwire/gate.hpp>

#include "gates.hpp"

namespace {

using namespace std::chrono_literals;
using stratwire::ChannelGate;
using stratwire::GateLimits;

/// The client's side of gates, as its loop drives it.
struct Rig {
  std::shared_ptr<stratwire::detail::GateClientWords> client =
      std::make_shared<stratwire::detail::GateClientWords>();
  std::shared_ptr<stratwire::detail::GateChannelWords> channel =
      std::make_shared<stratwire::detail::GateChannelWords>();
  stratwire::client::Gates gates{client};
  std::string name = "prices:SOL-USDC";
  stratwire::Delivery delivery{};

  Rig() {
    const std::vector<std::string> wishes{name};
    gates.wished(wishes);
    gates.add(name, channel);
    gates.went_live();
    delivery.envelope = {name, 1};
    delivery.body = stratwire::PriceUpdate{};
    message();
    // relaxed: one thread so far.
    client->taken.store(~std::uint64_t{0}, std::memory_order_relaxed);
  }
  void message() {
    const auto now = std::chrono::steady_clock::now();
    gates.heard(now);
    gates.handed(delivery, now);
  }
};

void idle(benchmark::State& state, GateLimits limits) {
  Rig rig;
  const ChannelGate gate{rig.client, rig.channel, limits};
  if (!gate.open()) state.SkipWithError("the gate is shut");
  for (auto _ : state) benchmark::DoNotOptimize(gate.open());
}

void BM_Gate_Open(benchmark::State& state) {
  idle(state, {1h, 1h});
}
BENCHMARK(BM_Gate_Open)->Name("BM_Gate_Open/idle");

void BM_Gate_OpenUntimed(benchmark::State& state) {
  idle(state, {0ns, 0ns});
}
BENCHMARK(BM_Gate_OpenUntimed)->Name("BM_Gate_Open/idle/no_limits");

// The stopwatch takes longer than the limit may be: what counts is the time of a look.
void BM_Gate_OpenExactly(benchmark::State& state) {
  Rig rig;
  const ChannelGate gate{rig.client, rig.channel, {0ns, 1ms}};
  for (auto _ : state) benchmark::DoNotOptimize(gate.open());
}
BENCHMARK(BM_Gate_OpenExactly)->Name("BM_Gate_Open/idle/limit:1ms");

void BM_Gate_OpenBusy(benchmark::State& state) {
  Rig rig;
  const ChannelGate gate{rig.client, rig.channel, {1h, 1h}};
  std::atomic<bool> done{false};
  std::thread io([&] {
    const auto now = std::chrono::steady_clock::now();
    // relaxed: the join orders the rest.
    while (!done.load(std::memory_order_relaxed)) rig.gates.handed(rig.delivery, now);
  });
  for (auto _ : state) benchmark::DoNotOptimize(gate.open());
  // relaxed: as above.
  done.store(true, std::memory_order_relaxed);
  io.join();
}
BENCHMARK(BM_Gate_OpenBusy)->Name("BM_Gate_Open/busy");

void BM_Gate_Message(benchmark::State& state) {
  Rig rig;
  const auto now = std::chrono::steady_clock::now();
  for (auto _ : state) {
    rig.gates.handed(rig.delivery, now);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_Gate_Message)->Name("BM_Gate_Message/gated");

void BM_Gate_MessageUngated(benchmark::State& state) {
  stratwire::client::Gates gates{std::make_shared<stratwire::detail::GateClientWords>()};
  const Rig rig;
  const auto now = std::chrono::steady_clock::now();
  for (auto _ : state) {
    gates.handed(rig.delivery, now);
    benchmark::ClobberMemory();
  }
}
BENCHMARK(BM_Gate_MessageUngated)->Name("BM_Gate_Message/no_gates");

void BM_Clock_Coarse(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(stratwire::telemetry::coarse_ns());
}
BENCHMARK(BM_Clock_Coarse);

void BM_Clock_Monotonic(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(stratwire::telemetry::monotonic_ns());
}
BENCHMARK(BM_Clock_Monotonic);

}  // namespace

BENCHMARK_MAIN();
