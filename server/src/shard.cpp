#include "shard.hpp"

#include <utility>

namespace stratwire::server {
namespace {

constexpr std::size_t kReceiveBytes = 512 * 1024;
constexpr std::int64_t kSweepMs = 500;
/// PROTOCOL.md 8.1.
constexpr transport::CloseCode kSlowConsumer{4101};

std::string_view protocol_name(Dialect dialect) noexcept {
  switch (dialect) {
    case Dialect::json:
      return "stratwire.v1.json";
    case Dialect::msgpack:
      return "stratwire.v1.msgpack";
    case Dialect::plain:
      break;
  }
  return "plain";
}

}  // namespace

Shard::Shard(Core& core, std::size_t index, ShardHost& host)
    : core_(core),
      index_(index),
      figures_(core.figures[index]),
      counters_(figures_.counters),
      host_(host),
      fanout_(core, figures_, host),
      receive_buffer_(kReceiveBytes) {}

Shard::~Shard() = default;

// ---- Connections by slot

Connection* Shard::find(std::uint64_t token) noexcept {
  const auto slot = static_cast<std::uint32_t>(token);
  if (slot >= slots_.size() || !slots_[slot] || slots_[slot]->token != token) return nullptr;
  return slots_[slot]->phase == Connection::Phase::closed ? nullptr : slots_[slot].get();
}

Connection& Shard::make_connection(transport::Socket socket) {
  std::uint32_t slot = 0;
  if (free_slots_.empty()) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
    generations_.push_back(0);
  } else {
    slot = free_slots_.back();
    free_slots_.pop_back();
  }
  slots_[slot] = std::make_unique<Connection>(
      std::move(socket),
      transport::FrameLimits{.message_bytes_max = core_.config.inbound_message_bytes_max});
  slots_[slot]->token = std::uint64_t{++generations_[slot]} << 32 | slot;
  ++open_connections_;
  return *slots_[slot];
}

void Shard::adopt(transport::Socket socket, Now now) {
  begin(make_connection(std::move(socket)), now);
}

void Shard::adopt_surplus(transport::Socket socket, Now now) {
  Connection& c = make_connection(std::move(socket));
  c.counted = false;
  ++surplus_connections_;
  begin(c, now);
}

void Shard::begin(Connection& c, Now now) {
  now_ = now;
  c.handshake = std::make_unique<transport::ServerHandshake>();
  c.heard_at_ms = now.ms;
  c.deadline_ms = now.ms + core_.config.handshake_timeout.count();
  if (closing_all_ || !host_.watch(c.socket.fd(), c.token, c.interest)) {
    drop(c);
  } else {
    // The request is often there already.
    read(c);
  }
  settle();
}

void Shard::on_ready(const transport::Ready& ready, Now now) {
  now_ = now;
  Connection* const c = find(ready.token);
  if (c == nullptr) return;
  if (ready.writable) fanout_.flush(*c, now);
  if ((ready.readable || ready.broken) && !c->failed) {
    if (c->reads()) {
      read(*c);
    } else if (ready.broken) {
      // Told again and again: it must end even where reading is paused.
      drop(*c);
    }
  }
  settle();
}

Shard::Look Shard::look_at(std::uint64_t token, Now now) {
  Connection* const c = find(token);
  if (c == nullptr) return Look::gone;
  if (c->failed || !c->reads()) return Look::nothing;
  now_ = now;
  if (!read(*c)) return Look::nothing;
  settle();
  return Look::something;
}

/// Does what the fan-out found out about connections.
void Shard::settle() {
  while (!fanout_.broken.empty() || !fanout_.slow.empty()) {
    tokens_.swap(fanout_.slow);
    for (const std::uint64_t token : tokens_) {
      Connection* const c = find(token);
      if (c != nullptr && !c->failed) close_slow(*c, "more waits for it than the hard limit");
    }
    tokens_.clear();
    tokens_.swap(fanout_.broken);
    for (const std::uint64_t token : tokens_) {
      if (Connection* const c = find(token)) drop(*c);
    }
    tokens_.clear();
  }
}

