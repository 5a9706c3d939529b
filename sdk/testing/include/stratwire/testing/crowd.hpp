/// Many light WebSocket clients on one thread: a socket, a parser and a cursor each.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/codec.hpp>
#include <stratwire/message.hpp>
#include <stratwire/transport/frame.hpp>
#include <stratwire/transport/poller.hpp>
#include <stratwire/transport/random.hpp>

namespace stratwire::testing {

/// As many descriptors as this process may have. \return how many that are
std::size_t raise_descriptor_limit();

/// Subscribers of one channel of a server on this machine, that read or do not: load for a server,
/// and a judge for each of them. For one subscriber with all that a strategy has, use Client.
///
/// \thread one thread at a time
class Crowd {
 public:
  struct Config {
    std::uint16_t port = 0;
    std::size_t members = 0;
    std::string channel{};
    Codec codec = Codec::msgpack;
    /// SO_RCVBUF; 0 = as the system has it.
    int receive_buffer_bytes = 0;
  };
  struct Member {
    std::uint64_t received = 0;  ///< Data messages.
    std::uint64_t missed = 0;    ///< Messages that Gaps have named.
    std::uint64_t gaps = 0;
    /// Skipped, repeated or out of order, and no Gap said so.
    std::uint64_t broken_promises = 0;
    std::uint64_t cursor = 0;  ///< Number of the last message that came or was named by a Gap.
    bool is_subscribed = false;
    bool has_ended = false;
    /// Of the server's close frame; 0 without one.
    std::uint16_t close_code = 0;
  };
  using OnData = std::function<void(std::size_t member, const Message& message)>;

  /// Connects all of them; they subscribe as poll() reads what the server says.
  explicit Crowd(const Config& config);
  ~Crowd();
  Crowd(Crowd&&) noexcept;
  Crowd& operator=(Crowd&&) noexcept;

  /// Reads what there is of those who read, or waits for something.
  ///
  /// \param on_data   called for each data message, on this thread; may be empty
  /// \lifetime        a message is valid until on_data returns
  void poll(std::chrono::nanoseconds timeout, const OnData& on_data = {});

  /// Reads no more; what comes stays in the kernel, then with the server.
  void stall(std::size_t member);
  void go_on(std::size_t member);

  [[nodiscard]] std::size_t size() const noexcept { return lines_.size(); }
  [[nodiscard]] const Member& member(std::size_t index) const;
  [[nodiscard]] std::size_t subscribed() const;

 private:
  struct Line;

  void join(std::size_t index);
  static void send(Line& line, std::string_view bytes);
  void send_frame(Line& line, transport::Opcode opcode, std::string_view payload);
  void read(std::size_t index, const OnData& on_data);
  bool upgrade(Line& line);
  bool take_frame(std::size_t index, std::span<char>& rest, const OnData& on_data);
  void judge(Member& member) const;

  Config config_;
  transport::Poller poller_;
  Decoder decoder_;
  transport::MaskKeys masks_{};
  Message message_{};
  std::vector<char> block_;
  std::vector<std::unique_ptr<Line>> lines_{};
};

}  // namespace stratwire::testing
