/// The server's rules for what a client asks: which subscriptions are granted, and why not.
///
/// Pure functions of the request, the connection's current subscriptions and the server's rules.
#pragma once

#include <cstddef>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/message.hpp>
#include <stratwire/result.hpp>

namespace stratwire::session {

/// Channel kinds that a server knows.
using KindSet = std::set<std::string, std::less<>>;

/// What subscriptions are measured against.
struct SubscriptionRules {
  const KindSet& kinds;
  std::size_t channels_max = 0;  ///< For one connection.
};

/// What a Subscribe or Unsubscribe comes to.
struct SubscriptionChange {
  /// The connection's channels afterwards: sorted, each once.
  std::vector<std::string> channels{};
  std::vector<std::string> added{};
  std::vector<std::string> removed{};
  /// One for each channel of the request, in its order; `epoch` and `head` are left to the hub.
  std::vector<ChannelResult> results{};
};

/// Subscribing again is a success; what is refused leaves the rest granted.
///
/// \param current  the connection's channels: sorted, each once
/// \errors         too_many_channels for a request that alone is beyond channels_max: one error
///                 instead of thousands of results
/// \source         PROTOCOL.md, "Subscribe"
[[nodiscard]] Result<SubscriptionChange> plan_subscribe(const std::vector<std::string>& current,
                                                        const Subscribe& request,
                                                        const SubscriptionRules& rules);

/// A channel that was not subscribed gets not_subscribed; the rest is done.
[[nodiscard]] SubscriptionChange plan_unsubscribe(const std::vector<std::string>& current,
                                                  const Unsubscribe& request);

/// Checks the name of a channel that a client wants to publish to.
///
/// \errors invalid_channel_name, unknown_channel_kind; the text names the input and the cure
[[nodiscard]] Result<void> check_publish_channel(std::string_view channel, const KindSet& kinds);

}  // namespace stratwire::session
