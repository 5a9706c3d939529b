/// A server that does what a test says, step by step: the fake peer is a conversation.
///
/// It runs on the test's own thread over real sockets (loopback or AF_UNIX). Every step waits until
/// it has happened or kPatience is over, and calls `while_waiting` again and again meanwhile, so
/// that a client without a thread gets its turns. Nothing sleeps. A step that does not happen, or
/// that hears something else than it expects, is told to fail() (failure.hpp).
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <stratwire/codec.hpp>
#include <stratwire/message.hpp>
#include <stratwire/testing/failure.hpp>
#include <stratwire/transport/frame.hpp>
#include <stratwire/transport/handshake.hpp>
#include <stratwire/transport/listener.hpp>
#include <stratwire/transport/socket.hpp>

namespace stratwire::testing {

/// A server with one connection at a time that says exactly what the test tells it, wrong things
/// included. For a server that works as servers do use testing::Server.
///
/// \thread one thread at a time
class ScriptedPeer {
 public:
  enum class Family : std::uint8_t { tcp, unix_socket };

  /// Listens on a free port of this machine, or on a socket file of its own.
  explicit ScriptedPeer(Codec codec, Family family = Family::tcp);

  /// Called again and again while a step waits: the turns of a client without a thread.
  std::function<void()> while_waiting = [] {};

  /// For ClientConfig::url; the same for as long as this lives.
  [[nodiscard]] std::string url() const;

  // ---- Listening

  /// Nobody can connect until listen(); the port stays the same.
  void stop_listening();
  void listen();

  // ---- One connection at a time

  /// Takes the next connection, without a word.
  void accept_silently();
  /// Takes the next connection and upgrades it.
  void accept();
  /// Takes the next connection and upgrades it without choosing a subprotocol.
  void accept_plain();
  /// Takes the next connection and answers with something else.
  void refuse(unsigned status, std::string_view body);
  /// As refuse(), with bytes of the test's own.
  void refuse_with(std::string_view response);
  /// accept(), then a Welcome.
  void greet(std::uint64_t epoch, std::uint32_t heartbeat_ms = 60'000);
  /// greet(), then grants the next Subscribe with these heads, in its order.
  void greet_and_grant(std::uint64_t epoch, std::uint64_t head);
  void grant(const Subscribe& request, std::uint64_t epoch, std::uint64_t head);
  /// grant() of a request with resume points: these channels were recovered up to `head`, and what
  /// was missed follows; caught_up() ends it.
  void grant_resumed(const Subscribe& request, std::uint64_t epoch, std::uint64_t head);
  void caught_up(const Subscribe& request) { send(CaughtUp{request.id}); }

  // ---- Saying something

  void send(WsMessage body, Envelope envelope = {});
  /// A PriceUpdate with that number.
  void price(std::string_view channel, std::uint64_t seq, double price);
  /// One frame of the codec's kind, whatever it holds.
  void send_payload(std::string_view payload) { send_frame(opcode(), payload); }
  void send_frame(transport::Opcode opcode, std::string_view payload);
  void send_bytes(std::string_view bytes);
  /// As send_bytes(), as far as the kernel takes it now.
  std::size_t try_send_bytes(std::string_view bytes);
  /// False once the client has ended the connection.
  [[nodiscard]] bool can_send(std::string_view bytes);
  void send_close(std::uint16_t code, std::string_view reason = {});
  /// Ends the connection without a word.
  void cut() { socket_.close(); }

  // ---- Listening to the client

  /// The next message, which has to be a T; what probes the clock is left out, unless T is Ping.
  ///
  /// \return    what came; T{} after a failure whose handler returned
  /// \lifetime  texts are valid until the next step
  template <class T>
  T expect() {
    wants_pings_ = std::is_same_v<T, Ping>;
    const bool came = decode_next();
    wants_pings_ = false;
    if (!came) return {};
    const T* const found = std::get_if<T>(&message_.body);
    if (found != nullptr) return *found;
    fail("another message came: " + last_payload_);
    return {};
  }
  /// The ids of the Publish messages that come, up to `most` of them or something else.
  std::vector<std::uint64_t> take_publishes(std::size_t most);
  /// The next event is a close frame; its code.
  std::uint16_t expect_close();
  /// The payload of the next event, which has to be a ping or a pong.
  std::string expect_control(transport::Incoming::Kind kind);
  /// The client ends the connection; what it still says is thrown away.
  void expect_end();

  /// Pings that came while a test expected something else.
  [[nodiscard]] std::size_t pings_left_out() const noexcept { return pings_left_out_; }

 private:
  [[nodiscard]] bool wait(const std::function<bool()>& done);
  [[nodiscard]] transport::Opcode opcode() const noexcept {
    return codec_ == Codec::json ? transport::Opcode::text : transport::Opcode::binary;
  }
  void grant(const Subscribe& request, const ChannelResult& result);
  [[nodiscard]] std::optional<transport::ServerHandshake> read_request();
  /// The next event is a message, which is in message_ then.
  [[nodiscard]] bool decode_next();
  transport::Incoming next_event();
  transport::Incoming next_raw_event();

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
  std::string last_payload_{};
};

}  // namespace stratwire::testing
