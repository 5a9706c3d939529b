#include <algorithm>
#include <utility>

#include <stratwire/session/channel_name.hpp>
#include <stratwire/session/server_session.hpp>

namespace stratwire::session {
namespace {

/// A producer whose channels have no ':' makes each of them a kind: not all are told, a thousand
/// times over, to a peer that names a thousand wrong ones.
constexpr std::size_t kKindsNamedMax = 32;

Error unknown_kind(std::string_view kind, const KindSet& kinds) {
  std::string text = "channel kind " + quoted(kind) + " is not known here; known kinds: ";
  const char* separator = "";
  std::size_t named = 0;
  for (const std::string& known : kinds) {
    if (named++ == kKindsNamedMax) {
      text += " and " + std::to_string(kinds.size() - kKindsNamedMax) + " more";
      break;
    }
    text += std::exchange(separator, ", ") + known;
  }
  return {Errc::unknown_channel_kind, 0, std::move(text)};
}

Error full(std::size_t channels_max) {
  return {Errc::too_many_channels, 0,
          "a connection may have at most " + std::to_string(channels_max) +
              " channels; use kind:* or a second connection"};
}

Result<void> check(std::string_view channel, Wildcards wildcards, const KindSet& kinds) {
  const auto name = parse_channel_name(channel, wildcards);
  if (!name) return name.error();
  if (!kinds.contains(name->kind)) return unknown_kind(name->kind, kinds);
  return {};
}

// A refused name may be anything, 10 000 characters of binary too: the reply names it shortened.
ChannelResult refused(const std::string& channel, const Error& error) {
  ChannelResult result;
  result.channel = parse_channel_name(channel, Wildcards::allowed).ok() ? channel : quoted(channel);
  result.code = error.code;
  result.message = error.context;
  return result;
}

}  // namespace

Result<SubscriptionChange> plan_subscribe(const std::vector<std::string>& current,
                                          const Subscribe& request,
                                          const SubscriptionRules& rules) {
  if (request.channels.size() > rules.channels_max) {
    Error error = full(rules.channels_max);
    error.context = "Subscribe names " + std::to_string(request.channels.size()) + " channels; " +
                    error.context;
    return error;
  }
  SubscriptionChange change;
  change.channels = current;
  for (const std::string& channel : request.channels) {
    if (const auto checked = check(channel, Wildcards::allowed, rules.kinds); !checked) {
      change.results.push_back(refused(channel, checked.error()));
      continue;
    }
    const auto place = std::ranges::lower_bound(change.channels, channel);
    const bool subscribed = place != change.channels.end() && *place == channel;
    if (!subscribed && change.channels.size() >= rules.channels_max) {
      change.results.push_back(refused(channel, full(rules.channels_max)));
      continue;
    }
    if (!subscribed) {
      change.channels.insert(place, channel);
      change.added.push_back(channel);
    }
    change.results.push_back(ChannelResult{.channel = channel});
  }
  return change;
}

SubscriptionChange plan_unsubscribe(const std::vector<std::string>& current,
                                    const Unsubscribe& request) {
  SubscriptionChange change;
  change.channels = current;
  for (const std::string& channel : request.channels) {
    const auto place = std::ranges::lower_bound(change.channels, channel);
    if (place == change.channels.end() || *place != channel) {
      change.results.push_back(
          refused(channel, {Errc::not_subscribed, 0, "this connection was not subscribed to it"}));
      continue;
    }
    change.channels.erase(place);
    change.removed.push_back(channel);
    change.results.push_back(ChannelResult{.channel = channel});
  }
  return change;
}

Result<void> check_publish_channel(std::string_view channel, const KindSet& kinds) {
  return check(channel, Wildcards::refused, kinds);
}

}  // namespace stratwire::session
