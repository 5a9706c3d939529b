#include "sim_server.hpp"

#include <algorithm>
#include <utility>

namespace stratwire::sim {
namespace {

using server::InterestChange;
using server::Now;
using transport::Interest;
using transport::IoResult;

/// Descriptors that no process has, so that what Socket tells the system of them does nothing.
constexpr int kFdBase = 0x4000'0000;
/// As in IoThread.
constexpr std::size_t kSurplusMax = 1024;
/// A record of a log that is kept whatever the budget says; and the largest that is published.
constexpr std::size_t kRecordBytesMax = 4096;

int fd_of(const Pipe& pipe) noexcept {
  return kFdBase + static_cast<int>(pipe.id());
}

/// The server's end of a pipe, as what lies between a Socket and its bytes.
class ServerEnd final : public transport::StreamLayer {
 public:
  explicit ServerEnd(std::shared_ptr<Pipe> pipe) : pipe_(std::move(pipe)) {}
  ~ServerEnd() override { pipe_->close(Side::server); }

  IoResult read_some(int, std::span<char> into) noexcept override {
    return pipe_->read(Side::server, into);
  }
  IoResult write_some(int, std::span<const char> from) noexcept override {
    return pipe_->write(Side::server, from);
  }
  void shutdown(int) noexcept override { pipe_->shutdown(Side::server); }

