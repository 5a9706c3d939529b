/// One connection through the proxy: two sockets, two directions, and what is done to them.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/testing/fault.hpp>
#include <stratwire/transport/poller.hpp>
#include <stratwire/transport/socket.hpp>

namespace stratwire::testing {

using Instant = std::chrono::steady_clock::time_point;

/// The two ends of a link.
enum class Side : std::uint8_t { client, server };

/// Forwards bytes between a client and a server until a fault says otherwise.
///
/// Owns no thread and no poller: its owner calls step() when a socket is ready or due() has come,
/// and watches the sockets for interest().
///
/// \thread one thread at a time
class Link {
 public:
  /// \param faults  of this connection; those of a direction in the order of their offsets
  Link(transport::Socket client, transport::Socket server, const std::vector<Fault>& faults);
  ~Link() = default;
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;

  /// Called for each fault as it happens.
  std::function<void(const Fault&)> on_fault = [](const Fault&) {};

  /// Gets on as far as that is possible now, but not for ever: see due().
  void step(Instant now);
  /// Does this now, whatever its offset is.
  void apply(const Fault& fault, Instant now);

  /// Both sockets are done with; nothing comes any more.
  [[nodiscard]] bool over() const noexcept { return over_; }
  [[nodiscard]] transport::Interest interest(Side side, Instant now) const noexcept;
  /// When to call step() although no socket is ready; nothing if never.
  [[nodiscard]] std::optional<Instant> due(Instant now) const noexcept;
  [[nodiscard]] int fd(Side side) const noexcept {
    return sockets_[static_cast<std::size_t>(side)].fd();
  }
  [[nodiscard]] std::uint64_t forwarded(Direction direction) const noexcept {
    return lanes_[static_cast<std::size_t>(direction)].forwarded;
  }

  /// Most bytes of one direction that wait in here.
  static constexpr std::size_t kBufferBytes = 64 * 1024;

 private:
  /// Bytes up to `end` (counted as `forwarded` is) may go from `due` on.
  struct Mark {
    Instant due{};
    std::uint64_t end = 0;
  };
  struct Lane {
    transport::Socket* source = nullptr;
    transport::Socket* sink = nullptr;
    std::vector<Fault> faults{};
    std::size_t next_fault = 0;
    std::string buffer{};
    std::size_t begun = 0;  ///< Bytes of the buffer that were forwarded.
    std::uint64_t forwarded = 0;
    std::uint64_t bytes_per_second = 0;
    Instant next_write{};
    std::uint64_t split_until = 0;
    Instant stalled_until{};
    std::chrono::milliseconds delay{0};
    std::deque<Mark> marks{};
    bool source_ended = false;
    bool sink_ended = false;
    bool swallows = false;  ///< Reads on, forwards nothing.
    bool blocked = false;   ///< The sink took nothing.
    bool unfinished = false;

    [[nodiscard]] std::size_t waiting() const noexcept { return buffer.size() - begun; }
    [[nodiscard]] bool done() const noexcept { return swallows ? source_ended : sink_ended; }
    /// Nothing waits, or it waits for its time and more has to be given a time too.
    [[nodiscard]] bool wants_input(Instant now) const noexcept {
      if (source_ended) return false;
      if (swallows) return true;
      if (now < stalled_until) return false;
      return waiting() == 0 || (delay.count() > 0 && waiting() < kBufferBytes);
    }
  };

  Lane& lane(Direction direction) noexcept { return lanes_[static_cast<std::size_t>(direction)]; }
  void move(Lane& lane, Instant now);
  void fire_due(Lane& lane, Instant now);
  void fill(Lane& lane, Instant now);
  static std::size_t allowed(const Lane& lane, Instant now) noexcept;
  bool forward(Lane& lane, std::size_t bytes, Instant now);
  static void swallow(Lane& lane);
  static void start_swallowing(Lane& lane) noexcept;
  void hang_up(Lane& lane) noexcept;
  void reset() noexcept;

  std::array<transport::Socket, 2> sockets_;
  std::array<Lane, kDirections> lanes_{};
  bool over_ = false;
};

}  // namespace stratwire::testing
