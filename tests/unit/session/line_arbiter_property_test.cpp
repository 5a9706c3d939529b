/// Random lines over one log, judged by the promise of a channel. Works like this:
///  1. A publisher appends to a log, whose contents a ledger knows. Each line is a reader of that
///     log with its own pace; it loses ranges (and says so, or not), goes down, comes back where
///     the log is then, and alters a message now and then.
///  2. A LineArbiter gets what the lines bring, in any interleaving. Replays that it asks for come
///     at their own pace, lack what the log no longer has, and fail now and then.
///  3. In the middle the log may start anew: every line finds out at its own time.
///     What was missing of the old one then is beyond recovery.
///  4. At the end all lines say how far the log is, time passes, and the oracle must be content.
///     Each number with two contents is exactly one divergence.
/// Where replays always succeed, the last epoch may have no Gap at all.
#include <algorithm>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/session/line_arbiter.hpp>
#include <stratwire/testing/delivery_oracle.hpp>

#include "../../support/seed.hpp"

namespace stratwire::session {
namespace {

using namespace std::chrono_literals;
using Link = LineArbiter::Link;
using Verdict = LineArbiter::Verdict;

struct World {
  std::size_t lines = 2;
  std::uint64_t messages = 300;
  bool line_0_is_perfect = false;
  bool replays_are_perfect = false;
  bool diverges = false;
  bool starts_anew = false;
  bool small_buffer = false;
};

struct Totals {
  std::uint64_t filled = 0;
  std::uint64_t gaps = 0;
  std::uint64_t divergences = 0;
  std::uint64_t replays = 0;
  std::uint64_t held = 0;
  std::uint64_t overflows = 0;
};

class Simulation {
 public:
  Simulation(const World& world, std::uint64_t seed)
      : world_(world), random_(seed), readers_(world.lines), arbiter_(config(world)) {
    for (std::size_t line = 0; line < world.lines; ++line) {
      arbiter_.link(line, Link::up, now_);
      for (const std::string& channel : kChannels) {
        arbiter_.started(line, channel, kFirstEpoch, 0, now_);
        readers_[line].at[channel] = {kFirstEpoch, 0};
      }
    }
    for (const std::string& channel : kChannels) oracle_.start(channel, 0);
  }

  void run() {
    publish_epoch(kFirstEpoch);
    if (world_.starts_anew) {
      head_epoch_ = kNextEpoch;
      publish_epoch(kNextEpoch);
    }
    finish();
  }
  void judge(Totals& totals) {
    oracle_.finish(ledger_);
    ASSERT_TRUE(oracle_.clean()) << oracle_.report();
    expect_divergences();
    EXPECT_EQ(arbiter_.held(), 0u);
    EXPECT_TRUE(slots_.empty());
    EXPECT_EQ(arbiter_.next_tick(), kNever);
    if (world_.replays_are_perfect) {
      EXPECT_EQ(gaps_of_last_epoch_, 0u);
    }
    EXPECT_EQ(arbiter_.counts().gaps, oracle_.gaps());
    EXPECT_EQ(arbiter_.counts().handed, oracle_.handed());
    totals.filled += arbiter_.counts().filled;
    totals.gaps += arbiter_.counts().gaps;
    totals.divergences += arbiter_.counts().divergences;
    totals.held += arbiter_.counts().held;
    totals.overflows += arbiter_.counts().overflows;
    for (std::size_t line = 0; line < world_.lines; ++line) {
      totals.replays += arbiter_.counts(line).replays;
    }
  }

 private:
  using Number = std::tuple<std::string, std::uint64_t, std::uint64_t>;  // channel, epoch, seq
  struct Position {
    std::uint64_t epoch = 0;
    std::uint64_t seq = 0;
  };
  struct Reader {
    bool up = true;
    std::map<std::string, Position> at{};
  };
  struct Replay {
    std::size_t line = 0;
    std::string channel{};
    Position at{};
    std::uint64_t to = 0;
  };

  static inline const std::vector<std::string> kChannels{"prices:A", "prices:B"};
  static constexpr std::uint64_t kFirstEpoch = 7;
  static constexpr std::uint64_t kNextEpoch = 9;
  static constexpr std::uint64_t kRetained = 60;  // By the log.

  static LineArbiterConfig config(const World& world) {
    LineArbiterConfig config;
    config.lines = world.lines;
    config.window = 4'096;
    if (world.small_buffer) config.held_messages_max = 5;
    return config;
  }
  std::uint64_t below(std::uint64_t end) {
    return std::uniform_int_distribution<std::uint64_t>{0, end - 1}(random_);
  }
  bool chance(std::uint64_t in) { return below(in) == 0; }
  const std::string& any_channel() { return kChannels[below(kChannels.size())]; }
  std::size_t any_line() { return below(world_.lines); }
  bool is_perfect(std::size_t line) const { return world_.line_0_is_perfect && line == 0; }

  // ---- What happens