void Shard::forget_dropped() {
  for (Connection* const c : dropped_) {
    const auto slot = static_cast<std::uint32_t>(c->token);
    slots_[slot].reset();
    free_slots_.push_back(slot);
  }
  dropped_.clear();
}

// ---- Time

void Shard::write(Now now) {
  now_ = now;
  // A Heartbeat that is due goes in the send() of what waits, where something does: alone it costs
  // one more for each connection, a tenth of all with 10,000 of them.
  if (next_beat_ms_ != 0 && now.ms >= next_beat_ms_ && fanout_.has_unsent()) {
    beat();
  } else {
    fanout_.write(now);
  }
  settle();
}

void Shard::beat() {
  fanout_.beat(now_);
  next_beat_ms_ = now_.ms + core_.config.heartbeat_interval.count();
}

void Shard::turn(Now now) {
  write(now);
  tokens_.swap(answered_);
  for (const std::uint64_t token : tokens_) {
    if (Connection* const c = find(token)) fanout_.flush(*c, now);
  }
  tokens_.clear();
  published_ = false;
  settle();
  publish_lag();
  if (now.ms >= next_tick_ms_) tick();
  // Only those of now: what their requests bring is for the next turn.
  std::vector<std::uint64_t> drained;
  drained.swap(fanout_.drained);
  for (const std::uint64_t token : drained) {
    Connection* const c = find(token);
    if (c == nullptr) continue;
    c->drained = false;
    if (c->replaying && !c->lagging) pull(*c);
    resume(*c);
  }
  settle();
  forget_dropped();
}

void Shard::publish_lag() noexcept {
  // release: pairs with the acquire in ShardFigures::lag(), and comes before what left the ring or
  // the inbox is subtracted (HubLink::settle(), Hub::settle_paced()).
  figures_.lag_bytes.store(fanout_.lag_bytes(), std::memory_order_release);
}

void Shard::tick() {
  next_tick_ms_ = now_.ms + kTickMs;
  if (now_.ms >= next_sweep_ms_) {
    next_sweep_ms_ = now_.ms + kSweepMs;
    sweep_connections();
    sweep_parts();
  }
  if (next_beat_ms_ == 0) {
    // The first look only begins the first interval.
    next_beat_ms_ = now_.ms + core_.config.heartbeat_interval.count();
  } else if (now_.ms >= next_beat_ms_) {
    beat();
  }
  settle();
}

void Shard::sweep_connections() {
  for (const auto& slot : slots_) {
    if (!slot) continue;
    Connection& c = *slot;
    switch (c.phase) {
      case Connection::Phase::handshake:
      case Connection::Phase::closing:
        if (now_.ms < c.deadline_ms) break;
        // A drain has a deadline of its own, and what was published before it is owed.
        if (closing_all_ && c.lane_bytes() != 0) break;
        if (c.phase == Connection::Phase::handshake) counters_.timeouts.add();
        drop(c);
        break;
      case Connection::Phase::open:
        sweep_open(c);
        break;
      case Connection::Phase::closed:
        break;
    }
  }
}

void Shard::sweep_open(Connection& c) {
  if (c.lagging && now_.ms - c.progress_ms >= core_.config.stall_max.count()) {
    close_slow(c, "it took nothing for " + std::to_string(now_.ms - c.progress_ms) + " ms");
    return;
  }
  if (!c.reads()) {
    // It may say what it likes meanwhile; those that take nothing are found above.
    c.note_life(now_.ms);
    return;
  }
  const std::int64_t ping_after = core_.config.ping_interval.count();
  // Never without a ping first, however late this sweep is.
  if (c.ping_sent && now_.ms - c.heard_at_ms >= 2 * ping_after) {
    counters_.timeouts.add();
    core_.log(LogLevel::info,
              "connection " + std::to_string(c.id) + " gave no sign of life and was dropped");
    drop(c);
  } else if (ping_after != 0 && !c.ping_sent && now_.ms - c.heard_at_ms >= ping_after) {
    c.ping_sent = true;
    fanout_.append_urgent(c, transport::Opcode::ping, {});
    fanout_.flush(c, now_);
  }
}

