// Messages: what the server says, and what follows from it.

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

// One round trip may be held up by anything; the best of four seldom is.
constexpr std::uint32_t kQuickProbes = 4;
constexpr Duration kQuickProbeInterval = std::chrono::milliseconds{250};

}  // namespace

Conversation* ClientSession::find(ConnectionId connection) noexcept {
  if (connection == ConnectionId::none) return nullptr;
  const bool alive = phase_ == Phase::open || phase_ == Phase::closing;
  if (connection == talk_.id) return alive ? &talk_ : nullptr;
  const bool open = successor_.stage == Successor::Stage::open;
  return open && connection == successor_.talk.id ? &successor_.talk : nullptr;
}

// ---- Data

ClientSession::Verdict ClientSession::data_elsewhere(ConnectionId connection,
                                                     const Envelope& envelope) {
  const Conversation* const talk = find(connection);
  if (talk == nullptr || !is_successor(*talk)) return Verdict::drop;
  // What has no number comes over the connection as long as there is one, else it came twice.
  if (envelope.channel.empty() || envelope.seq == 0) return Verdict::drop;
  const auto verdict = continuity_.message(talk->line, envelope.channel, envelope.seq);
  if (verdict != Continuity::Verdict::deliver) return uncommon(verdict, envelope);
  place_ = &continuity_.cursor();
  return Verdict::deliver;
}

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
  actions_.emplace_back(action::Drop{talk_.id});
  end(ClientState::failed,
      {Errc::too_many_channels, 0,
       "messages of more than " + std::to_string(config_.channels_max) +
           " channels came over this client; subscribe to less than `kind:*`"});
}

// ---- State

void ClientSession::heard_elsewhere(ConnectionId connection, Instant now) noexcept {
  if (Conversation* const talk = find(connection)) talk->heartbeat.heard(now);
}

/// What the connection was doing goes on.
void ClientSession::no_longer_stale() {
  announce(talk_.all_caught_up() ? ClientState::live : rest_of(talk_));
}

ClientState ClientSession::rest_of(const Conversation& talk) noexcept {
  return talk.replaying() ? ClientState::recovering : ClientState::subscribing;
}

/// After an answer: the state follows what is open; heads that had to wait are looked at.
void ClientSession::progress() {
  if (phase_ != Phase::open) return;
  if (talk_.all_caught_up()) {
    take_heads();
    if (state_ == ClientState::subscribing || state_ == ClientState::recovering) {
      announce(ClientState::live);
    }
  } else if (talk_.replaying() && state_ == ClientState::subscribing) {
    announce(ClientState::recovering);
  }
}

// ---- Control

void ClientSession::control(ConnectionId connection, const Envelope& envelope, WsMessage&& message,
                            Arrival arrival) {
  Conversation* const talk = find(connection);
  if (talk == nullptr) return;
  dispatch(*talk, envelope, std::move(message), arrival);
  maybe_take_over(arrival.at);
}

void ClientSession::dispatch(Conversation& talk, const Envelope& envelope, WsMessage&& message,
                             Arrival arrival) {
  const Instant now = arrival.at;
  if (auto* const welcome = std::get_if<Welcome>(&message)) return on(talk, *welcome, now);
  if (auto* const answer = std::get_if<Subscribed>(&message)) {
    return on(talk, std::move(*answer), now);
  }
  if (auto* const gone = std::get_if<Unsubscribed>(&message)) {
    return on(talk, std::move(*gone));
  }
  if (auto* const done = std::get_if<CaughtUp>(&message)) return on(talk, *done);
  if (auto* const published = std::get_if<Published>(&message)) return on(std::move(*published));
  if (auto* const going = std::get_if<GoAway>(&message)) return on(talk, *going, now);
  if (auto* const reply = std::get_if<ErrorReply>(&message)) {
    return on(talk, std::move(*reply), now);
  }
  if (auto* const gap = std::get_if<Gap>(&message)) return on(talk, envelope, *gap);
  if (auto* const beat = std::get_if<stratwire::Heartbeat>(&message)) return on(talk, *beat);
  if (auto* const pong = std::get_if<Pong>(&message)) return on(talk, *pong, arrival);
  if (auto* const ping = std::get_if<Ping>(&message)) {
    actions_.emplace_back(action::Write{talk.id, Pong{ping->t1, 0, 0}});
    return;
  }
  ++counts_.unknown_messages;
}

