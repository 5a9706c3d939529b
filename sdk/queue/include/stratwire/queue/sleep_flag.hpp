/// Tells a producer whether its consumer sleeps, without a lost wake-up and without a system call
/// while nobody does.
///
/// When to use: the consumer sleeps in something of its own (epoll_wait and an eventfd). When it
/// only waits for the queue, wait.hpp is complete.
///
/// Algorithm: a handshake over one word that both sides change by read-modify-write only. The
/// consumer announces its sleep and then looks at the queue once more; the producer publishes and
/// then takes the announcement. Read-modify-writes of one variable have one order: if the
/// producer's comes second it reads the announcement and wakes; if it comes first the consumer's
/// reads it, or what followed it, and with it sees what was published. So neither side
/// needs sequential consistency or a fence.
///
/// Writers: both sides. Progress: wait-free.
/// Death of a thread: a dead consumer costs the producer one useless wake-up; a dead producer wakes
/// nobody, which is what deadlines are for.
#pragma once

#include <cstdint>

#include <stratwire/queue/cache_line.hpp>
#include <stratwire/queue/machine.hpp>

namespace stratwire::queue {

/// Use it by its alias SleepFlag, below.
///
/// \thread any number of producers, one consumer
template <class MachineT>
class BasicSleepFlag {
 public:
  using Word = typename MachineT::template Atomic<std::uint32_t>;
  static constexpr std::uint32_t kAwake = 0;
  static constexpr std::uint32_t kAsleep = 1;

  BasicSleepFlag() noexcept = default;
  BasicSleepFlag(const BasicSleepFlag&) = delete;
  BasicSleepFlag& operator=(const BasicSleepFlag&) = delete;
  ~BasicSleepFlag() = default;

  /// Consumer: about to sleep. It must look at every queue once more after this call, and not sleep
  /// if it finds anything.
  void announce() noexcept {
    // acquire: pairs with the release in take(); what was published before a take() that comes
    // first is seen by the look that follows.
    static_cast<void>(word_.exchange(kAsleep, std::memory_order_acquire));
  }

  /// Consumer: awake again, woken or not.
  void withdraw() noexcept {
    // relaxed, but a read-modify-write: a plain store would cut the release sequence of a take()
    // that came between, and the next announce() would not see what that producer published.
    static_cast<void>(word_.exchange(kAwake, std::memory_order_relaxed));
  }

  /// Producer, after it published: whether the consumer sleeps and this call is the one to wake it.
  ///
  /// \cost  one locked instruction; on a line that stays with the producer while nobody sleeps
  [[nodiscard]] bool take() noexcept {
    // release: pairs with the acquire in announce(); orders the publication before the look.
    return word_.exchange(kAwake, std::memory_order_release) == kAsleep;
  }

  /// What a consumer without a descriptor of its own sleeps on (wait.hpp).
  [[nodiscard]] const Word& word() const noexcept { return word_; }

 private:
  alignas(kIsolationBytes) Word word_{kAwake};
};

using SleepFlag = BasicSleepFlag<Machine>;

}  // namespace stratwire::queue
