#include <algorithm>
#include <future>
#include <mutex>
#include <optional>
#include <utility>

#include <stratwire/server.hpp>
#include <stratwire/session/channel_name.hpp>
#include <stratwire/telemetry/clock.hpp>

#include "core.hpp"
#include "io_thread.hpp"
#include "stats_page.hpp"

namespace stratwire {
namespace {

/// What a message takes of a lane, in halves, since paced publishers may fill half a lane only: a
/// byte of text becomes six in JSON at most (\u0001, or false for a byte of MessagePack), and
/// numbers, names, channel and header are below 512.
constexpr std::size_t kTextGrowthHalves = 3;
constexpr std::size_t kFrameOverheadHalves = 256;

/// Unix microseconds: rises from start to start, and a script's double holds it exactly.
std::uint64_t epoch_now() {
  return static_cast<std::uint64_t>(telemetry::wall_ns()) / 1'000;
}

Error from_transport(const transport::Error& error) {
  return {Errc::io_failed, 0, error.text};
}

std::size_t text_bytes(const PriceUpdate& m) {
  return m.input_mint.size() + m.output_mint.size();
}
std::size_t text_bytes(const AccountUpdate& m) {
  return m.pubkey.size();
}
std::size_t text_bytes(const Event& m) {
  return m.type.size() + m.data.bytes.size();
}

PublishStatus hand_over(server::Core& core, server::Publication& publication) {
  if (core.try_hand_on(publication)) return PublishStatus::ok;
  publication.published_ns = telemetry::wall_ns();
  return core.submit(publication);
}

template <class T>
PublishStatus submit(server::Core& core, server::Channel* channel, const T& message,
                     Pacing pacing) noexcept {
  if (server::check_publishable(message) != Errc::ok) {
    core.publish_refused.add();
    return PublishStatus::refused;
  }
  server::Publication publication(channel, message);
  if (pacing == Pacing::live) return hand_over(core, publication);

  // Claimed before looking, so that two publishers can't both take the last room.
  const std::uint32_t bytes =
      core.paced_bytes(kTextGrowthHalves * text_bytes(message) + kFrameOverheadHalves);
  publication.paced_bytes = bytes;
  // relaxed: the hub sees it through the inbox; pressure_bytes() of this thread sees its own write.
  core.paced_bytes_in_flight.fetch_add(bytes, std::memory_order_relaxed);
  const std::uint64_t pressure = core.pressure_bytes();
  PublishStatus status = PublishStatus::back_pressured;
  if (pressure <= core.config.lane_bytes_max / 2 || pressure == bytes) {
    status = hand_over(core, publication);
  } else {
    core.publish_back_pressured.add();
  }
  if (status != PublishStatus::ok) {
    // relaxed: as above.
    core.paced_bytes_in_flight.fetch_sub(bytes, std::memory_order_relaxed);
  }
  return status;
}

}  // namespace

std::string_view to_string(PublishStatus status) noexcept {
  switch (status) {
    case PublishStatus::ok:
      return "ok";
    case PublishStatus::back_pressured:
      return "back_pressured";
    case PublishStatus::refused:
      return "refused";
    case PublishStatus::closed:
      break;
  }
  return "closed";
}

// ---- Publisher

struct Publisher::State {
  std::shared_ptr<server::Core> core;
  server::Channel* channel = nullptr;
  Pacing pacing = Pacing::live;
  Error error{};

