/// N connections on one thread with one epoll: subscribes, reads, checks, measures.
///
/// 1. One receive buffer for all: a recv() of up to 256 KiB, whole messages parsed in place, the
///    few bytes of a message that is not whole yet kept with the connection.
/// 2. Time asleep in epoll_wait is counted. A generator that never sleeps, though it may, is the
///    limit of what it measures, and says so (`busy_share`).
/// 3. A message counts when it was read in the window, its latency is from its intended time to
///    the return of the recv() that brought its end.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <vector>

#include "checker.hpp"
#include "options.hpp"
#include "wire.hpp"

namespace stratwire::bench {

/// What a run brought.
struct Report {
  double upgrade_s = 0;    ///< First connect() to the last upgrade.
  double subscribe_s = 0;  ///< First subscription to the last answer.
  double window_s = 0;
  Tally window{};  ///< Sums of the window.
  Tally all{};     ///< Sums since the start, for loss and order.
  std::uint64_t recv_calls = 0;
  double busy_share = 0;  ///< Of the window, not asleep in epoll_wait.
  double cpu_share = 0;   ///< Of the window, on a core.
  double server_cpu_s = 0;
  std::uint64_t memory_before = 0;  ///< Of the watched processes, before the first connection.
  std::uint64_t memory_after = 0;
  std::size_t disconnected = 0;  ///< By the server.
  std::size_t starved = 0;       ///< Connections that got nothing in the window.
  Histogram latency{};
};

class Generator {
 public:
  explicit Generator(const Options& options);
  ~Generator();
  Generator(const Generator&) = delete;
  Generator& operator=(const Generator&) = delete;

  /// Ends the program with a word when a server does not do as it should.
  void connect_all();
  void subscribe_all();
  /// Says `subscribed` on standard output, waits for the first message, warms up, counts.
  void measure();
  void measure_idle();
  void measure_round_trips();

  [[nodiscard]] const Report& report() const { return *report_; }

 private:
  struct Connection {
    enum class Phase : std::uint8_t { upgrading, open, closed };
    Connection(int descriptor, std::size_t channels) : fd(descriptor), checker(channels) {}
    int fd;
    Phase phase = Phase::upgrading;
    std::string rest{};   ///< Of a message that is not whole yet.
    bool served = false;  ///< Got a message in the window.
    Checker checker;
  };
  struct Sink;

  void open_one();
  void subscribe(Connection& connection);
  [[nodiscard]] std::string subscription(Connection& connection);
  void send_text(Connection& connection, std::string_view text);
  void send_all(const Connection& connection, std::string_view bytes);

  /// Waits up to `timeout_ms`, then reads what is there.
  void turn(int timeout_ms);
  void turn_until(std::int64_t time);
  void read(Connection& connection);
  void read_upgrade(Connection& connection, std::string_view& input);
  [[nodiscard]] Split split(Connection& connection, std::string_view& input);
  void drop(Connection& connection);
  /// Turns until `done`, at most so long; then ends the program, saying what it waited for.
  template <class Done>
  void wait_for(const char* what, double seconds_max, Done done);

  const Options& options_;
  std::unique_ptr<Report> report_;
  std::vector<std::unique_ptr<Connection>> connections_{};
  std::vector<epoll_event> events_;
  std::vector<char> buffer_;
  int epoll_ = -1;
  std::size_t opened_ = 0;
  std::int64_t received_at_ = 0;
  std::int64_t asleep_ns_ = 0;
  std::uint64_t random_;
  Tally tally_{};
  std::uint64_t recv_calls_ = 0;
  std::uint64_t pongs_ = 0;
  bool in_window_ = false;
};

}  // namespace stratwire::bench
