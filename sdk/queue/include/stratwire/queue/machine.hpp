/// What the algorithms of this library are made of, so that a model checker can put in its own.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace stratwire::queue {

/// Point in time at which a wait gives up; CLOCK_MONOTONIC.
using Deadline = std::chrono::steady_clock::time_point;

/// A wait that never gives up.
inline constexpr Deadline kNoDeadline = Deadline::max();

namespace detail {

/// Sleeps while `word` is `expected`, until woken or until the deadline.
///
/// \return  false when the deadline has passed; true may also be a wake-up without a cause
[[nodiscard]] bool futex_wait(const std::atomic<std::uint32_t>& word, std::uint32_t expected,
                              Deadline deadline) noexcept;
/// Wakes the one thread that sleeps on `word`, if there is one.
void futex_wake(const std::atomic<std::uint32_t>& word) noexcept;

}  // namespace detail

/// The real machine. Users never name it; tests/stress/model puts Relacy's machine in its place, to
/// check these very headers and not a copy of them.
struct Machine {
  template <class T>
  using Atomic = std::atomic<T>;

  /// Plain memory that both threads touch, at different times.
  template <class T>
  [[nodiscard]] static T read(const T& from) noexcept {
    return from;
  }
  template <class T>
  static void write(T& to, T value) noexcept {
    to = value;
  }

  [[nodiscard]] static bool park(const Atomic<std::uint32_t>& word, std::uint32_t expected,
                                 Deadline deadline) noexcept {
    return detail::futex_wait(word, expected, deadline);
  }
  static void unpark(const Atomic<std::uint32_t>& word) noexcept { detail::futex_wake(word); }

  /// Tells the processor (or the model) that this thread is in a loop that waits.
  static void relax() noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
};

}  // namespace stratwire::queue
