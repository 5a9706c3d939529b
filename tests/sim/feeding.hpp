/// From a Feed to the servers of a simulation.
#pragma once

#include <cstddef>
#include <string>

#include "feed.hpp"
#include "sim_server.hpp"

namespace stratwire::sim {

/// The next message of the feed; false when it must be tried again.
[[nodiscard]] inline bool publish_next(SimServer& server, const Feed& feed) {
  const Published& next = feed.messages()[server.published()];
  const std::string& channel = feed.names()[next.channel];
  return server.publish(channel, Body(channel, next.content).message) == PublishStatus::ok;
}

/// The log of a process that is gone: so many messages, each at its own time.
inline void restore(SimServer& server, const Feed& feed, std::size_t count) {
  while (server.published() < count) {
    const Published& next = feed.messages()[server.published()];
    const std::string& channel = feed.names()[next.channel];
    if (!server.restore(channel, Body(channel, next.content).message, next.at)) return;
  }
}

}  // namespace stratwire::sim
