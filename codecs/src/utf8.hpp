/// UTF-8 as RFC 3629 has it: no surrogates, no overlong forms, nothing beyond U+10FFFF.
#pragma once

#include <cstddef>
#include <string_view>

namespace stratwire::detail {

/// Length of the well-formed sequence at the start of `text`; 0 when there is none.
///
/// Precondition: `text` is not empty.
[[nodiscard]] std::size_t utf8_sequence_bytes(std::string_view text) noexcept;

/// Offset of the first byte that does not begin a well-formed sequence, or text.size().
[[nodiscard]] std::size_t utf8_valid_prefix(std::string_view text) noexcept;

}  // namespace stratwire::detail
