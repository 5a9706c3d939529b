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

const Delivery* ClientLoop::next_delivery() {
  for (;;) {
    if (message_held_) [[unlikely]] {
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
    if (session_.has_actions()) [[unlikely]]
      perform();
    if (handed_ != handing_.size()) [[unlikely]]
      return hand();
    if (stage_ != Stage::open) return nullptr;
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

const Delivery* ClientLoop::hand() {
  Hand hand = std::move(handing_[handed_++]);
  if (handed_ == handing_.size()) {
    handing_.clear();
    handed_ = 0;
  }
  delivery_ = Delivery{};
  delivery_.received_at = received_at_;
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
  }
  return &delivery_;
}

ClientLoop::Taken ClientLoop::take_event() {
  using Kind = transport::Incoming::Kind;
  const transport::Incoming event = connection_.next();
  switch (event.kind) {
    case Kind::message:
      return take_message(event.payload);
    case Kind::need_more:
      return Taken::nothing;
    case Kind::ping:
      if (connection_.waiting() < kOutBytesForPongsMax) {
        connection_.put(transport::Opcode::pong, event.payload);
      }
      return Taken::something;
    case Kind::pong:
      return Taken::something;
    case Kind::close:
      on_close_frame(event);
      return Taken::something;
    case Kind::violation:
      on_violation(event);
      return Taken::something;
  }
  return Taken::nothing;
}

ClientLoop::Taken ClientLoop::take_message(std::string_view payload) {
  if (const auto decoded = decoder_.decode(payload, message_); !decoded.ok()) [[unlikely]] {
    decode_failed(decoded.error());
    return Taken::something;
  }
  if (const auto* price = std::get_if<PriceUpdate>(&message_.body)) return take_data(*price);
  if (const auto* event = std::get_if<Event>(&message_.body)) return take_data(*event);
  if (const auto* account = std::get_if<AccountUpdate>(&message_.body)) return take_data(*account);
  session_.control(at_, message_.envelope, std::move(message_.body), {now_, received_at_});
  if (session_.server_channels_max() != 0) {
    mailbox_.set_channels_max(session_.server_channels_max());
  }
  return Taken::something;
}

template <class T>
ClientLoop::Taken ClientLoop::take_data(const T& body) {
  using Verdict = session::ClientSession::Verdict;
  const Verdict verdict = session_.data(at_, message_.envelope);
  if (verdict == Verdict::drop) [[unlikely]]
    return Taken::something;
  if (abandoned_) [[unlikely]]
    return Taken::something;
  ++messages_;
  delivery_.envelope.channel = session_.place().channel;
  delivery_.received_at = received_at_;
  if (verdict == Verdict::deliver) [[likely]] {
    delivery_.envelope.seq = message_.envelope.seq;
    delivery_.epoch = session_.place().epoch;
    delivery_.body = body;
  } else {
    delivery_.envelope.seq = 0;
    delivery_.epoch = session_.gap().epoch;
    delivery_.body = session_.gap();
    message_held_ = true;
  }
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

void ClientLoop::on_close_frame(const transport::Incoming& close) {
  const auto code = static_cast<std::uint16_t>(close.code);
  Error cause{code >= 4000 && code < 4100 ? Errc::protocol_violation : Errc::connection_lost};
  cause.context = "the server closed the connection with " + std::to_string(code);
  if (!close.payload.empty()) cause.context.append(": ").append(close.payload);
  part(close.code == transport::CloseCode::no_status ? 1000 : code, {});
  lost(std::move(cause), code);
}

void ClientLoop::on_violation(const transport::Incoming& violation) {
  const auto code = static_cast<std::uint16_t>(violation.code);
  Error cause{Errc::protocol_violation, 0,
              "the server broke the WebSocket protocol (" + std::to_string(code) +
                  "): " + std::string{violation.payload}};
  part(code, violation.payload);
  lost(std::move(cause), 0);
}

// Says goodbye and lets the socket be drained beside what comes next.
void ClientLoop::part(std::uint16_t code, std::string_view reason) {
  connection_.write();
  session_.left(at_, connection_.bytes_left());
  if (in_poller_) poller_.remove(connection_.fd());
  in_poller_ = false;
  std::string farewell = connection_.take_farewell(transport::CloseCode{code}, reason);
  Instant until = now_ + limits::kCloseTimeout;
  // Whoever closed waits no longer than for that.
  if (session_.state() == ClientState::closing) until = std::min(until, session_.next_tick());
  parting_.begin(connection_.release(), std::move(farewell), until);
}

void ClientLoop::lost(Error cause, std::uint16_t close_code) {
  drop();
  session_.lost(at_, now_, {std::move(cause), close_code});
}

bool ClientLoop::read() {
  if (stage_ != Stage::open) return false;
  switch (connection_.read()) {
    case transport::Connection::Read::some:
      received_at_ = telemetry::wall_ns();
      now_ = std::chrono::steady_clock::now();
      read_at_ = now_;
      gates_.heard(now_);
      session_.heard(at_, now_);
      return true;
    case transport::Connection::Read::nothing:
      return false;
    case transport::Connection::Read::ended:
      break;
  }
  lost(end_of_connection(url_, connection_.error()), 0);
  perform();
  return true;
}

}  // namespace stratwire::client
