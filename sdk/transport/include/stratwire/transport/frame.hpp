/// RFC 6455 frames, both ends, without I/O: bytes to events, and payloads to bytes.
///
/// Reading: put what recv() brought behind what is left of the last one, call `FrameParser::next()`
/// until it says need_more, keep the rest. Whole messages are views into those bytes, unmasked in
/// place; only fragmented messages are copied.
///
/// Writing: `seal_frame()` puts the header in front of a payload that was encoded with
/// kFrameHeaderBytesMax bytes of room before it; `append_frame()` copies to the end of a string.
/// Frames of servers are not masked, frames of clients are (RFC 6455 5.1).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <stratwire/transport/utf8.hpp>

namespace stratwire::transport {

/// Which end of a connection this is.
enum class Role : std::uint8_t { client, server };

/// RFC 6455 5.2.
enum class Opcode : std::uint8_t {
  continuation = 0x0,
  text = 0x1,
  binary = 0x2,
  close = 0x8,
  ping = 0x9,
  pong = 0xa,
};

/// RFC 6455 7.4.1 and the registry behind it. Codes of applications: `CloseCode{4101}`.
enum class CloseCode : std::uint16_t {
  normal = 1000,
  going_away = 1001,
  protocol_error = 1002,
  unsupported_data = 1003,
  no_status = 1005,  ///< Never on the wire: the peer's close frame had no code.
  abnormal = 1006,   ///< Never on the wire: the connection went without a close frame.
  invalid_payload = 1007,
  policy_violation = 1008,
  message_too_big = 1009,
  internal_error = 1011,
  service_restart = 1012,
  try_again_later = 1013,
};

/// Whether a peer may send this code in a close frame.
[[nodiscard]] bool allowed_on_wire(CloseCode code) noexcept;

/// Longest header: 2 bytes, 8 of length, 4 of mask. Servers' are at most kServerHeaderBytesMax.
inline constexpr std::size_t kFrameHeaderBytesMax = 14;
inline constexpr std::size_t kServerHeaderBytesMax = 10;
/// Longest payload of a ping, pong or close (RFC 6455 5.5).
inline constexpr std::size_t kControlBytesMax = 125;
/// Longest reason of a close frame.
inline constexpr std::size_t kCloseReasonBytesMax = kControlBytesMax - 2;

// ---- Reading

/// What a parser refuses.
struct FrameLimits {
  /// Largest message after its fragments are joined, in bytes; larger is refused with 1009 as soon
  /// as a header declares it, before its bytes arrive. Range 0..2^63-1.
  std::size_t message_bytes_max = 64 * 1024;
  /// Most frames of one message, empty ones included; more is refused with 1008.
  std::uint32_t fragments_max = 1024;
};

/// One event of a connection.
struct Incoming {
  enum class Kind : std::uint8_t {
    need_more,  ///< Nothing complete is left; `bytes_needed` says how much is.
    message,    ///< `opcode` is text (checked UTF-8) or binary, `payload` the whole message.
    ping,       ///< Answer with a pong of the same `payload`.
    pong,       ///< `payload` of the ping that it answers.
    close,  ///< The peer's close frame: `code` (no_status when it had none), `payload` = reason.
    violation,  ///< The peer is wrong: send a close with `code`, then drop it; `payload` says why.
  };
  Kind kind = Kind::need_more;
  Opcode opcode = Opcode::continuation;
  CloseCode code = CloseCode::no_status;
  /// Views the input, the parser (a fragmented message) or a constant (violation).
  std::string_view payload{};
  /// need_more only: the least that `input` must hold before a call can say more; the whole frame,
  /// header included, once its header is there.
  std::size_t bytes_needed = 0;
};

/// Turns the bytes of one connection into events.
///
/// Never blocks; allocates only for a fragmented message, at most `message_bytes_max`, and frees it
/// in the call after the one that hands it over. After close or violation everything that still
/// comes is swallowed (RFC 6455 5.5.1, 7.1.7).
///
/// \thread one thread at a time
/// \source RFC 6455 5, 7.4, 8.1
class FrameParser {
 public:
  /// \param role  our end: a server demands masked frames, a client refuses them
  explicit FrameParser(Role role, FrameLimits limits = {}) noexcept;
  ~FrameParser();
  FrameParser(FrameParser&&) noexcept;
  FrameParser& operator=(FrameParser&&) noexcept;

