/// What an Arbiter does with several lines of one log, without its threads and sockets: the real
/// LineArbiter, a SimClient for each line and for each replay, and a judge of what is handed over.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <stratwire/session/line_arbiter.hpp>
#include <stratwire/testing/delivery_oracle.hpp>

#include "sim_client.hpp"
#include "strategy.hpp"

namespace stratwire::sim {

/// Ways to break the desk on purpose, so that its judge can be judged.
enum class DeskSabotage : std::uint8_t {
  none,
  lose_message,    ///< One is not handed over.
  hand_twice,      ///< One is handed over twice.
  hand_divergent,  ///< What the other line says is handed over, too.
  tell_twice,      ///< A divergence is told of twice.
  lose_divergence,
  lose_gap,
};

/// Judges what comes out against what was published: DeliveryOracle for the order, and beside it
/// that a number on which lines disagree is one Divergence, and that one of its two messages, never
/// both, is handed over.
///
/// \thread one thread: the simulation's
class LinesJudge {
 public:
  LinesJudge(Trace& trace, DeskSabotage sabotage) : trace_(trace), sabotage_(sabotage) {}

  /// Nothing was published yet.
  void start(std::string_view channel) { oracle_.start(channel, 0); }
  /// One server says something else under this number.
  void altered(std::string_view channel, std::uint64_t epoch, std::uint64_t seq,
               std::uint64_t content, std::uint64_t instead);
  /// A line or a replay brought this, and it was not foreign.
  void offered(const Handed& handed);

  void message(const Handed& handed);
  void gap(std::string_view channel, const Gap& gap);
  void divergence(const session::LineDivergence& told);

  /// Nothing more comes; the epoch is `running` now.
  void finish(const testing::PublishedLedger& ledger, std::uint64_t running);
  [[nodiscard]] std::string report() const;
  [[nodiscard]] bool clean() const noexcept { return faults_.empty() && oracle_.clean(); }
  [[nodiscard]] const testing::DeliveryOracle& oracle() const noexcept { return oracle_; }
  [[nodiscard]] std::uint64_t divergences() const noexcept { return divergences_; }
  [[nodiscard]] bool sabotages(DeskSabotage how) const noexcept { return sabotage_ == how; }

 private:
  using Number = std::tuple<std::string, std::uint64_t, std::uint64_t>;  // channel, epoch, seq
  struct Altered {
    std::uint64_t content = 0;
    std::uint64_t instead = 0;
    std::set<std::uint64_t> offered{};
    std::uint64_t told = 0;
    bool missing = false;  ///< Named by a Gap: what comes later is compared with nothing.
  };
  void fault(std::string text);
  void hand(const Handed& handed);

  Trace& trace_;
  DeskSabotage sabotage_;
  testing::DeliveryOracle oracle_{};
  std::map<Number, Altered> altered_{};
  std::uint64_t handed_ = 0;
  std::uint64_t divergences_ = 0;
  std::vector<std::string> faults_{};
};

struct DeskConfig {
  session::LineArbiterConfig arbiter{};
  std::vector<SimClientConfig> lines{};
  std::vector<std::string> wishes{};
  DeskSabotage sabotage = DeskSabotage::none;
};

/// Does what sdk/arbiter's Lines and Replays do.
///
/// \thread one thread: the simulation's
class LinesDesk final : public Actor {
 public:
  LinesDesk(Scheduler& scheduler, Trace& trace, Random random, DeskConfig config, Network& network);
  ~LinesDesk() override;

  void start();

  [[nodiscard]] SimClient& line(std::size_t index) noexcept { return *lines_[index]->client; }
  [[nodiscard]] const session::LineArbiter& arbiter() const noexcept { return arbiter_; }
  [[nodiscard]] LinesJudge& judge() noexcept { return judge_; }
  [[nodiscard]] bool all_live() const noexcept;
  /// No replay is under way.
  [[nodiscard]] bool idle() const noexcept;

 private:
  /// One connection's way into the arbiter.
  class Inlet final : public Receiver {
   public:
    Inlet(LinesDesk& desk, std::size_t line, session::CopySource source)
        : desk_(desk), line_(line), source_(source) {}
    void message(const Arrived& arrived) override {
      const Handed handed = handed_of(arrived);
      desk_.trace_.mix(handed.seq);
      desk_.trace_.mix(handed.content);
      desk_.message(line_, source_, handed);
    }
    void gap(std::string_view channel, const Gap& gap) override {
      desk_.gap(line_, source_, channel, gap);
    }
    void notice(const Notice& notice, std::uint64_t) override {
      desk_.notice(line_, source_, notice);
    }

   private:
    LinesDesk& desk_;
    std::size_t line_;
    session::CopySource source_;
  };
  struct Asked {
    ResumePoint point{};
    std::vector<ResumePoint> beside{};
  };
  struct Replay {
    std::unique_ptr<SimClient> client{};
    std::vector<std::string> channels{};
    TimeNs until = 0;
    bool answered = false;
    bool over = false;
    session::LineArbiter::Replayed outcome = session::LineArbiter::Replayed::not_all;
  };
  struct Line {
    Line(LinesDesk& desk, std::size_t index)
        : inlet(desk, index, session::CopySource::live),
          replay_inlet(desk, index, session::CopySource::replay) {}
    Inlet inlet;
    Inlet replay_inlet;
    std::unique_ptr<SimClient> client{};
    std::vector<Asked> waiting{};
    std::optional<Replay> replay{};
  };
  struct Kept {
    std::string channel{};
    Handed handed{};
  };

  void on_event() override;
  void message(std::size_t line, session::CopySource source, const Handed& handed);
  void gap(std::size_t line, session::CopySource source, std::string_view channel, const Gap& gap);
  void notice(std::size_t line, session::CopySource source, const Notice& notice);
  void replay_notice(Replay& replay, const Notice& notice);
  void begin_replay(Line& line, std::size_t index);
  void end_replay(Line& line, std::size_t index);
  void act();
  void on(const session::arbiter_action::Release& release);
  void on(const session::arbiter_action::Discard& discard);
  void on(const session::arbiter_action::HandGap& hand);
  void on(const session::arbiter_action::AskReplay& ask);
  void on(const session::arbiter_action::HandDivergence& hand);
  void plan();
  [[nodiscard]] session::Instant instant() const noexcept {
    return session::Instant(session::Duration(now()));
  }

  Scheduler& scheduler_;
  Trace& trace_;
  Random random_;
  DeskConfig config_;
  Network& network_;
  session::LineArbiter arbiter_;
  LinesJudge judge_;
  std::vector<std::unique_ptr<Line>> lines_{};
  std::map<std::uint32_t, Kept> slots_{};
};

}  // namespace stratwire::sim
