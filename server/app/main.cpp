/// stratwire-server: a server with a feed, configured by flags, environment and a TOML file.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <poll.h>
#include <pthread.h>
#include <random>
#include <string>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <stratwire/server.hpp>

#include "demo.hpp"
#include "options.hpp"
#include "replay.hpp"

namespace stratwire::app {
namespace {

spdlog::level::level_enum level_of(LogLevel level) noexcept {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warning:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

void log(LogLevel level, std::string_view text) {
  spdlog::log(level_of(level), spdlog::string_view_t{text.data(), text.size()});
}

void set_up_log(LogLevel level) {
  // stderr: stdout belongs to whoever asks for data, and is never used by this program.
  spdlog::set_default_logger(spdlog::stderr_logger_mt("stratwire-server"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  spdlog::set_level(level_of(level));
  spdlog::flush_on(spdlog::level::debug);
}

// ---- Signals

sigset_t end_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

extern "C" void end_at_once(int signal) {
  _exit(128 + signal);
}

/// From now on SIGTERM or SIGINT ends the program, whatever it does.
void next_signal_ends_at_once() {
  std::signal(SIGINT, end_at_once);
  std::signal(SIGTERM, end_at_once);
  const auto set = end_signals();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

/// What main() waits for.
class Wake {
 public:
  enum class Reason { signal, feed_ended, timeout };

  /// Before any thread is started, so that all inherit the blocked signals.
  Wake() {
    const auto set = end_signals();
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
    signals_ = signalfd(-1, &set, SFD_CLOEXEC);
    feed_ = eventfd(0, EFD_CLOEXEC);
  }
  ~Wake() {
    ::close(signals_);
    ::close(feed_);
  }
  Wake(const Wake&) = delete;
  Wake& operator=(const Wake&) = delete;

  /// \thread any thread
  void feed_ended() noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(feed_, &one, sizeof one);
  }

  /// \param timeout_ms  -1 = none
  Reason wait(int timeout_ms = -1) {
    while (true) {
      pollfd watched[] = {{signals_, POLLIN, 0}, {feed_, POLLIN, 0}};
      const int ready = ::poll(watched, 2, timeout_ms);
      if (ready < 0) continue;
      if (ready == 0) return Reason::timeout;
      if (watched[0].revents != 0) {
        // Taken, so that it is not delivered again once the signals are no longer blocked.
        signalfd_siginfo signal{};
        [[maybe_unused]] const auto taken = ::read(signals_, &signal, sizeof signal);
        return Reason::signal;
      }
      std::uint64_t count = 0;
      [[maybe_unused]] const auto read = ::read(feed_, &count, sizeof count);
      return Reason::feed_ended;
    }
  }

 private:
  int signals_ = -1;
  int feed_ = -1;
};

// ---- Start and end

/// As a whole or not at all: whoever waits for the file never reads half a port.
Result<void> write_port_file(const std::string& path, std::uint16_t port) {
  const auto draft = path + ".new";
  errno = 0;
  std::ofstream file{draft, std::ios::trunc};
  file << port << '\n';
  file.close();
  if (!file || std::rename(draft.c_str(), path.c_str()) != 0) {
    return Error{Errc::io_failed, 0,
                 "--port-file " + path + ": " + std::generic_category().message(errno) +
                     "; give a path that can be written"};
  }
  return {};
}

Result<ReplayFile> make_feed(Options& options) {
  if (options.feed == FeedKind::replay) {
    constexpr std::uint64_t kWarningsMax = 20;
    std::uint64_t warnings = 0;
    auto file = read_replay_file(options.replay_file, [&](const std::string& text) {
      if (++warnings <= kWarningsMax) log(LogLevel::warning, text);
    });
    if (warnings > kWarningsMax) {
      log(LogLevel::warning, options.replay_file + ": " + std::to_string(warnings - kWarningsMax) +
                                 " further rows were skipped");
    }
    return file;
  }
  ReplayFile none;
  if (options.feed == FeedKind::demo) {
    if (!options.seed) options.seed = std::random_device{}();
    none.feed = make_demo_feed({*options.seed, options.rate, options.messages});
  }
  return none;
}

std::string start_line(const Server& server, const Options& options, const Feed* feed) {
  auto line = "listening on ws://" + server.local_addr();
  if (!options.server.unix_path.empty()) line += " and ws+unix://" + options.server.unix_path;
  if (feed == nullptr) return line + "; no feed (see --replay and --demo)";
  line += "; feed: " + feed->description();
  char pace[48];
  std::snprintf(pace, sizeof pace, ", %gx its own pace", options.speed);
  return line + (options.speed > 0 ? pace : ", as fast as the readers take it");
}

std::string end_line(const ServerStats& stats, const FeedReport& report, std::uint64_t skipped) {
  const auto seconds = std::chrono::duration<double>(report.elapsed).count();
  char text[400];
  std::snprintf(
      text, sizeof text,
      "feed published %llu messages in %.3f s (%.0f/s), %llu rows skipped, %llu refused, "
      "%llu waits for readers; handed over %llu messages, %llu bytes to %llu connections; "
      "%llu gaps for %llu missed messages",
      static_cast<unsigned long long>(report.published), seconds,
      seconds > 0 ? static_cast<double>(report.published) / seconds : 0.0,
      static_cast<unsigned long long>(skipped), static_cast<unsigned long long>(report.refused),
      static_cast<unsigned long long>(report.back_pressured),
      static_cast<unsigned long long>(stats.delivered),
      static_cast<unsigned long long>(stats.sent_bytes),
      static_cast<unsigned long long>(stats.upgraded), static_cast<unsigned long long>(stats.gaps),
      static_cast<unsigned long long>(stats.missed));
  return text;
}

/// Waits until every reader has taken all that the feed published, or nobody takes anything any
/// more.
///
/// \return what ended the wait: timeout for the two reasons above
Wake::Reason wait_for_readers(const Server& server, std::uint64_t published, Wake& wake,
                              std::chrono::milliseconds patience) {
  using Clock = std::chrono::steady_clock;
  std::uint64_t sent = 0;
  auto last_progress = Clock::now();
  while (true) {
    const auto stats = server.stats();
    // What the hub has not taken from the inbox is in no lag yet.
    if (stats.published >= published && stats.lag_bytes_max == 0) return Wake::Reason::timeout;
    if (stats.sent_bytes != sent) last_progress = Clock::now();
    sent = stats.sent_bytes;
    if (Clock::now() - last_progress > patience) return Wake::Reason::timeout;
    if (wake.wait(5) == Wake::Reason::signal) return Wake::Reason::signal;
  }
}

int run(Options options) {
  set_up_log(options.log_level);
  auto loaded = make_feed(options);
  if (!loaded.ok()) {
    log(LogLevel::error, loaded.error().message());
    return kExitUsage;
  }
  Wake wake;
  options.server.log = log;
  auto opened = Server::open(options.server);
  if (!opened.ok()) {
    log(LogLevel::error, opened.error().message());
    return kExitCannotListen;
  }
  auto& server = *opened;
  if (!options.port_file.empty()) {
    if (const auto written = write_port_file(options.port_file, server.local_port());
        !written.ok()) {
      log(LogLevel::error, written.error().message());
      return kExitUsage;
    }
  }
  log(LogLevel::info, start_line(server, options, loaded->feed.get()));

  std::optional<FeedRunner> runner;
  if (loaded->feed != nullptr) {
    runner.emplace(server, std::move(loaded->feed),
                   FeedRunner::Settings{options.speed, options.wait_subscribers,
                                        [&wake] { wake.feed_ended(); }, log});
  }
  auto reason = wake.wait();
  if (reason == Wake::Reason::feed_ended && options.at_end == AtEnd::stay) {
    log(LogLevel::info, "the feed has ended; serving on until SIGTERM (see --exit-at-end)");
    reason = wake.wait();
  }
  if (reason == Wake::Reason::feed_ended) {
    // A drain has a deadline, and a replay is to be lossless: first all the time that readers need.
    log(LogLevel::info, "the feed has ended; waiting for the readers");
    reason = wait_for_readers(server, runner->report().published, wake, options.drain_timeout);
  }
  next_signal_ends_at_once();
  const bool asked = reason == Wake::Reason::signal;
  if (asked) log(LogLevel::info, "asked to end; sending what waits");
  // The feed goes on for as long as the server takes what it publishes: readers change over.
  const auto drained = server.drain(options.drain_timeout);
  if (runner) runner->stop();
  if (!drained.ok()) log(LogLevel::warning, drained.error().message());
  const auto stats = server.stats();
  log(LogLevel::info, end_line(stats, runner ? runner->report() : FeedReport{}, loaded->skipped));
  if (asked) return kExitOk;
  if (stats.slow_consumers != 0) {
    log(LogLevel::warning,
        std::to_string(stats.slow_consumers) +
            " times a reader was closed with 4101 because it took nothing, or too "
            "little; what it had not got by the end it will not get (see --stall)");
  }
  return drained.ok() && stats.slow_consumers == 0 ? kExitOk : kExitFailed;
}

}  // namespace
}  // namespace stratwire::app

int main(int argc, char** argv) {
  const auto options = stratwire::app::read_options(argc, argv);
  if (const auto* exit = std::get_if<stratwire::app::ExitNow>(&options)) return exit->code;
  return stratwire::app::run(std::get<stratwire::app::Options>(options));
}
