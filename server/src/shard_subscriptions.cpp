// Subscriptions: requests and their parts, the answers of the hub, replays.

#include <algorithm>
#include <iterator>
#include <utility>

#include <stratwire/session/server_session.hpp>

#include "shard.hpp"

namespace stratwire::server {

// ---- Requests

/// While a replay is under way the next change waits, and with it all that comes behind.
bool Shard::hold(Connection& c, const WsMessage& request) {
  if (!c.replaying) return false;
  pending_[c.token].held = request;
  c.holds_request = true;
  fanout_.update_interest(c);
  return true;
}

void Shard::on_subscribe(Connection& c, const Subscribe& request) {
  if (refuse_between_parts(c, request.id)) return;
  if (request.more || parts_.contains(c.token)) {
    add_part(c, request);
  } else if (auto error = check_size(request)) {
    refuse_request(c, request.id, std::move(*error));
  } else {
    subscribe(c, request);
  }
}

/// A request that stands between the parts of another one, which is forgotten then, is refused.
bool Shard::refuse_between_parts(Connection& c, std::uint64_t id, Part part) {
  const auto parts = parts_.find(c.token);
  if (parts == parts_.end()) return false;
  const std::uint64_t begun = parts->second.request.id;
  if (part == Part::maybe && begun == id) return false;
  const bool was_expired = parts->second.expired;
  parts_.erase(parts);
  if (was_expired) return false;
  refuse_request(c, id,
                 {Errc::protocol_violation, 0,
                  "the parts of Subscribe " + std::to_string(begun) +
                      " were not finished; send them one behind the other, the last one without "
                      "'more'"});
  return true;
}

/// Parts that stop coming hold memory for nothing.
void Shard::sweep_parts() {
  for (auto& [token, parts] : parts_) {
    Connection* const c = find(token);
    if (c == nullptr || parts.refused) continue;
    // While it is not read the next part may wait in the kernel.
    if (!c->reads()) parts.until_ms = now_.ms + limits::kRequestPartsTimeout.count();
    if (now_.ms < parts.until_ms) continue;
    const std::uint64_t id = parts.request.id;
    parts = {.request = {.channels = {}, .id = id}, .refused = true, .expired = true};
    counters_.timeouts.add();
    refuse_request(*c, id,
                   {Errc::deadline_exceeded, 0,
                    "no further part of this Subscribe came within " +
                        std::to_string(limits::kRequestPartsTimeout.count() / 1000) +
                        " s; it is forgotten, ask again with another id"});
    fanout_.flush(*c, now_);
  }
}

void Shard::add_part(Connection& c, const Subscribe& part) {
  Parts& parts = parts_[c.token];
  Subscribe& whole = parts.request;
  whole.id = part.id;
  whole.snapshot = part.snapshot;
  parts.until_ms = now_.ms + limits::kRequestPartsTimeout.count();
  if (!parts.refused) {
    std::ranges::copy(part.channels, std::back_inserter(whole.channels));
    std::ranges::copy(part.since, std::back_inserter(whole.since));
    if (auto error = check_size(whole)) {
      refuse_request(c, part.id, std::move(*error));
      parts.refused = true;
      whole.channels = {};
      whole.since = {};
    }
  }
  if (part.more) return;
  const Parts done = std::move(parts);
  parts_.erase(c.token);
  if (!done.refused) subscribe(c, done.request);
}

std::optional<Error> Shard::check_size(const Subscribe& request) const {
  if (request.since.size() > limits::kResumePointsMax) {
    return Error{Errc::too_large, 0,
                 "a Subscribe may have " + std::to_string(limits::kResumePointsMax) +
                     " points in 'since', all parts together"};
  }
  if (request.channels.size() > core_.config.channels_per_connection_max) {
    // One error instead of thousands of results.
    return Error{Errc::too_many_channels, 0,
                 "Subscribe names " + std::to_string(request.channels.size()) +
                     " channels; a connection may have at most " +
                     std::to_string(core_.config.channels_per_connection_max) +
                     " channels; use kind:* or a second connection"};
  }
  return std::nullopt;
}

void Shard::refuse_request(Connection& c, std::uint64_t id, Error error) {
  counters_.refused_requests.add();
  refuse(c, id, std::move(error));
}

void Shard::subscribe(Connection& c, const Subscribe& request) {
  const auto kinds = core_.registry.kinds();
  auto plan = session::plan_subscribe(c.cohort->channels, request,
                                      {*kinds, core_.config.channels_per_connection_max});
  if (!plan) {
    refuse_request(c, request.id, plan.error());
    return;
  }
  auto change = std::make_unique<InterestChange>();
  change->added = std::move(plan->added);
  // The hub is asked for those that stand already too: a client that subscribes again wants heads.
  change->asked.reserve(plan->results.size());
  for (const ChannelResult& result : plan->results) {
    if (result.code != Errc::ok) counters_.refused_requests.add();
    change->asked.push_back(result.code == Errc::ok ? result.channel : std::string{});
  }
  if (!request.since.empty() || request.snapshot) {
    change->replays = true;
    change->snapshot = request.snapshot;
    change->since = request.since;
    change->had = c.cohort->channels;
    counters_.replays.add();
  }
  pending_[c.token] = {.channels = std::move(plan->channels),
                       .results = std::move(plan->results),
                       .id = request.id,
                       .kind = Pending::Kind::subscribed};
  request_interest(c, std::move(change));
}

void Shard::on_unsubscribe(Connection& c, const Unsubscribe& request) {
  if (refuse_between_parts(c, request.id, Part::never)) return;
  // More than it can have: one error instead of thousands of results.
  if (request.channels.size() > core_.config.channels_per_connection_max) {
    refuse_request(c, request.id,
                   {Errc::too_many_channels, 0,
                    "Unsubscribe names " + std::to_string(request.channels.size()) +
                        " channels; a connection has at most " +
                        std::to_string(core_.config.channels_per_connection_max)});
    return;
  }
  auto plan = session::plan_unsubscribe(c.cohort->channels, request);
  for (const ChannelResult& result : plan.results) {
    if (result.code != Errc::ok) counters_.refused_requests.add();
  }
  auto change = std::make_unique<InterestChange>();
  change->removed = std::move(plan.removed);
  pending_[c.token] = {.channels = std::move(plan.channels),
                       .results = std::move(plan.results),
                       .id = request.id,
                       .kind = Pending::Kind::unsubscribed};
  request_interest(c, std::move(change));
}

// ---- Answers of the hub

void Shard::request_interest(Connection& c, std::unique_ptr<InterestChange> change) {
  change->shard = index_;
  change->connection_token = c.token;
  change->dialect = c.dialect;
  // Told to the host only if the answer does not come at once.
  c.awaits_hub = true;
  asking_ = &c;
  host_.ask_hub(std::move(change));
  asking_ = nullptr;
  if (c.awaits_hub) fanout_.update_interest(c);
}

void Shard::on_interest(std::unique_ptr<InterestChange> change, Now now) {
  now_ = now;
  const auto found = pending_.find(change->connection_token);
  Connection* const c = find(change->connection_token);
  if (c == nullptr || c->cohort == nullptr || found == pending_.end()) {
    // It went while it waited, and took back what it had before; take back this change too.
    if (!change->applied) return;
    auto undo = std::make_unique<InterestChange>();
    undo->shard = index_;
    undo->dialect = change->dialect;
    undo->added = std::move(change->removed);
    undo->removed = std::move(change->added);
    host_.tell_hub(std::move(undo));
    return;
  }
  Pending& pending = found->second;
  c->awaits_hub = false;
  c->pulling = false;
  if (!pending.answered) answer(*c, pending, *change);
  if (change->replays) take_piece(*c, *change);
  if (change->applied) {
    change_channels(*c, pending);
    std::optional<WsMessage> held = std::move(pending.held);
    const std::uint64_t id = pending.id;
    pending_.erase(found);
    if (change->replays) {
      fanout_.reply(*c, CaughtUp{id});
      end_replay(*c, std::move(held));
    }
  } else {
    c->replaying = true;
    pending.change = std::move(change);
  }
  // At once: whoever asked goes on.
  if (c == asking_) return;
  fanout_.update_interest(*c);
  resume(*c);
  if (c->phase != Connection::Phase::closed) fanout_.flush(*c, now);
  settle();
}

void Shard::answer(Connection& c, Pending& pending, const InterestChange& change) {
  pending.answered = true;
  for (std::size_t i = 0; i < change.granted.size(); ++i) {
    pending.results[i].head = change.granted[i].head;
    pending.results[i].recovered = change.granted[i].recovered;
  }
  const bool subscribed = pending.kind == Pending::Kind::subscribed;
  for (ChannelResult& result : pending.results) {
    if (!subscribed || result.code == Errc::ok) result.epoch = core_.epoch;
  }
  // What the old log still owes goes first; then the answer, whose heads say where the stream
  // stands; then the replay or the new channels.
  fanout_.finish_log(c);
  if (subscribed) {
    fanout_.reply(c, Subscribed{pending.id, std::move(pending.results)});
  } else {
    fanout_.reply(c, Unsubscribed{pending.id, std::move(pending.results)});
  }
}

void Shard::change_channels(Connection& c, Pending& pending) {
  if (pending.channels == c.cohort->channels) return;
  fanout_.finish_log(c);
  fanout_.leave(c);
  fanout_.join(c, std::move(pending.channels));
}

// ---- Replays

void Shard::take_piece(Connection& c, const InterestChange& change) {
  const InterestChange::Piece& piece = change.piece;
  counters_.replayed.add(piece.messages);
  counters_.gaps.add(piece.gaps);
  counters_.missed.add(piece.missed);
  c.gaps += piece.gaps;
  fanout_.append_ready(c, piece.frames, piece.messages);
}

/// The next piece, once it has taken the last one: what waits for it is never more.
void Shard::pull(Connection& c) {
  const auto found = pending_.find(c.token);
  if (c.pulling || found == pending_.end() || !found->second.change) return;
  c.pulling = true;
  host_.ask_hub(std::move(found->second.change));
}

void Shard::end_replay(Connection& c, std::optional<WsMessage> held) {
  c.replaying = false;
  c.holds_request = false;
  if (held) on_request(c, *held);
}

}  // namespace stratwire::server
