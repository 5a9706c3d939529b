#include <algorithm>
#include <new>

#include <stratwire/transport/frame.hpp>
#include <stratwire/transport/utf8.hpp>

namespace stratwire::transport {

struct FrameParser::Message {
  std::string bytes{};
  std::uint32_t fragments = 0;
  Opcode opcode = Opcode::binary;
  Utf8Checker utf8{};
};

struct FrameParser::Head {
  std::uint64_t payload_bytes = 0;
  std::size_t bytes = 2;
  Opcode opcode = Opcode::continuation;
  bool fin = false;
  bool masked = false;
};

namespace {

constexpr bool is_control(Opcode opcode) noexcept {
  return (static_cast<unsigned>(opcode) & 0x8U) != 0;
}

constexpr bool is_known(unsigned opcode) noexcept {
  return ((0x0707U >> opcode) & 1U) != 0;
}

std::uint64_t big_endian(const char* at, std::size_t bytes) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) {
    value = value << 8 | static_cast<unsigned char>(at[i]);
  }
  return value;
}

Incoming need(std::size_t bytes) noexcept {
  Incoming out;
  out.bytes_needed = bytes;
  return out;
}

}  // namespace

bool allowed_on_wire(CloseCode code) noexcept {
  const auto number = static_cast<unsigned>(code);
  if (number >= 3000 && number <= 4999) return true;
  // 1004 is reserved, 1005, 1006 and 1015 stand for what was not sent (RFC 6455 7.4.1); 1012 to
  // 1014 were registered later.
  return (number >= 1000 && number <= 1003) || (number >= 1007 && number <= 1014);
}

FrameParser::FrameParser(Role role, FrameLimits limits) noexcept
    : message_bytes_max_(limits.message_bytes_max),
      fragments_max_(limits.fragments_max),
      role_(role) {}
FrameParser::~FrameParser() = default;
FrameParser::FrameParser(FrameParser&&) noexcept = default;
FrameParser& FrameParser::operator=(FrameParser&&) noexcept = default;

Incoming FrameParser::refuse(CloseCode code, std::string_view why) noexcept {
  phase_ = Phase::finished;
  message_.reset();
  Incoming out;
  out.kind = Incoming::Kind::violation;
  out.code = code;
  out.payload = why;
  return out;
}

// What can be said of the first two bytes and of what came before them.
inline bool FrameParser::check_order(const Head& head, Incoming& out) noexcept {
  if (head.masked != (role_ == Role::server)) [[unlikely]] {
    out =
        refuse(CloseCode::protocol_error, role_ == Role::server ? "frame of a client is not masked"
                                                                : "frame of a server is masked");
    return false;
  }
  if (is_control(head.opcode)) {
    if (!head.fin) {
      out = refuse(CloseCode::protocol_error, "control frame is fragmented");
      return false;
    }
    if (head.payload_bytes > kControlBytesMax) {
      out = refuse(CloseCode::protocol_error, "control frame is longer than 125 bytes");
      return false;
    }
    return true;
  }
  if ((head.opcode == Opcode::continuation) != (message_ != nullptr)) [[unlikely]] {
    out = refuse(CloseCode::protocol_error,
                 message_ ? "new message inside a fragmented message"
                          : "continuation frame without a message to continue");
    return false;
  }
  return true;
}

inline bool FrameParser::check_limits(const Head& head, Incoming& out) noexcept {
  if (is_control(head.opcode)) return true;
  const std::size_t before = message_ ? message_->bytes.size() : 0;
  if (message_ && message_->fragments >= fragments_max_) {
    out = refuse(CloseCode::policy_violation, "message has too many fragments");
    return false;
  }
  if (head.payload_bytes > message_bytes_max_ - before) [[unlikely]] {
    out = refuse(CloseCode::message_too_big, "message is larger than the limit");
    return false;
  }
  return true;
}

// A length of 2 or 8 bytes.
inline bool FrameParser::read_length(const char* at, std::size_t bytes, Head& head,
                                     Incoming& out) noexcept {
  head.payload_bytes = bytes == 2 ? big_endian(at, 2) : big_endian(at, 8);
  if (head.payload_bytes >> 63 != 0) [[unlikely]] {
    out = refuse(CloseCode::protocol_error, "top bit of the length is set");
    return false;
  }
  if (head.payload_bytes <= (bytes == 2 ? 125U : 0xffffU)) [[unlikely]] {
    out = refuse(CloseCode::protocol_error, "length is not in its shortest form");
    return false;
  }
  return true;
}

