/// Whether a channel can be traded on right now, in one call.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include <stratwire/queue/cache_line.hpp>
#include <stratwire/telemetry/clock.hpp>

namespace stratwire {

/// What a strategy still calls fresh. Zero: no limit.
struct GateLimits {
  /// Since the server last gave a sign of life: any byte of it. Servers send a heartbeat every
  /// second; two of them and some is the default.
  std::chrono::nanoseconds silence_max = std::chrono::milliseconds{2'500};
  /// Since the channel's newest message was read from the socket; what it waited in queues before
  /// is in ClientLatencies. One that was replayed, or is the latest of before, may be of any age:
  /// to a limit it is old, until the next one comes. A channel that has nothing new to say is as it
  /// was: set it for feeds of which silence means that something is wrong.
  std::chrono::nanoseconds data_age_max{0};
};

/// What a gate says; everything but `open` means: do not trade on this channel.
enum class GateVerdict : std::uint8_t {
  open,
  /// The client is connecting, recovering, stale, backing off or closed.
  not_live,
  /// Not subscribed, refused, or not yet answered.
  not_subscribed,
  /// No message of the channel came yet.
  no_data,
  /// Messages were missed (a Gap) and none has come since.
  missed,
  /// Messages wait that the strategy has not been handed yet.
  behind,
  /// GateLimits::silence_max.
  silent,
  /// GateLimits::data_age_max.
  old,
};
[[nodiscard]] std::string_view to_string(GateVerdict verdict) noexcept;

namespace detail {

/// What all gates of one client look at.
struct GateClientWords {
  /// Written by the thread that runs the client.
  alignas(queue::kIsolationBytes) std::atomic<std::uint32_t> live{0};
  /// When bytes of the server last came. \units ns of CLOCK_MONOTONIC
  std::atomic<std::int64_t> heard_ns{0};
  /// Written by the strategy: deliveries that it was handed, of all channels.
  alignas(queue::kIsolationBytes) std::atomic<std::uint64_t> taken{0};
};
static_assert(sizeof(GateClientWords) == 2 * queue::kIsolationBytes &&
                  offsetof(GateClientWords, taken) == queue::kIsolationBytes,
              "the two writers must not share lines");

/// What the gates of one channel look at; written by the thread that runs the client.
struct alignas(queue::kIsolationBytes) GateChannelWords {
  static constexpr std::uint64_t kFollowed = 1;  ///< Subscribed, answered, caught up.
  static constexpr std::uint64_t kData = 2;      ///< The newest delivery is a message.
  static constexpr std::uint64_t kMissed = 4;    ///< The newest delivery is a Gap.
  static constexpr unsigned kFlagBits = 3;

  /// The newest delivery of the channel, counted over all channels, and the flags: one word, so
  /// that they always belong together.
  std::atomic<std::uint64_t> standing{0};
  /// When the newest message was read; 0: nobody knows its age. \units ns of CLOCK_MONOTONIC
  std::atomic<std::int64_t> received_ns{0};
};
static_assert(sizeof(GateChannelWords) == queue::kIsolationBytes);

}  // namespace detail

/// One channel's gate, made by Client::gate(). A small handle: copy it, keep it in the strategy's
/// own tables, use it after the client is gone (then it is shut).
///
/// A message counts as taken from when it is handed over, so that a handler may ask about the
/// message in its hands.
///
/// Algorithm: three words, each with one writer. The I/O thread numbers what it hands over and
/// writes the number of each channel's newest; the strategy writes how many it has taken. The gate
/// is open when the second is not behind the first, and the client is live.
/// Progress: every call is wait-free: four loads; with a limit one more, and the time.
/// When to use: before each order. When not: to learn what happened; that is told in order, by
/// StateEvent and Gap.
///
/// \thread any thread; exact on the strategy's own, a snapshot of the recent past on others
class ChannelGate {
 public:
  /// Shut for ever.
  ChannelGate() noexcept = default;
  ChannelGate(std::shared_ptr<const detail::GateClientWords> client,
              std::shared_ptr<const detail::GateChannelWords> channel, GateLimits limits) noexcept
      : client_{std::move(client)}, channel_{std::move(channel)} {
    silence_ns_max_ = limits.silence_max.count();
    age_ns_max_ = limits.data_age_max.count();
    const auto shortest = [](std::int64_t a, std::int64_t b) {
      return a == 0 ? b : b == 0 || a < b ? a : b;
    };
    const std::int64_t limit = shortest(silence_ns_max_, age_ns_max_);
    const std::int64_t tick_ns = telemetry::coarse_tick_ns();
    timed_ = limit == 0                    ? Timed::never
             : limit < kTicksMin * tick_ns ? Timed::exactly
                                           : Timed::coarsely;
    tick_ns_ = timed_ == Timed::coarsely ? tick_ns : 0;
  }

