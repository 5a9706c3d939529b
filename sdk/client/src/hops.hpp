/// Latencies hop by hop, from samples of the messages and what heartbeats say of them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <stratwire/client.hpp>
#include <stratwire/session/channel_table.hpp>
#include <stratwire/session/clock_offset.hpp>
#include <stratwire/session/time.hpp>
#include <stratwire/telemetry/counter.hpp>
#include <stratwire/telemetry/histogram.hpp>

namespace stratwire::client {

/// Remembers when sampled messages came until the server has said when it sent them.
///
/// \thread latencies: any thread; the rest the thread that runs the client
class Hops {
 public:
  [[nodiscard]] static bool is_sample(const Delivery& delivery) noexcept {
    const std::uint64_t seq = delivery.envelope.seq;
    return seq % kHopSampleEvery == 0 && seq != 0;
  }

  /// A sample came, live.
  ///
  /// \lifetime  the channel's name is the session's
  void received(const Delivery& delivery) noexcept {
    Sample& sample = place(delivery.envelope.channel, delivery.envelope.seq);
    sample = {delivery.envelope.channel, delivery.envelope.seq, delivery.received_at};
  }
  void times(std::span<const HopTimes> times, const session::ClockOffset& clock,
             session::Instant now) noexcept;

  /// But for the strategy's.
  [[nodiscard]] ClientLatencies latencies() const noexcept;

  /// Samples that are remembered, newer ones in the place of older ones: a second of 64,000
  /// messages.
  static constexpr std::size_t kSamples = 1024;

 private:
  struct Sample {
    std::string_view channel{};
    std::uint64_t seq = 0;
    std::int64_t received_at = 0;
  };
  [[nodiscard]] Sample& place(std::string_view channel, std::uint64_t seq) noexcept {
    const std::uint64_t mixed = session::ChannelTable::hash(channel) + seq / kHopSampleEvery;
    return samples_[static_cast<std::size_t>(mixed) % kSamples];
  }

  std::array<Sample, kSamples> samples_{};
  telemetry::Histogram server_{};
  telemetry::Histogram network_{};
  telemetry::Counter uncertain_{};
};

}  // namespace stratwire::client
