/// A server of this process and clients that speak to it, for the tests of the server.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/codec.hpp>
#include <stratwire/server.hpp>
#include <stratwire/testing/raw_client.hpp>

namespace stratwire::test {

using testing::kPatience;
using testing::RawClient;
using testing::RawFrame;
using testing::Read;

using namespace std::chrono_literals;

/// A config for tests: any port, and nothing that comes by time alone.
inline ServerConfig quiet_config() {
  ServerConfig config;
  config.port = 0;
  config.heartbeat_interval = std::chrono::hours(1);
  return config;
}

inline Server open_server(ServerConfig config = quiet_config()) {
  return std::move(Server::open(std::move(config))).value();
}

/// Polls until `condition` holds. Fails the test, once, when it never does.
template <class Condition>
bool eventually(Condition&& condition, std::string_view what) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "never happened: " << what;
      return false;
    }
    std::this_thread::yield();
  }
  return true;
}

/// The figures after every I/O thread has ended what it was doing: what a client was sent may be
/// counted a moment after it was read.
inline ServerStats settled_stats(const Server& server) {
  (void)server.connections(0);
  return server.stats();
}

inline PriceUpdate price(std::uint64_t volume = 0) {
  return {.input_mint = "USDC",
          .output_mint = "SOL",
          .price = 142.25,
          .volume = volume,
          .timestamp = 1'732'094'400'123'456'789};
}

inline AccountUpdate account(std::uint64_t slot = 0) {
  return {.pubkey = "9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin", .lamports = 5, .slot = slot};
}

enum class Speaks : std::uint8_t { json, msgpack, plain };

inline std::string_view to_string(Speaks speaks) {
  return speaks == Speaks::json ? "json" : speaks == Speaks::msgpack ? "msgpack" : "plain";
}

/// A client that decodes.
class TestClient {
 public:
  explicit TestClient(RawClient raw, Speaks speaks = Speaks::json)
      : raw_(std::move(raw)), codec_(speaks == Speaks::msgpack ? Codec::msgpack : Codec::json) {
    std::vector<std::string_view> subprotocols;
    if (speaks == Speaks::json) subprotocols = {"stratwire.v1.json"};
    if (speaks == Speaks::msgpack) subprotocols = {"stratwire.v1.msgpack"};
    EXPECT_TRUE(raw_.upgrade(std::move(subprotocols))) << raw_.refusal();
    if (speaks == Speaks::plain) return;
    welcome_ = expect<Welcome>();
  }
  explicit TestClient(const Server& server, Speaks speaks = Speaks::json,
                      int receive_buffer_bytes = 0)
      : TestClient(RawClient::tcp(server.local_port(), receive_buffer_bytes), speaks) {}

  RawClient& raw() { return raw_; }
  [[nodiscard]] const Welcome& welcome() const { return welcome_; }

  bool send(const WsMessage& message) {
    std::string bytes;
    const auto encoded = encode(codec_, {{}, message}, bytes);
    EXPECT_TRUE(encoded) << encoded.error().message();
    return send_bytes(bytes);
  }
  /// As one message, whatever is in it.
  bool send_bytes(std::string_view bytes) {
    return raw_.send_frame(
        codec_ == Codec::json ? transport::Opcode::text : transport::Opcode::binary, bytes);
  }

  /// The next message but Heartbeats; nullptr at a close frame (see closed_by()) or at the end.
  /// Pings of the server are answered. Valid until the next call.
  const Message* next(std::chrono::nanoseconds patience = kPatience) {
    for (;;) {
      auto frame = raw_.read_frame(patience);
      if (!frame) return nullptr;
      if (frame->opcode == transport::Opcode::close) {
        close_ = std::move(*frame);
        return nullptr;
      }
      if (frame->opcode == transport::Opcode::ping) {
        raw_.send_frame(transport::Opcode::pong, frame->payload);
        continue;
      }
      if (frame->opcode == transport::Opcode::pong) continue;
      payload_ = std::move(frame->payload);
      const auto decoded = decoder().decode(payload_, message_);
      EXPECT_TRUE(decoded) << decoded.error().message() << " in " << payload_;
      if (!decoded) return nullptr;
      if (std::holds_alternative<Heartbeat>(message_.body)) {
        ++heartbeats_;
        if (!heartbeats_wanted_) continue;
      }
      return &message_;
    }
  }
  [[nodiscard]] const std::string& payload() const { return payload_; }
  [[nodiscard]] const std::optional<RawFrame>& closed_by() const { return close_; }
  void want_heartbeats() { heartbeats_wanted_ = true; }
  [[nodiscard]] std::size_t heartbeats() const { return heartbeats_; }

