#include "core.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include <stratwire/telemetry/clock.hpp>
#include <stratwire/transport/utf8.hpp>

#include "io_thread.hpp"

namespace stratwire::server {
namespace {

/// Threads that may publish; each costs the inbox room for 64 messages, 13 KB.
constexpr std::size_t kPublishingThreads = 512;

Errc check_texts(std::string_view first, std::string_view second) noexcept {
  if (first.size() + second.size() > kPublishedTextBytesMax) return Errc::too_large;
  return transport::is_utf8(first) && transport::is_utf8(second) ? Errc::ok : Errc::invalid_utf8;
}

}  // namespace

Core::Core(ServerConfig settings, std::uint64_t epoch_now)
    : config(std::move(settings)),
      lane_hard_bytes(config.lane_hard_bytes_max != 0 ? config.lane_hard_bytes_max
                                                      : 4 * config.lane_bytes_max),
      lane_hard_messages(config.lane_hard_messages_max != 0 ? config.lane_hard_messages_max
                                                            : 4 * config.lane_messages_max),
      turn(config),
      epoch(epoch_now),
      opened_at_ns(telemetry::monotonic_ns()),
      log_budget(config.log_total_bytes_max),
      registry(config, log_budget),
      governor(config.accepts_per_second, config.accepts_burst),
      inbox({.capacity = config.inbox_messages, .producers = 0, .threads = kPublishingThreads}),
      figures(config.io_threads) {}

Core::~Core() = default;

bool Core::try_hand_on(Publication& publication) {
  if (config.threading == Threading::own_thread || threads.empty()) return false;
  IoThread& first = *threads.front();
  // acquire: pairs with the release in Server::drain().
  return first.runs_on_this_thread() && !closed.load(std::memory_order_acquire) &&
         first.try_hand_on(publication);
}

PublishStatus Core::submit(const Publication& publication) noexcept {
  // acquire: pairs with the release in Server::drain().
  if (closed.load(std::memory_order_acquire)) return PublishStatus::closed;
  if (!inbox.try_emplace(publication)) {
    publish_back_pressured.add();
    return PublishStatus::back_pressured;
  }
  if (!threads.empty()) threads.front()->wake();
  // relaxed: behind the seq_cst fence in Wakeup::notify(), which pairs with the one in
  // IoThread::begin_drain(): either this sees that the server closed meanwhile, or the drain's last
  // look at the inbox sees the message, so that `ok` is never said for one that goes nowhere.
  return closed.load(std::memory_order_relaxed) ? PublishStatus::closed : PublishStatus::ok;
}

std::uint64_t Core::pressure_bytes() const noexcept {
  // acquire: pairs with the release in Hub::settle_paced(); what is no longer in flight is
  // part of a lag. So this comes before the lags, and can only count a byte twice, never miss it.
  const std::int64_t in_flight = paced_bytes_in_flight.load(std::memory_order_acquire);
  std::uint64_t lag = 0;
  for (const ShardFigures& shard : figures) lag = std::max(lag, shard.lag());
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, in_flight)) + lag;
}

std::uint32_t Core::paced_bytes(std::size_t bytes) const noexcept {
  const std::size_t share = config.lane_bytes_max / config.lane_messages_max + 1;
  return static_cast<std::uint32_t>(std::max(bytes, share));
}

void Core::begin_go_away(std::chrono::milliseconds deadline) {
  // relaxed: a figure; one more or less moves the times by that much.
  reconnects_ = std::max<std::uint64_t>(1, connections.load(std::memory_order_relaxed));
  reconnect_span_ms_ = std::max(static_cast<std::uint64_t>(config.drain.reconnect_spread.count()),
                                reconnects_ * 1'000 / config.accepts_per_second);
  const auto deadline_ms = static_cast<std::uint32_t>(deadline.count());
  go_away_ = {deadline_ms, deadline_ms, config.drain.alternatives};
}

GoAway Core::next_go_away() {
  // relaxed: only that no two draw the same matters.
  const std::uint64_t drawn = reconnects_drawn_.fetch_add(1, std::memory_order_relaxed);
  GoAway message = go_away_;
  message.reconnect_after_ms +=
      static_cast<std::uint32_t>(reconnect_span_ms_ * drawn / reconnects_);
  return message;
}

void Core::connection_gone() noexcept {
  // Under the mutex, so that wait_until_empty() can't look just before and sleep just after.
  const std::lock_guard lock(empty_mutex_);
  // relaxed: a figure; the mutex orders it for the one who waits.
  connections.fetch_sub(1, std::memory_order_relaxed);
  empty_.notify_all();
}

bool Core::wait_until_empty(std::chrono::milliseconds deadline) {
  std::unique_lock lock(empty_mutex_);
  return empty_.wait_for(lock, deadline, [this] {
    // relaxed: guarded by the mutex.
    return connections.load(std::memory_order_relaxed) == 0;
  });
}

Errc check_publishable(const PriceUpdate& message) noexcept {
  if (!std::isfinite(message.price)) return Errc::not_finite;
  return check_texts(message.input_mint, message.output_mint);
}

Errc check_publishable(const AccountUpdate& message) noexcept {
  return check_texts(message.pubkey, {});
}

Errc check_publishable(const Event& message) noexcept {
  if (message.type.size() + message.data.bytes.size() > kPublishedTextBytesMax) {
    return Errc::too_large;
  }
  // Here, where its author is told: behind the queue it would be a Gap for every reader.
  if (const auto value = check(message.data); !value) return value.error().code;
  return transport::is_utf8(message.type) ? Errc::ok : Errc::invalid_utf8;
}

}  // namespace stratwire::server
