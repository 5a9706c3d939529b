// Connections: tries, meetings, losses, the end. Messages are in peer_session_messages.cpp.

#include <algorithm>
#include <utility>

#include <stratwire/session/peer_session.hpp>

namespace stratwire::session {

PeerSession::PeerSession(PeerSessionConfig config)
    : config_(std::move(config)),
      name_(config_.other),
      heartbeat_(config_.ping_interval),
      backoff_(config_.backoff, config_.nearness, config_.seed),
      log_(config_.log),
      // An asker that started anew must not take a Reply to its forerunner for one to itself:
      // epochs are microseconds, and nobody asks a million times in a second.
      last_id_(config_.epoch),
      asked_(config_.requests_max),
      heard_(config_.requests_max) {}

void PeerSession::start(Instant now) {
  if (config_.role == PeerSessionConfig::Role::dial) return try_now(now);
  phase_ = Phase::listening;
  announce(PeerState::listening);
}

void PeerSession::try_now(Instant now) {
  phase_ = Phase::trying;
  due_ = now + config_.connect_timeout;
  if (!quiet_try_) announce(PeerState::connecting);
  actions_.emplace_back(Connect{});
}

void PeerSession::try_failed(Instant now, Error cause, Loss loss) {
  if (phase_ != Phase::trying) return;
  ++counts_.connect_failures;
  count_loss(now, std::move(cause), loss);
}

void PeerSession::count_loss(Instant now, Error cause, Loss loss) {
  if (loss == Loss::fatal) return end(PeerState::failed, std::move(cause));
  const Backoff::Next next = backoff_.lost(now, loss);
  if (next.give_up) {
    Error exhausted{Errc::attempts_exhausted};
    exhausted.context =
        std::to_string(backoff_.attempt()) + " tries failed in a row; the last: " + cause.message();
    return end(PeerState::failed, std::move(exhausted));
  }
  phase_ = Phase::idle;
  quiet_try_ = next.knock;
  due_ = now + next.delay;
  if (next.counted) announce(PeerState::backing_off, std::move(cause), next.delay);
}

void PeerSession::lost(Instant now, Ending ending) {
  if (!linked()) return;
  if (phase_ == Phase::closing) return end(PeerState::closed, {});
  if (config_.role == PeerSessionConfig::Role::dial) {
    return count_loss(now, std::move(ending.cause), loss_of(ending.close_code));
  }
  phase_ = Phase::listening;
  announce(PeerState::listening, std::move(ending.cause));
}

// ---- Meeting

PeerHello PeerSession::hello() const {
  return {config_.name, config_.epoch, cursor_.epoch, cursor_.seq};
}

std::optional<PeerMeeting> PeerSession::refusal(std::uint64_t connection,
                                                const PeerHello& hello) const {
  using Answer = PeerMeeting::Answer;
  const auto refuse = [](std::uint16_t code, std::string reason) {
    return PeerMeeting{Answer::refused, code, std::move(reason)};
  };
  if (phase_ == Phase::idle || phase_ == Phase::closing || phase_ == Phase::ended) {
    return refuse(1001, "this peer is closing");
  }
  if (hello.name.empty() || hello.epoch == 0) {
    return refuse(kPeerBroke, "a PeerHello has a name and an epoch that is not 0");
  }
  if (!name_.empty() && hello.name != name_) {
    return refuse(kPeerTaken, "this peer is linked with '" + name_ + "' only");
  }
  if (phase_ == Phase::linked && connection < connection_) {
    return refuse(kPeerReplaced, "a newer connection of this peer was there first");
  }
  return std::nullopt;
}

PeerMeeting PeerSession::meet(Instant now, std::uint64_t connection, const PeerHello& hello) {
  if (auto refused = refusal(connection, hello)) {
    ++counts_.refused;
    if (phase_ == Phase::trying) {
      end(PeerState::failed,
          {Errc::protocol_violation, 0, "'" + hello.name + "' answered there: " + refused->reason});
    }
    return *std::move(refused);
  }
  PeerMeeting meeting{PeerMeeting::Answer::linked, 0, {}};
  if (phase_ == Phase::linked) {
    meeting.code = kPeerReplaced;
    meeting.reason = "replaced by a newer connection of the same peer";
  }
  phase_ = Phase::linked;
  due_ = kNever;
  connection_ = connection;
  // Once only: events hold views of it.
  if (name_.empty()) name_ = hello.name;
  enter_epoch(hello.epoch);
  ++generation_;
  ++counts_.links;
  backoff_.opened(now);
  heartbeat_.opened(now);
  place_writer(now, hello);
  announce(PeerState::linked);
  return meeting;
}

/// What the other side's numbers mean from now on; the old ones end with a Gap.
void PeerSession::enter_epoch(std::uint64_t epoch) {
  if (cursor_.epoch == epoch) return;
  if (cursor_.epoch != 0) {
    const Gap gap{cursor_.epoch, cursor_.seq + 1, 0, Gap::Reason::epoch_change};
    count_gap(gap);
    events_.push_back({other(), gap});
    asked_.give_up(AskedRequests::Which::written,
                   [this](std::uint64_t id) { unanswered(id, Errc::connection_lost); });
    heard_.clear();
    void_replies_to_ = log_.head();
  }
  cursor_ = {epoch, 0};
}

void PeerSession::place_writer(Instant now, const PeerHello& hello) {
  log_.evict_older_than(now);
  write_next_ = 1;
  if (hello.received_epoch == config_.epoch && hello.received_seq <= log_.head()) {
    log_.evict_through(hello.received_seq);
    write_next_ = hello.received_seq + 1;
  }
  wrote_ = false;
  // What our PeerHello said may be old by now.
  acked_ = 0;
  ack_at_ = kNever;
  if (cursor_.seq != 0) owe_ack(now);
}

// ---- Time and the end

void PeerSession::tick(Instant now) {
  if (phase_ == Phase::ended) return;
  asked_.expire(now, [this](std::uint64_t id) { unanswered(id, Errc::deadline_exceeded); });
  heard_.expire(now);
  pay_owed(now);
  if (phase_ == Phase::linked) {
    const Heartbeat::Action next = heartbeat_.step(now);
    if (next == Heartbeat::Action::send_ping) actions_.emplace_back(WritePing{});
    if (next != Heartbeat::Action::declare_dead) return;
    actions_.emplace_back(Drop{});
    lost(now, {{Errc::peer_timeout, 0, "nothing came from '" + name_ + "'"}, 0});
    return;
  }
  if (now < due_) return;
  if (phase_ == Phase::idle) return try_now(now);
  actions_.emplace_back(Drop{});
  if (phase_ == Phase::closing) {
    end(PeerState::closed, {});
  } else {
    try_failed(now, {Errc::handshake_timeout, 0, "the other side did not answer in time"},
               Loss::ordinary);
  }
}

Instant PeerSession::next_tick() const noexcept {
  if (phase_ == Phase::ended) return kNever;
  Instant next = std::min(due_, asked_.next_due());
  if (!linked()) return next;
  if (phase_ == Phase::linked) next = std::min(next, heartbeat_.next());
  return std::min({next, heard_.next_due(), ack_at_});
}

void PeerSession::close(Instant now) {
  switch (phase_) {
    case Phase::linked:
      phase_ = Phase::closing;
      due_ = now + config_.close_timeout;
      announce(PeerState::closing);
      actions_.emplace_back(Shutdown{});
      break;
    case Phase::trying:
      actions_.emplace_back(Drop{});
      [[fallthrough]];
    case Phase::idle:
    case Phase::listening:
      end(PeerState::closed, {});
      break;
    case Phase::closing:
    case Phase::ended:
      break;
  }
}

void PeerSession::end(PeerState state, Error cause) {
  phase_ = Phase::ended;
  due_ = kNever;
  const Errc code = state == PeerState::closed ? Errc::closed : Errc::connection_lost;
  asked_.give_up(AskedRequests::Which::all, [&](std::uint64_t id) { unanswered(id, code); });
  heard_.clear();
  announce(state, std::move(cause));
}

// ---- Actions and events

std::optional<PeerSession::Action> PeerSession::next_action() {
  if (actions_taken_ == actions_.size()) {
    actions_.clear();
    actions_taken_ = 0;
    return std::nullopt;
  }
  return std::move(actions_[actions_taken_++]);
}

PeerSession::Event PeerSession::next_event() {
  Event event = std::move(events_[events_taken_++]);
  if (events_taken_ == events_.size()) {
    events_.clear();
    events_taken_ = 0;
  }
  return event;
}

void PeerSession::announce(PeerState state, Error cause, Duration retry_in) {
  state_ = state;
  cause_ = cause;
  PeerStateEvent event;
  event.state = state;
  event.cause = std::move(cause);
  // Rounded up: a try must not come before it was announced.
  event.retry_in = std::chrono::ceil<std::chrono::milliseconds>(retry_in);
  event.attempt = backoff_.attempt();
  events_.push_back({other(), std::move(event)});
}

void PeerSession::unanswered(std::uint64_t id, Errc code) {
  ++counts_.unanswered;
  const Reply report{id, code, std::string{describe(code)}, {}};
  events_.push_back({other(), report});
}

}  // namespace stratwire::session
