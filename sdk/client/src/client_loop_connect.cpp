// Connecting and upgrading: from a URL to an open connection.

#include <array>
#include <string>
#include <utility>

#include <stratwire/telemetry/clock.hpp>

#include "client_loop.hpp"
#include "settings.hpp"

namespace stratwire::client {

bool ClientLoop::get_on_with_connecting(Instant now) {
  if (stage_ == Stage::upgrading) return get_on_with_upgrade(now);
  switch (connector_.poll()) {
    case transport::Connector::Status::idle:
    case transport::Connector::Status::pending:
      return false;
    case transport::Connector::Status::failed:
      try_failed(now, connector_.error(), session::Loss::ordinary);
      return true;
    case transport::Connector::Status::connected:
      break;
  }
  upgrading_ = connector_.take_socket();
  // release: as in perform_connect().
  connecting_.store(false, std::memory_order_release);
  const std::string_view offered[] = {subprotocol_of(config_.codec)};
  handshake_.emplace(url_, offered);
  request_left_ = handshake_->request().size();
  stage_ = Stage::upgrading;
  get_on_with_upgrade(now);
  return true;
}

bool ClientLoop::get_on_with_upgrade(Instant now) {
  if (request_left_ != 0) {
    const std::string_view request = handshake_->request();
    const std::string_view rest = request.substr(request.size() - request_left_);
    const transport::IoResult sent = upgrading_.write_some(std::span<const char>(rest));
    if (sent.status == transport::IoStatus::ok) request_left_ -= sent.bytes;
    if (request_left_ != 0 && sent.status == transport::IoStatus::would_block) return false;
  }
  std::array<char, transport::kHandshakeBytesMax> head;
  const transport::IoResult got = upgrading_.read_some(head);
  switch (got.status) {
    case transport::IoStatus::would_block:
      return false;
    case transport::IoStatus::ok: {
      std::span<const char> input(head.data(), got.bytes);
      const auto step = handshake_->feed(input);
      upgrade_step(step, input, now);
      return true;
    }
    case transport::IoStatus::closed:
    case transport::IoStatus::failed:
      upgrade_step(handshake_->end_of_stream(), {}, now);
      return true;
  }
  return false;
}

void ClientLoop::upgrade_step(transport::ClientHandshake::Step step, std::span<const char> rest,
                              Instant now) {
  using Step = transport::ClientHandshake::Step;
  if (step == Step::need_more) return;
  if (step == Step::failed) {
    const bool never = handshake_->error().code == transport::Errc::subprotocol_refused;
    const session::Loss loss =
        never ? session::Loss::fatal : session::loss_of_http(handshake_->http_status());
    try_failed(now, transport::Error{handshake_->error()}, loss);
    return;
  }
  if (handshake_->subprotocol().empty()) {
    // Upgraded all the same, as RFC 6455 4.2.2 allows; but what it says would not be our protocol.
    const transport::Error refused{transport::Errc::subprotocol_refused, 0,
                                   url_.to_string() + " is a WebSocket server, but speaks no " +
                                       std::string(subprotocol_of(config_.codec)) +
                                       "; check that the URL is a stratwire server's"};
    try_failed(now, refused, session::Loss::fatal);
    return;
  }
  if (in_poller_) poller_.remove(upgrading_.fd());
  in_poller_ = false;
  connection_.open(std::move(upgrading_), rest);
  received_at_ = telemetry::wall_ns();
  read_at_ = now;
  gates_.heard(now);
  handshake_.reset();
  stage_ = Stage::open;
  session_.opened(at_, now);
}

void ClientLoop::try_failed(Instant now, const transport::Error& error, session::Loss loss) {
  const Error cause = translate(error);
  const bool refused = error.code == transport::Errc::connect_failed;
  drop();
  session_.try_failed(at_, now, {cause, refused ? session::Loss::refused : loss, {}});
}

}  // namespace stratwire::client