// ---- Ends

void Shard::close(Connection& c, transport::CloseCode code, std::string_view reason) {
  if (c.phase != Connection::Phase::open) return;
  fanout_.finish_log(c);
  forget_interest(c);
  if (!c.lane) c.lane = std::make_unique<Lane>();
  c.lane->append_close(code, reason);
  c.phase = Connection::Phase::closing;
  c.deadline_ms = now_.ms + limits::kCloseTimeout.count();
  c.awaits_hub = false;
  c.read_paused = false;
  c.holds_request = false;
  c.replaying = false;
  fanout_.leave(c);
  fanout_.update_interest(c);
}

/// No Gap: it resumes from its cursor, and what the logs still have then was only late.
void Shard::close_slow(Connection& c, std::string_view why) {
  if (c.phase != Connection::Phase::open) return;
  counters_.slow_consumers.add();
  core_.log(LogLevel::warning, "connection " + std::to_string(c.id) +
                                   " is closed as a slow consumer: " + std::string(why));
  fanout_.cut(c);
  close(c, kSlowConsumer, "slow consumer: read faster, then come back and resume");
  fanout_.flush(c, now_);
}

void Shard::forget_interest(Connection& c) {
  pending_.erase(c.token);
  parts_.erase(c.token);
  if (c.cohort == nullptr || c.cohort->channels.empty()) return;
  auto change = std::make_unique<InterestChange>();
  change->removed = c.cohort->channels;
  change->shard = index_;
  change->dialect = c.dialect;
  host_.tell_hub(std::move(change));
}

void Shard::drop(Connection& c) {
  if (c.phase == Connection::Phase::closed) return;
  forget_interest(c);
  fanout_.leave(c);
  c.phase = Connection::Phase::closed;
  host_.unwatch(c.socket.fd());
  c.socket.close();
  --open_connections_;
  dropped_.push_back(&c);
  if (!c.counted) {
    --surplus_connections_;
    return;
  }
  counters_.disconnected.add();
  core_.connection_gone();
}

void Shard::drop_all() {
  for (const auto& slot : slots_) {
    if (slot) drop(*slot);
  }
  forget_dropped();
}

void Shard::go_away(Now now) {
  now_ = now;
  gone_away_ = true;
  for (const auto& slot : slots_) {
    if (!slot || slot->phase != Connection::Phase::open) continue;
    fanout_.reply(*slot, core_.next_go_away());
    fanout_.flush(*slot, now);
  }
  settle();
}

void Shard::close_all(Now now) {
  now_ = now;
  closing_all_ = true;
  for (const auto& slot : slots_) {
    if (!slot) continue;
    Connection& c = *slot;
    if (c.phase == Connection::Phase::handshake) {
      drop(c);
    } else if (c.phase == Connection::Phase::open) {
      if (!gone_away_) fanout_.reply(c, core_.next_go_away());
      close(c, transport::CloseCode::going_away, "server is going away");
      fanout_.flush(c, now);
    }
  }
  settle();
}

// ---- Figures

std::vector<ConnectionStats> Shard::connection_stats() const {
  std::vector<ConnectionStats> all;
  for (const auto& slot : slots_) {
    if (!slot || slot->phase != Connection::Phase::open || slot->cohort == nullptr) continue;
    const Connection& c = *slot;
    ConnectionStats stats;
    stats.id = c.id;
    if (c.name) stats.name = *c.name;
    stats.peer = c.socket.peer_address();
    stats.protocol = protocol_name(c.dialect);
    stats.channels = c.cohort->channels.size();
    stats.sent_bytes = c.sent_bytes;
    stats.lag_bytes = c.cohort->log.head() - c.cursor + c.lane_bytes();
    stats.gaps = c.gaps;
    stats.connected_at = c.connected_at;
    all.push_back(std::move(stats));
  }
  return all;
}

}  // namespace stratwire::server
