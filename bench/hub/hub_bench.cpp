/// What a message costs between publish() and send(): hub, channel's log, encoding, cohort's log
/// and the walk over the connections, in memory, with sockets that take everything at once.
///
/// A turn is `turn` publishes, then what one turn of the loop does with them. Channels are
/// published in turn and their logs are full, so that with many of them each message finds its log
/// out of the near caches. `inbox:1`: through the inbox, as from another thread; `inbox:0`: past
/// it, as on the thread of Server::poll(). Run with
///   bench_hub --benchmark_repetitions=9 --benchmark_enable_random_interleaving=true
///             --benchmark_report_aggregates_only=true
/// and for instructions: valgrind --tool=callgrind bench_hub --benchmark_filter=...
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include "hub_rig.hpp"

namespace {

using namespace stratwire::server;

/// Floor: the bytes of a message copied once, into a log that no near cache holds.
void BM_Hub_Copy(benchmark::State& state) {
  constexpr std::size_t kBytes = 159;
  constexpr std::size_t kMessages = 64 * 4096;
  const std::string message(kBytes, 'x');
  std::vector<char> log(kBytes * kMessages, 'y');
  std::size_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(message.data());
    std::memcpy(log.data() + at * kBytes, message.data(), kBytes);
    at = at + 1 == kMessages ? 0 : at + 1;
    benchmark::ClobberMemory();
  }
  state.counters["per_message"] =
      benchmark::Counter(static_cast<double>(state.iterations()),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_Hub_Copy);

void BM_Hub(benchmark::State& state) {
  const auto channels = static_cast<std::size_t>(state.range(0));
  const auto connections = static_cast<std::size_t>(state.range(1));
  const auto messages = static_cast<std::size_t>(state.range(2));
  const auto way = state.range(3) != 0 ? HubRig::Way::inbox : HubRig::Way::past_inbox;
  HubRig rig(channels, connections);
  const std::uint64_t before = rig.delivered();
  const std::uint64_t published_before = rig.published();
  for (auto _ : state) rig.turn(messages, way);
  const std::uint64_t published = rig.published() - published_before;
  if (rig.delivered() - before != published * connections) state.SkipWithError("not delivered");
  state.counters["per_message"] = benchmark::Counter(
      static_cast<double>(published), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_Hub)
    ->ArgNames({"channels", "connections", "turn", "inbox"})
    ->Args({1, 1, 64, 0})
    ->Args({1, 1, 64, 1})
    ->Args({64, 1, 64, 0})
    ->Args({64, 1, 64, 1})
    ->Args({1, 10, 1, 0})
    ->Args({1, 10, 16, 0})
    ->Args({1, 1000, 1, 0})
    ->Args({1, 10000, 1, 0});

}  // namespace
