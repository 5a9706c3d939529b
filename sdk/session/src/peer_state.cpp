#include <stratwire/peer_state.hpp>

namespace stratwire {

std::string_view to_string(PeerState state) noexcept {
  switch (state) {
    case PeerState::listening:
      return "listening";
    case PeerState::connecting:
      return "connecting";
    case PeerState::linked:
      return "linked";
    case PeerState::backing_off:
      return "backing_off";
    case PeerState::closing:
      return "closing";
    case PeerState::closed:
      return "closed";
    case PeerState::failed:
      return "failed";
  }
  return "unknown";
}

}  // namespace stratwire
