#include "hops.hpp"

namespace stratwire::client {

void Hops::times(std::span<const HopTimes> times, const session::ClockOffset& clock,
                 session::Instant now) noexcept {
  for (const HopTimes& one : times) {
    Sample& sample = place(one.channel, one.seq);
    if (sample.seq != one.seq || sample.channel != one.channel) continue;
    server_.record(one.written - one.published);
    if (const auto latency = clock.latency(now, {one.written, sample.received_at})) {
      network_.record(latency->count());
    } else {
      uncertain_.add();
    }
    sample = {};
  }
}

ClientLatencies Hops::latencies() const noexcept {
  ClientLatencies latencies;
  latencies.server = server_.snapshot();
  latencies.network = network_.snapshot();
  latencies.uncertain = uncertain_.value();
  return latencies;
}

}  // namespace stratwire::client