  void publish_epoch(std::uint64_t epoch) {
    for (std::uint64_t i = 0; i < world_.messages; ++i) {
      ledger_.append(any_channel(), epoch, ++last_content_ << 8);
      for (std::uint64_t steps = below(8); steps != 0; --steps) step();
    }
  }
  void step() {
    switch (below(16)) {
      case 0:
        now_ += std::chrono::milliseconds(below(8));
        arbiter_.tick(now_);
        act();
        break;
      case 1:
        if (chance(12)) turn_link(any_line());
        break;
      case 2:
      case 3:
      case 4:
        if (!replays_.empty()) replay_some(below(replays_.size()));
        break;
      default:
        read_some(any_line(), any_channel());
    }
  }
  void turn_link(std::size_t line) {
    Reader& reader = readers_[line];
    if (is_perfect(line)) return;
    reader.up = !reader.up;
    arbiter_.link(line, reader.up ? Link::up : Link::down, now_);
    act();
    if (!reader.up) return;
    for (const std::string& channel : kChannels) come_back(line, channel);
  }
  /// A line that comes back says what it missed, as a client does that does not resume.
  void come_back(std::size_t line, const std::string& channel) {
    Position& at = readers_[line].at[channel];
    const std::uint64_t head = ledger_.head(channel, head_epoch_);
    if (at.epoch != head_epoch_) {
      gap(line, channel, {at.epoch, at.seq + 1, 0, Gap::Reason::epoch_change});
      at.epoch = head_epoch_;
    } else if (head > at.seq) {
      gap(line, channel, {at.epoch, at.seq + 1, head, Gap::Reason::disconnected});
    }
    at.seq = head;
    arbiter_.started(line, channel, at.epoch, head, now_);
    act();
  }
  void read_some(std::size_t line, const std::string& channel) {
    Reader& reader = readers_[line];
    if (!reader.up) return;
    Position& at = reader.at[channel];
    const std::uint64_t head = ledger_.head(channel, at.epoch);
    if (at.seq == head) {
      if (at.epoch != head_epoch_ && chance(20)) {
        gap(line, channel, {at.epoch, at.seq + 1, 0, Gap::Reason::epoch_change});
        at = {head_epoch_, 0};
      }
      return;
    }
    if (!is_perfect(line) && chance(12)) {
      const std::uint64_t from = at.seq + 1;
      at.seq = std::min(head, at.seq + 1 + below(5));
      const bool silent = chance(2) && at.seq < head;
      if (!silent) gap(line, channel, {at.epoch, from, at.seq, Gap::Reason::slow_consumer});
      if (!silent) return;
    }
    bring(line, CopySource::live, channel, {at.epoch, ++at.seq});
  }
  void bring(std::size_t line, CopySource source, const std::string& channel, Position at) {
    std::uint64_t content = ledger_.content(channel, at.epoch, at.seq).value();
    if (world_.diverges && chance(25)) content += (1 + below(3)) << 40;
    const Number number{channel, at.epoch, at.seq};
    const LineCopy copy{line, source, channel, at.epoch, at.seq, content, 10, 0};
    const auto decision = arbiter_.message(copy, now_);
    if (decision.verdict != Verdict::foreign && !named_.contains(number)) {
      contents_[number].insert(content);
    }
    if (decision.verdict == Verdict::deliver) hand(number);
    if (decision.verdict == Verdict::hold) {
      EXPECT_TRUE(slots_.emplace(decision.slot, number).second) << "a slot that is in use";
    }
    act();
  }
  void gap(std::size_t line, const std::string& channel, const Gap& gap,
           CopySource source = CopySource::live) {
    arbiter_.gap(line, source, channel, gap, now_);
    act();
  }
  void replay_some(std::size_t index) {
    Replay& replay = replays_[index];
    if (replay.at.seq >= replay.to || (!world_.replays_are_perfect && chance(40))) {
      const Replay done = replay;
      replays_.erase(replays_.begin() + static_cast<std::ptrdiff_t>(index));
      arbiter_.replay_ended(done.line, done.channel, LineArbiter::Replayed::all, now_);
      return act();
    }
    const std::uint64_t head = ledger_.head(replay.channel, replay.at.epoch);
    const std::uint64_t first = head > kRetained ? head - kRetained + 1 : 1;
    Position& at = replay.at;
    const Replay now = replay;  // act() may add replays.
    if (!world_.replays_are_perfect && at.seq + 1 < first) {
      at.seq = first - 1;
      return gap(now.line, now.channel,
                 {now.at.epoch, now.at.seq + 1, first - 1, Gap::Reason::retention},
                 CopySource::replay);
    }
    ++at.seq;
    bring(now.line, CopySource::replay, now.channel, {now.at.epoch, now.at.seq + 1});
  }

  // ---- What the arbiter says

