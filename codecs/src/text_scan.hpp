/// Looking through texts sixteen bytes at a time, never reading outside of them.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace stratwire::detail {

/// Bytes that stand for themselves inside a JSON string and are ASCII.
[[nodiscard]] inline bool is_plain(char c) noexcept {
  return static_cast<signed char>(c) >= 0x20 && c != '"' && c != '\\';
}

#if defined(__SSE2__)

/// One bit for each of the sixteen bytes that is not plain.
[[nodiscard]] inline unsigned special_mask(__m128i bytes) noexcept {
  // Signed, so that one comparison finds both control characters and bytes beyond ASCII.
  const __m128i low = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
  const __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
  const __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
  return static_cast<unsigned>(
      _mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(quote, backslash))));
}

[[nodiscard]] inline __m128i load16(const char* from) noexcept {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

#endif

/// The first byte in [from, end) that is not plain, or `end`.
[[nodiscard]] inline const char* find_special(const char* from, const char* end) noexcept {
#if defined(__SSE2__)
  while (end - from >= 16) {
    const unsigned mask = special_mask(load16(from));
    if (mask != 0) return from + std::countr_zero(mask);
    from += 16;
  }
#endif
  while (from != end && is_plain(*from)) ++from;
  return from;
}

/// How many bytes at the start are ASCII.
[[nodiscard]] inline std::size_t ascii_prefix(std::string_view text) noexcept {
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const char* at = begin;
#if defined(__SSE2__)
  while (end - at >= 16) {
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(load16(at)));
    if (mask != 0)
      return static_cast<std::size_t>(at - begin) +
             static_cast<std::size_t>(std::countr_zero(mask));
    at += 16;
  }
#endif
  while (at != end && static_cast<signed char>(*at) >= 0) ++at;
  return static_cast<std::size_t>(at - begin);
}

/// Whether every byte is ASCII; reads overlapping words, so that the length decides all branches.
[[nodiscard]] inline bool is_ascii(const char* text, std::size_t bytes) noexcept {
  const auto word = [](const char* from) noexcept {
    std::uint64_t value = 0;
    std::memcpy(&value, from, sizeof value);
    return value;
  };
  constexpr std::uint64_t kHighBits = 0x8080'8080'8080'8080;
#if defined(__SSE2__)
  if (bytes >= 16) {
    __m128i all = load16(text + bytes - 16);
    for (std::size_t at = 0; at + 16 < bytes; at += 16) all = _mm_or_si128(all, load16(text + at));
    return _mm_movemask_epi8(all) == 0;
  }
#endif
  if (bytes >= 8) {
    std::uint64_t all = word(text + bytes - 8);
    for (std::size_t at = 0; at + 8 < bytes; at += 8) all |= word(text + at);
    return (all & kHighBits) == 0;
  }
  unsigned all = 0;
  for (std::size_t at = 0; at < bytes; ++at) all |= static_cast<unsigned char>(text[at]);
  return all < 0x80;
}

}  // namespace stratwire::detail
