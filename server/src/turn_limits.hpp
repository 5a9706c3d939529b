/// How much is handed on between two rounds of sending.
#pragma once

#include <algorithm>
#include <cstddef>

#include <stratwire/server_config.hpp>

namespace stratwire::server {

/// More makes fewer send()s where each reader has channels of its own. Less stays in the cache, and
/// well within what a reader may be behind: it is judged after a turn, and takes nothing in it.
struct TurnLimits {
  static constexpr std::size_t kBytesMin = 256 * 1024;
  static constexpr std::size_t kBytesMax = 1024 * 1024;
  /// Enough of them that a frame costs little of a send().
  static constexpr std::size_t kMessagesMin = 1024;
  static constexpr std::size_t kMessagesMax = 4096;
  /// Of all copies of frames, one for each log that they are appended to.
  static constexpr std::size_t kCopiesBytesMax = 64 << 20;

  explicit TurnLimits(const ServerConfig& config) noexcept
      : bytes(std::clamp(config.lane_bytes_max / 4, kBytesMin, kBytesMax)),
        messages(std::clamp(config.lane_messages_max / 16, kMessagesMin, kMessagesMax)) {}

  std::size_t bytes;  ///< Of frames, each counted once.
  std::size_t messages;
};

}  // namespace stratwire::server
