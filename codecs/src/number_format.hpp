/// Machine numbers to JSON texts.
///
/// Each writes at most its limit to `out` and returns the end of the text; up to kFormatSlack
/// bytes behind that end may be overwritten, because whole words are stored.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace stratwire::detail {

inline constexpr std::size_t kIntegerTextBytesMax = 20;
inline constexpr std::size_t kDoubleTextBytesMax = 24;
inline constexpr std::size_t kFormatSlack = 8;

static_assert(std::endian::native == std::endian::little);

/// The eight decimal digits of `value`, one in each byte, the first one lowest.
///
/// Precondition: value < 100'000'000
/// \source  "How to print integers really fast" (Khuong, 2017): divides lanes by multiplication
[[nodiscard]] inline std::uint64_t eight_digits(std::uint64_t value) noexcept {
  const std::uint64_t halves = value / 10'000 | (value % 10'000) << 32;
  const std::uint64_t upper = (halves * 10'486 >> 20) & 0x0000'007f'0000'007f;
  const std::uint64_t quarters = ((halves - 100 * upper) << 16) + upper;
  const std::uint64_t tens = (quarters * 103 >> 10) & 0x000f'000f'000f'000f;
  return ((quarters - 10 * tens) << 8) + tens;
}

inline constexpr std::uint64_t kAsciiZeros = 0x3030'3030'3030'3030;

[[nodiscard]] inline char* store8(char* out, std::uint64_t bytes, unsigned count) noexcept {
  std::memcpy(out, &bytes, sizeof bytes);
  return out + count;
}

/// Without leading zeros. Precondition: value < 100'000'000
[[nodiscard]] inline char* format_short(char* out, std::uint64_t value) noexcept {
  const std::uint64_t digits = eight_digits(value);
  // One bit too many is set, so that zero keeps its last digit.
  const auto zeros = static_cast<unsigned>(std::countr_zero(digits | 1ULL << 56)) / 8;
  return store8(out, (digits | kAsciiZeros) >> (8 * zeros), 8 - zeros);
}

[[nodiscard]] inline char* format_unsigned(char* out, std::uint64_t value) noexcept {
  constexpr std::uint64_t kEight = 100'000'000;
  if (value < kEight) return format_short(out, value);
  const std::uint64_t high = value / kEight;
  const std::uint64_t last = eight_digits(value % kEight) | kAsciiZeros;
  if (high < kEight) return store8(format_short(out, high), last, 8);
  const std::uint64_t middle = eight_digits(high % kEight) | kAsciiZeros;
  return store8(store8(format_short(out, high / kEight), middle, 8), last, 8);
}

[[nodiscard]] inline char* format_signed(char* out, std::int64_t value) noexcept {
  auto magnitude = static_cast<std::uint64_t>(value);
  if (value < 0) {
    *out++ = '-';
    magnitude = 0 - magnitude;
  }
  return format_unsigned(out, magnitude);
}

/// The shortest text that reads back as the same double, as std::to_chars writes it.
///
/// Precondition: value is finite
[[nodiscard]] char* format_double(char* out, double value) noexcept;

}  // namespace stratwire::detail
