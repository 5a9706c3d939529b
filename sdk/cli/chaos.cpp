#include "chaos.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <mutex>
#include <random>
#include <unistd.h>
#include <utility>

#include <stratwire/testing/proxy.hpp>
#include <stratwire/testing/schedule.hpp>

namespace stratwire::cli {
namespace {

using testing::Direction;
using testing::Fault;
using testing::FaultKind;
using testing::Plan;
using testing::Proxy;
using testing::ProxyEvent;
using testing::ProxyStats;
using Clock = std::chrono::steady_clock;

std::string text_of(std::string_view name) {
  std::string text{name};
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

std::string in_seconds(Clock::duration duration) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", std::chrono::duration<double>(duration).count());
  return text;
}

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + '"';
}

/// Writes what happens, a line each, from two threads.
///
/// \thread any thread
class Report {
 public:
  explicit Report(ChaosLines lines) : lines_(lines) {}

  void listening(const std::string& url, const ChaosOptions& options, const std::string& what,
                 std::optional<std::uint64_t> seed) {
    if (lines_ == ChaosLines::json) {
      std::string line = "{\"event\":\"listening\",\"url\":" + quoted(url) +
                         ",\"to\":" + quoted(options.to) + ",\"faults\":" + quoted(what);
      if (seed) line += ",\"seed\":" + std::to_string(*seed);
      return write(line + '}');
    }
    write("listening on " + url + ", to " + options.to);
    write(what);
    if (seed) write("--seed " + std::to_string(*seed) + " does the same again");
  }
  void happened(const ProxyEvent& event) {
    write(lines_ == ChaosLines::json
              ? json_of(event)
              : at() + "  connection " + std::to_string(event.connection) + ' ' + words_of(event));
  }
  void nobody_was_there(const Fault& fault) {
    if (lines_ == ChaosLines::json) return;
    write(at() + "  " + text_of(to_string(fault.kind)) + ": nobody is connected");
  }
  void summary(const ProxyStats& stats) {
    write(lines_ == ChaosLines::json ? json_of(stats) : words_of(stats));
  }

 private:
  [[nodiscard]] std::string at() const {
    char text[32];
    std::snprintf(text, sizeof text, "%9.3f s",
                  std::chrono::duration<double>(Clock::now() - start_).count());
    return text;
  }
  static std::string bytes_of(const ProxyEvent& event) {
    return std::to_string(event.forwarded[0]) + " bytes up and " +
           std::to_string(event.forwarded[1]) + " down";
  }
  static std::string words_of(const ProxyEvent& event) {
    switch (event.kind) {
      case ProxyEvent::Kind::opened:
        return "opened";
      case ProxyEvent::Kind::refused:
        return "refused: the server is not there";
      case ProxyEvent::Kind::ended:
        return "ended after " + bytes_of(event);
      case ProxyEvent::Kind::fault:
        break;
    }
    const Fault& fault = event.fault;
    std::string text = text_of(to_string(fault.kind));
    if (!testing::ends_connection(fault.kind)) text += ' ' + std::to_string(fault.amount);
    const bool both = fault.kind == FaultKind::cut || fault.kind == FaultKind::reset ||
                      fault.kind == FaultKind::black_hole;
    if (!both) text += ' ' + std::string{to_string(fault.direction)};
    return text + " after " + bytes_of(event);
  }
  [[nodiscard]] std::string json_of(const ProxyEvent& event) const {
    constexpr const char* kNames[] = {"opened", "refused", "fault", "ended"};
    std::string line = "{\"event\":\"" + std::string{kNames[static_cast<std::size_t>(event.kind)]} +
                       "\",\"seconds\":" + in_seconds(Clock::now() - start_) +
                       ",\"connection\":" + std::to_string(event.connection);
    if (event.kind == ProxyEvent::Kind::fault) {
      line += ",\"kind\":\"" + std::string{to_string(event.fault.kind)} + "\",\"direction\":\"" +
              std::string{to_string(event.fault.direction)} +
              "\",\"amount\":" + std::to_string(event.fault.amount);
    }
    return line + ",\"bytes_up\":" + std::to_string(event.forwarded[0]) +
           ",\"bytes_down\":" + std::to_string(event.forwarded[1]) + '}';
  }
  [[nodiscard]] std::string words_of(const ProxyStats& stats) const {
    std::string text = in_seconds(Clock::now() - start_) + " s: " + std::to_string(stats.accepted) +
                       " connections, " + std::to_string(stats.refused) + " refused, " +
                       std::to_string(stats.forwarded_bytes[0]) + " bytes up, " +
                       std::to_string(stats.forwarded_bytes[1]) + " bytes down";
    for (std::size_t kind = 0; kind < testing::kFaultKinds; ++kind) {
      if (stats.faults[kind] == 0) continue;
      text += "; " + std::to_string(stats.faults[kind]) + ' ' +
              text_of(to_string(static_cast<FaultKind>(kind)));
    }
    return text;
  }
  [[nodiscard]] std::string json_of(const ProxyStats& stats) const {
    std::string line = "{\"event\":\"summary\",\"seconds\":" + in_seconds(Clock::now() - start_) +
                       ",\"connections\":" + std::to_string(stats.accepted) +
                       ",\"refused\":" + std::to_string(stats.refused) +
                       ",\"open\":" + std::to_string(stats.open) +
                       ",\"bytes_up\":" + std::to_string(stats.forwarded_bytes[0]) +
                       ",\"bytes_down\":" + std::to_string(stats.forwarded_bytes[1]) +
                       ",\"faults\":{";
    for (std::size_t kind = 0; kind < testing::kFaultKinds; ++kind) {
      if (kind != 0) line += ',';
      line += quoted(to_string(static_cast<FaultKind>(kind))) + ':' +
              std::to_string(stats.faults[kind]);
    }
    return line + "}}";
  }
  void write(const std::string& line) {
    const std::lock_guard lock(mutex_);
    std::fputs((line + '\n').c_str(), stdout);
    // Whoever reads this has gone: as Ctrl-C.
    if (std::fflush(stdout) != 0) ::kill(::getpid(), SIGTERM);
  }

