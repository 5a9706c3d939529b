// Copies, lines and epochs. What becomes of holes: line_arbiter_holes.cpp.

#include <algorithm>
#include <utility>

#include <stratwire/session/channel_name.hpp>
#include <stratwire/session/line_arbiter.hpp>

namespace stratwire::session {
namespace {

// Tag of what was seen: the line in the low bits, and these.
constexpr std::uint64_t kTag = 0xff;
constexpr std::uint64_t kTagLine = 0x0f;
constexpr std::uint64_t kTagTold = 0x40;  // Its divergence was told of.
constexpr std::uint64_t kTagThere = 0x80;
static_assert(LineArbiter::kLinesMax == kTagLine + 1);

constexpr std::size_t kWindowFirst = 16;
constexpr std::size_t kPastMax = 16;

}  // namespace

LineArbiter::LineArbiter(LineArbiterConfig config) : config_(config), lines_(config.lines) {}

// ---- Channels and places

LineArbiter::Channel* LineArbiter::find(std::string_view name) {
  const auto found = channels_.find(name);
  return found == channels_.end() ? nullptr : &found->second;
}

LineArbiter::Channel& LineArbiter::channel_of(std::string_view name) {
  if (Channel* const channel = find(name)) [[likely]]
    return *channel;
  const auto made = channels_.try_emplace(std::string{name}).first;
  made->second.name = made->first;
  made->second.places.resize(lines_.size());
  return made->second;
}

/// Where this line is, if that is known.
LineArbiter::Place* LineArbiter::here(Channel& channel, std::size_t line) noexcept {
  Place& place = channel.places[line];
  return place.generation == lines_[line].generation ? &place : nullptr;
}

void LineArbiter::note_place(Channel& channel, std::size_t line, std::uint64_t epoch,
                             std::uint64_t seq) {
  Place& place = channel.places[line];
  const bool known = place.generation == lines_[line].generation && place.epoch == epoch;
  place = {epoch, known ? std::max(place.seq, seq) : seq, lines_[line].generation};
}

/// A line that says nothing of what it skips has a hole all the same.
void LineArbiter::note_skip(Channel& channel, const LineCopy& copy) {
  LineCounts& counts = lines_[copy.line].counts;
  ++counts.copies;
  const Place* const place = here(channel, copy.line);
  if (place != nullptr && place->epoch == copy.epoch && copy.seq > place->seq + 1) {
    ++counts.holes;
    counts.missed += copy.seq - place->seq - 1;
  }
  note_place(channel, copy.line, copy.epoch, copy.seq);
}

void LineArbiter::note_head(Channel& channel, std::uint64_t head, Instant now) noexcept {
  if (head <= channel.head) return;
  if (channel.head <= channel.seq) channel.head_at = now;
  channel.head = head;
}

void LineArbiter::begin(Channel& channel, std::uint64_t epoch, std::uint64_t seq) {
  channel.phase = Phase::running;
  channel.epoch = epoch;
  channel.seq = seq;
  channel.head = seq;
  channel.asked = 0;
  channel.reason = Gap::Reason::upstream;
  // What was left is not this one.
  for (Place& place : channel.places) {
    if (place.epoch == kLeft) place = {};
  }
  channel.window.assign(std::max(channel.window.size(), std::min(kWindowFirst, config_.window)),
                        Seen{});
}

void LineArbiter::forget(std::string_view channel) {
  if (const auto found = wildcards_.find(channel); found != wildcards_.end()) {
    wildcards_.erase(found);
  }
  if (Channel* const known = find(channel)) forget(*known);
}

void LineArbiter::forget(Channel& channel) {
  for (; held_size(channel) != 0; ++channel.held_begin) {
    const Held& held = channel.held[channel.held_begin];
    --held_;
    held_bytes_ -= held.bytes;
    actions_.emplace_back(arbiter_action::Discard{held.slot});
  }
  channel.held.clear();
  channel.held_begin = 0;
  channel.phase = Phase::idle;
  channel.head = channel.seq;
  channel.asking = kNoLine;
  channel.due = kNever;
  channel.past.clear();
  channel.firsts.clear();
  std::fill(channel.places.begin(), channel.places.end(), Place{});
}

// ---- What happens

LineArbiter::Link LineArbiter::link_of(ClientState state) noexcept {
  switch (state) {
    case ClientState::subscribing:
    case ClientState::recovering:
    case ClientState::live:
    case ClientState::stale:
      return Link::up;
    case ClientState::closing:
    case ClientState::closed:
    case ClientState::failed:
      return Link::over;
    default:
      return Link::down;
  }
}

void LineArbiter::link(std::size_t line, Link link, Instant now) {
  Line& changed = lines_[line];
  if (changed.link == link) return;
  if (changed.link == Link::up) ++changed.generation;
  changed.link = link;
  reconsider_wildcards(now);
  for (auto& [name, channel] : channels_) {
    if (channel.phase == Phase::idle) continue;
    if (channel.phase != Phase::finding) reconsider_epoch(channel, now);
    if (channel.phase != Phase::between_epochs) settle(channel, now);
  }
  ask_wildcards(now);
}

void LineArbiter::started(std::size_t line, std::string_view name, std::uint64_t epoch,
                          std::uint64_t head, Instant now) {
  if (is_wildcard(name)) return wildcard_started(line, name, epoch, head, now);
  Channel& channel = channel_of(name);
  const Place* const place = here(channel, line);
  // Where it flows already, messages up to the head may still be on their way.
  if (place == nullptr || place->epoch != epoch) note_place(channel, line, epoch, head);
  if (channel.phase == Phase::idle) return begin(channel, epoch, head);
  if (channel.phase == Phase::finding) return;
  reconsider_epoch(channel, now);
  if (channel.phase != Phase::running || channel.epoch != epoch) return;
  note_head(channel, head, now);
  settle(channel, now);
}

LineArbiter::Decision LineArbiter::message(const LineCopy& copy, Instant now) {
  if (copy.seq == 0) {
    ++counts_.handed;
    return {Verdict::deliver};
  }
  Channel& channel = channel_of(copy.channel);
  if (copy.source == CopySource::live) note_skip(channel, copy);
  if (channel.phase != Phase::running || copy.epoch != channel.epoch) [[unlikely]] {
    if (!enter(channel, copy, now)) return {Verdict::foreign};
    if (channel.phase == Phase::finding) return hold(channel, copy, now);
    // It began with what was held, which this one is a copy of.
    if (copy.seq <= channel.seq) settle(channel, now);
  }
  if (copy.seq <= channel.seq) return {later_copy(channel, copy)};
  if (copy.seq != channel.seq + 1) return hold(channel, copy, now);
  const Decision decision = accept(channel, copy);
  if (channel.troubled) [[unlikely]]
    settle(channel, now);
  return decision;
}

/// Whether the channel is in the copy's epoch now.
bool LineArbiter::enter(Channel& channel, const LineCopy& copy, Instant now) {
  const bool live = copy.source == CopySource::live;
  if (channel.phase == Phase::idle || channel.phase == Phase::finding) {
    if (!find_beginning(channel, copy, now)) return false;
    if (channel.phase == Phase::finding) return true;
  }
  if (live) reconsider_epoch(channel, now);
  if (channel.phase == Phase::running && channel.epoch == copy.epoch) return true;
  if (live) ++lines_[copy.line].counts.foreign;
  return false;
}

LineArbiter::Decision LineArbiter::accept(Channel& channel, const LineCopy& copy) {
  channel.seq = copy.seq;
  remember(channel, seen_of(copy));
  ++counts_.handed;
  if (copy.source == CopySource::live) ++lines_[copy.line].counts.wins;
  if (channel.troubled) [[unlikely]] {
    if (channel.due != kNever) ++counts_.filled;
    channel.asked = 0;
  }
  if (!has_actions()) [[likely]]
    return {Verdict::deliver};
  // What is to be handed over before it comes first.
  const std::uint32_t slot = take_slot();
  actions_.emplace_back(arbiter_action::Release{slot});
  return {Verdict::hold, slot};
}

LineArbiter::Seen LineArbiter::seen_of(const LineCopy& copy) noexcept {
  return {(copy.content & ~kTag) | kTagThere | copy.line, copy.received_at};
}

void LineArbiter::remember(Channel& channel, const Seen& seen) {
  Seen* place = &seen_at(channel, channel.seq);
  if (place->tagged != 0 && channel.window.size() < config_.window) {
    grow_window(channel);
    place = &seen_at(channel, channel.seq);
  }
  *place = seen;
}

void LineArbiter::grow_window(Channel& channel) {
  std::vector<Seen> old(channel.window.size() * 2);
  old.swap(channel.window);
  // The newest one is not in it yet.
  for (std::uint64_t back = 1; back <= old.size() && back < channel.seq; ++back) {
    const std::uint64_t seq = channel.seq - back;
    seen_at(channel, seq) = old[seq & (old.size() - 1)];
  }
}

LineArbiter::Verdict LineArbiter::later_copy(Channel& channel, const LineCopy& copy) {
  if (channel.seq - copy.seq < channel.window.size()) {
    Seen& seen = seen_at(channel, copy.seq);
    if (seen.tagged != 0) return compare(channel, seen, copy);
  }
  ++counts_.unchecked;
  return Verdict::duplicate;
}

LineArbiter::Verdict LineArbiter::compare(const Channel& channel, Seen& seen,
                                          const LineCopy& copy) {
  LineCounts& line = lines_[copy.line].counts;
  if (((seen.tagged ^ copy.content) & ~kTag) == 0) {
    ++counts_.duplicates;
    if (copy.source == CopySource::replay) return Verdict::duplicate;
    const std::int64_t lag = std::max<std::int64_t>(copy.received_at - seen.received_at, 0);
    ++line.late;
    line.lag_ns_sum += lag;
    line.lag_ns_max = std::max(line.lag_ns_max, lag);
    return Verdict::duplicate;
  }
  ++line.divergences;
  if ((seen.tagged & kTagTold) == 0) {
    seen.tagged |= kTagTold;
    ++counts_.divergences;
    actions_.emplace_back(arbiter_action::HandDivergence{
        {channel.name, channel.epoch, copy.seq, static_cast<std::size_t>(seen.tagged & kTagLine),
         copy.line}});
  }
  return Verdict::divergence;
}

void LineArbiter::gap(std::size_t line, CopySource source, std::string_view name, const Gap& gap,
                      Instant now) {
  Channel& channel = channel_of(name);
  if (source == CopySource::replay) return replay_gap(channel, line, gap, now);
  LineCounts& counts = lines_[line].counts;
  ++counts.holes;
  if (gap.to >= gap.from) counts.missed += gap.to - gap.from + 1;
  if (gap.reason == Gap::Reason::epoch_change) {
    const bool ours = channel.phase == Phase::running && gap.epoch == channel.epoch;
    channel.places[line] = ours ? Place{kLeft, 0, lines_[line].generation} : Place{};
  } else if (gap.to == 0) {
    channel.places[line] = {};
  } else {
    note_place(channel, line, gap.epoch, gap.to);
    begin_with_gap(channel, line, source, gap, now);
    if (channel.phase == Phase::running && channel.epoch == gap.epoch) channel.reason = gap.reason;
  }
  if (channel.phase == Phase::idle || channel.phase == Phase::finding) return;
  reconsider_epoch(channel, now);
  if (channel.phase != Phase::running) return;
  if (gap.to != 0 && gap.epoch == channel.epoch) note_head(channel, gap.to, now);
  settle(channel, now);
}

/// The line need not be asked for that again. The replay goes on: it may have what is behind it.
void LineArbiter::replay_gap(Channel& channel, std::size_t line, const Gap& gap, Instant now) {
  if (gap.to != 0) begin_with_gap(channel, line, CopySource::replay, gap, now);
  if (channel.phase != Phase::running || gap.epoch != channel.epoch) return;
  if (gap.from > channel.seq + 1 || gap.to <= channel.seq) return;
  channel.reason = gap.reason;
  channel.asked |= 1u << line;
  // Nothing need come behind it: then nothing else tells of the hole.
  note_head(channel, gap.to, now);
  wait_until(channel, now);
}

void LineArbiter::replay_ended(std::size_t line, std::string_view name, Replayed replayed,
                               Instant now) {
  if (is_wildcard(name)) return wildcard_replayed(line, name, replayed, now);
  Channel* const channel = find(name);
  if (channel == nullptr || channel->asking != line) return;
  channel->asking = kNoLine;
  if (channel->phase == Phase::running) settle(*channel, now);
}

// ---- Epochs

bool LineArbiter::is_past(const Channel& channel, std::uint64_t epoch) noexcept {
  return std::find(channel.past.begin(), channel.past.end(), epoch) != channel.past.end();
}

/// The channel stays in its epoch while a line that is up is in it, and never returns to one that
/// was ended: its rest was given up.
void LineArbiter::reconsider_epoch(Channel& channel, Instant now) {
  std::optional<std::uint64_t> next;
  bool left = false;
  for (std::size_t line = 0; line < lines_.size(); ++line) {
    const Place* const place = here(channel, line);
    if (place == nullptr || lines_[line].link != Link::up) continue;
    if (channel.phase == Phase::running && place->epoch == channel.epoch) return;
    if (place->epoch == kLeft) {
      left = true;
    } else if (!is_past(channel, place->epoch)) {
      next = std::max(next.value_or(0), place->epoch);
    }
  }
  if (!next && !left) return;
  if (channel.phase == Phase::running) end_epoch(channel);
  if (!next) return;
  begin(channel, *next, 0);
  for (std::size_t line = 0; line < lines_.size(); ++line) {
    const Place* const place = here(channel, line);
    if (place != nullptr && place->epoch == *next) note_head(channel, place->seq, now);
  }
}

void LineArbiter::end_epoch(Channel& channel) {
  while (held_size(channel) != 0) {
    if (channel.held[channel.held_begin].seq != channel.seq + 1) give_up_hole(channel);
    release_front(channel);
  }
  ++counts_.gaps;
  actions_.emplace_back(arbiter_action::HandGap{
      channel.name, {channel.epoch, channel.seq + 1, 0, Gap::Reason::epoch_change}});
  if (channel.past.size() == kPastMax) channel.past.erase(channel.past.begin());
  channel.past.push_back(channel.epoch);
  channel.phase = Phase::between_epochs;
  channel.asking = kNoLine;
  channel.due = kNever;
}

// ---- Actions

std::optional<ArbiterAction> LineArbiter::next_action() {
  if (actions_taken_ == actions_.size()) {
    actions_.clear();
    actions_taken_ = 0;
    return std::nullopt;
  }
  const ArbiterAction action = actions_[actions_taken_++];
  // Not before: what comes next may be put where this one still is.
  if (const auto* const release = std::get_if<arbiter_action::Release>(&action)) {
    free_slots_.push_back(release->slot);
  } else if (const auto* const discard = std::get_if<arbiter_action::Discard>(&action)) {
    free_slots_.push_back(discard->slot);
  }
  return action;
}

std::uint32_t LineArbiter::take_slot() {
  if (free_slots_.empty()) return slots_++;
  const std::uint32_t slot = free_slots_.back();
  free_slots_.pop_back();
  return slot;
}

}  // namespace stratwire::session