  PublishStatus refuse() noexcept {
    core->publish_refused.add();
    return PublishStatus::refused;
  }
  template <class T>
  PublishStatus publish(const T& message) noexcept {
    if (channel == nullptr) return refuse();
    return submit(*core, channel, message, pacing);
  }
};

PublishStatus Publisher::publish(const PriceUpdate& message) noexcept {
  return state_ ? state_->publish(message) : PublishStatus::closed;
}
PublishStatus Publisher::publish(const AccountUpdate& message) noexcept {
  return state_ ? state_->publish(message) : PublishStatus::closed;
}
PublishStatus Publisher::publish(const Event& message) noexcept {
  return state_ ? state_->publish(message) : PublishStatus::closed;
}
PublishStatus Publisher::refuse() noexcept {
  return state_ ? state_->refuse() : PublishStatus::closed;
}
const Error& Publisher::error() const noexcept {
  static const Error none{};
  return state_ ? state_->error : none;
}
std::string_view Publisher::channel() const noexcept {
  return !state_ || state_->channel == nullptr ? std::string_view{}
                                               : std::string_view(state_->channel->name());
}

// ---- Server

class Server::Impl {
 public:
  static Result<std::unique_ptr<Impl>> open(ServerConfig config) {
    if (const auto valid = config.validate(); !valid) return valid.error();
    auto impl = std::make_unique<Impl>();
    const std::uint64_t epoch = config.epoch != 0 ? config.epoch : epoch_now();
    impl->core_ = std::make_shared<server::Core>(std::move(config), epoch);
    server::Core& core = *impl->core_;
    for (std::size_t i = 0; i < core.config.io_threads; ++i) {
      auto poller = transport::Poller::open();
      if (!poller) return from_transport(poller.error());
      auto wakeup = transport::Wakeup::open();
      if (!wakeup) return from_transport(wakeup.error());
      core.threads.push_back(
          std::make_unique<server::IoThread>(core, i, std::move(*poller), std::move(*wakeup)));
    }
    auto tcp = transport::Listener::open(core.config.host, core.config.port);
    if (!tcp) return from_transport(tcp.error());
    impl->local_addr_ = tcp->local_address();
    impl->local_port_ = tcp->local_port();
    core.threads.front()->add_listener(std::move(*tcp));
    if (!core.config.unix_path.empty()) {
      auto unix_listener = transport::Listener::open_unix(core.config.unix_path);
      if (!unix_listener) return from_transport(unix_listener.error());
      core.threads.front()->add_listener(std::move(*unix_listener));
    }
    for (const auto& thread : core.threads) thread->start();
    return impl;
  }

  ~Impl() {
    if (core_) (void)drain(std::chrono::seconds(1));
  }

  Result<void> drain(std::chrono::milliseconds deadline) {
    // A second call waits for the first, and says the same.
    const std::lock_guard lock(drain_mutex_);
    if (!drained_) drained_ = drain_once(deadline);
    return *drained_;
  }

 private:
  Result<void> drain_once(std::chrono::milliseconds deadline) {
    using std::chrono::milliseconds;
    // release: pairs with the acquire in health_json(); a figure.
    core_->draining.store(true, std::memory_order_release);
    const auto begun = std::chrono::steady_clock::now();
    const milliseconds grace = std::min(core_->config.drain.go_away_deadline, deadline / 2);
    core_->begin_go_away(grace);
    bool empty = true;
    if (started() && grace > milliseconds{0}) {
      // Publishing goes on: those who have somewhere else to go change over without a hole.
      core_->threads.front()->post([core = core_.get()] { core->threads.front()->go_away(); });
      (void)wait_until_empty(grace);
    }
    // release: pairs with the acquire in Core::submit().
    core_->closed.store(true, std::memory_order_release);
    if (started()) {
      core_->threads.front()->post([core = core_.get()] { core->threads.front()->begin_drain(); });
      const auto passed =
          std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begun);
      empty = wait_until_empty(std::max(deadline - passed, milliseconds{0}));
    }
    // The first one hands work to the others: it ends first.
    for (const auto& thread : core_->threads) thread->stop();
    if (empty) return {};
    return Error{Errc::expired, 0,
                 "connections that did not close within " + std::to_string(deadline.count()) +
                     " ms were cut"};
  }

