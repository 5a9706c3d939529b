/// The clocks, in nanoseconds.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>

namespace stratwire::telemetry {

/// Unix nanoseconds, as in timestamps of messages. Jumps when the machine's clock is set.
///
/// \thread any thread
/// \cost   about 25 ns, no system call
[[nodiscard]] inline std::int64_t wall_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// Nanoseconds since some moment of this boot; never goes back. For durations on one machine.
///
/// \thread any thread
/// \cost   about 25 ns, no system call
[[nodiscard]] inline std::int64_t monotonic_ns() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// As monotonic_ns(), but as of the kernel's last tick: up to coarse_tick_ns() late, never early.
///
/// \thread any thread
/// \cost   about 5 ns, no system call
[[nodiscard]] inline std::int64_t coarse_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

/// How far coarse_ns() may be behind: 1 to 10 ms, as the kernel was built.
///
/// \thread any thread
[[nodiscard]] inline std::int64_t coarse_tick_ns() noexcept {
  timespec tick{};
  ::clock_getres(CLOCK_MONOTONIC_COARSE, &tick);
  return std::int64_t{tick.tv_sec} * 1'000'000'000 + tick.tv_nsec;
}

}  // namespace stratwire::telemetry
