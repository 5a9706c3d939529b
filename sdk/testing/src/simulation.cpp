#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <stratwire/session/channel_name.hpp>
#include <stratwire/testing/simulation.hpp>

#include "../../client/src/settings.hpp"
#include "kept.hpp"
#include "pipe.hpp"
#include "random.hpp"
#include "scheduler.hpp"
#include "sim_client.hpp"
#include "sim_server.hpp"
#include "stats_page.hpp"
#include "trace.hpp"

namespace stratwire::testing {
namespace {

using sim::Pipe;
using sim::Side;
using sim::TimeNs;

constexpr std::size_t kWindowBytes = 256 * 1024;
/// As a server that was started at that time would have it.
constexpr std::uint64_t kFirstEpoch = sim::kUnixStartNs / 1'000;

Result<void> check_names(std::span<const std::string> channels) {
  for (const std::string& channel : channels) {
    const auto name = session::parse_channel_name(channel, session::Wildcards::allowed);
    if (!name) return name.error();
  }
  return {};
}

std::vector<std::string> copy(std::initializer_list<std::string_view> channels) {
  return {channels.begin(), channels.end()};
}

}  // namespace

/// Everything behind the public class. What the strategy asks for while it is called happens as
/// soon as its call has returned: the client is in the middle of a message then.
class Simulation::World final : public sim::Network, public sim::Receiver {
 public:
  World(Strategy strategy, SimulationConfig config, std::vector<transport::Url> urls)
      : strategy_(std::move(strategy)), config_(std::move(config)), random_(config_.seed) {
    config_.server.epoch = config_.server.epoch == 0 ? kFirstEpoch : config_.server.epoch;
    make_server();
    sim::SimClientConfig client;
    client.name = config_.client.name;
    client.codec = config_.client.codec;
    client.sites.assign(urls.size(), 0);
    client.session = client::session_config(config_.client, urls, random_.next());
    client_ = std::make_unique<sim::SimClient>(scheduler_, trace_, random_.fork(),
                                               std::move(client), *this, *this);
    client_->start();
  }
  ~World() override {
    client_.reset();
    server_.reset();
  }

  // ---- What the strategy may call, too

  void act(std::function<void()> action) {
    if (!in_strategy_) return action();
    asked_.push_back(std::move(action));
    do_asked_.set(scheduler_.now());
  }

  Result<void> subscribe(std::vector<std::string> channels, std::vector<ResumePoint> since,
                         Start start) {
    if (const auto checked = check_names(channels); !checked) return checked.error();
    for (const ResumePoint& point : since) audit_.begins_after(point.channel, point.seq);
    if (start == Start::latest) {
      for (const std::string& channel : channels) {
        const auto has_point = [&](const ResumePoint& point) { return point.channel == channel; };
        if (!session::is_wildcard(channel) && std::ranges::none_of(since, has_point))
          audit_.begins_anywhere(channel);
      }
    }
    act([this, channels = std::move(channels), since = std::move(since), start] {
      client_->subscribe(channels, start, since);
    });
    return {};
  }
  Result<void> unsubscribe(std::vector<std::string> channels) {
    if (const auto checked = check_names(channels); !checked) return checked.error();
    act([this, channels = std::move(channels)] { client_->unsubscribe(channels); });
    return {};
  }

  PublishStatus publish(std::string_view channel, const DataMessage& message) {
    if (!server_) return PublishStatus::closed;
    if (!session::parse_channel_name(channel, session::Wildcards::refused)) {
      return PublishStatus::refused;
    }
    const PublishStatus status = server_->publish(std::string(channel), message);
    if (status != PublishStatus::ok) return status;
    ledger_.append(channel, server_->epoch(), content_of(message));
    kept_.push_back(keep(channel, message, scheduler_.now()));
    return status;
  }

