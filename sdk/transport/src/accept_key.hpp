/// Sec-WebSocket-Key and Sec-WebSocket-Accept (RFC 6455 4.2.2).
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace stratwire::transport {

/// RFC 4648 4, with padding.
[[nodiscard]] std::string base64(std::span<const char> bytes);
/// Base64 of 16 bytes. Bits that are not used may be anything, as in RFC 6455's own example.
[[nodiscard]] bool is_websocket_key(std::string_view key) noexcept;
/// What the server answers to a key.
[[nodiscard]] std::string accept_for(std::string_view key);

}  // namespace stratwire::transport
