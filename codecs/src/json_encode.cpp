#include "json_encode.hpp"

#include "utf8.hpp"

namespace stratwire::detail {

char* format_json_escaped(char* out, std::string_view text) noexcept {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::size_t at = 0;
  while (at < text.size()) {
    const std::string_view rest = text.substr(at);
    const auto c = static_cast<unsigned char>(rest.front());
    if (c >= 0x80) {
      const std::size_t bytes = utf8_sequence_bytes(rest);
      if (bytes == 0) return nullptr;
      std::memcpy(out, rest.data(), bytes);
      out += bytes;
      at += bytes;
      continue;
    }
    ++at;
    constexpr std::string_view kFrom = "\"\\\b\f\n\r\t";
    constexpr std::string_view kTo = "\"\\bfnrt";
    const std::size_t known = kFrom.find(static_cast<char>(c));
    if (known != std::string_view::npos) {
      *out++ = '\\';
      *out++ = kTo[known];
    } else if (c < 0x20) {
      std::memcpy(out, "\\u00", 4);
      out[4] = kHex[c >> 4];
      out[5] = kHex[c & 15];
      out += 6;
    } else {
      *out++ = static_cast<char>(c);
    }
  }
  *out++ = '"';
  return out;
}

}  // namespace stratwire::detail
