/// Both ends of an audit: a feed that writes down what it publishes, a strategy whose every message
/// goes to the judge.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/client.hpp>
#include <stratwire/codec.hpp>
#include <stratwire/server.hpp>
#include <stratwire/testing/delivery_oracle.hpp>

namespace stratwire::test {

using testing::DeliveryFault;
using testing::DeliveryOracle;
using testing::PublishedLedger;

/// Long enough that only a failure ever waits for it.
inline constexpr std::chrono::seconds kAuditPatience{60};

// ---- One number that stands for a whole message

inline std::uint64_t content_of(const PriceUpdate& message) noexcept {
  return message.volume;
}
inline std::uint64_t content_of(const AccountUpdate& message) noexcept {
  return message.lamports;
}
inline std::uint64_t content_of(const Event& message) {
  std::string text;
  if (!transcode(message.data, Codec::json, text).ok()) return 0;
  return std::strtoull(text.c_str(), nullptr, 10);
}

/// Publishes to channels of a server and keeps the ledger.
///
/// `prices:` gets PriceUpdates, `accounts:` AccountUpdates, everything else Events.
///
/// \thread one thread at a time; the only publisher of its channels
class AuditedFeed {
 public:
  AuditedFeed(Server& server, const std::vector<std::string>& channels, std::uint64_t seed)
      : epoch_(server.stats().epoch), random_(seed) {
    for (const std::string& channel : channels) publishers_.push_back(server.publisher(channel));
  }

  /// One message; waits while the server's inbox is full.
  void publish(std::size_t channel) {
    Publisher& publisher = publishers_[channel];
    // JSON numbers beyond this are not exact everywhere; the codecs have tests of their own.
    const std::uint64_t content = random_() >> 11;
    const std::string digits = std::to_string(content);
    const std::string_view name = publisher.channel();
    PublishStatus status = PublishStatus::back_pressured;
    while (status == PublishStatus::back_pressured) {
      if (name.starts_with("prices:")) {
        status = publisher.publish(PriceUpdate{"USDC", "SOL", 142.25, content, 99});
      } else if (name.starts_with("accounts:")) {
        status = publisher.publish(
            AccountUpdate{"9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin", content, 7, 99});
      } else {
        status = publisher.publish(Event{"Trade", {Codec::json, digits}});
      }
      if (status == PublishStatus::back_pressured) std::this_thread::yield();
    }
    ASSERT_EQ(status, PublishStatus::ok) << name;
    ledger_.append(name, epoch_, content);
    // relaxed: a figure; the messages themselves go through the server.
    published_.fetch_add(1, std::memory_order_relaxed);
  }
  /// As above, to any of the channels.
  void publish_anywhere() { publish(random_() % publishers_.size()); }

  [[nodiscard]] std::size_t channels() const noexcept { return publishers_.size(); }
  /// \thread any
  [[nodiscard]] std::uint64_t published() const noexcept {
    // relaxed: a figure.
    return published_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] const PublishedLedger& ledger() const noexcept { return ledger_; }

 private:
  std::uint64_t epoch_;
  std::mt19937_64 random_;
  std::vector<Publisher> publishers_{};
  PublishedLedger ledger_{};
  std::atomic<std::uint64_t> published_{0};
};

/// A client with a judge.
///
/// \thread one thread at a time, but covered()
class AuditedStrategy {
 public:
  /// Subscribes to channels to which nothing was published yet.
  AuditedStrategy(ClientConfig config, const std::vector<std::string>& channels)
      : client(Client::open(std::move(config)).value()) {
    listen();
    for (const std::string& channel : channels) oracle.start(channel, 0);
    if (!channels.empty()) client.subscribe(channels).value();
  }
  AuditedStrategy(const AuditedStrategy&) = delete;
  AuditedStrategy& operator=(const AuditedStrategy&) = delete;

  /// Takes what is there; waits so long if there is nothing.
  void take(std::chrono::nanoseconds wait = std::chrono::milliseconds(1)) {
    // Nobody unsubscribes: everything goes to the handlers.
    (void)client.receive_for<Unsubscribed>(wait);
  }
  /// Takes until the condition holds. \return false when it never did
  template <class Condition>
  [[nodiscard]] bool until(Condition&& condition,
                           std::chrono::nanoseconds patience = kAuditPatience) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      take();
    }
    return true;
  }
  [[nodiscard]] bool until_live() {
    return until([this] { return client.state() == ClientState::live; });
  }

  /// Messages that were handed over or named by Gaps. \thread any
  [[nodiscard]] std::uint64_t covered() const noexcept {
    // relaxed: a figure, for pacing.
    return covered_.load(std::memory_order_relaxed);
  }
  /// State events of this kind so far.
  [[nodiscard]] std::size_t count(ClientState state) const noexcept {
    std::size_t sum = 0;
    for (const StateEvent& event : states) sum += event.state == state ? 1U : 0U;
    return sum;
  }

  Client client;
  DeliveryOracle oracle{};
  /// Holes that the client found in what a server sent: no fault of a line makes one.
  std::uint64_t upstream_gaps = 0;
  std::vector<StateEvent> states{};
  std::vector<Published> published{};  ///< With views of nothing: the texts are owned.
  std::vector<GoAway> farewells{};

 private:
  void listen() {
    const auto data = [this](const auto& message, const Delivery& delivery) noexcept {
      oracle.handed(delivery.envelope.channel, delivery.epoch, delivery.envelope.seq,
                    content_of(message));
      count_covered();
    };
    client.on<PriceUpdate>(data);
    client.on<AccountUpdate>(data);
    client.on<Event>(data);
    client.on<Gap>([this](const Gap& gap, const Delivery& delivery) noexcept {
      oracle.gap(delivery.envelope.channel, gap);
      upstream_gaps += gap.reason == Gap::Reason::upstream ? 1U : 0U;
      count_covered();
    });
    client.on<StateEvent>([this](const StateEvent& event) noexcept {
      oracle.generation(event.generation);
      states.push_back(event);
    });
    client.on<Subscribed>([](const Subscribed& answer) noexcept {
      for (const ChannelResult& result : answer.results) {
        EXPECT_EQ(result.code, Errc::ok) << result.channel << ": " << result.message;
      }
    });
    client.on<Published>([this](const Published& fate) noexcept { published.push_back(fate); });
    client.on<GoAway>([this](const GoAway& farewell) noexcept { farewells.push_back(farewell); });
    client.on<ErrorReply>([](const ErrorReply& error) noexcept {
      ADD_FAILURE() << to_string(error.code) << ": " << error.message;
    });
  }
  void count_covered() noexcept {
    // relaxed: a figure, for pacing.
    covered_.store(oracle.handed() + oracle.missed(), std::memory_order_relaxed);
  }

  std::atomic<std::uint64_t> covered_{0};
};

}  // namespace stratwire::test
