/// The one clock of a run: intended publish times and reading times are compared across processes.
#pragma once

#include <cstdint>
#include <ctime>

namespace stratwire::bench {

/// Makes a time of the monotonic clock as long, in digits, as Unix time in nanoseconds is.
inline constexpr std::int64_t kBenchEpoch = 1'700'000'000'000'000'000;

/// CLOCK_MONOTONIC + kBenchEpoch: no step of the wall clock gets into a latency, and programs in
/// other languages have it too.
[[nodiscard]] inline std::int64_t bench_now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return kBenchEpoch + static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

[[nodiscard]] inline std::int64_t thread_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

}  // namespace stratwire::bench
