/// Makes ready frames of messages.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <type_traits>

#include <stratwire/codec.hpp>
#include <stratwire/limits.hpp>
#include <stratwire/transport/frame.hpp>

#include "dialect.hpp"

namespace stratwire::server {

/// Encodes behind room for a header, then writes the header in front: nothing is moved.
///
/// \thread one thread at a time
class FrameEncoder {
 public:
  /// \errors    what the codec refuses the message with; too_large for one that no client takes
  /// \lifetime  until the next call
  template <class Body>
  Result<std::span<const char>> data(Codec codec, const Envelope& envelope, const Body& body) {
    auto payload_bytes = encode_data(codec, envelope, body);
    if (!payload_bytes) return payload_bytes.error();
    if (*payload_bytes > limits::kClientMessageBytesMax) return Error{.code = Errc::too_large};
    return seal(codec, *payload_bytes);
  }
  /// \lifetime  until the next call
  Result<std::span<const char>> any(Codec codec, const Message& message) {
    frame_.resize(transport::kServerHeaderBytesMax);
    if (auto encoded = encode(codec, message, frame_); !encoded) return encoded.error();
    return seal(codec, frame_.size() - transport::kServerHeaderBytesMax);
  }

 private:
  template <class Body>
  Result<std::size_t> encode_data(Codec codec, const Envelope& envelope, const Body& body) {
    if constexpr (std::is_same_v<Body, Event>) {
      frame_.resize(transport::kServerHeaderBytesMax);
      if (auto encoded = encode(codec, Message{envelope, body}, frame_); !encoded) {
        return encoded.error();
      }
      return frame_.size() - transport::kServerHeaderBytesMax;
    } else {
      const std::size_t needed =
          transport::kServerHeaderBytesMax + encoded_bytes_max(codec, envelope, body);
      if (frame_.size() < needed) frame_.resize(needed);
      return encode(codec, envelope, body,
                    std::span(frame_).subspan(transport::kServerHeaderBytesMax));
    }
  }
  [[nodiscard]] std::span<const char> seal(Codec codec, std::size_t payload_bytes) {
    return transport::seal_frame(
        {opcode_of(codec)},
        std::span(frame_).subspan(transport::kServerHeaderBytesMax, payload_bytes));
  }

  std::string frame_{};  ///< Room for a header, then the payload; its memory only ever grows.
};

}  // namespace stratwire::server
