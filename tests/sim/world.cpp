// Phases, publishing, sites, and the network between them.

#include "world.hpp"

#include <algorithm>
#include <utility>

#include "feeding.hpp"

namespace stratwire::sim {
namespace {

constexpr TimeNs kLookEvery = kSecond;
constexpr TimeNs kPublishingAfterwards = 2 * kSecond;
constexpr std::size_t kFailuresMax = 10;
/// Epochs are microseconds of the start, so that they differ and rise.
constexpr std::uint64_t kFirstEpoch = 1'000;

std::string url_of(std::size_t site) {
  return "ws://site" + std::to_string(site) + "/";
}

}  // namespace

World::World(const Options& options)
    : options_(options),
      trace_(options.lines),
      random_(options.seed),
      settings_(Settings::draw(random_.fork())),
      feed_(settings_.channels),
      inject_(scheduler_, [this] { inject(); }),
      publish_(scheduler_, [this] { publish_due(); }),
      look_(scheduler_, [this] { look(); }) {
  feed_.begin_epoch(kFirstEpoch);
  menu_ = settings_.menu;
  make_channels();
  for (std::size_t i = 0; i < settings_.sites; ++i) sites_.emplace_back().index = i;
  for (Site& site : sites_) {
    site.next_state = std::make_unique<Timer>(scheduler_, [this, &site] { advance(site); });
    site.next_message = std::make_unique<Timer>(scheduler_, [this, &site] { feed(site); });
    if (site.index != 0 && on_menu(Fault::replica_lags)) {
      site.lag = random_.between<TimeNs>(1, 800) * kMilli;
    }
    start(site);
  }
  make_clients();
}

World::~World() {
  for (Client& client : clients_) client.client.reset();
  for (Site& site : sites_) site.server.reset();
}

void World::make_channels() {
  for (std::size_t i = 0; i < settings_.channels.size(); ++i) {
    Channel channel;
    channel.interval = random_.pick({20 * kMilli, 100 * kMilli, 500 * kMilli, 5 * kSecond});
    channel.born = kStart;
    if (random_.percent(30)) channel.born += random_.between<TimeNs>(1, settings_.chaos);
    channel.next_at = channel.born + random_.between<TimeNs>(0, channel.interval);
    channels_.push_back(channel);
    publish_.set(channel.next_at);
  }
}

void World::make_clients() {
  for (std::size_t i = 0; i < settings_.clients.size(); ++i) {
    Client& made = clients_.emplace_back();
    made.config = settings_.clients[i];
    made.judge = std::make_unique<Judge>(trace_, made.config.name, made.config.session.resume,
                                         feed_, faults_);
    made.saboteur = std::make_unique<Saboteur>(trace_, options_.sabotage, *made.judge);
    made.client = std::make_unique<SimClient>(scheduler_, trace_, random_.fork(), made.config,
                                              *this, *made.saboteur);
    made.churns = std::make_unique<Timer>(scheduler_, [this, i] {
      if (injecting_) churn(clients_[i]);
    });
    made.judge->wish(settings_.wishes[i]);
    made.client->subscribe(settings_.wishes[i], settings_.starts[i]);
    made.client->start();
  }
}

// ---- Phases

void World::run_until(TimeNs when) {
  while (failures_.empty() && scheduler_.step(when)) {
  }
}

Outcome World::run() {
  look_.set(scheduler_.now());
  inject_.set(soon(kSecond, 2 * kSecond));
  run_until(kStart + settings_.chaos);
  heal();
  settle();
  return outcome();
}

void World::heal() {
  trace_.note("world", "heals");
  injecting_ = false;
  menu_.clear();
  for (const Link& link : links_) link.pipe->heal();
  for (Client& client : clients_) {
    client.client->recover();
    client.wish_again_at = 0;
  }
  wish_again();
  for (Site& site : sites_) {
    if (site.state == Site::State::down) site.next_state->set(soon(0, kSecond));
  }
}

bool World::all_live() const {
  return std::ranges::all_of(clients_, [](const Client& client) {
    return client.client->session().state() == ClientState::live;
  });
}

void World::settle() {
  const TimeNs bound = scheduler_.now() + settings_.live_within;
  // Live once is not enough: a connection that is dead may not have been found out.
  run_until(scheduler_.now() + settings_.live_within / 2);
  while (failures_.empty() && !all_live() && scheduler_.now() < bound) {
    run_until(scheduler_.now() + 100 * kMilli);
  }
  run_until(scheduler_.now() + kPublishingAfterwards);
  trace_.note("world", "falls quiet");
  publishing_ = false;
  run_until(scheduler_.now() + settings_.quiet);
  for (Client& client : clients_) {
    if (client.client->session().state() == ClientState::live) continue;
    fail("not live " + std::to_string(settings_.live_within / kMilli) +
         " ms after the last fault: " + client.client->describe());
  }
  if (!failures_.empty()) return;
  for (Client& client : clients_) client.judge->finish();
}

/// What must hold at any time.
void World::look() {
  look_.set(scheduler_.now() + kLookEvery);
  for (const Site& site : sites_) {
    if (!site.server) continue;
    if (std::string broken = site.server->broken_limit(feed_.names()); !broken.empty()) {
      fail("limit of site " + std::to_string(site.index) + ": " + broken);
    }
  }
  for (const Client& client : clients_) {
    if (!client.judge->clean()) fail("the judge has seen enough");
  }
  std::erase_if(links_,
                [](const Link& link) { return link.pipe->over() && link.pipe.use_count() == 1; });
  if (injecting_) wish_again();
}

void World::fail(std::string text) {
  trace_.tell("world", [&] { return "FAULT " + text; });
  if (failures_.size() < kFailuresMax) failures_.push_back(std::move(text));
}

Outcome World::outcome() {
  Outcome outcome;
  for (const Site& site : sites_) {
    if (site.server) harvest(*site.server);
  }
  for (const std::string& failure : failures_) outcome.report += failure + '\n';
  for (const Client& client : clients_) {
    outcome.report += client.judge->report();
    outcome.handed += client.judge->oracle().handed();
    outcome.gaps += client.judge->oracle().gaps();
    faults_[static_cast<std::size_t>(Fault::handover)] +=
        client.client->session().counts().handovers;
  }
  outcome.hash = trace_.hash();
  outcome.seconds = trace_.seconds();
  outcome.faults = faults_;
  outcome.published = feed_.ledger().total();
  outcome.replayed = replayed_;
  return outcome;
}

// ---- Publishing

void World::publish_due() {
  if (!publishing_) return;
  TimeNs next = kForever;
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    Channel& channel = channels_[i];
    if (channel.next_at <= scheduler_.now()) {
      if (channel.quiet_until <= scheduler_.now()) publish(i);
      channel.next_at = soon(1, 2 * channel.interval);
    }
    next = std::min(next, channel.next_at);
  }
  publish_.set(next);
}

