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
#include <stratwire/telemetry/counter.hpp>

#include "channel.hpp"
#include "figures.hpp"
#include "submission.hpp"

namespace stratwire::server {

class IoThread;

/// Owned by the Server and by every Publisher; the last one to go frees it.
class Core {
 public:
  Core(ServerConfig settings, std::uint64_t epoch_now);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  /// Hands a message to the hub.
  ///
  /// \thread any thread
  PublishStatus submit(Submission&& submission) noexcept;

  /// Bytes by which the slowest reader of the server is behind, with everything that is on its way
  /// to it from paced publishers.
  ///
  /// \thread any thread
  [[nodiscard]] std::uint64_t pressure_bytes() const noexcept;
  /// What a message of `bytes` counts in a lane, so that neither limit of a lane is passed.
  [[nodiscard]] std::uint32_t paced_bytes(std::size_t bytes) const noexcept;

  /// One connection less; wakes wait_until_empty().
  void connection_gone() noexcept;
  /// \return false when connections were left at the deadline
  [[nodiscard]] bool wait_until_empty(std::chrono::milliseconds deadline);

  void log(LogLevel level, std::string_view text) const {
    if (config.log) config.log(level, text);
  }

  const ServerConfig config;
  const std::uint64_t epoch;
  const std::int64_t opened_at_ns;  ///< Monotonic.
  ChannelRegistry registry;
  queue::Mpmc<Submission> inbox;
  std::vector<ShardFigures> figures;  ///< One per shard.
  /// Empty in a simulation. Here, because a publish() may still be waking the first one when the
  /// Server goes.
  std::vector<std::unique_ptr<IoThread>> threads;

  std::atomic<bool> closed{false};
  std::atomic<std::uint64_t> connections{0};
  std::atomic<std::uint64_t> next_connection_id{1};
  /// Paced bytes that were published and are not yet part of a thread's lag.
  std::atomic<std::int64_t> paced_bytes_in_flight{0};

  // Written by the hub.
  telemetry::Counter published;
  telemetry::Counter not_encodable;
  // Written by publishers.
  telemetry::SharedCounter publish_back_pressured;
  telemetry::SharedCounter publish_refused;

 private:
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
