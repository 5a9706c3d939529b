/// A connected, non-blocking stream socket.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <sys/uio.h>
#include <utility>

namespace stratwire::transport {

/// What a read or a write came to.
enum class IoStatus : std::uint8_t {
  ok,           ///< `bytes` were moved, at least 1 (0 only for an empty buffer).
  would_block,  ///< Nothing could be moved; wait in a Poller.
  closed,       ///< The peer sent its end (read), or takes no more (write: EPIPE, ECONNRESET).
  failed,       ///< `error` says why (ECONNRESET on read, ETIMEDOUT ...).
};

struct [[nodiscard]] IoResult {
  std::size_t bytes = 0;
  int error = 0;
  IoStatus status = IoStatus::ok;
};
static_assert(sizeof(IoResult) == 16, "travels in two registers");

/// What lies between a socket and its bytes: TLS. Plain sockets have none.
///
/// \thread one thread at a time
class StreamLayer {
 public:
  StreamLayer() = default;
  StreamLayer(const StreamLayer&) = delete;
  StreamLayer& operator=(const StreamLayer&) = delete;
  virtual ~StreamLayer() = default;

  /// As Socket's. A layer may hold decoded bytes that a Poller does not see, so that a reader goes
  /// on until would_block.
  [[nodiscard]] virtual IoResult read_some(int fd, std::span<char> into) noexcept = 0;
  /// On would_block nothing of `from` was taken: the next call may bring other bytes.
  [[nodiscard]] virtual IoResult write_some(int fd, std::span<const char> from) noexcept = 0;
  /// Says goodbye in the layer's own way, as far as it can without waiting.
  virtual void shutdown(int fd) noexcept = 0;
};

/// Owns one connected, non-blocking descriptor. TCP is set to send at once (TCP_NODELAY).
///
/// No call blocks, allocates or raises SIGPIPE; EINTR is repeated inside.
///
/// \thread one thread at a time
class Socket {
 public:
  Socket() noexcept = default;
  /// Takes over a connected descriptor; makes it non-blocking and close-on-exec.
  explicit Socket(int fd, std::unique_ptr<StreamLayer> layer = nullptr) noexcept;
  ~Socket() { close(); }
  Socket(Socket&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), layer_(std::move(other.layer_)) {}
  Socket& operator=(Socket&& other) noexcept {
    if (this != &other) {
      close();
      fd_ = std::exchange(other.fd_, -1);
      layer_ = std::move(other.layer_);
    }
    return *this;
  }

  [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }
  /// The descriptor, for a Poller; -1 when closed.
  [[nodiscard]] int fd() const noexcept { return fd_; }

  /// Whether nothing lies between it and its bytes.
  [[nodiscard]] bool is_plain() const noexcept { return layer_ == nullptr; }

  /// One recv() of at most `into.size()` bytes.
  [[nodiscard]] IoResult read_some(std::span<char> into) noexcept;
  /// One send() of at most `from.size()` bytes.
  [[nodiscard]] IoResult write_some(std::span<const char> from) noexcept;
  /// One sendmsg() of several pieces, in order; at most kGatherMax of them are looked at.
  [[nodiscard]] IoResult write_some(std::span<const iovec> from) noexcept;

  /// Tells the peer that no more comes; reading goes on.
  void shutdown() noexcept;
  /// Closes; a second call does nothing.
  void close() noexcept;
  /// Lets close() reset the connection (RST) instead of ending it; for tests and for peers that
  /// broke the rules.
  void set_linger_reset() noexcept;

  /// "127.0.0.1:51234", "[::1]:51234" or "unix"; for logs. Allocates.
  [[nodiscard]] std::string peer_address() const;

  static constexpr std::size_t kGatherMax = 64;

 private:
  int fd_ = -1;
  std::unique_ptr<StreamLayer> layer_{};
};
static_assert(sizeof(Socket) == 16, "10 000 idle connections have one each");

}  // namespace stratwire::transport
