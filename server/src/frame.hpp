/// Ready frames, and requests to change who gets them: what passes between hub and shards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <stratwire/message.hpp>

#include "dialect.hpp"

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
  std::int64_t published_ns = 0;  ///< As Publication's.
  Codec codec = Codec::json;
  Audience audience = Audience::everybody;
  std::span<const char> bytes{};  ///< Header and payload.
};

/// One channel or wildcard of a subscription, as the hub answers it.
struct Subscription {
  std::uint64_t head = 0;
  bool recovered = false;
};

/// How far a replay has got: what a connection missed, in pieces of its own size, until nothing is
/// left (PROTOCOL.md 5.2). Made and moved on by the hub's Replayer, kept by the shard in between.
struct Replay {
  /// Where the connection stands in one channel.
  struct Cursor {
    Channel* channel = nullptr;
    std::uint64_t next = 0;
  };
  std::vector<Cursor> cursors{};
  std::size_t at = 0;  ///< Whose turn it is.
  /// Points whose numbering is void; the first `voided_told` were told.
  std::vector<ResumePoint> voided{};
  std::size_t voided_told = 0;
  /// Kinds and names of the request whose channels may still appear; sorted.
  std::vector<std::string> kinds{};
  std::vector<std::string> names{};
  /// Channels that the hub had adopted when it looked for new ones last.
  std::size_t adopted_seen = 0;
};

/// A connection's request to change what its shard is told of, or for the next piece of a replay.
/// Travels to the hub and back.
struct InterestChange {
  std::size_t shard = 0;
  std::uint64_t connection_token = 0;
  Dialect dialect = Dialect::json;
  std::vector<std::string> added{};
  std::vector<std::string> removed{};
  /// Names whose state is wanted; an empty one is passed over.
  std::vector<std::string> asked{};
  std::vector<Subscription> granted{};  ///< One for each of `asked`; filled in by the hub.
  /// The hub counts `added` and `removed`; with a replay, only when all of it was handed out.
  bool applied = false;

  // With since or snapshot
  bool replays = false;
  bool snapshot = false;
  std::vector<ResumePoint> since{};
  std::vector<std::string> had{};  ///< What the connection is subscribed to; goes on.
  std::unique_ptr<Replay> replay{};
  /// The piece: ready frames, and what is in them.
  struct Piece {
    std::string frames{};
    std::uint32_t messages = 0;
    std::uint32_t gaps = 0;
    std::uint64_t missed = 0;
  } piece{};
};

}  // namespace stratwire::server
