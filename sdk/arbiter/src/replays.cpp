#include "replays.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include <stratwire/limits.hpp>

#include "client_access.hpp"

namespace stratwire::arbiter {
namespace {

using detail::ClientAccess;
using Outcome = session::LineArbiter::Replayed;

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

void Replays::ask(std::size_t line, ResumePoint point, std::vector<ResumePoint> beside) {
  std::vector<Asked>& waiting = lines_[line].waiting;
  std::erase_if(waiting, [&](const Asked& one) { return one.point.channel == point.channel; });
  waiting.push_back({std::move(point), std::move(beside)});
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
    const auto* const event =
        out.delivery == nullptr ? nullptr : out.delivery->get_if<StateEvent>();
    if (event != nullptr && event->state == ClientState::live) out.outcome = Outcome::all;
    finish(line, out);
    return true;
  }
  return out.delivery != nullptr;
}

/// True when it failed, so that there is something to tell.
bool Replays::begin(Line& line, Instant now, Replayed& out) {
  std::vector<std::string> channels;
  std::vector<ResumePoint> points;
  std::size_t taken = 0;
  for (; taken < line.waiting.size() && taken < limits::kChannelsPerConnectionMax; ++taken) {
    Asked& asked = line.waiting[taken];
    // All of one wildcard's points fit; those of several may have to take turns.
    if (points.size() + 1 + asked.beside.size() > limits::kResumePointsMax) break;
    channels.push_back(asked.point.channel);
    points.push_back(std::move(asked.point));
    std::move(asked.beside.begin(), asked.beside.end(), std::back_inserter(points));
  }
  line.waiting.erase(line.waiting.begin(),
                     line.waiting.begin() + static_cast<std::ptrdiff_t>(taken));
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
