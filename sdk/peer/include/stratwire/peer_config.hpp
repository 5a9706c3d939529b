/// Settings of a Peer.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include <stratwire/limits.hpp>
#include <stratwire/message.hpp>
#include <stratwire/session/backoff.hpp>
#include <stratwire/session/message_log.hpp>
#include <stratwire/waiting.hpp>

namespace stratwire {

/// One of `listen` and `dial` says which side this is; once they are linked both are equals.
struct PeerConfig {
  /// ws://address:port (port 0: any free one, Peer::url() tells) or ws+unix:///path/to.sock.
  std::string listen{};
  /// ws://host:port or ws+unix:///path/to.sock; opened again by itself whenever it is lost.
  std::string dial{};
  /// Who this is, for the other side: 1 to 64 bytes of UTF-8. Required. A second program with the
  /// same name takes the link of the first one over.
  std::string name{};
  /// The name that the other side must have; empty = whoever comes first. A Peer has one other side
  /// for all its life: another name is refused with close code 4003.
  std::string other{};
  /// Both sides have to choose the same.
  Codec codec = Codec::json;
  /// What was sent and not acknowledged yet waits here, linked or not, to be sent (again). When it
  /// has `messages_max` or `bytes_max`, send() is back_pressured. What grows older than `age_max`
  /// without an acknowledgement is given up: the other side is told by a Gap.
  session::LogLimits log{};
  /// Most Requests that wait for a Reply, in each direction; 1 to 65536.
  std::size_t requests_max = 1024;
  /// Largest message, sent or received; a larger one is refused, or ends the connection.
  std::size_t message_bytes_max = limits::kClientMessageBytesMax;
  /// From the start of a try to the other side's PeerHello.
  std::chrono::milliseconds connect_timeout{5'000};
  /// WebSocket ping when the other side was silent for so long; given up after twice as long.
  /// Nothing is answered while nobody calls poll() or receive*() over there.
  std::chrono::milliseconds ping_interval{5'000};
  session::BackoffPolicy reconnect{};  ///< Of the side that dials.
  Waiting waiting = Waiting::park;     ///< How receive*() waits.
};

}  // namespace stratwire
