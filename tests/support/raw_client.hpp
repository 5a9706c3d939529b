/// A small blocking WebSocket client for tests of servers: right or wrong bytes out, frames in.
///
/// Every read has a deadline that only a failure ever waits for, so that a test never hangs and
/// never sleeps.
#pragma once

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <netinet/in.h>
#include <optional>
#include <poll.h>
#include <span>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <utility>
#include <vector>

#include <stratwire/transport/frame.hpp>
#include <stratwire/transport/handshake.hpp>
#include <stratwire/transport/random.hpp>
#include <stratwire/transport/socket.hpp>

namespace stratwire::test {

/// Long enough that only a failure ever waits for it.
inline constexpr std::chrono::seconds kPatience{30};

/// What a read came to.
enum class Read : std::uint8_t {
  ok,
  ended,      ///< The peer closed or reset the connection.
  timed_out,  ///< Nothing came until the deadline.
};

/// A frame's content, copied.
struct RawFrame {
  transport::Opcode opcode = transport::Opcode::text;
  std::string payload{};
  /// Of a close frame.
  transport::CloseCode code = transport::CloseCode::no_status;
};

/// \thread one thread at a time
class RawClient {
 public:
  using Opcode = transport::Opcode;

  /// Connects to a port of this machine.
  ///
  /// \param receive_buffer_bytes  SO_RCVBUF, so that the server's sends come to a stop soon; 0 = as
  ///                              the system has it
  static RawClient tcp(std::uint16_t port, int receive_buffer_bytes = 0) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    // Before connect(): the window is agreed on there.
    limit_receive_buffer(fd, receive_buffer_bytes);
    return connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }

  /// Connects to a socket file.
  static RawClient unix_socket(std::string_view path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    return connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }

  /// Called again and again while something is waited for, for a server on this very thread.
  std::function<void()> while_waiting{};

  [[nodiscard]] bool is_open() const noexcept { return socket_.is_open(); }
  /// How the last read ended.
  [[nodiscard]] Read last_read() const noexcept { return last_read_; }

  // ---- Bytes

  /// Sends all of it. \return false when the peer took no more
  bool send_bytes(std::string_view bytes) {
    const auto deadline = Clock::now() + kPatience;
    while (!bytes.empty()) {
      const transport::IoResult sent = socket_.write_some(std::span(bytes));
      if (sent.status == transport::IoStatus::ok) {
        bytes.remove_prefix(sent.bytes);
      } else if (sent.status != transport::IoStatus::would_block || !wait_for(POLLOUT, deadline)) {
        return false;
      }
    }
    return true;
  }

  /// Everything that comes until the peer closes.
  std::string read_to_end() {
    const auto deadline = Clock::now() + kPatience;
    while (receive(deadline) == Read::ok) {
    }
    return std::exchange(input_, {});
  }

  /// Says that no more comes from here; reading goes on.
  void shutdown() noexcept { socket_.shutdown(); }
  /// Goes without a close frame.
  void close() noexcept { socket_.close(); }
  /// Goes with a reset, as a process that was killed with bytes unread.
  void reset() noexcept {
    socket_.set_linger_reset();
    socket_.close();
  }

  // ---- WebSocket

  /// Upgrades. \return whether the server agreed; refusal() has its answer otherwise
  bool upgrade(std::vector<std::string_view> subprotocols) {
    const auto url = transport::Url::parse("ws://127.0.0.1/");
    transport::ClientHandshake handshake(*url, subprotocols);
    if (!send_bytes(handshake.request())) return false;
    const auto deadline = Clock::now() + kPatience;
    for (;;) {
      std::span<const char> rest(input_);
      const auto step = handshake.feed(rest);
      input_.erase(0, input_.size() - rest.size());
      if (step == transport::ClientHandshake::Step::upgraded) {
        subprotocol_ = handshake.subprotocol();
        return true;
      }
      if (step == transport::ClientHandshake::Step::failed || receive(deadline) != Read::ok) {
        refusal_ = handshake.error().text;
        return false;
      }
    }
  }
  [[nodiscard]] const std::string& subprotocol() const noexcept { return subprotocol_; }
  [[nodiscard]] const std::string& refusal() const noexcept { return refusal_; }

