#include "stats_page.hpp"

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include <stratwire/telemetry/clock.hpp>

#include "io_thread.hpp"

namespace stratwire::server {
namespace {

constexpr std::size_t kConnectionsShown = 100;

/// Writes one flat JSON object after the other; just what these pages need.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& out) : out_(out) { out_ += '{'; }
  ObjectWriter& add(std::string_view name, std::uint64_t value) {
    key(name);
    out_ += std::to_string(value);
    return *this;
  }
  ObjectWriter& add(std::string_view name, std::string_view text) {
    key(name);
    quote(text);
    return *this;
  }
  /// The value is written by the caller.
  std::string& begin(std::string_view name) {
    key(name);
    return out_;
  }
  void end() { out_ += '}'; }

 private:
  void key(std::string_view name) {
    if (out_.back() != '{') out_ += ',';
    quote(name);
    out_ += ':';
  }
  void quote(std::string_view text) {
    constexpr std::string_view kHex = "0123456789abcdef";
    out_ += '"';
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        (out_ += '\\') += c;
      } else if (byte < 0x20) {
        ((out_ += "\\u00") += kHex[byte >> 4]) += kHex[byte & 15];
      } else {
        out_ += c;
      }
    }
    out_ += '"';
  }

  std::string& out_;
};

void gather_from(Core& core, std::size_t index, std::shared_ptr<std::vector<ConnectionStats>> all,
                 std::function<void(std::vector<ConnectionStats>)> done) {
  core.threads[index]->post([&core, index, all = std::move(all), done = std::move(done)] {
    auto mine = core.threads[index]->shard().connection_stats();
    std::ranges::move(mine, std::back_inserter(*all));
    if (index + 1 < core.threads.size()) {
      gather_from(core, index + 1, all, done);
    } else {
      done(std::move(*all));
    }
  });
}

}  // namespace

ServerStats gather_stats(const Core& core) {
  ServerStats stats;
  stats.epoch = core.epoch;
  stats.uptime_ms =
      static_cast<std::uint64_t>(telemetry::monotonic_ns() - core.opened_at_ns) / 1'000'000;
  // relaxed: a figure.
  stats.connections = core.connections.load(std::memory_order_relaxed);
  stats.channels = core.registry.size();
  stats.published = core.published.value();
  stats.publish_back_pressured = core.publish_back_pressured.value();
  stats.publish_refused = core.publish_refused.value();
  stats.not_encodable = core.not_encodable.value();
  stats.log_bytes = static_cast<std::uint64_t>(core.log_bytes.value());
  stats.log_evicted = static_cast<std::uint64_t>(core.log_evicted.value());
  for (const ShardFigures& shard : core.figures) {
    const ShardCounters& c = shard.counters;
    stats.subscribers += static_cast<std::uint64_t>(c.subscribers.value());
    stats.lag_bytes_max = std::max(stats.lag_bytes_max, shard.lag());
    stats.accepted += c.accepted.value();
    stats.handshakes_refused += c.handshakes_refused.value();
    stats.http_requests += c.http_requests.value();
    stats.upgraded += c.upgraded.value();
    stats.disconnected += c.disconnected.value();
    stats.delivered += c.delivered.value();
    stats.sent_bytes += c.sent_bytes.value();
    stats.received_messages += c.received_messages.value();
    stats.gaps += c.gaps.value();
    stats.missed += c.missed.value();
    stats.bad_messages += c.bad_messages.value();
    stats.refused_requests += c.refused_requests.value();
    stats.protocol_violations += c.protocol_violations.value();
    stats.timeouts += c.timeouts.value();
    stats.slow_consumers += c.slow_consumers.value();
    stats.accepts_refused += c.accepts_refused.value();
    stats.replays += c.replays.value();
    stats.replayed += c.replayed.value();
  }
  return stats;
}

void gather_connections(Core& core, std::function<void(std::vector<ConnectionStats>)> done) {
  gather_from(core, 0, std::make_shared<std::vector<ConnectionStats>>(), std::move(done));
}

void sort_by_lag(std::vector<ConnectionStats>& connections, std::size_t limit) {
  std::ranges::sort(connections, [](const ConnectionStats& a, const ConnectionStats& b) {
    return a.lag_bytes != b.lag_bytes ? a.lag_bytes > b.lag_bytes : a.id < b.id;
  });
  if (connections.size() > limit) connections.resize(limit);
}

std::string health_json(const Core& core) {
  const ServerStats stats = gather_stats(core);
  std::string out;
  // acquire: pairs with the release in Server::drain().
  const bool draining = core.draining.load(std::memory_order_acquire);
  ObjectWriter(out)
      .add("status", draining ? "draining" : "ok")
      .add("connections", stats.connections)
      .add("subscribers", stats.subscribers)
      .add("uptime_ms", stats.uptime_ms)
      .end();
  return out + "\n";
}

std::string stats_json(const Core& core, std::vector<ConnectionStats> connections) {
  const ServerStats s = gather_stats(core);
  std::string out;
  ObjectWriter page(out);
  page.add("epoch", s.epoch)
      .add("uptime_ms", s.uptime_ms)
      .add("connections", s.connections)
      .add("subscribers", s.subscribers)
      .add("channels", s.channels)
      .add("lag_bytes_max", s.lag_bytes_max)
      .add("log_bytes", s.log_bytes)
      .add("accepted", s.accepted)
      .add("accepts_refused", s.accepts_refused)
      .add("handshakes_refused", s.handshakes_refused)
      .add("http_requests", s.http_requests)
      .add("upgraded", s.upgraded)
      .add("disconnected", s.disconnected)
      .add("published", s.published)
      .add("publish_back_pressured", s.publish_back_pressured)
      .add("publish_refused", s.publish_refused)
      .add("not_encodable", s.not_encodable)
      .add("delivered", s.delivered)
      .add("sent_bytes", s.sent_bytes)
      .add("received_messages", s.received_messages)
      .add("gaps", s.gaps)
      .add("missed", s.missed)
      .add("bad_messages", s.bad_messages)
      .add("refused_requests", s.refused_requests)
      .add("protocol_violations", s.protocol_violations)
      .add("timeouts", s.timeouts)
      .add("slow_consumers", s.slow_consumers)
      .add("replays", s.replays)
      .add("replayed", s.replayed)
      .add("log_evicted", s.log_evicted);
  sort_by_lag(connections, kConnectionsShown);
  page.begin("slowest_connections") += '[';
  for (const ConnectionStats& c : connections) {
    if (out.back() != '[') out += ',';
    ObjectWriter(out)
        .add("id", c.id)
        .add("name", c.name)
        .add("peer", c.peer)
        .add("protocol", c.protocol)
        .add("channels", c.channels)
        .add("sent_bytes", c.sent_bytes)
        .add("lag_bytes", c.lag_bytes)
        .add("gaps", c.gaps)
        .add("connected_at", static_cast<std::uint64_t>(c.connected_at))
        .end();
  }
  out += ']';
  page.end();
  return out + "\n";
}

}  // namespace stratwire::server
