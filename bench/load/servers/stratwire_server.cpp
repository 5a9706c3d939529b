/// stratwire in the run, as its users have it: an embedded Server with default settings.
///
///   bench_load_server loop          one thread: it publishes, then polls (Threading::caller)
///   bench_load_server threads [N]   so many I/O threads (1), and a publisher thread that shares
///                                   their core
///
/// 1. No message is given up for speed: the next K wait while any reader is behind by more than
///    kLagBytes, as a producer does that cares. Gaps would show in the generator's report.
/// 2. With threads, I/O threads are of the batch class: one that is woken by the first of K
///    publishes does not push the publisher off the core before the last of them.
/// 3. With threads and flat out, K publishes are offered, and the next K when these have come back
///    to the publisher, which subscribes to its own feed: asleep meanwhile, and woken once per
///    turn. (A publisher that asks and yields has no claim to the core any more, and is interrupted
///    after the first.)
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <sched.h>
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include <stratwire/server.hpp>

#include "../common/message.hpp"
#include "control.hpp"
#include "tap.hpp"

namespace stratwire::bench {
namespace {

/// A quarter of what a reader may be behind before it is lapped.
constexpr std::uint64_t kLagBytes = 1 << 20;
constexpr unsigned kLagLookUs = 50;
/// At a rate, messages that are due at once and go out in one turn; the inbox takes more.
constexpr std::size_t kTurnMax = 1024;

class Publishers {
 public:
  Publishers(Server& server, const Settings& settings)
      : timed_(settings.message_bytes >= kMessageBytes),
        input_mint_("USDC" + std::string(MessageTemplate::padding(settings.message_bytes), 'x')) {
    for (std::size_t c = 0; c < settings.channels; ++c) {
      publishers_.push_back(server.publisher(channel_name(c, settings.channels)));
    }
  }

  /// The next message; tries again, after make_room(), while the inbox is full.
  template <class MakeRoom>
  bool publish(std::int64_t time, const Control& control, MakeRoom make_room) {
    const PriceUpdate update{.input_mint = input_mint_,
                             .output_mint = "SOL",
                             .price = 142.3317,
                             .volume = 12,
                             .timestamp = time};
    for (;;) {
      Publisher& publisher = publishers_[next_ % publishers_.size()];
      const PublishStatus status = timed_
                                       ? publisher.publish(update)
                                       : publisher.publish(Event{"T", RawValue{Codec::json, "1"}});
      if (status == PublishStatus::ok) break;
      if (status != PublishStatus::back_pressured || control.stopped()) return false;
      make_room();
    }
    ++next_;
    return true;
  }
  [[nodiscard]] std::uint64_t published() const { return next_; }

 private:
  bool timed_;
  std::string input_mint_;
  std::vector<Publisher> publishers_{};
  std::uint64_t next_ = 0;
};

void flat_out(const Server& server, Tap& tap, Publishers& publishers, Schedule& schedule,
              const Control& control) {
  while (!control.stopped()) {
    const std::size_t due = schedule.due();
    for (std::size_t i = 0; i < due; ++i) {
      if (!publishers.publish(schedule.take(), control, sched_yield)) return;
    }
    if (!tap.wait_for(publishers.published())) return;
    while (server.stats().lag_bytes_max > kLagBytes && !control.stopped()) usleep(kLagLookUs);
  }
}

/// \return CPU time that went into publishing, not into waiting for the next due time
std::int64_t at_rate(Publishers& publishers, Schedule& schedule, const Control& control) {
  std::int64_t worked_ns = 0;
  while (!control.stopped()) {
    const std::size_t due = schedule.due();
    if (due == 0) {
      sched_yield();
      continue;
    }
    const std::int64_t begin = thread_cpu_ns();
    for (std::size_t i = 0; i < due; ++i) {
      if (!publishers.publish(schedule.take(), control, sched_yield)) return worked_ns;
    }
    worked_ns += thread_cpu_ns() - begin;
  }
  return worked_ns;
}

/// The one thread of the server: what is due, then the sockets.
void run_loop(Server& server, Publishers& publishers, const Settings& settings,
              const Control& control) {
  using std::chrono::milliseconds;
  while (!control.started()) server.poll(milliseconds(settings.spins ? 0 : 1));
  Schedule schedule{settings};
  while (!control.stopped()) {
    if (settings.rate != 0 || server.stats().lag_bytes_max <= kLagBytes) {
      const std::size_t all = schedule.due();
      const std::size_t due = settings.rate == 0 ? all : std::min(all, kTurnMax);
      for (std::size_t i = 0; i < due; ++i) {
        if (!publishers.publish(schedule.take(), control, [&server] { server.poll(); })) break;
      }
    }
    server.poll();
  }
  schedule.report();
}

void run_threads(const Server& server, Publishers& publishers, const Settings& settings,
                 const Control& control) {
  while (!control.started()) usleep(1000);
  Schedule schedule{settings};
  if (settings.rate == 0) {
    Tap tap{settings};
    flat_out(server, tap, publishers, schedule, control);
    schedule.report();
    return;
  }
  const std::int64_t cpu_before = thread_cpu_ns();
  const std::int64_t worked_ns = at_rate(publishers, schedule, control);
  const std::int64_t spun_ns = thread_cpu_ns() - cpu_before - worked_ns;
  schedule.report(static_cast<double>(spun_ns) / static_cast<double>(schedule.elapsed_ns()));
}

/// Threads that are started from now on inherit it.
void become(int scheduling_class) {
  const sched_param parameters{};
  sched_setscheduler(0, scheduling_class, &parameters);
}

int main_of(int argc, char** argv) {
  const std::string_view kind = argc >= 2 ? argv[1] : "";
  const int io_threads = argc == 3 ? std::atoi(argv[2]) : 1;
  if ((kind != "loop" && kind != "threads") || argc > 3 || io_threads < 1) {
    std::fprintf(stderr, "usage: bench_load_server loop|threads [N] (settings: bench/README.md)\n");
    return 2;
  }
  const Settings settings = Settings::from_environment();
  const Control control;
  ServerConfig config;
  config.host = "127.0.0.1";
  config.port = settings.port;
  config.unix_path = settings.unix_path;
  if (kind == "loop") config.threading = Threading::caller;
  config.io_threads = static_cast<std::size_t>(io_threads);
  // Where everything else in the row spins as well.
  if (settings.spins) config.waiting = Waiting::spin;
  become(SCHED_BATCH);
  auto server = Server::open(config);
  become(SCHED_OTHER);
  if (!server) {
    std::fprintf(stderr, "%s\n", server.error().message().c_str());
    return 1;
  }
  Publishers publishers{*server, settings};
  Control::ready();
  if (kind == "loop") {
    run_loop(*server, publishers, settings, control);
  } else {
    run_threads(*server, publishers, settings, control);
  }
  return 0;
}

}  // namespace
}  // namespace stratwire::bench

int main(int argc, char** argv) {
  return stratwire::bench::main_of(argc, argv);
}
