#include <algorithm>
#include <utility>

#include <stratwire/session/channel_name.hpp>
#include <stratwire/session/client_session.hpp>

namespace stratwire::session {
namespace {

// A refused kind is asked for again: soon, because the producer of a server that has just started
// opens its channels a moment later, then seldom.
constexpr Duration kAskAgainMin = std::chrono::milliseconds{100};
constexpr Duration kAskAgainMax = std::chrono::seconds{5};

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
      heartbeat_(config_.ping_interval),
      backoff_(config_.backoff, config_.nearness, config_.seed),
      subscriptions_(config_.requests),
      sends_(config_.send_buffer) {}

// ---- Connections

void ClientSession::start(Instant now) {
  try_now(now);
}

void ClientSession::try_now(Instant now) {
  phase_ = Phase::trying;
  due_ = now + config_.connect_timeout;
  if (!quiet_try_) {
    ++generation_;
    announce(ClientState::connecting);
  }
  actions_.emplace_back(action::Connect{});
}

void ClientSession::opened(Instant now) {
  if (phase_ != Phase::trying) return;
  if (quiet_try_) {
    ++generation_;
    announce(ClientState::connecting);
  }
  phase_ = Phase::open;
  due_ = kNever;
  epoch_ = 0;
  nowhere_.epoch = 0;
  server_message_bytes_max_ = 0;
  server_channels_max_ = 0;
  bytes_left_ = 0;
  unknown_.clear();
  ask_at_ = kNever;
  ++counts_.connects;
  backoff_.opened(now);
  heartbeat_.opened(now);
  continuity_.connected();
  announce(ClientState::subscribing);
  if (!config_.name.empty()) actions_.emplace_back(action::Write{Hello{config_.name}});
  for (Subscribe& request : subscriptions_.connected()) {
    actions_.emplace_back(action::Write{std::move(request)});
  }
  maybe_live();
}

void ClientSession::maybe_live() {
  if (state_ == ClientState::subscribing && subscriptions_.all_answered()) {
    announce(ClientState::live);
  }
}

void ClientSession::try_failed(Instant now, Error cause, Loss loss) {
  if (phase_ != Phase::trying) return;
  ++counts_.connect_failures;
  count_loss(now, std::move(cause), loss);
}

void ClientSession::lost(Instant now, Ending ending) {
  if (phase_ != Phase::open && phase_ != Phase::closing) return;
  sends_.lost(bytes_left_, fates_);
  report_fates();
  if (phase_ == Phase::closing) {
    end(ClientState::closed, {});
    return;
  }
  const Loss loss = loss_of(ending.close_code);
  close_code_ = ending.close_code;
  count_loss(now, std::move(ending.cause), loss);
  close_code_ = 0;
}

void ClientSession::count_loss(Instant now, Error cause, Loss loss) {
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
  if (next.counted) announce(ClientState::backing_off, std::move(cause), next.delay);
}

void ClientSession::end(ClientState state, Error cause) {
  phase_ = Phase::ended;
  due_ = kNever;
  sends_.close(fates_);
  report_fates();
  announce(state, std::move(cause));
}

void ClientSession::close(Instant now) {
  switch (phase_) {
    case Phase::open:
      phase_ = Phase::closing;
      due_ = now + config_.close_timeout;
      announce(ClientState::closing);
      actions_.emplace_back(action::Close{});
      break;
    case Phase::trying:
      actions_.emplace_back(action::Drop{});
      [[fallthrough]];
    case Phase::idle:
      end(ClientState::closed, {});
      break;
    case Phase::closing:
    case Phase::ended:
      break;
  }
}

void ClientSession::tick(Instant now) {
  if (phase_ == Phase::ended) return;
  sends_.expire(now, fates_);
  report_fates();
  if (phase_ == Phase::open) {
    const Heartbeat::Action next = heartbeat_.step(now);
    if (next == Heartbeat::Action::send_ping) actions_.emplace_back(action::WritePing{});
    if (next != Heartbeat::Action::declare_dead) return ask_again(now);
    actions_.emplace_back(action::Drop{});
    lost(now, {{Errc::peer_timeout, 0, "nothing came from the server"}, 0});
    return;
  }
  if (now < due_) return;
  if (phase_ == Phase::idle) {
    try_now(now);
    return;
  }
  actions_.emplace_back(action::Drop{});
  if (phase_ == Phase::closing) {
    end(ClientState::closed, {});
  } else {
    try_failed(now, {Errc::handshake_timeout, 0, "the server did not answer in time"},
               Loss::ordinary);
  }
}

Instant ClientSession::next_tick() const noexcept {
  if (phase_ == Phase::ended) return kNever;
  const Instant own = phase_ == Phase::open ? std::min(heartbeat_.next(), ask_at_) : due_;
  return std::min(own, sends_.next_expiry());
}

// ---- Messages

ClientSession::Verdict ClientSession::uncommon(Continuity::Verdict verdict,
                                               const Envelope& envelope) {
  switch (verdict) {
    case Continuity::Verdict::duplicate:
      ++counts_.duplicates;
      return Verdict::drop;
    case Continuity::Verdict::refused:
      fail_for_channel(envelope.channel);
      return Verdict::drop;
    case Continuity::Verdict::deliver:
    case Continuity::Verdict::deliver_after_gap:
      break;
  }
  place_ = &continuity_.cursor();
  const Gap& missing = continuity_.gap();
  ++counts_.gaps;
  if (missing.to >= missing.from) counts_.missed += missing.to - missing.from + 1;
  return Verdict::deliver_after_gap;
}

void ClientSession::fail_for_channel(std::string_view channel) {
  if (channel.size() > limits::kChannelNameBytesMax) {
    hand(ErrorReply{0, Errc::invalid_channel_name,
                    "the server sent a message of a channel with a name of " +
                        std::to_string(channel.size()) + " bytes; at most " +
                        std::to_string(limits::kChannelNameBytesMax) + " are allowed",
                    false, 0});
    return;
  }
  actions_.emplace_back(action::Drop{});
  end(ClientState::failed,
      {Errc::too_many_channels, 0,
       "messages of more than " + std::to_string(config_.channels_max) +
           " channels came over this client; subscribe to less than `kind:*`"});
}

void ClientSession::control(const Envelope& envelope, WsMessage&& message, Instant now) {
  if (phase_ != Phase::open && phase_ != Phase::closing) return;
  if (auto* const welcome = std::get_if<Welcome>(&message)) return on(*welcome);
  if (auto* const subscribed = std::get_if<Subscribed>(&message)) {
    return on(std::move(*subscribed), now);
  }
  if (auto* const gone = std::get_if<Unsubscribed>(&message)) return on(std::move(*gone));
  if (auto* const published = std::get_if<Published>(&message)) return on(std::move(*published));
  if (auto* const going = std::get_if<GoAway>(&message)) return on(*going);
  if (auto* const reply = std::get_if<ErrorReply>(&message)) return on(std::move(*reply), now);
  if (auto* const gap = std::get_if<Gap>(&message)) return on(envelope, *gap);
  if (auto* const ping = std::get_if<Ping>(&message)) {
    actions_.emplace_back(action::Write{Pong{ping->t1, 0, 0}});
    return;
  }
  const bool sign_of_life = std::holds_alternative<stratwire::Heartbeat>(message) ||
                            std::holds_alternative<Pong>(message);
  if (!sign_of_life) ++counts_.unknown_messages;
}

void ClientSession::on(const Welcome& welcome) {
  epoch_ = welcome.epoch;
  nowhere_.epoch = welcome.epoch;
  server_message_bytes_max_ = welcome.message_bytes_max;
  server_channels_max_ = welcome.channels_max;
  continuity_.welcomed(welcome.epoch);
  heartbeat_.promised(std::chrono::milliseconds{welcome.heartbeat_ms});
}

void ClientSession::on(Subscribed&& answer, Instant now) {
  subscriptions_.answered(answer.id);
  const std::vector<ChannelResult> results = answer.results;
  const bool said = results.empty();
  std::erase_if(answer.results, [&](const ChannelResult& result) { return !is_news(result, now); });
  if (said || !answer.results.empty()) hand(std::move(answer));
  for (const ChannelResult& result : results) {
    if (result.code != Errc::ok || !subscriptions_.wished(result.channel)) continue;
    const std::uint64_t epoch = result.epoch != 0 ? result.epoch : epoch_;
    if (const auto gap = continuity_.subscribed(result.channel, epoch, result.head)) {
      hand_gap(continuity_.cursor().channel, *gap);
    }
  }
  maybe_live();
}

/// Keeps the channels whose kind the server does not know yet: its producer may be about to open
/// them, so they are asked for again. \return whether the user was not told before
bool ClientSession::is_news(const ChannelResult& result, Instant now) {
  if (result.code != Errc::unknown_channel_kind || !subscriptions_.wished(result.channel)) {
    unknown_.erase(result.channel);
    return true;
  }
  const bool news = unknown_.insert(result.channel).second;
  if (news) ask_delay_ = kAskAgainMin;
  if (ask_at_ == kNever) ask_at_ = now + ask_delay_;
  return news;
}

void ClientSession::ask_again(Instant now) {
  if (now < ask_at_) return;
  ask_at_ = kNever;
  ask_delay_ = std::min(2 * ask_delay_, kAskAgainMax);
  std::erase_if(unknown_, [this](const std::string& name) { return !subscriptions_.wished(name); });
  const std::vector<std::string> channels(unknown_.begin(), unknown_.end());
  for (Subscribe& request : subscriptions_.subscribe(channels)) {
    actions_.emplace_back(action::Write{std::move(request)});
  }
}

void ClientSession::on(Unsubscribed&& answer) {
  subscriptions_.answered(answer.id);
  // Once more: messages that were on their way have moved the cursors since unsubscribe().
  for (const ChannelResult& result : answer.results) forget(result.channel);
  hand(std::move(answer));
  maybe_live();
}

void ClientSession::on(Published&& answer) {
  const auto user_id = sends_.answered(answer.id);
  if (!user_id) return;
  if (answer.code != Errc::ok) {
    ++counts_.sends_dropped;
  } else if (*user_id == 0) {
    return;
  }
  answer.id = *user_id;
  hand(std::move(answer));
}

void ClientSession::on(const GoAway& notice) {
  if (notice.reconnect_after_ms != 0) {
    backoff_.asked_to_wait(std::chrono::milliseconds{notice.reconnect_after_ms});
  }
  hand(notice);
}

void ClientSession::on(ErrorReply&& reply, Instant now) {
  if (reply.retry_after_ms != 0) {
    backoff_.asked_to_wait_until(now + std::chrono::milliseconds{reply.retry_after_ms});
  }
  if (reply.id != 0) {
    if (sends_.knows(reply.id)) {
      on(Published{reply.id, reply.code, std::move(reply.message)});
      return;
    }
    subscriptions_.answered(reply.id);
  }
  hand(std::move(reply));
  maybe_live();
}

void ClientSession::on(const Envelope& envelope, const Gap& gap) {
  if (phase_ != Phase::open) return;
  if (envelope.channel.empty()) {
    ++counts_.unknown_messages;
    return;
  }
  switch (continuity_.gap_message(envelope.channel, gap)) {
    case Continuity::Verdict::refused:
      fail_for_channel(envelope.channel);
      break;
    case Continuity::Verdict::duplicate:
      break;
    case Continuity::Verdict::deliver:
    case Continuity::Verdict::deliver_after_gap:
      hand_gap(continuity_.cursor().channel, continuity_.gap());
      break;
  }
}

void ClientSession::undecodable(const Error& error) {
  ErrorReply report;
  report.code = error.code;
  report.message =
      "a message of the server can't be decoded: " + std::string{to_string(error.code)} +
      " at byte " + std::to_string(error.offset) + "; it is left out";
  hand(std::move(report));
}

// ---- The user

void ClientSession::subscribe(std::span<const std::string> channels) {
  if (phase_ == Phase::ended) return;
  if (state_ == ClientState::live && !channels.empty()) announce(ClientState::subscribing);
  for (Subscribe& request : subscriptions_.subscribe(channels)) {
    if (phase_ == Phase::open) actions_.emplace_back(action::Write{std::move(request)});
  }
}

void ClientSession::unsubscribe(std::span<const std::string> channels) {
  if (phase_ == Phase::ended) return;
  for (Unsubscribe& request : subscriptions_.unsubscribe(channels)) {
    if (phase_ == Phase::open) actions_.emplace_back(action::Write{std::move(request)});
  }
  for (const std::string& channel : channels) forget(channel);
}

bool ClientSession::wanted(std::string_view channel) const {
  if (subscriptions_.wished(channel)) return true;
  const auto name = parse_channel_name(channel, Wildcards::allowed);
  return name.ok() && subscriptions_.wished(std::string{name->kind} + ":*");
}

void ClientSession::forget(std::string_view channel) {
  const auto name = parse_channel_name(channel, Wildcards::allowed);
  if (!name.ok()) return;
  if (!name->wildcard) {
    if (!wanted(channel)) continuity_.forget(channel);
    return;
  }
  continuity_.forget_if([&](std::string_view other) {
    const auto known = parse_channel_name(other, Wildcards::refused);
    return known.ok() && name->covers(*known) && !wanted(other);
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
  const Outgoing* next = sends_.next();
  while (next != nullptr && server_message_bytes_max_ != 0 &&
         next->payload.size() > server_message_bytes_max_) {
    fates_.push_back(sends_.refuse_next(Errc::too_large));
    report_fates();
    next = sends_.next();
  }
  return next;
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
