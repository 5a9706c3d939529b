/// Contract checks of this library. A contract that is broken by the program ends it.
#pragma once

namespace stratwire::queue::detail {

/// Prints the condition and its place on standard error and aborts.
[[noreturn]] void assert_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace stratwire::queue::detail

/// For cold paths; kept in release.
#define STRATWIRE_QUEUE_ASSERT(condition) \
  ((condition) ? void() : ::stratwire::queue::detail::assert_failed(#condition, __FILE__, __LINE__))

/// For hot paths; gone in release.
#ifdef NDEBUG
#define STRATWIRE_QUEUE_DCHECK(condition) void(sizeof((condition)))
#else
#define STRATWIRE_QUEUE_DCHECK(condition) STRATWIRE_QUEUE_ASSERT(condition)
#endif
