/// The latest messages of one stream, for those who ask again for what they missed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

#include <stratwire/session/time.hpp>

namespace stratwire::session {

class LogBudget;

struct LogLimits {
  /// Most records; at most MessageLog::kMessagesMax, 0 = the log keeps nothing.
  std::size_t messages_max = 4096;
  /// Most bytes in records; at most MessageLog::kBytesMax, 0 = none but empty records. The memory
  /// is an eighth more (twice as much if records are nearly as large), and 24 bytes for each
  /// record.
  std::size_t bytes_max = std::size_t{1} << 20;
  /// A record that is older goes; Duration::max() = none goes for its age.
  Duration age_max = std::chrono::seconds{120};
};

/// Whether the latest record stays whatever its age and whatever the budget says.
enum class KeepLatest : std::uint8_t { no, yes };

/// A bounded log of opaque records, numbered 1, 2, 3 ...: always one unbroken run, first() to
/// head().
///
/// What a limit pushes out is the oldest. A record that can't be kept (larger than bytes_max, or no
/// memory) counts as appended and pushed out at once, and all before it too. Two rings, one of
/// bytes and one of index entries; both grow by doubling, a record is never split.
///
/// \lifetime  the bytes of a record are valid until the next call that is not const, and that of
/// any
///            log of the same budget
/// \thread    one thread at a time
/// \cost      nothing is allocated once the rings have the size that the traffic needs; an empty
/// log
///            that gave its memory back is these 120 bytes
class MessageLog {
 public:
  struct Record {
    std::string_view bytes{};
    Instant at{};
    std::uint64_t position = 0;
  };

  explicit MessageLog(LogLimits limits, KeepLatest keep_latest = KeepLatest::no,
                      LogBudget* budget = nullptr) noexcept;
  ~MessageLog();
  MessageLog(const MessageLog&) = delete;
  MessageLog& operator=(const MessageLog&) = delete;

  /// Appends record head() + 1 and pushes out what the limits say, with `at` as the time now.
  ///
  /// \param position  number among the messages of all logs; never falls from one call to the next
  /// \param at        when it was published; on a clock that goes back, records stay longer
  /// \param bytes     copied; not of this log
  /// \return          the record's number; 0, and nothing happened, after number 2^64 - 1
  /// \errors          none; memory that the system refuses is as memory that the budget refuses
  /// \cost            about 15 ns for 130 bytes; more when a ring grows
  std::uint64_t append(std::uint64_t position, Instant at, std::string_view bytes) noexcept {
    if (head() == UINT64_MAX) return 0;
    newest_at_ = at;
    if (bytes.size() > bytes_max_ || messages_max_ == 0) return pass_over();
    const Instant oldest = oldest_at(at);
    while (count_ != 0 && is_over(bytes.size(), oldest)) evict_oldest();
    if ((count_ == slots_ || !find_room(bytes.size())) && !make_room(bytes.size())) [[unlikely]]
      return pass_over_for_budget();
    const std::uint64_t seq = first_ + count_;
    entries_[slot(seq)] = {position, at, write_, static_cast<std::uint32_t>(bytes.size())};
    if (!bytes.empty()) std::memcpy(bytes_.get() + write_, bytes.data(), bytes.size());
    write_ += static_cast<std::uint32_t>(bytes.size());
    payload_ += static_cast<std::uint32_t>(bytes.size());
    ++count_;
    return seq;
  }

  /// Number of the oldest record; head() + 1 (modulo 2^64) when there is none.
  [[nodiscard]] std::uint64_t first() const noexcept { return first_; }
  /// Number of the last record that was appended, still here or not; 0 before the first.
  [[nodiscard]] std::uint64_t head() const noexcept { return first_ + count_ - 1; }
  [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }
  /// Bytes of all records that are here.
  [[nodiscard]] std::size_t bytes() const noexcept { return payload_; }
  /// Memory of both rings.
  [[nodiscard]] std::size_t allocated_bytes() const noexcept {
    return std::size_t{slots_} * sizeof(Entry) + capacity_;
  }
  /// Records that the limits pushed out, or never let in; count up only.
  [[nodiscard]] std::uint64_t evicted() const noexcept { return evicted_; }
  /// Records that the budget, or the system's memory, did.
  [[nodiscard]] std::uint64_t evicted_for_budget() const noexcept { return evicted_for_budget_; }

  /// The record of this number, if it is here.
  [[nodiscard]] std::optional<Record> record(std::uint64_t seq) const noexcept {
    if (seq - first_ >= count_) return std::nullopt;
    const Entry& entry = entries_[slot(seq)];
    return Record{{bytes_.get() + entry.begin, entry.bytes}, entry.at, entry.position};
  }
  /// Number of the oldest record that is here and has a greater position; head() + 1 when none has.
  ///
  /// \cost  one look when none has, else O(log size)
  [[nodiscard]] std::uint64_t first_after(std::uint64_t position) const noexcept;

