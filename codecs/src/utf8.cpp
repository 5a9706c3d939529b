#include "utf8.hpp"

#include "text_scan.hpp"

namespace stratwire::detail {
namespace {

bool is_continuation(char c) noexcept {
  return (static_cast<unsigned char>(c) & 0xc0U) == 0x80U;
}

}  // namespace

std::size_t utf8_sequence_bytes(std::string_view text) noexcept {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;  // A continuation, or the overlong forms C0 and C1.
  if (lead < 0xe0) return text.size() >= 2 && is_continuation(text[1]) ? 2 : 0;
  if (text.size() < 3) return 0;
  const auto second = static_cast<unsigned char>(text[1]);
  if (lead < 0xf0) {
    if (!is_continuation(text[1]) || !is_continuation(text[2])) return 0;
    if (lead == 0xe0 && second < 0xa0) return 0;   // Overlong.
    if (lead == 0xed && second >= 0xa0) return 0;  // Surrogates.
    return 3;
  }
  if (lead > 0xf4 || text.size() < 4) return 0;
  if (!is_continuation(text[1]) || !is_continuation(text[2]) || !is_continuation(text[3])) return 0;
  if (lead == 0xf0 && second < 0x90) return 0;   // Overlong.
  if (lead == 0xf4 && second >= 0x90) return 0;  // Beyond U+10FFFF.
  return 4;
}

std::size_t utf8_valid_prefix(std::string_view text) noexcept {
  std::size_t at = 0;
  while (at < text.size()) {
    at += ascii_prefix(text.substr(at));
    if (at == text.size()) break;
    const std::size_t bytes = utf8_sequence_bytes(text.substr(at));
    if (bytes == 0) return at;
    at += bytes;
  }
  return at;
}

}  // namespace stratwire::detail
