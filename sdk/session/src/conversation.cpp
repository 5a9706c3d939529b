#include <algorithm>
#include <utility>

#include <stratwire/limits.hpp>
#include <stratwire/session/conversation.hpp>

namespace stratwire::session {

void Conversation::asked(const Subscribe& part) {
  Request& request = unanswered_[part.id];
  request.channels.insert(request.channels.end(), part.channels.begin(), part.channels.end());
  request.from_latest = part.snapshot;
  request.replays = request.replays || part.snapshot || !part.since.empty();
}

void Conversation::asked(const Unsubscribe& request) {
  unanswered_[request.id].channels = request.channels;
}

Conversation::Request Conversation::answered(std::uint64_t request_id, Answer answer) {
  const auto found = unanswered_.find(request_id);
  if (found == unanswered_.end()) return {};
  Request request = std::move(found->second);
  unanswered_.erase(found);
  if (answer == Answer::granted && request.replays) replaying_.emplace(request_id, request);
  return request;
}

bool Conversation::awaits(std::string_view channel) const {
  return std::any_of(unanswered_.begin(), unanswered_.end(), [&](const auto& request) {
    const auto& channels = request.second.channels;
    return std::find(channels.begin(), channels.end(), channel) != channels.end();
  });
}

std::vector<std::string> Conversation::caught_up(std::uint64_t request_id) {
  const auto found = replaying_.find(request_id);
  if (found == replaying_.end()) return {};
  std::vector<std::string> channels = std::move(found->second.channels);
  replaying_.erase(found);
  return channels;
}

void Conversation::keep(const std::vector<ChannelHead>& heads) {
  for (const ChannelHead& head : heads) {
    const bool room = heads_.size() < limits::kResumePointsMax || heads_.contains(head.channel);
    if (!room) continue;
    std::uint64_t& kept = heads_[head.channel];
    kept = std::max(kept, head.seq);
  }
}

std::vector<ChannelHead> Conversation::take_heads() {
  std::vector<ChannelHead> heads;
  heads.reserve(heads_.size());
  for (const auto& [channel, seq] : heads_) heads.push_back({channel, seq});
  heads_.clear();
  return heads;
}

}  // namespace stratwire::session
