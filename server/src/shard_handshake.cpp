// From a socket to an upgraded connection, and the HTTP pages on the same port.

#include <algorithm>
#include <utility>

#include "shard.hpp"
#include "stats_page.hpp"

namespace stratwire::server {
namespace {

constexpr std::string_view kJsonProtocol = "stratwire.v1.json";
constexpr std::string_view kMsgpackProtocol = "stratwire.v1.msgpack";
/// A connection that goes makes room; sooner than this it is not worth asking again.
constexpr std::int64_t kFullWaitMs = 1'000;

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

/// PROTOCOL.md 1.4.
std::string come_back_later(std::uint32_t wait_ms, std::string_view why) {
  return "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nRetry-After: " +
         std::to_string((wait_ms + 999) / 1'000) +
         "\r\nRetry-After-Ms: " + std::to_string(wait_ms) +
         "\r\nContent-Length: " + std::to_string(why.size()) + "\r\nConnection: close\r\n\r\n" +
         std::string(why);
}

}  // namespace

void Shard::read_handshake(Connection& c, std::span<char> input) {
  std::span<const char> rest = input;
  switch (c.handshake->feed(rest)) {
    case transport::ServerHandshake::Step::need_more:
      return;
    case transport::ServerHandshake::Step::upgrade:
      upgrade(c);
      if (c.phase == Connection::Phase::open && !rest.empty()) parse(c, input.last(rest.size()));
      return;
    case transport::ServerHandshake::Step::http_request:
      counters_.http_requests.add();
      answer_http(c);
      return;
    case transport::ServerHandshake::Step::refused:
      counters_.handshakes_refused.add();
      core_.log(LogLevel::info, "handshake refused: " + std::string(c.handshake->refusal_text()));
      respond(c, c.handshake->refusal());
      return;
  }
}

void Shard::respond(Connection& c, std::string_view response) {
  c.lane = std::make_unique<Lane>();
  c.lane->append(response, 0, Cause::reply);
  c.phase = Connection::Phase::closing;
  c.deadline_ms = now_.ms + limits::kCloseTimeout.count();
  c.shutdown_when_sent = true;
  fanout_.flush(c, now_);
}

void Shard::upgrade(Connection& c) {
  if (!c.counted) {
    counters_.handshakes_refused.add();
    respond(c, come_back_later(core_.governor.come_back(now_.ms, kFullWaitMs),
                               "this server is full; try again later or another.\n"));
    return;
  }
  const auto& offered = c.handshake->subprotocols();
  const auto known = std::ranges::find_if(offered, [](const std::string& name) {
    return name == kJsonProtocol || name == kMsgpackProtocol;
  });
  if (known == offered.end() && !offered.empty()) {
    counters_.handshakes_refused.add();
    const std::string text = "no subprotocol in common: you offer " + joined(offered) +
                             "; this server speaks " + std::string(kJsonProtocol) + ", " +
                             std::string(kMsgpackProtocol) + ", or plain JSON without any\n";
    respond(c, c.handshake->respond(400, "text/plain", text));
    return;
  }
  if (const std::uint32_t wait_ms = core_.governor.admit(now_.ms); wait_ms != 0) {
    counters_.accepts_refused.add();
    respond(c, come_back_later(wait_ms, "too many connections at once; come back later.\n"));
    return;
  }
  const std::string subprotocol = known == offered.end() ? "" : *known;
  c.dialect = subprotocol.empty()               ? Dialect::plain
              : subprotocol == kMsgpackProtocol ? Dialect::msgpack
                                                : Dialect::json;
  c.lane = std::make_unique<Lane>();
  c.lane->append(c.handshake->accept(subprotocol), 0, Cause::reply);
  c.handshake.reset();
  c.phase = Connection::Phase::open;
  counters_.upgraded.add();
  // relaxed: a number that nobody else has; it orders nothing.
  c.id = core_.next_connection_id.fetch_add(1, std::memory_order_relaxed);
  c.connected_at = now_.wall_ns;
  fanout_.join(c, {});
  if (c.dialect != Dialect::plain) welcome(c);
  // The others were told when it was said.
  if (gone_away_) fanout_.reply(c, core_.next_go_away());
  fanout_.flush(c, now_);
}

void Shard::welcome(Connection& c) {
  const ServerConfig& config = core_.config;
  fanout_.reply(
      c, Welcome{c.id, core_.epoch, static_cast<std::uint32_t>(config.heartbeat_interval.count()),
                 static_cast<std::uint32_t>(config.inbound_message_bytes_max),
                 static_cast<std::uint32_t>(config.channels_per_connection_max), c.connected_at});
}

void Shard::answer_http(Connection& c) {
  const std::string_view path = c.handshake->path();
  if (path == "/stats") {
    // Every shard is asked for its connections.
    c.awaits_page = true;
    fanout_.update_interest(c);
    host_.ask_connections(c.token);
  } else if (path == "/health") {
    respond(c, c.handshake->respond(200, "application/json", health_json(core_)));
  } else {
    respond(c, c.handshake->respond(404, "text/plain",
                                    "nothing here; GET /health or /stats, or open a WebSocket\n"));
  }
}

void Shard::on_connections(std::uint64_t token, const std::vector<ConnectionStats>& all, Now now) {
  now_ = now;
  Connection* const c = find(token);
  if (c == nullptr || !c->handshake) return;
  c->awaits_page = false;
  respond(*c, c->handshake->respond(200, "application/json", stats_json(core_, all)));
  settle();
}

}  // namespace stratwire::server
