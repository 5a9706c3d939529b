/// What is asked and answered, exactly as this library writes it: Ping, Pong, Publish, Published,
/// Request and Reply.
///
/// Those whose round trip somebody waits for; the general decoder takes ten times as long.
#pragma once

#include <string_view>

#include <stratwire/message.hpp>

namespace stratwire::detail {

/// Decodes one of them: a Publish, Request or Reply with a PriceUpdate or AccountUpdate of the
/// fixed layout in it, a Published or Reply that says ok.
///
/// Takes only what the general decoder answers the same to; anything else is left to that one.
///
/// \return  false when it is something else, or something wrong; `out` is then undefined
[[nodiscard]] bool decode_json_exchange(std::string_view bytes, Message& out) noexcept;
[[nodiscard]] bool decode_msgpack_exchange(std::string_view bytes, Message& out) noexcept;

}  // namespace stratwire::detail
