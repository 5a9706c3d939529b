/// The reading side of three protocols and the little of the writing side that a subscriber needs,
/// without a library: what is measured must not be measured by itself.
///
/// split_x() takes whole messages off the front of `input`, in place, and hands each to `sink`.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace stratwire::bench {

enum class Split : std::uint8_t { more, broken };

/// RFC 6455's own sample (1.3): everybody knows the answer without a SHA-1.
inline constexpr std::string_view kSampleKey = "dGhlIHNhbXBsZSBub25jZQ==";
inline constexpr std::string_view kSampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What a control frame asks of the reader.
enum class Control6455 : std::uint8_t { close = 8, ping = 9, pong = 10 };

/// RFC 6455 5.2, a server's frames: not masked, whole messages only (no server of the run
/// fragments 159 bytes).
///
/// sink.on_message(text) and sink.on_control(opcode, payload).
template <class Sink>
Split split_frames(std::string_view& input, Sink&& sink) {
  while (input.size() >= 2) {
    const auto first = static_cast<std::uint8_t>(input[0]);
    std::size_t header = 2;
    std::uint64_t bytes = static_cast<std::uint8_t>(input[1]);
    if (bytes >= 126) [[likely]] {
      if (bytes > 127) return Split::broken;  // Masked by a server.
      const std::size_t width = bytes == 126 ? 2 : 8;
      header += width;
      if (input.size() < header) return Split::more;
      bytes = 0;
      for (std::size_t i = 0; i < width; ++i) {
        bytes = bytes << 8 | static_cast<std::uint8_t>(input[2 + i]);
      }
    }
    if (input.size() - header < bytes) return Split::more;
    const std::string_view payload = input.substr(header, static_cast<std::size_t>(bytes));
    input.remove_prefix(header + payload.size());
    if (first == 0x81 || first == 0x82) [[likely]] {
      sink.on_message(payload);
    } else if (first >= 0x88 && first <= 0x8a) {
      sink.on_control(static_cast<Control6455>(first & 0xf), payload);
    } else {
      return Split::broken;
    }
  }
  return Split::more;
}

/// Takes a number and the CR LF behind it off the front; -1 as long as they are not whole.
inline std::int64_t take_number(std::string_view& input) {
  const std::size_t end = input.find('\n');
  if (end == std::string_view::npos) return -1;
  std::int64_t value = 0;
  for (std::size_t i = 0; i + 1 < end; ++i) value = value * 10 + (input[i] - '0');
  input.remove_prefix(end + 1);
  return value;
}

/// Redis' RESP 2: arrays of bulk texts and numbers. sink.on_message(text) for each `message`,
/// sink.on_answer() for each `subscribe`.
template <class Sink>
Split split_resp(std::string_view& input, Sink&& sink) {
  while (!input.empty()) {
    std::string_view rest = input;
    if (rest[0] != '*') return Split::broken;
    rest.remove_prefix(1);
    const std::int64_t elements = take_number(rest);
    if (elements < 0) return Split::more;
    std::string_view kind;
    std::string_view last;
    for (std::int64_t i = 0; i < elements; ++i) {
      if (rest.empty()) return Split::more;
      const char type = rest[0];
      rest.remove_prefix(1);
      const std::int64_t value = take_number(rest);
      if (value < 0) return Split::more;
      if (type == ':') continue;
      if (type != '$') return Split::broken;
      const auto bytes = static_cast<std::size_t>(value);
      if (rest.size() < bytes + 2) return Split::more;
      last = rest.substr(0, bytes);
      if (i == 0) kind = last;
      rest.remove_prefix(bytes + 2);
    }
    input = rest;
    if (kind == "message") {
      sink.on_message(last);
    } else {
      sink.on_answer();
    }
  }
  return Split::more;
}

/// NATS: lines, of which MSG has a payload behind it. sink.on_message(text) for MSG,
/// sink.on_answer() for PONG, sink.on_ping() for PING.
template <class Sink>
Split split_nats(std::string_view& input, Sink&& sink) {
  while (true) {
    const std::size_t end = input.find('\n');
    if (end == std::string_view::npos) return Split::more;
    std::string_view line = input.substr(0, end == 0 ? 0 : end - 1);
    if (line.starts_with("MSG ")) {
      const std::size_t space = line.rfind(' ');
      std::size_t bytes = 0;
      for (const char digit : line.substr(space + 1)) {
        bytes = bytes * 10 + static_cast<std::size_t>(digit - '0');
      }
      if (input.size() < end + 1 + bytes + 2) return Split::more;
      const std::string_view payload = input.substr(end + 1, bytes);
      input.remove_prefix(end + 1 + bytes + 2);
      sink.on_message(payload);
      continue;
    }
    input.remove_prefix(end + 1);
    if (line == "PONG") sink.on_answer();
    if (line == "PING") sink.on_ping();
    if (line.starts_with("-ERR")) return Split::broken;
  }
}

/// A client's text or control frame, masked (RFC 6455 5.3).
inline std::string masked_frame(std::uint8_t opcode, std::string_view payload, std::uint32_t mask) {
  std::string frame;
  frame.push_back(static_cast<char>(0x80 | opcode));
  if (payload.size() < 126) {
    frame.push_back(static_cast<char>(0x80 | payload.size()));
  } else {
    frame.push_back(static_cast<char>(0x80 | 126));
    frame.push_back(static_cast<char>(payload.size() >> 8));
    frame.push_back(static_cast<char>(payload.size() & 0xff));
  }
  char key[4];
  std::memcpy(key, &mask, sizeof key);
  frame.append(key, sizeof key);
  for (std::size_t i = 0; i < payload.size(); ++i) {
    frame.push_back(static_cast<char>(payload[i] ^ key[i % 4]));
  }
  return frame;
}

inline std::string upgrade_request(std::string_view subprotocol) {
  std::string request =
      "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ";
  request += kSampleKey;
  if (!subprotocol.empty()) {
    request += "\r\nSec-WebSocket-Protocol: ";
    request += subprotocol;
  }
  return request + "\r\n\r\n";
}

}  // namespace stratwire::bench