inline FrameParser::Check FrameParser::check_head(std::span<const char> input, Head& head,
                                                  Incoming& out) noexcept {
  if (input.size() < 2) {
    out = need(2);
    return Check::need_more;
  }
  const auto first = static_cast<unsigned char>(input[0]);
  const auto second = static_cast<unsigned char>(input[1]);
  if ((first & 0x70U) != 0) [[unlikely]] {
    out = refuse(CloseCode::protocol_error, "reserved bit is set");
    return Check::refused;
  }
  if (!is_known(first & 0xfU)) [[unlikely]] {
    out = refuse(CloseCode::protocol_error, "opcode is reserved");
    return Check::refused;
  }
  head.opcode = static_cast<Opcode>(first & 0xfU);
  head.fin = (first & 0x80U) != 0;
  head.masked = (second & 0x80U) != 0;
  head.payload_bytes = second & 0x7fU;
  if (!check_order(head, out)) return Check::refused;

  // Branches that are guessed right, not selections that the next frame's address waits for.
  head.bytes = head.masked ? 6 : 2;
  if (head.payload_bytes >= 126) {
    const std::size_t length_bytes = head.payload_bytes == 126 ? 2 : 8;
    head.bytes += length_bytes;
    if (input.size() >= head.bytes && !read_length(input.data() + 2, length_bytes, head, out)) {
      return Check::refused;
    }
  }
  if (input.size() < head.bytes) {
    out = need(head.bytes);
    return Check::need_more;
  }
  // Before the payload is there: nobody collects bytes for a frame that will be refused.
  if (!check_limits(head, out)) return Check::refused;
  if (input.size() - head.bytes < head.payload_bytes) {
    out = need(head.bytes + static_cast<std::size_t>(head.payload_bytes));
    return Check::need_more;
  }
  return Check::ok;
}

// Adds one fragment to its message. False: it is not the last one, there is no event.
bool FrameParser::take_fragment(const Head& head, std::string_view payload,
                                Incoming& out) noexcept {
  try {
    if (!message_) {
      message_ = std::make_unique<Message>();
      message_->opcode = head.opcode;
    }
    Message& message = *message_;
    ++message.fragments;
    const std::size_t bytes = message.bytes.size() + payload.size();
    if (bytes > message.bytes.capacity()) {
      // Grows by doubling, but not beyond what the limit lets come.
      message.bytes.reserve(std::max(bytes, std::min(2 * bytes, message_bytes_max_)));
    }
    message.bytes.append(payload);
  } catch (const std::bad_alloc&) {
    out = refuse(CloseCode::internal_error, "no memory for a fragmented message");
    return true;
  }
  Message& message = *message_;
  if (message.opcode == Opcode::text &&
      (!message.utf8.feed(payload) || (head.fin && !message.utf8.complete()))) {
    out = refuse(CloseCode::invalid_payload, "text is not UTF-8");
    return true;
  }
  if (!head.fin) return false;
  phase_ = Phase::delivered;
  out.kind = Incoming::Kind::message;
  out.opcode = message.opcode;
  out.payload = message.bytes;
  return true;
}

Incoming FrameParser::take_close(std::string_view payload) noexcept {
  Incoming out;
  out.kind = Incoming::Kind::close;
  if (payload.size() == 1) return refuse(CloseCode::protocol_error, "close payload of one byte");
  if (!payload.empty()) {
    out.code = static_cast<CloseCode>(big_endian(payload.data(), 2));
    out.payload = payload.substr(2);
    if (!allowed_on_wire(out.code)) {
      return refuse(CloseCode::protocol_error, "close code is not allowed");
    }
    if (!is_utf8(out.payload)) {
      return refuse(CloseCode::invalid_payload, "close reason is not UTF-8");
    }
  }
  phase_ = Phase::finished;
  message_.reset();
  return out;
}

Incoming FrameParser::take_control(const Head& head, std::string_view payload) noexcept {
  if (head.opcode == Opcode::close) return take_close(payload);
  Incoming out;
  out.kind = head.opcode == Opcode::ping ? Incoming::Kind::ping : Incoming::Kind::pong;
  out.opcode = head.opcode;
  out.payload = payload;
  return out;
}

// Takes one whole frame. False: it is a fragment that is no event of its own.
inline bool FrameParser::take_frame(std::span<char>& input, Incoming& out) noexcept {
  Head head;
  const Check check = check_head(input, head, out);
  if (check != Check::ok) return true;
  const auto payload = input.subspan(head.bytes, static_cast<std::size_t>(head.payload_bytes));
  if (head.masked) {
    MaskKey key;
    std::memcpy(key.data(), payload.data() - key.size(), key.size());
    mask(payload, key);
  }
  input = input.subspan(head.bytes + payload.size());
  const std::string_view bytes{payload.data(), payload.size()};
  if (is_control(head.opcode)) [[unlikely]] {
    out = take_control(head, bytes);
    return true;
  }
  if (!head.fin || message_) [[unlikely]]
    return take_fragment(head, bytes, out);
  if (head.opcode == Opcode::text && !is_utf8(bytes)) [[unlikely]] {
    out = refuse(CloseCode::invalid_payload, "text is not UTF-8");
    return true;
  }
  out.kind = Incoming::Kind::message;
  out.opcode = head.opcode;
  out.payload = bytes;
  return true;
}

Incoming FrameParser::next_of_any_kind(std::span<char>& input) noexcept {
  if (phase_ == Phase::delivered) [[unlikely]] {
    message_.reset();
    phase_ = Phase::idle;
  }
  Incoming out;
  if (phase_ == Phase::finished) [[unlikely]] {
    out = need(2);
  } else {
    while (!take_frame(input, out)) continue;
  }
  // Nothing that comes after a close frame or a violation means anything.
  if (phase_ == Phase::finished) [[unlikely]]
    input = input.last(0);
  return out;
}

}  // namespace stratwire::transport
