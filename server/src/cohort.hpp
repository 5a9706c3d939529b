/// Connections that want the same: one log of ready frames for all of them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dialect.hpp"
#include "frame_log.hpp"

namespace stratwire::server {

struct Connection;

/// \thread the shard's thread only
struct Cohort {
  // What each frame touches comes first.
  FrameLog log{};
  Dialect dialect = Dialect::json;
  bool dirty = false;  ///< Has frames that its members have not been sent.
  std::vector<Connection*> members{};
  /// Members that the kernel did not take everything from; the only ones not at the head.
  std::vector<Connection*> lagging{};
  /// Routes to this cohort, by channel id; for when it goes.
  std::vector<std::uint32_t> routed_channels{};
  /// For its next Heartbeat.
  std::vector<ChannelHead> heads{};
  std::vector<HopTimes> times{};
  /// Channels and wildcards: sorted, each once. Every member's subscriptions are these.
  std::vector<std::string> channels{};
};

/// What tells cohorts apart. Channel names hold no control characters.
[[nodiscard]] inline std::string cohort_key(Dialect dialect,
                                            const std::vector<std::string>& channels) {
  std::string key(1, static_cast<char>('0' + static_cast<int>(dialect)));
  for (const std::string& channel : channels) (key += '\n') += channel;
  return key;
}

}  // namespace stratwire::server