void ClientSession::on(Conversation& talk, const Welcome& welcome, Instant now) {
  talk.line.epoch = welcome.epoch;
  talk.server_message_bytes_max = welcome.message_bytes_max;
  talk.server_channels_max = welcome.channels_max;
  talk.heartbeat.promised(std::chrono::milliseconds{welcome.heartbeat_ms});
  if (!is_successor(talk)) nowhere_.epoch = welcome.epoch;
  if (config_.clock_interval <= Duration{0}) return;
  talk.probe_at = now;
  talk.probes = 0;
  probe_clock(talk, now);
}

void ClientSession::probe_clock(Conversation& talk, Instant now) {
  if (now < talk.probe_at) return;
  actions_.emplace_back(action::ProbeClock{talk.id});
  ++talk.probes;
  talk.probe_at = now + (talk.probes < kQuickProbes ? kQuickProbeInterval : config_.clock_interval);
}

void ClientSession::on(Conversation& talk, const Pong& pong, Arrival arrival) {
  if (pong.t1 == 0) return;
  static_cast<void>(talk.clock.add(arrival.at, {pong.t1, pong.t2, pong.t3, arrival.wall_ns}));
}

void ClientSession::on(Conversation& talk, Subscribed&& answer, Instant now) {
  const Conversation::Request request = talk.answered(answer.id, Conversation::Answer::granted);
  const std::vector<ChannelResult> results = answer.results;
  if (is_successor(talk)) {
    // It has not the same channels after all, if it refuses one that the connection has.
    const bool lacks = std::any_of(results.begin(), results.end(), [this](const auto& result) {
      return result.code != Errc::ok && !talk_.refused.contains(result.channel);
    });
    if (lacks) return refuse_successor(now);
    // The connection may be gone before it answers what was asked on both.
    std::erase_if(answer.results,
                  [this](const auto& result) { return !talk_.awaits(result.channel); });
    if (!answer.results.empty()) hand(std::move(answer));
  } else {
    const bool said = results.empty();
    std::erase_if(answer.results,
                  [&](const ChannelResult& result) { return !is_news(result, now); });
    counts_.refused += static_cast<std::uint64_t>(std::ranges::count_if(
        answer.results, [](const ChannelResult& result) { return result.code != Errc::ok; }));
    if (said || !answer.results.empty()) hand(std::move(answer));
  }
  for (const ChannelResult& result : results) grant(talk, result, request);
  progress();
}

void ClientSession::grant(Conversation& talk, const ChannelResult& result,
                          const Conversation::Request& request) {
  if (result.code != Errc::ok) {
    talk.refused.insert(result.channel);
    continuity_.not_granted(talk.line, result.channel);
    return;
  }
  talk.refused.erase(result.channel);
  const std::uint64_t epoch = result.epoch != 0 ? result.epoch : talk.line.epoch;
  if (!subscriptions_.wished(result.channel)) {
    if (is_wildcard(result.channel)) continuity_.answered(talk.line, result.channel, epoch);
    return;
  }
  Continuity::Granted granted;
  granted.channel = result.channel;
  granted.epoch = epoch;
  granted.head = result.head;
  granted.recovered = result.recovered;
  granted.from_latest = request.from_latest;
  const auto replay = request.replays ? Continuity::Replay::follows : Continuity::Replay::none;
  if (const auto missed = continuity_.subscribed(talk.line, granted, replay)) {
    hand_gap(continuity_.cursor().channel, *missed);
  }
}

void ClientSession::on(Conversation& talk, const CaughtUp& done) {
  std::vector<std::string> channels = talk.caught_up(done.id);
  if (!is_successor(talk)) {
    settle(channels);
    return progress();
  }
  // The connection may still bring what this one lacks: judged when it is alone.
  successor_.settled.insert(successor_.settled.end(), channels.begin(), channels.end());
}