  /// The next message, which must be a T. Fails the test otherwise.
  template <class T>
  T expect() {
    const Message* const message = next();
    if (message == nullptr) {
      ADD_FAILURE() << "no message: " << (close_ ? "close frame, " + close_->payload : "the end");
      return {};
    }
    const T* const body = std::get_if<T>(&message->body);
    if (body == nullptr) {
      ADD_FAILURE() << "another message: " << payload_;
      return {};
    }
    return *body;
  }

  /// Subscribes and takes the answer, which must be the next message.
  Subscribed subscribe(std::vector<std::string> channels) {
    send(Subscribe{std::move(channels), ++last_id_});
    auto answer = expect<Subscribed>();
    EXPECT_EQ(answer.id, last_id_);
    return answer;
  }
  Unsubscribed unsubscribe(std::vector<std::string> channels) {
    send(Unsubscribe{std::move(channels), ++last_id_});
    auto answer = expect<Unsubscribed>();
    EXPECT_EQ(answer.id, last_id_);
    return answer;
  }
  /// Asks for a Pong, which must be the next message: nothing else was on its way.
  void expect_silence() {
    send(Ping{++last_ping_});
    EXPECT_EQ(expect<Pong>().t1, last_ping_);
  }
  /// The next message, which must be a data message of this channel. \return its seq
  std::uint64_t expect_seq(std::string_view channel) {
    const Message* const message = next();
    if (message == nullptr) {
      ADD_FAILURE() << "no message: " << (close_ ? "close frame, " + close_->payload : "the end");
      return 0;
    }
    EXPECT_EQ(message->envelope.channel, channel) << payload_;
    return message->envelope.seq;
  }

 private:
  Decoder& decoder() {
    if (!decoder_) decoder_.emplace(codec_);
    return *decoder_;
  }

  RawClient raw_;
  Codec codec_;
  std::optional<Decoder> decoder_{};
  Message message_{};
  std::string payload_{};
  std::optional<RawFrame> close_{};
  Welcome welcome_{};
  std::uint64_t last_id_ = 0;
  std::int64_t last_ping_ = 0;
  std::size_t heartbeats_ = 0;
  bool heartbeats_wanted_ = false;
};

/// The promise, checked: in order, no duplicate, every missing range told by exactly one Gap.
class Oracle {
 public:
  /// What is behind `seq` was before this subscription.
  void start(const std::string& channel, std::uint64_t seq) { cursors_[channel] = seq; }
  /// A subscription without a known head (`kind:*`): the first message says where it is.
  void see(const Message& message) {
    const std::string channel(message.envelope.channel);
    if (const auto* const gap = std::get_if<Gap>(&message.body)) {
      EXPECT_LE(gap->from, gap->to) << channel;
      const auto [cursor, is_new] = cursors_.try_emplace(channel, gap->from - 1);
      EXPECT_EQ(gap->from, cursor->second + 1) << channel << ": a gap that does not fit";
      cursor->second = gap->to;
      ++gaps_;
      missed_ += gap->to - gap->from + 1;
      last_gap_ = *gap;
      return;
    }
    const std::uint64_t seq = message.envelope.seq;
    if (seq == 0) return;
    const auto [cursor, is_new] = cursors_.try_emplace(channel, seq - 1);
    EXPECT_EQ(seq, cursor->second + 1) << channel << ": hole, repeat or reorder";
    cursor->second = seq;
    ++received_;
  }

  [[nodiscard]] std::uint64_t cursor(const std::string& channel) const {
    const auto found = cursors_.find(channel);
    return found == cursors_.end() ? 0 : found->second;
  }
  [[nodiscard]] std::uint64_t received() const { return received_; }
  [[nodiscard]] std::uint64_t missed() const { return missed_; }
  [[nodiscard]] std::uint64_t gaps() const { return gaps_; }
  [[nodiscard]] const Gap& last_gap() const { return last_gap_; }

 private:
  std::map<std::string, std::uint64_t> cursors_{};
  std::uint64_t received_ = 0;
  std::uint64_t missed_ = 0;
  std::uint64_t gaps_ = 0;
  Gap last_gap_{};
};

}  // namespace stratwire::test
