#include "number_format.hpp"

#include <charconv>
#include <cmath>

namespace stratwire::detail {
namespace {

[[gnu::noinline]] char* format_any(char* out, double value) noexcept {
  return std::to_chars(out, out + kDoubleTextBytesMax, value).ptr;
}

}  // namespace

char* format_double(char* out, double value) noexcept {
  // Prices have few digits. If value is the double nearest to an integer below 10^15 divided by
  // 10^8, then that quotient is its shortest text: texts of up to 15 digits are never nearest to
  // the same double as another one. The range is the one in which plain notation is shortest.
  const double magnitude = std::fabs(value);
  if (!(magnitude < 1e7 && magnitude >= 1e-3)) return format_any(out, value);
  constexpr std::uint64_t kScale = 100'000'000;
  // A wrong guess is noticed below. NOLINTNEXTLINE(bugprone-incorrect-roundings)
  const auto scaled = static_cast<std::uint64_t>(magnitude * 1e8 + 0.5);
  // Exact on both sides of one division, so that this is the very double that a reader gets.
  if (static_cast<double>(scaled) / 1e8 != magnitude) return format_any(out, value);
  const std::uint64_t whole = scaled / kScale;
  const std::uint64_t fraction = scaled % kScale;
  // 1e+05 is shorter than 100000.
  if (fraction == 0 && whole % 100'000 == 0) return format_any(out, value);
  *out = '-';
  out = format_short(out + (value < 0 ? 1 : 0), whole);
  if (fraction == 0) return out;
  *out++ = '.';
  const std::uint64_t digits = eight_digits(fraction);
  const auto zeros = static_cast<unsigned>(std::countl_zero(digits)) / 8;
  return store8(out, digits | kAsciiZeros, 8 - zeros);
}

}  // namespace stratwire::detail
