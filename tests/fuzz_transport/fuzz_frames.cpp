/// Feeds bytes to a FrameParser.
///
/// 1. The first byte chooses the end, the limits, and whether the rest are bytes of the line or a
///    script: one byte of FIN and opcode, one of length, then the payload, made into a right frame.
/// 2. The bytes are read in one piece, byte by byte, and cut at places that follow from the input.
///    All three must give the same events.
/// 3. No event comes after a close or a violation, and no message is beyond the limit.
/// 4. Messages are UTF-8 where they are text, by another checker than the parser's fast path.
/// 5. The events, written anew as frames, must be read as the same events again.
#include <cstdint>

#include <stratwire/transport/utf8.hpp>

#include "property.hpp"
#include "wire.hpp"

namespace stratwire::transport::test {
namespace {

using Events = std::vector<std::string>;

std::string frames_of_script(Role receiver, std::string_view script) {
  std::string out;
  while (script.size() >= 2) {
    const auto first = static_cast<unsigned char>(script[0]);
    const auto length = static_cast<unsigned char>(script[1]);
    script.remove_prefix(2);
    const std::string payload(script.substr(0, length));
    script.remove_prefix(payload.size());
    out += frame_for(receiver, {first, payload});
  }
  return out;
}

Events read_cut(Role role, std::string_view bytes, FrameLimits limits) {
  Dice dice(bytes);
  Reader reader(role, limits);
  while (!bytes.empty()) {
    const std::size_t take = std::min(bytes.size(), 1 + dice.below(40));
    reader.receive(bytes.substr(0, take));
    bytes.remove_prefix(take);
  }
  return reader.events;
}

bool slow_utf8(std::string_view text) {
  Utf8Checker checker;
  for (const char& c : text) {
    if (!checker.feed({&c, 1})) return false;
  }
  return checker.complete();
}

// The frame that an event stands for; nothing for a violation.
std::string rewritten(Role receiver, const std::string& event) {
  const std::string kind = event.substr(0, event.find(':'));
  const std::string payload = event.substr(kind.size() + 1);
  std::optional<MaskKey> key;
  if (receiver == Role::server) key = kKey;
  std::string out;
  if (kind == "close") {
    const auto code = CloseCode{static_cast<std::uint16_t>(std::stoul(payload))};
    append_close(out, code, payload.substr(payload.find(':') + 1), key);
    return out;
  }
  if (kind == "violation") return out;
  const Opcode opcode = kind == "text"     ? Opcode::text
                        : kind == "binary" ? Opcode::binary
                        : kind == "ping"   ? Opcode::ping
                                           : Opcode::pong;
  append_frame(out, {.opcode = opcode, .mask = key}, payload);
  return out;
}

void check(std::string_view input) {
  if (input.empty()) return;
  const auto choice = static_cast<unsigned char>(input[0]);
  const Role role = (choice & 1U) != 0 ? Role::server : Role::client;
  const FrameLimits limits{.message_bytes_max = (choice & 2U) != 0 ? 64U : 65536U,
                           .fragments_max = (choice & 4U) != 0 ? 3U : 1024U};
  std::string bytes(input.substr(1));
  if ((choice & 8U) != 0) bytes = frames_of_script(role, bytes);

  const Events whole = read_whole(role, bytes, limits);
  require(read_bytewise(role, bytes, limits) == whole, "byte by byte is the same", input);
  require(read_cut(role, bytes, limits) == whole, "cut anywhere is the same", input);

  std::string again;
  Events expected;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const std::string& event = whole[i];
    const std::string_view payload = std::string_view(event).substr(event.find(':') + 1);
    const bool is_last = event.starts_with("close:") || event.starts_with("violation:");
    require(!is_last || i + 1 == whole.size(), "nothing after the end", input);
    if (event.starts_with("text:") || event.starts_with("binary:")) {
      require(payload.size() <= limits.message_bytes_max, "no message beyond the limit", input);
    }
    if (event.starts_with("text:")) require(slow_utf8(payload), "text is UTF-8", input);
    if (event.starts_with("violation:")) continue;
    again += rewritten(role, event);
    expected.push_back(event);
  }
  require(read_whole(role, again, limits) == expected, "written anew is the same", input);
}

}  // namespace
}  // namespace stratwire::transport::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  stratwire::transport::test::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
