#include <stratwire/client_state.hpp>

namespace stratwire {

std::string_view to_string(ClientState state) noexcept {
  switch (state) {
    case ClientState::connecting:
      return "connecting";
    case ClientState::authenticating:
      return "authenticating";
    case ClientState::subscribing:
      return "subscribing";
    case ClientState::recovering:
      return "recovering";
    case ClientState::live:
      return "live";
    case ClientState::stale:
      return "stale";
    case ClientState::backing_off:
      return "backing_off";
    case ClientState::closing:
      return "closing";
    case ClientState::closed:
      return "closed";
    case ClientState::failed:
      return "failed";
  }
  return "unknown";
}

}  // namespace stratwire
