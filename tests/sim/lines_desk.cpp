#include "lines_desk.hpp"

#include <algorithm>
#include <utility>

#include <stratwire/session/channel_name.hpp>

namespace stratwire::sim {
namespace {

using session::CopySource;
using session::LineArbiter;

constexpr std::size_t kFaultsKept = 10;
/// The message that a saboteur takes.
constexpr std::uint64_t kSabotagedMessage = 20;

}  // namespace

// ---- The judge

void LinesJudge::fault(std::string text) {
  trace_.tell("judge", [&] { return "FAULT " + text; });
  if (faults_.size() < kFaultsKept) faults_.push_back(std::move(text));
}

void LinesJudge::altered(std::string_view channel, std::uint64_t epoch, std::uint64_t seq,
                         std::uint64_t content, std::uint64_t instead) {
  altered_[{std::string(channel), epoch, seq}] = {content, instead, {}, 0, false};
}

void LinesJudge::offered(const Handed& handed) {
  const auto found = altered_.find({std::string(handed.channel), handed.epoch, handed.seq});
  if (found == altered_.end() || found->second.missing) return;
  found->second.offered.insert(handed.content);
}

void LinesJudge::message(const Handed& handed) {
  const bool is_it = ++handed_ == kSabotagedMessage;
  if (is_it && sabotages(DeskSabotage::lose_message)) return;
  hand(handed);
  if (is_it && sabotages(DeskSabotage::hand_twice)) hand(handed);
}

/// Either of two messages under one number is the truth for whoever got it first.
void LinesJudge::hand(const Handed& handed) {
  std::uint64_t content = handed.content;
  const auto found = altered_.find({std::string(handed.channel), handed.epoch, handed.seq});
  if (found != altered_.end() && content == found->second.instead) content = found->second.content;
  trace_.tell("judge",
              [&] { return std::string(handed.channel) + ' ' + std::to_string(handed.seq); });
  oracle_.handed(handed.channel, handed.epoch, handed.seq, content);
}

void LinesJudge::gap(std::string_view channel, const Gap& gap) {
  trace_.note("judge", to_string(gap.reason), gap.from, gap.to);
  if (sabotages(DeskSabotage::lose_gap)) return;
  oracle_.gap(channel, gap);
  for (auto& [number, altered] : altered_) {
    const auto& [name, epoch, seq] = number;
    const bool named = seq >= gap.from && (seq <= gap.to || gap.to == 0);
    if (name == channel && epoch == gap.epoch && named) altered.missing = true;
  }
}

void LinesJudge::divergence(const session::LineDivergence& told) {
  trace_.note("judge", "divergence", told.seq, told.other);
  if (sabotages(DeskSabotage::lose_divergence)) return;
  ++divergences_;
  const auto found = altered_.find({std::string(told.channel), told.epoch, told.seq});
  if (found == altered_.end()) {
    fault("a divergence in " + std::string(told.channel) + ' ' + std::to_string(told.seq) +
          ", where there is none");
    return;
  }
  found->second.told += sabotages(DeskSabotage::tell_twice) ? 2U : 1U;
}

void LinesJudge::finish(const testing::PublishedLedger& ledger, std::uint64_t running) {
  oracle_.finish(ledger, running);
  for (const auto& [number, altered] : altered_) {
    const std::uint64_t expected = altered.offered.size() > 1 ? 1 : 0;
    // One that was compared before a Gap was handed over for it stays told.
    if (altered.told == expected) continue;
    fault("divergence in " + std::get<0>(number) + ' ' + std::to_string(std::get<2>(number)) +
          " told " + std::to_string(altered.told) + " times instead of " +
          std::to_string(expected));
  }
}

std::string LinesJudge::report() const {
  std::string text;
  for (const std::string& line : faults_) text += line + '\n';
  if (!oracle_.clean()) text += oracle_.report();
  return text;
}

// ---- Lines

LinesDesk::LinesDesk(Scheduler& scheduler, Trace& trace, Random random, DeskConfig config,
                     Network& network)
    : Actor(scheduler),
      scheduler_(scheduler),
      trace_(trace),
      random_(random),
      config_(std::move(config)),
      network_(network),
      arbiter_(config_.arbiter),
      judge_(trace, config_.sabotage) {
  for (std::size_t i = 0; i < config_.lines.size(); ++i) {
    lines_.push_back(std::make_unique<Line>(*this, i));
    lines_[i]->client = std::make_unique<SimClient>(scheduler, trace, random_.fork(),
                                                    config_.lines[i], network, lines_[i]->inlet);
  }
}

LinesDesk::~LinesDesk() = default;

void LinesDesk::start() {
  for (const auto& line : lines_) {
    line->client->subscribe(config_.wishes);
    line->client->start();
  }
}

bool LinesDesk::all_live() const noexcept {
  return std::ranges::all_of(lines_, [](const auto& line) {
    return line->client->session().state() == ClientState::live;
  });
}

bool LinesDesk::idle() const noexcept {
  return std::ranges::none_of(
      lines_, [](const auto& line) { return line->replay || !line->waiting.empty(); });
}

void LinesDesk::on_event() {
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    Line& line = *lines_[i];
    if (line.replay && (line.replay->over || now() >= line.replay->until)) end_replay(line, i);
    if (!line.replay && !line.waiting.empty()) begin_replay(line, i);
  }
  arbiter_.tick(instant());
  act();
}

