/// A hub and its shard without thread, clock and socket: what a simulation drives.
///
/// 1. Time is a number; advance() lets it pass in ticks.
/// 2. A connection is two strings; its client takes as much as its window allows.
/// 3. settle() runs hub and shard, and tells of readiness, until nothing moves any more.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <sys/eventfd.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/codec.hpp>
#include <stratwire/transport/frame.hpp>
#include <stratwire/transport/handshake.hpp>
#include <stratwire/transport/socket.hpp>

#include "hub.hpp"
#include "shard.hpp"

namespace stratwire::server {

/// What lies between the two ends of a connection in memory.
struct Pipe {
  std::string to_server{};
  std::string to_client{};
  std::size_t window = SIZE_MAX;  ///< Bytes that the client's side still takes.
  std::size_t writes = 0;         ///< Of the server that moved something.
  bool closed = false;            ///< By the server.
  bool broken = false;            ///< The client is gone without a word.
};

class PipeLayer final : public transport::StreamLayer {
 public:
  explicit PipeLayer(std::shared_ptr<Pipe> pipe) : pipe_(std::move(pipe)) {}
  ~PipeLayer() override { pipe_->closed = true; }
  transport::IoResult read_some(int, std::span<char> into) noexcept override {
    const std::size_t count = std::min(into.size(), pipe_->to_server.size());
    if (pipe_->broken) return {0, 0, transport::IoStatus::closed};
    if (count == 0) return {0, 0, transport::IoStatus::would_block};
    std::copy_n(pipe_->to_server.begin(), count, into.begin());
    pipe_->to_server.erase(0, count);
    return {count, 0, transport::IoStatus::ok};
  }
  transport::IoResult write_some(int, std::span<const char> from) noexcept override {
    const std::size_t count = std::min(from.size(), pipe_->window);
    if (count == 0) return {0, 0, transport::IoStatus::would_block};
    pipe_->to_client.append(from.data(), count);
    ++pipe_->writes;
    if (pipe_->window != SIZE_MAX) pipe_->window -= count;
    return {count, 0, transport::IoStatus::ok};
  }
  void shutdown(int) noexcept override {}

 private:
  std::shared_ptr<Pipe> pipe_;
};

class ShardRig final : public ShardHost {
 public:
  explicit ShardRig(ServerConfig config = {}) : core_(std::move(config), kEpoch) {
    hub_ = std::make_unique<Hub>(core_, shard_);
  }
  ~ShardRig() override { shard_.drop_all(); }

  static constexpr std::uint64_t kEpoch = 77;

  Core& core() { return core_; }
  Hub& hub() { return *hub_; }
  Shard& shard() { return shard_; }
  [[nodiscard]] Now now() const { return now_; }

