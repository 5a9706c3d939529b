/// Waiting for many descriptors at once (epoll), and waking whoever waits.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include <stratwire/transport/error.hpp>

namespace stratwire::transport {

/// What to be told of. Errors and hang-ups are always told.
enum class Interest : std::uint8_t { none = 0, read = 1, write = 2, read_write = 3 };

/// One descriptor that something can be done with.
struct Ready {
  std::uint64_t token = 0;
  bool readable = false;
  bool writable = false;
  /// Error or hang-up of both directions; a read tells which.
  bool broken = false;
};

/// Level-triggered epoll: what is not read or written now is told again.
///
/// \thread one thread at a time
class Poller {
 public:
  /// Waits for ever.
  static constexpr std::chrono::nanoseconds kNoTimeout{-1};
  /// Most descriptors that one wait() tells.
  static constexpr std::size_t kReadyMax = 256;

  static Outcome<Poller> open();
  /// Readable while wait() would tell of something; for a poller of somebody else's.
  [[nodiscard]] int fd() const noexcept { return fd_; }
  ~Poller() { close(); }
  Poller(Poller&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Poller& operator=(Poller&& other) noexcept {
    if (this != &other) {
      close();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }

  /// \param token  comes back in Ready
  /// \return       0, or errno (EEXIST: is there already, ENOSPC: the system's limit)
  [[nodiscard]] int add(int fd, std::uint64_t token, Interest interest) noexcept;
  /// \return 0, or errno (ENOENT: was never added)
  [[nodiscard]] int modify(int fd, std::uint64_t token, Interest interest) noexcept;
  /// Call it before the descriptor is closed. What was told in the same wait() may still name it.
  void remove(int fd) noexcept;

  /// Waits until something is ready.
  ///
  /// \param out      overwritten; at most kReadyMax of it are used
  /// \param timeout  0: only look; below 0: no limit; finer than 1 ms is kept
  /// \return         how many of `out`; 0 after the timeout or a signal
  /// \cost           one system call
  [[nodiscard]] std::size_t wait(std::span<Ready> out, std::chrono::nanoseconds timeout) noexcept;

 private:
  explicit Poller(int fd) noexcept : fd_(fd) {}
  void close() noexcept;
  int fd_ = -1;
};

/// Wakes a thread that sleeps in a Poller, and costs next to nothing while it does not.
///
/// The sleeper:                           Anybody else:
///   wakeup.prepare_sleep();                make the work visible (push to a queue ...)
///   if (no work anywhere)                  wakeup.notify();
///     poller.wait(ready, timeout);
///   wakeup.end_sleep();
///   on Ready with its token: wakeup.drain();
///
/// Why no wake-up is lost: the sleeper writes `asleep_` and then looks for work, the other writes
/// work and then looks at `asleep_`, with a seq_cst fence between write and look on both sides; so
/// at least one of them sees the other (Dekker). The work itself is handed over by its queue, never
/// by this class. A notify() that comes late may wake the next sleep for nothing.
///
/// \thread notify() any thread and any signal handler; the rest one thread at a time
class Wakeup {
 public:
  static Outcome<Wakeup> open();
  ~Wakeup() { close(); }
  /// Only while nobody calls notify().
  Wakeup(Wakeup&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Wakeup& operator=(Wakeup&&) = delete;

  /// The descriptor, for Poller::add() with Interest::read.
  [[nodiscard]] int fd() const noexcept { return fd_; }

  /// From here on notify() makes the descriptor readable. Look for work once more before waiting.
  void prepare_sleep() noexcept {
    // relaxed: the fence below orders it.
    asleep_.store(1, std::memory_order_relaxed);
    // seq_cst: pairs with the fence in notify(); our store comes before our look for work.
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  /// From here on notify() costs a fence and a load.
  void end_sleep() noexcept {
    // relaxed: a notifier that still sees 1 only writes to the descriptor once too often.
    asleep_.store(0, std::memory_order_relaxed);
  }

  /// Wakes the sleeper if it sleeps or is about to.
  void notify() noexcept {
    // seq_cst: pairs with the fence in prepare_sleep(); our work comes before our look at asleep_.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    // relaxed: the fence above orders it.
    if (asleep_.load(std::memory_order_relaxed) != 0) wake();
  }

  /// Makes the descriptor unreadable again; call it when a Poller tells its token.
  void drain() noexcept;

 private:
  explicit Wakeup(int fd) noexcept : fd_(fd) {}
  void wake() noexcept;
  void close() noexcept;

  int fd_ = -1;
  std::atomic<std::uint32_t> asleep_{0};
};

}  // namespace stratwire::transport
