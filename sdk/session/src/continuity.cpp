#include <algorithm>
#include <limits>

#include <stratwire/limits.hpp>
#include <stratwire/session/channel_name.hpp>
#include <stratwire/session/continuity.hpp>

namespace stratwire::session {
namespace {

// Where a wildcard brought the channel, no answer names its head.
constexpr std::uint64_t kHeadUnknown = std::numeric_limits<std::uint64_t>::max();

/// Of the connection that was asked to resume here, and has not answered.
bool awaits_answer(const Cursor& cursor, const Continuity::Line& line) noexcept {
  return cursor.asked == line.generation && cursor.said != line.generation;
}

std::uint64_t epoch_on(const Cursor& cursor, const Continuity::Line& line) noexcept {
  return cursor.said == line.generation ? cursor.head_epoch : line.epoch;
}

/// Whether the numbering of `line` is another one than the cursor's.
bool is_void(const Cursor& cursor, const Continuity::Line& line, std::uint64_t seq) noexcept {
  const std::uint64_t epoch = epoch_on(cursor, line);
  // A server that names no epoch can't be told from its successor but by the numbers.
  if (epoch == 0) return seq <= cursor.seq;
  // A server of the same epoch that is behind has the same numbers: what it brings up to the cursor
  // was handed over.
  return epoch != cursor.epoch;
}

}  // namespace

bool Continuity::find_or_intern(std::string_view channel) {
  cursor_ = table_.find(channel);
  if (cursor_ != nullptr) return true;
  if (table_.size() >= channels_max_) return false;
  if (channel.size() > limits::kChannelNameBytesMax) return false;
  cursor_ = &table_.intern(channel);
  return true;
}

/// The numbering is another one: what is left of the old one will not come, and nobody knows how
/// much that is.
Continuity::Verdict Continuity::start_anew(const Line& line, std::uint64_t epoch,
                                           std::uint64_t seq) noexcept {
  gap_ = Gap{cursor_->epoch, cursor_->seq + 1, 0, Gap::Reason::epoch_change};
  cursor_->epoch = epoch;
  cursor_->seq = seq;
  cursor_->came_by_message();
  cursor_->generation = line.generation;
  return Verdict::deliver_after_gap;
}

/// To `seq` in the cursor's own numbering.
Continuity::Verdict Continuity::advance(std::uint64_t seq, Gap::Reason reason) noexcept {
  if (seq <= cursor_->seq) return Verdict::duplicate;
  const std::uint64_t expected = cursor_->seq + 1;
  cursor_->seq = seq;
  if (seq == expected) return Verdict::deliver;
  gap_ = Gap{cursor_->epoch, expected, seq - 1, reason};
  return Verdict::deliver_after_gap;
}

// ---- Messages

Continuity::Verdict Continuity::message_elsewhere(const Line& line, std::string_view channel,
                                                  std::uint64_t seq) {
  cursor_ = table_.find(channel);
  if (cursor_ == nullptr || !cursor_->is_next(line.generation, seq)) {
    return uncommon(line, channel, seq);
  }
  cursor_->seq = seq;
  return Verdict::deliver;
}

Continuity::Verdict Continuity::uncommon(const Line& line, std::string_view channel,
                                         std::uint64_t seq) {
  if (!find_or_intern(channel)) return Verdict::refused;
  if (seq == 0) return Verdict::deliver;
  if (cursor_->generation > line.generation) return behind_successor(line, seq);
  if (cursor_->generation != 0) {
    const bool settled = cursor_->generation == line.generation;
    if (!settled) return unsettled(line, seq);
    // The connection that it takes over from may have what it lacks.
    if (line.role == Role::successor && seq > cursor_->seq + 1) return Verdict::duplicate;
    return advance(seq, Gap::Reason::upstream);
  }
  cursor_->generation = line.generation;
  cursor_->epoch = line.epoch;
  cursor_->seq = seq;
  cursor_->came_by_message();
  return Verdict::deliver;
}

/// The connection that takes over has moved the cursor: it brings whatever this one lacks.
Continuity::Verdict Continuity::behind_successor(const Line& line, std::uint64_t seq) noexcept {
  if (cursor_->epoch != line.epoch || seq != cursor_->seq + 1) return Verdict::duplicate;
  cursor_->seq = seq;
  return Verdict::deliver;
}

Continuity::Verdict Continuity::unsettled(const Line& line, std::uint64_t seq) noexcept {
  if (awaits_answer(*cursor_, line)) {
    // It flows already, through another subscription; the replay begins at the cursor and has
    // this one, too.
    if (cursor_->epoch != line.epoch || seq != cursor_->seq + 1) return Verdict::duplicate;
    cursor_->seq = seq;
    return Verdict::deliver;
  }
  if (is_void(*cursor_, line, seq)) return start_anew(line, epoch_on(*cursor_, line), seq);
  if (line.role == Role::successor && seq > cursor_->seq + 1) return Verdict::duplicate;
  cursor_->generation = line.generation;
  return advance(seq, Gap::Reason::disconnected);
}

Continuity::Verdict Continuity::gap_message(const Line& line, std::string_view channel,
                                            const Gap& gap) {
  if (!find_or_intern(channel)) return Verdict::refused;
  const bool known = cursor_->generation != 0;
  if (known && (cursor_->generation > line.generation || awaits_answer(*cursor_, line))) {
    return Verdict::duplicate;
  }
  gap_ = gap;
  gap_.epoch = gap.epoch != 0 ? gap.epoch : epoch_on(*cursor_, line);
  if (gap.reason == Gap::Reason::epoch_change) return epoch_gap(line, gap);
  if (gap.to == 0) {
    // Whatever comes next is behind it.
    if (known) gap_.from = cursor_->seq + 1;
    cursor_->generation = 0;
    return Verdict::deliver;
  }
  if (known && cursor_->epoch != gap_.epoch) {
    static_cast<void>(start_anew(line, gap_.epoch, gap.to));
    cursor_->came_silently();
    return Verdict::deliver;
  }
  if (known) {
    // One Gap for one hole: wider than the server's when something before it is missing too,
    // narrower when its start was handed over.
    if (gap.to <= cursor_->seq || line.role == Role::successor) return Verdict::duplicate;
    gap_.from = cursor_->seq + 1;
  }
  cursor_->epoch = gap_.epoch;
  cursor_->seq = gap.to;
  cursor_->came_silently();
  cursor_->generation = line.generation;
  return Verdict::deliver;
}

/// The next message is number 1 of another numbering, of which the Gap may or may not say the name.
Continuity::Verdict Continuity::epoch_gap(const Line& line, const Gap& gap) noexcept {
  if (cursor_->generation == 0) return Verdict::deliver;
  const bool settled = cursor_->generation == line.generation;
  if (settled && cursor_->seq == 0) return Verdict::duplicate;
  const std::uint64_t left = cursor_->epoch;
  const std::uint64_t said = epoch_on(*cursor_, line);
  // The end of a numbering that the cursor is not in: of a point that was asked for, and then
  // given up by forget().
  if (settled && gap.epoch != 0 && gap.epoch != left && left == said) return Verdict::duplicate;
  gap_.epoch = left;
  gap_.from = cursor_->seq + 1;
  gap_.to = 0;
  cursor_->epoch = gap.epoch != 0 && gap.epoch != left ? gap.epoch : said;
  cursor_->seq = 0;
  cursor_->came_silently();
  cursor_->generation = line.generation;
  return Verdict::deliver;
}

// ---- Resuming

void Continuity::seed(const ResumePoint& point) {
  if (is_wildcard(point.channel)) {
    Position& position = positions_[point.channel];
    if (position.known) return;
    position.epoch = point.epoch;
    position.seq = point.seq;
    position.known = true;
    position.seeded = true;
    return;
  }
  if (!find_or_intern(point.channel) || cursor_->generation != 0) return;
  cursor_->epoch = point.epoch;
  cursor_->seq = point.seq;
  cursor_->came_silently();
  cursor_->generation = kSeeded;
}

std::optional<ResumePoint> Continuity::ask(const Line& line, std::string_view channel,
                                           Which which) {
  if (is_wildcard(channel)) {
    const auto found = positions_.find(channel);
    if (found == positions_.end()) return std::nullopt;
    Position& position = found->second;
    const bool asked_for = which == Which::every || position.seeded;
    if (!position.known || !asked_for || position.epoch == 0) return std::nullopt;
    if (position.said == line.generation) return std::nullopt;
    position.asked = line.generation;
    return ResumePoint{found->first, position.epoch, position.seq};
  }
  Cursor* const cursor = table_.find(channel);
  if (cursor == nullptr || cursor->generation == 0 || cursor->epoch == 0) return std::nullopt;
  // It flows already, or its point stands in another request.
  if (cursor->generation >= line.generation || cursor->asked == line.generation) {
    return std::nullopt;
  }
  if (which == Which::seeded && cursor->generation != kSeeded) return std::nullopt;
  cursor->asked = line.generation;
  return ResumePoint{std::string{cursor->channel}, cursor->epoch, cursor->seq};
}

std::vector<ResumePoint> Continuity::ask_covered(const Line& line, std::string_view wildcard,
                                                 std::size_t points_max, Which which) {
  std::vector<ResumePoint> points;
  table_.for_each([&](Cursor& cursor) {
    if (points.size() == points_max || cursor.generation == 0) return;
    if (!covers(wildcard, cursor.channel)) return;
    if (auto point = ask(line, cursor.channel, which)) points.push_back(*std::move(point));
  });
  return points;
}

std::optional<Gap> Continuity::subscribed(const Line& line, const Granted& granted, Replay replay) {
  if (is_wildcard(granted.channel)) {
    Position& position = positions_[std::string{granted.channel}];
    position.next_epoch = granted.epoch;
    position.next_seq = granted.head;
    position.said = line.generation;
    answered(line, granted.channel, granted.epoch);
    // With nothing to go back to, a connection that breaks during the replay goes back to here:
    // channels without a point of their own were promised nothing before.
    const bool is_first = !position.known && !granted.from_latest;
    if (replay == Replay::none || is_first) commit(position);
    return std::nullopt;
  }
  if (!find_or_intern(granted.channel)) return std::nullopt;
  // It flows already, through a wildcard: messages up to the head may still be on their way.
  if (cursor_->generation >= line.generation) return std::nullopt;
  cursor_->said = line.generation;
  cursor_->head_epoch = granted.epoch;
  cursor_->head = granted.head;
  if (cursor_->generation == 0) {
    // What its `kind:*` missed of it is still to come: that tells where it begins.
    if (covered_by_replay(line, granted.channel)) return std::nullopt;
    cursor_->epoch = granted.epoch;
    cursor_->seq = granted.head;
    cursor_->came_silently();
    cursor_->generation = line.generation;
    return std::nullopt;
  }
  if (cursor_->asked == line.generation) {
    if (granted.epoch == cursor_->epoch && granted.recovered) cursor_->generation = line.generation;
    return std::nullopt;
  }
  if (line.role == Role::successor) return std::nullopt;
  if (granted.from_latest && granted.epoch == cursor_->epoch && granted.head + 1 == cursor_->seq) {
    // The latest message is the one that was handed over last.
    cursor_->head = cursor_->seq;
  }
  std::optional<Gap> missed;
  settle(line, granted.channel, [&](std::string_view, const Gap& gap) { missed = gap; });
  return missed;
}

void Continuity::answered(const Line& line, std::string_view wildcard, std::uint64_t epoch) {
  table_.for_each([&](Cursor& cursor) {
    if (!awaits_answer(cursor, line) || !covers(wildcard, cursor.channel)) return;
    cursor.said = line.generation;
    cursor.head_epoch = epoch;
    cursor.head = kHeadUnknown;
  });
}

bool Continuity::covered_by_replay(const Line& line, std::string_view channel) const {
  const auto name = parse_channel_name(channel, Wildcards::refused);
  if (!name.ok()) return false;
  const auto found = positions_.find(wildcard_of(name->kind));
  return found != positions_.end() && found->second.asked == line.generation;
}

void Continuity::caught_up(const Line& line, std::string_view channel, const HandGap& hand) {
  if (!is_wildcard(channel)) return settle(line, channel, hand);
  const auto found = positions_.find(channel);
  if (found == positions_.end() || found->second.said != line.generation) return;
  replay_ended(line, channel);
  settle_covered(line, channel, hand);
  // Not before: a connection that breaks during the replay leaves the place where it began.
  commit(found->second);
}

void Continuity::commit(Position& position) noexcept {
  position.epoch = position.next_epoch;
  position.seq = position.next_seq;
  position.known = true;
  position.seeded = false;
}

void Continuity::not_granted(const Line& line, std::string_view channel) {
  const auto clear = [&](Cursor& cursor) {
    if (cursor.asked == line.generation) cursor.asked = 0;
  };
  if (!is_wildcard(channel)) {
    if (Cursor* const cursor = table_.find(channel)) clear(*cursor);
    return;
  }
  replay_ended(line, channel);
  table_.for_each([&](Cursor& cursor) {
    if (covers(channel, cursor.channel)) clear(cursor);
  });
}

/// Everything that this `kind:*` missed was replayed: a channel that did not come has missed
/// nothing, unless its numbering is void.
void Continuity::settle_covered(const Line& line, std::string_view wildcard, const HandGap& hand) {
  const std::uint64_t epoch = positions_.find(wildcard)->second.next_epoch;
  table_.for_each([&](Cursor& cursor) {
    if (cursor.generation == 0 || cursor.generation >= line.generation) return;
    if (!covers(wildcard, cursor.channel)) return;
    cursor_ = &cursor;
    if (epoch != cursor.epoch) {
      static_cast<void>(start_anew(line, epoch, 0));
      cursor.came_silently();
      hand(cursor.channel, gap_);
    }
    cursor.generation = line.generation;
  });
}

void Continuity::replay_ended(const Line& line, std::string_view wildcard) {
  const auto found = positions_.find(wildcard);
  if (found != positions_.end() && found->second.asked == line.generation) found->second.asked = 0;
}

void Continuity::settle(const Line& line, std::string_view channel, const HandGap& hand) {
  cursor_ = table_.find(channel);
  if (cursor_ == nullptr || cursor_->generation == 0) return;
  if (cursor_->generation > line.generation || cursor_->said != line.generation) return;
  const bool settled = cursor_->generation == line.generation;
  const std::uint64_t head = cursor_->head;
  // Without epochs only the numbers tell.
  const bool is_behind = cursor_->head_epoch == 0 && head < cursor_->seq;
  if (!settled && (cursor_->head_epoch != cursor_->epoch || is_behind)) {
    static_cast<void>(start_anew(line, cursor_->head_epoch, head == kHeadUnknown ? 0 : head));
    cursor_->came_silently();
    hand(cursor_->channel, gap_);
    return;
  }
  cursor_->generation = line.generation;
  if (cursor_->head_epoch != cursor_->epoch || head == kHeadUnknown || head <= cursor_->seq) return;
  gap_ = Gap{cursor_->epoch, cursor_->seq + 1, head,
             settled ? Gap::Reason::upstream : Gap::Reason::disconnected};
  cursor_->seq = head;
  cursor_->came_silently();
  hand(cursor_->channel, gap_);
}

std::optional<Gap> Continuity::head(const Line& line, std::string_view channel, std::uint64_t seq) {
  if (seq == 0 || !find_or_intern(channel)) return std::nullopt;
  if (cursor_->generation > line.generation || awaits_answer(*cursor_, line)) return std::nullopt;
  const bool settled = cursor_->generation == line.generation;
  if (cursor_->generation == 0) {
    cursor_->epoch = line.epoch;
    cursor_->seq = seq;
    cursor_->came_silently();
    cursor_->generation = line.generation;
    return std::nullopt;
  }
  // A head is not handed over, so that the one of a message that was is no duplicate of it.
  if (!settled && is_void(*cursor_, line, seq + 1)) {
    static_cast<void>(start_anew(line, epoch_on(*cursor_, line), seq));
    cursor_->came_silently();
    return gap_;
  }
  cursor_->generation = line.generation;
  if (seq <= cursor_->seq) return std::nullopt;
  gap_ = Gap{cursor_->epoch, cursor_->seq + 1, seq,
             settled ? Gap::Reason::upstream : Gap::Reason::disconnected};
  cursor_->seq = seq;
  cursor_->came_silently();
  return gap_;
}

void Continuity::abandoned(const Line& failed, const Line& still_there) noexcept {
  table_.for_each([&](Cursor& cursor) {
    if (cursor.generation != failed.generation) return;
    // Numbers that only the failed one knows are settled again by the next message.
    const bool same = cursor.epoch == still_there.epoch;
    cursor.generation = same ? still_there.generation : kSeeded;
  });
}

}  // namespace stratwire::session
