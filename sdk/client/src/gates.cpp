#include "gates.hpp"

#include <utility>

#include <stratwire/session/channel_name.hpp>

namespace stratwire {

std::string_view to_string(GateVerdict verdict) noexcept {
  switch (verdict) {
    case GateVerdict::open:
      return "open";
    case GateVerdict::not_live:
      return "not_live";
    case GateVerdict::not_subscribed:
      return "not_subscribed";
    case GateVerdict::no_data:
      return "no_data";
    case GateVerdict::missed:
      return "missed";
    case GateVerdict::behind:
      return "behind";
    case GateVerdict::silent:
      return "silent";
    case GateVerdict::old:
      return "old";
  }
  return "not_live";
}

namespace client {
namespace {

constexpr std::size_t kKnownAtFirst = 64;

std::string wildcard_of(std::string_view channel) {
  const auto name = session::parse_channel_name(channel, session::Wildcards::refused);
  return name.ok() ? session::wildcard_of(name->kind) : std::string{};
}

}  // namespace

void Gates::add(std::string channel, std::shared_ptr<Words> words, std::uint64_t newest) {
  if (newest != 0) {
    // relaxed: as in note(). When the message was read nobody has noted: it is old to every limit.
    words->standing.store((newest << Words::kFlagBits) | Words::kData, std::memory_order_relaxed);
  }
  refresh(channel, *words);
  channels_.insert_or_assign(std::move(channel), std::move(words));
  // Names are looked at anew: one of those that had no gate has one now.
  if (known_count_ != 0 || known_.empty()) known_.assign(kKnownAtFirst, {});
  known_count_ = 0;
}

Gates::Words* Gates::learn(std::string_view channel) {
  // At most half full.
  if (2 * (known_count_ + 1) > known_.size()) {
    std::vector<Known> old(known_.size() * 2);
    old.swap(known_);
    known_count_ = 0;
    for (const Known& one : old) {
      if (one.name == nullptr) continue;
      std::size_t at = place(one.name);
      while (known_[at].name != nullptr) at = (at + 1) & (known_.size() - 1);
      known_[at] = one;
      ++known_count_;
    }
  }
  const auto gated = channels_.find(channel);
  const Known found{channel.data(), gated == channels_.end() ? nullptr : gated->second.get()};
  std::size_t at = place(found.name);
  while (known_[at].name != nullptr) at = (at + 1) & (known_.size() - 1);
  known_[at] = found;
  ++known_count_;
  return found.words;
}

/// Some wish covers it that was answered and not refused.
bool Gates::followed(const std::string& channel) const {
  const auto holds = [this](const std::string& name) {
    const auto wish = wishes_.find(name);
    return wish != wishes_.end() && wish->second.settled && !wish->second.refused;
  };
  return holds(channel) || holds(wildcard_of(channel));
}

void Gates::refresh(const std::string& channel, Words& words) const {
  // relaxed: only this thread writes it.
  const std::uint64_t before = words.standing.load(std::memory_order_relaxed);
  const std::uint64_t flag = followed(channel) ? Words::kFollowed : 0;
  // relaxed: as in note().
  words.standing.store((before & ~Words::kFollowed) | flag, std::memory_order_relaxed);
}

void Gates::refresh() const {
  for (const auto& [channel, words] : channels_) refresh(channel, *words);
}

void Gates::wished(std::span<const std::string> channels) {
  for (const std::string& channel : channels) wishes_.try_emplace(channel);
}

void Gates::unwished(std::span<const std::string> channels) {
  for (const std::string& channel : channels) {
    wishes_.erase(channel);
    forget_data(channel);
  }
  refresh();
}

void Gates::answered(const Subscribed& answer) {
  for (const ChannelResult& result : answer.results) {
    const auto wish = wishes_.find(result.channel);
    if (wish != wishes_.end()) wish->second.refused = result.code != Errc::ok;
  }
  refresh();
}

void Gates::left(const Unsubscribed& answer) const {
  for (const ChannelResult& result : answer.results) forget_data(result.channel);
}

/// What came over a subscription that was left is no price of a later one.
void Gates::forget_data(std::string_view wish) const {
  for (const auto& [channel, words] : channels_) {
    if ((channel != wish && wildcard_of(channel) != wish) || followed(channel)) continue;
    // relaxed: only this thread writes it.
    const std::uint64_t before = words->standing.load(std::memory_order_relaxed);
    // relaxed: as in note().
    words->standing.store(before & ~(Words::kData | Words::kMissed), std::memory_order_relaxed);
  }
}

void Gates::state_known(const StateEvent& event) {
  // A further subscribe() leaves the channels that are followed already as they are; another
  // connection, which took over before it had caught up, does not.
  const bool same = std::exchange(generation_, event.generation) == event.generation;
  const bool goes_on =
      event.state == ClientState::live ||
      (same && (event.state == ClientState::subscribing || event.state == ClientState::recovering));
  if (goes_on) return;
  // release: pairs with the acquire in ChannelGate::verdict(), as all that is stored here.
  client_->live.store(0, std::memory_order_release);
}

void Gates::went_live() {
  for (auto& [name, wish] : wishes_) wish.settled = true;
  refresh();
  // release: pairs with the acquire in ChannelGate::verdict(); all that led here is seen.
  client_->live.store(1, std::memory_order_release);
}

void Gates::gap_known(std::string_view channel) {
  const auto gated = channels_.find(channel);
  if (gated == channels_.end()) return;
  Words& words = *gated->second;
  // relaxed: only this thread writes it.
  const std::uint64_t before = words.standing.load(std::memory_order_relaxed);
  // relaxed: as in note().
  words.standing.store((before & ~Words::kData) | Words::kMissed, std::memory_order_relaxed);
}

}  // namespace client
}  // namespace stratwire
