/// A server that does what a test says, step by step: the fake peer is a conversation.
///
/// It runs on the test's own thread over real sockets (loopback or AF_UNIX). Every step waits until
/// it has happened or kPatience is over, and calls `while_waiting` again and again meanwhile, so
/// that a client without a thread gets its turns. Nothing sleeps.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <sched.h>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/codec.hpp>
#include <stratwire/message.hpp>
#include <stratwire/transport/frame.hpp>
#include <stratwire/transport/handshake.hpp>
#include <stratwire/transport/listener.hpp>
#include <stratwire/transport/socket.hpp>

namespace stratwire::testing {

inline constexpr std::chrono::seconds kPatience{20};

/// Calls `done` until it says true or kPatience is over.
template <class Done>
[[nodiscard]] bool eventually(Done&& done) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    sched_yield();
  }
  return true;
}

class ScriptedPeer {
 public:
  enum class Family : std::uint8_t { tcp, unix_socket };

  explicit ScriptedPeer(Codec codec, Family family = Family::tcp)
      : codec_(codec), family_(family), decoder_(codec) {
    if (family == Family::unix_socket) {
      static std::atomic<int> count{0};
      path_ = ::testing::TempDir() + "stratwire-peer-" + std::to_string(::getpid()) + '-' +
              std::to_string(++count) + ".sock";
    }
    listen();
  }

  std::function<void()> while_waiting = [] {};

  [[nodiscard]] std::string url() const {
    if (family_ == Family::unix_socket) return "ws+unix://" + path_;
    return "ws://127.0.0.1:" + std::to_string(port_);
  }

  // ---- Listening

  /// Nobody can connect until listen(); the port stays the same.
  void stop_listening() {
    listener_->close();
    listener_.reset();
  }
  void listen() {
    auto opened = family_ == Family::unix_socket ? transport::Listener::open_unix(path_)
                                                 : transport::Listener::open("127.0.0.1", port_);
    ASSERT_TRUE(opened.ok()) << opened.error().text;
    listener_.emplace(*std::move(opened));
    port_ = listener_->local_port();
  }

  // ---- One connection at a time

  /// Takes the next connection, without a word.
  void accept_silently() {
    ASSERT_TRUE(wait([&] {
      auto accepted = listener_->accept();
      if (accepted.status != transport::AcceptStatus::ok) return false;
      socket_ = std::move(accepted.socket);
      return true;
    })) << "nobody connected";
    parser_ = transport::FrameParser(transport::Role::server, {1 << 20, 1024});
    input_.clear();
    used_ = 0;
    held_.reset();
  }
  /// Takes the next connection and upgrades it.
  void accept() {
    accept_silently();
    transport::ServerHandshake handshake = read_request();
    const auto& offered = handshake.subprotocols();
    ASSERT_EQ(offered.size(), 1u);
    send_bytes(handshake.accept(offered[0]));
  }
  /// Takes the next connection and upgrades it without choosing a subprotocol.
  void accept_plain() {
    accept_silently();
    send_bytes(read_request().accept(""));
  }
  /// Takes the next connection and answers with something else.
  void refuse(unsigned status, std::string_view body) {
    accept_silently();
    transport::ServerHandshake handshake = read_request();
    send_bytes(handshake.respond(status, "text/plain", body));
    cut();
  }
  /// As refuse(), with bytes of the test's own.
  void refuse_with(std::string_view response) {
    accept_silently();
    static_cast<void>(read_request());
    send_bytes(response);
    cut();
  }
  /// accept(), then a Welcome.
  void greet(std::uint64_t epoch, std::uint32_t heartbeat_ms = 60'000) {
    accept();
    send(Welcome{1, epoch, heartbeat_ms, 64 * 1024, 1024, 0});
  }
  /// greet(), then grants the next Subscribe with these heads, in its order.
  void greet_and_grant(std::uint64_t epoch, std::uint64_t head) {
    greet(epoch);
    grant(expect<Subscribe>(), epoch, head);
  }
  void grant(const Subscribe& request, std::uint64_t epoch, std::uint64_t head) {
    Subscribed answer{request.id, {}};
    for (const std::string& channel : request.channels) {
      answer.results.push_back({channel, Errc::ok, "", epoch, head});
    }
    send(answer);
  }

