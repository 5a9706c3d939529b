#include "replayer.hpp"

#include <algorithm>
#include <string>

#include <stratwire/session/channel_name.hpp>

#include "submission.hpp"

namespace stratwire::server {
namespace {

bool has(const std::vector<std::string>& sorted, std::string_view name) {
  return std::ranges::binary_search(sorted, name);
}

/// Whether the connection gets this channel already.
bool flows(const InterestChange& change, const Channel& channel) {
  return has(change.had, channel.name()) || has(change.had, session::wildcard_of(channel.kind()));
}

/// The number of the first message with a greater position, or, where the log no longer tells, the
/// lowest that may have one: each position belongs to one message at most.
std::uint64_t first_after(const Channel& channel, std::uint64_t position) {
  const session::MessageLog& log = channel.log;
  if (channel.head_position <= position) return log.head() + 1;
  const std::uint64_t first = log.first_after(position);
  if (first != log.first() && first <= log.head()) return first;
  const auto oldest = log.record(log.first());
  const std::uint64_t known = oldest ? log.first() : log.head();
  const std::uint64_t known_position = oldest ? oldest->position : channel.head_position;
  const std::uint64_t unknown = known_position - position - 1;
  return known > unknown ? known - unknown : 1;
}

}  // namespace

// ---- Plans

void Replayer::plan(InterestChange& change, const Stand& stand, const Find& find) {
  change.replay = std::make_unique<Replay>();
  Replay& replay = *change.replay;
  replay.adopted_seen = stand.adopted.size();
  points_.clear();
  seen_.clear();
  planned_.clear();
  for (const ResumePoint& point : change.since) points_[point.channel] = &point;
  change.granted.assign(change.asked.size(), {});
  // Names before wildcards, which leave out what was planned by name.
  for (const bool wildcards : {false, true}) {
    for (std::size_t i = 0; i < change.asked.size(); ++i) {
      const std::string& name = change.asked[i];
      if (name.empty() || session::is_wildcard(name) != wildcards) continue;
      const auto [first, is_new] = seen_.try_emplace(name, i);
      if (!is_new) {
        change.granted[i] = change.granted[first->second];
      } else if (wildcards) {
        plan_wildcard(change, i, stand, find);
      } else {
        plan_name(change, i, stand, find);
      }
    }
    std::ranges::sort(replay.names);
  }
  std::ranges::sort(replay.kinds);
  change.since = {};
}

const ResumePoint* Replayer::point_of(std::string_view name) const {
  const auto found = points_.find(name);
  return found == points_.end() ? nullptr : found->second;
}

/// That of the `kind:*`, if the request has it.
const ResumePoint* Replayer::point_of_kind(const InterestChange& change,
                                           std::string_view kind) const {
  const std::string wildcard = session::wildcard_of(kind);
  const bool is_asked = std::ranges::find(change.asked, wildcard) != change.asked.end();
  return is_asked ? point_of(wildcard) : nullptr;
}

void Replayer::plan_name(InterestChange& change, std::size_t i, const Stand& stand,
                         const Find& find) {
  Replay& replay = *change.replay;
  const std::string& name = change.asked[i];
  Subscription& granted = change.granted[i];
  const ResumePoint* const point = point_of(name);
  if (Channel* const channel = find(name)) {
    granted.head = channel->log.head();
    if (flows(change, *channel)) return;
    const ResumePoint* const wildcard = point_of_kind(change, channel->kind());
    granted.recovered = plan_channel(replay, *channel, point, wildcard, change, stand);
    if (point == nullptr && wildcard == nullptr && change.snapshot)
      granted.head = replay.cursors.back().next - 1;
    return;
  }
  replay.names.push_back(name);
  if (point == nullptr || has(change.had, name)) return;
  // Nobody has published it here: there is nothing to replay.
  granted.recovered = point->epoch == stand.epoch;
  if (!granted.recovered) replay.voided.push_back(*point);
}

void Replayer::plan_wildcard(InterestChange& change, std::size_t i, const Stand& stand,
                             const Find& find) {
  const std::string_view name = change.asked[i];
  Subscription& granted = change.granted[i];
  granted.head = stand.position;
  if (has(change.had, name)) return;
  Replay& replay = *change.replay;
  const std::string kind(session::kind_of(name));
  replay.kinds.push_back(kind);
  const ResumePoint* const wildcard = point_of(name);
  granted.recovered = wildcard != nullptr && wildcard->epoch == stand.epoch;
  for (Channel* const channel : stand.adopted) {
    if (channel->kind() != kind || flows(change, *channel) || planned_.contains(channel)) continue;
    const bool recovered =
        plan_channel(replay, *channel, point_of(channel->name()), wildcard, change, stand);
    granted.recovered = granted.recovered && recovered;
  }
  plan_points(change, kind, stand, find);
}

/// Points of channels that went with their epoch: their readers are told all the same.
void Replayer::plan_points(InterestChange& change, std::string_view kind, const Stand& stand,
                           const Find& find) {
  Replay& replay = *change.replay;
  for (const auto& [name, point] : points_) {
    const auto parsed = session::parse_channel_name(name, session::Wildcards::refused);
    if (!parsed || parsed->kind != kind) continue;
    const Channel* const channel = find(name);
    if (channel != nullptr && (planned_.contains(channel) || flows(change, *channel))) continue;
    if (has(change.had, name) || has(replay.names, name)) continue;
    if (point->epoch != stand.epoch) replay.voided.push_back(*point);
  }
}

/// \return whether everything since the point is in the log
bool Replayer::plan_channel(Replay& replay, Channel& channel, const ResumePoint* point,
                            const ResumePoint* wildcard, const InterestChange& change,
                            const Stand& stand) {
  planned_.insert(&channel);
  channel.log.evict_older_than(stand.now);
  const std::uint64_t head = channel.log.head();
  std::uint64_t next = head + 1;
  bool recovered = false;
  if (point != nullptr && point->epoch == stand.epoch) {
    // Beyond the head where another server of this epoch is ahead: its client waits for this one.
    next = std::min(point->seq, head) + 1;
    recovered = next >= channel.log.first();
  } else if (point != nullptr) {
    replay.voided.push_back(*point);
    next = 1;
  } else if (wildcard != nullptr && wildcard->epoch == stand.epoch) {
    next = first_after(channel, wildcard->seq);
    recovered = next >= channel.log.first();
  } else if (wildcard != nullptr) {
    next = 1;
  } else if (change.snapshot && channel.log.record(head)) {
    next = head;
  }
  replay.cursors.push_back({&channel, next});
  return recovered;
}

// ---- Pieces

bool Replayer::next_piece(InterestChange& change, const Stand& stand) {
  change.piece = {};
  Replay& replay = *change.replay;
  take_new_channels(replay, change, stand);
  tell_voided(change);
  std::size_t at_head = 0;
  while (at_head < replay.cursors.size() && change.piece.frames.size() < kPieceBytes) {
    Replay::Cursor& cursor = replay.cursors[replay.at];
    if (cursor.next > cursor.channel->log.head()) {
      ++at_head;
    } else {
      at_head = 0;
      replay_channel(change, cursor, stand.epoch);
      // It goes on with the same channel if the piece is full.
      if (cursor.next <= cursor.channel->log.head()) break;
    }
    replay.at = (replay.at + 1) % replay.cursors.size();
  }
  return at_head == replay.cursors.size() && replay.voided_told == replay.voided.size();
}

void Replayer::take_new_channels(Replay& replay, const InterestChange& change, const Stand& stand) {
  for (; replay.adopted_seen < stand.adopted.size(); ++replay.adopted_seen) {
    Channel& channel = *stand.adopted[replay.adopted_seen];
    const bool wanted = has(replay.kinds, channel.kind()) || has(replay.names, channel.name());
    if (wanted && !flows(change, channel)) replay.cursors.push_back({&channel, 1});
  }
}

void Replayer::tell_voided(InterestChange& change) {
  Replay& replay = *change.replay;
  while (replay.voided_told < replay.voided.size() && change.piece.frames.size() < kPieceBytes) {
    const ResumePoint& point = replay.voided[replay.voided_told++];
    add_gap(change, point.channel, {point.epoch, point.seq + 1, 0, Gap::Reason::epoch_change});
  }
}

void Replayer::replay_channel(InterestChange& change, Replay::Cursor& cursor, std::uint64_t epoch) {
  Channel& channel = *cursor.channel;
  const std::uint64_t first = channel.log.first();
  if (cursor.next < first) {
    add_gap(change, channel.name(), {epoch, cursor.next, first - 1, Gap::Reason::retention});
    cursor.next = first;
  }
  while (cursor.next <= channel.log.head() && change.piece.frames.size() < kPieceBytes) {
    add_message(change, channel, cursor.next++, epoch);
  }
}

void Replayer::add_message(InterestChange& change, Channel& channel, std::uint64_t seq,
                           std::uint64_t epoch) {
  const auto record = channel.log.record(seq);
  const Codec codec = codec_of(change.dialect);
  const auto frame = Publication::visit_record(record->bytes, [&](const auto& body) {
    return encoder_.data(codec, {channel.name(), seq}, body);
  });
  if (!frame) {
    // As when it was live: no form in this codec.
    add_gap(change, channel.name(), {epoch, seq, seq, Gap::Reason::upstream});
    return;
  }
  ++change.piece.messages;
  change.piece.frames.append(frame->data(), frame->size());
}

void Replayer::add_gap(InterestChange& change, std::string_view channel, const Gap& gap) {
  if (gap.to >= gap.from) change.piece.missed += gap.to - gap.from + 1;
  if (change.dialect == Dialect::plain) return;
  const auto frame = encoder_.any(codec_of(change.dialect), {{channel, 0}, gap});
  if (!frame) return;
  ++change.piece.gaps;
  change.piece.frames.append(frame->data(), frame->size());
}

}  // namespace stratwire::server