void World::publish(std::size_t channel) {
  note_appearance(channel);
  const std::uint64_t content = ++contents_ * 1'000 + random_.below(1'000);
  const Published& published = feed_.publish(channel, content, scheduler_.now());
  trace_.mix(published.seq);
  for (Site& site : sites_) {
    if (site.server) site.next_message->set(scheduler_.now() + site.lag);
  }
}

void World::note_appearance(std::size_t channel) {
  const std::string& name = feed_.names()[channel];
  if (feed_.ledger().head(name, feed_.epoch()) != 0) return;
  const std::string wildcard = name.substr(0, name.find(':')) + ":*";
  for (const Client& client : clients_) {
    const ClientState state = client.client->session().state();
    if (client.judge->wishes(wildcard) && state == ClientState::backing_off) {
      count(Fault::channel_appeared);
    }
  }
}

void World::feed(Site& site) {
  if (!site.server) return;
  SimServer& server = *site.server;
  const auto& messages = feed_.messages();
  while (server.published() < messages.size()) {
    const TimeNs due = messages[server.published()].at + site.lag;
    if (due > scheduler_.now()) {
      site.next_message->set(due);
      return;
    }
    if (!publish_next(server, feed_)) {
      // Its inbox is full, or it takes nothing more.
      if (site.state != Site::State::closing) site.next_message->set(soon(kMicro, kMilli));
      return;
    }
  }
}

// ---- Sites

void World::start(Site& site) {
  trace_.note("world", "starts site", site.index, feed_.epoch());
  ServerConfig config = settings_.server;
  for (const Site& another : sites_) {
    if (another.index != site.index && config.drain.go_away_deadline.count() >= 500) {
      config.drain.alternatives.push_back(url_of(another.index));
    }
  }
  config.log = [this](LogLevel, std::string_view text) {
    trace_.note("server", text);
    if (text.find("hard limit") != std::string_view::npos) count(Fault::hard_limit);
    if (text.find("took nothing") != std::string_view::npos) count(Fault::stalled_out);
  };
  if (const auto valid = config.validate(); !valid) fail(valid.error().message());
  site.server =
      std::make_unique<SimServer>(scheduler_, random_.fork(), "site" + std::to_string(site.index),
                                  std::move(config), feed_.epoch());
  std::size_t known = 0;
  for (const Published& message : feed_.messages()) {
    if (message.at + site.lag > scheduler_.now()) break;
    ++known;
  }
  restore(*site.server, feed_, known);
  site.state = Site::State::up;
  site.next_message->set(scheduler_.now());
}