  /// Drops what is too old by now; for a log that nothing is appended to. Gives memory back: all of
  /// an empty log, most of one that uses less than a quarter. After evict_through() only when
  /// nothing was appended for age_max, because a log that is acknowledged is empty now and then.
  void evict_older_than(Instant now) noexcept;
  /// Drops the records up to this number, whatever KeepLatest says: they were acknowledged.
  void evict_through(std::uint64_t seq) noexcept;
  /// Drops everything and gives the memory back; the next record is head + 1. Counters stay.
  void restart(std::uint64_t head) noexcept;

  static constexpr std::size_t kMessagesMax = std::size_t{1} << 26;
  static constexpr std::size_t kBytesMax = std::size_t{1} << 30;

 private:
  friend class LogBudget;

  struct Entry {
    std::uint64_t position;
    Instant at;
    std::uint32_t begin;
    std::uint32_t bytes;
  };
  static_assert(sizeof(Entry) == 24);
  /// Sizes of the two rings; slots are a power of two, or 0.
  struct Rings {
    std::uint32_t slots = 0;
    std::uint32_t bytes = 0;
    [[nodiscard]] std::size_t memory() const noexcept {
      return std::size_t{slots} * sizeof(Entry) + bytes;
    }
  };
  enum class Permit : std::uint8_t { ask_budget, granted };

  [[nodiscard]] std::uint32_t slot(std::uint64_t seq) const noexcept {
    return static_cast<std::uint32_t>(seq) & (slots_ - 1);
  }
  /// Whether the oldest has to go before so many bytes can come.
  [[nodiscard]] bool is_over(std::size_t more, Instant oldest) const noexcept {
    return count_ == messages_max_ || payload_ + more > bytes_max_ ||
           entries_[slot(first_)].at < oldest;
  }
  /// What is before this is too old.
  [[nodiscard]] Instant oldest_at(Instant now) const noexcept {
    return now < Instant::min() + age_max_ ? Instant::min() : now - age_max_;
  }
  void evict_oldest() noexcept {
    drop_oldest();
    ++evicted_;
  }
  void drop_oldest() noexcept {
    payload_ -= entries_[slot(first_)].bytes;
    ++first_;
    if (--count_ == 0) {
      begin_ = write_ = 0;
      wrapped_ = false;
      return;
    }
    const std::uint32_t begin = entries_[slot(first_)].begin;
    if (begin < begin_) wrapped_ = false;
    begin_ = begin;
  }
  /// Lets write_ point at so many free bytes; the next thing must be to use them.
  [[nodiscard]] bool find_room(std::size_t bytes) noexcept {
    if (wrapped_) return bytes <= begin_ - write_;
    if (bytes <= capacity_ - write_) return true;
    if (bytes > begin_) return false;
    write_ = 0;
    wrapped_ = true;
    return true;
  }
  [[nodiscard]] bool make_room(std::size_t bytes) noexcept;
  [[nodiscard]] bool fit_alone(std::size_t bytes) noexcept;
  std::uint64_t pass_over() noexcept;
  std::uint64_t pass_over_for_budget() noexcept;
  void drop_for_budget() noexcept;
  [[nodiscard]] Rings rings() const noexcept { return {slots_, capacity_}; }
  [[nodiscard]] Rings with_more_slots() const noexcept;
  [[nodiscard]] Rings with_more_bytes(std::size_t more) const noexcept;
  [[nodiscard]] bool resize(Rings to, Permit permit) noexcept;
  void move_records(Entry* entries, std::uint32_t slots, char* bytes) noexcept;
  void release() noexcept;
  void shrink_if_sparse() noexcept;
  void give_up(std::size_t memory_max) noexcept;

  std::uint64_t first_ = 1;
  std::unique_ptr<Entry[]> entries_{};
  std::unique_ptr<char[]> bytes_{};
  std::uint32_t slots_ = 0;
  std::uint32_t count_ = 0;
  std::uint32_t capacity_ = 0;
  std::uint32_t begin_ = 0;  // Where the oldest record begins.
  std::uint32_t write_ = 0;  // Where the newest record ends.
  std::uint32_t payload_ = 0;
  std::uint32_t messages_max_;
  std::uint32_t bytes_max_;
  Duration age_max_;
  Instant newest_at_{};
  std::uint64_t evicted_ = 0;
  std::uint64_t evicted_for_budget_ = 0;
  LogBudget* budget_;
  MessageLog* next_ = nullptr;  // In the budget's ring, while this has memory.
  MessageLog* prev_ = nullptr;
  KeepLatest keep_latest_;
  bool wrapped_ = false;  // The newest record lies before the oldest.
  bool acknowledged_ = false;
};
static_assert(sizeof(MessageLog) == 120);

}  // namespace stratwire::session
