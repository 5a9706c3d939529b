#include "settings.hpp"

#include <algorithm>
#include <chrono>

namespace stratwire::sim {
namespace {

using std::chrono::milliseconds;

/// Those that the world injects; the others are what comes of them.
constexpr Fault kInjected[] = {
    Fault::cut_to_server,
    Fault::cut_to_client,
    Fault::cut_both,
    Fault::reset,
    Fault::half_close_to_server,
    Fault::half_close_to_client,
    Fault::hole_to_server,
    Fault::hole_to_client,
    Fault::outage,
    Fault::delay,
    Fault::jitter,
    Fault::split,
    Fault::coalesce,
    Fault::throttle,
    Fault::stall_short,
    Fault::stall_long,
    Fault::stall_beyond,
    Fault::slow_reader,
    Fault::connect_refused,
    Fault::connect_hangs,
    Fault::upgrade_cut,
    Fault::old_comes_late,
    Fault::late_events,
    Fault::restart_with_log,
    Fault::restart_new_epoch,
    Fault::drain_with_slot,
    Fault::drain_with_alternative,
    Fault::client_clock_forward,
    Fault::client_clock_back,
    Fault::server_clock_forward,
    Fault::server_clock_back,
    Fault::client_paused,
    Fault::server_paused,
    Fault::client_restarted,
    Fault::burst,
    Fault::last_frame_removed,
    Fault::frame_duplicated,
    Fault::churn_in_replay,
    Fault::replica_lags,
};

void draw_limits(ServerConfig& config, Random& random) {
  config.lane_bytes_max = random.pick({std::size_t{64} << 10, std::size_t{256} << 10});
  config.lane_messages_max = random.pick({std::size_t{16}, std::size_t{64}, std::size_t{1024}});
  config.lane_hard_bytes_max = config.lane_bytes_max * random.pick({1U, 2U, 4U});
  config.lane_hard_messages_max = config.lane_messages_max * random.pick({1U, 2U, 4U});
  config.stall_max = milliseconds(random.pick({1'000, 3'000, 10'000}));
  config.channel_log.messages_max = random.pick({4U, 16U, 64U, 4096U});
  config.channel_log.bytes_max = random.pick({std::size_t{4} << 10, std::size_t{1} << 20});
  config.channel_log.age_max = milliseconds(random.pick({2'000, 10'000, 120'000}));
  config.log_total_bytes_max = random.pick({std::size_t{64} << 10, std::size_t{16} << 20});
}

ServerConfig draw_server(Random& random, std::size_t sites) {
  ServerConfig config;
  config.io_threads = random.pick({1U, 1U, 2U});
  config.inbox_messages = 64;
  draw_limits(config, random);
  config.heartbeat_interval = milliseconds(random.pick({200, 500, 1'000}));
  config.ping_interval = milliseconds(random.pick({2'000, 5'000}));
  config.handshake_timeout = milliseconds(random.pick({500, 2'000}));
  if (random.percent(20)) {
    config.accepts_per_second = random.pick({1U, 3U});
    config.accepts_burst = random.pick({1U, 2U});
  }
  if (random.percent(10)) config.connections_max = random.pick({1U, 2U, 4U});
  config.drain.go_away_deadline = milliseconds(random.pick({0, 200, 2'000}));
  config.drain.reconnect_spread = milliseconds(random.pick({0, 1'000}));
  if (sites > 1 && random.percent(70)) {
    // Made when a site starts: every site names the others.
    config.drain.go_away_deadline = milliseconds(random.pick({500, 2'000}));
  }
  return config;
}

std::vector<std::string> draw_wishes(const Settings& settings, Resume resume, Random& random) {
  std::vector<std::string> wishes;
  for (const std::string kind : {"prices", "trades", "accounts"}) {
    // Who does not resume is promised nothing of what it has never seen.
    const bool wildcard = resume == Resume::automatic && random.percent(40);
    if (wildcard) wishes.push_back(kind + ":*");
    for (const std::string& channel : settings.channels) {
      // Some by name and by wildcard, both.
      const bool named = random.percent(wildcard ? 10 : 60);
      if (named && channel.starts_with(kind + ':')) wishes.push_back(channel);
    }
  }
  if (wishes.empty()) wishes.push_back(settings.channels.front());
  return wishes;
}

SimClientConfig draw_client(const Settings& settings, Random& random, std::size_t index) {
  SimClientConfig client;
  client.name = "client" + std::to_string(index);
  client.codec = random.pick({Codec::json, Codec::msgpack});
  for (std::size_t site = 0; site < settings.sites; ++site) client.sites.push_back(site);
  if (client.sites.size() > 1 && random.percent(50)) client.sites.resize(1);
  session::ClientSessionConfig& session = client.session;
  session.name = client.name;
  session.targets = client.sites.size();
  session.connect_timeout = milliseconds(random.pick({500, 2'000}));
  session.ping_interval = milliseconds(random.pick({1'000, 5'000}));
  session.clock_interval = milliseconds(random.pick({1'000, 10'000}));
  session.backoff.delay_max = milliseconds(random.pick({500, 2'000}));
  session.backoff.healthy_after = milliseconds(random.pick({1'000, 10'000}));
  session.nearness = random.percent(30) ? session::Nearness::same_host : session::Nearness::remote;
  session.requests.channels_max = random.pick({2U, 256U});
  session.requests.bytes_max = random.pick({std::size_t{200}, std::size_t{8} << 10});
  session.resume = random.percent(10) ? Resume::manual : Resume::automatic;
  session.seed = random.next();
  return client;
}

/// A client finds the end within two heartbeats and a grace; a server whose ends are held up finds
/// it within two pings, and only then makes room.
TimeNs draw_bound(const Settings& settings) {
  milliseconds bound = 2 * settings.server.ping_interval + 3 * settings.server.heartbeat_interval +
                       settings.server.stall_max + settings.server.handshake_timeout +
                       2 * limits::kCloseTimeout + milliseconds{10'000};
  // Those who are refused come one after the other.
  const auto turns = static_cast<int>(4 * settings.clients.size());
  if (settings.server.accepts_per_second < 10) {
    bound += turns * milliseconds{1'000} / static_cast<int>(settings.server.accepts_per_second);
  }
  if (settings.server.connections_max < 10) bound += turns * milliseconds{1'000};
  for (const SimClientConfig& client : settings.clients) {
    bound += std::chrono::duration_cast<milliseconds>(2 * client.session.connect_timeout);
  }
  return bound.count() * kMilli;
}

}  // namespace

Settings Settings::draw(Random random) {
  Settings settings;
  settings.sites = random.percent(40) ? 2 : 1;
  settings.server = draw_server(random, settings.sites);
  for (const std::string kind : {"prices", "trades", "accounts"}) {
    const std::size_t count = random.between<std::size_t>(1, 3);
    for (std::size_t i = 0; i < count; ++i) {
      settings.channels.push_back(kind + ':' + std::to_string(i));
    }
  }
  const std::size_t clients = random.between<std::size_t>(1, 3);
  // All must fit at the end.
  settings.server.connections_max =
      std::max<std::size_t>(settings.server.connections_max, clients + 1);
  for (std::size_t i = 0; i < clients; ++i) {
    settings.clients.push_back(draw_client(settings, random, i));
    settings.wishes.push_back(
        draw_wishes(settings, settings.clients.back().session.resume, random));
    settings.starts.push_back(random.percent(20) ? Start::latest : Start::live);
  }
  const unsigned share = random.pick({10U, 25U, 50U});
  for (const Fault fault : kInjected) {
    if (random.percent(share)) settings.menu.push_back(fault);
  }
  settings.chaos = random.between<TimeNs>(10, 40) * kSecond;
  settings.fault_every = random.pick({300 * kMilli, kSecond, 3 * kSecond});
  settings.live_within = draw_bound(settings);
  settings.quiet = 5 * settings.server.heartbeat_interval.count() * kMilli + kSecond;
  settings.latency_max = random.pick({100 * kMicro, kMilli, 40 * kMilli});
  settings.window_bytes_max = random.pick({std::size_t{4} << 10, std::size_t{256} << 10});
  return settings;
}

}  // namespace stratwire::sim
