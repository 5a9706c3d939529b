/// What a client counts and measures.
#pragma once

#include <chrono>
#include <cstdint>

#include <stratwire/telemetry/histogram.hpp>

namespace stratwire {

/// Counters since open(); each counts up only. Whoever was handed a Gap or a notice finds it
/// counted here.
struct ClientMetrics {
  std::uint64_t messages = 0;          ///< Data messages handed to the strategy's side.
  std::uint64_t bytes = 0;             ///< Read from the socket.
  std::uint64_t gaps = 0;              ///< Gap events.
  std::uint64_t missed = 0;            ///< Messages that Gaps said are missing, where known.
  std::uint64_t duplicates = 0;        ///< Dropped: at or before the cursor of their channel.
  std::uint64_t refused = 0;           ///< Channels that a Subscribed notice refused.
  std::uint64_t decode_errors = 0;     ///< Messages that could not be decoded; each is reported.
  std::uint64_t unknown_messages = 0;  ///< Of a type that this version does not know; ignored.
  /// Messages and Gaps that receive<T>() or poll() took, neither a T nor with a handler.
  std::uint64_t unhandled = 0;
  std::uint64_t connects = 0;          ///< Upgrades that succeeded.
  std::uint64_t connect_failures = 0;  ///< Tries that failed.
  std::uint64_t stales = 0;            ///< Times that a heartbeat was overdue.
  std::uint64_t handovers = 0;         ///< Times that a successor took over without a break.
  std::uint64_t sends = 0;             ///< Messages accepted by send().
  std::uint64_t sends_dropped = 0;     ///< Of those, reported as not delivered.
  std::uint64_t ring_full = 0;  ///< Times that the socket was left unread: strategy too slow.
};

/// How far the server's clock is from this host's.
struct ClockEstimate {
  /// To be added to a time of this host to have the server's.
  std::chrono::nanoseconds offset{0};
  /// The true offset is within so much of it.
  std::chrono::nanoseconds error{0};
};

/// How long messages took, of every kHopSampleEvery-th of each channel.
///
/// \units nanoseconds
struct ClientLatencies {
  /// publish() at the server, to its kernel; told by heartbeats.
  telemetry::HistogramSnapshot server{};
  /// The server's kernel to this client's read, by both clocks and the offset between them.
  telemetry::HistogramSnapshot network{};
  /// This client's read to the strategy's hands.
  telemetry::HistogramSnapshot strategy{};
  /// Samples that are not in `network`, because what was measured is no more than the error of the
  /// clocks' offset: noise is not told, and nothing negative is.
  std::uint64_t uncertain = 0;
};

}  // namespace stratwire
