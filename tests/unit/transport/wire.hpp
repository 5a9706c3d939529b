/// Frames as a peer of either kind would send them, right or wrong, and the events they become.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/transport/frame.hpp>

namespace stratwire::transport::test {

inline constexpr MaskKey kKey = {'\x37', '\xfa', '\x21', '\x3d'};

/// Any first byte and any payload: what write_header() would never make.
struct Part {
  unsigned first = 0x81;
  std::string payload{};
};

inline std::string_view role_name(Role role) {
  return role == Role::server ? "server" : "client";
}

/// The bytes of a frame that `receiver` gets, masked as its peer has to.
inline std::string frame_for(Role receiver, const Part& part) {
  FrameHead head;
  if (receiver == Role::server) head.mask = kKey;
  std::string out;
  append_frame(out, head, part.payload);
  out[0] = static_cast<char>(part.first);
  return out;
}

inline std::string frames_for(Role receiver, const std::vector<Part>& parts) {
  std::string out;
  for (const Part& part : parts) out += frame_for(receiver, part);
  return out;
}

/// "text:Hello", "binary:", "ping:", "pong:", "close:1000:bye", "violation:1002".
inline std::string event_text(const Incoming& event) {
  const std::string payload(event.payload);
  const std::string code = std::to_string(static_cast<unsigned>(event.code));
  switch (event.kind) {
    case Incoming::Kind::need_more:
      return "need_more";
    case Incoming::Kind::message:
      return (event.opcode == Opcode::text ? "text:" : "binary:") + payload;
    case Incoming::Kind::ping:
      return "ping:" + payload;
    case Incoming::Kind::pong:
      return "pong:" + payload;
    case Incoming::Kind::close:
      return "close:" + code + ':' + payload;
    case Incoming::Kind::violation:
      return "violation:" + code;
  }
  return "?";
}

/// A reader as the I/O threads have it: what is left of the last receive, new bytes behind it.
class Reader {
 public:
  explicit Reader(Role role, FrameLimits limits = {}) : parser_(role, limits) {}

  void receive(std::string_view bytes) {
    kept_.insert(kept_.end(), bytes.begin(), bytes.end());
    // A fresh block of exactly this size: reading past the end is seen by the sanitizer.
    std::vector<char> block = kept_;
    std::span<char> input = block;
    while (true) {
      const Incoming event = parser_.next(input);
      if (event.kind == Incoming::Kind::need_more) {
        needed = event.bytes_needed;
        break;
      }
      events.push_back(event_text(event));
    }
    kept_.assign(input.begin(), input.end());
  }

  [[nodiscard]] std::size_t kept() const { return kept_.size(); }
  [[nodiscard]] const FrameParser& parser() const { return parser_; }

  std::vector<std::string> events{};
  std::size_t needed = 0;

 private:
  FrameParser parser_;
  std::vector<char> kept_{};
};

inline std::vector<std::string> read_whole(Role role, std::string_view bytes,
                                           FrameLimits limits = {}) {
  Reader reader(role, limits);
  reader.receive(bytes);
  return reader.events;
}

inline std::vector<std::string> read_split(Role role, std::string_view bytes, std::size_t at,
                                           FrameLimits limits = {}) {
  Reader reader(role, limits);
  reader.receive(bytes.substr(0, at));
  reader.receive(bytes.substr(at));
  return reader.events;
}

inline std::vector<std::string> read_bytewise(Role role, std::string_view bytes,
                                              FrameLimits limits = {}) {
  Reader reader(role, limits);
  for (std::size_t i = 0; i < bytes.size(); ++i) reader.receive(bytes.substr(i, 1));
  return reader.events;
}

}  // namespace stratwire::transport::test
