/// Socket addresses as text.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <sys/socket.h>

namespace stratwire::transport {

/// "127.0.0.1:80", "[::1]:80", or "unix".
[[nodiscard]] std::string address_text(const sockaddr_storage& address);

/// 0 where there is none.
[[nodiscard]] std::uint16_t address_port(const sockaddr_storage& address) noexcept;

/// "host:port", with brackets around an IPv6 address.
[[nodiscard]] std::string host_port(std::string_view host, std::uint16_t port);

}  // namespace stratwire::transport
