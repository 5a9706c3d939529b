#include "mailbox.hpp"

#include <algorithm>
#include <utility>

#include <stratwire/limits.hpp>
#include <stratwire/session/channel_name.hpp>

namespace stratwire::client {

Result<void> Mailbox::check(const std::vector<std::string>& channels) const {
  for (const std::string& channel : channels) {
    auto name = session::parse_channel_name(channel, session::Wildcards::allowed);
    if (!name.ok()) return name.error();
  }
  return {};
}

Result<void> Mailbox::subscribe(Wish wish) {
  const std::vector<std::string>& channels = wish.channels;
  if (auto checked = check(channels); !checked.ok()) return checked;
  if (wish.since.size() > limits::kResumePointsMax) {
    return Error{Errc::too_large, 0,
                 std::to_string(wish.since.size()) + " resume points are more than the " +
                     std::to_string(limits::kResumePointsMax) +
                     " that one subscribe() may have; ask for fewer channels at a time"};
  }
  for (const ResumePoint& point : wish.since) {
    auto name = session::parse_channel_name(point.channel, session::Wildcards::allowed);
    if (!name.ok()) return name.error();
  }
  if (channels.empty()) return {};
  const std::lock_guard hold(mutex_);
  const std::set<std::string, std::less<>> distinct(channels.begin(), channels.end());
  const auto added = static_cast<std::size_t>(
      std::count_if(distinct.begin(), distinct.end(),
                    [&](const std::string& channel) { return !wished_.contains(channel); }));
  if (wished_.size() + added > channels_max_) {
    return Error{Errc::too_many_channels, 0,
                 std::to_string(wished_.size() + added) + " channels are more than the " +
                     std::to_string(channels_max_) +
                     " that one connection may have; subscribe to fewer, or to `kind:*`"};
  }
  wished_.insert(distinct.begin(), distinct.end());
  // relaxed: the lock and the release in post() order it.
  pending_wishes_.fetch_add(1, std::memory_order_relaxed);
  post(std::move(wish));
  return {};
}

Result<void> Mailbox::unsubscribe(std::vector<std::string> channels) {
  if (auto checked = check(channels); !checked.ok()) return checked;
  if (channels.empty()) return {};
  const std::lock_guard hold(mutex_);
  for (const std::string& channel : channels) wished_.erase(channel);
  post(Unwish{std::move(channels)});
  return {};
}

Result<std::shared_ptr<const detail::GateChannelWords>> Mailbox::gate(std::string_view channel) {
  using Words = std::shared_ptr<const detail::GateChannelWords>;
  auto name = session::parse_channel_name(channel, session::Wildcards::refused);
  if (!name.ok()) return name.error();
  const std::lock_guard hold(mutex_);
  const auto found = gates_.find(channel);
  if (found != gates_.end()) return Words{found->second};
  if (gates_.size() == limits::kGatesMax) {
    return Error{Errc::too_many_channels, 0,
                 "the client has gates for " + std::to_string(limits::kGatesMax) +
                     " channels, which is the most; use another client for more"};
  }
  auto words = std::make_shared<detail::GateChannelWords>();
  gates_.emplace(channel, words);
  post(AddGate{std::string{channel}, words});
  return Words{std::move(words)};
}

SendStatus Mailbox::send(session::Outgoing message, ClientState state) {
  if (close_requested() || state == ClientState::closed || state == ClientState::failed) {
    return SendStatus::closed;
  }
  const bool connected = state == ClientState::subscribing || state == ClientState::recovering ||
                         state == ClientState::live || state == ClientState::stale;
  if (!policy_.kept_offline && !connected) return SendStatus::back_pressured;
  const std::size_t bytes = message.payload.size();
  if (bytes > policy_.bytes_max) return SendStatus::refused;
  const std::lock_guard hold(mutex_);
  const std::size_t messages = held_messages_ + taken_messages_ + queued_messages_;
  if (messages >= policy_.messages_max ||
      held_bytes_ + taken_bytes_ + queued_bytes_ + bytes > policy_.bytes_max) {
    return SendStatus::back_pressured;
  }
  ++queued_messages_;
  queued_bytes_ += bytes;
  post(std::move(message));
  return SendStatus::ok;
}

void Mailbox::post(Command command) {
  commands_.push_back(std::move(command));
  // release: pairs with the acquire in has_work(); publishes the command together with the lock.
  work_.store(1, std::memory_order_release);
}

void Mailbox::close() noexcept {
  // release: pairs with the acquire in close_requested().
  closing_.store(true, std::memory_order_release);
  // release: pairs with the acquire in has_work(); closing_ is seen behind it.
  work_.store(1, std::memory_order_release);
}

void Mailbox::take(std::vector<Command>& out) {
  out.clear();
  const std::lock_guard hold(mutex_);
  // acquire: pairs with the release in close(), so that a close() whose mark is taken here is seen
  // by the look at close_requested() that follows; posts are ordered by the lock.
  static_cast<void>(work_.exchange(0, std::memory_order_acquire));
  out.swap(commands_);
  taken_messages_ += std::exchange(queued_messages_, 0);
  taken_bytes_ += std::exchange(queued_bytes_, 0);
}

void Mailbox::report(std::size_t messages, std::size_t bytes) {
  const std::lock_guard hold(mutex_);
  held_messages_ = messages;
  held_bytes_ = bytes;
  taken_messages_ = 0;
  taken_bytes_ = 0;
}

void Mailbox::set_channels_max(std::size_t channels) noexcept {
  const std::lock_guard hold(mutex_);
  channels_max_ = channels;
}

}  // namespace stratwire::client