  /// Where the caller is the first I/O thread, its loop runs here.
  [[nodiscard]] bool wait_until_empty(std::chrono::milliseconds deadline) {
    if (core_->config.threading == Threading::own_thread) return core_->wait_until_empty(deadline);
    // What was posted comes even where nobody is connected.
    core_->threads.front()->poll(std::chrono::nanoseconds{0});
    return core_->threads.front()->poll_until(
        [this] {
          // relaxed: a figure; what each thread did with its connections is its own.
          return core_->connections.load(std::memory_order_relaxed) == 0;
        },
        deadline);
  }

  [[nodiscard]] bool started() const noexcept { return local_port_ != 0 || !local_addr_.empty(); }

  std::mutex drain_mutex_;
  std::optional<Result<void>> drained_{};

 public:
  std::shared_ptr<server::Core> core_;
  std::string local_addr_;
  std::uint16_t local_port_ = 0;
};

Server::Server(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Server::Server(Server&&) noexcept = default;
Server& Server::operator=(Server&&) noexcept = default;
Server::~Server() = default;

Result<Server> Server::open(ServerConfig config) {
  auto impl = Impl::open(std::move(config));
  if (!impl) return impl.error();
  return Server(std::move(*impl));
}

Publisher Server::publisher(std::string_view channel, Pacing pacing) {
  Publisher publisher;
  publisher.state_ = std::make_shared<Publisher::State>();
  Publisher::State& state = *publisher.state_;
  state.core = impl_->core_;
  state.pacing = pacing;
  const auto name = session::parse_channel_name(channel, session::Wildcards::refused);
  if (!name) {
    state.error = name.error();
    return publisher;
  }
  state.core->registry.add_kind(name->kind);
  const auto made = state.core->registry.find_or_make(channel);
  if (made) {
    state.channel = *made;
  } else {
    state.error = made.error();
  }
  return publisher;
}

PublishStatus Server::broadcast(const PriceUpdate& message) noexcept {
  return submit(*impl_->core_, nullptr, message, Pacing::live);
}
PublishStatus Server::broadcast(const AccountUpdate& message) noexcept {
  return submit(*impl_->core_, nullptr, message, Pacing::live);
}
PublishStatus Server::broadcast(const Event& message) noexcept {
  return submit(*impl_->core_, nullptr, message, Pacing::live);
}

ServerStats Server::stats() const {
  return server::gather_stats(*impl_->core_);
}

std::vector<ConnectionStats> Server::connections(std::size_t limit) const {
  // acquire: pairs with the release in drain_once(). Threads that ended answer nothing.
  if (impl_->core_->closed.load(std::memory_order_acquire)) return {};
  auto promise = std::make_shared<std::promise<std::vector<ConnectionStats>>>();
  auto future = promise->get_future();
  server::gather_connections(*impl_->core_, [promise](std::vector<ConnectionStats> all) {
    promise->set_value(std::move(all));
  });
  // A drain that begins meanwhile may end a thread before it answers.
  constexpr std::chrono::seconds kPatience{5};
  const auto answered = [&future] {
    return future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  };
  if (impl_->core_->config.threading == Threading::caller) {
    (void)impl_->core_->threads.front()->poll_until(answered, kPatience);
  } else {
    (void)future.wait_for(kPatience);
  }
  if (!answered()) return {};
  auto all = future.get();
  server::sort_by_lag(all, limit);
  return all;
}

std::string Server::local_addr() const {
  return impl_->local_addr_;
}
std::uint16_t Server::local_port() const noexcept {
  return impl_->local_port_;
}
std::size_t Server::poll(std::chrono::nanoseconds timeout) {
  server::Core& core = *impl_->core_;
  return core.config.threading == Threading::caller ? core.threads.front()->poll(timeout) : 0;
}
int Server::poll_fd() {
  server::Core& core = *impl_->core_;
  return core.config.threading == Threading::caller ? core.threads.front()->poll_fd() : -1;
}
Result<void> Server::drain(std::chrono::milliseconds deadline) {
  return impl_->drain(deadline);
}

}  // namespace stratwire
