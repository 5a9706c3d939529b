/// Ready frames, and requests to change who gets them: what passes between hub and shards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <stratwire/error.hpp>
#include <stratwire/message.hpp>

namespace stratwire::server {

class Channel;

/// One ready frame on its way to the cohorts that want it.
struct Frame {
  enum class Audience : std::uint8_t {
    everybody,
    native,  ///< Not for plain connections, which know data messages only.
  };
  Channel* channel = nullptr;  ///< nullptr: a broadcast.
  std::uint64_t seq = 0;
  Codec codec = Codec::json;
  Audience audience = Audience::everybody;
  std::span<const char> bytes{};  ///< Header and payload.
};

/// One channel or wildcard of a subscription, as the hub answers it.
struct Subscription {
  std::uint64_t head = 0;
  Error error{};
};

/// A connection's request to change what its shard is told of. Travels to the hub and back.
struct InterestChange {
  std::size_t shard = 0;
  std::uint64_t connection_token = 0;
  Codec codec = Codec::json;
  std::vector<std::string> added{};
  std::vector<std::string> removed{};
  /// Names whose state is wanted; an empty one is passed over.
  std::vector<std::string> asked{};
  std::vector<Subscription> granted{};  ///< One for each of `asked`; filled in by the hub.
};

}  // namespace stratwire::server
