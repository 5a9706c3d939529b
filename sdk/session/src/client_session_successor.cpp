// Make before break: the connection that takes over from one whose server leaves.

#include <algorithm>
#include <utility>

#include <stratwire/session/client_session.hpp>

namespace stratwire::session {

void ClientSession::try_successor(Instant now) {
  std::vector<std::string> urls = std::move(successor_.urls);
  successor_ = Successor{};
  if (urls.empty() || phase_ != Phase::open) return;
  std::string url = std::move(urls.back());
  urls.pop_back();
  successor_.urls = std::move(urls);
  successor_.stage = Successor::Stage::trying;
  successor_.talk.id = ConnectionId{++last_connection_};
  successor_.due = now + config_.connect_timeout;
  actions_.emplace_back(action::ConnectSuccessor{successor_.talk.id, std::move(url)});
}

void ClientSession::successor_opened(Instant now) {
  if (successor_.stage != Successor::Stage::trying) return;
  successor_.stage = Successor::Stage::open;
  successor_.due = kNever;
  successor_.talk =
      Conversation{successor_.talk.id, continuity_.connected(Continuity::Role::successor),
                   config_.ping_interval, now};
  greet(successor_.talk);
}

/// Its connection or try is gone; what is left of the alternatives is tried.
void ClientSession::successor_failed(Instant now) {
  if (successor_.stage == Successor::Stage::open) {
    continuity_.abandoned(successor_.talk.line, talk_.line);
  }
  try_successor(now);
}

/// It is of no use.
void ClientSession::refuse_successor(Instant now) {
  actions_.emplace_back(action::Drop{successor_.talk.id});
  successor_failed(now);
}

void ClientSession::drop_successor() {
  if (successor_.stage == Successor::Stage::none) return;
  actions_.emplace_back(action::Drop{successor_.talk.id});
  if (successor_.stage == Successor::Stage::open) {
    continuity_.abandoned(successor_.talk.line, talk_.line);
  }
  successor_ = Successor{};
}

void ClientSession::tick_successor(Instant now) {
  switch (successor_.stage) {
    case Successor::Stage::none:
      return;
    case Successor::Stage::trying:
      if (now < successor_.due) return;
      ++counts_.connect_failures;
      return refuse_successor(now);
    case Successor::Stage::open:
      break;
  }
  Conversation& talk = successor_.talk;
  const Heartbeat::Action next = talk.heartbeat.step(now);
  if (next == Heartbeat::Action::send_ping) actions_.emplace_back(action::WritePing{talk.id});
  if (next == Heartbeat::Action::declare_dead) return refuse_successor(now);
  probe_clock(talk, now);
}

bool ClientSession::successor_is_ready() const noexcept {
  return phase_ == Phase::open && successor_.stage == Successor::Stage::open &&
         successor_.talk.all_caught_up();
}

/// Not before every Publish was answered: the answers come on the old connection.
void ClientSession::maybe_take_over(Instant now) {
  if (!successor_is_ready() || sends_.in_flight() != 0) return;
  actions_.emplace_back(action::Leave{talk_.id});
  take_over(now, {});
}

/// The connection is gone before its successor was ready.
void ClientSession::take_over_now(Instant now, Error cause) {
  if (successor_.stage == Successor::Stage::open) return take_over(now, std::move(cause));
  // Its try goes on as the ordinary one.
  phase_ = Phase::trying;
  reading_ = ConnectionId::none;
  due_ = successor_.due;
  talk_ = std::move(successor_.talk);
  is_of_targets_ = false;
  successor_ = Successor{};
  quiet_try_ = false;
  ++generation_;
  announce(ClientState::connecting, std::move(cause));
}

void ClientSession::take_over(Instant now, Error cause) {
  const std::vector<std::string> settled = std::move(successor_.settled);
  talk_ = std::move(successor_.talk);
  is_of_targets_ = false;
  successor_ = Successor{};
  talk_.line.role = Continuity::Role::sole;
  reading_ = talk_.id;
  nowhere_.epoch = talk_.line.epoch;
  backoff_.opened(now);
  targets_.begin_round();
  refused_ = 0;
  ++generation_;
  ++counts_.handovers;
  settle(settled);
  const bool ready = talk_.all_caught_up();
  if (ready) take_heads();
  announce(ready ? ClientState::live : rest_of(talk_), std::move(cause));
}

}  // namespace stratwire::session