  ChaosLines lines_;
  Clock::time_point start_ = Clock::now();
  std::mutex mutex_{};
};

/// What is wrong with the options; empty when nothing is.
std::string make_plan(const ChaosOptions& options, std::uint64_t seed, Plan& plan) {
  std::string lines;
  for (const std::string& fault : options.faults) lines += fault + '\n';
  if (!options.plan_file.empty()) {
    std::ifstream file{options.plan_file};
    if (!file) return "--plan '" + options.plan_file + "' can't be read";
    lines += std::string{std::istreambuf_iterator<char>{file}, {}};
  }
  if (options.random && !lines.empty()) return "--random goes with neither --fault nor --plan";
  if (options.random) {
    testing::RandomFaults random;
    random.seed = seed;
    random.offset_max = options.random_bytes;
    plan = Plan{random};
    return {};
  }
  std::string bad_line;
  auto parsed = Plan::parse(lines, bad_line);
  if (!parsed) {
    return "'" + bad_line +
           "' is no fault; write CONNECTION DIRECTION OFFSET KIND [AMOUNT], for "
           "example '3 down 65536 cut'";
  }
  plan = *std::move(parsed);
  return {};
}

bool has_plan(const ChaosOptions& options) {
  return options.random || !options.faults.empty() || !options.plan_file.empty();
}

/// Nothing when only bytes decide.
std::optional<testing::ScheduleConfig> make_schedule(const ChaosOptions& options,
                                                     std::uint64_t seed) {
  if (options.menu.empty() && has_plan(options) && !options.every) return std::nullopt;
  testing::ScheduleConfig schedule;
  schedule.menu = options.menu;
  if (schedule.menu.empty()) schedule.menu.push_back({.kind = FaultKind::cut});
  schedule.every = options.every.value_or(schedule.every);
  schedule.jitter_percent = options.jitter_percent;
  schedule.seed = seed;
  return schedule;
}

std::string describe(const std::optional<testing::ScheduleConfig>& schedule,
                     const ChaosOptions& options) {
  std::string text;
  if (has_plan(options)) text = options.random ? "by chance at a byte" : "as planned at a byte";
  if (!schedule) return text;
  if (!text.empty()) text += "; ";
  text += "every " + in_seconds(schedule->every) + " s +-" +
          std::to_string(schedule->jitter_percent) + "%: ";
  for (std::size_t i = 0; i < schedule->menu.size(); ++i) {
    const Fault& fault = schedule->menu[i];
    if (i != 0) text += " or ";
    text += text_of(to_string(fault.kind));
    if (fault.amount != 0) text += ' ' + std::to_string(fault.amount);
  }
  return text;
}

/// Does one step of the schedule to every connection.
class Breaker {
 public:
  Breaker(Proxy& proxy, ChaosDirection direction, std::uint64_t seed)
      : proxy_(proxy), direction_(direction), random_(seed) {}

