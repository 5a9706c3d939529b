/// The first I/O thread of a server in memory, with sockets that take everything at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <sys/eventfd.h>
#include <utility>
#include <vector>

#include <stratwire/codec.hpp>
#include <stratwire/transport/frame.hpp>
#include <stratwire/transport/handshake.hpp>

#include "hub.hpp"
#include "shard.hpp"

namespace stratwire::server {

/// Says what a client would, once, and takes all that comes.
class Sink final : public transport::StreamLayer {
 public:
  explicit Sink(std::string says) : says_(std::move(says)) {}
  transport::IoResult read_some(int, std::span<char> into) noexcept override {
    if (says_.empty()) return {0, 0, transport::IoStatus::would_block};
    const std::size_t count = says_.copy(into.data(), into.size());
    says_.erase(0, count);
    return {count, 0, transport::IoStatus::ok};
  }
  transport::IoResult write_some(int, std::span<const char> from) noexcept override {
    return {from.size(), 0, transport::IoStatus::ok};
  }
  void shutdown(int) noexcept override {}

 private:
  std::string says_;
};

inline std::string upgrade_request() {
  const std::string_view offered[] = {"stratwire.v1.json"};
  transport::ClientHandshake handshake(*transport::Url::parse("ws://bench/"), offered);
  return std::string(handshake.request());
}

inline std::string subscription() {
  std::string payload;
  std::string frame;
  (void)encode(Codec::json, {{}, Subscribe{{"prices:*"}, 1}}, payload);
  transport::append_frame(frame, {transport::Opcode::text, transport::MaskKey{}}, payload);
  return frame;
}

/// Without thread, clock and sockets.
class HubRig final : public ShardHost {
 public:
  HubRig(std::size_t channels, std::size_t connections) : core_(config(), 1) {
    for (std::size_t i = 0; i < channels; ++i) {
      channels_.push_back(*core_.registry.find_or_make("prices:" + std::to_string(i)));
    }
    for (std::size_t i = 0; i < connections; ++i) {
      for (const std::string& text : {upgrade_request(), subscription()}) says_ += text;
      // relaxed: one thread.
      core_.connections.fetch_add(1, std::memory_order_relaxed);
      shard_.adopt(transport::Socket(::eventfd(0, 0), std::make_unique<Sink>(says_)), now_);
      says_.clear();
    }
    const std::size_t full = 2 * core_.config.channel_log.messages_max * channels;
    while (published_ < full) turn(64, Way::past_inbox);
  }
  ~HubRig() override { shard_.drop_all(); }

  enum class Way : std::uint8_t { inbox, past_inbox };
  void turn(std::size_t messages, Way way) {
    for (std::size_t i = 0; i < messages; ++i) {
      Channel* const channel = channels_[published_++ % channels_.size()];
      Publication publication(channel, PriceUpdate{"USDC", "SOL", 142.3317, 12, now_.wall_ns});
      publication.published_ns = now_.wall_ns;
      if (way == Way::past_inbox && hub_.try_handle(publication)) continue;
      (void)core_.submit(publication);
    }
    now_.wall_ns += 100'000;
    now_.ms = now_.wall_ns / 1'000'000;
    hub_.drain(messages, now_);
    shard_.turn(now_);
  }
  [[nodiscard]] std::uint64_t delivered() const {
    return core_.figures[0].counters.delivered.value();
  }
  [[nodiscard]] std::uint64_t published() const { return published_; }

  /// Nobody reads here, and time passes quickly: no connection is given up for its silence.
  static ServerConfig config() {
    ServerConfig config;
    config.ping_interval = std::chrono::milliseconds{0};
    return config;
  }

  bool watch(int, std::uint64_t, transport::Interest) override { return true; }
  void change_watch(int, std::uint64_t, transport::Interest) override {}
  void unwatch(int) override {}
  void ask_hub(std::unique_ptr<InterestChange> change) override {
    hub_.change_interest(*change, now_);
    shard_.on_interest(std::move(change), now_);
  }
  void tell_hub(std::unique_ptr<InterestChange> change) override {
    hub_.change_interest(*change, now_);
  }
  void ask_connections(std::uint64_t) override {}

 private:
  Now now_{1'000'000, 1'732'094'400'000'000'000};
  Core core_;
  Shard shard_{core_, 0, *this};
  Hub hub_{core_, shard_};
  std::vector<Channel*> channels_{};
  std::string says_{};
  std::uint64_t published_ = 0;
};

}  // namespace stratwire::server
