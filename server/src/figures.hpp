/// What a shard tells about itself to any thread.
#pragma once

#include <atomic>
#include <cstdint>

#include <stratwire/queue/cache_line.hpp>
#include <stratwire/telemetry/counter.hpp>

namespace stratwire::server {

/// Written by the shard's thread, read by anybody.
struct ShardCounters {
  telemetry::Counter accepted;
  telemetry::Counter handshakes_refused;
  telemetry::Counter http_requests;
  telemetry::Counter upgraded;
  telemetry::Counter disconnected;
  telemetry::Counter delivered;
  telemetry::Counter sent_bytes;
  telemetry::Counter received_messages;
  telemetry::Counter gaps;
  telemetry::Counter missed;
  telemetry::Counter bad_messages;
  telemetry::Counter refused_requests;
  telemetry::Counter protocol_violations;
  telemetry::Counter timeouts;
  telemetry::Counter slow_consumers;
  telemetry::Counter replays;
  telemetry::Counter replayed;
  telemetry::Counter accepts_refused;
  telemetry::Gauge subscribers;
};

struct alignas(queue::kIsolationBytes) ShardFigures {
  ShardCounters counters{};
  /// How far the slowest reader of the shard is behind; written by its thread.
  std::atomic<std::uint64_t> lag_bytes{0};
  /// What waits in the ring to it; the hub adds, the shard's thread subtracts.
  alignas(queue::kIsolationBytes) std::atomic<std::uint64_t> ring_bytes{0};

  /// How far its slowest reader is behind, with what waits in the ring.
  ///
  /// \thread any thread
  [[nodiscard]] std::uint64_t lag() const noexcept {
    // acquire: pairs with the releases in HubLink; bytes that left the ring are already part of
    // the lag.
    const std::uint64_t in_ring = ring_bytes.load(std::memory_order_acquire);
    // acquire: pairs with the release in Shard::publish_lag().
    return in_ring + lag_bytes.load(std::memory_order_acquire);
  }
};

}  // namespace stratwire::server
