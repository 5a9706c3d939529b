/// Foreign text in messages of ours.
#pragma once

#include <string>
#include <string_view>

namespace stratwire::transport {

/// In quotes, with control characters and other bytes that are not ASCII as \xNN, cut to a length
/// that fits a line.
[[nodiscard]] std::string quoted(std::string_view text);

/// As quoted(), without the quotes.
[[nodiscard]] std::string printable(std::string_view text);

/// ASCII only; what HTTP and URLs compare without case.
[[nodiscard]] bool equal_any_case(std::string_view left, std::string_view right) noexcept;

}  // namespace stratwire::transport
