#include "channel.hpp"

namespace stratwire::server {

ChannelRegistry::ChannelRegistry(const ServerConfig& config, session::LogBudget& budget)
    : kinds_(std::make_shared<const session::KindSet>(config.kinds.begin(), config.kinds.end())),
      channels_max_(config.channels_max),
      policies_(config.policies),
      rules_{.log = {config.channel_log.messages_max, config.channel_log.bytes_max,
                     config.channel_log.age_max},
             .budget = &budget} {}

Channel* ChannelRegistry::find(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = channels_.find(name);
  return found == channels_.end() ? nullptr : found->second.get();
}

Result<Channel*> ChannelRegistry::find_or_make(std::string_view name) {
  const std::lock_guard lock(mutex_);
  if (const auto found = channels_.find(name); found != channels_.end()) {
    return found->second.get();
  }
  const auto parsed = session::parse_channel_name(name, session::Wildcards::refused);
  if (!parsed) return parsed.error();
  if (channels_.size() >= channels_max_) {
    return Error{Errc::too_many_channels, 0,
                 "the server has no room for another of its " + std::to_string(channels_max_) +
                     " channels; publish to those that are there, or raise "
                     "ServerConfig::channels_max"};
  }
  ChannelRules rules = rules_;
  const auto policy = policies_.find(parsed->kind);
  if (policy != policies_.end()) rules.overflow = policy->second.overflow;
  auto channel =
      std::make_unique<Channel>(static_cast<std::uint32_t>(channels_.size()), *parsed, rules);
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
