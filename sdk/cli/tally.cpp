#include "tally.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>

namespace stratwire::cli {

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

std::string Tally::summary(const ClientMetrics& metrics, std::uint64_t reconnects) const {
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
      ",\"clock_skew\":%" PRIu64 "}}\n",
      received_, cursors_.size(), gaps_, missed_, unannounced_, duplicates_ + metrics.duplicates,
      out_of_order_, metrics.decode_errors, reconnects, seconds,
      seconds > 0 ? static_cast<double>(received_) / seconds : 0.0, latency.count(),
      latency.percentile(50), latency.percentile(90), latency.percentile(99),
      latency.percentile(99.9), latency.max(), latency.negative());
  return text;
}

}  // namespace stratwire::cli
