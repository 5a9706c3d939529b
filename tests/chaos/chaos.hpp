/// What the chaos tests share: how much of it, a server behind a proxy, clients that come back
/// soon.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>

#include <gtest/gtest.h>

#include <stratwire/client_config.hpp>
#include <stratwire/server.hpp>
#include <stratwire/testing/proxy.hpp>

namespace stratwire::test {

using testing::Direction;
using testing::Fault;
using testing::FaultKind;
using testing::ProxyStats;

using namespace std::chrono_literals;

/// STRATWIRE_CHAOS=full (or `./dev chaos`): the sizes that are promised; else some seconds of it.
inline bool is_full() {
  const char* const size = std::getenv("STRATWIRE_CHAOS");
  return size != nullptr && std::string_view{size} == "full";
}
template <class T>
T sized(T ordinary, T full) {
  return is_full() ? full : ordinary;
}

inline std::string temporary_path(std::string_view name) {
  static int count = 0;
  return ::testing::TempDir() + "stratwire-" + std::to_string(::getpid()) + '-' +
         std::to_string(++count) + '-' + std::string{name};
}

/// Quick to notice and quick to come back, so that a thousand disconnects take minutes.
inline constexpr auto kHeartbeat = 50ms;

inline ServerConfig chaos_server_config() {
  ServerConfig config;
  config.port = 0;
  config.heartbeat_interval = kHeartbeat;
  return config;
}

inline ClientConfig chaos_client_config(std::string url, Codec codec = Codec::msgpack) {
  ClientConfig config;
  config.url = std::move(url);
  config.codec = codec;
  config.connect_timeout = 1s;
  config.reconnect.first_delay_max = 5ms;
  config.reconnect.delay_base = 2ms;
  config.reconnect.delay_max = 20ms;
  return config;
}

inline std::unique_ptr<testing::Proxy> open_proxy(testing::ProxyConfig config) {
  auto proxy = testing::Proxy::open(std::move(config));
  EXPECT_TRUE(proxy.ok()) << proxy.error().text;
  return proxy.ok() ? *std::move(proxy) : nullptr;
}

/// A server of this process behind a proxy.
struct Behind {
  explicit Behind(ServerConfig config = chaos_server_config(), testing::Plan plan = {})
      : server(Server::open(std::move(config)).value()),
        proxy(open_proxy({.target = server.local_addr(), .plan = std::move(plan)})) {}

  Server server;
  std::unique_ptr<testing::Proxy> proxy;
};

}  // namespace stratwire::test