  bool send_frame(Opcode opcode, std::string_view payload,
                  transport::FrameHead::Fin fin = transport::FrameHead::Fin::last) {
    std::string frame;
    transport::append_frame(frame, {opcode, masks_.next(), fin}, payload);
    return send_bytes(frame);
  }
  bool send_close(transport::CloseCode code, std::string_view reason = {}) {
    std::string frame;
    transport::append_close(frame, code, reason, masks_.next());
    return send_bytes(frame);
  }

  /// The next frame, of any kind; nothing at the end, see last_read(). A server that breaks RFC
  /// 6455 shows as a close frame with the code that we would have to send.
  std::optional<RawFrame> read_frame(std::chrono::nanoseconds patience = kPatience) {
    using Kind = transport::Incoming::Kind;
    const auto deadline = Clock::now() + patience;
    for (;;) {
      std::span<char> input = std::span(input_).subspan(parsed_);
      const transport::Incoming incoming = parser_.next(input);
      parsed_ = input_.size() - input.size();
      std::string payload(incoming.payload);
      switch (incoming.kind) {
        case Kind::message:
          return RawFrame{incoming.opcode, std::move(payload)};
        case Kind::ping:
          return RawFrame{Opcode::ping, std::move(payload)};
        case Kind::pong:
          return RawFrame{Opcode::pong, std::move(payload)};
        case Kind::close:
          return RawFrame{Opcode::close, std::move(payload), incoming.code};
        case Kind::violation:
          return RawFrame{Opcode::close, "(ours) " + payload, incoming.code};
        case Kind::need_more:
          break;
      }
      input_.erase(0, std::exchange(parsed_, 0));
      if (receive(deadline) != Read::ok) return std::nullopt;
    }
  }

 private:
  using Clock = std::chrono::steady_clock;
  /// What a server may send: a message of 1 MiB and its name.
  static constexpr std::size_t kMessageBytesMax = 4 << 20;

  explicit RawClient(transport::Socket socket) : socket_(std::move(socket)) {}

  static void limit_receive_buffer(int fd, int bytes) {
    if (bytes == 0) return;
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }

  static RawClient connect(int fd, const sockaddr* address, socklen_t bytes) {
    if (::connect(fd, address, bytes) != 0) {
      ::close(fd);
      return RawClient(transport::Socket{});
    }
    return RawClient(transport::Socket(fd));
  }

  bool wait_for(short events, Clock::time_point deadline) {
    for (;;) {
      auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
      const bool is_last = !while_waiting || left <= std::chrono::milliseconds{1};
      if (!is_last) {
        while_waiting();
        left = std::chrono::milliseconds{1};
      }
      pollfd waiting{socket_.fd(), events, 0};
      const int ready =
          ::poll(&waiting, 1, static_cast<int>(std::max<long>(0, static_cast<long>(left.count()))));
      if (ready > 0) return true;
      if (ready == 0 ? is_last : errno != EINTR) return false;
    }
  }

  /// Appends what one recv() brings to input_.
  Read receive(Clock::time_point deadline) {
    for (;;) {
      std::array<char, 64 * 1024> block;
      const transport::IoResult got = socket_.read_some(block);
      if (got.status == transport::IoStatus::ok) {
        input_.append(block.data(), got.bytes);
        return last_read_ = Read::ok;
      }
      if (got.status != transport::IoStatus::would_block) return last_read_ = Read::ended;
      if (!wait_for(POLLIN, deadline)) return last_read_ = Read::timed_out;
    }
  }

  transport::Socket socket_;
  transport::FrameParser parser_{transport::Role::client, {.message_bytes_max = kMessageBytesMax}};
  transport::MaskKeys masks_{};
  std::string input_{};
  std::size_t parsed_ = 0;
  std::string subprotocol_{};
  std::string refusal_{};
  Read last_read_ = Read::ok;
};

}  // namespace stratwire::test