  void make_server() {
    ServerConfig config = config_.server;
    server_ = std::make_unique<sim::SimServer>(scheduler_, random_.fork(), "server",
                                               std::move(config), config_.server.epoch);
  }
  Result<void> start_server(Epoch epoch) {
    if (running_)
      return Error{Errc::invalid_config, 0, "the server is running: stop_server() first"};
    running_ = true;
    if (!in_strategy_) return start_now(epoch);
    act([this, epoch] {
      if (const auto started = start_now(epoch); !started.ok()) fail(started.error().message());
    });
    return {};
  }
  Result<void> start_now(Epoch epoch) {
    if (epoch == Epoch::fresh) {
      ++config_.server.epoch;
      kept_.clear();
    }
    make_server();
    for (const KeptMessage& kept : kept_) {
      if (!server_->restore(kept.channel, kept.message(), kept.at)) {
        return Error{Errc::invalid_config, 0, "the server does not take what was published before"};
      }
    }
    return {};
  }
  void stop_server() {
    running_ = false;
    act([this] { server_.reset(); });
  }

  // ---- Time

  void advance_to(TimeNs until) {
    while (scheduler_.step(until)) {
    }
  }
  bool advance_until(const std::function<bool()>& condition, TimeNs until) {
    while (!condition()) {
      if (!scheduler_.step(until)) return condition();
    }
    return true;
  }
  [[nodiscard]] TimeNs now() const noexcept { return scheduler_.now(); }

  // ---- The line

  template <class Do>
  void each_pipe(Do&& act_on) {
    std::erase_if(pipes_, [](const auto& pipe) { return pipe->over(); });
    for (const auto& pipe : pipes_) {
      if (!pipe->closed(Side::client)) act_on(*pipe);
    }
  }
  void shape(Pipe& pipe) const {
    for (const Side side : {Side::client, Side::server}) {
      sim::Shape& shape = pipe.shape(side);
      shape.latency = config_.line.latency.count();
      shape.jitter = config_.line.jitter.count();
      shape.bytes_per_s = config_.line.bytes_per_second;
      shape.segment_bytes_max = config_.line.segment_bytes_max;
    }
  }
  void set_line(const LineShape& line) {
    config_.line = line;
    each_pipe([this](Pipe& pipe) { shape(pipe); });
  }
  void hold(TimeNs until) {
    each_pipe([until](Pipe& pipe) {
      pipe.hold(Side::client, until);
      pipe.hold(Side::server, until);
    });
  }
  void outage(TimeNs until) {
    outage_until_ = std::max(outage_until_, until);
    hold(until);
  }

  // ---- Network

  [[nodiscard]] TimeNs dial(const sim::SimClient&) override {
    return std::max(scheduler_.now(), outage_until_) + 2 * config_.line.latency.count();
  }
  [[nodiscard]] std::shared_ptr<Pipe> arrive(const sim::SimClient&, std::size_t) override {
    if (!server_) return nullptr;
    auto pipe = std::make_shared<Pipe>(scheduler_, random_.fork(), ++pipe_ids_, kWindowBytes);
    shape(*pipe);
    // The answer may have been on its way when an outage began.
    if (scheduler_.now() < outage_until_) {
      pipe->hold(Side::client, outage_until_);
      pipe->hold(Side::server, outage_until_);
    }
    std::erase_if(pipes_, [](const auto& old) { return old->over(); });
    pipes_.push_back(pipe);
    server_->accept(pipe);
    return pipe;
  }
  [[nodiscard]] std::optional<std::size_t> site_of(std::string_view) const override { return {}; }
  void opened(const sim::SimClient&, std::size_t) override {}
  [[nodiscard]] Afterlife dropped(const sim::SimClient&, Pipe&) override { return Afterlife::none; }

  // ---- Receiver

