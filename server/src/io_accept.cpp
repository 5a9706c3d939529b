// From a listener to an upgraded connection, and the HTTP pages on the same port.

#include <algorithm>
#include <utility>

#include <stratwire/telemetry/clock.hpp>

#include "io_thread.hpp"
#include "stats_page.hpp"

namespace stratwire::server {
namespace {

constexpr std::string_view kJsonProtocol = "stratwire.v1.json";
constexpr std::string_view kMsgpackProtocol = "stratwire.v1.msgpack";
constexpr std::size_t kAcceptsPerTurn = 256;

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) {
    if (!text.empty()) text += ", ";
    text += word;
  }
  return text;
}

}  // namespace

void IoThread::accept(transport::Listener& listener) {
  for (std::size_t i = 0; i < kAcceptsPerTurn; ++i) {
    transport::AcceptResult accepted = listener.accept();
    if (accepted.status == transport::AcceptStatus::would_block) return;
    if (accepted.status != transport::AcceptStatus::ok) {
      core_.log(LogLevel::error,
                accepted.status == transport::AcceptStatus::out_of_descriptors
                    ? "out of descriptors: raise 'ulimit -n' or lower connections_max"
                    : "accept failed, errno " + std::to_string(accepted.error));
      // Level-triggered: without a pause the loop would spin on the same connection.
      accept_paused_ = true;
      for (std::size_t l = 0; l < listeners_.size(); ++l) {
        (void)poller_.modify(listeners_[l].fd(), ~std::uint64_t{0} - 1 - l,
                             transport::Interest::none);
      }
      return;
    }
    counters_.accepted.add();
    // relaxed: only this thread adds, and one more or less for a moment does no harm.
    if (core_.connections.load(std::memory_order_relaxed) >= core_.config.connections_max) {
      counters_.handshakes_refused.add();
      constexpr std::string_view kFull =
          "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nRetry-After: 1\r\n"
          "Content-Length: 49\r\nConnection: close\r\n\r\n"
          "this server is full; try again later or another.\n";
      (void)accepted.socket.write_some(std::span(kFull));
      accepted.socket.shutdown();
      continue;
    }
    // relaxed: a figure; the socket itself is handed over by post().
    core_.connections.fetch_add(1, std::memory_order_relaxed);
    // In turn. By the number of connections, one that comes and goes would always meet the same.
    IoThread& thread = *core_.threads[next_thread_++ % core_.threads.size()];
    if (&thread == this) {
      adopt(std::move(accepted.socket));
    } else {
      auto socket = std::make_shared<transport::Socket>(std::move(accepted.socket));
      thread.post([&thread, socket] { thread.adopt(std::move(*socket)); });
    }
  }
}

void IoThread::adopt(transport::Socket socket) {
  std::uint32_t slot = 0;
  if (free_slots_.empty()) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
    generations_.push_back(0);
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  auto made = std::make_unique<Connection>(
      std::move(socket),
      transport::FrameLimits{.message_bytes_max = core_.config.inbound_message_bytes_max});
  Connection& c = *made;
  slots_[slot] = std::move(made);
  c.token = std::uint64_t{++generations_[slot]} << 32 | slot;
  c.handshake = std::make_unique<transport::ServerHandshake>();
  c.heard_at_ms = now_ms_;
  c.deadline_ms = now_ms_ + core_.config.handshake_timeout.count();
  ++open_connections_;
  if (closing_all_ || poller_.add(c.socket.fd(), c.token, c.interest) != 0) {
    drop(c);
    return;
  }
  // The request is often there already.
  read(c);
}

void IoThread::read_handshake(Connection& c, std::span<char> input) {
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
      respond(c, std::string(c.handshake->refusal()));
      return;
  }
}

void IoThread::respond(Connection& c, std::string response) {
  c.lane = std::make_unique<Lane>();
  c.lane->bytes = std::move(response);
  c.phase = Connection::Phase::closing;
  c.deadline_ms = now_ms_ + limits::kCloseTimeout.count();
  c.shutdown_when_sent = true;
  flush(c);
}

void IoThread::upgrade(Connection& c) {
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
  const std::string subprotocol = known == offered.end() ? "" : *known;
  c.dialect = subprotocol.empty()               ? Dialect::plain
              : subprotocol == kMsgpackProtocol ? Dialect::msgpack
                                                : Dialect::json;
  c.lane = std::make_unique<Lane>();
  c.lane->bytes = c.handshake->accept(subprotocol);
  c.handshake.reset();
  c.phase = Connection::Phase::open;
  counters_.upgraded.add();
  // relaxed: a number that nobody else has; it orders nothing.
  c.id = core_.next_connection_id.fetch_add(1, std::memory_order_relaxed);
  c.connected_at = telemetry::wall_ns();
  join(c, cohort_of(c.dialect, {}));
  if (c.dialect != Dialect::plain) {
    reply(c, Welcome{c.id, core_.epoch,
                     static_cast<std::uint32_t>(core_.config.heartbeat_interval.count()),
                     static_cast<std::uint32_t>(core_.config.inbound_message_bytes_max),
                     static_cast<std::uint32_t>(core_.config.channels_per_connection_max),
                     c.connected_at});
  }
  flush(c);
}

void IoThread::answer_http(Connection& c) {
  const std::string_view path = c.handshake->path();
  if (path == "/stats") {
    answer_stats(c);
  } else if (path == "/health") {
    respond(c, c.handshake->respond(200, "application/json", health_json(core_)));
  } else {
    respond(c, c.handshake->respond(404, "text/plain",
                                    "nothing here; GET /health or /stats, or open a WebSocket\n"));
  }
}

void IoThread::answer_stats(Connection& c) {
  // Every thread is asked for its connections in turn; the answer comes back to this one.
  c.awaits_hub = true;
  update_interest(c);
  gather_connections(core_, [this, token = c.token](std::vector<ConnectionStats> connections) {
    post([this, token, connections = std::move(connections)] {
      Connection* const waiting = find(token);
      if (waiting == nullptr || !waiting->handshake) return;
      waiting->awaits_hub = false;
      respond(*waiting,
              waiting->handshake->respond(200, "application/json", stats_json(core_, connections)));
    });
  });
}

}  // namespace stratwire::server
