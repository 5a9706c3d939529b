/// Looking through texts sixteen bytes at a time, never reading outside of them.
#pragma once

#include <array>
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
  // Signed, so that one comparison finds control characters and bytes beyond ASCII; the quote is
  // moved next to the former. What is plain is asked for, because GCC turns "less than" around.
  const __m128i moved = _mm_xor_si128(bytes, _mm_set1_epi8('"' ^ ' '));
  const __m128i above = _mm_cmpgt_epi8(moved, _mm_set1_epi8(' '));
  const __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_andnot_si128(backslash, above))) ^ 0xffffU;
}

[[nodiscard]] inline __m128i load16(const char* from) noexcept {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

inline void store16(char* out, __m128i bytes) noexcept {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
}

/// Sixteen bytes of which the last `count` are kept, for an `and`. Precondition: count <= 16
[[nodiscard]] inline __m128i last_bytes(std::size_t count) noexcept {
  static constexpr auto kKept = [] {
    std::array<char, 32> bytes{};
    for (std::size_t i = 16; i < bytes.size(); ++i) bytes[i] = '\xff';
    return bytes;
  }();
  return load16(kKept.data() + count);
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

/// Whether two places hold the same N bytes; in words, because GCC calls memcmp beyond sixteen.
template <std::size_t N>
[[nodiscard, gnu::always_inline]] inline bool equal_bytes(const char* a, const char* b) noexcept {
  const auto word = []<class Word>(const char* from, Word) noexcept {
    Word value;
    std::memcpy(&value, from, sizeof value);
    return value;
  };
  if constexpr (N >= 8) {
    std::uint64_t difference = word(a + N - 8, std::uint64_t{}) ^ word(b + N - 8, std::uint64_t{});
    for (std::size_t at = 0; at + 8 < N; at += 8) {
      difference |= word(a + at, std::uint64_t{}) ^ word(b + at, std::uint64_t{});
    }
    return difference == 0;
  } else if constexpr (N >= 4) {
    return word(a, std::uint32_t{}) == word(b, std::uint32_t{}) &&
           word(a + N - 4, std::uint32_t{}) == word(b + N - 4, std::uint32_t{});
  } else {
    return std::memcmp(a, b, N) == 0;
  }
}

#if defined(__SSE2__)

/// Whether every byte is ASCII, for the lengths that addresses have; without a loop, because the
/// steps of a loop wait for one another. Precondition: 16 <= bytes <= 64
[[nodiscard]] inline bool is_ascii_16_to_64(const char* text, std::size_t bytes) noexcept {
  const std::size_t last = bytes - 16;
  const __m128i outer = _mm_or_si128(load16(text), load16(text + last));
  const __m128i inner =
      _mm_or_si128(load16(text + (last < 16 ? last : 16)), load16(text + (last < 32 ? last : 32)));
  return _mm_movemask_epi8(_mm_or_si128(outer, inner)) == 0;
}

#endif

/// Whether every byte is ASCII; reads overlapping words, so that no length needs single bytes
/// beyond the first seven.
[[nodiscard]] inline bool is_ascii(const char* text, std::size_t bytes) noexcept {
#if defined(__SSE2__)
  if (bytes >= 16) {
    if (bytes <= 64) return is_ascii_16_to_64(text, bytes);
    return ascii_prefix({text, bytes}) == bytes;
  }
#endif
  constexpr std::uint64_t kHighBits = 0x8080'8080'8080'8080;
  const auto word = [](const char* from) noexcept {
    std::uint64_t value = 0;
    std::memcpy(&value, from, sizeof value);
    return value;
  };
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
