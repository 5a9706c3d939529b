/// One upgraded connection whose messages go back to where they came from.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <stratwire/transport/frame.hpp>
#include <stratwire/transport/poller.hpp>
#include <stratwire/transport/random.hpp>
#include <stratwire/transport/socket.hpp>

namespace stratwire::conformance {

/// What the echo programs take, so that a suite's largest messages and smallest fragments pass.
inline constexpr transport::FrameLimits kEchoLimits{.message_bytes_max = 16U << 20,
                                                    .fragments_max = 1U << 20};
/// How long a peer may take for the end of a closing handshake.
inline constexpr std::chrono::seconds kCloseTimeout{5};

/// Answers messages with themselves, pings with pongs, and whatever ends a connection with the
/// close frame that is due.
///
/// Reading goes on while answers wait, up to kUnsentBytesMax: a peer may send all it has before it
/// reads. After a close frame everything that still comes is read and dropped, so that no reset
/// overtakes the frame.
///
/// \thread one thread at a time
class EchoLine {
 public:
  enum class Task : std::uint8_t {
    echo,
    collect,  ///< Sends no message back; last_message() has the newest.
  };
  using Clock = std::chrono::steady_clock;

  static constexpr std::size_t kUnsentBytesMax = 64U << 20;

  /// \param to_send  goes out first (the upgrade's response)
  /// \param unread   came behind the peer's half of the upgrade
  EchoLine(transport::Socket socket, transport::Role role, std::string_view to_send,
           std::span<const char> unread, Task task = Task::echo);
  /// Sends `to_send` and says goodbye: a response that is no upgrade.
  static EchoLine farewell(transport::Socket socket, std::string_view to_send);

  /// Reads and writes what is possible without waiting.
  void work();

  [[nodiscard]] bool is_open() const noexcept { return socket_.is_open(); }
  [[nodiscard]] int fd() const noexcept { return socket_.fd(); }
  [[nodiscard]] transport::Interest interest() const noexcept;
  [[nodiscard]] bool overdue() const noexcept { return ending_ && Clock::now() > deadline_; }
  [[nodiscard]] const std::string& last_message() const noexcept { return last_message_; }

 private:
  void read();
  void parse();
  void on_message(const transport::Incoming& message);
  void write();
  void put(transport::Opcode opcode, std::string_view payload);
  void end(transport::CloseCode code, std::string_view reason);
  void begin_ending();
  [[nodiscard]] std::size_t unsent() const noexcept { return out_.size() - sent_; }

  transport::Socket socket_;
  transport::FrameParser parser_;
  transport::MaskKeys keys_{};
  std::string in_{};
  std::string out_;
  std::size_t sent_ = 0;
  std::string last_message_{};
  Clock::time_point deadline_{};
  transport::Role role_;
  Task task_;
  bool ending_ = false;
  bool said_end_ = false;
};

}  // namespace stratwire::conformance
