// Readers that are behind: how far they may be, and what they are told.

#include <algorithm>
#include <memory>
#include <utility>

#include <stratwire/codec.hpp>

#include "fanout.hpp"

namespace stratwire::server {
namespace {

/// Whether a reader that is lapped gets the frame all the same.
bool is_kept(const FrameMark& mark) noexcept {
  return mark.keep == FrameMark::Keep::always ||
         (mark.channel != nullptr && mark.channel->overflow() == Overflow::lossless);
}

}  // namespace

void Fanout::relieve(Cohort& cohort) {
  const std::uint64_t head = cohort.log.head();
  std::uint64_t slowest = head;
  for (Connection* const c : cohort.lagging) {
    if (is_too_far_behind(*c)) lap(*c);
    slowest = std::min(slowest, c->cursor);
  }
  // Moving what is left costs as much as there is of it: wait until that is the smaller half.
  if (slowest - cohort.log.tail() > cohort.log.size() / 2) cohort.log.trim(slowest);
}

/// Only what was published counts: a paced publisher leaves no room for Heartbeats. They get as
/// much room again, so that they can't pile up for ever.
bool Fanout::is_too_far_behind(const Connection& c) const {
  const std::size_t bytes_max = core_.config.lane_bytes_max;
  const std::uint64_t bytes = c.cohort->log.head() - c.cursor;
  const auto marks = c.cohort->log.marks_from(c.cursor);
  if (count_data(marks) > core_.config.lane_messages_max || bytes > 2 * bytes_max) return true;
  if (bytes <= bytes_max) return false;
  std::uint64_t published = 0;
  std::uint64_t begin = c.cursor;
  for (const FrameMark& mark : marks) {
    if (mark.is_data()) published += mark.end - begin;
    begin = mark.end;
  }
  return published > bytes_max;
}

void Fanout::lap(Connection& c) {
  if (!c.lane) c.lane = std::make_unique<Lane>();
  finish_frame(c);
  const FrameLog& log = c.cohort->log;
  const auto marks = log.marks_from(c.cursor);
  const auto keep = [&](std::size_t i) {
    const std::uint64_t begin = i == 0 ? c.cursor : marks[i - 1].end;
    const auto frame = log.from(begin).first(marks[i].end - begin);
    counters_.delivered.add();
    c.lane->append({frame.data(), frame.size()}, 1, Cause::feed);
  };
  for (std::size_t i = 0; i < marks.size(); ++i) {
    if (is_kept(marks[i])) keep(i);
  }
  find_lapped(marks);
  for (const Lapped& lapped : lapped_) {
    tell_gap(c, lapped);
    if (lapped.channel->overflow() == Overflow::conflate) keep(lapped.last_mark);
  }
  c.cursor = log.head();
  // One that takes neither what is kept for it nor its gaps: it comes back and resumes.
  if (!c.slow && (c.lane->unsent_bytes() > core_.lane_hard_bytes ||
                  c.lane->messages() > core_.lane_hard_messages)) {
    c.slow = true;
    slow.push_back(c.token);
  }
}

void Fanout::find_lapped(std::span<const FrameMark> marks) {
  lapped_.clear();
  lapped_by_channel_.assign(routes_.size(), 0);
  for (std::size_t i = 0; i < marks.size(); ++i) {
    const FrameMark& mark = marks[i];
    if (mark.channel == nullptr || is_kept(mark)) continue;
    std::uint32_t& place = lapped_by_channel_[mark.channel->id()];
    if (place == 0) {
      lapped_.push_back({mark.channel, mark.seq, mark.seq, i});
      place = static_cast<std::uint32_t>(lapped_.size());
    } else {
      lapped_[place - 1].to = mark.seq;
      lapped_[place - 1].last_mark = i;
    }
  }
}

void Fanout::tell_gap(Connection& c, const Lapped& lapped) {
  const bool conflates = lapped.channel->overflow() == Overflow::conflate;
  const std::uint64_t to = conflates ? lapped.to - 1 : lapped.to;
  if (to < lapped.from) return;
  counters_.missed.add(to - lapped.from + 1);
  // Plain connections know no Gap; what they miss is counted all the same.
  if (c.dialect == Dialect::plain) return;
  ++c.gaps;
  counters_.gaps.add();
  encoded_.clear();
  const Message gap{{lapped.channel->name(), 0},
                    Gap{core_.epoch, lapped.from, to,
                        conflates ? Gap::Reason::conflated : Gap::Reason::slow_consumer}};
  const Codec codec = codec_of(c.dialect);
  if (encode(codec, gap, encoded_)) {
    c.lane->append_frame(opcode_of(codec), encoded_, Cause::feed);
  }
}

}  // namespace stratwire::server
