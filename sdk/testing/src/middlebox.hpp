/// Something between client and server that meddles with frames.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <stratwire/codec.hpp>
#include <stratwire/transport/frame.hpp>

namespace stratwire::sim {

/// Passes on what a server sends, whole frames at a time, and removes or repeats one data message
/// when it is told to. TCP does no such thing; a broken proxy does, and a client must notice.
///
/// \thread one thread: the simulation's
class Middlebox {
 public:
  enum class Act : std::uint8_t { pass, remove, repeat };

  explicit Middlebox(Codec codec) : decoder_(codec) {}

  /// The next data message of that channel, once.
  ///
  /// \param counter  counts when it happens
  void arm(Act act, std::string_view channel, std::uint64_t& counter) {
    act_ = act;
    channel_ = channel;
    counter_ = &counter;
  }
  void disarm() noexcept { act_ = Act::pass; }

  /// Appends to `out` what goes on.
  void pass(std::span<const char> bytes, std::string& out) {
    kept_.append(bytes.data(), bytes.size());
    if (!upgraded_) {
      const std::size_t end = kept_.find("\r\n\r\n");
      if (end == std::string::npos) return;
      take(end + 4, out);
      upgraded_ = true;
    }
    for (std::size_t frame = frame_bytes(); frame != 0; frame = frame_bytes())
      pass_frame(frame, out);
  }

 private:
  void take(std::size_t count, std::string& out) {
    out.append(kept_, 0, count);
    kept_.erase(0, count);
  }
  /// Of the first frame; 0 while it is not all there.
  [[nodiscard]] std::size_t frame_bytes() const noexcept {
    const auto byte = [this](std::size_t i) { return static_cast<unsigned char>(kept_[i]); };
    if (kept_.size() < 2) return 0;
    std::size_t head = 2;
    std::uint64_t payload = byte(1) & 0x7fU;
    const std::size_t length_bytes = payload == 126 ? 2 : payload == 127 ? 8 : 0;
    if (length_bytes != 0) {
      head += length_bytes;
      if (kept_.size() < head) return 0;
      payload = 0;
      for (std::size_t i = 2; i < head; ++i) payload = payload << 8 | byte(i);
    }
    head_bytes_ = head;
    return kept_.size() >= head + payload ? head + static_cast<std::size_t>(payload) : 0;
  }
  void pass_frame(std::size_t count, std::string& out) {
    if (act_ == Act::pass || !is_wanted(count)) {
      take(count, out);
      return;
    }
    ++*counter_;
    if (act_ == Act::remove) {
      kept_.erase(0, count);
    } else {
      out.append(kept_, 0, count);
      take(count, out);
    }
    act_ = Act::pass;
  }
  [[nodiscard]] bool is_wanted(std::size_t count) {
    const std::string_view payload = std::string_view(kept_).substr(0, count).substr(head_bytes_);
    const unsigned opcode = static_cast<unsigned char>(kept_[0]) & 0x0fU;
    if (opcode != 1 && opcode != 2) return false;
    if (!decoder_.decode(payload, message_).ok()) return false;
    const bool is_data = message_.body.index() < 3;
    return is_data && message_.envelope.channel == channel_;
  }

  Decoder decoder_;
  Message message_{};
  std::string kept_{};
  mutable std::size_t head_bytes_ = 0;
  bool upgraded_ = false;
  Act act_ = Act::pass;
  std::uint64_t* counter_ = nullptr;
  std::string channel_{};
};

}  // namespace stratwire::sim
