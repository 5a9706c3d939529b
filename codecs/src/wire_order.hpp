/// Numbers in network order, as MessagePack has them, and what bits of a double it takes.
#pragma once

#include <bit>
#include <concepts>
#include <cstdint>
#include <cstring>

namespace stratwire::detail {

static_assert(std::endian::native == std::endian::little);

[[nodiscard]] inline std::uint8_t reversed(std::uint8_t value) noexcept {
  return value;
}
[[nodiscard]] inline std::uint16_t reversed(std::uint16_t value) noexcept {
  return __builtin_bswap16(value);
}
[[nodiscard]] inline std::uint32_t reversed(std::uint32_t value) noexcept {
  return __builtin_bswap32(value);
}
[[nodiscard]] inline std::uint64_t reversed(std::uint64_t value) noexcept {
  return __builtin_bswap64(value);
}

template <std::unsigned_integral T>
void store_big_endian(char* out, T value) noexcept {
  const T bytes = reversed(value);
  std::memcpy(out, &bytes, sizeof bytes);
}

template <std::unsigned_integral T>
[[nodiscard]] T load_big_endian(const char* from) noexcept {
  T bytes;
  std::memcpy(&bytes, from, sizeof bytes);
  return reversed(bytes);
}

/// Neither infinity nor NaN, which have all bits of the exponent set (IEEE 754, 3.4).
[[nodiscard]] inline bool is_finite(std::uint64_t bits) noexcept {
  constexpr unsigned kExponent = 0x7ff;
  return (static_cast<unsigned>(bits >> 52) & kExponent) != kExponent;
}

}  // namespace stratwire::detail