  /// grant() of a request with resume points: these channels were recovered up to `head`, and what
  /// was missed follows; caught_up() ends it.
  void grant_resumed(const Subscribe& request, std::uint64_t epoch, std::uint64_t head) {
    Subscribed answer{request.id, {}};
    for (const std::string& channel : request.channels) {
      answer.results.push_back({channel, Errc::ok, "", epoch, head, true});
    }
    send(answer);
  }
  void caught_up(const Subscribe& request) { send(CaughtUp{request.id}); }

  // ---- Saying something

  void send(WsMessage body, Envelope envelope = {}) {
    std::string payload;
    const auto encoded = encode(codec_, Message{envelope, std::move(body)}, payload);
    ASSERT_TRUE(encoded.ok()) << encoded.error().message();
    send_payload(payload);
  }
  void price(std::string_view channel, std::uint64_t seq, double price) {
    send(PriceUpdate{"USDC", "SOL", price, 12, 99}, {channel, seq});
  }
  /// One frame of the codec's kind, whatever it holds.
  void send_payload(std::string_view payload) {
    std::string frame;
    transport::append_frame(frame, {opcode(), {}, transport::FrameHead::Fin::last}, payload);
    send_bytes(frame);
  }
  void send_frame(transport::Opcode opcode, std::string_view payload) {
    std::string frame;
    transport::append_frame(frame, {opcode, {}, transport::FrameHead::Fin::last}, payload);
    send_bytes(frame);
  }
  void send_bytes(std::string_view bytes) {
    ASSERT_TRUE(wait([&] {
      const auto sent = socket_.write_some(std::span<const char>(bytes));
      if (sent.status == transport::IoStatus::would_block) return false;
      EXPECT_EQ(sent.status, transport::IoStatus::ok);
      if (sent.status != transport::IoStatus::ok) return true;
      bytes.remove_prefix(sent.bytes);
      return bytes.empty();
    })) << "the client does not read";
  }
  /// As send_bytes(), as far as the kernel takes it now.
  std::size_t try_send_bytes(std::string_view bytes) {
    const auto sent = socket_.write_some(std::span<const char>(bytes));
    return sent.status == transport::IoStatus::ok ? sent.bytes : 0;
  }
  /// False once the client has ended the connection.
  [[nodiscard]] bool can_send(std::string_view bytes) {
    while_waiting();
    const auto sent = socket_.write_some(std::span<const char>(bytes));
    return sent.status == transport::IoStatus::ok ||
           sent.status == transport::IoStatus::would_block;
  }
  void send_close(std::uint16_t code, std::string_view reason = {}) {
    std::string frame;
    transport::append_close(frame, transport::CloseCode{code}, reason);
    send_bytes(frame);
  }
  /// Ends the connection without a word.
  void cut() { socket_.close(); }

  // ---- Listening to the client