void ClientSession::settle(const std::vector<std::string>& channels) {
  for (const std::string& channel : channels) {
    if (!subscriptions_.wished(channel)) continue;
    continuity_.caught_up(talk_.line, channel,
                          [this](std::string_view of, const Gap& missed) { hand_gap(of, missed); });
  }
}

void ClientSession::on(Conversation& talk, const stratwire::Heartbeat& beat) {
  if (beat.heads.empty()) return;
  // In the middle of a replay everybody is behind.
  talk.keep(beat.heads);
  if (!is_successor(talk) && phase_ == Phase::open && talk.all_caught_up()) take_heads();
}

void ClientSession::take_heads() {
  for (const ChannelHead& head : talk_.take_heads()) {
    if (!subscriptions_.wanted(head.channel)) continue;
    if (const auto missed = continuity_.head(talk_.line, head.channel, head.seq)) {
      hand_gap(continuity_.cursor().channel, *missed);
    }
  }
}

/// Keeps the channels whose kind the server does not know yet: its producer may be about to open
/// them, so they are asked for again. \return whether the user was not told before
bool ClientSession::is_news(const ChannelResult& result, Instant now) {
  if (result.code != Errc::unknown_channel_kind || !subscriptions_.wished(result.channel)) {
    talk_.unknown.erase(result.channel);
    return true;
  }
  const bool news = talk_.unknown.insert(result.channel).second;
  if (news) talk_.ask_delay = kAskAgainMin;
  if (talk_.ask_at == kNever) talk_.ask_at = now + talk_.ask_delay;
  return news;
}

void ClientSession::ask_again(Instant now) {
  if (now < talk_.ask_at) return;
  talk_.ask_at = kNever;
  talk_.ask_delay = std::min(2 * talk_.ask_delay, kAskAgainMax);
  std::erase_if(talk_.unknown,
                [this](const std::string& name) { return !subscriptions_.wished(name); });
  const std::vector<std::string> channels(talk_.unknown.begin(), talk_.unknown.end());
  ask(talk_, subscriptions_.ask(asker(talk_), channels));
}

void ClientSession::on(Conversation& talk, Unsubscribed&& answer) {
  static_cast<void>(talk.answered(answer.id, Conversation::Answer::refused));
  // Once more: messages that were on their way have moved the cursors since unsubscribe().
  for (const ChannelResult& result : answer.results) forget(result.channel);
  if (is_successor(talk)) return;
  hand(std::move(answer));
  progress();
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

void ClientSession::on(Conversation& talk, const GoAway& notice, Instant now) {
  if (is_successor(talk)) return refuse_successor(now);
  talk.leaves = true;
  // Its slot counts if no alternative takes over.
  if (notice.reconnect_after_ms != 0) {
    backoff_.asked_to_wait_until(now + std::chrono::milliseconds{notice.reconnect_after_ms});
  }
  hand(notice);
  if (phase_ != Phase::open || successor_.stage != Successor::Stage::none) return;
  successor_.urls.assign(notice.alternatives.rbegin(), notice.alternatives.rend());
  try_successor(now);
}

void ClientSession::on(Conversation& talk, ErrorReply&& reply, Instant now) {
  if (reply.id != 0 && sends_.knows(reply.id)) {
    if (reply.retry_after_ms != 0) wait_for(reply, now);
    return on(Published{reply.id, reply.code, std::move(reply.message)});
  }
  const auto request = talk.answered(reply.id, Conversation::Answer::refused);
  for (const std::string& channel : request.channels) {
    continuity_.not_granted(talk.line, channel);
  }
  if (is_successor(talk)) return refuse_successor(now);
  if (reply.retry_after_ms != 0) wait_for(reply, now);
  hand(std::move(reply));
  progress();
}

void ClientSession::wait_for(const ErrorReply& reply, Instant now) noexcept {
  backoff_.asked_to_wait_until(now + std::chrono::milliseconds{reply.retry_after_ms});
}

void ClientSession::on(Conversation& talk, const Envelope& envelope, const Gap& gap) {
  if (phase_ != Phase::open) return;
  if (envelope.channel.empty()) {
    ++counts_.unknown_messages;
    return;
  }
  switch (continuity_.gap_message(talk.line, envelope.channel, gap)) {
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

}  // namespace stratwire::session
