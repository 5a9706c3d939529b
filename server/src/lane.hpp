/// What waits for one connection alone, between the frames of its cohort's log.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/transport/frame.hpp>

namespace stratwire::server {

/// Acknowledgements, gaps, pongs, close, kept messages, replays: whole frames, but for a first one
/// that was begun in the log.
///
/// \thread the shard's thread only
class Lane {
 public:
  [[nodiscard]] std::string_view unsent() const noexcept {
    return std::string_view(bytes_).substr(sent_);
  }
  /// Data messages that are not all sent.
  [[nodiscard]] std::size_t messages() const noexcept { return messages_; }

  void append_frame(transport::Opcode opcode, std::string_view payload) {
    transport::append_frame(bytes_, {opcode}, payload);
    end_run(0);
  }
  void append_close(transport::CloseCode code, std::string_view reason) {
    transport::append_close(bytes_, code, reason);
    end_run(0);
  }
  /// The rest of a frame whose beginning was sent from the log. Precondition: nothing is unsent.
  void append_rest(std::string_view rest, std::uint32_t messages) {
    append(rest, messages);
    begun_ = true;
  }
  /// Frames that are ready, with so many data messages in them.
  void append(std::string_view frames, std::uint32_t messages) {
    if (frames.empty()) return;
    bytes_.append(frames);
    end_run(messages);
  }

  /// `count` bytes went. What went is forgotten once it is the larger half: a lane that is never
  /// quite empty must not grow, and moving the rest costs less than sending it did.
  void take(std::size_t count) {
    sent_ += count;
    while (first_run_ != runs_.size() && runs_[first_run_].end <= begin_ + sent_) {
      run_begin_ = runs_[first_run_].end;
      messages_ -= runs_[first_run_++].messages;
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
    messages_ = begun_ ? runs_[first_run_].messages : 0;
  }

 private:
  /// Frames that were appended together. Positions count from the first byte of the lane's life.
  struct Run {
    std::uint64_t end = 0;
    std::uint32_t messages = 0;
  };
  void end_run(std::uint32_t messages) {
    runs_.push_back({begin_ + bytes_.size(), messages});
    messages_ += messages;
  }

  std::string bytes_{};
  std::size_t sent_ = 0;
  std::uint64_t begin_ = 0;  ///< Position of bytes_[0].
  std::vector<Run> runs_{};
  std::size_t first_run_ = 0;    ///< The first that is not all sent,
  std::uint64_t run_begin_ = 0;  ///< where it begins,
  bool begun_ = false;           ///< and whether some of it went.
  std::size_t messages_ = 0;
};

}  // namespace stratwire::server
