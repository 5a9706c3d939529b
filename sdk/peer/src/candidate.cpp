#include "candidate.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <stratwire/session/client_session.hpp>
#include <stratwire/session/peer_session.hpp>

#include "settings.hpp"

namespace stratwire::peer {

using session::Loss;

Candidate::Candidate(CandidateSettings settings, transport::Socket socket,
                     const transport::Url& url)
    : settings_(std::move(settings)), role_(transport::Role::client), socket_(std::move(socket)) {
  const std::string_view offered[] = {subprotocol_of(settings_.codec)};
  asking_.emplace(url, offered);
  head_ = asking_->request();
}

Candidate::Candidate(CandidateSettings settings, transport::Socket socket)
    : settings_(std::move(settings)),
      role_(transport::Role::server),
      socket_(std::move(socket)),
      answering_(std::in_place) {}

Candidate::Status Candidate::step(session::Instant now) {
  if (now >= settings_.until) {
    return fail({Errc::handshake_timeout, 0, "no PeerHello came in time"}, Loss::ordinary);
  }
  return connection_ == nullptr ? upgrade() : listen();
}

int Candidate::fd() const noexcept {
  return connection_ == nullptr ? socket_.fd() : connection_->fd();
}

transport::Interest Candidate::interest() const noexcept {
  const bool writes = !head_.empty() || (connection_ != nullptr && connection_->waiting() != 0);
  return writes ? transport::Interest::read_write : transport::Interest::read;
}

// ---- The upgrade

/// Sends what is left of our head; whether all of it has gone.
bool Candidate::say() {
  if (head_.empty()) return true;
  const transport::IoResult sent = socket_.write_some(std::span<const char>(head_));
  if (sent.status == transport::IoStatus::ok) head_.erase(0, sent.bytes);
  // A peer that is gone shows when it is read from, with what it said before.
  return head_.empty() || sent.status == transport::IoStatus::closed ||
         sent.status == transport::IoStatus::failed;
}

Candidate::Status Candidate::upgrade() {
  if (!say()) return Status::waiting;
  std::array<char, transport::kHandshakeBytesMax> head;
  const transport::IoResult got = socket_.read_some(head);
  switch (got.status) {
    case transport::IoStatus::would_block:
      return Status::waiting;
    case transport::IoStatus::ok:
      return asking_ ? read_response({head.data(), got.bytes})
                     : answer_request({head.data(), got.bytes});
    case transport::IoStatus::closed:
    case transport::IoStatus::failed:
      break;
  }
  if (!asking_) return fail({Errc::connection_lost}, Loss::ordinary);
  static_cast<void>(asking_->end_of_stream());
  return fail(translate(asking_->error()), session::loss_of_http(asking_->http_status()));
}

Candidate::Status Candidate::read_response(std::span<const char> input) {
  using Step = transport::ClientHandshake::Step;
  const Step step = asking_->feed(input);
  if (step == Step::need_more) return Status::waiting;
  if (step == Step::failed) {
    const bool never = asking_->error().code == transport::Errc::subprotocol_refused;
    return fail(translate(asking_->error()),
                never ? Loss::fatal : session::loss_of_http(asking_->http_status()));
  }
  if (asking_->subprotocol().empty()) {
    return fail({Errc::subprotocol_refused, 0,
                 "a WebSocket server is there, but it speaks no " +
                     std::string(subprotocol_of(settings_.codec)) + "; dial a Peer that listens"},
                Loss::fatal);
  }
  return greet(input);
}

Candidate::Status Candidate::answer_request(std::span<const char> input) {
  using Step = transport::ServerHandshake::Step;
  switch (answering_->feed(input)) {
    case Step::need_more:
      return Status::waiting;
    case Step::http_request:
      return turn_away(426, "a peer of stratwire listens here; upgrade to a WebSocket\n");
    case Step::refused:
      head_ = answering_->refusal();
      return fail({Errc::invalid_handshake}, Loss::ordinary);
    case Step::upgrade:
      break;
  }
  const std::string_view ours = subprotocol_of(settings_.codec);
  const auto& offered = answering_->subprotocols();
  if (std::find(offered.begin(), offered.end(), ours) == offered.end()) {
    return turn_away(400, "this peer speaks " + std::string(ours) +
                              " only; both sides have to choose the same codec\n");
  }
  head_ = answering_->accept(ours);
  return greet(input);
}

Candidate::Status Candidate::turn_away(unsigned status, const std::string& why) {
  head_ = answering_->respond(status, "text/plain", why);
  return fail({Errc::not_websocket, 0, why}, Loss::ordinary);
}

// ---- Upgraded

Candidate::Status Candidate::greet(std::span<const char> behind_head) {
  // A response of a hundred bytes on a new connection always finds room; if not, what is left of it
  // must not be overtaken by a frame.
  if (!say()) return fail({Errc::connection_lost, 0, "the socket takes nothing"}, Loss::ordinary);
  head_.clear();
  connection_ =
      std::make_unique<transport::Connection>(role_, frame_limits(settings_.message_bytes_max));
  connection_->open(std::move(socket_), behind_head);
  connection_->put(opcode_of(settings_.codec), settings_.hello);
  connection_->write();
  return listen();
}

Candidate::Status Candidate::listen() {
  using Kind = transport::Incoming::Kind;
  connection_->write();
  for (;;) {
    const transport::Incoming event = connection_->next();
    switch (event.kind) {
      case Kind::message:
        return take_first(event.payload);
      case Kind::ping:
      case Kind::pong:
        break;
      case Kind::close: {
        const auto code = static_cast<std::uint16_t>(event.code);
        close_code_ = event.code;
        return fail(
            {code >= 4000 && code < 4100 ? Errc::protocol_violation : Errc::connection_lost, 0,
             "the other side closed with " + std::to_string(code) + ": " +
                 std::string{event.payload}},
            session::loss_of(code));
      }
      case Kind::violation:
        close_code_ = event.code;
        return fail({Errc::protocol_violation, 0, std::string{event.payload}}, Loss::ordinary);
      case Kind::need_more:
        switch (connection_->read()) {
          case transport::Connection::Read::some:
            break;
          case transport::Connection::Read::nothing:
            return Status::waiting;
          case transport::Connection::Read::ended:
            return fail({Errc::connection_lost, 0, "the other side left before its PeerHello"},
                        Loss::ordinary);
        }
        break;
    }
  }
}

Candidate::Status Candidate::take_first(std::string_view payload) {
  Decoder decoder(settings_.codec);
  Message message;
  const auto decoded = decoder.decode(payload, message);
  auto* const hello = std::get_if<PeerHello>(&message.body);
  if (!decoded.ok() || hello == nullptr) {
    close_code_ = transport::CloseCode{session::kPeerBroke};
    return fail({Errc::protocol_violation, 0, "the first message was no PeerHello"}, Loss::fatal);
  }
  hello_ = std::move(*hello);
  return Status::met;
}

// ---- The end

Candidate::Status Candidate::fail(Error error, Loss loss) {
  error_ = std::move(error);
  loss_ = loss;
  return Status::failed;
}

std::string Candidate::take_farewell() {
  if (connection_ == nullptr) return role_ == transport::Role::server ? head_ : std::string{};
  if (!connection_->is_open() || close_code_ == transport::CloseCode::no_status) return {};
  return connection_->take_farewell(close_code_, error_.context);
}

transport::Socket Candidate::take_socket() noexcept {
  return connection_ == nullptr ? std::move(socket_) : connection_->release();
}

}  // namespace stratwire::peer
