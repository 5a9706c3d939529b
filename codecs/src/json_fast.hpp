/// Data messages exactly as this library writes them in JSON.
#pragma once

#include <string_view>

#include <stratwire/message.hpp>

#include "json_anchored.hpp"

namespace stratwire::detail {

/// As decode_json_fast(), but without the quickest way.
[[nodiscard]] bool decode_json_unanchored(std::string_view bytes, Message& out) noexcept;

/// Decodes a PriceUpdate, AccountUpdate or Event in the fixed layout.
///
/// Takes only what the general decoder answers the same to; anything else is left to that one.
///
/// \return  false when it is something else, or something wrong; `out` is then undefined
[[nodiscard]] inline bool decode_json_fast(std::string_view bytes, Message& out) noexcept {
  return decode_json_anchored(bytes, out) || decode_json_unanchored(bytes, out);
}

}  // namespace stratwire::detail