  /// Into the inbox, where it stays until the next turn.
  template <class Body>
  void submit(const std::string& channel, const Body& body) {
    Publication publication(*core_.registry.find_or_make(channel), body);
    publication.published_ns = now_.wall_ns;
    ASSERT_EQ(core_.submit(publication), PublishStatus::ok);
  }
  template <class Body>
  void publish(const std::string& channel, const Body& body) {
    submit(channel, body);
    settle();
  }
  /// As above, in one turn of the loop: as where the next message comes before it has a turn to
  /// spare.
  template <class Body>
  void publish_in_one_turn(const std::string& channel, const Body& body) {
    submit(channel, body);
    EXPECT_EQ(hub_->drain(1'024, now_), 1U);
    shard_.turn(now_);
  }
  void advance(std::int64_t ms) {
    for (std::int64_t passed = 0; passed < ms; passed += Shard::kTickMs) {
      now_.ms += Shard::kTickMs;
      now_.wall_ns += Shard::kTickMs * 1'000'000;
      settle();
    }
  }
  /// From here on answers of the hub are on their way until release_answers(), as behind a HubLink.
  void hold_answers() { holds_answers_ = true; }
  void release_answers() {
    hand_over_answers();
    settle();
  }
  /// As a server that slept: nobody was there and nothing happened.
  void sleep(std::int64_t ms) {
    now_.ms += ms;
    now_.wall_ns += ms * 1'000'000;
  }
  void settle() {
    while (turn()) {
    }
  }
  /// One turn of the loop. \return whether there was something to do
  bool turn() {
    bool moved = hub_->drain(core_.turn.messages, now_) != 0;
    shard_.turn(now_);
    for (const auto& [fd, watched] : std::map(watched_)) {
      const auto bits = static_cast<unsigned>(watched.interest);
      const Pipe& pipe = *pipes_.at(fd);
      const bool readable = (bits & 1U) != 0 && !pipe.to_server.empty();
      const bool writable = (bits & 2U) != 0 && pipe.window != 0;
      if (!readable && !writable && !pipe.broken) continue;
      shard_.on_ready({watched.token, readable, writable, pipe.broken}, now_);
      moved = true;
    }
    return moved || shard_.has_work();
  }
  std::shared_ptr<Pipe> accept() {
    auto pipe = std::make_shared<Pipe>();
    const int fd = ::eventfd(0, 0);
    pipes_[fd] = pipe;
    // relaxed: one thread.
    core_.connections.fetch_add(1, std::memory_order_relaxed);
    shard_.adopt(transport::Socket(fd, std::make_unique<PipeLayer>(pipe)), now_);
    return pipe;
  }

  bool watch(int fd, std::uint64_t token, transport::Interest interest) override {
    watched_[fd] = {token, interest};
    return true;
  }
  void change_watch(int fd, std::uint64_t token, transport::Interest interest) override {
    watched_[fd] = {token, interest};
  }
  void unwatch(int fd) override { watched_.erase(fd); }
  void ask_hub(std::unique_ptr<InterestChange> change) override {
    hub_->change_interest(*change, now_);
    held_answers_.push_back(std::move(change));
    if (!holds_answers_) hand_over_answers();
  }
  void tell_hub(std::unique_ptr<InterestChange> change) override {
    hub_->change_interest(*change, now_);
  }
  void ask_connections(std::uint64_t token) override {
    shard_.on_connections(token, shard_.connection_stats(), now_);
  }

 private:
  struct Watched {
    std::uint64_t token = 0;
    transport::Interest interest = transport::Interest::none;
  };
  Now now_{1'000'000, 1'732'094'400'000'000'000};
  void hand_over_answers() {
    for (auto& change : std::exchange(held_answers_, {})) {
      shard_.on_interest(std::move(change), now_);
    }
  }

  std::map<int, Watched> watched_{};
  std::vector<std::unique_ptr<InterestChange>> held_answers_{};
  bool holds_answers_ = false;
  std::map<int, std::shared_ptr<Pipe>> pipes_{};
  Core core_;
  Shard shard_{core_, 0, *this};
  std::unique_ptr<Hub> hub_{};
};

/// A client of the rig that decodes.
class RigClient {
 public:
  explicit RigClient(ShardRig& rig) : rig_(rig), pipe_(rig.accept()) {
    const std::string_view offered[] = {"stratwire.v1.json"};
    transport::ClientHandshake handshake(*transport::Url::parse("ws://rig/"), offered);
    pipe_->to_server = handshake.request();
    rig_.settle();
    std::span<const char> rest(pipe_->to_client);
    EXPECT_EQ(handshake.feed(rest), transport::ClientHandshake::Step::upgraded);
    pipe_->to_client.erase(0, pipe_->to_client.size() - rest.size());
    EXPECT_TRUE(std::holds_alternative<Welcome>(next()->body));
  }
  Pipe& pipe() { return *pipe_; }

  void send(const WsMessage& message) {
    std::string payload;
    ASSERT_TRUE(encode(Codec::json, {{}, message}, payload));
    send_frame(transport::Opcode::text, payload);
  }
  void send_frame(transport::Opcode opcode, std::string_view payload) {
    transport::append_frame(pipe_->to_server, {opcode, transport::MaskKey{}}, payload);
    rig_.settle();
  }
  /// The next message; nullptr when none waits, or at a close frame (see closed_by()).
  const Message* next() {
    using Kind = transport::Incoming::Kind;
    input_ += std::exchange(pipe_->to_client, {});
    for (;;) {
      std::span<char> input(input_);
      const transport::Incoming incoming = parser_.next(input);
      if (incoming.kind == Kind::need_more) return nullptr;
      payload_ = std::string(incoming.payload);
      input_.erase(0, input_.size() - input.size());
      if (incoming.kind == Kind::close) {
        closed_by_ = static_cast<int>(incoming.code);
        return nullptr;
      }
      if (incoming.kind == Kind::ping) ++pings_;
      if (incoming.kind == Kind::pong) pongs_.push_back(payload_);
      EXPECT_NE(incoming.kind, Kind::violation) << payload_;
      if (incoming.kind == Kind::violation) return nullptr;
      if (incoming.kind != Kind::message) continue;
      EXPECT_TRUE(decoder_.decode(payload_, message_)) << payload_;
      return &message_;
    }
  }
  /// The next message that is a T; others are passed over.
  template <class T>
  std::optional<T> next_of() {
    while (const Message* const message = next()) {
      if (const T* const body = std::get_if<T>(&message->body)) return *body;
    }
    return std::nullopt;
  }
  /// 0 while it is open.
  [[nodiscard]] int closed_by() const { return closed_by_; }
  /// Of the server, that next() has passed over; they are not answered.
  [[nodiscard]] std::size_t pings() const { return pings_; }
  /// What was in the pong frames that next() has passed over.
  [[nodiscard]] const std::vector<std::string>& pongs() const { return pongs_; }

 private:
  ShardRig& rig_;
  std::shared_ptr<Pipe> pipe_;
  transport::FrameParser parser_{transport::Role::client, {.message_bytes_max = 4 << 20}};
  Decoder decoder_{Codec::json};
  Message message_{};
  std::string input_{};
  std::string payload_{};
  int closed_by_ = 0;
  std::size_t pings_ = 0;
  std::vector<std::string> pongs_{};
};

}  // namespace stratwire::server
