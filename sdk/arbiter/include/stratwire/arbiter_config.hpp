/// Settings of an Arbiter.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <stratwire/client_config.hpp>
#include <stratwire/waiting.hpp>

namespace stratwire {

/// What the lines have to do with each other.
enum class Merge : std::uint8_t {
  /// They carry the same messages under the same epochs and numbers: servers with the same
  /// ServerConfig::epoch and the same publishers. The first copy of each message is handed over.
  one_log,
  /// They are sources of their own: all that they bring is handed over as it comes.
  by_arrival,
};

struct ArbiterConfig {
  /// 1 to 16 lines. `name` is the line's name here too (where it is empty: its URL). The settings
  /// `threading` and `waiting` are the arbiter's; with Merge::one_log so is `resume`, and all have
  /// the same codec.
  std::vector<ClientConfig> lines{};
  Merge merge = Merge::one_log;
  /// `caller` reads all lines on the strategy's thread; then `waiting` is spin or yield, because a
  /// thread can't sleep for several lines.
  Threading threading = Threading::own_thread;
  /// How receive() waits (and, with own_thread, how the I/O threads wait).
  Waiting waiting = Waiting::park;

  // With Merge::one_log only:

  /// Latest messages of each channel with which later copies are compared; a power of two, 16 to
  /// 65'536. 16 bytes each, once the channel has had so many.
  std::size_t window = 1'024;
  /// What may wait behind holes, in all channels: messages, 1 to 1'048'576, and bytes, 4 KiB to
  /// 1 GiB. What goes beyond ends the wait of its channel with a Gap.
  std::size_t held_messages_max = 65'536;
  std::size_t held_bytes_max = std::size_t{16} << 20;
  /// For so long another line may bring what one has lost, before a server is asked to replay it;
  /// also how long the first message of a channel of `kind:*` may wait to be first on every line.
  std::chrono::milliseconds hold_max{20};
  /// For so long a replay may take, and a line that is down may take to come back to be asked.
  std::chrono::milliseconds replay_max{1'000};
};

}  // namespace stratwire
