/// The I/O thread's half of the channel gates: writes what ChannelGate reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <stratwire/client.hpp>
#include <stratwire/gate.hpp>
#include <stratwire/session/time.hpp>

namespace stratwire::client {

/// Which channels have gates, what they are subscribed to, and what was handed over last.
///
/// Shutting takes effect when it is known, opening when it is handed over: in between the strategy
/// has not been told.
///
/// \thread the thread that runs the client
class Gates {
 public:
  using Words = detail::GateChannelWords;

  /// \param client  of all gates of this client
  explicit Gates(std::shared_ptr<detail::GateClientWords> client) noexcept
      : client_(std::move(client)) {}

  // ---- Control

  /// \param newest  by this delivery, counted over all channels, the strategy has the channel's
  ///                newest message; 0 = none is known
  void add(std::string channel, std::shared_ptr<Words> words, std::uint64_t newest = 0);
  /// Deliveries that have left for the strategy.
  [[nodiscard]] std::uint64_t deliveries() const noexcept { return index_; }
  void wished(std::span<const std::string> channels);
  void unwished(std::span<const std::string> channels);
  /// The server granted or refused.
  void answered(const Subscribed& answer);
  /// What was on its way when a channel was unwished for has come.
  void left(const Unsubscribed& answer) const;
  /// A change of state, as soon as it is known.
  void state_known(const StateEvent& event);
  /// The state is live, and everything before was handed over.
  void went_live();
  /// A Gap is about to be handed over.
  void gap_known(std::string_view channel);
  void heard(session::Instant now) noexcept {
    // relaxed: a time by itself; see ChannelGate::freshness().
    client_->heard_ns.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  }

  // ---- Data path

  /// The next delivery leaves for the strategy. Allocates only for a channel that is new since the
  /// last add().
  void handed(const Delivery& delivery, session::Instant received) {
    ++index_;
    if (channels_.empty()) [[likely]]
      return;
    if (delivery.envelope.channel.empty()) return;
    if (std::holds_alternative<const Notice*>(delivery.body)) [[unlikely]]
      return;
    if (Words* const words = find(delivery.envelope.channel)) note(*words, delivery, received);
  }

 private:
  struct Wish {
    bool settled = false;  // Answered and caught up on this connection.
    bool refused = false;
  };
  /// A channel of the session, known by where its name lies, and its words if it has a gate.
  struct Known {
    const char* name = nullptr;
    Words* words = nullptr;
  };

  [[nodiscard]] Words* find(std::string_view channel) {
    for (std::size_t at = place(channel.data());; at = (at + 1) & (known_.size() - 1)) {
      if (known_[at].name == channel.data()) return known_[at].words;
      if (known_[at].name == nullptr) return learn(channel);
    }
  }
  [[nodiscard]] std::size_t place(const char* name) const noexcept {
    // Fibonacci hashing (Knuth, TAOCP 3, 6.4): names lie close together.
    constexpr std::uint64_t kGolden = 0x9e3779b97f4a7c15U;
    const auto bits = reinterpret_cast<std::uintptr_t>(name) * kGolden;
    return static_cast<std::size_t>(bits >> 32) & (known_.size() - 1);
  }
  Words* learn(std::string_view channel);
  void note(Words& words, const Delivery& delivery, session::Instant received) noexcept {
    const bool gap = std::holds_alternative<Gap>(delivery.body);
    // relaxed: only this thread writes it.
    const std::uint64_t before = words.standing.load(std::memory_order_relaxed);
    // relaxed: the gate relies on it only where it has seen a release that comes after this: of
    // `received_ns`, of `live`, or of the ring by way of `taken`. Earlier it may see it or not.
    words.standing.store((index_ << Words::kFlagBits) | (before & Words::kFollowed) |
                             (gap ? Words::kMissed : Words::kData),
                         std::memory_order_relaxed);
    if (gap) return;
    // What is replayed may be of any age: it is old to every limit.
    // relaxed: only this thread writes it.
    const bool is_live = client_->live.load(std::memory_order_relaxed) != 0;
    const bool is_new = is_live && (before & Words::kFollowed) != 0;
    // release: pairs with the acquire in ChannelGate::verdict(); `standing` is at least as new.
    words.received_ns.store(is_new ? received.time_since_epoch().count() : 0,
                            std::memory_order_release);
  }
  [[nodiscard]] bool followed(const std::string& channel) const;
  void forget_data(std::string_view wish) const;
  void refresh(const std::string& channel, Words& words) const;
  void refresh() const;

  std::shared_ptr<detail::GateClientWords> client_;
  std::map<std::string, std::shared_ptr<Words>, std::less<>> channels_{};
  std::vector<Known> known_{};
  std::size_t known_count_ = 0;
  std::map<std::string, Wish, std::less<>> wishes_{};
  std::uint64_t generation_ = 0;  // Of the connection that the last state was about.
  std::uint64_t index_ = 0;
};

}  // namespace stratwire::client