  /// Takes one event from the front of `input` and shrinks it.
  ///
  /// With need_more `input` is the start of an incomplete frame, untouched: keep it, and call again
  /// with more bytes behind it (the memory may move).
  ///
  /// \errors    violation, with the close code to send; also internal_error when a fragmented
  ///            message finds no memory
  /// \lifetime  the payload is valid until the next call or until the bytes of `input` go
  /// \cost      O(payload); a whole message that needs no unmasking is not written to
  [[nodiscard]] Incoming next(std::span<char>& input) noexcept {
    Incoming out;
    if (take_plain(input, out)) return out;
    // A copy, so that the caller's span can stay in registers.
    std::span<char> rest = input;
    out = next_of_any_kind(rest);
    input = rest;
    return out;
  }

  /// A fragmented message is open.
  [[nodiscard]] bool mid_message() const noexcept {
    return message_ != nullptr && phase_ == Phase::idle;
  }
  /// A close frame or a violation was seen: nothing more comes from next().
  [[nodiscard]] bool finished() const noexcept { return phase_ == Phase::finished; }

 private:
  struct Message;  // a fragmented message on its way
  struct Head;     // a frame's header
  enum class Phase : std::uint8_t { idle, delivered, finished };
  enum class Check : std::uint8_t { ok, need_more, refused };

  Check check_head(std::span<const char> input, Head& head, Incoming& out) noexcept;
  bool read_length(const char* at, std::size_t bytes, Head& head, Incoming& out) noexcept;
  bool check_order(const Head& head, Incoming& out) noexcept;
  bool check_limits(const Head& head, Incoming& out) noexcept;
  [[nodiscard]] Incoming take_control(const Head& head, std::string_view payload) noexcept;
  [[nodiscard]] Incoming take_close(std::string_view payload) noexcept;
  bool take_fragment(const Head& head, std::string_view payload, Incoming& out) noexcept;
  bool take_plain(std::span<char>& input, Incoming& out) const noexcept;
  [[nodiscard]] Incoming next_of_any_kind(std::span<char>& input) noexcept;
  bool take_frame(std::span<char>& input, Incoming& out) noexcept;
  [[nodiscard]] Incoming refuse(CloseCode code, std::string_view why) noexcept;

