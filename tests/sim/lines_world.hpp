/// One simulated world of an Arbiter: several servers of one log, a line to each of them, and what
/// goes wrong with lines.
///
/// How it works:
///  1. One seed draws everything, as in World: the number of lines, the settings of the servers and
///     of the arbiter, the channels and their rates, which faults this world may have, how often.
///  2. Servers and clients are those of World; what merges the lines is the real LineArbiter
///     (LinesDesk). Replays go over connections of their own, which break like all others.
///  3. When all lines are live, one source publishes to all servers the same messages in the same
///     order, under one epoch. Faults happen to one line, to one server, or to all of them.
///  4. A server that has another message under a number is the fault `diverges`.
///  5. Then it heals; within a bound all lines must be live and no replay may be under way. Nothing
///     more is published: what is missing at the end must have been noticed without that.
///  6. Every message was handed over once and in order, or is in exactly one Gap. In a world with a
///     perfect line there is no Gap. Each number with two contents is exactly one Divergence, once
///     both have come, and only one of them was handed over.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/server_config.hpp>

#include "feed.hpp"
#include "lines_desk.hpp"
#include "sim_server.hpp"
#include "world.hpp"

namespace stratwire::sim {

enum class LineFault : std::uint8_t {
  line_dies,        ///< Its connection breaks; it comes back.
  line_away,        ///< It breaks, and can't connect for a while.
  line_black_hole,  ///< Nothing arrives any more, and nobody is told.
  line_lags,        ///< What is in flight comes later, or little at a time.
  line_hole,        ///< A message is lost on one line: another one fills it.
  line_repeats,     ///< A message comes twice on one line.
  diverges,         ///< A server has another message under a number.
  all_die,          ///< All lines break at once, and are away for a while.
  server_restarts,  ///< With its log.
  replica_lags,     ///< A server gets its messages late.
  replay_refused,   ///< A replay finds nobody who listens.
  new_epoch,        ///< All servers begin anew.
};
inline constexpr std::size_t kLineFaults = 12;
inline constexpr std::array<std::string_view, kLineFaults> kLineFaultNames{
    "line_dies", "line_away", "line_black_hole", "line_lags",    "line_hole",      "line_repeats",
    "diverges",  "all_die",   "server_restarts", "replica_lags", "replay_refused", "new_epoch"};
using LineFaultCounts = std::array<std::uint64_t, kLineFaults>;

struct LinesOptions {
  std::uint64_t seed = 1;
  Trace::Lines lines = Trace::Lines::none;
  DeskSabotage sabotage = DeskSabotage::none;
};

struct LinesOutcome {
  std::string report{};  ///< Empty: nothing was found.
  std::uint64_t hash = 0;
  double seconds = 0;  ///< Simulated.
  LineFaultCounts faults{};
  std::uint64_t published = 0;
  session::LineArbiterCounts counts{};
  std::uint64_t replays = 0;
  std::uint64_t divergences = 0;
  [[nodiscard]] bool ok() const noexcept { return report.empty(); }
};

[[nodiscard]] LinesOutcome run_lines_world(const LinesOptions& options);

/// \thread one thread: the simulation's
class LinesWorld final : public Network {
 public:
  explicit LinesWorld(const LinesOptions& options);
  ~LinesWorld() override;

  [[nodiscard]] LinesOutcome run();

 private:
  struct Site {
    std::size_t index = 0;
    std::unique_ptr<SimServer> server{};
    Feed feed;  ///< What this server has: the messages of all, but for those that diverge.
    TimeNs lag = 0;
    TimeNs away_until = 0;
    std::unique_ptr<Timer> restart{};
    std::unique_ptr<Timer> next_message{};
  };
  struct Link {
    std::shared_ptr<Pipe> pipe{};
    std::size_t site = 0;
  };
  struct Channel {
    TimeNs interval = 0;  ///< Mean, between two messages.
    TimeNs next_at = 0;
    TimeNs quiet_until = 0;
  };

  void draw_menu();
  [[nodiscard]] ServerConfig draw_server();
  [[nodiscard]] DeskConfig draw_desk(DeskSabotage sabotage);
  void make_channels();
  void run_until(TimeNs when);
  void begin_publishing();
  void heal();
  void settle();
  void publish_due();
  void publish(std::size_t channel, std::optional<std::size_t> divergent = std::nullopt);
  void feed(Site& site);
  void start(Site& site);
  void fail(std::string text);
  [[nodiscard]] LinesOutcome outcome();

  void inject();
  void inject(LineFault fault, Site& site);
  void break_line(Site& site, TimeNs away);
  void slow_line(Site& site);
  void meddle(LineFault fault, Site& site);
  void new_epoch();
  [[nodiscard]] bool on_menu(LineFault fault) const noexcept;
  void count(LineFault fault) noexcept { ++counts_[static_cast<std::size_t>(fault)]; }
  [[nodiscard]] TimeNs soon(TimeNs least, TimeNs most) {
    return scheduler_.now() + random_.between(least, most);
  }

  // Network
  [[nodiscard]] TimeNs dial(const SimClient& client) override;
  [[nodiscard]] std::shared_ptr<Pipe> arrive(const SimClient& client, std::size_t site) override;
  [[nodiscard]] std::optional<std::size_t> site_of(std::string_view) const override {
    return std::nullopt;
  }
  void opened(const SimClient&, std::size_t) override {}
  [[nodiscard]] Afterlife dropped(const SimClient&, Pipe&) override { return Afterlife::none; }

  Trace trace_;
  Random random_;
  Scheduler scheduler_{trace_};
  LineFaultCounts counts_{};
  std::vector<LineFault> menu_{};
  bool first_is_perfect_ = false;  // Nothing happens to the first line and its server.
  TimeNs fault_every_ = 0;
  TimeNs latency_max_ = 0;
  ServerConfig server_config_{};
  Feed feed_;
  std::vector<Channel> channels_{};
  std::vector<std::unique_ptr<Site>> sites_{};
  std::vector<Link> links_{};
  std::unique_ptr<LinesDesk> desk_{};
  Timer inject_;
  Timer publish_;
  std::uint64_t contents_ = 0;
  std::uint64_t pipe_ids_ = 0;
  std::uint64_t server_starts_ = 0;
  bool injecting_ = false;
  bool publishing_ = false;
  std::vector<std::string> failures_{};
};

}  // namespace stratwire::sim