  /// The next message, which has to be a T.
  template <class T>
  T expect() {
    wants_pings_ = std::is_same_v<T, Ping>;
    const auto event = next_event();
    wants_pings_ = false;
    if (event.kind != transport::Incoming::Kind::message) {
      ADD_FAILURE() << "no message came but event " << static_cast<int>(event.kind);
      return {};
    }
    EXPECT_EQ(event.opcode, opcode());
    const auto decoded = decoder_.decode(event.payload, message_);
    EXPECT_TRUE(decoded.ok()) << decoded.error().message() << " in " << event.payload;
    const T* const found = std::get_if<T>(&message_.body);
    if (found == nullptr) {
      ADD_FAILURE() << "another message came: " << event.payload;
      return {};
    }
    return *found;
  }
  /// The ids of the Publish messages that come, up to `most` of them or something else.
  std::vector<std::uint64_t> take_publishes(std::size_t most) {
    std::vector<std::uint64_t> ids;
    while (ids.size() < most) {
      held_ = next_event();
      if (held_->kind != transport::Incoming::Kind::message) return ids;
      EXPECT_TRUE(decoder_.decode(held_->payload, message_).ok()) << held_->payload;
      held_.reset();
      const auto* const publish = std::get_if<Publish>(&message_.body);
      if (publish == nullptr) return ids;
      ids.push_back(publish->id);
    }
    return ids;
  }
  /// The next event is a close frame; its code.
  std::uint16_t expect_close() {
    const auto event = next_event();
    EXPECT_EQ(event.kind, transport::Incoming::Kind::close);
    return static_cast<std::uint16_t>(event.code);
  }
  /// The payload of the next event, which has to be a ping or a pong.
  std::string expect_control(transport::Incoming::Kind kind) {
    const auto event = next_event();
    EXPECT_EQ(event.kind, kind);
    return std::string{event.payload};
  }
  /// The client ends the connection; what it still says is thrown away.
  void expect_end() {
    std::array<char, 4096> scrap;
    ASSERT_TRUE(wait([&] {
      const auto got = socket_.read_some(scrap);
      return got.status == transport::IoStatus::closed || got.status == transport::IoStatus::failed;
    })) << "the client keeps the connection";
  }

  /// Pings that came while a test expected something else.
  [[nodiscard]] std::size_t pings_left_out() const noexcept { return pings_left_out_; }

 private:
  template <class Done>
  [[nodiscard]] bool wait(Done&& done) {
    return eventually([&] {
      while_waiting();
      return done();
    });
  }
  [[nodiscard]] transport::Opcode opcode() const {
    return codec_ == Codec::json ? transport::Opcode::text : transport::Opcode::binary;
  }

  transport::ServerHandshake read_request() {
    transport::ServerHandshake handshake;
    EXPECT_TRUE(wait([&] {
      std::array<char, 4096> head;
      const auto got = socket_.read_some(head);
      if (got.status != transport::IoStatus::ok) return false;
      std::span<const char> input(head.data(), got.bytes);
      const auto step = handshake.feed(input);
      input_.assign(input.begin(), input.end());
      return step == transport::ServerHandshake::Step::upgrade;
    })) << "no upgrade came";
    return handshake;
  }

  /// The next event. Pings that probe the clock come when they like: they are left out, unless a
  /// test asks for them.
  transport::Incoming next_event() {
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
  transport::Incoming next_raw_event() {
    transport::Incoming event;
    EXPECT_TRUE(wait([&] {
      input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(used_));
      used_ = 0;
      std::span<char> rest(input_);
      event = parser_.next(rest);
      used_ = input_.size() - rest.size();
      if (event.kind != transport::Incoming::Kind::need_more) return true;
      std::array<char, 4096> more;
      const auto got = socket_.read_some(more);
      if (got.status == transport::IoStatus::ok) {
        input_.insert(input_.end(), more.begin(),
                      more.begin() + static_cast<std::ptrdiff_t>(got.bytes));
      }
      return got.status == transport::IoStatus::closed || got.status == transport::IoStatus::failed;
    })) << "nothing came from the client";
    return event;
  }

  Codec codec_;
  Family family_;
  std::string path_{};
  std::uint16_t port_ = 0;
  std::optional<transport::Listener> listener_{};
  transport::Socket socket_{};
  transport::FrameParser parser_{transport::Role::server, {1 << 20, 1024}};
  std::vector<char> input_{};
  std::size_t used_ = 0;
  bool wants_pings_ = false;
  std::size_t pings_left_out_ = 0;
  std::optional<transport::Incoming> held_{};  // Found by take_publishes().
  Decoder decoder_;
  Message message_{};
};

}  // namespace stratwire::testing