  void message(const sim::Arrived& arrived) override {
    Delivery delivery;
    delivery.envelope = arrived.envelope;
    delivery.epoch = arrived.epoch;
    delivery.received_at = arrived.wall_ns;
    std::visit([&delivery](const auto& body) { delivery.body = body; }, arrived.body);
    ++messages_;
    hand(delivery);
  }
  void gap(std::string_view channel, const Gap& gap) override {
    Delivery delivery;
    delivery.envelope.channel = channel;
    delivery.epoch = gap.epoch;
    delivery.received_at = unix_ns();
    delivery.body = gap;
    hand(delivery);
  }
  void notice(const Notice& notice, std::uint64_t) override {
    Delivery delivery;
    delivery.received_at = unix_ns();
    delivery.body = &notice;
    hand(delivery);
  }

  // ---- How things are

  [[nodiscard]] std::int64_t unix_ns() const noexcept {
    return sim::kUnixStartNs + (scheduler_.now() - sim::kStart);
  }
  [[nodiscard]] ClientMetrics metrics() const noexcept {
    const session::ClientSessionCounts& counts = client_->session().counts();
    ClientMetrics metrics;
    metrics.messages = messages_;
    metrics.gaps = counts.gaps;
    metrics.missed = counts.missed;
    metrics.duplicates = counts.duplicates;
    metrics.unknown_messages = counts.unknown_messages;
    metrics.connects = counts.connects;
    metrics.connect_failures = counts.connect_failures;
    metrics.stales = counts.stales;
    metrics.handovers = counts.handovers;
    return metrics;
  }
  [[nodiscard]] ServerStats server_stats() const {
    return server_ ? server::gather_stats(server_->core()) : ServerStats{};
  }

  [[nodiscard]] bool in_strategy() const noexcept { return in_strategy_; }
  sim::SimServer* server() noexcept { return server_.get(); }
  sim::SimClient& client() noexcept { return *client_; }
  [[nodiscard]] const sim::SimClient& client() const noexcept { return *client_; }
  [[nodiscard]] std::uint64_t epoch() const noexcept { return config_.server.epoch; }
  [[nodiscard]] const Audit& audit() const noexcept { return audit_; }
  [[nodiscard]] const PublishedLedger& ledger() const noexcept { return ledger_; }

 private:
  void hand(const Delivery& delivery) {
    audit_.take(delivery);
    if (!strategy_) return;
    struct Inside {
      bool& flag;
      ~Inside() { flag = false; }
    } const inside{in_strategy_ = true};
    strategy_(delivery);
  }
  void do_what_was_asked() {
    std::vector<std::function<void()>> asked;
    asked.swap(asked_);
    for (const auto& action : asked) action();
  }

