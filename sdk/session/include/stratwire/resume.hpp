/// Where a subscription begins, and what happens after a loss.
#pragma once

#include <cstdint>

namespace stratwire {

/// Where a subscription begins that has no resume point.
enum class Start : std::uint8_t {
  live,    ///< With the first message after the subscription.
  latest,  ///< With the latest message that the server still has, then live.
};

/// What a reconnect asks the server for.
enum class Resume : std::uint8_t {
  /// What was missed since the last message of each channel.
  automatic,
  /// Nothing: what was missed is a Gap, and the user asks for what matters.
  manual,
};

}  // namespace stratwire
