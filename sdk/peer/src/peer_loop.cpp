#include "peer_loop.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <system_error>
#include <utility>

#include <stratwire/telemetry/clock.hpp>
#include <stratwire/transport/random.hpp>

#include "settings.hpp"

namespace stratwire::peer {
namespace {

// Frames wait here for the kernel; more messages wait in the session's log, where their age is
// watched and from where they can be sent again.
constexpr std::size_t kOutBytesMax = 256 * 1024;
// A side that pings, or sends what can't be used, without reading must not fill our memory.
constexpr std::size_t kOutBytesForAnswersMax = 64 * 1024;
// While the kernel takes nothing, what is due (an Ack) waits: looked at now and then.
constexpr Duration kCongestedWait = std::chrono::milliseconds{5};
constexpr Duration kPartingWait = std::chrono::milliseconds{100};
constexpr std::size_t kPartingMax = 8;

Instant clock_now() {
  return std::chrono::steady_clock::now();
}

std::uint64_t random_seed() {
  std::array<char, sizeof(std::uint64_t)> bytes{};
  transport::random_bytes(bytes);
  std::uint64_t seed = 0;
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(&seed));
  return seed;
}

/// Microseconds of the start; two peers that a process opens at once get two.
std::uint64_t new_epoch() {
  static std::atomic<std::uint64_t> last{0};
  const auto micros = static_cast<std::uint64_t>(telemetry::wall_ns() / 1000);
  // relaxed: the figure only has to be another one each time; it orders nothing.
  std::uint64_t before = last.load(std::memory_order_relaxed);
  std::uint64_t epoch = 0;
  do {
    epoch = std::max(micros, before + 1);
    // relaxed: as above.
  } while (!last.compare_exchange_weak(before, epoch, std::memory_order_relaxed));
  return epoch;
}

Result<std::optional<transport::Listener>> listener_for(const PeerConfig& config,
                                                        const transport::Url& url) {
  if (config.listen.empty()) return std::optional<transport::Listener>{};
  auto opened = url.kind == transport::Url::Kind::unix_socket
                    ? transport::Listener::open_unix(url.socket_path)
                    : transport::Listener::open(url.host, url.port);
  if (!opened) return translate(opened.error());
  return std::optional<transport::Listener>{*std::move(opened)};
}

}  // namespace

// ---- Making

Result<std::unique_ptr<PeerLoop>> PeerLoop::open(PeerConfig config) {
  if (auto valid = validate(config); !valid.ok()) return valid.error();
  auto url = url_of(config);
  if (!url.ok()) return url.error();
  auto poller = transport::Poller::open();
  if (!poller) return translate(poller.error());
  auto listener = listener_for(config, *url);
  if (!listener.ok()) return listener.error();
  std::unique_ptr<PeerLoop> loop(
      new PeerLoop(std::move(config), std::move(*url), *std::move(poller), std::move(*listener)));
  loop->now_ = clock_now();
  loop->session_.start(loop->now_);
  loop->perform();
  return loop;
}

PeerLoop::PeerLoop(PeerConfig config, transport::Url url, transport::Poller poller,
                   std::optional<transport::Listener> listener)
    : config_(std::move(config)),
      url_(std::move(url)),
      poller_(std::move(poller)),
      listener_(std::move(listener)),
      session_(session_config(config_, url_, new_epoch(), random_seed())),
      decoder_(config_.codec) {
  transport::Url shown = url_;
  if (listener_ && url_.kind == transport::Url::Kind::tcp) shown.port = listener_->local_port();
  shown_url_ = shown.to_string();
  if (listener_) watch(listener_->fd(), transport::Interest::read);
}

// ---- Actions

void PeerLoop::perform() {
  using Session = session::PeerSession;
  while (auto action = session_.next_action()) {
    if (std::holds_alternative<Session::Connect>(*action)) {
      connector_.start(url_);
    } else if (const auto* write = std::get_if<Session::Write>(&*action)) {
      perform(*write);
    } else if (std::holds_alternative<Session::WritePing>(*action)) {
      if (link_) link_->put(transport::Opcode::ping, {});
    } else if (const auto* drop = std::get_if<Session::Drop>(&*action)) {
      perform(*drop);
    } else {
      perform_shutdown();
    }
  }
  if (session_.ended()) stop_listening();
}

void PeerLoop::perform(const session::PeerSession::Write& write) {
  if (!link_ || link_->waiting() > kOutBytesForAnswersMax) return;
  encoded_.clear();
  // The session makes messages that every codec can encode.
  if (!encode(config_.codec, {{}, write.message}, encoded_).ok()) return;
  link_->put(opcode_of(config_.codec), encoded_);
}

