/// What all parts of one server share.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stratwire_internal/queue/mpmc.hpp>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/server.hpp>
#include <stratwire/session/log_budget.hpp>
#include <stratwire/telemetry/counter.hpp>

#include "accept_governor.hpp"
#include "channel.hpp"
#include "figures.hpp"
#include "submission.hpp"
#include "turn_limits.hpp"

namespace stratwire::server {

class IoThread;

/// Owned by the Server and by every Publisher; the last one to go frees it.
class Core {
 public:
  Core(ServerConfig settings, std::uint64_t epoch_now);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  /// Gives a message to the hub past the inbox, where the calling thread is the hub's
  /// (Threading::caller); false when it must be submitted.
  ///
  /// \thread any thread
  [[nodiscard]] bool try_hand_on(Publication& publication);
  /// Hands a message to the hub.
  ///
  /// \thread any thread
  PublishStatus submit(const Publication& publication) noexcept;

  /// Bytes by which the slowest reader of the server is behind, with everything that is on its way
  /// to it from paced publishers.
  ///
  /// \thread any thread
  [[nodiscard]] std::uint64_t pressure_bytes() const noexcept;
  /// What a message of `bytes` counts in a lane, so that neither limit of a lane is passed.
  [[nodiscard]] std::uint32_t paced_bytes(std::size_t bytes) const noexcept;

  /// Makes ready what every connection is told before it is closed.
  ///
  /// \thread the drain's, before any shard says GoAway
  void begin_go_away(std::chrono::milliseconds deadline);
  /// The GoAway of the next connection: each has a time of its own to come back.
  ///
  /// \thread any shard's, after begin_go_away()
  [[nodiscard]] GoAway next_go_away();

  /// One connection less; wakes wait_until_empty().
  void connection_gone() noexcept;
  /// \return false when connections were left at the deadline
  [[nodiscard]] bool wait_until_empty(std::chrono::milliseconds deadline);

  void log(LogLevel level, std::string_view text) const {
    if (config.log) config.log(level, text);
  }

  const ServerConfig config;
  const std::size_t lane_hard_bytes;
  const std::size_t lane_hard_messages;
  const TurnLimits turn;
  const std::uint64_t epoch;
  const std::int64_t opened_at_ns;  ///< Monotonic.
  session::LogBudget log_budget;    ///< The hub's.
  ChannelRegistry registry;
  AcceptGovernor governor;
  queue::Mpmc<Submission> inbox;
  std::vector<ShardFigures> figures;  ///< One per shard.
  /// Empty in a simulation. Here, because a publish() may still be waking the first one when the
  /// Server goes.
  std::vector<std::unique_ptr<IoThread>> threads;

  std::atomic<bool> draining{false};  // written by drain()
  std::atomic<bool> closed{false};    // written by drain()
  std::atomic<std::uint64_t> connections{0};
  std::atomic<std::uint64_t> next_connection_id{1};
  /// Paced bytes that were published and are not yet part of a thread's lag.
  std::atomic<std::int64_t> paced_bytes_in_flight{0};

  // Written by the hub.
  telemetry::Counter published;
  telemetry::Counter not_encodable;
  telemetry::Gauge log_bytes;
  telemetry::Gauge log_evicted;
  // Written by publishers.
  telemetry::SharedCounter publish_back_pressured;
  telemetry::SharedCounter publish_refused;

 private:
  // Written by begin_go_away(), then only read.
  GoAway go_away_{};
  std::uint64_t reconnects_ = 1;
  std::uint64_t reconnect_span_ms_ = 0;
  std::atomic<std::uint64_t> reconnects_drawn_{0};  // written by every shard
  std::mutex empty_mutex_;
  std::condition_variable empty_;
};

/// Why a message can't be published; nothing when it can.
///
/// Looked at on the publisher's thread, so that the caller is told.
[[nodiscard]] Errc check_publishable(const PriceUpdate& message) noexcept;
[[nodiscard]] Errc check_publishable(const AccountUpdate& message) noexcept;
[[nodiscard]] Errc check_publishable(const Event& message) noexcept;

/// Largest message that can be published, texts together, in bytes.
inline constexpr std::size_t kPublishedTextBytesMax = 256 * 1024;

}  // namespace stratwire::server
