#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include <stratwire/client.hpp>
#include <stratwire/client_config.hpp>

namespace stratwire {
namespace {

using namespace std::chrono_literals;

Error refused(const ClientConfig& config) {
  auto client = Client::open(config);
  EXPECT_FALSE(client.ok());
  return client.error();
}
ClientConfig good() {
  ClientConfig config;
  config.url = "ws://127.0.0.1:9";
  config.threading = Threading::caller;
  return config;
}

TEST(ClientConfig, TheDefaultsAreTaken) {
  EXPECT_TRUE(Client::open(good()).ok());
  ClientConfig threaded = good();
  threaded.threading = Threading::own_thread;
  EXPECT_TRUE(Client::open(threaded).ok());
}

TEST(ClientConfig, ABadUrlIsNamedWithTheCure) {
  struct Case {
    const char* url;
    Errc code;
  };
  for (const Case& each :
       {Case{"localhost:80", Errc::invalid_url}, Case{"", Errc::invalid_url},
        Case{"ws://host:99999", Errc::invalid_url}, Case{"wss://host", Errc::unsupported_scheme}}) {
    ClientConfig config = good();
    config.url = each.url;
    const Error error = refused(config);
    EXPECT_EQ(error.code, each.code) << each.url << ": " << error.message();
    EXPECT_NE(error.context.find(each.url), std::string::npos) << error.message();
  }
}

TEST(ClientConfig, EverySettingOutOfItsRangeIsNamed) {
  struct Case {
    const char* setting;
    void (*spoil)(ClientConfig&);
  };
  const Case cases[] = {
      {"name", [](ClientConfig& c) { c.name = std::string(65, 'x'); }},
      {"message_bytes_max", [](ClientConfig& c) { c.message_bytes_max = 1023; }},
      {"message_bytes_max", [](ClientConfig& c) { c.message_bytes_max = (256u << 20) + 1; }},
      {"ring_bytes",
       [](ClientConfig& c) {
         c.threading = Threading::own_thread;
         c.ring_bytes = 1 << 20;
       }},
      {"io_cpu", [](ClientConfig& c) { c.io_cpu = -2; }},
      {"io_cpu",
       [](ClientConfig& c) {
         c.threading = Threading::own_thread;
         c.io_cpu = 1000;
       }},
      {"connect_timeout", [](ClientConfig& c) { c.connect_timeout = 0ms; }},
      {"ping_interval", [](ClientConfig& c) { c.ping_interval = 25h; }},
      {"reconnect.first_delay_max", [](ClientConfig& c) { c.reconnect.first_delay_max = -1ms; }},
      {"reconnect.delay_base", [](ClientConfig& c) { c.reconnect.delay_base = 0ms; }},
      {"reconnect.delay_max", [](ClientConfig& c) { c.reconnect.delay_max = 25h; }},
      {"reconnect.healthy_after", [](ClientConfig& c) { c.reconnect.healthy_after = -1ms; }},
      {"send_buffer.bytes_max",
       [](ClientConfig& c) { c.send_buffer.bytes_max = std::size_t{2} << 30; }},
      {"send_buffer.age_max", [](ClientConfig& c) { c.send_buffer.age_max = -1ms; }},
  };
  for (const Case& each : cases) {
    ClientConfig config = good();
    each.spoil(config);
    const Error error = refused(config);
    EXPECT_EQ(error.code, Errc::invalid_config);
    EXPECT_NE(error.context.find(each.setting), std::string::npos)
        << each.setting << " / " << error.context;
  }
}

class Environment : public ::testing::Test {
 protected:
  void SetUp() override { clear(); }
  void TearDown() override { clear(); }
  static void clear() {
    for (const char* name : {"WS_RECONNECT_INTERVAL", "WS_MAX_RECONNECT_ATTEMPTS",
                             "WS_PING_INTERVAL", "WS_MESSAGE_BUFFER_SIZE"}) {
      unsetenv(name);
    }
  }
};

TEST_F(Environment, UnsetLeavesTheDefaults) {
  const ClientConfig config = ClientConfig::from_environment("ws://h").value();
  EXPECT_EQ(config.url, "ws://h");
  EXPECT_EQ(config.reconnect.delay_max, 5s);
  EXPECT_EQ(config.send_buffer.messages_max, 1000u);
}

TEST_F(Environment, TheSeedsNamesAreRead) {
  setenv("WS_RECONNECT_INTERVAL", "7", 1);
  setenv("WS_MAX_RECONNECT_ATTEMPTS", "10", 1);
  setenv("WS_PING_INTERVAL", "20", 1);
  setenv("WS_MESSAGE_BUFFER_SIZE", "50", 1);
  const ClientConfig config = ClientConfig::from_environment("ws://h").value();
  EXPECT_EQ(config.reconnect.delay_max, 7s);
  EXPECT_EQ(config.reconnect.attempts_max, 10u);
  EXPECT_EQ(config.ping_interval, 20s);
  EXPECT_EQ(config.send_buffer.messages_max, 50u);
}

TEST_F(Environment, WhatIsNoNumberIsNamed) {
  for (const char* text : {"", "5s", "-1", "1.5", "99999999999", "86401"}) {
    setenv("WS_PING_INTERVAL", text, 1);
    const auto config = ClientConfig::from_environment("ws://h");
    ASSERT_FALSE(config.ok()) << text;
    EXPECT_EQ(config.error().code, Errc::invalid_config);
    EXPECT_NE(config.error().context.find("WS_PING_INTERVAL"), std::string::npos);
  }
}

TEST_F(Environment, AValueThatNoClientTakesIsRefusedHere) {
  setenv("WS_PING_INTERVAL", "0", 1);
  EXPECT_EQ(ClientConfig::from_environment("ws://h").error().code, Errc::invalid_config);
}

}  // namespace
}  // namespace stratwire
