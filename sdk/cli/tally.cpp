#include "tally.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

namespace stratwire::cli {

namespace {

/// ,"hops_ns":{"server":{...},"network":{...},"strategy":{...},"uncertain":0},"clock_ns":{...}
std::string hops_text(const Tally::Measured& measured) {
  std::string text = ",\"hops_ns\":{";
  const auto add = [&text](const char* name, const telemetry::HistogramSnapshot& hop) {
    text += std::string{"\""} + name + "\":{\"count\":" + std::to_string(hop.count()) +
            ",\"p50\":" + std::to_string(hop.percentile(50)) +
            ",\"p99\":" + std::to_string(hop.percentile(99)) +
            ",\"max\":" + std::to_string(hop.max()) + "},";
  };
  add("server", measured.hops.server);
  add("network", measured.hops.network);
  add("strategy", measured.hops.strategy);
  text += "\"uncertain\":" + std::to_string(measured.hops.uncertain) + "}";
  if (measured.clock) {
    text += ",\"clock_ns\":{\"offset\":" + std::to_string(measured.clock->offset.count()) +
            ",\"error\":" + std::to_string(measured.clock->error.count()) + "}";
  }
  return text;
}

}  // namespace

Tally::Cursor& Tally::cursor_of(std::string_view channel) {
  const auto found = cursors_.find(channel);
  if (found != cursors_.end()) return found->second;
  return cursors_.emplace(channel, Cursor{}).first->second;
}

void Tally::message(const Envelope& envelope, std::uint64_t epoch, std::int64_t received_at,
                    std::int64_t timestamp) {
  if (received_++ == 0) first_at_ = received_at;
  last_at_ = received_at;
  if (timestamp != 0) latency_.record(received_at - timestamp);
  if (envelope.seq == 0) return;
  auto& cursor = cursor_of(envelope.channel);
  if (cursor.epoch != epoch || cursor.last == 0) {
    cursor = {epoch, envelope.seq};
  } else if (envelope.seq > cursor.last) {
    unannounced_ += envelope.seq - cursor.last - 1;
    cursor.last = envelope.seq;
  } else if (envelope.seq == cursor.last) {
    ++duplicates_;
  } else {
    ++out_of_order_;
  }
}

void Tally::gap(const Envelope& envelope, const Gap& gap) {
  ++gaps_;
  if (gap.to >= gap.from) missed_ += gap.to - gap.from + 1;
  auto& cursor = cursor_of(envelope.channel);
  if (cursor.epoch == gap.epoch) cursor.last = gap.to == 0 ? 0 : std::max(cursor.last, gap.to);
}

bool Tally::clean(const ClientMetrics& metrics) const noexcept {
  return gaps_ + unannounced_ + duplicates_ + out_of_order_ + metrics.decode_errors == 0;
}

std::string Tally::summary(const ClientMetrics& metrics, const Measured& measured) const {
  const auto seconds = static_cast<double>(last_at_ - first_at_) / 1e9;
  const auto latency = latency_.snapshot();
  char text[768];
  std::snprintf(
      text, sizeof text,
      "{\"received\":%" PRIu64 ",\"channels\":%zu,\"gaps\":%" PRIu64 ",\"missed\":%" PRIu64
      ",\"unannounced\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"out_of_order\":%" PRIu64
      ",\"decode_errors\":%" PRIu64 ",\"reconnects\":%" PRIu64
      ",\"seconds\":%.6f,\"rate\":%.0f,\"latency_ns\":{\"count\":%" PRIu64 ",\"p50\":%" PRIu64
      ",\"p90\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64 ",\"max\":%" PRIu64
      ",\"clock_skew\":%" PRIu64 "}",
      received_, cursors_.size(), gaps_, missed_, unannounced_, duplicates_ + metrics.duplicates,
      out_of_order_, metrics.decode_errors, measured.reconnects, seconds,
      seconds > 0 ? static_cast<double>(received_) / seconds : 0.0, latency.count(),
      latency.percentile(50), latency.percentile(90), latency.percentile(99),
      latency.percentile(99.9), latency.max(), latency.negative());
  return text + hops_text(measured) + "}\n";
}

}  // namespace stratwire::cli
