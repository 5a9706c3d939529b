/// Who runs the loop of a client or a server, as their settings say it.
#pragma once

#include <cstdint>

namespace stratwire {

/// Who reads and writes the sockets.
enum class Threading : std::uint8_t {
  /// An I/O thread of the client's or server's own; messages pass between it and yours through a
  /// queue.
  own_thread,
  /// The thread that calls poll() (or receive()): the fewest hops there are. Nothing happens, no
  /// heartbeat and no reconnect either, while nobody calls.
  caller,
};

}  // namespace stratwire
