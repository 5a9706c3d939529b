#include <optional>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include <stratwire/testing/audit.hpp>
#include <stratwire/testing/server.hpp>

#include "kept.hpp"

namespace stratwire::testing {
namespace {

/// Between two looks at the figures of a server, which nobody is told of.
constexpr std::chrono::microseconds kLookAgain{200};

}  // namespace

struct Server::State {
  ServerConfig config{};
  std::uint64_t epoch = 0;
  std::optional<stratwire::Server> server{};
  std::unique_ptr<Proxy> proxy{};
  PublishedLedger ledger{};
  std::vector<KeptMessage> kept{};  ///< Of this epoch.

  Result<void> start() {
    auto opened = stratwire::Server::open(config);
    if (!opened) return opened.error();
    server.emplace(std::move(*opened));
    epoch = server->stats().epoch;
    return {};
  }
  PublishStatus hand_over(std::string_view channel, const DataMessage& message) {
    if (!server) return PublishStatus::closed;
    for (;;) {
      const PublishStatus status =
          std::visit([&](const auto& body) { return server->publish(channel, body); }, message);
      if (status != PublishStatus::back_pressured) return status;
      std::this_thread::yield();
    }
  }
  PublishStatus publish(std::string_view channel, const DataMessage& message) {
    const PublishStatus status = hand_over(channel, message);
    if (status != PublishStatus::ok) return status;
    ledger.append(channel, epoch, content_of(message));
    kept.push_back(keep(channel, message, 0));
    return status;
  }
  bool wait_for(const std::function<bool(const ServerStats&)>& condition,
                std::chrono::nanoseconds patience) const {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!server || !condition(server->stats())) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(kLookAgain);
    }
    return true;
  }
};

ServerConfig Server::quick_config() {
  ServerConfig config;
  config.heartbeat_interval = std::chrono::milliseconds{50};
  return config;
}

Result<Server> Server::open(ServerConfig config) {
  if (config.threading == Threading::caller) {
    return Error{Errc::invalid_config, 0,
                 "ServerConfig::threading is caller; a testing::Server has threads of its own, as "
                 "the test waits for what it does"};
  }
  config.host = "127.0.0.1";
  config.port = 0;
  config.unix_path.clear();
  auto state = std::make_unique<State>();
  state->config = std::move(config);
  if (const auto started = state->start(); !started) return started.error();
  ProxyConfig proxy;
  proxy.target = state->server->local_addr();
  auto opened = Proxy::open(std::move(proxy));
  if (!opened.ok()) return Error{Errc::io_failed, 0, opened.error().text};
  state->proxy = *std::move(opened);
  return Server(std::move(state));
}

Server::Server(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
Server::Server(Server&&) noexcept = default;
Server& Server::operator=(Server&&) noexcept = default;
Server::~Server() {
  // Resets those who are there: no close handshake is waited for.
  if (state_) state_->proxy.reset();
}

std::string Server::url() const {
  return state_->proxy->url();
}
std::uint64_t Server::epoch() const noexcept {
  return state_->epoch;
}

PublishStatus Server::publish(std::string_view channel, const PriceUpdate& message) {
  return state_->publish(channel, message);
}
PublishStatus Server::publish(std::string_view channel, const AccountUpdate& message) {
  return state_->publish(channel, message);
}
PublishStatus Server::publish(std::string_view channel, const Event& message) {
  return state_->publish(channel, message);
}

bool Server::wait_for_subscribers(std::size_t count, std::chrono::nanoseconds patience) const {
  return wait_for([count](const ServerStats& stats) { return stats.subscribers >= count; },
                  patience);
}
bool Server::wait_for(const std::function<bool(const ServerStats&)>& condition,
                      std::chrono::nanoseconds patience) const {
  return state_->wait_for(condition, patience);
}

void Server::cut(FaultKind kind) {
  if (!state_->server) return;
  const std::uint64_t upgraded = state_->server->stats().upgraded;
  state_->proxy->apply({.kind = kind});
  if (kind != FaultKind::cut && kind != FaultKind::reset) return;
  if (!wait_for([upgraded](const ServerStats& stats) { return stats.disconnected >= upgraded; })) {
    fail("the server has not noticed that its connections were cut");
  }
}

void Server::stop() {
  state_->proxy->set_admission(Admission::away);
  state_->proxy->apply({.kind = FaultKind::reset});
  state_->server.reset();
}

Result<void> Server::restart(Epoch epoch) {
  if (state_->server) stop();
  if (epoch == Epoch::fresh) state_->kept.clear();
  state_->config.epoch = epoch == Epoch::same ? state_->epoch : state_->epoch + 1;
  if (auto started = state_->start(); !started) return started;
  for (const KeptMessage& kept : state_->kept) state_->hand_over(kept.channel, kept.message());
  const std::uint64_t known = state_->kept.size();
  if (!wait_for([known](const ServerStats& stats) { return stats.published >= known; })) {
    return Error{Errc::io_failed, 0, "the server does not take what was published before"};
  }
  state_->proxy->set_target(state_->server->local_addr());
  if (!state_->proxy->set_admission(Admission::open)) {
    return Error{Errc::io_failed, 0, "the port of " + url() + " is taken"};
  }
  return {};
}

Proxy& Server::proxy() noexcept {
  return *state_->proxy;
}
stratwire::Server* Server::server() noexcept {
  return state_->server ? &*state_->server : nullptr;
}
const PublishedLedger& Server::ledger() const noexcept {
  return state_->ledger;
}

}  // namespace stratwire::testing
