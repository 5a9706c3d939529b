/// Everything that goes wrong in a simulation, and how often it did.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace stratwire::sim {

/// Counted when it takes effect, not when it is planned.
enum class Fault : std::uint8_t {
  cut_to_server,         ///< At some byte of what the client sends.
  cut_to_client,         ///< At some byte of what the server sends.
  cut_both,              ///< In both directions at once.
  reset,                 ///< RST; what was in flight is lost.
  half_close_to_server,  ///< The server reads the end; the client does not know.
  half_close_to_client,
  hole_to_server,  ///< Nothing arrives any more, and nobody is told.
  hole_to_client,
  outage,  ///< Nothing arrives for a while, then all of it does.
  delay,   ///< What is in flight comes much later.
  jitter,
  split,     ///< One byte at a time.
  coalesce,  ///< Many writes in one read.
  throttle,
  stall_short,   ///< The strategy takes nothing: less than half of the server's stall time,
  stall_long,    ///< up to it,
  stall_beyond,  ///< and beyond.
  slow_reader,   ///< The strategy takes little at a time.
  lapped,        ///< A reader of a drop-oldest channel was lapped.
  lapped_conflating,
  hard_limit,       ///< Lossless messages filled the lane: close 4101.
  stalled_out,      ///< Taken for a stalled reader: close 4101.
  connect_refused,  ///< Nobody listens.
  connect_hangs,    ///< No answer.
  upgrade_cut,      ///< Within the HTTP head of either side.
  old_lives_on,     ///< A new connection of a client, while the server still has its old one.
  old_comes_late,   ///< Bytes of an old connection reach the server behind those of a new one.
  late_events,  ///< The session is told of a connection that is over while another one is alive.
  restart_with_log,
  restart_new_epoch,
  drain_with_slot,         ///< GoAway with a time to come back,
  drain_with_alternative,  ///< or with another server.
  handover,                ///< A successor took over from a connection that was still there.
  refused_by_governor,
  client_clock_forward,  ///< An hour, of the wall clock.
  client_clock_back,
  server_clock_forward,
  server_clock_back,
  client_paused,       ///< Its process was stopped.
  server_paused,       ///< Its process was stopped.
  client_restarted,    ///< It begins with the points that its strategy had stored.
  burst,               ///< More messages at once than a log keeps.
  beyond_retention,    ///< Somebody came back too late for some of them.
  last_frame_removed,  ///< A middlebox takes the last message of a channel that falls quiet.
  frame_duplicated,    ///< A middlebox sends a message twice.
  churn_in_replay,     ///< Unsubscribe and subscribe while a replay is under way.
  channel_appeared,    ///< First message of a channel while a subscriber of `kind:*` is away.
  log_cap,             ///< The cap of all logs together pushed messages out.
  replica_lags,        ///< The other server is behind.
};
inline constexpr std::size_t kFaults = 49;

inline constexpr std::array<std::string_view, kFaults> kFaultNames{"cut_to_server",
                                                                   "cut_to_client",
                                                                   "cut_both",
                                                                   "reset",
                                                                   "half_close_to_server",
                                                                   "half_close_to_client",
                                                                   "hole_to_server",
                                                                   "hole_to_client",
                                                                   "outage",
                                                                   "delay",
                                                                   "jitter",
                                                                   "split",
                                                                   "coalesce",
                                                                   "throttle",
                                                                   "stall_short",
                                                                   "stall_long",
                                                                   "stall_beyond",
                                                                   "slow_reader",
                                                                   "lapped",
                                                                   "lapped_conflating",
                                                                   "hard_limit",
                                                                   "stalled_out",
                                                                   "connect_refused",
                                                                   "connect_hangs",
                                                                   "upgrade_cut",
                                                                   "old_lives_on",
                                                                   "old_comes_late",
                                                                   "late_events",
                                                                   "restart_with_log",
                                                                   "restart_new_epoch",
                                                                   "drain_with_slot",
                                                                   "drain_with_alternative",
                                                                   "handover",
                                                                   "refused_by_governor",
                                                                   "client_clock_forward",
                                                                   "client_clock_back",
                                                                   "server_clock_forward",
                                                                   "server_clock_back",
                                                                   "client_paused",
                                                                   "server_paused",
                                                                   "client_restarted",
                                                                   "burst",
                                                                   "beyond_retention",
                                                                   "last_frame_removed",
                                                                   "frame_duplicated",
                                                                   "churn_in_replay",
                                                                   "channel_appeared",
                                                                   "log_cap",
                                                                   "replica_lags"};
static_assert(kFaultNames.back().size() > 0);

[[nodiscard]] constexpr std::string_view to_string(Fault fault) noexcept {
  return kFaultNames[static_cast<std::size_t>(fault)];
}

using FaultCounts = std::array<std::uint64_t, kFaults>;

}  // namespace stratwire::sim
