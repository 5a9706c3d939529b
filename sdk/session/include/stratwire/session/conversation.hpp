/// What was said on one connection, and what is still to be answered.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/message.hpp>
#include <stratwire/session/clock_offset.hpp>
#include <stratwire/session/continuity.hpp>
#include <stratwire/session/heartbeat.hpp>
#include <stratwire/session/time.hpp>

namespace stratwire::session {

/// One connection, or one try to have one; never used again.
///
/// Everything that happens is told with it, so that a late event of a connection that was replaced
/// is not taken for one of its successor.
enum class ConnectionId : std::uint64_t { none = 0 };

/// Requests that are open on one connection, and what its server said of itself.
///
/// Dies with its connection: nothing of it is valid on another one.
///
/// \thread one thread at a time
class Conversation {
 public:
  Conversation() noexcept : heartbeat(Duration{0}) {}
  Conversation(ConnectionId connection, Continuity::Line on, Duration ping_interval, Instant now)
      : id(connection), line(on), heartbeat(ping_interval) {
    heartbeat.opened(now);
  }

  // ---- Requests

  void asked(const Subscribe& part);
  void asked(const Unsubscribe& request);
  /// A Subscribed, an Unsubscribed, or an ErrorReply with its id.
  enum class Answer : std::uint8_t { granted, refused };
  struct Request {
    std::vector<std::string> channels{};
    bool from_latest = false;
    bool replays = false;  ///< CaughtUp will come.
  };
  /// \return the request; nothing in it for an id that is not open
  Request answered(std::uint64_t request_id, Answer answer);
  /// \return the channels of the request; empty for an id that replays nothing
  [[nodiscard]] std::vector<std::string> caught_up(std::uint64_t request_id);

  [[nodiscard]] bool all_answered() const noexcept { return unanswered_.empty(); }
  /// Whether a request that names this channel, by this very name, is still to be answered.
  [[nodiscard]] bool awaits(std::string_view channel) const;
  [[nodiscard]] bool replaying() const noexcept { return !replaying_.empty(); }
  /// Every request was answered, and everything that it asked for has come.
  [[nodiscard]] bool all_caught_up() const noexcept { return all_answered() && !replaying(); }

  // ---- Heads

  /// Keeps heads that came while something was being replayed, of at most kResumePointsMax
  /// channels.
  void keep(const std::vector<ChannelHead>& heads);
  [[nodiscard]] std::vector<ChannelHead> take_heads();

  // ---- What the owner keeps beside them

  ConnectionId id = ConnectionId::none;
  Continuity::Line line{};
  Heartbeat heartbeat;
  ClockOffset clock{};
  std::size_t server_message_bytes_max = 0;
  std::size_t server_channels_max = 0;
  bool leaves = false;  ///< It said GoAway.
  /// Channels that this server refused.
  std::set<std::string, std::less<>> refused{};
  /// Of these, wishes of kinds that it does not know yet, and when to ask again.
  std::set<std::string, std::less<>> unknown{};
  Duration ask_delay{};
  Instant ask_at = kNever;
  /// Clock probes.
  Instant probe_at = kNever;
  std::uint32_t probes = 0;
  std::uint64_t bytes_left = 0;  ///< Of the bytes put on it, taken by the kernel.

 private:
  std::map<std::uint64_t, Request> unanswered_{};
  std::map<std::uint64_t, Request> replaying_{};
  std::map<std::string, std::uint64_t, std::less<>> heads_{};
};

}  // namespace stratwire::session
