/// A connection in memory, between one client and one server, with everything that can go wrong
/// with it.
///
/// How it works:
///  1. Each direction is a Way: one run of bytes in which three positions move on: written (the
///     sender's kernel took it), arrived (the receiver's kernel has it) and read. The sender is
///     told would_block when written is a whole window ahead of read.
///  2. A write becomes segments, each with the time at which it arrives: latency, jitter, rate and
///     the size of segments are drawn from the seed. Segments of a Way never overtake each other.
///  3. An end or a reset is a segment too, so that it stands behind what was sent before it.
///  4. As with a kernel: who closes with bytes unread resets the peer; who writes to one that has
///     closed is reset; what had arrived before a reset can still be read.
///  5. Faults change the Way (hold everything, cut at a position, one byte at a time) or put an end
///     or a reset into it. Bytes change only in a Middlebox, and only as whole frames.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include <stratwire/transport/socket.hpp>

#include "middlebox.hpp"
#include "random.hpp"
#include "scheduler.hpp"

namespace stratwire::sim {

enum class Side : std::uint8_t { client, server };
[[nodiscard]] constexpr Side other(Side side) noexcept {
  return side == Side::client ? Side::server : Side::client;
}

/// Told that something can be read or written; asks the pipe what.
class PipeUser {
 public:
  PipeUser() = default;
  PipeUser(const PipeUser&) = delete;
  PipeUser& operator=(const PipeUser&) = delete;
  virtual ~PipeUser() = default;
  virtual void pipe_changed() = 0;
};

/// How one direction behaves.
struct Shape {
  TimeNs latency = 50 * kMicro;
  TimeNs jitter = 0;                  ///< At most so much more, for each segment.
  std::uint64_t bytes_per_s = 0;      ///< 0 = no limit.
  std::size_t segment_bytes_max = 0;  ///< 0 = a write is one segment.
  TimeNs coalesce = 0;                ///< Arrivals only at multiples of it.
};

/// \thread one thread: the simulation's
class Pipe final : public Actor {
 public:
  Pipe(Scheduler& scheduler, Random random, std::uint64_t id, std::size_t window_bytes);

  [[nodiscard]] std::uint64_t id() const noexcept { return id_; }
  void attach(Side side, PipeUser* user) noexcept { users_[index(side)] = user; }

  // ---- As a socket

  transport::IoResult read(Side side, std::span<char> into);
  transport::IoResult write(Side side, std::span<const char> from);
  void shutdown(Side side);
  void close(Side side);
  [[nodiscard]] bool readable(Side side) const noexcept;
  [[nodiscard]] bool writable(Side side) const noexcept;
  /// As EPOLLERR and EPOLLHUP: a reset came, or both directions have ended.
  [[nodiscard]] bool broken(Side side) const noexcept;
  [[nodiscard]] bool closed(Side side) const noexcept { return closed_[index(side)]; }
  /// Nobody will ever use it again.
  [[nodiscard]] bool over() const noexcept { return closed_[0] && closed_[1]; }

  // ---- Faults

  enum class Break : std::uint8_t { end, reset };
  /// After so many more bytes to that side the connection is no more; both sides notice, in time.
  ///
  /// \param counter  counts when it happens
  void cut_after(Side to, std::uint64_t bytes, Break how, std::uint64_t& counter);
  /// Now, in both directions, at any byte of what is in flight.
  void cut_flight(Break how);
  /// Now: what is in flight in both directions is lost.
  void reset();
  /// That side reads the end, the other one goes on into nothing.
  void half_close(Side to);
  /// Nothing arrives at that side before that time.
  void hold(Side to, TimeNs until);
  [[nodiscard]] bool held(Side to) const noexcept { return way(to).held_until > now(); }
  /// Only what is in flight now.
  void delay(Side to, TimeNs by);
  /// Whatever is slow is quick again; what is cut or held for ever stays so.
  void heal();
  [[nodiscard]] Shape& shape(Side to) noexcept { return way(to).shape; }
  /// Of what the client is sent; empty on most connections.
  [[nodiscard]] std::optional<Middlebox>& middlebox() noexcept { return middlebox_; }

  /// Bytes that have arrived at that side.
  [[nodiscard]] std::uint64_t arrived(Side to) const noexcept { return way(to).arrived; }
  [[nodiscard]] std::uint64_t in_flight(Side to) const noexcept {
    return way(to).written - way(to).arrived;
  }

 private:
  struct Segment {
    enum class Kind : std::uint8_t { data, end, reset };
    TimeNs at = 0;
    std::uint64_t end = 0;  ///< Position behind its last byte.
    Kind kind = Kind::data;
  };
  struct Way {
    std::string bytes{};  ///< From `base` to `written`.
    std::uint64_t base = 0;
    std::uint64_t read = 0;
    std::uint64_t arrived = 0;
    std::uint64_t written = 0;
    std::deque<Segment> segments{};
    TimeNs last_at = 0;
    TimeNs held_until = 0;
    Shape shape{};
    std::optional<std::uint64_t> cut_at{};
    Break cut_how = Break::end;
    std::uint64_t* cut_counter = nullptr;
    bool full = false;          ///< The sender was told would_block.
    bool sender_ended = false;  ///< shutdown() or close().
    bool ended = false;         ///< The end has arrived.
    bool is_void = false;       ///< What is written vanishes.
  };

  static constexpr std::size_t index(Side side) noexcept { return static_cast<std::size_t>(side); }
  [[nodiscard]] Way& way(Side to) noexcept { return ways_[index(to)]; }
  [[nodiscard]] const Way& way(Side to) const noexcept { return ways_[index(to)]; }
  void on_event() override;
  void deliver(Side to);
  void put(Side to, std::span<const char> bytes);
  void put_mark(Side to, Segment::Kind kind);
  void put_mark(Side to, Break how) {
    put_mark(to, how == Break::end ? Segment::Kind::end : Segment::Kind::reset);
  }
  void keep_flight(Side to, std::uint64_t bytes);
  void cut(Side to);
  [[nodiscard]] TimeNs arrival(Way& w, std::size_t bytes);
  void await(Side to);
  void tell(Side side);

  Random random_;
  std::uint64_t id_;
  std::size_t window_;
  Way ways_[2];
  PipeUser* users_[2] = {nullptr, nullptr};
  bool closed_[2] = {false, false};
  bool reset_[2] = {false, false};  ///< That side has been reset.
  std::optional<Middlebox> middlebox_{};
  std::string passed_{};
};

}  // namespace stratwire::sim
