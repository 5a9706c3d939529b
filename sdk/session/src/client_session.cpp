// Connections: tries, losses, time; and what the user wants.

#include <algorithm>
#include <utility>

#include <stratwire/session/channel_name.hpp>
#include <stratwire/session/client_session.hpp>

namespace stratwire::session {
namespace {

std::string text_of(Errc code) {
  return std::string{describe(code)};
}

}  // namespace

Loss loss_of(std::uint16_t close_code) noexcept {
  if (close_code >= 4000 && close_code < 4100) return Loss::fatal;
  if (close_code >= 4100 && close_code < 4200) return Loss::penalised;
  if (close_code >= 4200 && close_code < 4300) return Loss::no_penalty;
  return close_code == 1001 ? Loss::no_penalty : Loss::ordinary;
}

Loss loss_of_http(unsigned status) noexcept {
  // Timeout, too early, too many requests: the same request can succeed later.
  if (status == 408 || status == 425 || status == 429) return Loss::penalised;
  // 5xx and no answer at all pass; everything else is a server that will not upgrade this request.
  return status == 0 || status >= 500 ? Loss::ordinary : Loss::fatal;
}

ClientSession::ClientSession(ClientSessionConfig config)
    : config_(std::move(config)),
      continuity_(config_.channels_max),
      backoff_(config_.backoff, config_.nearness, config_.seed),
      targets_(config_.targets, config_.target_order, config_.seed),
      subscriptions_(config_.requests),
      sends_(config_.send_buffer) {}

// ---- Connections

void ClientSession::start(Instant now) {
  try_now(now);
}

void ClientSession::try_now(Instant now) {
  phase_ = Phase::trying;
  due_ = now + config_.connect_timeout;
  is_of_targets_ = true;
  talk_ = Conversation{};
  talk_.id = ConnectionId{++last_connection_};
  if (!quiet_try_) {
    ++generation_;
    announce(ClientState::connecting);
  }
  actions_.emplace_back(action::Connect{talk_.id, targets_.current()});
}

void ClientSession::opened(ConnectionId connection, Instant now) {
  if (connection == successor()) return successor_opened(now);
  if (phase_ != Phase::trying || connection != talk_.id) return;
  if (quiet_try_) {
    ++generation_;
    announce(ClientState::connecting);
  }
  phase_ = Phase::open;
  due_ = kNever;
  reading_ = connection;
  nowhere_.epoch = 0;
  refused_ = 0;
  targets_.opened();
  backoff_.opened(now);
  talk_ = Conversation{connection, continuity_.connected(), config_.ping_interval, now};
  announce(ClientState::subscribing);
  greet(talk_);
  progress();
}

void ClientSession::greet(Conversation& talk) {
  ++counts_.connects;
  if (!config_.name.empty()) actions_.emplace_back(action::Write{talk.id, Hello{config_.name}});
  ask(talk, subscriptions_.ask_all(asker(talk)));
}

SubscriptionTracker::Asker ClientSession::asker(Conversation& talk) noexcept {
  // A successor that did not resume would leave a hole where the connection ends.
  const bool every = config_.resume == Resume::automatic || is_successor(talk);
  return {continuity_, talk.line, every ? Continuity::Which::every : Continuity::Which::seeded};
}

void ClientSession::ask(Conversation& talk, std::vector<Subscribe> requests) {
  for (Subscribe& request : requests) {
    talk.asked(request);
    actions_.emplace_back(action::Write{talk.id, std::move(request)});
  }
}

void ClientSession::try_failed(ConnectionId connection, Instant now, Failure failure) {
  if (connection == ConnectionId::none) return;
  if (connection == successor()) {
    ++counts_.connect_failures;
    return successor_failed(now);
  }
  if (phase_ != Phase::trying || connection != talk_.id) return;
  ++counts_.connect_failures;
  lose_contact();
  if (failure.retry_after > Duration{0}) targets_.not_before(now + failure.retry_after);
  if (failure.loss == Loss::fatal) ++refused_;
  if (!targets_.failed() && !quiet_try_) {
    // Another server may be there: only when none is does the schedule count.
    phase_ = Phase::idle;
    due_ = targets_.move_on(now);
    announce(ClientState::backing_off, std::move(failure.cause), due_ - now);
    return;
  }
  end_round(now, std::move(failure));
}

/// Every server of the list has failed.
void ClientSession::end_round(Instant now, Failure failure) {
  const bool hopeless = refused_ >= targets_.size();
  refused_ = 0;
  targets_.begin_round();
  if (targets_.size() == 1 && failure.retry_after > Duration{0}) {
    backoff_.asked_to_wait(failure.retry_after);
  }
  // A server that can't be cured by trying does not matter as long as another may come back.
  const bool curable = failure.loss == Loss::fatal && !hopeless;
  count_loss(now, std::move(failure.cause), curable ? Loss::ordinary : failure.loss,
             Next::next_server);
}

void ClientSession::lost(ConnectionId connection, Instant now, Ending ending) {
  if (connection == ConnectionId::none) return;
  if (connection == successor()) return successor_failed(now);
  if (connection != talk_.id || (phase_ != Phase::open && phase_ != Phase::closing)) return;
  sends_.lost(talk_.bytes_left, fates_);
  report_fates();
  if (phase_ == Phase::closing) {
    end(ClientState::closed, {});
    return;
  }
  const Loss loss = loss_of(ending.close_code);
  close_code_ = ending.close_code;
  if (loss != Loss::fatal && successor_.stage != Successor::Stage::none) {
    take_over_now(now, std::move(ending.cause));
  } else {
    // It alone has the log that goes on where this connection ended, unless others share its
    // epoch. But one that fell silent, or goes away, is not waited for; and a successor that a
    // server named is none of the targets.
    const bool is_there = is_of_targets_ && !talk_.leaves && loss != Loss::no_penalty &&
                          ending.cause.code != Errc::peer_timeout;
    drop_successor();
    lose_contact();
    count_loss(now, std::move(ending.cause), loss,
               is_there ? Next::same_server : Next::next_server);
  }
  close_code_ = 0;
}

/// From here on no event of the connection or the try means anything.
void ClientSession::lose_contact() {
  reading_ = ConnectionId::none;
  talk_ = Conversation{};
}

void ClientSession::count_loss(Instant now, Error cause, Loss loss, Next where) {
  if (loss == Loss::fatal) {
    end(ClientState::failed, std::move(cause));
    return;
  }
  const Backoff::Next next = backoff_.lost(now, loss);
  if (next.give_up) {
    Error exhausted{Errc::attempts_exhausted};
    exhausted.context =
        std::to_string(backoff_.attempt()) + " tries failed in a row; the last: " + cause.message();
    end(ClientState::failed, std::move(exhausted));
    return;
  }
  phase_ = Phase::idle;
  quiet_try_ = next.knock;
  due_ = now + next.delay;
  if (where == Next::next_server) {
    due_ = targets_.move_on(due_);
  } else {
    if (backoff_.attempt() == 0) targets_.kept();
    due_ = targets_.come_back(due_);
  }
  if (next.counted) announce(ClientState::backing_off, std::move(cause), due_ - now);
}

void ClientSession::end(ClientState state, Error cause) {
  drop_successor();
  lose_contact();
  phase_ = Phase::ended;
  due_ = kNever;
  sends_.close(fates_);
  report_fates();
  announce(state, std::move(cause));
}

void ClientSession::close(Instant now) {
  switch (phase_) {
    case Phase::open:
      drop_successor();
      phase_ = Phase::closing;
      due_ = now + config_.close_timeout;
      reading_ = ConnectionId::none;
      announce(ClientState::closing);
      actions_.emplace_back(action::Close{talk_.id});
      break;
    case Phase::trying:
      actions_.emplace_back(action::Drop{talk_.id});
      [[fallthrough]];
    case Phase::idle:
      end(ClientState::closed, {});
      break;
    case Phase::closing:
    case Phase::ended:
      break;
  }
}

// ---- Time

void ClientSession::tick(Instant now) {
  if (phase_ == Phase::ended) return;
  sends_.expire(now, fates_);
  report_fates();
  if (phase_ == Phase::open) return tick_open(now);
  if (now < due_) return;
  if (phase_ == Phase::idle) return try_now(now);
  const ConnectionId connection = talk_.id;
  actions_.emplace_back(action::Drop{connection});
  if (phase_ == Phase::closing) {
    end(ClientState::closed, {});
  } else {
    try_failed(connection, now,
               {{Errc::handshake_timeout, 0, "the server did not answer in time"}, Loss::ordinary});
  }
}

void ClientSession::tick_open(Instant now) {
  switch (talk_.heartbeat.step(now)) {
    case Heartbeat::Action::wait:
      break;
    case Heartbeat::Action::send_ping:
      actions_.emplace_back(action::WritePing{talk_.id});
      break;
    case Heartbeat::Action::say_stale:
      ++counts_.stales;
      announce(ClientState::stale, {Errc::peer_timeout, 0, "a heartbeat of the server is overdue"});
      break;
    case Heartbeat::Action::declare_dead:
      actions_.emplace_back(action::Drop{talk_.id});
      lost(talk_.id, now, {{Errc::peer_timeout, 0, "nothing came from the server"}, 0});
      return;
  }
  ask_again(now);
  probe_clock(talk_, now);
  tick_successor(now);
  maybe_take_over(now);
}

Instant ClientSession::next_tick() const noexcept {
  if (phase_ == Phase::ended) return kNever;
  Instant next = std::min(due_, sends_.next_expiry());
  if (phase_ != Phase::open) return next;
  next = std::min({next, talk_.heartbeat.next(), talk_.ask_at, talk_.probe_at, successor_.due});
  if (successor_.stage != Successor::Stage::open) return next;
  const Conversation& talk = successor_.talk;
  return std::min({next, talk.heartbeat.next(), talk.probe_at});
}

// ---- The user

void ClientSession::subscribe(std::span<const std::string> channels, Start start,
                              std::span<const ResumePoint> since) {
  if (phase_ == Phase::ended) return;
  subscriptions_.wish(channels, start);
  for (const ResumePoint& point : since) {
    if (subscriptions_.wanted(point.channel)) continuity_.seed(point);
  }
  if (state_ == ClientState::live && !channels.empty()) announce(ClientState::subscribing);
  if (phase_ == Phase::open) ask(talk_, subscriptions_.ask(asker(talk_), channels));
  if (successor_.stage == Successor::Stage::open) {
    ask(successor_.talk, subscriptions_.ask(asker(successor_.talk), channels));
  }
}

void ClientSession::unsubscribe(std::span<const std::string> channels) {
  if (phase_ == Phase::ended) return;
  subscriptions_.unwish(channels);
  const auto leave = [&](Conversation& talk) {
    for (Unsubscribe& request : subscriptions_.leave(channels)) {
      talk.asked(request);
      actions_.emplace_back(action::Write{talk.id, std::move(request)});
    }
  };
  if (phase_ == Phase::open) leave(talk_);
  if (successor_.stage == Successor::Stage::open) leave(successor_.talk);
  for (const std::string& channel : channels) forget(channel);
}

void ClientSession::forget(std::string_view channel) {
  const auto name = parse_channel_name(channel, Wildcards::allowed);
  if (!name.ok()) return;
  if (!name->wildcard) {
    if (!subscriptions_.wanted(channel)) continuity_.forget(channel);
    return;
  }
  continuity_.forget(channel);
  continuity_.forget_if([&](std::string_view other) {
    return covers(channel, other) && !subscriptions_.wanted(other);
  });
}

void ClientSession::send(Outgoing message) {
  const Fate fate{message.user_id, phase_ == Phase::ended || phase_ == Phase::closing
                                       ? Errc::closed
                                       : Errc::back_pressured};
  if (fate.code == Errc::back_pressured && sends_.push(std::move(message))) return;
  fates_.push_back(fate);
  report_fates();
}

const Outgoing* ClientSession::next_send() {
  if (phase_ != Phase::open && phase_ != Phase::closing) return nullptr;
  // The successor takes over as soon as what is on its way was answered: nothing is added to it.
  if (successor_is_ready()) return nullptr;
  const Outgoing* next = sends_.next();
  while (next != nullptr && talk_.server_message_bytes_max != 0 &&
         next->payload.size() > talk_.server_message_bytes_max) {
    fates_.push_back(sends_.refuse_next(Errc::too_large));
    report_fates();
    next = sends_.next();
  }
  return next;
}

void ClientSession::left(ConnectionId connection, std::uint64_t bytes) noexcept {
  if (Conversation* const talk = find(connection)) talk->bytes_left = bytes;
}

// ---- Actions

std::optional<Action> ClientSession::next_action() {
  if (actions_taken_ == actions_.size()) {
    actions_.clear();
    actions_taken_ = 0;
    return std::nullopt;
  }
  return std::move(actions_[actions_taken_++]);
}

void ClientSession::announce(ClientState state, Error cause, Duration retry_in) {
  state_ = state;
  cause_ = cause;
  StateEvent event;
  event.state = state;
  event.generation = generation_;
  event.cause = std::move(cause);
  // Rounded up: a try must not come before it was announced.
  event.retry_in = std::chrono::ceil<std::chrono::milliseconds>(retry_in);
  event.attempt = backoff_.attempt();
  event.close_code = close_code_;
  hand(std::move(event));
}

void ClientSession::hand(Notice notice) {
  actions_.emplace_back(action::HandNotice{std::move(notice)});
}

void ClientSession::hand_gap(std::string_view channel, const Gap& gap) {
  ++counts_.gaps;
  if (gap.to >= gap.from) counts_.missed += gap.to - gap.from + 1;
  actions_.emplace_back(action::HandGap{channel, gap});
}

void ClientSession::report_fates() {
  for (const Fate& fate : fates_) {
    ++counts_.sends_dropped;
    hand(Published{fate.user_id, fate.code, text_of(fate.code)});
  }
  fates_.clear();
}

}  // namespace stratwire::session
