/// Data messages exactly as this library writes them in MessagePack.
#pragma once

#include <string_view>

#include <stratwire/message.hpp>

namespace stratwire::detail {

/// Decodes a PriceUpdate or AccountUpdate in the fixed layout.
///
/// Takes only what the general decoder answers the same to; anything else is left to that one.
///
/// \return  false when it is something else, or something wrong; `out` is then undefined
[[nodiscard]] bool decode_msgpack_fast(std::string_view bytes, Message& out) noexcept;

}  // namespace stratwire::detail
