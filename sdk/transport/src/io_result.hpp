/// What the system says of a write, as an IoResult.
#pragma once

#include <cerrno>
#include <cstddef>

#include <stratwire/transport/socket.hpp>

namespace stratwire::transport {

inline bool is_would_block(int error) noexcept {
  return error == EAGAIN || error == EWOULDBLOCK;
}

inline IoResult moved(std::size_t bytes) noexcept {
  return {bytes, 0, IoStatus::ok};
}

inline IoResult write_error(int error) noexcept {
  if (is_would_block(error)) return {0, 0, IoStatus::would_block};
  if (error == EPIPE || error == ECONNRESET) return {0, error, IoStatus::closed};
  return {0, error, IoStatus::failed};
}

}  // namespace stratwire::transport
