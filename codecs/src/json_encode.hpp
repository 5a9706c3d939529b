/// JSON texts into memory that is large enough.
#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>

#include "text_scan.hpp"

namespace stratwire::detail {

/// Room for a JSON string of that many bytes: every byte may become \u00xx.
[[nodiscard]] constexpr std::size_t json_string_bytes_max(std::size_t bytes) noexcept {
  return 6 * bytes + 2;
}

/// The rest of format_json_string() for texts that are not plain; `out` is behind the first quote.
[[nodiscard]] char* format_json_escaped(char* out, std::string_view text) noexcept;

/// Writes `text` with its quotes and escapes.
///
/// \param out  json_string_bytes_max(text.size()) bytes
/// \return     end of what was written; nullptr when `text` is not UTF-8
[[nodiscard]] inline char* format_json_string(char* out, std::string_view text) noexcept {
  *out++ = '"';
#if defined(__SSE2__)
  if (text.size() >= 16) {
    // The last sixteen bytes first: the steps over the others then need no tail.
    const char* const from = text.data();
    const std::size_t last = text.size() - 16;
    const __m128i tail = load16(from + last);
    unsigned special = special_mask(tail);
    for (std::size_t at = 0; at < last; at += 16) {
      const __m128i bytes = load16(from + at);
      special |= special_mask(bytes);
      store16(out + at, bytes);
    }
    store16(out + last, tail);
    if (special != 0) return format_json_escaped(out, text);
    out += text.size();
    *out = '"';
    return out + 1;
  }
#endif
  for (const char c : text) {
    if (!is_plain(c)) return format_json_escaped(out, text);
  }
  if (!text.empty()) std::memcpy(out, text.data(), text.size());
  out += text.size();
  *out = '"';
  return out + 1;
}

}  // namespace stratwire::detail
