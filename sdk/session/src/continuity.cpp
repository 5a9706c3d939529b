#include <stratwire/limits.hpp>
#include <stratwire/session/continuity.hpp>

namespace stratwire::session {

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
Continuity::Verdict Continuity::start_anew(std::uint64_t epoch, std::uint64_t seq) noexcept {
  gap_ = Gap{cursor_->epoch, cursor_->seq + 1, 0, Gap::Reason::epoch_change};
  cursor_->epoch = epoch;
  cursor_->seq = seq;
  cursor_->generation = generation_;
  return Verdict::deliver_after_gap;
}

Continuity::Verdict Continuity::uncommon(std::string_view channel, std::uint64_t seq) {
  if (!find_or_intern(channel)) return Verdict::refused;
  if (seq == 0) return Verdict::deliver;
  if (cursor_->generation == 0) {
    cursor_->generation = generation_;
    cursor_->epoch = epoch_;
    cursor_->seq = seq;
    return Verdict::deliver;
  }
  Gap::Reason reason = Gap::Reason::upstream;
  if (cursor_->generation != generation_) {
    // A server that names no epoch can't be told from its successor but by the numbers.
    const bool another = epoch_ != 0 ? epoch_ != cursor_->epoch : seq <= cursor_->seq;
    if (another) return start_anew(epoch_, seq);
    cursor_->generation = generation_;
    reason = Gap::Reason::disconnected;
  }
  if (seq <= cursor_->seq) return Verdict::duplicate;
  const std::uint64_t expected = cursor_->seq + 1;
  cursor_->seq = seq;
  if (seq == expected) return Verdict::deliver;
  gap_ = Gap{cursor_->epoch, expected, seq - 1, reason};
  return Verdict::deliver_after_gap;
}

Continuity::Verdict Continuity::gap_message(std::string_view channel, const Gap& gap) {
  if (!find_or_intern(channel)) return Verdict::refused;
  const std::uint64_t epoch = gap.epoch != 0 ? gap.epoch : epoch_;
  gap_ = gap;
  gap_.epoch = epoch;
  if (gap.reason == Gap::Reason::epoch_change || gap.to == 0) {
    // `epoch` may be the old one or the new one: the next message or Subscribed decides.
    if (cursor_->generation != 0) gap_.from = cursor_->seq + 1;
    cursor_->generation = 0;
    return Verdict::deliver;
  }
  if (cursor_->generation != 0 && cursor_->epoch != epoch) {
    static_cast<void>(start_anew(epoch, gap.to));
    return Verdict::deliver;
  }
  if (cursor_->generation != 0) {
    // One Gap for one hole: wider than the server's when something before it is missing too,
    // narrower when its start was handed over.
    if (gap.to <= cursor_->seq) return Verdict::duplicate;
    gap_.from = cursor_->seq + 1;
  }
  cursor_->epoch = epoch;
  cursor_->seq = gap.to;
  cursor_->generation = generation_;
  return Verdict::deliver;
}

std::optional<Gap> Continuity::subscribed(std::string_view channel, std::uint64_t epoch,
                                          std::uint64_t head) {
  if (channel.ends_with(":*") || !find_or_intern(channel)) return std::nullopt;
  const bool known = cursor_->generation != 0;
  if (known && cursor_->generation == generation_) {
    // It flows already, through a wildcard: messages up to `head` may still be on their way.
    return std::nullopt;
  }
  if (known && (cursor_->epoch != epoch || head < cursor_->seq)) {
    static_cast<void>(start_anew(epoch, head));
    return gap_;
  }
  const std::uint64_t seq = cursor_->seq;
  cursor_->epoch = epoch;
  cursor_->seq = head;
  cursor_->generation = generation_;
  if (!known || head == seq) return std::nullopt;
  gap_ = Gap{epoch, seq + 1, head, Gap::Reason::disconnected};
  return gap_;
}

}  // namespace stratwire::session
