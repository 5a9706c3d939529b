#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/server.hpp>

namespace stratwire {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr std::size_t kGiB = std::size_t{1} << 30;

struct Setting {
  std::string name{};
  std::function<void(ServerConfig&)> make_least{};
  std::function<void(ServerConfig&)> make_most{};
  std::function<void(ServerConfig&)> make_too_small{};
  std::function<void(ServerConfig&)> make_too_large{};
};

template <class T>
Setting setting(std::string name, T ServerConfig::*member, T least, T most, T step) {
  const auto set = [member](T value) {
    return [member, value](ServerConfig& config) { config.*member = value; };
  };
  return {std::move(name), set(least), set(most), set(static_cast<T>(least - step)),
          set(static_cast<T>(most + step))};
}

template <class T, class Group>
Setting inner(std::string name, Group ServerConfig::*group, T Group::*member, T least, T most,
              T step) {
  const auto set = [group, member](T value) {
    return [group, member, value](ServerConfig& config) { (config.*group).*member = value; };
  };
  return {std::move(name), set(least), set(most), set(static_cast<T>(least - step)),
          set(static_cast<T>(most + step))};
}

int cores() {
  return static_cast<int>(::sysconf(_SC_NPROCESSORS_CONF));
}

std::vector<Setting> settings() {
  using C = ServerConfig;
  constexpr milliseconds kMs{1};
  return {
      setting<std::size_t>("io_threads", &C::io_threads, 1, 8, 1),
      setting<std::size_t>("inbox_messages", &C::inbox_messages, 64, 32'768, 1),
      setting<std::size_t>("lane_bytes_max", &C::lane_bytes_max, 64 * 1024, kGiB, 1),
      setting<std::size_t>("lane_messages_max", &C::lane_messages_max, 16, kGiB, 1),
      setting<std::size_t>("lane_hard_bytes_max", &C::lane_hard_bytes_max, C{}.lane_bytes_max,
                           4 * kGiB, 1),
      setting<std::size_t>("lane_hard_messages_max", &C::lane_hard_messages_max,
                           C{}.lane_messages_max, 4 * kGiB, 1),
      inner<std::size_t>("channel_log.messages_max", &C::channel_log,
                         &ChannelLogConfig::messages_max, 0, 1'048'576, 1),
      inner<std::size_t>("channel_log.bytes_max", &C::channel_log, &ChannelLogConfig::bytes_max,
                         4096, kGiB, 1),
      inner<milliseconds>("channel_log.age_max", &C::channel_log, &ChannelLogConfig::age_max,
                          milliseconds(1'000), hours(24), kMs),
      inner<milliseconds>("drain.go_away_deadline", &C::drain, &DrainConfig::go_away_deadline,
                          milliseconds(0), hours(1), kMs),
      inner<milliseconds>("drain.reconnect_spread", &C::drain, &DrainConfig::reconnect_spread,
                          milliseconds(0), hours(1), kMs),
      setting<milliseconds>("stall_max", &C::stall_max, milliseconds(10), hours(1), kMs),
      setting<std::size_t>("accepts_per_second", &C::accepts_per_second, 1, 1'000'000, 1),
      setting<std::size_t>("accepts_burst", &C::accepts_burst, 1, 1'000'000, 1),
      setting<std::size_t>("log_total_bytes_max", &C::log_total_bytes_max, 64 * 1024, 1024 * kGiB,
                           1),
      setting<std::size_t>("connections_max", &C::connections_max, 1, 1'000'000, 1),
      setting<std::size_t>("channels_max", &C::channels_max, 1, 16'777'216, 1),
      setting<std::uint64_t>("epoch", &C::epoch, 0, std::uint64_t{1} << 53, 1),
      setting<std::size_t>("channels_per_connection_max", &C::channels_per_connection_max, 1,
                           65'536, 1),
      setting<std::size_t>("inbound_message_bytes_max", &C::inbound_message_bytes_max, 128,
                           16 << 20, 1),
      setting<int>("io_cpu", &C::io_cpu, -1, cores() - 1, 1),
      setting<milliseconds>("handshake_timeout", &C::handshake_timeout, kMs, hours(1), kMs),
      setting<milliseconds>("heartbeat_interval", &C::heartbeat_interval, milliseconds(50),
                            hours(1), kMs),
      setting<milliseconds>("ping_interval", &C::ping_interval, milliseconds(0), hours(24), kMs),
  };
}

TEST(ServerConfig, DefaultsAreValid) {
  EXPECT_TRUE(ServerConfig{}.validate());
}

TEST(ServerConfig, EndsOfEachRangeAreValid) {
  for (const Setting& setting : settings()) {
    ServerConfig config;
    setting.make_least(config);
    EXPECT_TRUE(config.validate()) << setting.name;
    setting.make_most(config);
    EXPECT_TRUE(config.validate()) << setting.name;
  }
}

TEST(ServerConfig, OutsideIsRefusedByNameValueAndRange) {
  for (const Setting& setting : settings()) {
    for (const auto& make_wrong : {setting.make_too_small, setting.make_too_large}) {
      ServerConfig config;
      config.port = 0;
      make_wrong(config);
      const auto valid = config.validate();
      ASSERT_FALSE(valid) << setting.name;
      EXPECT_EQ(valid.error().code, Errc::invalid_config);
      EXPECT_NE(valid.error().context.find("ServerConfig::" + setting.name + " is "),
                std::string::npos)
          << valid.error().context;
      EXPECT_NE(valid.error().context.find("it must be "), std::string::npos)
          << valid.error().context;
      // The server does not open with it.
      const auto server = Server::open(config);
      EXPECT_EQ(server.error().code, Errc::invalid_config) << setting.name;
    }
  }
}

TEST(ServerConfig, NamesTheValueThatIsWrong) {
  ServerConfig config;
  config.io_threads = 99;
  EXPECT_EQ(config.validate().error().context, "ServerConfig::io_threads is 99; it must be 1..8");
  config = {};
  config.handshake_timeout = milliseconds(-5);
  EXPECT_EQ(config.validate().error().context,
            "ServerConfig::handshake_timeout is -5 ms; it must be 1..3600000 ms");
}

TEST(ServerConfig, EveryIoThreadNeedsACore) {
  ServerConfig config;
  config.io_cpu = cores() - 1;
  config.io_threads = 2;
  const auto valid = config.validate();
  ASSERT_FALSE(valid);
  EXPECT_NE(valid.error().context.find("2 I/O threads below the " + std::to_string(cores())),
            std::string::npos)
      << valid.error().context;
}

TEST(ServerConfig, KindsAreNamesWithoutColon) {
  for (const char* const kind : {"", "a:b", "with space", "quote\"", "*", "back\\slash", "\x01"}) {
    ServerConfig config;
    config.kinds.emplace_back(kind);
    const auto valid = config.validate();
    ASSERT_FALSE(valid) << kind;
    EXPECT_EQ(valid.error().code, Errc::invalid_config);
    EXPECT_NE(valid.error().context.find("ServerConfig::kinds"), std::string::npos);
  }
  ServerConfig config;
  config.kinds = {"weather"};
  EXPECT_TRUE(config.validate());
  config.kinds.clear();
  EXPECT_TRUE(config.validate());
}

TEST(ServerConfig, PoliciesAreByKind) {
  ServerConfig config;
  config.policies["a:b"] = {};
  EXPECT_NE(config.validate().error().context.find("ServerConfig::policies"), std::string::npos);
  const auto policies = ServerConfig::default_policies();
  EXPECT_EQ(policies.at("prices").overflow, Overflow::conflate);
  for (const char* const kind : {"accounts", "agent", "vault"}) {
    EXPECT_EQ(policies.at(kind).overflow, Overflow::lossless);
  }
  EXPECT_EQ(policies.size(), 4U);
}

TEST(ServerConfig, AlternativesAreBounded) {
  ServerConfig config;
  config.drain.alternatives.assign(limits::kAlternativesMax, "ws://10.0.0.2:8080");
  EXPECT_TRUE(config.validate());
  config.drain.alternatives.emplace_back("ws://10.0.0.3:8080");
  EXPECT_NE(config.validate().error().context.find("drain.alternatives"), std::string::npos);
  config.drain.alternatives = {"ws://10.0.0.2:8080", "10.0.0.3"};
  EXPECT_NE(config.validate().error().context.find("'10.0.0.3'"), std::string::npos);
}

TEST(ServerConfig, DefaultKindsAreThoseOfTheDocuments) {
  const auto kinds = ServerConfig::default_kinds();
  for (const char* const kind :
       {"prices", "accounts", "trades", "events", "token", "agent", "vault", "global", "kings",
        "activities", "graduations", "olympics", "staking", "vaults", "tokens", "alerts"}) {
    EXPECT_NE(std::find(kinds.begin(), kinds.end(), kind), kinds.end()) << kind;
  }
}

}  // namespace
}  // namespace stratwire