  std::unique_ptr<Message> message_{};
  std::size_t message_bytes_max_;
  std::uint32_t fragments_max_;
  Role role_;
  Phase phase_ = Phase::idle;
};
static_assert(sizeof(FrameParser) <= 64, "10 000 idle connections have one each");

// What a feed is made of: whole messages, not masked, below 64 KiB, one behind the other. Whatever
// is anything else, or wrong, or not all there, takes the long way. Here in the header, so that
// where the next frame starts does not go through memory.
inline bool FrameParser::take_plain(std::span<char>& input, Incoming& out) const noexcept {
  constexpr unsigned kText = 0x81;
  constexpr unsigned kBinary = 0x82;
  if (role_ != Role::client || phase_ != Phase::idle || message_ || input.size() < 4) return false;
  const auto byte = [at = input.data()](std::size_t i) {
    return static_cast<std::size_t>(static_cast<unsigned char>(at[i]));
  };
  if (byte(0) != kText && byte(0) != kBinary) return false;
  std::size_t payload_bytes = byte(1);
  std::size_t head_bytes = 2;
  if (payload_bytes >= 126) {
    if (payload_bytes != 126) return false;
    payload_bytes = byte(2) << 8 | byte(3);
    if (payload_bytes < 126) return false;
    head_bytes = 4;
  }
  if (payload_bytes > message_bytes_max_ || payload_bytes > input.size() - head_bytes) return false;
  const std::string_view bytes{input.data() + head_bytes, payload_bytes};
  if (byte(0) == kText && !is_utf8(bytes)) return false;
  out.kind = Incoming::Kind::message;
  out.opcode = static_cast<Opcode>(byte(0) & 0xfU);
  out.payload = bytes;
  input = input.subspan(head_bytes + payload_bytes);
  return true;
}

// ---- Writing

/// The four bytes of a mask, in the order in which they are sent.
using MaskKey = std::array<char, 4>;

/// A frame's header but for its length.
struct FrameHead {
  enum class Fin : std::uint8_t { last, more };
  Opcode opcode = Opcode::binary;
  /// Clients set it (unpredictable: random.hpp), servers leave it empty.
  std::optional<MaskKey> mask{};
  /// `more`: another frame of the same message follows.
  Fin fin = Fin::last;
};

/// Bytes that the header of such a frame takes.
[[nodiscard]] constexpr std::size_t header_bytes(const FrameHead& head,
                                                 std::size_t payload_bytes) noexcept {
  const std::size_t length_bytes = payload_bytes <= 125 ? 0 : payload_bytes <= 0xffff ? 2 : 8;
  return 2 + length_bytes + (head.mask ? 4 : 0);
}

/// Writes a frame's header to `out`.
///
/// \param out  room for header_bytes(), at most kFrameHeaderBytesMax
/// \return     bytes written
/// \thread     any thread
/// \source     RFC 6455 5.2
inline std::size_t write_header(const FrameHead& head, std::size_t payload_bytes,
                                char* out) noexcept {
  const unsigned mask_bit = head.mask ? 0x80U : 0U;
  const unsigned fin_bit = head.fin == FrameHead::Fin::last ? 0x80U : 0U;
  out[0] = static_cast<char>(fin_bit | static_cast<unsigned>(head.opcode));
  std::size_t used = 2;
  if (payload_bytes <= 125) {
    out[1] = static_cast<char>(mask_bit | payload_bytes);
  } else if (payload_bytes <= 0xffff) {
    out[1] = static_cast<char>(mask_bit | 126U);
    out[2] = static_cast<char>(payload_bytes >> 8);
    out[3] = static_cast<char>(payload_bytes & 0xff);
    used = 4;
  } else {
    out[1] = static_cast<char>(mask_bit | 127U);
    for (std::size_t i = 0; i < 8; ++i) {
      out[2 + i] =
          static_cast<char>((static_cast<std::uint64_t>(payload_bytes) >> (56 - 8 * i)) & 0xff);
    }
    used = 10;
  }
  if (head.mask) {
    std::memcpy(out + used, head.mask->data(), 4);
    used += 4;
  }
  return used;
}

/// XORs bytes with a mask, in place; the same call masks and unmasks.
///
/// \param offset  position of `bytes` in its frame's payload
/// \cost          8 bytes or more at a time
/// \source        RFC 6455 5.3
void mask(std::span<char> bytes, MaskKey key, std::size_t offset = 0) noexcept;

/// Makes a frame of a payload that is already in place: writes the header before it and masks it
/// where `head` says so. Nothing is moved.
///
/// Precondition: kFrameHeaderBytesMax bytes before the payload (without mask
/// kServerHeaderBytesMax) are the caller's to write.
///
/// \return  the whole frame, header first; it ends where the payload ends
/// \thread  any thread
[[nodiscard]] inline std::span<char> seal_frame(const FrameHead& head,
                                                std::span<char> payload) noexcept {
  const std::size_t head_bytes = header_bytes(head, payload.size());
  char* const start = payload.data() - head_bytes;
  write_header(head, payload.size(), start);
  if (head.mask) mask(payload, *head.mask);
  return {start, head_bytes + payload.size()};
}

/// Appends one frame to `out`.
///
/// \thread any thread
void append_frame(std::string& out, const FrameHead& head, std::string_view payload);

/// Appends a close frame to `out`. A reason longer than kCloseReasonBytesMax is cut at a code
/// point; `CloseCode::no_status` makes a frame without code and reason.
///
/// \param mask  set by clients
/// \thread      any thread
void append_close(std::string& out, CloseCode code, std::string_view reason,
                  std::optional<MaskKey> mask = std::nullopt);

}  // namespace stratwire::transport
