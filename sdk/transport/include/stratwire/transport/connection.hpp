/// One upgraded connection, of either end: bytes in, frames out, nothing decided.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <stratwire/transport/frame.hpp>
#include <stratwire/transport/random.hpp>
#include <stratwire/transport/socket.hpp>

namespace stratwire::transport {

/// Ends a connection: sends what is left of its farewell, then reads until the peer has gone, so
/// that the kernel does not answer what still comes with a reset that would overtake our close
/// frame.
///
/// \thread one thread at a time
class Parting {
 public:
  using Instant = std::chrono::steady_clock::time_point;

  /// \param rest  Connection::take_farewell()
  void begin(Socket socket, std::string rest, Instant until);
  /// Gets on with it; at `until` it is over, whatever the peer does.
  void step(Instant now);
  [[nodiscard]] bool is_open() const noexcept { return socket_.is_open(); }
  /// The kernel has taken the farewell, or takes no more.
  [[nodiscard]] bool all_said() const noexcept { return rest_.empty(); }

 private:
  void say();

  Socket socket_{};
  std::string rest_{};  // That the kernel has not taken yet.
  Instant until_{};
};

/// A socket with its parser and its two buffers. The buffers stay when the connection goes.
///
/// \thread one thread at a time
class Connection {
 public:
  enum class Read : std::uint8_t { some, nothing, ended };

  /// One recv() asks for this much at least: 800 messages of 159 bytes in one system call.
  static constexpr std::size_t kReadBytesMin = 128 * 1024;

  /// \param role  our end: frames of clients are masked
  Connection(Role role, FrameLimits limits);

  /// \param behind_head  frames that came together with the head of the upgrade
  void open(Socket socket, std::span<const char> behind_head);
  [[nodiscard]] bool is_open() const noexcept { return socket_.is_open(); }
  [[nodiscard]] int fd() const noexcept { return socket_.fd(); }
  /// The socket, for whoever says goodbye to the peer; the connection is closed.
  [[nodiscard]] Socket release() noexcept;

  // ---- Reading

  /// One recv(). What next() handed out before is gone.
  [[nodiscard]] Read read();
  /// The next event in what was read.
  [[nodiscard]] Incoming next() noexcept { return parser_.next(unread_); }
  /// errno of the read or write that failed; 0 for an orderly end.
  [[nodiscard]] int error() const noexcept { return error_; }
  [[nodiscard]] std::uint64_t bytes_read() const noexcept { return bytes_read_; }

  // ---- Writing

  /// Appends one frame to what write() sends; nothing follows a close frame.
  void put(Opcode opcode, std::string_view payload);
  void put_close(CloseCode code, std::string_view reason);
  /// Takes back every frame of which no byte has left.
  ///
  /// \return  what has to be sent before the connection may end: the rest of a frame that has
  ///          begun to leave, then a close frame if that was none
  [[nodiscard]] std::string take_farewell(CloseCode code, std::string_view reason);
  /// One send() of everything that was put, as far as the kernel takes it.
  void write();
  /// Bytes put on this connection so far.
  [[nodiscard]] std::uint64_t bytes_put() const noexcept { return bytes_put_; }
  /// Of these, taken by the kernel.
  [[nodiscard]] std::uint64_t bytes_left() const noexcept { return bytes_put_ - waiting(); }
  [[nodiscard]] std::size_t waiting() const noexcept { return out_.size() - out_begin_; }

 private:
  void make_room();
  void step_over_sent_frames() noexcept;

  [[nodiscard]] std::optional<MaskKey> mask_key() {
    return role_ == Role::client ? std::optional{keys_.next()} : std::nullopt;
  }

  Role role_;
  FrameLimits limits_;
  Socket socket_{};
  FrameParser parser_;
  MaskKeys keys_{};
  // in_[0 .. capacity): read bytes that the parser has not taken lie in unread_.
  std::size_t in_bytes_;
  std::unique_ptr<char[]> in_;
  std::span<char> unread_{};
  std::string out_{};
  std::size_t out_begin_ = 0;
  std::size_t out_frame_ = 0;  // Where a frame begins, at or before out_begin_.
  std::uint64_t bytes_put_ = 0;
  std::uint64_t bytes_read_ = 0;
  int error_ = 0;
  bool write_broken_ = false;
  bool close_put_ = false;
};

}  // namespace stratwire::transport
