#include "lines.hpp"

#include <algorithm>
#include <bit>
#include <sched.h>
#include <type_traits>
#include <utility>

#include <stratwire/limits.hpp>
#include <stratwire/queue/machine.hpp>
#include <stratwire/session/channel_name.hpp>

#include "client_access.hpp"

namespace stratwire::arbiter {
namespace {

using detail::ClientAccess;
using session::CopySource;
using session::LineArbiter;
namespace action = session::arbiter_action;

// Deliveries of one line before the next one is looked at.
constexpr std::size_t kRunMax = 64;
// Copies that are dropped before a call returns with nothing.
constexpr std::size_t kDroppedMax = 1'024;

Error refusal(std::string_view setting, std::string_view cure) {
  return {Errc::invalid_config, 0,
          "ArbiterConfig::" + std::string{setting} + ": " + std::string{cure}};
}

Result<void> validate(const ArbiterConfig& config) {
  if (config.lines.empty() || config.lines.size() > LineArbiter::kLinesMax) {
    return refusal("lines", "give 1 to 16 lines");
  }
  if (config.threading == Threading::caller && config.waiting == Waiting::park) {
    return refusal("waiting",
                   "a thread can't sleep for several lines that it reads itself; choose "
                   "spin or yield, or Threading::own_thread");
  }
  if (config.merge == Merge::by_arrival) return {};
  for (const ClientConfig& line : config.lines) {
    if (line.codec == config.lines.front().codec) continue;
    return refusal("lines", "lines of one log have one codec, so that messages can be compared");
  }
  if (!std::has_single_bit(config.window) || config.window < 16 || config.window > 65'536) {
    return refusal("window", "use a power of two, 16 to 65536");
  }
  if (config.held_messages_max < 1 || config.held_messages_max > 1'048'576) {
    return refusal("held_messages_max", "use 1 to 1048576");
  }
  if (config.held_bytes_max < 4096 || config.held_bytes_max > (std::size_t{1} << 30)) {
    return refusal("held_bytes_max", "use 4096 to 1073741824");
  }
  if (config.hold_max.count() < 0 || config.hold_max > std::chrono::hours{1}) {
    return refusal("hold_max", "use 0 ms to 1 h");
  }
  if (config.replay_max.count() < 1 || config.replay_max > std::chrono::hours{1}) {
    return refusal("replay_max", "use 1 ms to 1 h");
  }
  return {};
}

ArbiterConfig with_common_settings(ArbiterConfig config) {
  for (ClientConfig& line : config.lines) {
    line.threading = config.threading;
    line.waiting = config.waiting;
    // What a line missed comes from the others, or from a replay.
    if (config.merge == Merge::one_log) line.resume = Resume::manual;
  }
  return config;
}

session::LineArbiterConfig session_config(const ArbiterConfig& config) {
  session::LineArbiterConfig session;
  session.lines = config.lines.size();
  session.window = config.window;
  session.held_messages_max = config.held_messages_max;
  session.held_bytes_max = config.held_bytes_max;
  session.hold_max = config.hold_max;
  session.replay_max = config.replay_max;
  return session;
}

std::string name_of(const ClientConfig& config) {
  if (!config.name.empty()) return config.name;
  return config.url.empty() && !config.urls.empty() ? config.urls.front() : config.url;
}

}  // namespace

// ---- Making

Result<std::unique_ptr<Lines>> Lines::open(ArbiterConfig config) {
  if (auto valid = validate(config); !valid.ok()) return valid.error();
  auto wait = std::make_shared<queue::Wait>(config.waiting);
  std::unique_ptr<Lines> lines{new Lines(with_common_settings(std::move(config)), wait)};
  for (const ClientConfig& each : lines->config_.lines) {
    auto client = ClientAccess::open(each, wait);
    if (!client.ok()) return client.error();
    lines->lines_.push_back({std::move(*client), name_of(each), {}, false});
  }
  return lines;
}

Lines::Lines(ArbiterConfig config, std::shared_ptr<queue::Wait> wait)
    : config_(std::move(config)),
      wait_(std::move(wait)),
      arbiter_(session_config(config_)),
      replays_(config_.lines, wait_, config_.replay_max),
      now_(std::chrono::steady_clock::now()) {
  lines_.reserve(config_.lines.size());
}

// ---- Wishes

Result<void> Lines::subscribe(std::vector<std::string> channels) {
  for (std::size_t line = 0; line < lines_.size(); ++line) {
    const auto wished = lines_[line].client.subscribe(channels);
    if (wished.ok()) continue;
    std::erase_if(channels, [this](const auto& channel) { return wished_.contains(channel); });
    while (line-- != 0) static_cast<void>(lines_[line].client.unsubscribe(channels));
    return wished;
  }
  wished_.insert(channels.begin(), channels.end());
  return {};
}

Result<void> Lines::unsubscribe(std::vector<std::string> channels) {
  for (Line& line : lines_) {
    if (auto done = line.client.unsubscribe(channels); !done.ok()) return done;
  }
  for (const std::string& channel : channels) wished_.erase(channel);
  return {};
}

void Lines::close() noexcept {
  for (Line& line : lines_) line.client.close();
  replays_.close();
}

// ---- Taking

const LineDelivery* Lines::next() {
  for (std::size_t dropped = 0; dropped < kDroppedMax; ++dropped) {
    if (const LineDelivery* const delivery = act()) return delivery;
    if (kept_back_ != nullptr) return hand_kept_back();
    Look look = look_at_lines();
    if (!look.something) look = look_at_replays();
    if (look.delivery != nullptr) return look.delivery;
    if (look.something) continue;
    tick();
    if (!arbiter_.has_actions()) return nullptr;
  }
  return nullptr;
}

Lines::Look Lines::look_at_lines() {
  for (std::size_t looked = 0; looked <= lines_.size(); ++looked) {
    Line& line = lines_[at_];
    if (run_ == kRunMax || line.over) {
      move_on();
      continue;
    }
    // Before the look: what it has handed over by then is seen.
    const bool ended = ClientAccess::has_ended(line.client);
    if (const Delivery* const delivery = ClientAccess::next(line.client)) {
      ++run_;
      return {true, from_line(at_, *delivery)};
    }
    line.over = ended;
    move_on();
  }
  return {};
}

void Lines::move_on() noexcept {
  run_ = 0;
  if (++at_ != lines_.size()) return;
  at_ = 0;
  tick();
}

void Lines::tick() {
  now_ = std::chrono::steady_clock::now();
  if (one_log()) arbiter_.tick(now_);
}

Lines::Look Lines::look_at_replays() {
  if (!replays_.next(now_, replayed_)) return {};
  if (replayed_.delivery == nullptr) {
    for (const std::string& channel : replayed_.ended) {
      arbiter_.replay_ended(replayed_.line, channel, replayed_.outcome, now_);
    }
    return {true};
  }
  const Delivery& delivery = *replayed_.delivery;
  if (const Gap* const gap = delivery.get_if<Gap>()) {
    arbiter_.gap(replayed_.line, CopySource::replay, delivery.envelope.channel, *gap, now_);
    return {true};
  }
  if (std::holds_alternative<const Notice*>(delivery.body)) return {true};
  return {true, data(replayed_.line, CopySource::replay, delivery)};
}

bool Lines::over() const noexcept {
  return kept_back_ == nullptr && !arbiter_.has_actions() &&
         std::all_of(lines_.begin(), lines_.end(), [](const Line& line) { return line.over; });
}

bool Lines::may_have_next() const noexcept {
  if (kept_back_ != nullptr || arbiter_.has_actions()) return true;
  for (const Line& line : lines_) {
    if (line.over) continue;
    if (ClientAccess::may_have_next(line.client) || ClientAccess::has_ended(line.client)) {
      return true;
    }
  }
  return replays_.may_have_next();
}

void Lines::wait(Instant until) {
  if (config_.threading == Threading::caller) {
    if (config_.waiting == Waiting::yield) {
      sched_yield();
    } else {
      queue::Machine::relax();
    }
    return;
  }
  if (one_log()) until = std::min({until, arbiter_.next_tick(), replays_.next_tick()});
  static_cast<void>(wait_->wait_until([this]() noexcept { return may_have_next(); }, until));
}

// ---- Out of the session's arbiter

const LineDelivery* Lines::act() {
  while (const auto next = arbiter_.next_action()) {
    const LineDelivery* const delivery =
        std::visit([this](const auto& each) { return on(each); }, *next);
    if (delivery != nullptr) return delivery;
  }
  return nullptr;
}

const LineDelivery* Lines::on(const action::Release& release) {
  return &slot(release.slot).delivery();
}

const LineDelivery* Lines::on(const action::Discard&) {
  return nullptr;
}

const LineDelivery* Lines::on(const action::HandGap& hand) {
  out_ = LineDelivery{};
  out_.envelope.channel = hand.channel;
  out_.epoch = hand.gap.epoch;
  out_.body = hand.gap;
  return &out_;
}

const LineDelivery* Lines::on(const action::AskReplay& ask) {
  std::vector<ResumePoint> beside;
  if (session::is_wildcard(ask.channel)) {
    arbiter_.cursors(ask.epoch, [&](std::string_view channel, std::uint64_t seq) {
      if (beside.size() < limits::kResumePointsMax - 1 && session::covers(ask.channel, channel)) {
        beside.push_back({std::string{channel}, ask.epoch, seq});
      }
    });
  }
  replays_.ask(ask.line, {std::string{ask.channel}, ask.epoch, ask.seq}, std::move(beside));
  return nullptr;
}

const LineDelivery* Lines::on(const action::HandDivergence& hand) {
  const session::LineDivergence& told = hand.divergence;
  out_ = LineDelivery{};
  out_.envelope = {told.channel, told.seq};
  out_.epoch = told.epoch;
  out_.line = told.other;
  out_.line_name = lines_[told.other].name;
  out_.body = Divergence{told.channel,  told.epoch, told.seq,
                         told.first,    told.other, lines_[told.first].name,
                         out_.line_name};
  return &out_;
}

// ---- Into it

const LineDelivery* Lines::from_line(std::size_t line, const Delivery& delivery) {
  if (!one_log()) return arrival(line, delivery);
  if (const Gap* const gap = delivery.get_if<Gap>()) {
    arbiter_.gap(line, CopySource::live, delivery.envelope.channel, *gap, now_);
    return nullptr;
  }
  if (!std::holds_alternative<const Notice*>(delivery.body)) {
    return data(line, CopySource::live, delivery);
  }
  notice(line, delivery);
  // Whoever is told that the last line has ended need not look again: what waited comes first.
  kept_back_ = &delivery;
  return nullptr;
}

/// Precondition: no line was looked at since it was kept back.
const LineDelivery* Lines::hand_kept_back() {
  fill_out(at_, *std::exchange(kept_back_, nullptr));
  return &out_;
}

const LineDelivery* Lines::arrival(std::size_t line, const Delivery& delivery) {
  session::LineCounts& counts = lines_[line].counts;
  if (const Gap* const gap = delivery.get_if<Gap>()) {
    const std::uint64_t missed = gap->to >= gap->from ? gap->to - gap->from + 1 : 0;
    ++counts.holes;
    counts.missed += missed;
    ++gaps_;
    missed_ += missed;
  } else if (!std::holds_alternative<const Notice*>(delivery.body)) {
    ++counts.copies;
    ++counts.wins;
    ++arrivals_;
  }
  fill_out(line, delivery);
  return &out_;
}

const LineDelivery* Lines::data(std::size_t line, CopySource source, const Delivery& delivery) {
  const auto decision = arbiter_.message(
      {line, source, delivery.envelope.channel, delivery.epoch, delivery.envelope.seq,
       content_of(delivery), bytes_of(delivery), delivery.received_at},
      now_);
  if (decision.verdict != LineArbiter::Verdict::deliver &&
      decision.verdict != LineArbiter::Verdict::hold) {
    return nullptr;
  }
  fill_out(line, delivery);
  if (decision.verdict == LineArbiter::Verdict::deliver) return &out_;
  slot(decision.slot).keep(out_);
  return nullptr;
}

void Lines::notice(std::size_t line, const Delivery& delivery) {
  if (const auto* const event = delivery.get_if<StateEvent>()) {
    arbiter_.link(line, LineArbiter::link_of(event->state), now_);
  } else if (const auto* const answer = delivery.get_if<Subscribed>()) {
    answered(line, *answer);
  } else if (const auto* const goodbye = delivery.get_if<Unsubscribed>()) {
    left(*goodbye);
  }
}

void Lines::answered(std::size_t line, const Subscribed& answer) {
  for (const ChannelResult& result : answer.results) {
    if (result.code != Errc::ok) continue;
    arbiter_.started(line, result.channel, result.epoch, result.head, now_);
  }
}

void Lines::left(const Unsubscribed& answer) {
  for (const ChannelResult& result : answer.results) {
    if (wished_.contains(result.channel)) continue;
    arbiter_.forget(result.channel);
    if (!session::is_wildcard(result.channel)) continue;
    arbiter_.forget_if([&](std::string_view channel) {
      return session::covers(result.channel, channel) && !wished_.contains(channel);
    });
  }
}

void Lines::fill_out(std::size_t line, const Delivery& delivery) {
  out_.envelope = delivery.envelope;
  out_.epoch = delivery.epoch;
  out_.received_at = delivery.received_at;
  out_.line = line;
  out_.line_name = lines_[line].name;
  std::visit([this](const auto& body) { out_.body = body; }, delivery.body);
}

Kept& Lines::slot(std::uint32_t index) {
  while (index >= slots_.size()) slots_.emplace_back();
  return slots_[index];
}

// ---- Statistics

ArbiterStatistics Lines::statistics() const {
  ArbiterStatistics all;
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    const session::LineCounts& counts = one_log() ? arbiter_.counts(i) : lines_[i].counts;
    LineStatistics& line = all.lines.emplace_back();
    line.name = lines_[i].name;
    line.state = lines_[i].client.state();
    line.copies = counts.copies;
    line.wins = counts.wins;
    line.late = counts.late;
    const auto late = static_cast<std::int64_t>(std::max<std::uint64_t>(counts.late, 1));
    line.lag_mean = std::chrono::nanoseconds{counts.lag_ns_sum / late};
    line.lag_max = std::chrono::nanoseconds{counts.lag_ns_max};
    line.holes = counts.holes;
    line.missed = counts.missed;
    line.divergences = counts.divergences;
    line.foreign = counts.foreign;
    line.replays = counts.replays;
  }
  const session::LineArbiterCounts& counts = arbiter_.counts();
  all.messages = counts.handed + arrivals_;
  all.duplicates = counts.duplicates;
  all.unchecked = counts.unchecked;
  all.held = counts.held;
  all.filled = counts.filled;
  all.gaps = counts.gaps + gaps_;
  all.missed = counts.missed + missed_;
  all.divergences = counts.divergences;
  all.overflows = counts.overflows;
  return all;
}

}  // namespace stratwire::arbiter
