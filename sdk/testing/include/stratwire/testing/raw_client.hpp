/// A small blocking WebSocket client for tests of servers: right or wrong bytes out, frames in.
///
/// Every read has a deadline that only a failure ever waits for, so that a test never hangs and
/// never sleeps.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/testing/failure.hpp>
#include <stratwire/transport/frame.hpp>
#include <stratwire/transport/random.hpp>
#include <stratwire/transport/socket.hpp>

namespace stratwire::testing {

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

/// One connection to a server, in the hands of a test: bytes, frames, and every way to leave.
///
/// Use it to say to a server what stratwire::Client never would. It reports nothing by itself:
/// what a call came to is its result.
///
/// \thread one thread at a time
class RawClient {
 public:
  using Opcode = transport::Opcode;

  /// Connects to a port of this machine; see is_open().
  ///
  /// \param receive_buffer_bytes  SO_RCVBUF, so that the server's sends come to a stop soon; 0 = as
  ///                              the system has it
  static RawClient tcp(std::uint16_t port, int receive_buffer_bytes = 0);
  /// Connects to a socket file; see is_open().
  static RawClient unix_socket(std::string_view path);

  /// Called again and again while something is waited for, for a server on this very thread.
  std::function<void()> while_waiting{};

  [[nodiscard]] bool is_open() const noexcept { return socket_.is_open(); }
  /// How the last read ended.
  [[nodiscard]] Read last_read() const noexcept { return last_read_; }

  // ---- Bytes

  /// Sends all of it. \return false when the peer took no more
  bool send_bytes(std::string_view bytes);
  /// Everything that comes until the peer closes.
  std::string read_to_end();
  /// Says that no more comes from here; reading goes on.
  void shutdown() noexcept { socket_.shutdown(); }
  /// Goes without a close frame.
  void close() noexcept { socket_.close(); }
  /// Goes with a reset, as a process that was killed with bytes unread.
  void reset() noexcept;

  // ---- WebSocket

  /// Upgrades. \return whether the server agreed; refusal() has its answer otherwise
  bool upgrade(std::vector<std::string_view> subprotocols);
  [[nodiscard]] const std::string& subprotocol() const noexcept { return subprotocol_; }
  [[nodiscard]] const std::string& refusal() const noexcept { return refusal_; }

  bool send_frame(Opcode opcode, std::string_view payload,
                  transport::FrameHead::Fin fin = transport::FrameHead::Fin::last);
  bool send_close(transport::CloseCode code, std::string_view reason = {});
  /// The next frame, of any kind; nothing at the end, see last_read(). A server that breaks RFC
  /// 6455 shows as a close frame with the code that we would have to send.
  std::optional<RawFrame> read_frame(std::chrono::nanoseconds patience = kPatience);

 private:
  using Clock = std::chrono::steady_clock;
  /// What a server may send: a message of 1 MiB and its name.
  static constexpr std::size_t kMessageBytesMax = 4 << 20;

  explicit RawClient(transport::Socket socket);
  bool wait_for(short events, Clock::time_point deadline);
  /// Appends what one recv() brings to input_.
  Read receive(Clock::time_point deadline);

  transport::Socket socket_;
  transport::FrameParser parser_{transport::Role::client, {.message_bytes_max = kMessageBytesMax}};
  transport::MaskKeys masks_{};
  std::string input_{};
  std::size_t parsed_ = 0;
  std::string subprotocol_{};
  std::string refusal_{};
  Read last_read_ = Read::ok;
};

}  // namespace stratwire::testing
