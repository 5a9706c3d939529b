/// Time as the machines of this library see it: an argument, never a clock of their own.
#pragma once

#include <chrono>

namespace stratwire::session {

/// A moment on a clock that never goes back.
using Instant = std::chrono::steady_clock::time_point;
using Duration = std::chrono::nanoseconds;

/// "Nothing is due": later than every moment that a machine will be told of.
inline constexpr Instant kNever = Instant::max();

}  // namespace stratwire::session
