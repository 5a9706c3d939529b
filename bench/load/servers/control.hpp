/// What the driver of a run says to a server, and what a server says back (bench/README.md,
/// "A server in the run"): the settings come in the environment, `go` as a line on standard input,
/// the end of the run as the end of standard input; the server says `ready`, and last one line of
/// JSON.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <unistd.h>

#include "../common/clock.hpp"

namespace stratwire::bench {

struct Settings {
  std::uint16_t port = 0;
  std::string unix_path{};  ///< Listen here instead when it is not empty.
  std::size_t k = 1;        ///< Publishes offered per turn of the server's loop, when flat out.
  double rate = 0;          ///< Publishes per second of all channels; 0 = flat out.
  std::size_t channels = 1;
  std::size_t subscribers = 1;
  std::size_t message_bytes = 159;
  bool spins = false;  ///< Never sleep.

  [[nodiscard]] static Settings from_environment() {
    Settings s;
    s.port = static_cast<std::uint16_t>(number("BENCH_PORT", 0));
    if (const char* const path = std::getenv("BENCH_UNIX")) s.unix_path = path;
    s.k = static_cast<std::size_t>(number("BENCH_K", 1));
    s.rate = number("BENCH_RATE", 0);
    s.channels = static_cast<std::size_t>(number("BENCH_CHANNELS", 1));
    s.subscribers = static_cast<std::size_t>(number("BENCH_SUBSCRIBERS", 1));
    s.message_bytes = static_cast<std::size_t>(number("BENCH_BYTES", 159));
    s.spins = number("BENCH_SPIN", 0) != 0;
    return s;
  }

 private:
  static double number(const char* name, double other) {
    const char* const text = std::getenv(name);
    return text == nullptr ? other : std::atof(text);
  }
};

/// Listens to standard input on a thread of its own, which sleeps but for two moments.
class Control {
 public:
  Control() : thread_([this] { listen(); }) {}
  ~Control() { thread_.detach(); }
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;

  static void ready() {
    std::puts("ready");
    std::fflush(stdout);
  }
  // acquire: pairs with the releases in listen().
  [[nodiscard]] bool started() const { return started_.load(std::memory_order_acquire); }
  [[nodiscard]] bool stopped() const { return stopped_.load(std::memory_order_acquire); }

 private:
  void listen() {
    char byte = 0;
    while (read(STDIN_FILENO, &byte, 1) == 1) {
      // release: pairs with the acquire in started().
      if (byte == '\n') started_.store(true, std::memory_order_release);
    }
    // release: pairs with the acquire in stopped().
    stopped_.store(true, std::memory_order_release);
    started_.store(true, std::memory_order_release);
  }

  std::atomic<bool> started_{false};
  std::atomic<bool> stopped_{false};
  std::thread thread_;
};

/// When messages are due. Flat out, K are due whenever the server asks; at a rate, those whose time
/// has come, each with that time, however late the server is.
class Schedule {
 public:
  explicit Schedule(const Settings& settings)
      : k_(settings.k),
        period_ns_(settings.rate > 0 ? 1e9 / settings.rate : 0),
        begin_(bench_now()) {}

  /// Messages that are due now; 0 only at a rate.
  [[nodiscard]] std::size_t due() {
    now_ = bench_now();
    if (period_ns_ == 0) return k_;
    const auto until_now =
        static_cast<std::uint64_t>(static_cast<double>(now_ - begin_) / period_ns_);
    if (until_now > taken_) {
      if (idle_since_cpu_ != 0) spun_ns_ += thread_cpu_ns() - idle_since_cpu_;
      idle_since_cpu_ = 0;
      return static_cast<std::size_t>(until_now - taken_);
    }
    if (idle_since_cpu_ == 0) idle_since_cpu_ = thread_cpu_ns();
    return 0;
  }
  /// The intended time of the next message.
  [[nodiscard]] std::int64_t take() {
    ++taken_;
    if (period_ns_ == 0) return now_;
    return begin_ + static_cast<std::int64_t>(static_cast<double>(taken_) * period_ns_);
  }

  /// The last line of a server. `spin_share` is the part of one core that waiting for the next
  /// message burnt; the driver takes it off the CPU time.
  void report() const {
    const auto elapsed = static_cast<double>(bench_now() - begin_);
    report(static_cast<double>(spun_ns_) / elapsed);
  }
  void report(double spin_share) const {
    std::printf("{\"published\": %llu, \"spin_share\": %.6f}\n",
                static_cast<unsigned long long>(taken_), spin_share);
    std::fflush(stdout);
  }
  [[nodiscard]] std::int64_t elapsed_ns() const { return bench_now() - begin_; }

 private:
  std::size_t k_;
  double period_ns_;
  std::int64_t begin_;
  std::int64_t now_ = 0;
  /// CPU time of this thread when nothing was due any more; 0 while something is.
  std::int64_t idle_since_cpu_ = 0;
  std::int64_t spun_ns_ = 0;
  std::uint64_t taken_ = 0;
};

}  // namespace stratwire::bench
