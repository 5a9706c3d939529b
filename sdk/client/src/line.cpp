#include "line.hpp"

#include <array>
#include <utility>

#include <stratwire/limits.hpp>

#include "settings.hpp"

namespace stratwire::client {

Line::Line(Codec codec, std::size_t message_bytes_max, transport::Poller& poller,
           std::uint64_t token)
    : codec_(codec),
      poller_(poller),
      token_(token),
      connection_(transport::Role::client,
                  {message_bytes_max, static_cast<std::uint32_t>(limits::kFragmentsMax)}) {}

// ---- Connecting

void Line::start(session::ConnectionId id, transport::Url url) {
  id_ = id;
  url_ = std::move(url);
  connector_.start(url_);
  stage_ = Stage::connecting;
}

Line::Progress Line::get_on() {
  if (stage_ == Stage::upgrading) return get_on_with_upgrade();
  if (stage_ != Stage::connecting) return Progress::nothing;
  switch (connector_.poll()) {
    case transport::Connector::Status::idle:
    case transport::Connector::Status::pending:
      return Progress::nothing;
    case transport::Connector::Status::failed:
      return fail(connector_.error(), session::Loss::ordinary);
    case transport::Connector::Status::connected:
      break;
  }
  upgrading_ = connector_.take_socket();
  const std::string_view offered[] = {subprotocol_of(codec_)};
  handshake_.emplace(url_, offered);
  request_left_ = handshake_->request().size();
  stage_ = Stage::upgrading;
  const Progress further = get_on_with_upgrade();
  return further == Progress::nothing ? Progress::something : further;
}

Line::Progress Line::get_on_with_upgrade() {
  if (request_left_ != 0) {
    const std::string_view request = handshake_->request();
    const std::string_view rest = request.substr(request.size() - request_left_);
    const transport::IoResult sent = upgrading_.write_some(std::span<const char>(rest));
    if (sent.status == transport::IoStatus::ok) request_left_ -= sent.bytes;
    if (request_left_ != 0 && sent.status == transport::IoStatus::would_block) {
      return Progress::nothing;
    }
  }
  std::array<char, transport::kHandshakeBytesMax> head;
  const transport::IoResult got = upgrading_.read_some(head);
  switch (got.status) {
    case transport::IoStatus::would_block:
      return Progress::nothing;
    case transport::IoStatus::ok: {
      std::span<const char> input(head.data(), got.bytes);
      const auto step = handshake_->feed(input);
      return upgrade_step(step, input);
    }
    case transport::IoStatus::closed:
    case transport::IoStatus::failed:
      return upgrade_step(handshake_->end_of_stream(), {});
  }
  return Progress::nothing;
}

Line::Progress Line::upgrade_step(transport::ClientHandshake::Step step,
                                  std::span<const char> rest) {
  using Step = transport::ClientHandshake::Step;
  if (step == Step::need_more) return Progress::something;
  if (step == Step::failed) {
    const bool never = handshake_->error().code == transport::Errc::subprotocol_refused;
    return fail(handshake_->error(),
                never ? session::Loss::fatal : session::loss_of_http(handshake_->http_status()));
  }
  if (handshake_->subprotocol().empty()) {
    // Upgraded all the same, as RFC 6455 4.2.2 allows; but what it says would not be our protocol.
    return fail(
        {transport::Errc::subprotocol_refused, 0,
         url_.to_string() + " is a WebSocket server, but speaks no " +
             std::string(subprotocol_of(codec_)) + "; check that the URL is a stratwire server's"},
        session::Loss::fatal);
  }
  stop_listening();
  connection_.open(std::move(upgrading_), rest);
  handshake_.reset();
  stage_ = Stage::open;
  greeted = false;
  return Progress::opened;
}

Line::Progress Line::fail(const transport::Error& error, session::Loss loss) {
  const bool refused = error.code == transport::Errc::connect_failed;
  failure_.cause = translate(error);
  failure_.loss = refused ? session::Loss::refused : loss;
  failure_.retry_after = handshake_ ? handshake_->retry_after() : session::Duration{0};
  drop();
  return Progress::failed;
}

// ---- Ending

void Line::drop() {
  connector_.cancel();
  stop_listening();
  handshake_.reset();
  upgrading_.close();
  static_cast<void>(connection_.release());
  stage_ = Stage::none;
  id_ = session::ConnectionId::none;
}

transport::Socket Line::release() {
  stop_listening();
  transport::Socket socket = connection_.release();
  drop();
  return socket;
}

// ---- Waiting

void Line::stop_listening() noexcept {
  if (in_poller_ && fd() >= 0) poller_.remove(fd());
  in_poller_ = false;
}

void Line::listen(Listen listen) {
  const bool has_socket = stage_ == Stage::upgrading || stage_ == Stage::open;
  // Removed, because errors and hang-ups would be told all the time otherwise.
  if (!has_socket || (stage_ == Stage::open && listen == Listen::no)) return stop_listening();
  const bool writing = stage_ == Stage::upgrading ? request_left_ != 0 : connection_.waiting() != 0;
  const auto interest = writing ? transport::Interest::read_write : transport::Interest::read;
  if (in_poller_ && listening_ == interest) return;
  const int failed =
      in_poller_ ? poller_.modify(fd(), token_, interest) : poller_.add(fd(), token_, interest);
  in_poller_ = failed == 0;
  listening_ = interest;
}

}  // namespace stratwire::client
