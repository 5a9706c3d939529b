#include <algorithm>
#include <optional>
#include <utility>

#include <stratwire/limits.hpp>
#include <stratwire/session/channel_name.hpp>
#include <stratwire/session/subscription_tracker.hpp>

namespace stratwire::session {
namespace {

// Quotes and comma, or a MessagePack string's head, and some to spare.
constexpr std::size_t kBytesBesideName = 8;
// {"channel":"","epoch":20 digits,"seq":20 digits},
constexpr std::size_t kBytesBesidePoint = 80;

}  // namespace

/// Fills requests up to the limits.
class SubscriptionTracker::Packer {
 public:
  explicit Packer(SubscriptionTracker& tracker) noexcept : tracker_(tracker) {}

  /// A channel and its own point, in one request together with others that begin alike.
  void add(const std::string& channel, std::optional<ResumePoint> point, Start start) {
    const bool latest = start == Start::latest && !point;
    std::size_t need = channel.size() + kBytesBesideName;
    if (point) need += channel.size() + kBytesBesidePoint;
    if (requests_.empty() || requests_.back().snapshot != latest || !fits(need)) open(latest);
    requests_.back().channels.push_back(channel);
    if (point) requests_.back().since.push_back(*std::move(point));
    bytes_ += need;
  }
  /// Points that belong to the channel that was added last; in further parts of the same request
  /// when they are many.
  void add_points(std::vector<ResumePoint> points) {
    for (ResumePoint& point : points) {
      const std::size_t need = point.channel.size() + kBytesBesidePoint;
      if (bytes_ + need > tracker_.limits_.bytes_max) go_on();
      requests_.back().since.push_back(std::move(point));
      bytes_ += need;
    }
  }
  /// What comes next is another request.
  void close() noexcept { closed_ = true; }
  [[nodiscard]] std::vector<Subscribe> take() { return std::move(requests_); }

 private:
  [[nodiscard]] bool fits(std::size_t need) const noexcept {
    return !closed_ && bytes_ + need <= tracker_.limits_.bytes_max &&
           requests_.back().channels.size() < tracker_.limits_.channels_max;
  }
  void open(bool latest) {
    Subscribe& request = requests_.emplace_back();
    request.id = tracker_.next_id();
    request.snapshot = latest;
    bytes_ = 0;
    closed_ = false;
  }
  void go_on() {
    requests_.back().more = true;
    const std::uint64_t id = requests_.back().id;
    const bool latest = requests_.back().snapshot;
    Subscribe& request = requests_.emplace_back();
    request.id = id;
    request.snapshot = latest;
    bytes_ = 0;
  }

  SubscriptionTracker& tracker_;
  std::vector<Subscribe> requests_{};
  std::size_t bytes_ = 0;
  bool closed_ = false;
};

void SubscriptionTracker::wish(std::span<const std::string> channels, Start start) {
  for (const std::string& channel : channels) wishes_.try_emplace(channel, start);
}

void SubscriptionTracker::unwish(std::span<const std::string> channels) {
  for (const std::string& channel : channels) wishes_.erase(channel);
}

bool SubscriptionTracker::wished(std::string_view channel) const {
  return wishes_.find(channel) != wishes_.end();
}

bool SubscriptionTracker::wanted(std::string_view channel) const {
  if (wished(channel)) return true;
  const auto name = parse_channel_name(channel, Wildcards::allowed);
  return name.ok() && wished(wildcard_of(name->kind));
}

std::vector<Subscribe> SubscriptionTracker::ask_all(const Asker& asker) {
  std::vector<std::string> channels;
  channels.reserve(wishes_.size());
  for (const auto& [channel, start] : wishes_) channels.push_back(channel);
  return ask(asker, channels);
}

std::vector<Subscribe> SubscriptionTracker::ask(const Asker& asker,
                                                std::span<const std::string> channels) {
  Packer packer{*this};
  const auto start_of = [this](const std::string& channel) {
    const auto found = wishes_.find(channel);
    return found == wishes_.end() ? Start::live : found->second;
  };
  const auto point_of = [&](const std::string& channel) {
    return asker.continuity.ask(asker.line, channel, asker.resume);
  };
  for (const std::string& channel : channels) {
    if (!is_wildcard(channel)) continue;
    // The points of a wildcard stand beside it: in a request of its own where there are any.
    auto points = asker.continuity.ask_covered(asker.line, channel, limits::kResumePointsMax - 1,
                                               asker.resume);
    if (!points.empty()) packer.close();
    packer.add(channel, point_of(channel), start_of(channel));
    if (points.empty()) continue;
    packer.add_points(std::move(points));
    packer.close();
  }
  for (const Start start : {Start::live, Start::latest}) {
    for (const std::string& channel : channels) {
      if (is_wildcard(channel) || start_of(channel) != start) continue;
      packer.add(channel, point_of(channel), start);
    }
  }
  return packer.take();
}

std::vector<Unsubscribe> SubscriptionTracker::leave(std::span<const std::string> channels) {
  std::vector<Unsubscribe> requests;
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
  return requests;
}

}  // namespace stratwire::session
