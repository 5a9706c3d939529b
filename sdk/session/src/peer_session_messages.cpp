// Messages: what is taken from the user into the log, from there to the link, and what comes.

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <utility>

#include <stratwire/codec.hpp>
#include <stratwire/session/peer_session.hpp>

namespace stratwire::session {
namespace {

WsMessage body_of(const DataMessage& message) {
  return std::visit([](const auto& body) -> WsMessage { return body; }, message);
}

bool is_data(const WsMessage& body) noexcept {
  return std::holds_alternative<PriceUpdate>(body) || std::holds_alternative<AccountUpdate>(body) ||
         std::holds_alternative<Event>(body);
}

std::uint32_t milliseconds_of(Duration timeout) noexcept {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  constexpr auto kMost = std::numeric_limits<std::uint32_t>::max();
  return ms >= kMost ? kMost : static_cast<std::uint32_t>(ms);
}

// A record in the log: id, kind, payload.
constexpr std::size_t kHeadBytes = sizeof(std::uint64_t) + 1;

}  // namespace

// ---- From the user

Errc PeerSession::append(Instant now, RecordHead head, const Message& message) {
  if (phase_ == Phase::closing || phase_ == Phase::ended) return Errc::closed;
  std::array<char, kHeadBytes> before;
  std::memcpy(before.data(), &head.id, sizeof head.id);
  before.back() = static_cast<char>(head.kind);
  scratch_.assign(before.data(), before.size());
  if (const auto encoded = encode(config_.codec, message, scratch_); !encoded.ok()) {
    return encoded.error().code;
  }
  const std::size_t bytes = scratch_.size();
  if (bytes - kHeadBytes > config_.message_bytes_max || bytes > config_.log.bytes_max) {
    return Errc::too_large;
  }
  const auto is_full = [&] {
    return log_.size() >= config_.log.messages_max || log_.bytes() + bytes > config_.log.bytes_max;
  };
  // Nothing but age may push out what was not acknowledged: the log would take more all the same.
  if (is_full()) log_.evict_older_than(now);
  if (is_full()) {
    ++counts_.back_pressured;
    return Errc::back_pressured;
  }
  log_.append(log_.head() + 1, now, scratch_);
  ++counts_.sent;
  return Errc::ok;
}

SendStatus PeerSession::status_of(Errc code) const noexcept {
  if (code == Errc::ok) return SendStatus::ok;
  if (code == Errc::back_pressured) return SendStatus::back_pressured;
  return code == Errc::closed ? SendStatus::closed : SendStatus::refused;
}

SendStatus PeerSession::send(Instant now, const DataMessage& message) {
  return status_of(
      append(now, {0, Kind::data}, {{kPeerChannel, log_.head() + 1}, body_of(message)}));
}

Result<std::uint64_t> PeerSession::request(Instant now, const DataMessage& message,
                                           Duration timeout) {
  if (asked_.full()) {
    ++counts_.back_pressured;
    return Errc::back_pressured;
  }
  const bool ends = timeout > Duration{0};
  const Request body{last_id_ + 1, ends ? milliseconds_of(timeout) : 0, message};
  const Errc code = append(now, {body.id, Kind::request}, {{{}, log_.head() + 1}, body});
  if (code != Errc::ok) return code;
  asked_.add(++last_id_, ends ? now + timeout : kNever);
  return body.id;
}

SendStatus PeerSession::reply(Instant now, PeerRequestId to, const DataMessage& message) {
  if (phase_ == Phase::ended) return SendStatus::closed;
  if (to.epoch != cursor_.epoch || !heard_.waits(to.id)) return SendStatus::refused;
  const Reply body{to.id, Errc::ok, {}, message};
  const Errc code = append(now, {to.id, Kind::reply}, {{{}, log_.head() + 1}, body});
  if (code == Errc::ok) heard_.replied(to.id);
  return status_of(code);
}

SendStatus PeerSession::refuse(Instant now, PeerRequestId to, std::string_view text) {
  if (phase_ == Phase::ended) return SendStatus::closed;
  if (to.epoch != cursor_.epoch || !heard_.waits(to.id)) return SendStatus::refused;
  ++counts_.refusals;
  const Reply body{to.id, Errc::request_refused, std::string{text}, {}};
  const Errc code = append(now, {to.id, Kind::reply}, {{{}, log_.head() + 1}, body});
  if (code == Errc::ok) {
    heard_.replied(to.id);
  } else {
    // The text may be what could not be encoded, so that it is left out.
    heard_.owe(to.id, Errc::request_refused);
  }
  return SendStatus::ok;
}

/// Sends the Replies that our user does not give, as far as there is room.
void PeerSession::pay_owed(Instant now) {
  while (const auto owed = heard_.next_owed()) {
    const Reply body{owed->id, owed->code, std::string{describe(owed->code)}, {}};
    if (append(now, {owed->id, Kind::reply}, {{{}, log_.head() + 1}, body}) != Errc::ok) return;
    heard_.replied(owed->id);
  }
}

// ---- To the link

/// Nobody waits for this record any more: a Gap takes its place, so that a Request whose asker was
/// told that it failed is not carried out all the same.
bool PeerSession::is_void(std::uint64_t seq) const noexcept {
  const auto record = log_.record(seq);
  if (!record) return true;
  RecordHead head;
  std::memcpy(&head.id, record->bytes.data(), sizeof head.id);
  head.kind = static_cast<Kind>(record->bytes[sizeof head.id]);
  switch (head.kind) {
    case Kind::data:
      return false;
    case Kind::request:
      return !asked_.is_open(head.id);
    case Kind::reply:
      return seq <= void_replies_to_;
  }
  return false;
}

std::string_view PeerSession::next_write(Instant now) {
  if (!linked()) return {};
  if (ack_is_due(now)) return write_ack();
  if (write_next_ <= log_.head()) return write_numbered();
  if (wrote_ && cursor_.seq > acked_) return write_ack();
  wrote_ = false;
  return {};
}

bool PeerSession::ack_is_due(Instant now) const noexcept {
  return cursor_.seq > acked_ && (cursor_.seq - acked_ >= config_.ack_every || now >= ack_at_);
}

std::string_view PeerSession::write_ack() {
  acked_ = cursor_.seq;
  ack_at_ = kNever;
  wrote_ = false;
  scratch_.clear();
  // An Ack can always be encoded.
  static_cast<void>(encode(config_.codec, {{}, Ack{acked_}}, scratch_));
  return scratch_;
}

std::string_view PeerSession::write_numbered() {
  wrote_ = true;
  // What has left the log is one range; the void ones behind it make it longer.
  std::uint64_t to = std::max(write_next_, log_.first()) - 1;
  while (to < log_.head() && is_void(to + 1)) ++to;
  if (to >= write_next_) {
    const Gap gap{config_.epoch, write_next_, to, Gap::Reason::retention};
    ++counts_.gaps_sent;
    write_next_ = to + 1;
    scratch_.clear();
    static_cast<void>(encode(config_.codec, {{kPeerChannel, 0}, gap}, scratch_));
    return scratch_;
  }
  const std::string_view bytes = log_.record(write_next_)->bytes;
  if (static_cast<Kind>(bytes[kHeadBytes - 1]) == Kind::request) {
    std::uint64_t id = 0;
    std::memcpy(&id, bytes.data(), sizeof id);
    asked_.written(id);
  }
  if (write_next_ <= written_) ++counts_.resent;
  written_ = std::max(written_, write_next_);
  ++write_next_;
  return bytes.substr(kHeadBytes);
}

// ---- From the link

PeerSession::Verdict PeerSession::receive(Instant now, const Message& message) {
  if (!linked()) return Verdict::drop;
  const WsMessage& body = message.body;
  if (is_data(body)) {
    if (message.envelope.channel != kPeerChannel) {
      return break_off(now, kPeerBroke, "data messages between peers have the channel 'peer'");
    }
    return take_number(now, message.envelope.seq);
  }
  if (const auto* request = std::get_if<Request>(&body)) {
    return take_request(now, message.envelope.seq, *request);
  }
  if (const auto* reply = std::get_if<Reply>(&body)) {
    return take_reply(now, message.envelope.seq, *reply);
  }
  if (std::holds_alternative<Gap>(body)) return take_gap(now, message);
  if (const auto* ack = std::get_if<Ack>(&body)) {
    take_ack(now, ack->seq);
    return Verdict::drop;
  }
  if (std::holds_alternative<ErrorReply>(body)) return Verdict::deliver;
  const bool known = std::holds_alternative<PeerHello>(body) ||
                     std::holds_alternative<Ping>(body) || std::holds_alternative<Pong>(body) ||
                     std::holds_alternative<stratwire::Heartbeat>(body);
  if (!known) undecodable({Errc::unknown_message_type});
  return Verdict::drop;
}

PeerSession::Verdict PeerSession::take_number(Instant now, std::uint64_t seq) {
  if (seq == cursor_.seq + 1) [[likely]] {
    cursor_.seq = seq;
    ++counts_.received;
    owe_ack(now);
    return Verdict::deliver;
  }
  if (seq == 0) return break_off(now, kPeerBroke, "a message without a number");
  if (seq <= cursor_.seq) {
    ++counts_.duplicates;
    return Verdict::drop;
  }
  // A sender never leaves one out without a Gap; but what came undecodable was one.
  gap_ = {cursor_.epoch, cursor_.seq + 1, seq - 1, Gap::Reason::upstream};
  count_gap(gap_);
  cursor_.seq = seq;
  ++counts_.received;
  owe_ack(now);
  return Verdict::deliver_after_gap;
}

/// The message is new, and it is none for the user.
PeerSession::Verdict PeerSession::without_body(Verdict verdict) noexcept {
  return verdict == Verdict::deliver_after_gap ? Verdict::gap : Verdict::drop;
}

PeerSession::Verdict PeerSession::take_gap(Instant now, const Message& message) {
  Gap gap = std::get<Gap>(message.body);
  if (message.envelope.channel != kPeerChannel || gap.epoch != cursor_.epoch || gap.from == 0 ||
      gap.to < gap.from) {
    return break_off(now, kPeerBroke, "a Gap that is none of this peer's numbers");
  }
  if (gap.to <= cursor_.seq) return Verdict::drop;
  gap.from = cursor_.seq + 1;
  gap_ = gap;
  count_gap(gap_);
  cursor_.seq = gap.to;
  owe_ack(now);
  return Verdict::gap;
}

PeerSession::Verdict PeerSession::take_request(Instant now, std::uint64_t seq,
                                               const Request& request) {
  if (seq > cursor_.seq) {
    if (heard_.knows(request.id)) {
      return break_off(now, kPeerBroke, "two open Requests with one id");
    }
    if (heard_.full()) return take_one_too_many(now, seq, request);
  }
  const Verdict verdict = take_number(now, seq);
  if (verdict == Verdict::drop) return verdict;
  const Duration wait = std::chrono::milliseconds{request.deadline_ms};
  heard_.add(request.id, request.deadline_ms == 0 ? kNever : now + wait);
  return verdict;
}

PeerSession::Verdict PeerSession::take_one_too_many(Instant now, std::uint64_t seq,
                                                    const Request& request) {
  const Reply body{request.id, Errc::request_refused, "too many open Requests", {}};
  if (append(now, {request.id, Kind::reply}, {{{}, log_.head() + 1}, body}) != Errc::ok) {
    // Not taken, so that it comes again on the next connection.
    return break_off(now, kPeerOverloaded, body.text);
  }
  ++counts_.refusals;
  return without_body(take_number(now, seq));
}

PeerSession::Verdict PeerSession::take_reply(Instant now, std::uint64_t seq, const Reply& reply) {
  const Verdict verdict = take_number(now, seq);
  if (verdict == Verdict::drop || asked_.answered(reply.id)) return verdict;
  ++counts_.late_replies;
  return without_body(verdict);
}

void PeerSession::take_ack(Instant now, std::uint64_t seq) {
  if (seq > log_.head()) {
    break_off(now, kPeerBroke, "an Ack of what was never sent");
    return;
  }
  log_.evict_through(seq);
  pay_owed(now);
}

void PeerSession::undecodable(const Error& error) {
  if (!linked()) return;
  ErrorReply report;
  report.code = error.code;
  if (error.code == Errc::unknown_message_type) {
    ++counts_.unknown_messages;
    report.message = std::string{describe(error.code)};
  } else {
    ++counts_.undecodable;
    report.message = std::string{to_string(error.code)} + " at byte " +
                     std::to_string(error.offset) + "; the message is left out";
    events_.push_back({other(), report});
  }
  actions_.emplace_back(Write{std::move(report)});
}

PeerSession::Verdict PeerSession::break_off(Instant now, std::uint16_t code, std::string reason) {
  Error cause{code == kPeerOverloaded ? Errc::slow_consumer : Errc::protocol_violation, 0,
              "'" + name_ + "': " + reason};
  actions_.emplace_back(Drop{code, std::move(reason)});
  lost(now, {std::move(cause), code});
  return Verdict::drop;
}

void PeerSession::owe_ack(Instant now) noexcept {
  if (ack_at_ == kNever) ack_at_ = now + config_.ack_delay;
}

void PeerSession::count_gap(const Gap& gap) noexcept {
  ++counts_.gaps;
  if (gap.to >= gap.from) counts_.missed += gap.to - gap.from + 1;
}

}  // namespace stratwire::session
