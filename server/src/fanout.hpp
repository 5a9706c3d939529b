/// Cohorts, their logs, and writing: the hot half of a shard.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <stratwire/transport/frame.hpp>
#include <stratwire/transport/send_batch.hpp>

#include "cohort.hpp"
#include "connection.hpp"
#include "core.hpp"
#include "figures.hpp"
#include "frame.hpp"
#include "frame_encoder.hpp"
#include "now.hpp"
#include "shard_host.hpp"
#include "turn_limits.hpp"

namespace stratwire::server {

/// Who gets which frame, and how far each has got.
///
/// Connections are the shard's; a Fanout never ends one, it tells of those that must go.
///
/// \thread the shard's thread only
class Fanout {
 public:
  Fanout(Core& core, ShardFigures& figures, ShardHost& host);

  // ---- Frames

  /// Appends the frame to every cohort that wants it.
  void on_frame(const Frame& frame);
  /// Sends what was appended since the last call: one send() per connection.
  void write(Now now);
  /// Whether write() should come before more frames do.
  [[nodiscard]] bool has_enough() const noexcept {
    return appended_bytes_ >= TurnLimits::kCopiesBytesMax;
  }
  /// Whether write() has something to send.
  [[nodiscard]] bool has_unsent() const noexcept { return !dirty_.empty(); }
  /// Appends a Heartbeat to every native cohort, behind what is not sent yet, and writes both. Call
  /// it once per heartbeat interval.
  void beat(Now now);
  /// How far the slowest reader is behind, in bytes or in messages' worth of them.
  [[nodiscard]] std::uint64_t lag_bytes() const noexcept;

  // ---- Members

  /// Puts the connection into the cohort of these channels (sorted, each once), at its head.
  void join(Connection& c, std::vector<std::string> channels);
  /// Takes it out; the cohort goes with its last member. A connection without one is let be.
  void leave(Connection& c);

  // ---- Words for one connection

  void reply(Connection& c, const WsMessage& message);
  /// One frame into the lane, between frames of the log.
  void append_to_lane(Connection& c, transport::Opcode opcode, std::string_view payload);
  /// A ping or pong: before everything that waits for a connection that lags, but for what was
  /// begun. A pong that comes too late is none.
  void append_urgent(Connection& c, transport::Opcode opcode, std::string_view payload);
  /// Frames that are ready, with so many data messages in them, into the lane.
  void append_ready(Connection& c, std::string_view frames, std::uint32_t messages);
  /// Everything that the log still owes the connection goes into its lane.
  void finish_log(Connection& c);
  /// Forgets everything that waits for the connection, but for a frame that was begun.
  void cut(Connection& c);
  /// Sends what waits for this connection.
  void flush(Connection& c, Now now);
  /// Tells the host what the connection waits for, if that changed.
  void update_interest(Connection& c);

  // ---- What the shard must do about connections, by token; it empties the lists

  std::vector<std::uint64_t> broken{};  ///< Their sockets take no more: drop them.
  std::vector<std::uint64_t> slow{};    ///< They are beyond their hard limit: close them.
  /// They have taken enough: go on with requests, and with the replay of those that have all.
  std::vector<std::uint64_t> drained{};

 private:
  struct Route {
    Channel* channel = nullptr;
    std::vector<Cohort*> cohorts[2];  ///< By codec.
    std::uint64_t seq = 0;            ///< Of its last message.
    std::uint64_t beat = 0;           ///< In which heartbeat interval that came.
  };
  /// A message whose times are told.
  struct Sample {
    std::uint32_t channel = 0;
    std::uint64_t seq = 0;
    std::int64_t published_ns = 0;
    std::int64_t written_ns = 0;  ///< 0: is still to be written.
  };
  struct Lapped {
    Channel const* channel = nullptr;
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    std::size_t last_mark = 0;
  };

  Route& route_of(Channel& channel);
  Cohort& cohort_of(Dialect dialect, std::vector<std::string> channels);
  void route_to(Cohort& cohort, Channel& channel);
  void append(Cohort& cohort, std::span<const char> frame, FrameMark::Keep keep,
              const Channel* channel = nullptr, std::uint64_t seq = 0);
  void write_cohort(Cohort& cohort, Now now);
  void reset_log(Cohort& cohort);
  [[nodiscard]] bool prepare_batch();
  void run_batch(Now now);
  [[nodiscard]] static transport::IoResult send_waiting(Connection& c);
  bool wrote(Connection& c, const transport::IoResult& result, Now now);
  void sent(Connection& c, std::size_t from_lane, std::size_t from_log);
  void fail(Connection& c);
  void begin_lagging(Connection& c, Now now);
  void end_lagging(Connection& c);
  void stop_lagging(Cohort& cohort, Connection& c);
  void finish_frame(Connection& c);
  [[nodiscard]] bool leaves_unread(const Connection& c, std::size_t halves) const noexcept;
  void hold_requests_if_unread(Connection& c);
  void take_requests_if_read(Connection& c);
  void tell_drained(Connection& c);
  void note(Route& route, const Frame& frame);
  void stamp_samples(Now now);
  void gather_heads();
  void gather_times();
  void append_own_heartbeats(Cohort& cohort, Now now);
  void relieve(Cohort& cohort);
  [[nodiscard]] bool is_too_far_behind(const Connection& c) const;
  void lap(Connection& c);
  void find_lapped(std::span<const FrameMark> marks);
  void tell_gap(Connection& c, const Lapped& lapped);

  Core& core_;
  ShardCounters& counters_;
  ShardHost& host_;
  std::unordered_map<std::string, std::unique_ptr<Cohort>> cohorts_{};
  std::vector<Cohort*> dirty_{};
  std::vector<Route> routes_{};     ///< By channel id.
  std::size_t appended_bytes_ = 0;  ///< To all logs since the last write().
  LogBufferPool pool_{};
  /// Sends of one turn, for as long as the system lets us; opened when it first pays.
  std::optional<transport::SendBatch> batch_{};
  std::array<Connection*, transport::SendBatch::kMax> in_batch_{};
  bool batches_ = false;  ///< In this turn.
  bool may_batch_;
  std::vector<Cohort*> lagging_cohorts_{};  ///< Those with lagging members.
  std::vector<Lapped> lapped_{};
  std::vector<std::uint32_t> lapped_by_channel_{};
  std::string encoded_{};
  FrameEncoder encoder_{};

  std::uint64_t beat_ = 1;                      ///< The heartbeat interval that is under way.
  std::vector<std::uint32_t> active_{};         ///< Channels with messages in this one,
  std::vector<std::uint32_t> active_before_{};  ///< and in the one before.
  std::vector<Sample> samples_{};               ///< Of this interval.
  std::size_t samples_written_ = 0;
};

}  // namespace stratwire::server
