/// What the user wants to be subscribed to, kept apart from any connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/message.hpp>
#include <stratwire/resume.hpp>
#include <stratwire/session/continuity.hpp>

namespace stratwire::session {

/// Most that one Subscribe or Unsubscribe holds: small enough for every server's message limit,
/// which the client does not know before the Welcome.
struct RequestLimits {
  std::size_t channels_max = 256;
  /// Of names, with 8 bytes beside each for the codec, and 80 beside that of a resume point.
  std::size_t bytes_max = 8 * 1024;
};

/// Turns wishes into requests.
///
/// Wishes outlive connections and refusals: each connect asks for all of them again, because a
/// kind that a server did not know yesterday may be there after its restart. Control plane: may
/// allocate.
///
/// \thread one thread at a time
class SubscriptionTracker {
 public:
  explicit SubscriptionTracker(RequestLimits limits = {}) noexcept : limits_(limits) {}

  // ---- Wishes

  /// Adds wishes; what was wished before keeps its Start.
  void wish(std::span<const std::string> channels, Start start = Start::live);
  /// Takes wishes back.
  void unwish(std::span<const std::string> channels);
  /// By this very name.
  [[nodiscard]] bool wished(std::string_view channel) const;
  /// By this name, or by the `kind:*` that covers it.
  [[nodiscard]] bool wanted(std::string_view channel) const;
  [[nodiscard]] std::size_t size() const noexcept { return wishes_.size(); }

  // ---- Requests

  /// The connection that requests are for, and the cursors that they resume from.
  struct Asker {
    Continuity& continuity;
    const Continuity::Line& line;
    Continuity::Which resume = Continuity::Which::every;
  };
  /// For every wish. A point stands in one request only: that of the `kind:*` that covers its
  /// channel, so that nothing of the channel flows before its replay.
  [[nodiscard]] std::vector<Subscribe> ask_all(const Asker& asker);
  /// For these wishes.
  [[nodiscard]] std::vector<Subscribe> ask(const Asker& asker,
                                           std::span<const std::string> channels);
  [[nodiscard]] std::vector<Unsubscribe> leave(std::span<const std::string> channels);

 private:
  class Packer;
  [[nodiscard]] std::uint64_t next_id() noexcept { return last_id_ += 2; }

  RequestLimits limits_;
  std::map<std::string, Start, std::less<>> wishes_{};
  /// Odd ids, each once, whatever the connection: an answer to the old one is none to the new one.
  /// Those of publishes are even, so that an ErrorReply names one request only.
  std::uint64_t last_id_ = ~std::uint64_t{0};
};

}  // namespace stratwire::session