void LinesDesk::plan() {
  TimeNs next = kForever;
  if (arbiter_.next_tick() != session::kNever) {
    next = arbiter_.next_tick().time_since_epoch().count();
  }
  for (const auto& line : lines_) {
    if (line->replay) next = std::min(next, line->replay->over ? now() : line->replay->until);
    if (!line->replay && !line->waiting.empty()) next = now();
  }
  wake_at(next);
}

// ---- Into the arbiter

void LinesDesk::message(std::size_t line, CopySource source, const Handed& handed) {
  const auto decision = arbiter_.message({line, source, handed.channel, handed.epoch, handed.seq,
                                          handed.content << 8, handed.channel.size() + 100, now()},
                                         instant());
  using Verdict = LineArbiter::Verdict;
  if (decision.verdict != Verdict::foreign) judge_.offered(handed);
  const bool divergent = decision.verdict == Verdict::divergence;
  if (decision.verdict == Verdict::deliver ||
      (divergent && judge_.sabotages(DeskSabotage::hand_divergent))) {
    judge_.message(handed);
  } else if (decision.verdict == Verdict::hold) {
    Kept& kept = slots_[decision.slot];
    kept = {std::string(handed.channel), handed};
    kept.handed.channel = kept.channel;
  }
  act();
}

void LinesDesk::gap(std::size_t line, CopySource source, std::string_view channel, const Gap& gap) {
  trace_.note(config_.lines[line].name, to_string(gap.reason), gap.from, gap.to);
  arbiter_.gap(line, source, channel, gap, instant());
  act();
}

void LinesDesk::notice(std::size_t line, CopySource source, const Notice& notice) {
  if (source == CopySource::replay) {
    if (lines_[line]->replay) replay_notice(*lines_[line]->replay, notice);
    return;
  }
  if (const auto* const event = std::get_if<StateEvent>(&notice)) {
    trace_.note(config_.lines[line].name, to_string(event->state), event->generation);
    arbiter_.link(line, LineArbiter::link_of(event->state), instant());
  } else if (const auto* const answer = std::get_if<Subscribed>(&notice)) {
    for (const ChannelResult& result : answer->results) {
      if (result.code != Errc::ok) continue;
      arbiter_.started(line, result.channel, result.epoch, result.head, instant());
    }
  }
  act();
}

// ---- Replays

void LinesDesk::begin_replay(Line& line, std::size_t index) {
  Replay& replay = line.replay.emplace();
  std::vector<ResumePoint> points;
  for (Asked& asked : line.waiting) {
    replay.channels.push_back(asked.point.channel);
    points.push_back(std::move(asked.point));
    std::ranges::move(asked.beside, std::back_inserter(points));
  }
  line.waiting.clear();
  SimClientConfig config = config_.lines[index];
  config.name += " replay";
  config.session.resume = Resume::automatic;
  config.session.seed = random_.next();
  trace_.note(config.name, "begins", replay.channels.size(), points.size());
  replay.until = now() + config_.arbiter.replay_max.count();
  replay.client = std::make_unique<SimClient>(scheduler_, trace_, random_.fork(), std::move(config),
                                              network_, line.replay_inlet);
  replay.client->subscribe(replay.channels, Start::live, points);
  replay.client->start();
}

void LinesDesk::replay_notice(Replay& replay, const Notice& notice) {
  if (std::holds_alternative<Subscribed>(notice)) replay.answered = true;
  const auto* const event = std::get_if<StateEvent>(&notice);
  if (event == nullptr || event->state != ClientState::live || !replay.answered) return;
  replay.over = true;
  replay.outcome = LineArbiter::Replayed::all;
  wake_at(now());
}

void LinesDesk::end_replay(Line& line, std::size_t index) {
  const Replay replay = *std::exchange(line.replay, std::nullopt);
  trace_.note(config_.lines[index].name, "replay ends", replay.over ? 1 : 0);
  for (const std::string& channel : replay.channels) {
    arbiter_.replay_ended(index, channel, replay.outcome, instant());
  }
  act();
}

// ---- Out of the arbiter

void LinesDesk::act() {
  while (const auto action = arbiter_.next_action()) {
    std::visit([this](const auto& one) { on(one); }, *action);
  }
  plan();
}

void LinesDesk::on(const session::arbiter_action::Release& release) {
  const auto kept = slots_.find(release.slot);
  judge_.message(kept->second.handed);
  slots_.erase(kept);
}

void LinesDesk::on(const session::arbiter_action::Discard& discard) {
  slots_.erase(discard.slot);
}

void LinesDesk::on(const session::arbiter_action::HandGap& hand) {
  judge_.gap(hand.channel, hand.gap);
}

void LinesDesk::on(const session::arbiter_action::AskReplay& ask) {
  trace_.note(config_.lines[ask.line].name, "is asked for a replay", ask.seq);
  std::vector<Asked>& waiting = lines_[ask.line]->waiting;
  std::erase_if(waiting, [&](const Asked& one) { return one.point.channel == ask.channel; });
  Asked asked{{std::string(ask.channel), ask.epoch, ask.seq}, {}};
  if (session::is_wildcard(ask.channel)) {
    arbiter_.cursors(ask.epoch, [&](std::string_view channel, std::uint64_t seq) {
      if (session::covers(ask.channel, channel)) {
        asked.beside.push_back({std::string(channel), ask.epoch, seq});
      }
    });
    // In an order that does not depend on a hash.
    std::ranges::sort(asked.beside, {}, &ResumePoint::channel);
  }
  waiting.push_back(std::move(asked));
}

void LinesDesk::on(const session::arbiter_action::HandDivergence& hand) {
  judge_.divergence(hand.divergence);
}

}  // namespace stratwire::sim