  /// \return connections that it was done to
  std::size_t apply(const Fault& fault) {
    for (const Fault& lasting : std::exchange(lasting_, {})) proxy_.apply(lasting);
    std::size_t connections = 0;
    for (const Direction direction : directions_of(fault.kind)) {
      Fault one = fault;
      one.direction = direction;
      connections = proxy_.apply(one);
      if (connections == 0 || !lasts(fault.kind)) continue;
      one.amount = 0;
      lasting_.push_back(one);
    }
    return connections;
  }

 private:
  static bool lasts(FaultKind kind) {
    return kind == FaultKind::throttle || kind == FaultKind::delay;
  }
  std::vector<Direction> directions_of(FaultKind kind) {
    const bool is_whole = testing::ends_connection(kind) && kind != FaultKind::half_close;
    if (is_whole || direction_ == ChaosDirection::down) return {Direction::down};
    if (direction_ == ChaosDirection::up) return {Direction::up};
    if (kind == FaultKind::half_close) return {static_cast<Direction>(random_() % 2)};
    return {Direction::up, Direction::down};
  }

  Proxy& proxy_;
  ChaosDirection direction_;
  std::mt19937_64 random_;
  std::vector<Fault> lasting_{};  ///< What ends what lasts until the next one.
};

/// \return whether a signal came before that time
bool wait_for_signal(const sigset_t& ends, std::optional<Clock::time_point> until) {
  for (;;) {
    int caught = -1;
    if (!until) {
      caught = ::sigwaitinfo(&ends, nullptr);
    } else {
      const auto left = std::max(Clock::duration{0}, *until - Clock::now());
      const auto whole = std::chrono::floor<std::chrono::seconds>(left);
      const timespec time{static_cast<std::time_t>(whole.count()),
                          static_cast<long>((left - whole).count())};
      caught = ::sigtimedwait(&ends, nullptr, &time);
    }
    if (caught > 0) return true;
    if (errno != EINTR) return false;
  }
}

void run_schedule(Proxy& proxy, Report& report, const sigset_t& ends, const ChaosOptions& options,
                  const std::optional<testing::ScheduleConfig>& config) {
  std::optional<Clock::time_point> end{};
  if (options.duration) end = Clock::now() + *options.duration;
  if (!config) {
    (void)wait_for_signal(ends, end);
    return;
  }
  testing::Schedule schedule(*config);
  Breaker breaker(proxy, options.direction, config->seed);
  for (auto due = Clock::now();;) {
    const testing::Schedule::Step step = schedule.next();
    due += step.after;
    if (wait_for_signal(ends, end ? std::min(due, *end) : due)) return;
    if (end && Clock::now() >= *end) return;
    if (breaker.apply(step.fault) == 0) report.nobody_was_there(step.fault);
  }
}

}  // namespace

int run_chaos(const ChaosOptions& options) {
  const std::uint64_t seed = options.seed ? *options.seed : std::random_device{}();
  Plan plan;
  std::string wrong = make_plan(options, seed, plan);
  if (wrong.empty() && options.to.empty() && !options.print) {
    wrong = "--to is missing: the server, for example --to ws://127.0.0.1:8080";
  }
  if (!wrong.empty()) {
    say(wrong + "; see stratwire chaos --help");
    return kExitUsage;
  }
  if (options.print) {
    std::fputs(plan.to_text(*options.print).c_str(), stdout);
    return kExitOk;
  }
  const auto schedule = make_schedule(options, seed);
  // Before the proxy's thread exists, so that it inherits the mask.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  Report report(options.lines);
  auto proxy = Proxy::open({options.listen, options.to, std::move(plan),
                            [&report](const ProxyEvent& event) { report.happened(event); }});
  if (!proxy.ok()) {
    say(proxy.error().text);
    const bool is_usage = proxy.error().code == transport::Errc::invalid_url;
    return is_usage ? kExitUsage : kExitNotConnected;
  }
  const bool by_chance = options.random || schedule.has_value();
  report.listening((*proxy)->url(), options, describe(schedule, options),
                   by_chance ? std::optional{seed} : std::nullopt);
  run_schedule(**proxy, report, ends, options, schedule);
  report.summary((*proxy)->stats());
  return kExitOk;
}

}  // namespace stratwire::cli
