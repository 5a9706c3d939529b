/// Whether a message that the user sends was taken.
#pragma once

#include <cstdint>

namespace stratwire {

/// Answer of Client::send(), Peer::send() and Peer::reply().
enum class SendStatus : std::uint8_t {
  ok,              ///< Written, or will be as soon as there is a connection.
  back_pressured,  ///< The buffer for what is sent is full; nothing was taken.
  /// Never possible: can't be encoded (not finite, not UTF-8), larger than the buffer, for a
  /// channel whose name is not valid, or a reply to what is no open Request.
  refused,
  closed,  ///< The connection was closed for good, or has failed.
};

}  // namespace stratwire
