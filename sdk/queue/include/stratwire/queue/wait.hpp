/// How a consumer waits for a queue: objects, chosen by the one who pays for them.
///
///   strategy   while it waits                              reaction    notify() costs the producer
///   SpinWait   a whole core, with pause instructions       ~50 ns      nothing
///   YieldWait  a whole core, lent to others who need it    ~50 ns-us   nothing
///   ParkWait   a core for some us, then none               ~5-60 us    ~5 ns, a system call if
///   asleep
///
/// When to use: SpinWait with a core set aside for the thread; YieldWait when cores are shared and
/// latency still counts; ParkWait for everything else. A thread that also waits for sockets
/// sleeps in its poller and uses sleep_flag.hpp.
#pragma once

#include <concepts>
#include <cstdint>
#include <sched.h>

#include <stratwire/queue/machine.hpp>
#include <stratwire/queue/sleep_flag.hpp>
#include <stratwire/waiting.hpp>

namespace stratwire::queue {

namespace detail {

/// Reads the clock on the first call and on every 64th after it: reading it costs as much as a
/// look at the queue.
///
/// \thread one thread at a time
class CoarseDeadline {
 public:
  explicit CoarseDeadline(Deadline deadline) noexcept : deadline_(deadline) {}

  [[nodiscard]] bool passed() noexcept {
    if (deadline_ == kNoDeadline) return false;
    if (countdown_-- != 0) return false;
    countdown_ = kLooksPerClock;
    return std::chrono::steady_clock::now() >= deadline_;
  }

 private:
  static constexpr std::uint32_t kLooksPerClock = 63;
  Deadline deadline_;
  std::uint32_t countdown_ = 0;
};

}  // namespace detail

/// Never leaves the processor.
///
/// \thread  wait_until: the consumer; notify: any thread
class SpinWait {
 public:
  /// Waits until `ready()` or the deadline.
  ///
  /// \param ready  cheap, noexcept; called again and again on this thread
  /// \return       what ready() said last
  template <std::predicate Ready>
  bool wait_until(Ready&& ready, Deadline deadline = kNoDeadline) noexcept {
    detail::CoarseDeadline clock(deadline);
    while (!ready()) {
      if (clock.passed()) return ready();
      Machine::relax();
    }
    return true;
  }
  void notify() noexcept {}
};

/// Spins for a moment, then lends the processor to whoever is ready to run.
///
/// \thread  wait_until: the consumer; notify: any thread
class YieldWait {
 public:
  explicit YieldWait(std::uint32_t spins = kSpinsDefault) noexcept : spins_(spins) {}

  /// As SpinWait::wait_until.
  template <std::predicate Ready>
  bool wait_until(Ready&& ready, Deadline deadline = kNoDeadline) noexcept {
    detail::CoarseDeadline clock(deadline);
    for (std::uint32_t spins = 0; !ready(); ++spins) {
      if (clock.passed()) return ready();
      if (spins < spins_) {
        Machine::relax();
      } else {
        sched_yield();
        spins = spins_;
      }
    }
    return true;
  }
  void notify() noexcept {}

  static constexpr std::uint32_t kSpinsDefault = 100;

 private:
  std::uint32_t spins_;
};

/// Use it by its alias ParkWait, below. Spins for a moment, then sleeps in the kernel until
/// notify() or the deadline.
///
/// The producer must call notify() after it published; once for a batch is enough.
///
/// \thread  wait_until: one consumer; notify: any thread
template <class MachineT>
class BasicParkWait {
 public:
  explicit BasicParkWait(std::uint32_t spins = kSpinsDefault) noexcept : spins_(spins) {}

  /// As SpinWait::wait_until.
  template <std::predicate Ready>
  bool wait_until(Ready&& ready, Deadline deadline = kNoDeadline) noexcept {
    for (std::uint32_t spin = 0; spin < spins_; ++spin) {
      if (ready()) return true;
      MachineT::relax();
    }
    for (;;) {
      flag_.announce();
      const bool found = ready();
      const bool in_time = found || MachineT::park(flag_.word(), Flag::kAsleep, deadline);
      flag_.withdraw();
      if (found) return true;
      if (!in_time) return ready();
    }
  }

  /// Wakes the consumer if it sleeps.
  void notify() noexcept {
    if (flag_.take()) MachineT::unpark(flag_.word());
  }

  /// About 5 us: less than a sleep and a wake-up cost together.
  static constexpr std::uint32_t kSpinsDefault = 100;

 private:
  using Flag = BasicSleepFlag<MachineT>;
  Flag flag_{};
  std::uint32_t spins_;
};

using ParkWait = BasicParkWait<Machine>;

/// One of the three, chosen at run time.
///
/// \thread  wait_until: one consumer; notify: any thread
class Wait {
 public:
  explicit Wait(Waiting waiting) noexcept : waiting_(waiting) {}

  /// As SpinWait::wait_until.
  template <std::predicate Ready>
  bool wait_until(Ready&& ready, Deadline deadline = kNoDeadline) noexcept {
    switch (waiting_) {
      case Waiting::spin:
        return SpinWait{}.wait_until(ready, deadline);
      case Waiting::yield:
        return YieldWait{}.wait_until(ready, deadline);
      case Waiting::park:
        break;
    }
    return park_.wait_until(ready, deadline);
  }

  void notify() noexcept {
    if (waiting_ == Waiting::park) park_.notify();
  }
  [[nodiscard]] Waiting waiting() const noexcept { return waiting_; }

 private:
  ParkWait park_{};
  Waiting waiting_;
};

/// What the three have in common.
template <class T>
concept WaitStrategy = requires(T wait, bool (*ready)(), Deadline deadline) {
  { wait.wait_until(ready, deadline) } -> std::same_as<bool>;
  wait.notify();
};
static_assert(WaitStrategy<SpinWait> && WaitStrategy<YieldWait> && WaitStrategy<ParkWait> &&
              WaitStrategy<Wait>);

}  // namespace stratwire::queue
