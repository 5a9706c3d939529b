#include "lines_world.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "feeding.hpp"

namespace stratwire::sim {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kFirstEpoch = 1'000;
constexpr TimeNs kLiveWithin = 60 * kSecond;
constexpr std::size_t kFailuresMax = 10;

std::vector<std::string> draw_names(Random& random) {
  std::vector<std::string> names;
  const std::size_t count = random.between<std::size_t>(2, 5);
  for (std::size_t i = 0; i < count; ++i) {
    names.push_back((i % 2 == 0 ? "accounts:" : "trades:") + std::to_string(i));
  }
  return names;
}

}  // namespace

// ---- What it is made of

LinesWorld::LinesWorld(const LinesOptions& options)
    : trace_(options.lines),
      random_(options.seed),
      feed_(draw_names(random_)),
      inject_(scheduler_, [this] { inject(); }),
      publish_(scheduler_, [this] { publish_due(); }) {
  feed_.begin_epoch(kFirstEpoch);
  draw_menu();
  server_config_ = draw_server();
  make_channels();
  const std::size_t lines = random_.between<std::size_t>(2, 3);
  for (std::size_t i = 0; i < lines; ++i) {
    sites_.push_back(std::make_unique<Site>(Site{i, {}, Feed(feed_.names()), 0, 0, {}, {}}));
    Site& site = *sites_.back();
    site.feed.begin_epoch(kFirstEpoch);
    site.restart = std::make_unique<Timer>(scheduler_, [this, &site] { start(site); });
    site.next_message = std::make_unique<Timer>(scheduler_, [this, &site] { feed(site); });
    const bool lags = on_menu(LineFault::replica_lags) && random_.percent(50);
    if (lags && !(first_is_perfect_ && i == 0)) {
      site.lag = random_.between<TimeNs>(1, 300) * kMilli;
      count(LineFault::replica_lags);
    }
    start(site);
  }
  desk_ = std::make_unique<LinesDesk>(scheduler_, trace_, random_.fork(),
                                      draw_desk(options.sabotage), *this);
}

LinesWorld::~LinesWorld() {
  desk_.reset();
  for (const auto& site : sites_) site->server.reset();
}

void LinesWorld::draw_menu() {
  first_is_perfect_ = random_.percent(30);
  const unsigned share = random_.pick({20U, 50U, 80U});
  for (std::size_t i = 0; i < kLineFaults; ++i) {
    const auto fault = static_cast<LineFault>(i);
    const bool spoils = fault == LineFault::all_die || fault == LineFault::new_epoch;
    if (first_is_perfect_ && spoils) continue;
    if (random_.percent(share)) menu_.push_back(fault);
  }
  fault_every_ = random_.pick({200 * kMilli, kSecond, 3 * kSecond});
  latency_max_ = random_.pick({100 * kMicro, kMilli, 20 * kMilli});
}

ServerConfig LinesWorld::draw_server() {
  ServerConfig config;
  config.io_threads = random_.pick({1U, 1U, 2U});
  config.inbox_messages = 64;
  config.channel_log.messages_max = random_.pick({8U, 64U, 4096U, 4096U});
  config.heartbeat_interval = milliseconds(random_.pick({200, 500}));
  config.ping_interval = milliseconds(random_.pick({2'000, 5'000}));
  return config;
}

