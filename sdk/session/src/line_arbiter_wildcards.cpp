// With what a channel of `kind:*` begins.

#include <algorithm>

#include <stratwire/session/channel_name.hpp>
#include <stratwire/session/line_arbiter.hpp>

namespace stratwire::session {

// ---- Who follows it, and from where

/// How the line follows it, if it does.
LineArbiter::Cover* LineArbiter::cover(Wildcard& wildcard, std::size_t line) noexcept {
  Cover& cover = wildcard.covers[line];
  const bool follows = cover.generation == lines_[line].generation && lines_[line].link == Link::up;
  return follows ? &cover : nullptr;
}

/// That which covers the channel, if one does.
LineArbiter::Wildcard* LineArbiter::wildcard_of(std::string_view channel) {
  if (wildcards_.empty()) return nullptr;
  const auto name = parse_channel_name(channel, Wildcards::refused);
  if (!name.ok()) return nullptr;
  const auto found = wildcards_.find(session::wildcard_of(name->kind));
  return found == wildcards_.end() ? nullptr : &found->second;
}

void LineArbiter::wildcard_started(std::size_t line, std::string_view name, std::uint64_t epoch,
                                   std::uint64_t position, Instant now) {
  const auto [at, is_new] = wildcards_.try_emplace(std::string{name});
  Wildcard& wildcard = at->second;
  if (is_new) {
    wildcard = {epoch, position, {}};
    wildcard.covers.resize(lines_.size());
  }
  // Where it flows already, it goes on doing so.
  const Cover* const known = cover(wildcard, line);
  if (known != nullptr && known->epoch == epoch) return;
  wildcard.covers[line] = {lines_[line].generation,       epoch, position,
                           position <= wildcard.position, false, now};
  reconsider(wildcard, now);
  ask_wildcards(now);
}

void LineArbiter::reconsider_wildcards(Instant now) {
  for (auto& [name, wildcard] : wildcards_) reconsider(wildcard, now);
}

/// It stays in its epoch while a line that is up is in it; all of the next one is wanted.
void LineArbiter::reconsider(Wildcard& wildcard, Instant now) {
  std::uint64_t next = 0;
  for (std::size_t line = 0; line < lines_.size(); ++line) {
    const Cover* const one = cover(wildcard, line);
    if (one == nullptr) continue;
    if (one->epoch == wildcard.epoch) return;
    next = std::max(next, one->epoch);
  }
  if (next == 0) return;
  wildcard.epoch = next;
  wildcard.position = 0;
  for (Cover& one : wildcard.covers) one.whole = one.position == 0;
  for (auto& [name, channel] : channels_) {
    if (channel.phase != Phase::running || wildcard_of(name) != &wildcard) continue;
    end_with_wildcard(channel, wildcard, now);
  }
}

/// No line that is up is in its epoch any more, even if none has brought anything of the next one.
void LineArbiter::end_with_wildcard(Channel& channel, Wildcard& wildcard, Instant now) {
  for (std::size_t line = 0; line < lines_.size(); ++line) {
    const Cover* const one = cover(wildcard, line);
    const bool follows = one != nullptr && one->epoch == wildcard.epoch;
    if (follows && here(channel, line) == nullptr) note_place(channel, line, wildcard.epoch, 0);
  }
  reconsider_epoch(channel, now);
  if (channel.phase == Phase::running) settle(channel, now);
}

void LineArbiter::ask_wildcards(Instant now) {
  for (auto& [name, wildcard] : wildcards_) {
    for (std::size_t line = 0; line < lines_.size(); ++line) {
      Cover* const one = cover(wildcard, line);
      if (one == nullptr || one->epoch != wildcard.epoch || one->whole || one->asking) continue;
      if (now < one->ask_at) {
        next_tick_ = std::min(next_tick_, one->ask_at);
        continue;
      }
      one->asking = true;
      ++lines_[line].counts.replays;
      actions_.emplace_back(
          arbiter_action::AskReplay{line, name, wildcard.epoch, wildcard.position});
    }
  }
}

void LineArbiter::wildcard_replayed(std::size_t line, std::string_view name, Replayed replayed,
                                    Instant now) {
  const auto found = wildcards_.find(name);
  if (found == wildcards_.end()) return;
  Wildcard& wildcard = found->second;
  Cover* const one = cover(wildcard, line);
  if (one == nullptr || !one->asking) return;
  one->asking = false;
  one->whole = replayed == Replayed::all;
  one->ask_at = now + config_.replay_max;
  if (one->whole) {
    for (auto& [text, channel] : channels_) {
      if (channel.phase != Phase::finding || channel.epoch != wildcard.epoch) continue;
      if (channel.firsts[line] == 0 || wildcard_of(text) != &wildcard) continue;
      // Nothing was before what it brought first.
      begin_found(channel, channel.epoch, channel.firsts[line] - 1, now);
      settle(channel, now);
    }
  }
  ask_wildcards(now);
}

bool LineArbiter::is_asked_with_its_kind(const Channel& channel) {
  Wildcard* const wildcard = wildcard_of(channel.name);
  if (wildcard == nullptr || wildcard->epoch != channel.epoch) return false;
  for (std::size_t line = 0; line < lines_.size(); ++line) {
    const Cover* const one = cover(*wildcard, line);
    if (one != nullptr && one->asking) return true;
  }
  return false;
}

// ---- Channels that nobody knows

/// Whether this copy of a channel that nobody knows is the first that there is.
LineArbiter::Beginning LineArbiter::beginning(std::string_view channel, const LineCopy& copy) {
  Wildcard* const wildcard = wildcard_of(channel);
  const bool live = copy.source == CopySource::live;
  if (wildcard == nullptr) return live ? Beginning::here : Beginning::unknown;
  // Whether the line has been in another epoch from its start nobody knows.
  if (wildcard->epoch != copy.epoch) return Beginning::unknown;
  const Cover* const one = cover(*wildcard, copy.line);
  if (one == nullptr) return Beginning::unknown;
  return (live ? one->whole : one->asking) ? Beginning::here : Beginning::unknown;
}

/// A copy of a channel that nobody knows came: it begins, or its beginning is looked for. False
/// when the copy is of no use.
bool LineArbiter::find_beginning(Channel& channel, const LineCopy& copy, Instant now) {
  const bool live = copy.source == CopySource::live;
  if (channel.phase == Phase::finding && channel.epoch != copy.epoch) {
    if (live) give_up_finding(channel, now);
    return live;
  }
  const bool here = beginning(channel.name, copy) == Beginning::here;
  if (here && (!live || wildcard_of(channel.name) == nullptr)) {
    begin_found(channel, copy.epoch, copy.seq - 1, now);
    return true;
  }
  if (!live) return false;
  if (channel.phase == Phase::idle) {
    channel.phase = Phase::finding;
    channel.epoch = copy.epoch;
    channel.seq = 0;
    channel.head = 0;
    channel.head_at = now;
    channel.first = 0;
    channel.firsts.assign(lines_.size(), 0);
  }
  std::uint64_t& first = channel.firsts[copy.line];
  if (first == 0) first = copy.seq;
  if (!here) return true;
  channel.first = channel.first == 0 ? copy.seq : std::min(channel.first, copy.seq);
  static_cast<void>(has_begun(channel, now));
  return true;
}

/// Whether every line that brings all of the wildcard has brought some of the channel.
bool LineArbiter::have_all_told(const Channel& channel) {
  Wildcard* const wildcard = wildcard_of(channel.name);
  if (wildcard == nullptr) return true;
  for (std::size_t line = 0; line < lines_.size(); ++line) {
    const Cover* const one = cover(*wildcard, line);
    if (one == nullptr || one->epoch != channel.epoch || !one->whole) continue;
    if (channel.firsts[line] == 0) return false;
  }
  return true;
}

/// A channel whose beginning is looked for begins once every line that brings all has brought some
/// of it: one that lost the very first message has no number to miss it by. Nothing is before
/// number 1, and nobody waits for longer than for a hole.
bool LineArbiter::has_begun(Channel& channel, Instant now) {
  Instant patience = channel.head_at + config_.hold_max;
  if (channel.first == 0) patience += config_.replay_max;
  const bool is_known = channel.first == 1 || (channel.first != 0 && have_all_told(channel));
  if (!is_known && now < patience && !is_over()) {
    wait_until(channel, patience);
    return false;
  }
  give_up_finding(channel, now);
  return true;
}

/// As find_beginning(), for a Gap.
void LineArbiter::begin_with_gap(Channel& channel, std::size_t line, CopySource source,
                                 const Gap& gap, Instant now) {
  if (channel.phase != Phase::idle && channel.phase != Phase::finding) return;
  if (!find_beginning(channel, {line, source, channel.name, gap.epoch, gap.from}, now)) return;
  if (channel.phase != Phase::finding) return;
  channel.head = std::max(channel.head, gap.to);
  settle(channel, now);
}

void LineArbiter::begin_found(Channel& channel, std::uint64_t epoch, std::uint64_t seq,
                              Instant now) {
  const std::uint64_t head = channel.phase == Phase::finding ? channel.head : seq;
  if (held_size(channel) != 0) seq = std::min(seq, channel.held[channel.held_begin].seq - 1);
  begin(channel, epoch, seq);
  channel.firsts.clear();
  channel.due = kNever;
  // The copy that showed where it begins may have waited all the while.
  release_run(channel);
  note_head(channel, head, now);
}

/// It begins with what a line that brings all has brought first. If there is no such line, all
/// before what came is missing, unless a log has it.
void LineArbiter::give_up_finding(Channel& channel, Instant now) {
  begin_found(channel, channel.epoch, std::max<std::uint64_t>(channel.first, 1) - 1, now);
}

}  // namespace stratwire::session
