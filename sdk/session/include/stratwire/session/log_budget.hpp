/// One cap on the memory of many logs, shared fairly.
#pragma once

#include <cstddef>
#include <cstdint>

#include <stratwire/session/time.hpp>

namespace stratwire::session {

class MessageLog;

/// Caps what many MessageLogs allocate together.
///
/// A log that may not grow drops its own oldest records. When that log has less than its fair share
/// (the cap divided by the logs that have memory), logs with more than theirs give up their oldest
/// first, one after another, so that a few busy channels can't starve the rest. A log grows by
/// doubling, so in a full budget it may settle between half its share and its share.
///
/// Use it for all channels of one server. Not needed where one log's own limits are enough.
///
/// \lifetime  outlives its logs
/// \thread    one thread at a time, the one that its logs are used on
class LogBudget {
 public:
  /// \param bytes_max  of memory, not of records; 0 = only the latest records of logs that keep
  /// them
  explicit LogBudget(std::size_t bytes_max) noexcept : bytes_max_(bytes_max) {}
  LogBudget(const LogBudget&) = delete;
  LogBudget& operator=(const LogBudget&) = delete;

  [[nodiscard]] std::size_t bytes_max() const noexcept { return bytes_max_; }
  /// Allocated now. More than bytes_max() only by latest records that are kept; while a log moves
  /// to a larger or smaller ring, both are there.
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  /// Logs that have memory now.
  [[nodiscard]] std::size_t logs() const noexcept { return logs_; }
  /// Records that were dropped, or not taken, because of this cap; counts up only.
  [[nodiscard]] std::uint64_t evicted() const noexcept { return evicted_; }

  /// MessageLog::evict_older_than() for the next so many logs that have memory, in turn; for a
  /// timer.
  ///
  /// \cost  about one cache miss for each log that has nothing to drop
  void evict_older_than(Instant now, std::size_t logs_max) noexcept;

  /// Most logs that are looked at when one log wants memory; the next time it goes on from there.
  static constexpr std::size_t kLooksMax = 16;

 private:
  friend class MessageLog;

  /// Whether `log` may have so much more; others may have given it up.
  [[nodiscard]] bool allow(const MessageLog& log, std::size_t more) noexcept;
  /// What `log` has is no longer `before` but `after`.
  void account(MessageLog& log, std::size_t before, std::size_t after) noexcept;
  void link(MessageLog& log) noexcept;
  void unlink(MessageLog& log) noexcept;

  std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  std::size_t logs_ = 0;
  std::uint64_t evicted_ = 0;
  // Places in the ring of logs that have memory: who is asked to give up next, who is aged next.
  MessageLog* giving_ = nullptr;
  MessageLog* aging_ = nullptr;
};

}  // namespace stratwire::session
