/// A bounded number of permits, taken and given back by any thread.
///
/// Algorithm: two counters that only rise, permits taken and permits given back, and with the
/// takers a copy of the second one that is renewed when it no longer suffices (as Lee, Bu,
/// Chandranmenon cache an index, 2009). So who takes does not wait for the line of who gives back
/// but once in as many permits as there are.
/// Writers: taken_ and given_seen_ by who takes, given_ by who gives back.
/// Progress: lock-free.
/// Death of a thread: the permits that it held are gone.
#pragma once

#include <algorithm>
#include <cstddef>

#include <stratwire/queue/cache_line.hpp>
#include <stratwire/queue/machine.hpp>

namespace stratwire::queue {

/// Use it by its alias Budget, below.
///
/// \thread any thread
template <class MachineT>
class BasicBudget {
 public:
  explicit BasicBudget(std::size_t capacity) noexcept : capacity_(capacity) {}

  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

  /// Takes `count` permits if there are so many, else none.
  [[nodiscard]] bool try_take(std::size_t count) noexcept {
    if (count > capacity_) return false;
    // relaxed: the exchange below decides.
    std::size_t taken = taken_.load(std::memory_order_relaxed);
    for (;;) {
      if (!has_room(taken, count)) return false;
      // relaxed: what the permits stand for was acquired with has_room().
      if (taken_.compare_exchange_weak(taken, taken + count, std::memory_order_relaxed)) {
        return true;
      }
    }
  }

  void give_back(std::size_t count) noexcept {
    // release: pairs with the acquire in has_room(); what the permits stand for is done with. A
    // read-modify-write: permits that another thread gave back before stay released.
    given_.fetch_add(count, std::memory_order_release);
  }

  /// Permits taken at some moment in the recent past; never more than capacity(), and never 0 while
  /// one is held that this thread has been told of.
  [[nodiscard]] std::size_t taken_approx() const noexcept {
    // acquire: pairs with the release in give_back(); permits were taken before they were given
    // back, so that the count of those taken, read second, is never the older one.
    const std::size_t given = given_.load(std::memory_order_acquire);
    // relaxed: what this thread has been told of, it sees.
    const std::ptrdiff_t held = difference(taken_.load(std::memory_order_relaxed), given);
    return held <= 0 ? 0 : std::min(static_cast<std::size_t>(held), capacity_);
  }

 private:
  /// Below zero where `taken` is older than `given`.
  static std::ptrdiff_t difference(std::size_t taken, std::size_t given) noexcept {
    return static_cast<std::ptrdiff_t>(taken - given);
  }

  /// Whether `count` more permits are there. Says yes of a `taken` that is out of date, of which
  /// the exchange will tell.
  [[nodiscard]] bool has_room(std::size_t taken, std::size_t count) noexcept {
    const auto room = static_cast<std::ptrdiff_t>(capacity_ - count);
    // acquire: pairs with the release below, of who saw the permits given back.
    if (difference(taken, given_seen_.load(std::memory_order_acquire)) <= room) return true;
    // acquire: pairs with the release in give_back(); what the permits stand for is free again.
    const std::size_t given = given_.load(std::memory_order_acquire);
    if (difference(taken, given) > room) return false;
    // release: pairs with the acquire above. An older value that comes late only costs a look.
    given_seen_.store(given, std::memory_order_release);
    return true;
  }

  static_assert(sizeof(std::size_t) == 8, "the counters never wrap");

  const std::size_t capacity_;

  // Written by who takes.
  alignas(kIsolationBytes) typename MachineT::template Atomic<std::size_t> taken_{0};
  typename MachineT::template Atomic<std::size_t> given_seen_{0};

  // Written by who gives back: consumers, and takers who could not use what they took.
  alignas(kIsolationBytes) typename MachineT::template Atomic<std::size_t> given_{0};
};

using Budget = BasicBudget<Machine>;

}  // namespace stratwire::queue