void PeerLoop::perform(const session::PeerSession::Drop& drop) {
  if (drop.code != 0) {
    part_link(drop.code, drop.reason);
  } else {
    drop_link();
  }
  if (listener_) return;
  connector_.cancel();
  for (auto& candidate : candidates_) unwatch(candidate->fd());
  candidates_.clear();
}

void PeerLoop::perform_shutdown() {
  if (!link_) return;
  put_writes(~std::size_t{0});
  link_->put_close(transport::CloseCode::normal, {});
  link_->write();
}

void PeerLoop::put_writes(std::size_t waiting_max) {
  now_ = clock_now();
  while (link_->waiting() < waiting_max) {
    const std::string_view payload = session_.next_write(now_);
    if (payload.empty()) return;
    link_->put(opcode_of(config_.codec), payload);
  }
}

void PeerLoop::flush() {
  if (!link_) return;
  put_writes(kOutBytesMax);
  link_->write();
}

// ---- Turns

bool PeerLoop::work() {
  now_ = clock_now();
  // Timers after reading: whoever was away for a minute finds what came meanwhile before the other
  // side is called dead.
  bool busy = read();
  busy |= get_on_with_connecting();
  busy |= accept();
  busy |= step_candidates();
  if (now_ >= session_.next_tick()) {
    session_.tick(now_);
    busy = true;
  }
  perform();
  flush();
  for (transport::Parting& parting : parting_) parting.step(now_);
  std::erase_if(parting_, [](const transport::Parting& parting) { return !parting.is_open(); });
  return busy;
}

bool PeerLoop::is_parting() const noexcept {
  return std::any_of(parting_.begin(), parting_.end(),
                     [](const transport::Parting& parting) { return !parting.all_said(); });
}

std::uint64_t PeerLoop::bytes_read() const noexcept {
  return bytes_before_ + (link_ ? link_->bytes_read() : 0);
}

void PeerLoop::wait(Instant until) {
  now_ = clock_now();
  const bool congested = link_ && link_->waiting() != 0;
  Instant end = session_.next_tick();
  if (congested) end = std::max(end, now_ + kCongestedWait);
  for (const auto& candidate : candidates_) end = std::min(end, candidate->until());
  // These are looked at now and then only: what they hold interests nobody.
  if (!parting_.empty()) end = std::min(end, now_ + kPartingWait);
  end = std::min(end, until);
  const Duration left =
      end == session::kNever ? transport::Poller::kNoTimeout : std::max(end - now_, Duration{0});
  if (connector_.status() == transport::Connector::Status::pending) {
    connector_.wait(end == session::kNever ? Duration{std::chrono::hours{1}} : left);
    return;
  }
  using transport::Interest;
  if (link_) watch(link_->fd(), congested ? Interest::read_write : Interest::read);
  for (const auto& candidate : candidates_) watch(candidate->fd(), candidate->interest());
  std::array<transport::Ready, 16> ready{};
  static_cast<void>(poller_.wait(ready, left));
  accept_at_ = Instant{};
}

void PeerLoop::watch(int fd, transport::Interest interest) {
  const auto known = std::find_if(watched_.begin(), watched_.end(),
                                  [fd](const Watched& watched) { return watched.fd == fd; });
  if (known == watched_.end()) {
    // A descriptor that finds no room in the system is looked at with every timer only.
    if (poller_.add(fd, 0, interest) == 0) watched_.push_back({fd, interest});
  } else if (known->interest != interest && poller_.modify(fd, 0, interest) == 0) {
    known->interest = interest;
  }
}

void PeerLoop::unwatch(int fd) {
  const auto removed = std::erase_if(watched_, [fd](const Watched& w) { return w.fd == fd; });
  if (removed != 0) poller_.remove(fd);
}

// ---- Reading

bool PeerLoop::read() {
  if (!link_) return false;
  switch (link_->read()) {
    case transport::Connection::Read::some:
      received_at_ = telemetry::wall_ns();
      session_.heard(now_);
      return true;
    case transport::Connection::Read::nothing:
      return false;
    case transport::Connection::Read::ended:
      break;
  }
  Error cause{Errc::connection_lost, 0, "the other side left without a close frame"};
  if (link_->error() != 0) {
    cause.context = std::error_code(link_->error(), std::generic_category()).message();
  }
  drop_link();
  session_.lost(now_, {std::move(cause), 0});
  return true;
}

PeerLoop::Taken PeerLoop::take_event() {
  using Kind = transport::Incoming::Kind;
  const transport::Incoming event = link_->next();
  switch (event.kind) {
    case Kind::message:
      return take_message(event.payload);
    case Kind::need_more:
      return Taken::nothing;
    case Kind::ping:
      if (link_->waiting() < kOutBytesForAnswersMax) {
        link_->put(transport::Opcode::pong, event.payload);
      }
      break;
    case Kind::pong:
      break;
    case Kind::close:
      on_close_frame(event);
      break;
    case Kind::violation:
      on_violation(event);
      break;
  }
  return Taken::something;
}

