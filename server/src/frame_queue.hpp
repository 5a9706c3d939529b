/// Ready frames of one connection, one behind the other, and where they may be parted.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace stratwire::server {

/// Why bytes wait for a connection: what its own requests bring is bounded by reading no more of
/// them, what the feed brings by the policies of its channels.
enum class Cause : std::uint8_t {
  feed,    ///< Kept messages, Gaps, replays.
  reply,   ///< Answers and words of the server.
  change,  ///< What an old log still owed when its channels changed.
};

/// A string of bytes in runs: frames that were appended together. Only between runs is anything
/// put in or left out.
///
/// \thread the shard's thread only
class FrameQueue {
 public:
  [[nodiscard]] std::string_view unsent() const noexcept {
    return std::string_view(bytes_).substr(sent_);
  }
  /// How much of unsent() is the rest of a run that was begun.
  [[nodiscard]] std::size_t begun_bytes() const noexcept {
    return begun_ ? static_cast<std::size_t>(runs_[first_run_].end - begin_) - sent_ : 0;
  }
  /// Data messages in runs that are not all sent.
  [[nodiscard]] std::size_t messages() const noexcept { return messages_; }
  /// Bytes of runs that are not all sent.
  [[nodiscard]] std::size_t bytes_of(Cause cause) const noexcept {
    return bytes_by_cause_[static_cast<std::size_t>(cause)];
  }

  /// Where a run is appended; end_run() then makes it one.
  [[nodiscard]] std::string& tail() noexcept { return bytes_; }
  void end_run(std::uint32_t messages, Cause cause) {
    const std::uint64_t begin = runs_.empty() ? run_begin_ : runs_.back().end;
    const std::uint64_t end = begin_ + bytes_.size();
    runs_.push_back({end, messages, cause});
    messages_ += messages;
    bytes_by_cause_[static_cast<std::size_t>(cause)] += end - begin;
  }
  /// Precondition: nothing is unsent but one run.
  void begin_run() noexcept { begun_ = true; }

  /// `count` bytes went. What went is forgotten once it is the larger half: a queue that is never
  /// quite empty must not grow, and moving the rest costs less than sending it did.
  void take(std::size_t count) {
    sent_ += count;
    while (first_run_ != runs_.size() && runs_[first_run_].end <= begin_ + sent_) {
      const Run& run = runs_[first_run_++];
      messages_ -= run.messages;
      bytes_by_cause_[static_cast<std::size_t>(run.cause)] -= run.end - run_begin_;
      run_begin_ = run.end;
      begun_ = false;
    }
    if (run_begin_ < begin_ + sent_) begun_ = true;
    if (sent_ <= bytes_.size() / 2) return;
    bytes_.erase(0, sent_);
    begin_ += sent_;
    sent_ = 0;
    runs_.erase(runs_.begin(), runs_.begin() + static_cast<std::ptrdiff_t>(first_run_));
    first_run_ = 0;
  }
  /// Forgets what can be forgotten without tearing a frame: all but the run that was begun.
  void forget_unbegun() {
    const std::size_t kept = first_run_ + (begun_ ? 1 : 0);
    bytes_.resize(kept == 0 ? sent_ : runs_[kept - 1].end - begin_);
    runs_.resize(kept);
    messages_ = 0;
    bytes_by_cause_ = {};
    if (!begun_) return;
    const Run& run = runs_[first_run_];
    messages_ = run.messages;
    bytes_by_cause_[static_cast<std::size_t>(run.cause)] = run.end - run_begin_;
  }

 private:
  /// Positions count from the first byte of the queue's life.
  struct Run {
    std::uint64_t end = 0;
    std::uint32_t messages = 0;
    Cause cause = Cause::feed;
  };

  std::string bytes_{};
  std::size_t sent_ = 0;
  std::uint64_t begin_ = 0;  ///< Position of bytes_[0].
  std::vector<Run> runs_{};
  std::size_t first_run_ = 0;    ///< The first that is not all sent,
  std::uint64_t run_begin_ = 0;  ///< where it begins,
  bool begun_ = false;           ///< and whether some of it went.
  std::size_t messages_ = 0;
  std::array<std::size_t, 3> bytes_by_cause_{};
};

}  // namespace stratwire::server
