/// The general MessagePack decoder: msgpack-c's parser with a visitor that builds a tree.
#pragma once

#include <cstddef>
#include <string_view>

#include "tree.hpp"

namespace stratwire::detail {

/// Builds the tree of one MessagePack value.
///
/// Memory grows with the bytes that are there, never with a count that a header claims.
///
/// \errors    truncated, syntax, invalid_utf8, too_deep, trailing_bytes, too_large
/// \lifetime  texts point into `bytes`
/// \thread    any thread
[[nodiscard]] Fault parse_msgpack(std::string_view bytes, std::size_t depth_max,
                                  Tree& out) noexcept;

/// As parse_msgpack(), for a value that is only carried.
[[nodiscard]] Fault check_msgpack(std::string_view bytes, std::size_t depth_max) noexcept;

}  // namespace stratwire::detail