  /// True: live, fresh, and everything that is known of the channel is in the strategy's hands.
  ///
  /// \cost about 6 ns, no system call, no allocation; with a limit below ten ticks of the kernel's
  ///       clock (40 ms at 250 Hz) about 30 ns
  [[nodiscard]] bool open() const noexcept { return verdict() == GateVerdict::open; }

  /// As open(), with the first reason against it.
  [[nodiscard]] GateVerdict verdict() const noexcept {
    using Words = detail::GateChannelWords;
    if (client_ == nullptr) return GateVerdict::not_live;
    // acquire: pairs with the release in Gates::went_live(); what was handed over before is seen
    // below.
    if (client_->live.load(std::memory_order_acquire) == 0) return GateVerdict::not_live;
    // acquire: pairs with the release in Impl::took(). Before `standing`, so that there was a
    // moment at which nothing newer was known than what had been taken.
    const std::uint64_t taken = client_->taken.load(std::memory_order_acquire);
    // acquire: pairs with the release in Gates::note(), which comes after `standing`:
    // the age is never that of a message newer than the one judged by.
    const std::int64_t received_ns = channel_->received_ns.load(std::memory_order_acquire);
    // relaxed: ordered behind the loads above by their acquires; what was stored before what they
    // saw is seen, and something newer may be.
    const std::uint64_t standing = channel_->standing.load(std::memory_order_relaxed);
    if ((standing & Words::kFollowed) == 0) return GateVerdict::not_subscribed;
    if ((standing & Words::kMissed) != 0) return GateVerdict::missed;
    if ((standing & Words::kData) == 0) return GateVerdict::no_data;
    if (standing >> Words::kFlagBits > taken) return GateVerdict::behind;
    return timed_ == Timed::never ? GateVerdict::open : freshness(received_ns);
  }

 private:
  enum class Timed : std::uint8_t { never, coarsely, exactly };
  /// Limits of so many ticks are measured with the coarse clock.
  static constexpr std::int64_t kTicksMin = 10;

  [[nodiscard]] GateVerdict freshness(std::int64_t received_ns) const noexcept {
    // The coarse clock is up to one tick late; a gate must not be.
    const std::int64_t now_ns =
        timed_ == Timed::coarsely ? telemetry::coarse_ns() + tick_ns_ : telemetry::monotonic_ns();
    // relaxed: a time by itself; an older one only shuts the gate.
    const std::int64_t heard_ns = client_->heard_ns.load(std::memory_order_relaxed);
    if (silence_ns_max_ != 0 && now_ns - heard_ns > silence_ns_max_) return GateVerdict::silent;
    if (age_ns_max_ == 0) return GateVerdict::open;
    const bool known = received_ns != 0;
    return known && now_ns - received_ns <= age_ns_max_ ? GateVerdict::open : GateVerdict::old;
  }

  std::shared_ptr<const detail::GateClientWords> client_{};
  std::shared_ptr<const detail::GateChannelWords> channel_{};
  std::int64_t silence_ns_max_ = 0;
  std::int64_t age_ns_max_ = 0;
  std::int64_t tick_ns_ = 0;
  Timed timed_ = Timed::never;
};

}  // namespace stratwire
