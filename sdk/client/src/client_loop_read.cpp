// Reading: from bytes to deliveries, and the ends of connections.

#include <algorithm>
#include <array>
#include <chrono>
#include <string>
#include <utility>

#include <stratwire/limits.hpp>
#include <stratwire/telemetry/clock.hpp>

#include "client_loop.hpp"
#include "settings.hpp"

namespace stratwire::client {
namespace {

// A peer that pings without reading must not fill our memory (RFC 6455 5.5.2 lets us leave out all
// but the latest).
constexpr std::size_t kOutBytesForPongsMax = 64 * 1024;

}  // namespace

// From here to take_data() is what every message passes: one function, but for the decoder.
const Delivery* ClientLoop::next_delivery() {
  for (;;) {
    if (message_held_) [[unlikely]]
      return hand_held();
    if (session_.has_actions()) [[unlikely]]
      perform();
    if (!handing_.empty()) [[unlikely]]
      return hand();
    switch (take_event()) {
      case Taken::delivery:
        return &delivery_;
      case Taken::something:
        break;
      case Taken::nothing:
        return nullptr;
    }
  }
}

/// The message whose Gap was handed over.
const Delivery* ClientLoop::hand_held() {
  message_held_ = false;
  if (const auto* price = std::get_if<PriceUpdate>(&message_.body)) {
    delivery_.body = *price;
  } else if (const auto* account = std::get_if<AccountUpdate>(&message_.body)) {
    delivery_.body = *account;
  } else {
    delivery_.body = std::get<Event>(message_.body);
  }
  delivery_.envelope.seq = message_.envelope.seq;
  delivery_.epoch = session_.place().epoch;
  return &delivery_;
}

const Delivery* ClientLoop::hand() {
  publish_counts();  // Whoever is told of it finds it counted.
  Hand hand = std::move(handing_[handed_++]);
  if (handed_ == handing_.size()) {
    handing_.clear();
    handed_ = 0;
  }
  delivery_ = Delivery{};
  delivery_.received_at = lines_[reading_]->arrival.wall_ns;
  if (const auto* gap = std::get_if<session::action::HandGap>(&hand)) {
    delivery_.envelope.channel = gap->channel;
    delivery_.epoch = gap->gap.epoch;
    delivery_.body = gap->gap;
  } else {
    notice_ = std::move(std::get<session::action::HandNotice>(hand).notice);
    const auto* const event = std::get_if<StateEvent>(&notice_);
    // An older one that was overtaken says nothing about now.
    if (event != nullptr && event->state == ClientState::live &&
        session_.state() == ClientState::live && event->generation == session_.generation()) {
      gates_.went_live();
    }
    delivery_.body = &notice_;
    if (std::holds_alternative<Published>(notice_)) report_to_mailbox();
  }
  return &delivery_;
}

/// One connection to the end of what was read, then the other.
[[gnu::always_inline]] inline ClientLoop::Taken ClientLoop::take_event() {
  Line* const first = lines_[reading_].get();
  if (first != nullptr && first->is_open()) [[likely]] {
    if (const Taken taken = take_event(*first); taken != Taken::nothing) return taken;
  }
  return lines_[1] == nullptr ? Taken::nothing : take_event_of_other();
}

ClientLoop::Taken ClientLoop::take_event_of_other() {
  reading_ ^= 1;
  if (Line* const line = lines_[reading_].get(); line != nullptr && line->is_open()) {
    if (const Taken taken = take_event(*line); taken != Taken::nothing) return taken;
  }
  reading_ ^= 1;
  return Taken::nothing;
}

[[gnu::always_inline]] inline ClientLoop::Taken ClientLoop::take_event(Line& line) {
  const transport::Incoming event = line.connection().next();
  if (event.kind == transport::Incoming::Kind::message) [[likely]]
    return take_message(line, event.payload);
  return take_other(line, event);
}

ClientLoop::Taken ClientLoop::take_other(Line& line, const transport::Incoming& event) {
  using Kind = transport::Incoming::Kind;
  switch (event.kind) {
    case Kind::message:
    case Kind::need_more:
      return Taken::nothing;
    case Kind::ping:
      if (line.connection().waiting() < kOutBytesForPongsMax) {
        line.connection().put(transport::Opcode::pong, event.payload);
      }
      return Taken::something;
    case Kind::pong:
      return Taken::something;
    case Kind::close:
      on_close_frame(line, event);
      return Taken::something;
    case Kind::violation:
      on_violation(line, event);
      return Taken::something;
  }
  return Taken::nothing;
}

[[gnu::always_inline]] inline ClientLoop::Taken ClientLoop::take_message(Line& line,
                                                                         std::string_view payload) {
  // Most deliveries are of the type of the one before: decoded to where that one was, so that none
  // is copied. (Copying what was stored just now costs more than storing it.)
  if (auto* const price = std::get_if<PriceUpdate>(&delivery_.body)) {
    if (decoder_.try_decode(payload, message_.envelope, *price)) return take_price(line, *price);
  }
  if (const auto decoded = decoder_.decode(payload, message_); !decoded.ok()) [[unlikely]] {
    decode_failed(decoded.error());
    return Taken::something;
  }
  if (const auto* price = std::get_if<PriceUpdate>(&message_.body)) return take_data(line, *price);
  if (const auto* event = std::get_if<Event>(&message_.body)) return take_data(line, *event);
  if (const auto* account = std::get_if<AccountUpdate>(&message_.body)) {
    return take_data(line, *account);
  }
  return take_control(line);
}

ClientLoop::Taken ClientLoop::take_control(Line& line) {
  line.greeted = true;
  const bool is_pong = std::holds_alternative<Pong>(message_.body);
  const auto* const beat = std::get_if<Heartbeat>(&message_.body);
  if (beat != nullptr && line.id() == session_.connection()) {
    hops_.times(beat->times, session_.clock(), line.arrival.at);
  }
  session_.control(line.id(), message_.envelope, std::move(message_.body), line.arrival);
  // Under a mutex: not for every heartbeat.
  if (const std::size_t said = session_.server_channels_max();
      said != 0 && said != reported_channels_max_) {
    reported_channels_max_ = said;
    mailbox_.set_channels_max(said);
  }
  if (is_pong) {
    const std::lock_guard hold(told_mutex_);
    clock_ = session_.clock();
  }
  return Taken::something;
}

/// What is known of the delivery that message_.envelope belongs to, but for its body.
[[gnu::always_inline]] inline ClientLoop::Verdict ClientLoop::admit(Line& line) {
  const Verdict verdict = session_.data(line.id(), message_.envelope);
  if (verdict == Verdict::drop || abandoned_) [[unlikely]]
    return Verdict::drop;
  ++messages_;
  delivery_.envelope = {session_.place().channel, message_.envelope.seq};
  delivery_.epoch = session_.place().epoch;
  delivery_.received_at = line.arrival.wall_ns;
  return verdict;
}

/// `price` is the body of the delivery already.
[[gnu::always_inline]] inline ClientLoop::Taken ClientLoop::take_price(Line& line,
                                                                       const PriceUpdate& price) {
  const Verdict verdict = admit(line);
  if (verdict == Verdict::deliver) [[likely]]
    return Taken::delivery;
  if (verdict == Verdict::drop) return Taken::something;
  message_.body = price;
  return take_gap();
}

template <class T>
ClientLoop::Taken ClientLoop::take_data(Line& line, const T& body) {
  const Verdict verdict = admit(line);
  if (verdict == Verdict::drop) [[unlikely]]
    return Taken::something;
  if (verdict == Verdict::deliver_after_gap) [[unlikely]]
    return take_gap();
  delivery_.body = body;
  return Taken::delivery;
}

/// The Gap comes first, then what is in message_.
ClientLoop::Taken ClientLoop::take_gap() {
  delivery_.envelope.seq = 0;
  delivery_.epoch = session_.gap().epoch;
  delivery_.body = session_.gap();
  message_held_ = true;
  publish_counts();
  return Taken::delivery;
}

void ClientLoop::decode_failed(const Error& error) {
  if (error.code == Errc::unknown_message_type) {
    session_.unknown_message();
    return;
  }
  counters_.decode_errors.add();
  session_.undecodable(error);
}

void ClientLoop::on_close_frame(Line& line, const transport::Incoming& close) {
  const auto code = static_cast<std::uint16_t>(close.code);
  Error cause{code >= 4000 && code < 4100 ? Errc::protocol_violation : Errc::connection_lost};
  cause.context = "the server closed the connection with " + std::to_string(code);
  if (!close.payload.empty()) cause.context.append(": ").append(close.payload);
  const session::ConnectionId id = line.id();
  part(line, close.code == transport::CloseCode::no_status ? 1000 : code, {});
  session_.lost(id, now_, {std::move(cause), code});
}

void ClientLoop::on_violation(Line& line, const transport::Incoming& violation) {
  const auto code = static_cast<std::uint16_t>(violation.code);
  Error cause{Errc::protocol_violation, 0,
              "the server broke the WebSocket protocol (" + std::to_string(code) +
                  "): " + std::string{violation.payload}};
  const session::ConnectionId id = line.id();
  part(line, code, violation.payload);
  session_.lost(id, now_, {std::move(cause), 0});
}

// Says goodbye and lets the socket be drained beside what comes next.
void ClientLoop::part(Line& line, std::uint16_t code, std::string_view reason) {
  transport::Connection& connection = line.connection();
  connection.write();
  session_.left(line.id(), connection.bytes_left());
  std::string rest = connection.take_farewell(transport::CloseCode{code}, reason);
  Instant until = now_ + limits::kCloseTimeout;
  // Whoever closed waits no longer than for that.
  if (session_.state() == ClientState::closing) until = std::min(until, session_.next_tick());
  partings_[parted_++ % partings_.size()].begin(line.release(), std::move(rest), until);
}

void ClientLoop::lost(Line& line, Error cause, std::uint16_t close_code) {
  const session::ConnectionId id = line.id();
  line.drop();
  session_.lost(id, now_, {std::move(cause), close_code});
}

bool ClientLoop::read() {
  bool something = false;
  for (const auto& line : lines_) {
    if (line != nullptr && line->is_open()) something |= read(*line);
  }
  return something;
}

bool ClientLoop::read(Line& line) {
  switch (line.connection().read()) {
    case transport::Connection::Read::some:
      now_ = std::chrono::steady_clock::now();
      line.arrival = {now_, telemetry::wall_ns()};
      if (line.id() == session_.connection()) gates_.heard(now_);
      session_.heard(line.id(), now_);
      return true;
    case transport::Connection::Read::nothing:
      return false;
    case transport::Connection::Read::ended:
      break;
  }
  lost(line, end_of_connection(line.url(), line.connection().error()), 0);
  perform();
  return true;
}

}  // namespace stratwire::client
