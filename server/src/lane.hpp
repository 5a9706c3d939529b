/// What waits for one connection alone, between the frames of its cohort's log.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include <stratwire/transport/frame.hpp>

#include "frame_queue.hpp"

namespace stratwire::server {

/// Acknowledgements, gaps, pongs, close, kept messages, replays: whole frames, but for a first one
/// that was begun in the log. All in the order in which they were appended, but for urgent ones:
/// those go before everything that was not begun. At most one of the two queues has a begun run.
///
/// \thread the shard's thread only
class Lane {
 public:
  /// What is unsent, in the order in which it goes; each may be empty.
  [[nodiscard]] std::array<std::string_view, 3> unsent() const noexcept {
    const std::string_view usual = usual_.unsent();
    const std::size_t begun = usual_.begun_bytes();
    return {usual.substr(0, begun), urgent_.unsent(), usual.substr(begun)};
  }
  [[nodiscard]] std::size_t unsent_bytes() const noexcept {
    return usual_.unsent().size() + urgent_.unsent().size();
  }
  /// Data messages that are not all sent.
  [[nodiscard]] std::size_t messages() const noexcept { return usual_.messages(); }
  /// Unsent bytes of that cause, give or take a run that was begun.
  [[nodiscard]] std::size_t bytes_of(Cause cause) const noexcept {
    return usual_.bytes_of(cause) + urgent_.bytes_of(cause);
  }

  void append_frame(transport::Opcode opcode, std::string_view payload, Cause cause) {
    transport::append_frame(usual_.tail(), {opcode}, payload);
    usual_.end_run(0, cause);
  }
  /// Only for frames whose order against the others means nothing: pings and pongs.
  void append_urgent(transport::Opcode opcode, std::string_view payload) {
    transport::append_frame(urgent_.tail(), {opcode}, payload);
    urgent_.end_run(0, Cause::reply);
  }
  void append_close(transport::CloseCode code, std::string_view reason) {
    transport::append_close(usual_.tail(), code, reason);
    usual_.end_run(0, Cause::reply);
  }
  /// The rest of a frame whose beginning was sent from the log. Precondition: nothing is unsent.
  void append_rest(std::string_view rest, std::uint32_t messages) {
    append(rest, messages, Cause::feed);
    usual_.begin_run();
  }
  /// Frames that are ready, with so many data messages in them.
  void append(std::string_view frames, std::uint32_t messages, Cause cause) {
    if (frames.empty()) return;
    usual_.tail().append(frames);
    usual_.end_run(messages, cause);
  }

  /// `count` bytes of unsent() went.
  void take(std::size_t count) {
    const std::size_t begun = std::min(count, usual_.begun_bytes());
    const std::size_t urgent = std::min(count - begun, urgent_.unsent().size());
    if (urgent == 0) {
      usual_.take(count);
      return;
    }
    usual_.take(begun);
    urgent_.take(urgent);
    usual_.take(count - begun - urgent);
  }
  /// Forgets what can be forgotten without tearing a frame: all but the run that was begun.
  void forget_unbegun() {
    usual_.forget_unbegun();
    urgent_.forget_unbegun();
  }

 private:
  FrameQueue usual_{};
  FrameQueue urgent_{};
};

}  // namespace stratwire::server
