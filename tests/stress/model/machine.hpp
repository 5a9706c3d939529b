/// Relacy's machine, for the headers under test to be instantiated with instead of the real one.
///
/// How it works:
/// 1. Include the headers under test first, then this file: Relacy redefines `new` and more.
/// 2. Every atomic operation of the header arrives here with its source location. The first run
///    registers those that are not relaxed (and relaxed read-modify-writes); nothing is listed by
///    hand, so an order that is added to a header is checked without being asked for.
/// 3. `active_mutation` names one of them: it is made relaxed (a relaxed read-modify-write is split
///    into a load and a store). Relacy must then find a fault.
/// 4. Plain memory that both threads touch has a shadow: an rl::var for each address, on which
///    Relacy checks for data races.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>

#include <stratwire/queue/machine.hpp>

// Old code, included as a system header; what its macros do to this file is undone at once.
#include <relacy/relacy.hpp>
#undef memory_order_relaxed
#undef memory_order_consume
#undef memory_order_acquire
#undef memory_order_release
#undef memory_order_acq_rel
#undef memory_order_seq_cst
#undef new
#undef delete
#undef malloc
#undef calloc
#undef realloc
#undef free
#undef assert
#undef errno

namespace stratwire::model {

/// A line of a header; as a default argument, the caller's. (clang 14 lacks std::source_location.)
struct Where {
  const char* file;
  int line;

  static constexpr Where here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

/// One atomic operation in a header whose order matters. There is at most one in a line: two would
/// show as an order that was not reached.
struct Site {
  Where where{nullptr, 0};
  /// A read-modify-write that is relaxed, and matters by being one.
  bool is_relaxed_rmw = false;
};

inline constexpr int kNoMutation = -1;
/// Index into sites() of the operation that is weakened in this run.
inline int active_mutation = kNoMutation;

struct Sites {
  std::array<Site, 64> list{};
  int count = 0;

  /// The index of the operation at `where`; a new one if it was not seen before.
  int find(const Where& where, bool is_relaxed_rmw) {
    for (int i = 0; i < count; ++i) {
      const Site& site = list[static_cast<std::size_t>(i)];
      if (site.where.line == where.line && std::strcmp(site.where.file, where.file) == 0) {
        return i;
      }
    }
    RL_VERIFY(static_cast<std::size_t>(count) < list.size());
    list[static_cast<std::size_t>(count)] = {where, is_relaxed_rmw};
    return count++;
  }
};
inline Sites& sites() {
  static Sites instance;
  return instance;
}

/// The order to use at `where`: what the header says, or relaxed where it is mutated.
inline rl::memory_order order_at(std::memory_order order, const Where& where) {
  if (order == std::memory_order_relaxed) return rl::mo_relaxed;
  if (sites().find(where, false) == active_mutation) return rl::mo_relaxed;
  switch (order) {
    case std::memory_order_acquire:
      return rl::mo_acquire;
    case std::memory_order_release:
      return rl::mo_release;
    case std::memory_order_acq_rel:
      return rl::mo_acq_rel;
    default:
      return rl::mo_seq_cst;
  }
}

/// std::atomic's interface on rl::atomic.
template <class T>
class Atomic {
 public:
  Atomic(T value) : value_(value) {}  // NOLINT: implicit, as std::atomic

  T load(std::memory_order order, Where where = Where::here()) const {
    return value_.load(order_at(order, where), RL_INFO);
  }
  void store(T value, std::memory_order order, Where where = Where::here()) {
    value_.store(value, order_at(order, where), RL_INFO);
  }
  T exchange(T value, std::memory_order order, Where where = Where::here()) {
    if (split(order, where)) {
      const T before = value_.load(rl::mo_relaxed, RL_INFO);
      value_.store(value, rl::mo_relaxed, RL_INFO);
      return before;
    }
    return value_.exchange(value, order_at(order, where), RL_INFO);
  }
  T fetch_add(T value, std::memory_order order, Where where = Where::here()) {
    return value_.fetch_add(value, order_at(order, where), RL_INFO);
  }
  bool compare_exchange_weak(T& expected, T value, std::memory_order order,
                             Where where = Where::here()) {
    return value_.compare_exchange_weak(expected, value, order_at(order, where), RL_INFO);
  }

  /// Sleeps if the newest value is `expected`; looking and going to sleep are one step, as in the
  /// kernel.
  void park(T expected) const {
    rl::ctx().sched();
    if (value_.debug_value() == expected) {
      static_cast<void>(value_.wait(rl::ctx(), false, true, RL_INFO));
    }
  }
  void unpark() const {
    rl::ctx().sched();
    static_cast<void>(value_.wake(rl::ctx(), 1, RL_INFO));
  }

 private:
  static bool split(std::memory_order order, const Where& where) {
    return order == std::memory_order_relaxed && sites().find(where, true) == active_mutation;
  }
  mutable rl::atomic<T> value_;
};

/// Shadows of plain memory, one for each address that was touched in this execution.
class Shadows {
 public:
  void on_read(const void* address) { static_cast<void>(at(address)(RL_INFO).load()); }
  void on_write(const void* address) { at(address)(RL_INFO).store(1); }

 private:
  rl::var<int>& at(const void* address) {
    for (std::size_t i = 0; i < count_; ++i) {
      if (addresses_[i] == address) return cells_[i];
    }
    RL_VERIFY(count_ < addresses_.size());
    addresses_[count_] = address;
    return cells_[count_++];
  }

  std::array<const void*, 24> addresses_{};
  std::array<rl::var<int>, 24> cells_{};
  std::size_t count_ = 0;
};
/// Of the execution that runs now; belongs to its test.
inline Shadows* shadows = nullptr;

/// What a header under test is instantiated with.
struct Machine {
  template <class T>
  using Atomic = model::Atomic<T>;

  template <class T>
  static T read(const T& from) {
    shadows->on_read(&from);
    return from;
  }
  template <class T>
  static void write(T& to, T value) {
    shadows->on_write(&to);
    to = value;
  }
  static bool park(const Atomic<std::uint32_t>& word, std::uint32_t expected, queue::Deadline) {
    word.park(expected);
    return true;
  }
  static void unpark(const Atomic<std::uint32_t>& word) { word.unpark(); }
  static void relax() { rl::yield(1, RL_INFO); }
};

/// Base of every test: its threads, and the shadows of one execution.
template <class Derived, int kThreads = 2>
struct Model : rl::test_suite<Derived, kThreads> {
  Model() { shadows = &shadows_; }
  Shadows shadows_{};
};

}  // namespace stratwire::model
