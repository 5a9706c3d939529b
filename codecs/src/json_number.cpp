#include "json_number.hpp"

#include <bit>
#include <charconv>
#include <limits>
#include <system_error>

#include "digits.hpp"

namespace stratwire::detail {
namespace {

// The next eight bytes, of which those behind the end are no digits.
std::uint64_t digits_before(const char* at, const char* end) noexcept {
  const auto left = static_cast<std::size_t>(end - at);
  if (left >= 8) return load_eight(at);
  if (left == 0) return ~0ULL;
  const auto gone = static_cast<unsigned>(8 * (8 - left));
  return load_eight(end - 8) >> gone | ~0ULL << (64 - gone);
}

// Takes all digits at `from`; `value` wraps beyond nineteen of them.
// Eight at a time: one at a time, each step waits for the multiplication of the one before.
[[gnu::always_inline]] inline const char* take_digits(const char* from, const char* end,
                                                      std::uint64_t& value) noexcept {
  std::uint64_t word = digits_before(from, end);
  std::uint64_t others = not_digits(word);
  // A branch, not a count: the processor then goes on behind the eight digits before it has read
  // them, where a count would have to be waited for.
  while (others == 0) {
    value = value * kPowersOfTen[8] + value_of_eight(word);
    from += 8;
    word = digits_before(from, end);
    others = not_digits(word);
  }
  const auto count = static_cast<unsigned>(std::countr_zero(others)) / 8;
  if (count == 0) return from;
  value = value * kPowersOfTen[count] + value_of_eight(word << (64 - 8 * count));
  return from + count;
}

// What begins with a zero has one digit, and every number has one.
bool well_formed(const char* from, const char* behind) noexcept {
  return behind != from && (*from != '0' || behind - from == 1);
}

const char* parse(const char* from, const char* end, double& out) noexcept {
  const NumberToken token = scan_number(from, end);
  if (!token.valid) return nullptr;
  out = parse_double({from, static_cast<std::size_t>(token.end - from)});
  return out - out == 0 ? token.end : nullptr;
}

}  // namespace

const char* read_any_number(const char* from, const char* end, std::uint64_t& out) noexcept {
  std::uint64_t value = 0;
  const char* const behind = take_digits(from, end, value);
  if (!well_formed(from, behind)) return nullptr;
  out = value;
  // Nineteen digits fit always, twenty perhaps: the library knows.
  if (behind - from < 20 || std::from_chars(from, behind, out).ec == std::errc{}) return behind;
  return nullptr;
}

const char* read_any_number(const char* from, const char* end, std::int64_t& out) noexcept {
  const bool negative = from != end && *from == '-';
  std::uint64_t magnitude = 0;
  const char* const behind = read_any_number(from + (negative ? 1 : 0), end, magnitude);
  // The one number that has no positive counterpart, and -0, are for the general decoder.
  if (behind == nullptr || (negative && magnitude == 0) ||
      magnitude > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return nullptr;
  }
  out = negative ? -static_cast<std::int64_t>(magnitude) : static_cast<std::int64_t>(magnitude);
  return behind;
}

const char* read_any_number(const char* from, const char* end, double& out) noexcept {
  const bool negative = from != end && *from == '-';
  const char* const whole = from + (negative ? 1 : 0);
  std::uint64_t mantissa = 0;
  const char* behind = take_digits(whole, end, mantissa);
  if (!well_formed(whole, behind)) return nullptr;
  auto digits = static_cast<std::size_t>(behind - whole);
  std::size_t scale = 0;
  if (behind != end && *behind == '.') {
    const char* const fraction = behind + 1;
    behind = take_digits(fraction, end, mantissa);
    scale = static_cast<std::size_t>(behind - fraction);
    if (scale == 0) return nullptr;
    digits += scale;
  }
  const bool exponent = behind != end && (*behind == 'e' || *behind == 'E');
  if (exponent || digits > 19) return parse(from, end, out);
  // Exact on both sides of one division for nearly all prices.
  const double magnitude = mantissa <= 1ULL << 53
                               ? static_cast<double>(mantissa) / kDivisors[scale]
                               : divide_by_power_of_ten(mantissa, static_cast<unsigned>(scale));
  out = negative ? -magnitude : magnitude;
  return behind;
}

}  // namespace stratwire::detail
