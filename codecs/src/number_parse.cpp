#include "number_parse.hpp"

#include <array>
#include <bit>
#include <charconv>
#include <limits>
#include <system_error>

namespace stratwire::detail {
namespace {

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

const char* skip_digits(const char* from, const char* end) noexcept {
  while (from != end && is_digit(*from)) ++from;
  return from;
}

constexpr auto kPowersOfTen = [] {
  std::array<std::uint64_t, kScaleMax + 1> powers{1};
  for (std::size_t i = 1; i < powers.size(); ++i) powers[i] = powers[i - 1] * 10;
  return powers;
}();

/// Power of ten of the first digit that is not zero. Precondition: `text` is a valid number.
long leading_exponent(std::string_view text) noexcept {
  long exponent = 0;
  const std::size_t e = text.find_first_of("eE");
  if (e != std::string_view::npos) {
    const char* from = text.data() + e + 1;
    if (*from == '+') ++from;
    const auto parsed = std::from_chars(from, text.data() + text.size(), exponent);
    // Beyond any double by far; the sign decides.
    if (parsed.ec != std::errc{}) exponent = *from == '-' ? -1'000'000'000 : 1'000'000'000;
    text = text.substr(0, e);
  }
  const std::size_t point = std::min(text.find('.'), text.size());
  const std::size_t first = text.find_first_of("123456789");
  if (first == std::string_view::npos) return std::numeric_limits<int>::min();
  const auto distance = static_cast<long>(point) - static_cast<long>(first);
  return exponent + (distance > 0 ? distance - 1 : distance);
}

}  // namespace

NumberToken scan_number(const char* from, const char* end) noexcept {
  NumberToken token;
  const char* at = from;
  if (at != end && *at == '-') ++at;
  const char* const integer_part = at;
  at = skip_digits(at, end);
  if (at == integer_part) return token.end = at, token;
  if (*integer_part == '0' && at - integer_part > 1) return token.end = integer_part + 1, token;
  if (at != end && *at == '.') {
    token.integer = false;
    const char* const fraction = ++at;
    at = skip_digits(at, end);
    if (at == fraction) return token.end = at, token;
  }
  if (at != end && (*at == 'e' || *at == 'E')) {
    token.integer = false;
    ++at;
    if (at != end && (*at == '+' || *at == '-')) ++at;
    const char* const exponent = at;
    at = skip_digits(at, end);
    if (at == exponent) return token.end = at, token;
  }
  token.end = at;
  token.valid = true;
  return token;
}

double parse_double(std::string_view text) noexcept {
  double value = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec == std::errc::result_out_of_range) {
    const bool negative = text.front() == '-';
    value = leading_exponent(text) > 0 ? std::numeric_limits<double>::infinity() : 0.0;
    return negative ? -value : value;
  }
  return value;
}

void parse_number(std::string_view text, bool integer, Node& out) noexcept {
  const char* const end = text.data() + text.size();
  if (integer && text.front() != '-') {
    out.kind = Kind::unsigned_integer;
    if (std::from_chars(text.data(), end, out.unsigned_value).ec == std::errc{}) return;
  } else if (integer && text != "-0") {  // As an integer, minus zero would lose its sign.
    out.kind = Kind::signed_integer;
    if (std::from_chars(text.data(), end, out.signed_value).ec == std::errc{}) return;
  }
  out.floating_value = parse_double(text);
  const bool infinite = out.floating_value - out.floating_value != 0;
  out.kind = infinite ? Kind::huge : Kind::floating;
}

double divide_by_power_of_ten(std::uint64_t mantissa, unsigned scale) noexcept {
  // Both sides are exact as doubles, so that one division rounds once.
  if (mantissa <= (1ULL << 53)) {
    return static_cast<double>(mantissa) / static_cast<double>(kPowersOfTen[scale]);
  }
  // Long division with 64 bits of quotient and a sticky bit, rounded once to 53.
  const std::uint64_t power = kPowersOfTen[scale];
  const int mantissa_shift = std::countl_zero(mantissa);
  const int power_shift = std::countl_zero(power);
  const std::uint64_t dividend_high = (mantissa << mantissa_shift) >> 1;
  const std::uint64_t dividend_low = (mantissa << mantissa_shift) << 63;
  const std::uint64_t divisor = power << power_shift;
  __extension__ using Wide = unsigned __int128;
  const Wide dividend = (static_cast<Wide>(dividend_high) << 64) | dividend_low;
  // dividend_high < 2^63 <= divisor: the quotient fits 64 bits, and has 63 or 64 of them.
  auto quotient = static_cast<std::uint64_t>(dividend / divisor);
  const bool sticky = dividend_low - quotient * divisor != 0;
  // value = quotient * 2^(power_shift - mantissa_shift - 63)
  int exponent = power_shift - mantissa_shift - 63;
  const int drop = 11 - std::countl_zero(quotient);
  // drop is 10 or 11. NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult)
  const std::uint64_t rest = quotient & ((1ULL << drop) - 1);
  const std::uint64_t half = 1ULL << (drop - 1);
  quotient >>= drop;
  exponent += drop;
  if (rest > half || (rest == half && (sticky || (quotient & 1) != 0))) ++quotient;
  // quotient is at most 2^53: exact. The exponent is far from both ends of the range.
  const auto scale_bits = static_cast<std::uint64_t>(1023 + exponent) << 52;
  return static_cast<double>(quotient) * std::bit_cast<double>(scale_bits);
}

}  // namespace stratwire::detail
