#include "text.hpp"

#include <algorithm>
#include <cstddef>

namespace stratwire::transport {
namespace {

constexpr std::size_t kShownBytesMax = 120;

char lower(char c) noexcept {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

}  // namespace

std::string printable(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : text.substr(0, kShownBytesMax)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else {
      out += "\\x";
      out += kDigits[byte >> 4U];
      out += kDigits[byte & 0xfU];
    }
  }
  if (text.size() > kShownBytesMax) out += "...";
  return out;
}

std::string quoted(std::string_view text) {
  return '\'' + printable(text) + '\'';
}

bool equal_any_case(std::string_view left, std::string_view right) noexcept {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](char a, char b) { return lower(a) == lower(b); });
}

}  // namespace stratwire::transport
