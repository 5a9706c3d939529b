#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stratwire/transport/socket.hpp>

#include "address.hpp"
#include "io_result.hpp"

namespace stratwire::transport {
Socket::Socket(int fd, std::unique_ptr<StreamLayer> layer) noexcept
    : fd_(fd), layer_(std::move(layer)) {
  if (fd_ < 0) return;
  const int flags = ::fcntl(fd_, F_GETFL, 0);
  if (flags >= 0 && (flags & O_NONBLOCK) == 0) ::fcntl(fd_, F_SETFL, flags | O_NONBLOCK);
  // Not for programs that the user's process starts.
  ::fcntl(fd_, F_SETFD, FD_CLOEXEC);
  // Fails on a socket file, which has no such delay.
  const int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

IoResult Socket::read_some(std::span<char> into) noexcept {
  if (layer_) [[unlikely]]
    return layer_->read_some(fd_, into);
  if (into.empty()) return {};
  while (true) {
    const ssize_t got = ::recv(fd_, into.data(), into.size(), 0);
    if (got > 0) return moved(static_cast<std::size_t>(got));
    if (got == 0) return {0, 0, IoStatus::closed};
    if (is_would_block(errno)) return {0, 0, IoStatus::would_block};
    if (errno != EINTR) return {0, errno, IoStatus::failed};
  }
}

IoResult Socket::write_some(std::span<const char> from) noexcept {
  if (layer_) [[unlikely]]
    return layer_->write_some(fd_, from);
  if (from.empty()) return {};
  while (true) {
    const ssize_t sent = ::send(fd_, from.data(), from.size(), MSG_NOSIGNAL);
    if (sent >= 0) return moved(static_cast<std::size_t>(sent));
    if (errno != EINTR) return write_error(errno);
  }
}

IoResult Socket::write_some(std::span<const iovec> from) noexcept {
  from = from.first(std::min(from.size(), kGatherMax));
  if (layer_) [[unlikely]] {
    // A layer takes one piece at a time; how many of them is the caller's loop.
    const auto piece =
        std::find_if(from.begin(), from.end(), [](const iovec& one) { return one.iov_len != 0; });
    if (piece == from.end()) return {};
    return layer_->write_some(fd_, {static_cast<const char*>(piece->iov_base), piece->iov_len});
  }
  if (from.empty()) return {};
  msghdr message{};
  // sendmsg() only reads the pieces; its type is older than const.
  message.msg_iov =
      const_cast<iovec*>(from.data());  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  message.msg_iovlen = from.size();
  while (true) {
    const ssize_t sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (sent >= 0) return moved(static_cast<std::size_t>(sent));
    if (errno != EINTR) return write_error(errno);
  }
}

void Socket::shutdown() noexcept {
  if (fd_ < 0) return;
  if (layer_) [[unlikely]]
    layer_->shutdown(fd_);
  ::shutdown(fd_, SHUT_WR);
}

void Socket::close() noexcept {
  layer_.reset();
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void Socket::set_linger_reset() noexcept {
  const linger at_once{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

std::string Socket::peer_address() const {
  sockaddr_storage address{};
  socklen_t bytes = sizeof(address);
  if (::getpeername(fd_, reinterpret_cast<sockaddr*>(&address), &bytes) != 0) return "unknown";
  return address_text(address);
}

}  // namespace stratwire::transport
