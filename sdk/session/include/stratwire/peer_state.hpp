/// Where a link between two peers stands, and who is at the other end.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include <stratwire/error.hpp>

namespace stratwire {

/// Where a link stands.
enum class PeerState : std::uint8_t {
  listening,    ///< Waits for the other side to connect.
  connecting,   ///< A try is under way.
  linked,       ///< Both have said who they are; messages flow.
  backing_off,  ///< Lost; the next try comes after `retry_in`.
  closing,      ///< close() was called; the close handshake is under way.
  closed,       ///< Ended by close(). The end.
  failed,       ///< Gave up, or the other side refused for good. The end.
};
[[nodiscard]] std::string_view to_string(PeerState state) noexcept;

/// The other side of a link, as of one event.
struct PeerIdentity {
  /// Empty before the first link. Lives as long as the Peer.
  std::string_view name{};
  /// Of its numbering: another one when its program started anew. 0 before the first link.
  std::uint64_t epoch = 0;
  /// Counts the connections that were linked, from 1; never falls from one event to the next.
  std::uint64_t generation = 0;

  friend bool operator==(const PeerIdentity&, const PeerIdentity&) = default;
};

/// A change of state, handed over in order with the messages.
struct PeerStateEvent {
  PeerState state = PeerState::connecting;
  /// Why; code ok where the change is not an error.
  Error cause{};
  /// Until the next try; only for backing_off.
  std::chrono::milliseconds retry_in{0};
  /// Failed tries in a row so far.
  std::uint32_t attempt = 0;
};

/// Names one Request of the other side: it may start anew and choose the same ids again.
struct PeerRequestId {
  std::uint64_t epoch = 0;  ///< Of the asker.
  std::uint64_t id = 0;

  friend bool operator==(const PeerRequestId&, const PeerRequestId&) = default;
};

}  // namespace stratwire
