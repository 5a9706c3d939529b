/// The bytes that the connections of one cohort are sent, and how far back they reach.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "turn_limits.hpp"

namespace stratwire::server {

class Channel;

/// What one frame of a log is.
struct FrameMark {
  std::uint64_t end = 0;  ///< Position behind its last byte.
  std::uint64_t seq = 0;
  const Channel* channel = nullptr;  ///< nullptr: not of a channel.
  /// Whether a reader that is lapped must get it all the same.
  enum class Keep : std::uint8_t { by_channel, always, never };
  Keep keep = Keep::by_channel;
  std::uint32_t data_frames = 0;  ///< Up to this one, since the log began, modulo 2^32.

  [[nodiscard]] bool is_data() const noexcept { return keep != Keep::never; }
};

/// How many of these frames, neighbours in one log, are data messages.
[[nodiscard]] inline std::uint32_t count_data(std::span<const FrameMark> marks) noexcept {
  if (marks.empty()) return 0;
  return marks.back().data_frames - marks.front().data_frames + (marks.front().is_data() ? 1 : 0);
}

/// Memory of a log while it holds something.
struct LogBuffer {
  std::vector<char> bytes{};
  std::vector<FrameMark> marks{};
};

/// Lends buffers to logs, so that a log costs memory only while somebody has not been sent all of
/// it, and nothing is allocated once the buffers have grown to what the traffic needs.
///
/// \thread the shard's thread only
class LogBufferPool {
 public:
  [[nodiscard]] std::unique_ptr<LogBuffer> take() {
    if (free_.empty()) return std::make_unique<LogBuffer>();
    auto buffer = std::move(free_.back());
    free_.pop_back();
    free_bytes_ -= buffer->bytes.capacity();
    return buffer;
  }
  void give_back(std::unique_ptr<LogBuffer> buffer) {
    // One that grew for a stalled reader would otherwise keep its megabytes for ever.
    const std::size_t bytes = buffer->bytes.capacity();
    if (bytes > kKeptBytesMax || free_bytes_ + bytes > kKeptBytesInAllMax) return;
    if (free_.size() >= kKeptBuffersMax) return;
    free_bytes_ += bytes;
    buffer->bytes.clear();
    buffer->marks.clear();
    free_.push_back(std::move(buffer));
  }

 private:
  /// What holds a full turn, as vectors grow.
  static constexpr std::size_t kKeptBytesMax = 2 * TurnLimits::kBytesMax;
  /// The same for all that one turn writes to.
  static constexpr std::size_t kKeptBytesInAllMax = 2 * TurnLimits::kCopiesBytesMax;
  static constexpr std::size_t kKeptBuffersMax = 16'384;

  std::vector<std::unique_ptr<LogBuffer>> free_{};
  std::size_t free_bytes_ = 0;
};

/// One contiguous run of ready frames. Positions are absolute, in bytes since the log began; a
/// reader is a position. The log holds from the slowest reader to the head, usually nothing: once
/// everybody is at the head its memory goes back to the pool, and the next frames are written to
/// memory that is still in the cache.
///
/// \thread the shard's thread only
class FrameLog {
 public:
  /// Position behind the last byte.
  [[nodiscard]] std::uint64_t head() const noexcept {
    return base_ + (buffer_ ? buffer_->bytes.size() : 0);
  }
  /// Position of the first byte that is still there.
  [[nodiscard]] std::uint64_t tail() const noexcept { return base_; }
  [[nodiscard]] std::size_t size() const noexcept { return buffer_ ? buffer_->bytes.size() : 0; }
  [[nodiscard]] std::size_t frames() const noexcept { return buffer_ ? buffer_->marks.size() : 0; }
  /// Of these, the data messages; without a look at the marks, which may be far away.
  [[nodiscard]] std::uint32_t data_frames() const noexcept {
    return data_frames_ - data_frames_before_;
  }

  /// Appends one whole frame. What its mark says is not taken as a FrameMark, which would be loaded
  /// wider than it was written, and wait for that.
  void append(std::span<const char> frame, FrameMark::Keep keep, const Channel* channel,
              std::uint64_t seq, LogBufferPool& pool) {
    if (!buffer_) buffer_ = pool.take();
    buffer_->bytes.insert(buffer_->bytes.end(), frame.begin(), frame.end());
    FrameMark& mark = buffer_->marks.emplace_back();
    mark.end = head();
    mark.seq = seq;
    mark.channel = channel;
    mark.keep = keep;
    if (mark.is_data()) ++data_frames_;
    mark.data_frames = data_frames_;
  }

  // Bring near what append() is going to touch, the second a while after the first.
  [[gnu::always_inline]] void prefetch_buffer() const noexcept {
    __builtin_prefetch(buffer_.get(), 1);
  }
  [[gnu::always_inline]] void prefetch_ends() const noexcept {
    if (!buffer_) return;
    const char* const end = buffer_->bytes.data() + buffer_->bytes.size();
    for (std::size_t line = 0; line < kLinesAhead; ++line) {
      __builtin_prefetch(end + line * kLineBytes, 1);
    }
    __builtin_prefetch(buffer_->marks.data() + buffer_->marks.size(), 1);
  }

  /// Everything from `position` on. Precondition: tail() <= position <= head().
  [[nodiscard]] std::span<const char> from(std::uint64_t position) const noexcept {
    if (!buffer_) return {};
    return std::span<const char>(buffer_->bytes).subspan(position - base_);
  }
  /// The frames that end behind `position`: the one that it lies in or before, and all later ones.
  [[nodiscard]] std::span<const FrameMark> marks_from(std::uint64_t position) const noexcept {
    if (!buffer_) return {};
    const auto& marks = buffer_->marks;
    // A reader that was at the head when this buffer was begun, the usual case.
    if (position == base_) return marks;
    const auto first = std::ranges::upper_bound(marks, position, {}, &FrameMark::end);
    return {first, marks.end()};
  }

  /// Forgets everything before `position`. Moves what is left; worth it when that is the less.
  void trim(std::uint64_t position) {
    if (!buffer_ || position == base_) return;
    auto& marks = buffer_->marks;
    const auto kept = std::ranges::upper_bound(marks, position, {}, &FrameMark::end);
    if (kept != marks.begin()) data_frames_before_ = std::prev(kept)->data_frames;
    marks.erase(marks.begin(), kept);
    auto& bytes = buffer_->bytes;
    bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(position - base_));
    base_ = position;
  }

  /// Gives the memory back; everybody is at the head.
  void reset(LogBufferPool& pool) {
    if (!buffer_) return;
    base_ = head();
    data_frames_before_ = data_frames_;
    pool.give_back(std::move(buffer_));
  }

 private:
  static constexpr std::size_t kLineBytes = 64;
  static constexpr std::size_t kLinesAhead = 3;  ///< A PriceUpdate's.

  std::uint64_t base_ = 0;
  std::uint32_t data_frames_ = 0;         ///< Since the log began, modulo 2^32,
  std::uint32_t data_frames_before_ = 0;  ///< and those of them that are forgotten.
  std::unique_ptr<LogBuffer> buffer_{};
};

}  // namespace stratwire::server