PeerLoop::Taken PeerLoop::take_message(std::string_view payload) {
  if (const auto decoded = decoder_.decode(payload, message_); !decoded.ok()) [[unlikely]] {
    session_.undecodable(decoded.error());
    return Taken::something;
  }
  if (const auto* ping = std::get_if<Ping>(&message_.body)) {
    perform(session::PeerSession::Write{Pong{ping->t1, received_at_, telemetry::wall_ns()}});
    return Taken::something;
  }
  using Verdict = session::PeerSession::Verdict;
  const Verdict verdict = session_.receive(now_, message_);
  if (verdict == Verdict::drop) return Taken::something;
  delivery_.from = session_.other();
  delivery_.received_at = received_at_;
  if (verdict == Verdict::deliver) [[likely]] {
    hand_message();
  } else {
    delivery_.seq = 0;
    delivery_.body = session_.gap();
    message_held_ = verdict == Verdict::deliver_after_gap;
  }
  return Taken::delivery;
}

void PeerLoop::on_close_frame(const transport::Incoming& close) {
  const auto code = static_cast<std::uint16_t>(close.code);
  Error cause{code >= 4000 && code < 4100 ? Errc::protocol_violation : Errc::connection_lost};
  cause.context = "the other side closed the connection with " + std::to_string(code);
  if (!close.payload.empty()) cause.context.append(": ").append(close.payload);
  part_link(close.code == transport::CloseCode::no_status ? 1000 : code, {});
  session_.lost(now_, {std::move(cause), code});
}

void PeerLoop::on_violation(const transport::Incoming& violation) {
  const auto code = static_cast<std::uint16_t>(violation.code);
  Error cause{Errc::protocol_violation, 0,
              "the other side broke the WebSocket protocol (" + std::to_string(code) +
                  "): " + std::string{violation.payload}};
  part_link(code, violation.payload);
  session_.lost(now_, {std::move(cause), 0});
}

// ---- Handing over

const PeerDelivery* PeerLoop::next() {
  for (;;) {
    if (message_held_) [[unlikely]] {
      message_held_ = false;
      hand_message();
      return &delivery_;
    }
    perform();
    if (session_.has_events()) [[unlikely]] {
      hand_event();
      return &delivery_;
    }
    if (!link_) return nullptr;
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

void PeerLoop::hand_event() {
  event_ = session_.next_event();
  delivery_.from = event_.from;
  delivery_.seq = 0;
  delivery_.received_at = received_at_;
  if (auto* const state = std::get_if<PeerStateEvent>(&event_.what)) {
    delivery_.body = std::move(*state);
  } else if (const auto* gap = std::get_if<Gap>(&event_.what)) {
    delivery_.body = *gap;
  } else if (const auto* reply = std::get_if<Reply>(&event_.what)) {
    delivery_.body = PeerReply{reply->id, reply->code, reply->text, {}};
  } else {
    delivery_.body = std::move(std::get<ErrorReply>(event_.what));
  }
}

void PeerLoop::hand_message() {
  delivery_.seq = message_.envelope.seq;
  const WsMessage& body = message_.body;
  if (const auto* price = std::get_if<PriceUpdate>(&body)) {
    delivery_.body = *price;
  } else if (const auto* account = std::get_if<AccountUpdate>(&body)) {
    delivery_.body = *account;
  } else if (const auto* event = std::get_if<Event>(&body)) {
    delivery_.body = *event;
  } else if (const auto* request = std::get_if<Request>(&body)) {
    delivery_.body = PeerRequest{{delivery_.from.epoch, request->id},
                                 std::chrono::milliseconds{request->deadline_ms},
                                 request->message};
  } else if (const auto* reply = std::get_if<Reply>(&body)) {
    delivery_.body = PeerReply{reply->id, reply->code, reply->text, reply->message};
  } else {
    delivery_.seq = 0;
    delivery_.body = std::get<ErrorReply>(body);
  }
}

// ---- Leaving

void PeerLoop::drop_link() {
  if (!link_) return;
  if (link_->is_open()) unwatch(link_->fd());
  bytes_before_ += link_->bytes_read();
  link_.reset();
}

void PeerLoop::part_link(std::uint16_t code, std::string_view reason) {
  if (!link_) return;
  link_->write();
  unwatch(link_->fd());
  std::string farewell = link_->take_farewell(transport::CloseCode{code}, reason);
  part(link_->release(), std::move(farewell));
  drop_link();
}

void PeerLoop::part(transport::Socket socket, std::string farewell) {
  if (parting_.size() == kPartingMax) parting_.erase(parting_.begin());
  parting_.emplace_back().begin(std::move(socket), std::move(farewell),
                                now_ + limits::kCloseTimeout);
}

}  // namespace stratwire::peer