 private:
  std::shared_ptr<Pipe> pipe_;
};

}  // namespace

// ---- A lane: one I/O thread

SimServer::Lane::Lane(SimServer& server, Scheduler& scheduler, std::size_t index)
    : Actor(scheduler), shard(server.core_, index, *this), server_(server), index_(index) {
  if (index == 0) {
    hub = std::make_unique<server::Hub>(server.core_, shard);
    return;
  }
  link = std::make_unique<server::HubLink>(server.core_.figures[index], [this] { wake(); });
  server.lanes_.front()->hub->add_link(*link);
}

SimServer::Lane::~Lane() = default;

void SimServer::Lane::wake() {
  wake_at(now() + server_.random_.between<TimeNs>(1, 20) * kMicro);
}

void SimServer::Lane::on_event() {
  if (now() < server_.paused_until_) {
    wake_at(server_.paused_until_);
    return;
  }
  run_tasks();
  const Now at = server_.look_at_clocks();
  std::size_t handed_on = 0;
  if (hub) {
    accept_all();
    handed_on = hub->drain(server_.core_.turn.messages, at);
    hub->flush_links();
  } else {
    link->drain(shard, server_.core_.turn.bytes, at);
  }
  shard.turn(at);
  if (hub) {
    hub->settle_paced();
  } else {
    link->settle();
  }
  const bool ready = poll();
  sleep(ready || handed_on != 0);
}

void SimServer::Lane::sleep(bool worked) {
  const bool has_tasks = !tasks_.empty() || !accepted_.empty() || !backlog_.empty();
  const bool has_messages = hub ? hub->has_work() : !link->empty();
  if (worked || has_tasks || has_messages || shard.has_work()) {
    wake();
  } else if (shard.open_connections() != 0) {
    wake_at(std::max(shard.next_tick_ms() * kMilli, now() + kMicro));
  }
}

void SimServer::Lane::run_tasks() {
  std::deque<Task> tasks;
  tasks.swap(tasks_);
  for (Task& task : tasks) {
    hub->change_interest(*task.change, server_.look_at_clocks());
    if (!task.told) server_.lanes_[task.from]->link->forward(std::move(task.change));
  }
  std::vector<std::shared_ptr<Pipe>> accepted;
  accepted.swap(accepted_);
  for (auto& pipe : accepted) adopt(std::move(pipe));
}

void SimServer::Lane::accept_all() {
  std::vector<std::shared_ptr<Pipe>> backlog;
  backlog.swap(backlog_);
  server::Core& core = server_.core_;
  for (auto& pipe : backlog) {
    core.figures[0].counters.accepted.add();
    // relaxed, here and below: the simulation has one thread.
    if (core.connections.load(std::memory_order_relaxed) >= core.config.connections_max) {
      if (shard.surplus_connections() >= kSurplusMax) {
        pipe->close(Side::server);
        continue;
      }
      watches_.push_back({fd_of(*pipe), 0, Interest::none, pipe.get()});
      const int fd = fd_of(*pipe);
      shard.adopt_surplus(transport::Socket(fd, std::make_unique<ServerEnd>(std::move(pipe))),
                          server_.look_at_clocks());
      continue;
    }
    // relaxed: see above.
    core.connections.fetch_add(1, std::memory_order_relaxed);
    Lane& lane = *server_.lanes_[server_.next_lane_++ % server_.lanes_.size()];
    if (&lane == this) {
      adopt(std::move(pipe));
    } else {
      lane.accepted_.push_back(std::move(pipe));
      lane.wake();
    }
  }
}

void SimServer::Lane::adopt(std::shared_ptr<Pipe> pipe) {
  const int fd = fd_of(*pipe);
  pipe->attach(Side::server, this);
  watches_.push_back({fd, 0, Interest::none, pipe.get()});
  shard.adopt(transport::Socket(fd, std::make_unique<ServerEnd>(std::move(pipe))),
              server_.look_at_clocks());
}

/// Level-triggered, as epoll. \return whether something was ready
bool SimServer::Lane::poll() {
  ready_.clear();
  if (watches_.empty()) return false;
  const std::size_t first = server_.random_.below(watches_.size());
  for (std::size_t i = 0; i < watches_.size(); ++i) {
    const Watch& watch = watches_[(first + i) % watches_.size()];
    const auto wanted = static_cast<unsigned>(watch.interest);
    transport::Ready ready{watch.token};
    ready.readable = (wanted & 1U) != 0 && watch.pipe->readable(Side::server);
    ready.writable = (wanted & 2U) != 0 && watch.pipe->writable(Side::server);
    ready.broken = watch.pipe->broken(Side::server);
    if (ready.readable || ready.writable || ready.broken) ready_.push_back(ready);
  }
  for (const transport::Ready& ready : ready_) shard.on_ready(ready, server_.look_at_clocks());
  return !ready_.empty();
}

bool SimServer::Lane::watch(int fd, std::uint64_t token, Interest interest) {
  const auto found = std::ranges::find(watches_, fd, &Watch::fd);
  found->token = token;
  found->interest = interest;
  return true;
}

void SimServer::Lane::change_watch(int fd, std::uint64_t token, Interest interest) {
  const auto found = std::ranges::find(watches_, fd, &Watch::fd);
  found->token = token;
  found->interest = interest;
  wake();
}

void SimServer::Lane::unwatch(int fd) {
  std::erase_if(watches_, [fd](const Watch& watch) { return watch.fd == fd; });
}

void SimServer::Lane::ask_hub(std::unique_ptr<InterestChange> change) {
  if (hub) {
    hub->change_interest(*change, server_.look_at_clocks());
    shard.on_interest(std::move(change), server_.look_at_clocks());
    return;
  }
  server_.lanes_.front()->tasks_.push_back({std::move(change), index_, false});
  server_.lanes_.front()->wake();
}

void SimServer::Lane::tell_hub(std::unique_ptr<InterestChange> change) {
  if (hub) {
    hub->change_interest(*change, server_.look_at_clocks());
    return;
  }
  server_.lanes_.front()->tasks_.push_back({std::move(change), index_, true});
  server_.lanes_.front()->wake();
}

void SimServer::Lane::ask_connections(std::uint64_t token) {
  shard.on_connections(token, server_.connections(), server_.look_at_clocks());
}

// ---- The process

SimServer::SimServer(Scheduler& scheduler, Random random, std::string name, ServerConfig config,
                     std::uint64_t epoch)
    : scheduler_(scheduler),
      random_(random),
      name_(std::move(name)),
      core_(std::move(config), epoch) {
  for (std::size_t i = 0; i < core_.config.io_threads; ++i) {
    lanes_.push_back(std::make_unique<Lane>(*this, scheduler, i));
  }
}

SimServer::~SimServer() {
  for (const auto& lane : lanes_) {
    for (auto* const waiting : {&lane->backlog_, &lane->accepted_}) {
      for (const auto& pipe : *waiting) pipe->close(Side::server);
    }
    lane->shard.drop_all();
  }
}

Now SimServer::look_at_clocks(TimeNs at) const noexcept {
  return {at / kMilli, kUnixStartNs + (at - kStart) + wall_offset_};
}

Now SimServer::look_at_clocks() const noexcept {
  return look_at_clocks(scheduler_.now());
}

server::Channel* SimServer::channel_of(const std::string& name) {
  const auto parsed = session::parse_channel_name(name, session::Wildcards::refused);
  core_.registry.add_kind(parsed->kind);
  return *core_.registry.find_or_make(name);
}

PublishStatus SimServer::publish(const std::string& channel, const DataMessage& message) {
  const PublishStatus status = submit(channel, message);
  if (status != PublishStatus::ok) return status;
  ++published_;
  lanes_.front()->wake();
  return status;
}

PublishStatus SimServer::submit(const std::string& channel, const DataMessage& message) {
  server::Channel* const found = channel_of(channel);
  return std::visit(
      [&](const auto& body) {
        if (server::check_publishable(body) != Errc::ok) return PublishStatus::refused;
        server::Publication publication(found, body);
        publication.published_ns = look_at_clocks().wall_ns;
        return core_.submit(publication);
      },
      message);
}

bool SimServer::restore(const std::string& channel, const DataMessage& message, TimeNs at) {
  if (publish(channel, message) != PublishStatus::ok) return false;
  static_cast<void>(lanes_.front()->hub->drain(core_.turn.messages, look_at_clocks(at)));
  return true;
}

void SimServer::accept(std::shared_ptr<Pipe> pipe) {
  Lane& lane = *lanes_.front();
  pipe->attach(Side::server, &lane);
  lane.backlog_.push_back(std::move(pipe));
  lane.wake();
}

void SimServer::go_away(std::chrono::milliseconds grace) {
  // relaxed: the simulation has one thread.
  core_.draining.store(true, std::memory_order_relaxed);
  core_.begin_go_away(grace);
  listening_ = false;
  if (grace == std::chrono::milliseconds{0}) return;
  lanes_.front()->hub->go_away_behind_links();
  lanes_.front()->shard.go_away(look_at_clocks());
}

void SimServer::close_all() {
  listening_ = false;
  // relaxed: the simulation has one thread.
  core_.closed.store(true, std::memory_order_relaxed);
  Lane& first = *lanes_.front();
  while (first.hub->has_work()) {
    if (first.hub->drain(~std::size_t{0}, look_at_clocks()) == 0) {
      // A link is full: its lane takes it.
      for (const auto& lane : lanes_) {
        if (lane->link) lane->on_event();
      }
    }
    first.hub->flush_links();
    first.shard.write(look_at_clocks());
  }
  first.hub->close_all_behind_links();
  first.shard.close_all(look_at_clocks());
  first.wake();
}

bool SimServer::empty() const noexcept {
  // relaxed: the simulation has one thread.
  return core_.connections.load(std::memory_order_relaxed) == 0;
}

void SimServer::pause(TimeNs until) {
  paused_until_ = std::max(paused_until_, until);
}

// ---- How things are

std::vector<ConnectionStats> SimServer::connections() const {
  std::vector<ConnectionStats> all;
  for (const auto& lane : lanes_) {
    for (ConnectionStats& stats : lane->shard.connection_stats()) all.push_back(std::move(stats));
  }
  return all;
}

std::size_t SimServer::connections_of(const std::string& client) const {
  const auto all = connections();
  return static_cast<std::size_t>(std::ranges::count(all, client, &ConnectionStats::name));
}

std::string SimServer::broken_limit(std::span<const std::string> channels) const {
  const ServerConfig& config = core_.config;
  const std::size_t lane_max =
      config.lane_bytes_max + config.lane_hard_bytes_max + core_.turn.bytes + 4 * kRecordBytesMax;
  for (const ConnectionStats& stats : connections()) {
    if (stats.lag_bytes <= lane_max) continue;
    return "connection of " + stats.name + " has " + std::to_string(stats.lag_bytes) +
           " bytes waiting, more than " + std::to_string(lane_max);
  }
  for (const std::string& name : channels) {
    const server::Channel* const channel = core_.registry.find(name);
    if (channel == nullptr) continue;
    const session::MessageLog& log = channel->log;
    if (log.size() > config.channel_log.messages_max ||
        log.bytes() > config.channel_log.bytes_max) {
      return "the log of " + name + " has " + std::to_string(log.size()) + " messages of " +
             std::to_string(log.bytes()) + " bytes";
    }
  }
  const std::size_t logs_max = config.log_total_bytes_max + core_.registry.size() * kRecordBytesMax;
  if (core_.log_budget.bytes() > logs_max) {
    return "the logs have " + std::to_string(core_.log_budget.bytes()) + " bytes, more than " +
           std::to_string(logs_max);
  }
  return {};
}

}  // namespace stratwire::sim
