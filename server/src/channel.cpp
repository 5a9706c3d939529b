#include "channel.hpp"

namespace stratwire::server {

Result<Channel*> ChannelRegistry::find_or_make(std::string_view name, Asker asker) {
  const std::lock_guard lock(mutex_);
  if (const auto found = channels_.find(name); found != channels_.end()) {
    return found->second.get();
  }
  const auto parsed = session::parse_channel_name(name, session::Wildcards::refused);
  if (!parsed) return parsed.error();
  const bool by_client = asker == Asker::client;
  if (channels_.size() >= channels_max_ ||
      (by_client && made_by_clients_ >= (channels_max_ + 1) / 2)) {
    return Error{Errc::too_many_channels, 0,
                 "the server has no room for another of its " + std::to_string(channels_max_) +
                     " channels; subscribe to ones that are published, or raise "
                     "ServerConfig::channels_max"};
  }
  if (by_client) ++made_by_clients_;
  auto channel = std::make_unique<Channel>(static_cast<std::uint32_t>(channels_.size()), *parsed);
  Channel* const made = channel.get();
  channels_.emplace(made->name(), std::move(channel));
  return made;
}

std::shared_ptr<const session::KindSet> ChannelRegistry::kinds() const {
  const std::lock_guard lock(mutex_);
  return kinds_;
}

void ChannelRegistry::add_kind(std::string_view kind) {
  const std::lock_guard lock(mutex_);
  if (kinds_->contains(kind)) return;
  auto kinds = std::make_shared<session::KindSet>(*kinds_);
  kinds->emplace(kind);
  kinds_ = std::move(kinds);
}

std::size_t ChannelRegistry::size() const {
  const std::lock_guard lock(mutex_);
  return channels_.size();
}

}  // namespace stratwire::server
