/// The two clocks, in nanoseconds.
#pragma once

#include <chrono>
#include <cstdint>

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

}  // namespace stratwire::telemetry