DeskConfig LinesWorld::draw_desk(DeskSabotage sabotage) {
  DeskConfig desk;
  desk.sabotage = sabotage;
  desk.arbiter.lines = sites_.size();
  desk.arbiter.hold_max = milliseconds(random_.pick({0, 5, 20, 200}));
  // Whoever waits for long enough misses nothing that a perfect line brings.
  if (first_is_perfect_) desk.arbiter.hold_max = milliseconds(5'000);
  desk.arbiter.replay_max = milliseconds(random_.pick({300, 1'000}));
  const Codec codec = random_.percent(50) ? Codec::json : Codec::msgpack;
  for (std::size_t i = 0; i < sites_.size(); ++i) {
    SimClientConfig& line = desk.lines.emplace_back();
    line.name = "line" + std::to_string(i);
    line.codec = codec;
    line.sites = {i};
    line.session.resume = Resume::manual;
    line.session.backoff.delay_max = milliseconds(500);
    line.session.seed = random_.next();
  }
  if (random_.percent(50)) {
    desk.wishes = {"accounts:*", "trades:*"};
  } else {
    desk.wishes = feed_.names();
  }
  return desk;
}

void LinesWorld::make_channels() {
  for (std::size_t i = 0; i < feed_.names().size(); ++i) {
    channels_.push_back(
        {random_.pick({20 * kMilli, 100 * kMilli, 500 * kMilli, 3 * kSecond}), 0, 0});
  }
}

// ---- Phases

void LinesWorld::run_until(TimeNs when) {
  while (failures_.empty() && scheduler_.step(when)) {
  }
}

LinesOutcome LinesWorld::run() {
  desk_->start();
  const TimeNs bound = scheduler_.now() + kLiveWithin;
  while (!desk_->all_live() && scheduler_.now() < bound) run_until(scheduler_.now() + 10 * kMilli);
  begin_publishing();
  run_until(scheduler_.now() + random_.between<TimeNs>(5, 25) * kSecond);
  heal();
  settle();
  return outcome();
}

void LinesWorld::begin_publishing() {
  for (const std::string& channel : feed_.names()) desk_->judge().start(channel);
  for (Channel& channel : channels_) {
    // Some are published for the first time later on.
    channel.next_at = soon(0, random_.percent(30) ? 10 * kSecond : channel.interval);
    publish_.set(channel.next_at);
  }
  publishing_ = true;
  injecting_ = true;
  inject_.set(soon(1, fault_every_));
}

void LinesWorld::heal() {
  trace_.note("world", "heals");
  injecting_ = false;
  publishing_ = false;
  menu_.clear();
  for (const Link& link : links_) link.pipe->heal();
  for (const auto& site : sites_) {
    site->away_until = 0;
    if (site->server) continue;
    site->restart->set(scheduler_.now());
  }
}

void LinesWorld::settle() {
  const TimeNs bound = scheduler_.now() + kLiveWithin;
  // Live once is not enough: a connection that is dead may not have been found out.
  run_until(scheduler_.now() + kLiveWithin / 2);
  const auto settled = [this] { return desk_->all_live() && desk_->idle(); };
  while (failures_.empty() && !settled() && scheduler_.now() < bound) {
    run_until(scheduler_.now() + 100 * kMilli);
  }
  run_until(scheduler_.now() + 10 * kSecond);
  if (!settled()) {
    fail("not settled: " + desk_->line(0).describe() + ' ' + desk_->line(1).describe());
  }
  if (desk_->arbiter().held() != 0) {
    fail(std::to_string(desk_->arbiter().held()) + " messages still wait behind holes");
  }
  desk_->judge().finish(feed_.ledger(), feed_.epoch());
  if (first_is_perfect_ && desk_->judge().oracle().gaps() != 0) {
    fail("a Gap, though the first line had everything");
  }
}

void LinesWorld::fail(std::string text) {
  trace_.tell("world", [&] { return "FAULT " + text; });
  if (failures_.size() < kFailuresMax) failures_.push_back(std::move(text));
}

LinesOutcome LinesWorld::outcome() {
  LinesOutcome outcome;
  for (const std::string& failure : failures_) outcome.report += failure + '\n';
  outcome.report += desk_->judge().report();
  outcome.hash = trace_.hash();
  outcome.seconds = trace_.seconds();
  outcome.faults = counts_;
  outcome.published = feed_.ledger().total();
  outcome.counts = desk_->arbiter().counts();
  outcome.divergences = desk_->judge().divergences();
  for (std::size_t i = 0; i < sites_.size(); ++i) {
    outcome.replays += desk_->arbiter().counts(i).replays;
  }
  return outcome;
}

// ---- Publishing

void LinesWorld::publish_due() {
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

/// \param divergent  the site that has another content
void LinesWorld::publish(std::size_t channel, std::optional<std::size_t> divergent) {
  const std::uint64_t content = ++contents_ * 1'000 + random_.below(500);
  const Published& published = feed_.publish(channel, content, scheduler_.now());
  trace_.mix(published.seq);
  for (const auto& site : sites_) {
    std::uint64_t own = content;
    if (divergent == site->index) {
      own = content + 500;
      desk_->judge().altered(feed_.names()[channel], feed_.epoch(), published.seq, content, own);
    }
    site->feed.publish(channel, own, scheduler_.now());
    if (site->server) site->next_message->set(scheduler_.now() + site->lag);
  }
}

void LinesWorld::feed(Site& site) {
  if (!site.server) return;
  const auto& messages = site.feed.messages();
  while (site.server->published() < messages.size()) {
    const TimeNs due = messages[site.server->published()].at + site.lag;
    if (due > scheduler_.now()) {
      site.next_message->set(due);
      return;
    }
    if (!publish_next(*site.server, site.feed)) {
      site.next_message->set(soon(kMicro, kMilli));
      return;
    }
  }
}

void LinesWorld::start(Site& site) {
  if (site.server) return;
  trace_.note("world", "starts site", site.index, site.feed.epoch());
  site.server = std::make_unique<SimServer>(
      scheduler_, random_.fork(),
      "site" + std::to_string(site.index) + '.' + std::to_string(++server_starts_), server_config_,
      site.feed.epoch());
  std::size_t known = 0;
  for (const Published& message : site.feed.messages()) {
    if (message.at + site.lag > scheduler_.now()) break;
    ++known;
  }
  restore(*site.server, site.feed, known);
  site.next_message->set(scheduler_.now());
}

// ---- What goes wrong

bool LinesWorld::on_menu(LineFault fault) const noexcept {
  return std::ranges::find(menu_, fault) != menu_.end();
}

void LinesWorld::inject() {
  if (!injecting_) return;
  inject_.set(soon(1, 2 * fault_every_));
  if (menu_.empty()) return;
  const std::size_t first = first_is_perfect_ ? 1 : 0;
  Site& site = *sites_[random_.between<std::size_t>(first, sites_.size() - 1)];
  inject(menu_[random_.below(menu_.size())], site);
}

void LinesWorld::inject(LineFault fault, Site& site) {
  trace_.note("world", kLineFaultNames[static_cast<std::size_t>(fault)], site.index);
  switch (fault) {
    case LineFault::line_dies:
    case LineFault::line_away:
      count(fault);
      break_line(site, fault == LineFault::line_dies ? 0 : random_.between(kMilli, 3 * kSecond));
      break;
    case LineFault::line_black_hole:
      for (const Link& link : links_) {
        if (link.site != site.index) continue;
        link.pipe->hold(Side::client, kForever);
        link.pipe->hold(Side::server, kForever);
      }
      count(fault);
      break;
    case LineFault::line_lags:
      count(fault);
      slow_line(site);
      break;
    case LineFault::line_hole:
    case LineFault::line_repeats:
      meddle(fault, site);
      break;
    case LineFault::diverges:
      count(fault);
      publish(random_.below(channels_.size()), site.index);
      break;
    case LineFault::all_die: {
      count(fault);
      const TimeNs away = random_.between(kMilli, 3 * kSecond);
      for (const auto& each : sites_) break_line(*each, away);
      break;
    }
    case LineFault::server_restarts:
      if (!site.server) break;
      count(fault);
      site.server.reset();
      site.restart->set(soon(10 * kMilli, 2 * kSecond));
      break;
    case LineFault::new_epoch:
      if (random_.percent(20)) new_epoch();
      break;
    case LineFault::replica_lags:
    case LineFault::replay_refused:
      // Drawn at the beginning; happens when somebody connects.
      break;
  }
}

void LinesWorld::break_line(Site& site, TimeNs away) {
  if (away != 0) site.away_until = scheduler_.now() + away;
  for (const Link& link : links_) {
    if (link.site != site.index || link.pipe->over()) continue;
    switch (random_.below(3)) {
      case 0:
        link.pipe->reset();
        break;
      case 1:
        link.pipe->cut_flight(random_.percent(50) ? Pipe::Break::end : Pipe::Break::reset);
        break;
      default:
        link.pipe->half_close(random_.percent(50) ? Side::client : Side::server);
        break;
    }
  }
}

void LinesWorld::slow_line(Site& site) {
  Pipe* const pipe = desk_->line(site.index).pipe();
  if (pipe == nullptr) return;
  Shape& shape = pipe->shape(Side::client);
  switch (random_.below(4)) {
    case 0:
      pipe->delay(Side::client, random_.between<TimeNs>(kMilli, kSecond));
      break;
    case 1:
      shape.jitter = random_.between<TimeNs>(1, 200) * kMilli;
      break;
    case 2:
      shape.coalesce = random_.between<TimeNs>(1, 200) * kMilli;
      break;
    default:
      pipe->hold(Side::client, soon(10 * kMilli, 2 * kSecond));
      break;
  }
}

/// A message is published and lost on this line, or comes twice.
void LinesWorld::meddle(LineFault fault, Site& site) {
  SimClient& line = desk_->line(site.index);
  Pipe* const pipe = line.pipe();
  if (pipe == nullptr || !pipe->middlebox() || !site.server) return;
  if (line.session().state() != ClientState::live) return;
  const std::size_t channel = random_.below(channels_.size());
  // Of a channel that nobody has seen no hole shows.
  if (desk_->judge().oracle().cursor(feed_.names()[channel]) == 0) return;
  const bool removes = fault == LineFault::line_hole;
  pipe->middlebox()->arm(removes ? Middlebox::Act::remove : Middlebox::Act::repeat,
                         feed_.names()[channel], counts_[static_cast<std::size_t>(fault)]);
  publish(channel);
  // So that only a head can tell, now and then.
  if (removes && random_.percent(50)) channels_[channel].quiet_until = soon(kSecond, 3 * kSecond);
}

void LinesWorld::new_epoch() {
  count(LineFault::new_epoch);
  const std::uint64_t next = feed_.epoch() + 1;
  trace_.note("world", "new epoch", next);
  feed_.begin_epoch(next);
  for (const auto& site : sites_) {
    site->server.reset();
    site->feed.begin_epoch(next);
    site->restart->set(soon(10 * kMilli, 2 * kSecond));
  }
}

// ---- Network

TimeNs LinesWorld::dial(const SimClient&) {
  return scheduler_.now() + random_.between<TimeNs>(kMicro, 2 * latency_max_);
}

std::shared_ptr<Pipe> LinesWorld::arrive(const SimClient& client, std::size_t index) {
  Site& site = *sites_[index];
  if (!site.server || !site.server->listening() || scheduler_.now() < site.away_until) {
    return nullptr;
  }
  const bool is_replay = client.name().ends_with(" replay");
  if (is_replay && on_menu(LineFault::replay_refused) && random_.percent(30)) {
    count(LineFault::replay_refused);
    return nullptr;
  }
  auto pipe = std::make_shared<Pipe>(scheduler_, random_.fork(), ++pipe_ids_, 64 << 10);
  for (const Side side : {Side::client, Side::server}) {
    pipe->shape(side).latency = random_.between<TimeNs>(kMicro, latency_max_);
  }
  const bool meddles = on_menu(LineFault::line_hole) || on_menu(LineFault::line_repeats);
  if (!is_replay && meddles) pipe->middlebox().emplace(client.config().codec);
  std::erase_if(links_,
                [](const Link& link) { return link.pipe->over() && link.pipe.use_count() == 1; });
  links_.push_back({pipe, index});
  site.server->accept(pipe);
  return pipe;
}

LinesOutcome run_lines_world(const LinesOptions& options) {
  return LinesWorld(options).run();
}

}  // namespace stratwire::sim
