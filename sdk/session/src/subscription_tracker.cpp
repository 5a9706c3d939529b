#include <utility>

#include <stratwire/session/subscription_tracker.hpp>

namespace stratwire::session {
namespace {

// Quotes and comma, or a MessagePack string's head, and some to spare.
constexpr std::size_t kBytesBesideName = 8;

}  // namespace

template <class Request>
std::vector<Request> SubscriptionTracker::requests(const std::vector<std::string>& channels) {
  std::vector<Request> requests;
  std::size_t bytes = 0;
  for (const std::string& channel : channels) {
    const std::size_t need = channel.size() + kBytesBesideName;
    if (requests.empty() || requests.back().channels.size() == limits_.channels_max ||
        bytes + need > limits_.bytes_max) {
      requests.emplace_back().id = next_id();
      bytes = 0;
    }
    requests.back().channels.push_back(channel);
    bytes += need;
  }
  for (const Request& request : requests) open_.emplace(request.id, request.channels);
  return requests;
}

std::vector<Subscribe> SubscriptionTracker::subscribe(std::span<const std::string> channels) {
  wishes_.insert(channels.begin(), channels.end());
  return requests<Subscribe>({channels.begin(), channels.end()});
}

std::vector<Unsubscribe> SubscriptionTracker::unsubscribe(std::span<const std::string> channels) {
  for (const std::string& channel : channels) wishes_.erase(channel);
  return requests<Unsubscribe>({channels.begin(), channels.end()});
}

std::vector<Subscribe> SubscriptionTracker::connected() {
  open_.clear();
  return requests<Subscribe>({wishes_.begin(), wishes_.end()});
}

std::vector<std::string> SubscriptionTracker::answered(std::uint64_t id) {
  const auto found = open_.find(id);
  if (found == open_.end()) return {};
  std::vector<std::string> channels = std::move(found->second);
  open_.erase(found);
  return channels;
}

bool SubscriptionTracker::wished(std::string_view channel) const {
  return wishes_.find(channel) != wishes_.end();
}

}  // namespace stratwire::session
