// What waits behind holes, and what becomes of holes.

#include <algorithm>

#include <stratwire/session/line_arbiter.hpp>

namespace stratwire::session {

LineArbiter::Decision LineArbiter::hold(Channel& channel, const LineCopy& copy, Instant now) {
  const auto first = channel.held.begin() + static_cast<std::ptrdiff_t>(channel.held_begin);
  const auto at =
      std::lower_bound(first, channel.held.end(), copy.seq,
                       [](const Held& held, std::uint64_t seq) noexcept { return held.seq < seq; });
  if (at != channel.held.end() && at->seq == copy.seq) {
    const Verdict verdict = compare(channel, at->seen, copy);
    // This line lacks what is missing, too.
    settle(channel, now);
    return {verdict};
  }
  const std::uint32_t slot = take_slot();
  channel.held.insert(at, Held{copy.seq, seen_of(copy), slot, copy.bytes, now});
  ++held_;
  held_bytes_ += copy.bytes;
  ++counts_.held;
  if (copy.source == CopySource::live) ++lines_[copy.line].counts.wins;
  while (is_over_full() && held_size(channel) != 0) {
    ++counts_.overflows;
    if (channel.phase == Phase::finding) give_up_finding(channel, now);
    give_up_hole(channel);
    release_run(channel);
  }
  settle(channel, now);
  return {Verdict::hold, slot};
}

/// Releases what is next, and sees to the hole that comes then, if any.
void LineArbiter::settle(Channel& channel, Instant now) {
  if (channel.phase == Phase::finding && !has_begun(channel, now)) return;
  for (;;) {
    release_run(channel);
    if (held_size(channel) == 0 && channel.head <= channel.seq) {
      channel.due = kNever;
      channel.asked = 0;
      channel.reason = Gap::Reason::upstream;
      return;
    }
    if (wait_or_ask(channel, now)) return;
    give_up_hole(channel);
  }
}

void LineArbiter::release_run(Channel& channel) {
  while (held_size(channel) != 0 && channel.held[channel.held_begin].seq == channel.seq + 1) {
    release_front(channel);
  }
}

/// Precondition: the first held message is the next one.
void LineArbiter::release_front(Channel& channel) {
  const Held& held = channel.held[channel.held_begin];
  channel.seq = held.seq;
  remember(channel, held.seen);
  ++counts_.handed;
  --held_;
  held_bytes_ -= held.bytes;
  actions_.emplace_back(arbiter_action::Release{held.slot});
  if (++channel.held_begin == channel.held.size()) {
    channel.held.clear();
    channel.held_begin = 0;
  }
}

/// False when there is nothing to wait for and nobody to ask.
bool LineArbiter::wait_or_ask(Channel& channel, Instant now) {
  // A replay that still runs is not waited for: the owner may stop when the last line has ended.
  if (is_over()) {
    channel.asking = kNoLine;
    return false;
  }
  const Instant since =
      held_size(channel) != 0 ? channel.held[channel.held_begin].at : channel.head_at;
  if (channel.asking != kNoLine && now < channel.asked_until) {
    wait_until(channel, channel.asked_until);
    return true;
  }
  channel.asking = kNoLine;
  if (may_still_come(channel) && now < since + config_.hold_max) {
    wait_until(channel, since + config_.hold_max);
    return true;
  }
  if (const std::size_t line = line_to_ask(channel); line != kNoLine) {
    ++lines_[line].counts.replays;
    channel.asking = line;
    channel.asked |= 1u << line;
    channel.asked_until = now + config_.replay_max;
    actions_.emplace_back(
        arbiter_action::AskReplay{line, channel.name, channel.epoch, channel.seq});
    wait_until(channel, channel.asked_until);
    return true;
  }
  const Instant patience = since + config_.hold_max + config_.replay_max;
  if (!may_come_back(channel) || now >= patience) return false;
  wait_until(channel, patience);
  return true;
}

/// Whether a line that is up has not yet been where the hole begins, or is asked for all of the
/// channel's kind.
bool LineArbiter::may_still_come(Channel& channel) {
  if (is_asked_with_its_kind(channel)) return true;
  for (std::size_t line = 0; line < lines_.size(); ++line) {
    if (lines_[line].link != Link::up) continue;
    const Place* const place = here(channel, line);
    if (place == nullptr) return true;
    if (place->epoch == channel.epoch && place->seq <= channel.seq) return true;
  }
  return false;
}

bool LineArbiter::is_over() const noexcept {
  return std::all_of(lines_.begin(), lines_.end(),
                     [](const Line& line) { return line.link == Link::over; });
}

bool LineArbiter::may_come_back(const Channel& channel) const noexcept {
  for (std::size_t line = 0; line < lines_.size(); ++line) {
    if (lines_[line].link == Link::down && (channel.asked & 1u << line) == 0) return true;
  }
  return false;
}

/// Of the lines that can be asked the one that is farthest ahead: its server has passed the hole.
std::size_t LineArbiter::line_to_ask(Channel& channel) noexcept {
  std::size_t best = kNoLine;
  std::uint64_t farthest = 0;
  for (std::size_t line = 0; line < lines_.size(); ++line) {
    if (lines_[line].link != Link::up || (channel.asked & 1u << line) != 0) continue;
    const Place* const place = here(channel, line);
    if (place != nullptr && place->epoch != channel.epoch) continue;
    const std::uint64_t seq = place == nullptr ? 0 : place->seq;
    if (best != kNoLine && seq <= farthest) continue;
    best = line;
    farthest = seq;
  }
  return best;
}

void LineArbiter::give_up_hole(Channel& channel) {
  const std::uint64_t from = channel.seq + 1;
  const std::uint64_t to =
      held_size(channel) != 0 ? channel.held[channel.held_begin].seq - 1 : channel.head;
  ++counts_.gaps;
  counts_.missed += to - from + 1;
  actions_.emplace_back(
      arbiter_action::HandGap{channel.name, {channel.epoch, from, to, channel.reason}});
  // What stands there is older by a whole window.
  const std::uint64_t cleared = std::min<std::uint64_t>(to - from + 1, channel.window.size());
  for (std::uint64_t seq = to - cleared + 1; seq <= to; ++seq) seen_at(channel, seq) = {};
  channel.seq = to;
  channel.asked = 0;
}

void LineArbiter::wait_until(Channel& channel, Instant due) {
  channel.due = due;
  next_tick_ = std::min(next_tick_, due);
  if (channel.troubled) return;
  channel.troubled = true;
  troubled_.push_back(&channel);
}

void LineArbiter::tick(Instant now) {
  if (now < next_tick_) return;
  next_tick_ = kNever;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < troubled_.size(); ++i) {
    Channel& channel = *troubled_[i];
    if (channel.due <= now) settle(channel, now);
    next_tick_ = std::min(next_tick_, channel.due);
    channel.troubled = channel.due != kNever;
    if (channel.troubled) troubled_[kept++] = &channel;
  }
  troubled_.resize(kept);
  ask_wildcards(now);
}

}  // namespace stratwire::session
