#include "address.hpp"

#include <arpa/inet.h>
#include <cstring>
#include <netinet/in.h>

namespace stratwire::transport {

std::string host_port(std::string_view host, std::uint16_t port) {
  std::string text;
  const bool is_v6 = host.find(':') != std::string_view::npos;
  if (is_v6) text += '[';
  text += host;
  if (is_v6) text += ']';
  return text + ':' + std::to_string(port);
}

std::uint16_t address_port(const sockaddr_storage& address) noexcept {
  // The port lies at the same place in both kinds (RFC 3493 3.10).
  if (address.ss_family != AF_INET && address.ss_family != AF_INET6) return 0;
  sockaddr_in v4;
  std::memcpy(&v4, &address, sizeof(v4));
  return ntohs(v4.sin_port);
}

std::string address_text(const sockaddr_storage& address) {
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof(v4));
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text));
    return host_port(text, ntohs(v4.sin_port));
  }
  if (address.ss_family == AF_INET6) {
    sockaddr_in6 v6;
    std::memcpy(&v6, &address, sizeof(v6));
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text));
    return host_port(text, ntohs(v6.sin6_port));
  }
  return address.ss_family == AF_UNIX ? "unix" : "unknown";
}

}  // namespace stratwire::transport
