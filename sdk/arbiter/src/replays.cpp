#include "replays.hpp"

#include <algorithm>
#include <utility>

#include <stratwire/limits.hpp>

#include "client_access.hpp"

namespace stratwire::arbiter {
namespace {

using detail::ClientAccess;

ClientConfig replay_config(ClientConfig config) {
  constexpr std::string_view kSuffix = " replay";
  if (config.name.size() + kSuffix.size() <= 64) config.name += kSuffix;
  // One that breaks goes on where it was.
  config.resume = Resume::automatic;
  return config;
}

/// Whether nothing more of what was asked for comes after this.
bool is_end(const Delivery& delivery, bool& answered) noexcept {
  if (delivery.get_if<Subscribed>() != nullptr) answered = true;
  const auto* const event = delivery.get_if<StateEvent>();
  if (event == nullptr) return false;
  switch (event->state) {
    case ClientState::live:
      // One that comes before the answer is of a connection that was asked for nothing yet.
      return answered;
    case ClientState::closing:
    case ClientState::closed:
    case ClientState::failed:
      return true;
    default:
      return false;
  }
}

}  // namespace

Replays::Replays(const std::vector<ClientConfig>& lines, std::shared_ptr<queue::Wait> wait,
                 Duration replay_max)
    : wait_(std::move(wait)), replay_max_(replay_max) {
  lines_.reserve(lines.size());
  for (const ClientConfig& config : lines) lines_.emplace_back().config = replay_config(config);
}

void Replays::ask(std::size_t line, std::string_view channel, std::uint64_t epoch,
                  std::uint64_t seq) {
  std::vector<ResumePoint>& waiting = lines_[line].waiting;
  std::erase_if(waiting, [&](const ResumePoint& point) { return point.channel == channel; });
  waiting.push_back({std::string{channel}, epoch, seq});
  count();
}

bool Replays::next(Instant now, Replayed& out) {
  if (idle()) return false;
  out = Replayed{};
  see_off();
  bool something = false;
  for (std::size_t index = 0; index < lines_.size() && !something; ++index) {
    something = look_at(index, now, out);
  }
  count();
  return something;
}

bool Replays::look_at(std::size_t index, Instant now, Replayed& out) {
  Line& line = lines_[index];
  out.line = index;
  if (!line.active) return !line.waiting.empty() && begin(line, now, out);
  // Before the look: what it has handed over by then is seen.
  const bool over = ClientAccess::has_ended(line.active->client) || now >= line.active->until;
  out.delivery = ClientAccess::next(line.active->client);
  if (out.delivery == nullptr ? over : is_end(*out.delivery, line.active->answered)) {
    finish(line, out);
    return true;
  }
  return out.delivery != nullptr;
}

/// True when it failed, so that there is something to tell.
bool Replays::begin(Line& line, Instant now, Replayed& out) {
  std::vector<ResumePoint> points = std::exchange(line.waiting, {});
  if (points.size() > limits::kChannelsPerConnectionMax) {
    line.waiting.assign(points.begin() + limits::kChannelsPerConnectionMax, points.end());
    points.resize(limits::kChannelsPerConnectionMax);
  }
  std::vector<std::string> channels;
  for (const ResumePoint& point : points) channels.push_back(point.channel);
  auto client =
      closed_ ? Result<Client>{Error{Errc::closed}} : ClientAccess::open(line.config, wait_);
  if (client.ok() && client->subscribe(channels, points).ok()) {
    line.active.emplace(Active{std::move(*client), std::move(channels), now + replay_max_, false});
    return false;
  }
  out.ended = std::move(channels);
  return true;
}

void Replays::finish(Line& line, Replayed& out) {
  out.delivery = nullptr;
  out.ended = std::move(line.active->channels);
  line.active->client.close();
  parting_.push_back(std::move(line.active->client));
  line.active.reset();
}

/// Closed connections go when their close handshake is done, so that nobody waits for it.
void Replays::see_off() {
  std::erase_if(parting_, [](Client& client) {
    const bool ended = ClientAccess::has_ended(client);
    while (ClientAccess::next(client) != nullptr) {
    }
    return ended;
  });
}

void Replays::count() noexcept {
  busy_ = parting_.size();
  for (const Line& line : lines_) {
    if (line.active || !line.waiting.empty()) ++busy_;
  }
}

Instant Replays::next_tick() const noexcept {
  Instant next = session::kNever;
  for (const Line& line : lines_) {
    if (line.active) next = std::min(next, line.active->until);
  }
  return next;
}

bool Replays::may_have_next() const noexcept {
  if (idle()) return false;
  for (const Line& line : lines_) {
    if (!line.active ? !line.waiting.empty()
                     : ClientAccess::may_have_next(line.active->client) ||
                           ClientAccess::has_ended(line.active->client)) {
      return true;
    }
  }
  return std::any_of(parting_.begin(), parting_.end(), [](const Client& client) {
    return ClientAccess::may_have_next(client) || ClientAccess::has_ended(client);
  });
}

void Replays::close() noexcept {
  closed_ = true;
  for (Line& line : lines_) {
    if (line.active) line.active->client.close();
  }
}

}  // namespace stratwire::arbiter
