/// What the user wants to be subscribed to, kept apart from any connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/message.hpp>

namespace stratwire::session {

/// Most that one Subscribe or Unsubscribe holds: small enough for every server's message limit,
/// which the client does not know before the Welcome.
struct RequestLimits {
  std::size_t channels_max = 256;
  std::size_t bytes_max = 8 * 1024;  ///< Of names, with 8 bytes beside each for the codec.
};

/// Turns wishes into requests and matches the answers by id.
///
/// Wishes outlive connections and refusals: each connect asks for all of them again, because a
/// kind that a server did not know yesterday may be there after its restart. Control plane: may
/// allocate.
///
/// \thread one thread at a time
class SubscriptionTracker {
 public:
  explicit SubscriptionTracker(RequestLimits limits = {}) noexcept : limits_(limits) {}

  /// Adds wishes; returns what to send if there is a connection.
  [[nodiscard]] std::vector<Subscribe> subscribe(std::span<const std::string> channels);
  /// Takes wishes back; returns what to send if there is a connection.
  [[nodiscard]] std::vector<Unsubscribe> unsubscribe(std::span<const std::string> channels);
  /// A new connection: forgets what the old one was asked, and asks for every wish.
  [[nodiscard]] std::vector<Subscribe> connected();

  /// A Subscribed or Unsubscribed, or an ErrorReply with its id, came.
  ///
  /// \return the channels of the request; empty for an id that is not open
  std::vector<std::string> answered(std::uint64_t id);

  /// Every request of this connection was answered.
  [[nodiscard]] bool all_answered() const noexcept { return open_.empty(); }
  [[nodiscard]] bool wished(std::string_view channel) const;
  [[nodiscard]] std::size_t size() const noexcept { return wishes_.size(); }

 private:
  template <class Request>
  [[nodiscard]] std::vector<Request> requests(const std::vector<std::string>& channels);
  [[nodiscard]] std::uint64_t next_id() noexcept { return last_id_ += 2; }

  RequestLimits limits_;
  std::set<std::string, std::less<>> wishes_{};
  std::map<std::uint64_t, std::vector<std::string>> open_{};
  /// Odd ids; those of publishes are even, so that an ErrorReply names one request only.
  std::uint64_t last_id_ = ~std::uint64_t{0};
};

}  // namespace stratwire::session
