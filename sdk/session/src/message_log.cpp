#include <algorithm>
#include <bit>
#include <new>
#include <utility>

#include <stratwire/session/log_budget.hpp>
#include <stratwire/session/message_log.hpp>

namespace stratwire::session {
namespace {

// What a log begins with, and does not shrink below: a few records of the usual size.
constexpr std::uint32_t kSlotsMin = 8;
constexpr std::uint32_t kRingBytesMin = 256;

}  // namespace

MessageLog::MessageLog(LogLimits limits, KeepLatest keep_latest, LogBudget* budget) noexcept
    : messages_max_(static_cast<std::uint32_t>(std::min(limits.messages_max, kMessagesMax))),
      bytes_max_(static_cast<std::uint32_t>(std::min(limits.bytes_max, kBytesMax))),
      age_max_(std::max(limits.age_max, Duration::zero())),
      budget_(budget),
      keep_latest_(keep_latest) {}

MessageLog::~MessageLog() {
  release();
}

std::uint64_t MessageLog::first_after(std::uint64_t position) const noexcept {
  // Most logs have nothing for a reader who was away for a moment: ask the newest record first.
  if (count_ == 0 || entries_[slot(head())].position <= position) return first_ + count_;
  std::uint32_t low = 0;
  std::uint32_t high = count_ - 1;
  while (low < high) {
    const std::uint32_t middle = low + (high - low) / 2;
    if (entries_[slot(first_ + middle)].position > position) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return first_ + low;
}

void MessageLog::evict_older_than(Instant now) noexcept {
  if (slots_ == 0) return;
  const Instant oldest = oldest_at(now);
  const std::uint32_t kept = keep_latest_ == KeepLatest::yes ? 1 : 0;
  while (count_ > kept && entries_[slot(first_)].at < oldest) evict_oldest();
  if (acknowledged_ && newest_at_ >= oldest) return;
  shrink_if_sparse();
}

void MessageLog::evict_through(std::uint64_t seq) noexcept {
  acknowledged_ = true;
  while (count_ != 0 && first_ <= seq) drop_oldest();
}

void MessageLog::restart(std::uint64_t head) noexcept {
  release();
  first_ = head + 1;
  acknowledged_ = false;
}

std::uint64_t MessageLog::pass_over() noexcept {
  while (count_ != 0) evict_oldest();
  ++evicted_;
  return first_++;
}

std::uint64_t MessageLog::pass_over_for_budget() noexcept {
  ++evicted_for_budget_;
  if (budget_ != nullptr) ++budget_->evicted_;
  return first_++;
}

void MessageLog::drop_for_budget() noexcept {
  drop_oldest();
  ++evicted_for_budget_;
  if (budget_ != nullptr) ++budget_->evicted_;
}

bool MessageLog::make_room(std::size_t bytes) noexcept {
  bool may_grow = true;
  for (;;) {
    const bool slots_are_full = count_ == slots_;
    if (!slots_are_full && find_room(bytes)) return true;
    if (may_grow) {
      may_grow =
          resize(slots_are_full ? with_more_slots() : with_more_bytes(bytes), Permit::ask_budget);
    } else if (count_ != 0) {
      drop_for_budget();
    } else {
      return fit_alone(bytes);
    }
  }
}

bool MessageLog::fit_alone(std::size_t bytes) noexcept {
  release();
  const Rings rings{1, static_cast<std::uint32_t>(bytes)};
  if (!resize(rings, Permit::ask_budget) &&
      (keep_latest_ == KeepLatest::no || !resize(rings, Permit::granted))) {
    return false;
  }
  return find_room(bytes);
}

MessageLog::Rings MessageLog::with_more_slots() const noexcept {
  return {std::min(std::max(2 * slots_, kSlotsMin), std::bit_ceil(messages_max_)), capacity_};
}

MessageLog::Rings MessageLog::with_more_bytes(std::size_t more) const noexcept {
  const auto need = payload_ + static_cast<std::uint32_t>(more);
  // What is lost at the end of the ring is less than one record. With an eighth above the limit,
  // small records always find room; twice the limit is enough for any.
  const std::uint32_t usual_max = bytes_max_ + bytes_max_ / 8;
  if (capacity_ < usual_max) {
    return {slots_, std::min(std::max({need, 2 * capacity_, kRingBytesMin}), usual_max)};
  }
  return {slots_, std::min(std::max(need, capacity_ + capacity_ / 4 + 1), 2 * bytes_max_)};
}

bool MessageLog::resize(Rings to, Permit permit) noexcept {
  const std::size_t before = allocated_bytes();
  const std::size_t after = to.memory();
  if (budget_ != nullptr && permit == Permit::ask_budget && after > before &&
      !budget_->allow(*this, after - before)) {
    return false;
  }
  std::unique_ptr<Entry[]> entries;
  std::unique_ptr<char[]> bytes;
  if (to.slots != slots_) entries.reset(new (std::nothrow) Entry[to.slots]);
  if (to.bytes != capacity_) bytes.reset(new (std::nothrow) char[to.bytes]);
  if ((to.slots != slots_ && !entries) || (to.bytes != capacity_ && !bytes)) return false;
  move_records(entries ? entries.get() : entries_.get(), to.slots, bytes.get());
  if (entries) entries_ = std::move(entries);
  if (bytes) bytes_ = std::move(bytes);
  slots_ = to.slots;
  capacity_ = to.bytes;
  if (budget_ != nullptr) budget_->account(*this, before, after);
  return true;
}

void MessageLog::move_records(Entry* entries, std::uint32_t slots, char* bytes) noexcept {
  std::uint32_t end = 0;
  for (std::uint64_t seq = first_; seq != first_ + count_; ++seq) {
    Entry entry = entries_[slot(seq)];
    if (bytes != nullptr) {
      if (entry.bytes != 0) std::memcpy(bytes + end, bytes_.get() + entry.begin, entry.bytes);
      entry.begin = end;
      end += entry.bytes;
    }
    entries[static_cast<std::uint32_t>(seq) & (slots - 1)] = entry;
  }
  if (bytes == nullptr) return;
  begin_ = 0;
  write_ = end;
  wrapped_ = false;
}

void MessageLog::release() noexcept {
  const std::size_t before = allocated_bytes();
  count_ = payload_ = begin_ = write_ = slots_ = capacity_ = 0;
  wrapped_ = false;
  entries_.reset();
  bytes_.reset();
  if (budget_ != nullptr) budget_->account(*this, before, 0);
}

void MessageLog::shrink_if_sparse() noexcept {
  if (count_ == 0) return release();
  Rings to = rings();
  if (payload_ <= capacity_ / 4)
    to.bytes = std::min(capacity_, std::max(2 * payload_, kRingBytesMin));
  if (count_ <= slots_ / 4)
    to.slots = std::min(slots_, std::max(std::bit_ceil(2 * count_), kSlotsMin));
  // Refused by the system, it stays as it is.
  if (to.memory() < allocated_bytes()) static_cast<void>(resize(to, Permit::granted));
}

void MessageLog::give_up(std::size_t memory_max) noexcept {
  const std::uint32_t kept = keep_latest_ == KeepLatest::yes ? 1 : 0;
  Rings to = rings();
  // The index halves, so it gets at most half; free bytes go before records do.
  while (to.slots > 1 && to.slots * sizeof(Entry) > memory_max / 2) to.slots /= 2;
  const std::size_t left = memory_max - std::min(memory_max, to.slots * sizeof(Entry));
  to.bytes = static_cast<std::uint32_t>(std::min<std::size_t>(left, capacity_));
  while (count_ > kept && (count_ > to.slots || payload_ > to.bytes)) drop_for_budget();
  if (count_ == 0) return release();
  to.bytes = std::max(to.bytes, payload_);
  if (to.memory() < allocated_bytes()) static_cast<void>(resize(to, Permit::granted));
}

}  // namespace stratwire::session
