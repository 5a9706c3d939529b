/// Decimal digits to numbers, eight or sixteen at a time.
///
/// All of it is inlined by force: GCC stops at the second caller, and a call costs what is won
/// here.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "text_scan.hpp"

namespace stratwire::detail {

static_assert(std::endian::native == std::endian::little);

inline constexpr std::uint64_t kPowersOfTen[] = {1,       10,        100,        1'000,      10'000,
                                                 100'000, 1'000'000, 10'000'000, 100'000'000};

// ---- Eight

/// The next eight bytes, the first one lowest: each is zero to nine where there is a digit.
[[nodiscard, gnu::always_inline]] inline std::uint64_t load_eight(const char* from) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, from, sizeof word);
  return word ^ 0x3030'3030'3030'3030;
}

/// The high bit of each byte of load_eight() that is above nine, up to the first one of them: its
/// carry changes those behind it.
[[nodiscard, gnu::always_inline]] inline std::uint64_t not_digits(std::uint64_t eight) noexcept {
  return ((eight + 0x7676'7676'7676'7676) | eight) & 0x8080'8080'8080'8080;
}

/// Of eight bytes from zero to nine, the first one lowest.
[[nodiscard, gnu::always_inline]] inline std::uint64_t value_of_eight(
    std::uint64_t eight) noexcept {
  constexpr std::uint64_t kPairs = 0x0000'00ff'0000'00ff;
  eight = eight * 10 + (eight >> 8);
  return ((eight & kPairs) * 0x000f'4240'0000'0064 +
          ((eight >> 16) & kPairs) * 0x0000'2710'0000'0001) >>
         32;
}

// ---- Sixteen, or less that end where sixteen would

#if defined(__SSE2__)

[[nodiscard, gnu::always_inline]] inline __m128i load_sixteen(const char* from) noexcept {
  return _mm_xor_si128(load16(from), _mm_set1_epi8('0'));
}

/// One bit for each byte above nine.
[[nodiscard, gnu::always_inline]] inline unsigned not_digits(__m128i sixteen) noexcept {
  return static_cast<unsigned>(_mm_movemask_epi8(_mm_adds_epu8(sixteen, _mm_set1_epi8(0x76))));
}

/// Of sixteen bytes from zero to nine: two to a number of 16 bits, two of these to one of 32, and
/// so on.
[[nodiscard, gnu::always_inline]] inline std::uint64_t value_of_sixteen(__m128i sixteen) noexcept {
  const __m128i pairs = _mm_and_si128(
      _mm_add_epi16(_mm_mullo_epi16(sixteen, _mm_set1_epi16(10)), _mm_srli_epi16(sixteen, 8)),
      _mm_set1_epi16(0xff));
  const __m128i fours = _mm_madd_epi16(pairs, _mm_set1_epi32(0x0001'0064));
  const __m128i eights = _mm_madd_epi16(_mm_packs_epi32(fours, fours), _mm_set1_epi32(0x0001'2710));
  const auto both = static_cast<std::uint64_t>(_mm_cvtsi128_si64(eights));
  return (both & 0xffff'ffff) * kPowersOfTen[8] + (both >> 32);
}

#endif

/// One bit for each of sixteen bytes that is no digit, the first one lowest.
[[nodiscard, gnu::always_inline]] inline unsigned others_in_sixteen(const char* from) noexcept {
#if defined(__SSE2__)
  return not_digits(load_sixteen(from));
#else
  unsigned others = 0;
  for (unsigned i = 0; i < 16; ++i) {
    others |= static_cast<unsigned>(from[i] < '0' || from[i] > '9') << i;
  }
  return others;
#endif
}

/// The value of `count` digits that end at `end`.
///
/// Precondition: count <= 16; sixteen bytes before `end` can be read
[[nodiscard, gnu::always_inline]] inline std::uint64_t value_before(const char* end,
                                                                    std::size_t count) noexcept {
#if defined(__SSE2__)
  return value_of_sixteen(_mm_and_si128(load_sixteen(end - 16), last_bytes(count)));
#else
  std::uint64_t value = 0;
  for (const char* at = end - count; at != end; ++at) {
    value = value * 10 + static_cast<std::uint64_t>(*at - '0');
  }
  return value;
#endif
}

/// The value of the digits around a point, without it: of `whole` before it and `scale` behind it.
///
/// Precondition: whole + scale <= 16; seventeen bytes before `end` can be read
[[nodiscard, gnu::always_inline]] inline std::uint64_t value_before(const char* end,
                                                                    std::size_t whole,
                                                                    std::size_t scale) noexcept {
#if defined(__SSE2__)
  // The same bytes twice, the second time as if the point were not there.
  const __m128i fraction = last_bytes(scale);
  const __m128i digits = _mm_or_si128(_mm_and_si128(fraction, load_sixteen(end - 16)),
                                      _mm_andnot_si128(fraction, load_sixteen(end - 17)));
  return value_of_sixteen(_mm_and_si128(digits, last_bytes(whole + scale)));
#else
  std::uint64_t value = value_before(end - scale - 1, whole);
  for (const char* at = end - scale; at != end; ++at) {
    value = value * 10 + static_cast<std::uint64_t>(*at - '0');
  }
  return value;
#endif
}

}  // namespace stratwire::detail
