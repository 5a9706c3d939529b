/// Whether a text is one JSON value (RFC 8259), and where not.
///
/// simdjson says that a text is wrong, not where; this walks it byte by byte to find out. It also
/// vouches for values that are carried as they came.
#pragma once

#include <cstddef>
#include <string_view>

#include "fault.hpp"

namespace stratwire::detail {

/// Walks the value that starts at `from`, without whitespace before it.
///
/// \param depth_max  containers inside one another that are allowed
/// \param end        set to the offset behind the value when there is no fault
/// \errors           truncated, syntax, invalid_utf8, too_deep
[[nodiscard]] Fault check_json_value(std::string_view text, std::size_t from, std::size_t depth_max,
                                     std::size_t& end) noexcept;

/// As check_json_value(), for a text that is one value with whitespace around it.
[[nodiscard]] Fault check_json(std::string_view text, std::size_t depth_max) noexcept;

[[nodiscard]] inline bool is_json_space(char c) noexcept {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

}  // namespace stratwire::detail