void World::stop(Site& site) {
  if (!site.server) return;
  trace_.note("world", "stops site", site.index);
  harvest(*site.server);
  site.server.reset();
  site.state = Site::State::down;
}

/// The next step of a site that is being restarted.
void World::advance(Site& site) {
  switch (site.state) {
    case Site::State::up:
      break;
    case Site::State::leaving:
      trace_.note("world", "closes site", site.index);
      site.state = Site::State::closing;
      site.server->close_all();
      site.next_state->set(soon(100 * kMilli, 3 * kSecond));
      break;
    case Site::State::closing:
      stop(site);
      site.next_state->set(soon(50 * kMilli, 2 * kSecond));
      break;
    case Site::State::down:
      start(site);
      break;
  }
}

void World::harvest(const SimServer& server) {
  auto& core = const_cast<SimServer&>(server).core();
  for (const auto& figures : core.figures) {
    const auto& counters = figures.counters;
    faults_[static_cast<std::size_t>(Fault::refused_by_governor)] +=
        counters.accepts_refused.value() + counters.handshakes_refused.value();
    replayed_ += counters.replayed.value();
  }
  faults_[static_cast<std::size_t>(Fault::log_cap)] += core.log_budget.evicted();
}

// ---- Network

TimeNs World::dial(const SimClient& client) {
  if (options_.sabotage == Sabotage::stay_silent && client.session().generation() > 1) {
    return kForever;
  }
  if (on_menu(Fault::connect_hangs) && random_.percent(20)) {
    count(Fault::connect_hangs);
    return kForever;
  }
  return scheduler_.now() + random_.between<TimeNs>(kMicro, 2 * settings_.latency_max);
}

std::shared_ptr<Pipe> World::arrive(const SimClient& client, std::size_t index) {
  Site& site = sites_[index];
  if (!site.server || !site.server->listening()) {
    count(Fault::connect_refused);
    return nullptr;
  }
  if (on_menu(Fault::connect_refused) && random_.percent(20)) {
    count(Fault::connect_refused);
    return nullptr;
  }
  const std::size_t window = random_.between<std::size_t>(4096, settings_.window_bytes_max);
  auto pipe = std::make_shared<Pipe>(scheduler_, random_.fork(), ++pipe_ids_, window);
  for (const Side side : {Side::client, Side::server}) {
    pipe->shape(side).latency = random_.between<TimeNs>(kMicro, settings_.latency_max);
  }
  if (on_menu(Fault::last_frame_removed) || on_menu(Fault::frame_duplicated)) {
    pipe->middlebox().emplace(client.config().codec);
  }
  if (on_menu(Fault::churn_in_replay)) {
    // So that a replay takes its time.
    pipe->shape(Side::client).bytes_per_s = random_.between<std::uint64_t>(20'000, 2'000'000);
  }
  if (on_menu(Fault::upgrade_cut) && random_.percent(30)) {
    const Side side = random_.percent(50) ? Side::client : Side::server;
    const auto how = random_.percent(50) ? Pipe::Break::end : Pipe::Break::reset;
    pipe->cut_after(side, random_.between<std::uint64_t>(0, 120), how, counter(Fault::upgrade_cut));
  }
  links_.push_back({pipe, index});
  site.server->accept(pipe);
  return pipe;
}

std::optional<std::size_t> World::site_of(std::string_view url) const {
  for (const Site& site : sites_) {
    if (url == url_of(site.index)) return site.index;
  }
  return std::nullopt;
}

void World::opened(const SimClient& client, std::size_t index) {
  if (sites_[index].lag != 0) count(Fault::replica_lags);
  if (on_menu(Fault::churn_in_replay) && random_.percent(50)) {
    const auto found = std::ranges::find(clients_, client.name(), [](const Client& one) {
      return std::string_view(one.config.name);
    });
    found->churns->set(soon(1, 4 * settings_.latency_max));
  }
  for (const Site& site : sites_) {
    if (site.server && site.server->connections_of(client.name()) != 0) count(Fault::old_lives_on);
  }
}

Network::Afterlife World::dropped(const SimClient&, Pipe& pipe) {
  if (on_menu(Fault::late_events) && random_.percent(50)) return Afterlife::told_late;
  if (on_menu(Fault::old_comes_late) && random_.percent(50)) {
    pipe.hold(Side::server, soon(kSecond, 5 * kSecond));
  }
  return Afterlife::none;
}

void World::told_late(const SimClient&) {
  count(Fault::late_events);
}

void World::old_came_late(const SimClient&) {
  count(Fault::old_comes_late);
}

Outcome run_world(const Options& options) {
  return World(options).run();
}

}  // namespace stratwire::sim