  void act() {
    while (const auto action = arbiter_.next_action()) {
      std::visit([this](const auto& a) { on(a); }, *action);
    }
  }
  void on(const arbiter_action::Release& release) {
    hand(slots_.at(release.slot));
    slots_.erase(release.slot);
  }
  void on(const arbiter_action::Discard&) { FAIL() << "nobody forgot a channel"; }
  void on(const arbiter_action::HandGap& hand) {
    oracle_.gap(hand.channel, hand.gap);
    gaps_of_last_epoch_ += hand.gap.epoch == (world_.starts_anew ? kNextEpoch : kFirstEpoch);
    for (std::uint64_t seq = hand.gap.from; seq <= hand.gap.to; ++seq) {
      const Number number{std::string{hand.channel}, hand.gap.epoch, seq};
      named_.insert(number);
      contents_.erase(number);
    }
  }
  void on(const arbiter_action::AskReplay& ask) {
    const std::string channel{ask.channel};
    replays_.push_back({ask.line, channel, {ask.epoch, ask.seq}, ledger_.head(channel, ask.epoch)});
  }
  void on(const arbiter_action::HandDivergence& hand) {
    const LineDivergence& told = hand.divergence;
    EXPECT_TRUE(told_.emplace(std::string{told.channel}, told.epoch, told.seq).second)
        << "told twice";
  }
  /// Contents that a line altered are judged by expect_divergences(), not by the oracle.
  void hand(const Number& number) {
    const auto& [channel, epoch, seq] = number;
    oracle_.handed(channel, epoch, seq, ledger_.content(channel, epoch, seq).value());
  }
  void expect_divergences() {
    for (const auto& [number, contents] : contents_) {
      EXPECT_EQ(told_.contains(number), contents.size() > 1)
          << std::get<0>(number) << ' ' << std::get<2>(number);
    }
    EXPECT_TRUE(world_.diverges || told_.empty());
  }

  /// Everybody comes back, says how far the log is, and time passes.
  void finish() {
    for (std::size_t line = 0; line < world_.lines; ++line) {
      if (!readers_[line].up) turn_link(line);
      for (const std::string& channel : kChannels) {
        Position& at = readers_[line].at[channel];
        if (is_perfect(line)) {
          while (at.seq < ledger_.head(channel, at.epoch)) {
            bring(line, CopySource::live, channel, {at.epoch, ++at.seq});
          }
        }
        const bool behind = at.seq < ledger_.head(channel, at.epoch);
        if (behind || at.epoch != head_epoch_) come_back(line, channel);
      }
    }
    for (int quiet = 0; quiet < 200; ++quiet) {
      while (!replays_.empty()) replay_some(0);
      now_ += 100ms;
      arbiter_.tick(now_);
      act();
    }
  }

  const World world_;
  std::mt19937_64 random_;
  Instant now_{1000s};
  std::vector<Reader> readers_;
  std::vector<Replay> replays_{};
  LineArbiter arbiter_;
  testing::PublishedLedger ledger_{};
  testing::DeliveryOracle oracle_{};
  std::uint64_t head_epoch_ = kFirstEpoch;
  std::uint64_t last_content_ = 0;
  std::uint64_t gaps_of_last_epoch_ = 0;
  std::map<std::uint32_t, Number> slots_{};
  std::map<Number, std::set<std::uint64_t>> contents_{};
  std::set<Number> named_{};
  std::set<Number> told_{};
};

Totals simulate(World world) {
  constexpr int kRuns = 150;
  Totals totals;
  const std::uint64_t seed = test::seed();
  for (std::uint64_t run = 0; run < kRuns; ++run) {
    world.lines = 2 + run % 3;
    Simulation simulation{world, seed + run};
    simulation.run();
    simulation.judge(totals);
    if (::testing::Test::HasFailure()) {
      ADD_FAILURE() << "run " << run << " with " << world.lines << " lines";
      break;
    }
  }
  return totals;
}

TEST(LineArbiterProperty, WhatLinesLoseIsFilledOrNamed) {
  const Totals totals = simulate({});
  EXPECT_GT(totals.filled, 0u);
  EXPECT_GT(totals.gaps, 0u);
  EXPECT_GT(totals.replays, 0u);
  EXPECT_GT(totals.held, 0u);
}

TEST(LineArbiterProperty, OneLineThatLosesNothingFillsTheHolesOfTheOthers) {
  const Totals totals = simulate({.line_0_is_perfect = true, .replays_are_perfect = true});
  EXPECT_GT(totals.filled, 0u);
}

TEST(LineArbiterProperty, WithReplaysNothingIsLostHoweverMuchEveryLineLoses) {
  const Totals totals = simulate({.replays_are_perfect = true});
  EXPECT_GT(totals.replays, 0u);
}

TEST(LineArbiterProperty, EachNumberWithTwoContentsIsOneDivergence) {
  const Totals totals = simulate({.diverges = true});
  EXPECT_GT(totals.divergences, 0u);
}

TEST(LineArbiterProperty, AChangeOfEpochIsOneGapWheneverTheLinesFindOut) {
  const Totals totals = simulate({.starts_anew = true});
  EXPECT_GT(totals.gaps, 0u);
}

TEST(LineArbiterProperty, NothingOfANewEpochIsLostWhereReplaysSucceed) {
  const Totals totals = simulate({.replays_are_perfect = true, .starts_anew = true});
  EXPECT_GT(totals.replays, 0u);
}

TEST(LineArbiterProperty, AFullReorderBufferLosesNothingInSilence) {
  const Totals totals = simulate({.small_buffer = true});
  EXPECT_GT(totals.overflows, 0u);
}

}  // namespace
}  // namespace stratwire::session