  Strategy strategy_;
  SimulationConfig config_;
  sim::Random random_;
  sim::Trace trace_{sim::Trace::Lines::none};
  sim::Scheduler scheduler_{trace_};
  sim::Timer do_asked_{scheduler_, [this] { do_what_was_asked(); }};
  std::unique_ptr<sim::SimServer> server_{};
  std::unique_ptr<sim::SimClient> client_{};
  std::vector<std::shared_ptr<Pipe>> pipes_{};
  std::uint64_t pipe_ids_ = 0;
  TimeNs outage_until_ = 0;
  bool running_ = true;  ///< The server, when all that was asked for has happened.
  bool in_strategy_ = false;
  std::vector<std::function<void()>> asked_{};
  Audit audit_{};
  PublishedLedger ledger_{};
  std::vector<KeptMessage> kept_{};  ///< Of this epoch.
  std::uint64_t messages_ = 0;
};

// ---- Simulation

Result<Simulation> Simulation::open(Strategy strategy, SimulationConfig config) {
  if (config.client.url.empty() && config.client.urls.empty()) {
    config.client.url = "ws://simulation/";
  }
  if (const auto valid = config.server.validate(); !valid) return valid.error();
  if (const auto valid = client::validate(config.client); !valid) return valid.error();
  auto urls = client::parse_urls(config.client);
  if (!urls) return urls.error();
  return Simulation(std::make_unique<World>(std::move(strategy), std::move(config), *urls));
}

Simulation::Simulation(std::unique_ptr<World> world) noexcept : world_(std::move(world)) {}
Simulation::Simulation(Simulation&&) noexcept = default;
Simulation& Simulation::operator=(Simulation&&) noexcept = default;
Simulation::~Simulation() = default;

Result<void> Simulation::subscribe(std::initializer_list<std::string_view> channels, Start start) {
  return world_->subscribe(copy(channels), {}, start);
}
Result<void> Simulation::subscribe(std::span<const std::string> channels, Start start) {
  return world_->subscribe({channels.begin(), channels.end()}, {}, start);
}
Result<void> Simulation::subscribe(std::span<const std::string> channels,
                                   std::span<const ResumePoint> since, Start start) {
  return world_->subscribe({channels.begin(), channels.end()}, {since.begin(), since.end()}, start);
}
Result<void> Simulation::unsubscribe(std::initializer_list<std::string_view> channels) {
  return world_->unsubscribe(copy(channels));
}
ClientState Simulation::state() const noexcept {
  return world_->client().session().state();
}
ClientMetrics Simulation::metrics() const noexcept {
  return world_->metrics();
}

PublishStatus Simulation::publish(std::string_view channel, const PriceUpdate& message) {
  return world_->publish(channel, message);
}
PublishStatus Simulation::publish(std::string_view channel, const AccountUpdate& message) {
  return world_->publish(channel, message);
}
PublishStatus Simulation::publish(std::string_view channel, const Event& message) {
  return world_->publish(channel, message);
}
std::uint64_t Simulation::epoch() const noexcept {
  return world_->epoch();
}
ServerStats Simulation::server_stats() const {
  return world_->server_stats();
}

std::chrono::nanoseconds Simulation::now() const noexcept {
  return std::chrono::nanoseconds{world_->now() - sim::kStart};
}
std::int64_t Simulation::unix_ns() const noexcept {
  return world_->unix_ns();
}
void Simulation::advance(std::chrono::nanoseconds time) {
  if (world_->in_strategy()) return fail("advance() was called by the strategy");
  world_->advance_to(world_->now() + time.count());
}
bool Simulation::advance_until(const std::function<bool()>& condition,
                               std::chrono::nanoseconds patience) {
  if (!world_->in_strategy()) {
    return world_->advance_until(condition, world_->now() + patience.count());
  }
  fail("advance_until() was called by the strategy");
  return false;
}

void Simulation::cut() {
  world_->act([world = world_.get()] {
    world->each_pipe([](Pipe& pipe) { pipe.cut_flight(Pipe::Break::end); });
  });
}
void Simulation::reset() {
  world_->act([world = world_.get()] { world->each_pipe([](Pipe& pipe) { pipe.reset(); }); });
}
void Simulation::half_close() {
  world_->act([world = world_.get()] {
    world->each_pipe([](Pipe& pipe) { pipe.half_close(Side::client); });
  });
}
void Simulation::black_hole() {
  world_->act([world = world_.get()] { world->hold(sim::kForever); });
}
void Simulation::outage(std::chrono::nanoseconds time) {
  world_->act([world = world_.get(), time] { world->outage(world->now() + time.count()); });
}
void Simulation::set_line(const LineShape& shape) {
  world_->act([world = world_.get(), shape] { world->set_line(shape); });
}
void Simulation::stall_strategy(std::chrono::nanoseconds time) {
  world_->client().stall(world_->now() + time.count());
}
void Simulation::stop_server() {
  world_->stop_server();
}
Result<void> Simulation::start_server(Epoch epoch) {
  return world_->start_server(epoch);
}
void Simulation::pause_server(std::chrono::nanoseconds time) {
  if (world_->server() != nullptr) world_->server()->pause(world_->now() + time.count());
}

std::string Simulation::verdict() const {
  return world_->audit().verdict(world_->ledger());
}
const Audit& Simulation::audit() const noexcept {
  return world_->audit();
}
const PublishedLedger& Simulation::ledger() const noexcept {
  return world_->ledger();
}

}  // namespace stratwire::testing
