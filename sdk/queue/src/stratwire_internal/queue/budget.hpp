/// A bounded number of permits, taken and given back by any thread.
///
/// Algorithm: one counter, compare-and-swap. Writers: every caller. Progress: lock-free.
/// Death of a thread: the permits that it held are gone.
#pragma once

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
    // relaxed: the exchange below decides.
    std::size_t taken = taken_.load(std::memory_order_relaxed);
    for (;;) {
      if (count > capacity_ - taken) return false;
      // acquire: pairs with the release in give_back(); what the permits stand for is free again.
      if (taken_.compare_exchange_weak(taken, taken + count, std::memory_order_acquire)) {
        return true;
      }
    }
  }

  void give_back(std::size_t count) noexcept {
    // release: pairs with the acquire in try_take(); what the permits stand for is done with.
    taken_.fetch_sub(count, std::memory_order_release);
  }

  /// Permits taken at some moment in the recent past; never more than capacity().
  [[nodiscard]] std::size_t taken_approx() const noexcept {
    // relaxed: a figure for people.
    return taken_.load(std::memory_order_relaxed);
  }

 private:
  const std::size_t capacity_;
  alignas(kIsolationBytes) typename MachineT::template Atomic<std::size_t> taken_{0};
};

using Budget = BasicBudget<Machine>;

}  // namespace stratwire::queue
