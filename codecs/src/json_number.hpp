/// JSON numbers of the fixed layout, wherever they end.
#pragma once

#include <cstdint>

#include "number_parse.hpp"

namespace stratwire::detail {

/// Powers of ten that are doubles exactly, up to the scale that divide_by_power_of_ten() takes.
inline constexpr double kDivisors[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,
                                       1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19};
static_assert(sizeof kDivisors / sizeof kDivisors[0] == kScaleMax + 1);

/// Each reads the number at `from` and returns what is behind it; nullptr for what is none, does
/// not fit, or is left to the general decoder (-0 as an integer).
///
/// Precondition: at least eight bytes before `end` can be read
[[nodiscard]] const char* read_any_number(const char* from, const char* end,
                                          std::uint64_t& out) noexcept;
[[nodiscard]] const char* read_any_number(const char* from, const char* end,
                                          std::int64_t& out) noexcept;
[[nodiscard]] const char* read_any_number(const char* from, const char* end, double& out) noexcept;

}  // namespace stratwire::detail
