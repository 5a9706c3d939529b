/// Numbers that one thread writes and any thread reads.
#pragma once

#include <atomic>
#include <cstdint>

namespace stratwire::telemetry {

/// Counts up; one writer.
///
/// Reading gives a value that the counter had; two counters read one after the other need not
/// belong to the same moment.
///
/// \thread add: one thread at a time; value: any thread
/// \cost   a load and a store, no locked instruction
class Counter {
 public:
  void add(std::uint64_t n = 1) noexcept {
    // relaxed: only this thread writes; a figure orders nothing.
    const std::uint64_t before = value_.load(std::memory_order_relaxed);
    // relaxed: as above.
    value_.store(before + n, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t value() const noexcept {
    // relaxed: a figure orders nothing.
    return value_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// Counts up; any number of writers.
///
/// \thread any thread
/// \cost   one locked instruction, and a cache miss when another thread counted last
class SharedCounter {
 public:
  void add(std::uint64_t n = 1) noexcept {
    // relaxed: a figure orders nothing.
    value_.fetch_add(n, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t value() const noexcept {
    // relaxed: a figure orders nothing.
    return value_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// A level that goes up and down; one writer.
///
/// \thread set and add: one thread at a time; value: any thread
class Gauge {
 public:
  void set(std::int64_t level) noexcept {
    // relaxed: a figure orders nothing.
    value_.store(level, std::memory_order_relaxed);
  }
  void add(std::int64_t change) noexcept {
    // relaxed: only this thread writes; a figure orders nothing.
    set(value_.load(std::memory_order_relaxed) + change);
  }
  [[nodiscard]] std::int64_t value() const noexcept {
    // relaxed: a figure orders nothing.
    return value_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::int64_t> value_{0};
};

}  // namespace stratwire::telemetry
