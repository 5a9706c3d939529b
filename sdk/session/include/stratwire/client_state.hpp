/// Where a client's connection stands, and the rare things that it tells beside messages.
#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>
#include <variant>

#include <stratwire/error.hpp>
#include <stratwire/message.hpp>

namespace stratwire {

/// Where a connection stands.
enum class ClientState : std::uint8_t {
  connecting,      ///< A try is under way.
  authenticating,  ///< Upgraded; the server wants to know who this is.
  subscribing,     ///< The server has not yet answered every subscribe().
  recovering,      ///< What was missed is being replayed.
  live,            ///< Every subscription was answered and is caught up; messages flow.
  /// Connected, but a heartbeat is overdue: what is known may be old, and what was asked for is not
  /// answered. Ends, when the server is heard, where it began, or when the connection is given up.
  stale,
  backing_off,  ///< Lost; the next try comes after `retry_in`.
  closing,      ///< close() was called; the close handshake is under way.
  closed,       ///< Ended by close(). The end.
  failed,       ///< Gave up: ReconnectPolicy::attempts_max, or a refusal that no retry cures.
};
[[nodiscard]] std::string_view to_string(ClientState state) noexcept;

/// A change of state, handed over in order with the messages.
struct StateEvent {
  ClientState state = ClientState::connecting;
  /// Counts tries to connect from 1; messages after this event belong to this generation.
  std::uint64_t generation = 0;
  /// Why; code ok where the change is not an error.
  Error cause{};
  /// Until the next try; only for backing_off.
  std::chrono::milliseconds retry_in{0};
  /// Failed tries in a row so far.
  std::uint32_t attempt = 0;
  /// Of the close frame with which the server ended the connection; 0 = there was none.
  std::uint16_t close_code = 0;
};

/// What is rare and may own memory.
using Notice = std::variant<StateEvent, Subscribed, Unsubscribed, Published, ErrorReply, GoAway>;

}  // namespace stratwire
