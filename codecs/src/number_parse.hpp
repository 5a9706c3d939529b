/// JSON numbers to machine numbers, exactly rounded.
#pragma once

#include <cstdint>
#include <string_view>

#include "fault.hpp"
#include "tree.hpp"

namespace stratwire::detail {

struct NumberToken {
  const char* end = nullptr;  ///< Behind the number, or the byte that is wrong.
  bool valid = false;
  bool integer = true;  ///< Neither fraction nor exponent.
};

/// Finds the end of the number that starts at `from` (RFC 8259 section 6).
[[nodiscard]] NumberToken scan_number(const char* from, const char* end) noexcept;

/// The value of a valid number: kind and payload of a Node; its position stays as it is.
void parse_number(std::string_view text, bool integer, Node& out) noexcept;

/// The nearest double of a valid number, also for "-0"; infinity where there is none.
[[nodiscard]] double parse_double(std::string_view text) noexcept;

/// mantissa / 10^scale, exactly rounded.
///
/// Precondition: scale <= kScaleMax
[[nodiscard]] double divide_by_power_of_ten(std::uint64_t mantissa, unsigned scale) noexcept;
inline constexpr unsigned kScaleMax = 19;

}  // namespace stratwire::detail
