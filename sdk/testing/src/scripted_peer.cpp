#include <array>
#include <atomic>
#include <cstdlib>
#include <span>
#include <unistd.h>

#include <stratwire/testing/scripted_peer.hpp>

namespace stratwire::testing {
namespace {

using transport::IoStatus;

std::string fresh_socket_path() {
  static std::atomic<int> count{0};
  const char* const folder = std::getenv("TMPDIR");
  // relaxed: only the number must be a new one.
  const int number = count.fetch_add(1, std::memory_order_relaxed);
  return std::string(folder == nullptr ? "/tmp" : folder) + "/stratwire-peer-" +
         std::to_string(::getpid()) + '-' + std::to_string(number) + ".sock";
}

bool has_ended(const transport::IoResult& result) noexcept {
  return result.status == IoStatus::closed || result.status == IoStatus::failed;
}

}  // namespace

ScriptedPeer::ScriptedPeer(Codec codec, Family family)
    : codec_(codec), family_(family), decoder_(codec) {
  if (family == Family::unix_socket) path_ = fresh_socket_path();
  listen();
}

std::string ScriptedPeer::url() const {
  if (family_ == Family::unix_socket) return "ws+unix://" + path_;
  return "ws://127.0.0.1:" + std::to_string(port_);
}

bool ScriptedPeer::wait(const std::function<bool()>& done) {
  return eventually([&] {
    while_waiting();
    return done();
  });
}

// ---- Listening

void ScriptedPeer::stop_listening() {
  listener_->close();
  listener_.reset();
}

void ScriptedPeer::listen() {
  auto opened = family_ == Family::unix_socket ? transport::Listener::open_unix(path_)
                                               : transport::Listener::open("127.0.0.1", port_);
  if (!opened.ok()) return fail("can't listen: " + opened.error().text);
  listener_.emplace(*std::move(opened));
  port_ = listener_->local_port();
}

// ---- One connection at a time

void ScriptedPeer::accept_silently() {
  const bool came = wait([&] {
    auto accepted = listener_->accept();
    if (accepted.status != transport::AcceptStatus::ok) return false;
    socket_ = std::move(accepted.socket);
    return true;
  });
  if (!came) return fail("nobody connected");
  parser_ = transport::FrameParser(transport::Role::server, {1 << 20, 1024});
  input_.clear();
  used_ = 0;
  held_.reset();
}

std::optional<transport::ServerHandshake> ScriptedPeer::read_request() {
  std::optional<transport::ServerHandshake> handshake(std::in_place);
  const bool came = wait([&] {
    std::array<char, 4096> head;
    const auto got = socket_.read_some(head);
    if (got.status != IoStatus::ok) return false;
    std::span<const char> input(head.data(), got.bytes);
    const auto step = handshake->feed(input);
    input_.assign(input.begin(), input.end());
    return step == transport::ServerHandshake::Step::upgrade;
  });
  if (came) return handshake;
  fail("no upgrade came");
  return std::nullopt;
}

void ScriptedPeer::accept() {
  accept_silently();
  auto handshake = read_request();
  if (!handshake) return;
  const auto& offered = handshake->subprotocols();
  if (offered.size() != 1) return fail("not one subprotocol is offered");
  send_bytes(handshake->accept(offered[0]));
}

void ScriptedPeer::accept_plain() {
  accept_silently();
  if (auto handshake = read_request()) send_bytes(handshake->accept(""));
}

void ScriptedPeer::refuse(unsigned status, std::string_view body) {
  accept_silently();
  if (auto handshake = read_request()) send_bytes(handshake->respond(status, "text/plain", body));
  cut();
}

void ScriptedPeer::refuse_with(std::string_view response) {
  accept_silently();
  if (read_request()) send_bytes(response);
  cut();
}

void ScriptedPeer::greet(std::uint64_t epoch, std::uint32_t heartbeat_ms) {
  accept();
  send(Welcome{1, epoch, heartbeat_ms, 64 * 1024, 1024, 0});
}

void ScriptedPeer::greet_and_grant(std::uint64_t epoch, std::uint64_t head) {
  greet(epoch);
  grant(expect<Subscribe>(), epoch, head);
}

void ScriptedPeer::grant(const Subscribe& request, const ChannelResult& result) {
  Subscribed answer{request.id, {}};
  for (const std::string& channel : request.channels) {
    answer.results.push_back(result);
    answer.results.back().channel = channel;
  }
  send(answer);
}

void ScriptedPeer::grant(const Subscribe& request, std::uint64_t epoch, std::uint64_t head) {
  grant(request, {"", Errc::ok, "", epoch, head});
}

void ScriptedPeer::grant_resumed(const Subscribe& request, std::uint64_t epoch,
                                 std::uint64_t head) {
  grant(request, {"", Errc::ok, "", epoch, head, true});
}

// ---- Saying something

void ScriptedPeer::send(WsMessage body, Envelope envelope) {
  std::string payload;
  const auto encoded = encode(codec_, Message{envelope, std::move(body)}, payload);
  if (!encoded.ok()) return fail("can't be encoded: " + encoded.error().message());
  send_payload(payload);
}

void ScriptedPeer::price(std::string_view channel, std::uint64_t seq, double price) {
  send(PriceUpdate{"USDC", "SOL", price, 12, 99}, {channel, seq});
}

void ScriptedPeer::send_frame(transport::Opcode opcode, std::string_view payload) {
  std::string frame;
  transport::append_frame(frame, {opcode, {}, transport::FrameHead::Fin::last}, payload);
  send_bytes(frame);
}

void ScriptedPeer::send_bytes(std::string_view bytes) {
  bool ended = false;
  const bool sent_all = wait([&] {
    const auto sent = socket_.write_some(std::span<const char>(bytes));
    if (sent.status == IoStatus::would_block) return false;
    ended = sent.status != IoStatus::ok;
    if (ended) return true;
    bytes.remove_prefix(sent.bytes);
    return bytes.empty();
  });
  if (ended) return fail("the client has ended the connection");
  if (!sent_all) fail("the client does not read");
}

std::size_t ScriptedPeer::try_send_bytes(std::string_view bytes) {
  const auto sent = socket_.write_some(std::span<const char>(bytes));
  return sent.status == IoStatus::ok ? sent.bytes : 0;
}

bool ScriptedPeer::can_send(std::string_view bytes) {
  while_waiting();
  return !has_ended(socket_.write_some(std::span<const char>(bytes)));
}

void ScriptedPeer::send_close(std::uint16_t code, std::string_view reason) {
  std::string frame;
  transport::append_close(frame, transport::CloseCode{code}, reason);
  send_bytes(frame);
}

// ---- Listening to the client

bool ScriptedPeer::decode_next() {
  const auto event = next_event();
  if (event.kind != transport::Incoming::Kind::message) {
    fail("no message came but event " + std::to_string(static_cast<int>(event.kind)));
    return false;
  }
  last_payload_ = event.payload;
  if (event.opcode != opcode()) fail("a frame of the wrong kind came: " + last_payload_);
  const auto decoded = decoder_.decode(event.payload, message_);
  if (decoded.ok()) return true;
  fail(decoded.error().message() + " in " + last_payload_);
  return false;
}

std::vector<std::uint64_t> ScriptedPeer::take_publishes(std::size_t most) {
  std::vector<std::uint64_t> ids;
  while (ids.size() < most) {
    held_ = next_event();
    if (held_->kind != transport::Incoming::Kind::message) return ids;
    if (!decoder_.decode(held_->payload, message_).ok()) {
      fail("can't be decoded: " + std::string(held_->payload));
    }
    held_.reset();
    const auto* const publish = std::get_if<Publish>(&message_.body);
    if (publish == nullptr) return ids;
    ids.push_back(publish->id);
  }
  return ids;
}

std::uint16_t ScriptedPeer::expect_close() {
  const auto event = next_event();
  if (event.kind != transport::Incoming::Kind::close) fail("no close frame came");
  return static_cast<std::uint16_t>(event.code);
}

std::string ScriptedPeer::expect_control(transport::Incoming::Kind kind) {
  const auto event = next_event();
  if (event.kind != kind) {
    fail("event " + std::to_string(static_cast<int>(event.kind)) + " came, not " +
         std::to_string(static_cast<int>(kind)));
  }
  return std::string{event.payload};
}

void ScriptedPeer::expect_end() {
  std::array<char, 4096> scrap;
  if (!wait([&] { return has_ended(socket_.read_some(scrap)); })) {
    fail("the client keeps the connection");
  }
}

/// Pings that probe the clock come when they like: they are left out, unless a test asks for them.
transport::Incoming ScriptedPeer::next_event() {
  if (held_) return *std::exchange(held_, std::nullopt);
  for (;;) {
    const transport::Incoming event = next_raw_event();
    const bool is_ping = event.kind == transport::Incoming::Kind::message && !wants_pings_ &&
                         decoder_.decode(event.payload, message_).ok() &&
                         std::holds_alternative<Ping>(message_.body);
    if (!is_ping) return event;
    ++pings_left_out_;
  }
}

transport::Incoming ScriptedPeer::next_raw_event() {
  transport::Incoming event;
  const bool came = wait([&] {
    input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(used_));
    used_ = 0;
    std::span<char> rest(input_);
    event = parser_.next(rest);
    used_ = input_.size() - rest.size();
    if (event.kind != transport::Incoming::Kind::need_more) return true;
    std::array<char, 4096> more;
    const auto got = socket_.read_some(more);
    if (got.status == IoStatus::ok) {
      input_.insert(input_.end(), more.begin(),
                    more.begin() + static_cast<std::ptrdiff_t>(got.bytes));
    }
    return has_ended(got);
  });
  if (!came) fail("nothing came from the client");
  return event;
}

}  // namespace stratwire::testing
