// What goes wrong, and how.

#include <algorithm>
#include <utility>

#include "world.hpp"

namespace stratwire::sim {
namespace {

constexpr TimeNs kHour = 3'600 * kSecond;

}  // namespace

bool World::on_menu(Fault fault) const noexcept {
  return std::ranges::find(menu_, fault) != menu_.end();
}

void World::inject() {
  if (!injecting_) return;
  inject_.set(soon(1, 2 * settings_.fault_every));
  if (menu_.empty()) return;
  inject(menu_[random_.below(menu_.size())]);
}

void World::inject(Fault fault) {
  Client& client = clients_[random_.below(clients_.size())];
  Pipe* const pipe = client.client->pipe();
  switch (fault) {
    case Fault::cut_to_server:
    case Fault::cut_to_client:
    case Fault::cut_both:
    case Fault::reset:
    case Fault::half_close_to_server:
    case Fault::half_close_to_client:
    case Fault::hole_to_server:
    case Fault::hole_to_client:
      if (pipe != nullptr) break_connection(fault, *pipe);
      break;
    case Fault::outage:
    case Fault::delay:
    case Fault::jitter:
    case Fault::split:
    case Fault::coalesce:
    case Fault::throttle:
      if (pipe != nullptr) slow_connection(fault, *pipe);
      break;
    case Fault::stall_short:
    case Fault::stall_long:
    case Fault::stall_beyond:
    case Fault::slow_reader:
    case Fault::client_paused:
      slow_client(fault, client);
      break;
    case Fault::last_frame_removed:
    case Fault::frame_duplicated:
      meddle(fault, client);
      break;
    case Fault::churn_in_replay:
      churn(client);
      break;
    case Fault::client_restarted:
      restart_client(client);
      break;
    case Fault::burst:
      burst();
      break;
    case Fault::client_clock_forward:
    case Fault::client_clock_back:
    case Fault::server_clock_forward:
    case Fault::server_clock_back:
      jump_clock(fault);
      break;
    case Fault::restart_with_log:
    case Fault::server_paused:
      restart_site(fault);
      break;
    case Fault::restart_new_epoch:
      restart_all();
      break;
    case Fault::drain_with_slot:
    case Fault::drain_with_alternative:
      drain_site(fault);
      break;
    default:
      // These happen when something else does: a connect, a drop.
      break;
  }
}

// ---- Connections

void World::break_connection(Fault fault, Pipe& pipe) {
  trace_.note("world", to_string(fault), pipe.id());
  const auto how = random_.percent(50) ? Pipe::Break::end : Pipe::Break::reset;
  switch (fault) {
    case Fault::cut_to_server:
      pipe.cut_after(Side::server, random_.between<std::uint64_t>(0, 60), how, counter(fault));
      break;
    case Fault::cut_to_client:
      pipe.cut_after(Side::client, random_.between<std::uint64_t>(0, 1'500), how, counter(fault));
      break;
    case Fault::cut_both:
      pipe.cut_flight(how);
      count(fault);
      break;
    case Fault::reset:
      pipe.reset();
      count(fault);
      break;
    case Fault::half_close_to_server:
    case Fault::half_close_to_client:
      pipe.half_close(fault == Fault::half_close_to_server ? Side::server : Side::client);
      count(fault);
      break;
    default:
      pipe.hold(fault == Fault::hole_to_server ? Side::server : Side::client, kForever);
      count(fault);
      break;
  }
}

void World::slow_connection(Fault fault, Pipe& pipe) {
  trace_.note("world", to_string(fault), pipe.id());
  const Side side = random_.percent(70) ? Side::client : Side::server;
  Shape& shape = pipe.shape(side);
  count(fault);
  switch (fault) {
    case Fault::outage: {
      const TimeNs until = soon(10 * kMilli, 5 * kSecond);
      pipe.hold(Side::client, until);
      if (random_.percent(50)) pipe.hold(Side::server, until);
      break;
    }
    case Fault::delay:
      pipe.delay(side, random_.between<TimeNs>(kMilli, 2 * kSecond));
      break;
    case Fault::jitter:
      shape.jitter = random_.between<TimeNs>(1, 300) * kMilli;
      break;
    case Fault::split:
      shape.segment_bytes_max = random_.pick({1U, 1U, 7U});
      break;
    case Fault::coalesce:
      shape.coalesce = random_.between<TimeNs>(1, 400) * kMilli;
      break;
    default:
      shape.bytes_per_s = random_.between<std::uint64_t>(500, 50'000);
      break;
  }
}

// ---- Clients

void World::slow_client(Fault fault, Client& client) {
  trace_.note(client.config.name, to_string(fault));
  count(fault);
  const TimeNs stall_max = settings_.server.stall_max.count() * kMilli;
  SimClient& one = *client.client;
  switch (fault) {
    case Fault::stall_short:
      one.stall(soon(kMilli, stall_max / 2));
      break;
    case Fault::stall_long:
      one.stall(soon(stall_max / 2, stall_max));
      break;
    case Fault::stall_beyond:
      one.stall(soon(stall_max, 2 * stall_max));
      break;
    case Fault::client_paused:
      one.pause(soon(kMilli, 15 * kSecond));
      break;
    default:
      one.slow_down(random_.between<std::size_t>(1, 200), soon(kSecond, 10 * kSecond));
      break;
  }
}

void World::meddle(Fault fault, Client& client) {
  Pipe* const pipe = client.client->pipe();
  const bool live = client.client->session().state() == ClientState::live;
  if (pipe == nullptr || !pipe->middlebox() || !live) return;
  const std::size_t channel = random_.below(channels_.size());
  const std::string& name = feed_.names()[channel];
  if (!client.judge->follows(name)) return;
  trace_.note(client.config.name, to_string(fault), channel);
  const bool removes = fault == Fault::last_frame_removed;
  pipe->middlebox()->arm(removes ? Middlebox::Act::remove : Middlebox::Act::repeat, name,
                         faults_[static_cast<std::size_t>(fault)]);
  publish(channel);
  // It falls quiet, so that only a head can tell.
  if (removes) channels_[channel].quiet_until = soon(5 * kSecond, 8 * kSecond);
}

/// Leaves some channels and comes back to them, at once or later.
void World::churn(Client& client) {
  if (!client.unwished.empty()) return;
  for (const std::string& wish : client.judge->wishes()) {
    if (random_.percent(50)) client.unwished.push_back(wish);
  }
  if (client.unwished.empty()) return;
  trace_.note(client.config.name, "churns", client.unwished.size());
  const auto& session = client.client->session();
  if (session.state() == ClientState::recovering) count(Fault::churn_in_replay);
  client.judge->unwish(client.unwished);
  client.client->unsubscribe(client.unwished);
  client.wish_again_at = random_.percent(50) ? scheduler_.now() : soon(kMilli, 3 * kSecond);
  wish_again();
}

void World::wish_again() {
  for (Client& client : clients_) {
    if (client.unwished.empty() || scheduler_.now() < client.wish_again_at) continue;
    const std::vector<std::string> wishes = std::exchange(client.unwished, {});
    client.judge->wish(wishes);
    client.client->subscribe(wishes);
  }
}

/// Its process is killed; a new one begins with what its strategy had stored.
void World::restart_client(Client& client) {
  const auto& session = client.client->session();
  if (session.state() != ClientState::live) return;
  trace_.note(client.config.name, "is restarted");
  count(Fault::client_restarted);
  faults_[static_cast<std::size_t>(Fault::handover)] += session.counts().handovers;
  client.client.reset();
  client.judge->restarted();
  client.config.session.seed = random_.next();
  client.saboteur = std::make_unique<Saboteur>(trace_, options_.sabotage, *client.judge);
  client.client = std::make_unique<SimClient>(scheduler_, trace_, random_.fork(), client.config,
                                              *this, *client.saboteur);
  const std::vector<std::string> wishes = client.judge->wishes();
  client.client->subscribe(wishes, Start::live, client.judge->points());
  client.client->start();
}

// ---- Servers

void World::burst() {
  const std::size_t channel = random_.below(channels_.size());
  if (channels_[channel].quiet_until > scheduler_.now()) return;
  const std::size_t kept = settings_.server.channel_log.messages_max;
  const std::size_t messages = random_.between<std::size_t>(20, 200);
  trace_.note("world", "burst", channel, messages);
  if (messages > kept) count(Fault::burst);
  for (std::size_t i = 0; i < messages; ++i) publish(channel);
}

void World::jump_clock(Fault fault) {
  trace_.note("world", to_string(fault));
  count(fault);
  const bool forward = fault == Fault::client_clock_forward || fault == Fault::server_clock_forward;
  const TimeNs by = forward ? kHour : -kHour;
  if (fault == Fault::client_clock_forward || fault == Fault::client_clock_back) {
    clients_[random_.below(clients_.size())].client->jump_wall_clock(by);
    return;
  }
  for (Site& site : sites_) {
    if (site.server) site.server->jump_wall_clock(by);
  }
}

void World::restart_site(Fault fault) {
  Site& site = sites_[random_.below(sites_.size())];
  if (site.state != Site::State::up) return;
  trace_.note("world", to_string(fault), site.index);
  count(fault);
  if (fault == Fault::server_paused) {
    site.server->pause(soon(kMilli, 5 * kSecond));
    return;
  }
  if (random_.percent(30)) {
    // Its power goes: nobody is told.
    for (const auto& [pipe, at] : links_) {
      if (at != site.index) continue;
      pipe->hold(Side::client, kForever);
      pipe->hold(Side::server, kForever);
    }
  }
  stop(site);
  site.next_state->set(soon(10 * kMilli, 3 * kSecond));
}

void World::restart_all() {
  trace_.note("world", "new epoch", feed_.epoch() + 1);
  count(Fault::restart_new_epoch);
  for (Site& site : sites_) stop(site);
  feed_.begin_epoch(feed_.epoch() + 1);
  for (Site& site : sites_) site.next_state->set(soon(10 * kMilli, 3 * kSecond));
}

void World::drain_site(Fault fault) {
  Site& site = sites_[random_.below(sites_.size())];
  if (site.state != Site::State::up) return;
  const ServerConfig& config = site.server->core().config;
  const bool has_alternative = !config.drain.alternatives.empty();
  if (has_alternative != (fault == Fault::drain_with_alternative)) return;
  trace_.note("world", to_string(fault), site.index);
  count(fault);
  site.state = Site::State::leaving;
  site.server->go_away(config.drain.go_away_deadline);
  site.next_state->set(scheduler_.now() + config.drain.go_away_deadline.count() * kMilli);
}

}  // namespace stratwire::sim
