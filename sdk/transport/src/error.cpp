#include <stratwire/transport/error.hpp>

namespace stratwire::transport {

std::string_view to_string(Errc code) noexcept {
  switch (code) {
    case Errc::ok:
      return "ok";
    case Errc::invalid_url:
      return "invalid_url";
    case Errc::unsupported_scheme:
      return "unsupported_scheme";
    case Errc::resolve_failed:
      return "resolve_failed";
    case Errc::connect_failed:
      return "connect_failed";
    case Errc::address_in_use:
      return "address_in_use";
    case Errc::listen_failed:
      return "listen_failed";
    case Errc::not_websocket:
      return "not_websocket";
    case Errc::subprotocol_refused:
      return "subprotocol_refused";
    case Errc::invalid_handshake:
      return "invalid_handshake";
    case Errc::too_large:
      return "too_large";
    case Errc::connection_lost:
      return "connection_lost";
    case Errc::io_failed:
      return "io_failed";
  }
  return "unknown";
}

}  // namespace stratwire::transport
