#include <chrono>
#include <cstdint>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stratwire/client.hpp>
#include <stratwire/testing/audit.hpp>
#include <stratwire/testing/raw_client.hpp>
#include <stratwire/testing/server.hpp>

namespace stratwire::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr const char* kChannel = "prices:SOL-USDC";

/// A client with a judge.
class Follower {
 public:
  explicit Follower(const std::string& url) : client(Client::open({.url = url}).value()) {
    client.subscribe({kChannel}).value();
  }
  void poll() {
    client.poll([this](const Delivery& delivery) noexcept {
      audit.take(delivery);
      if (delivery.get_if<Gap>() != nullptr) last_gap = delivery.get_if<Gap>()->reason;
    });
  }
  /// Until so many messages were handed over.
  [[nodiscard]] bool has(std::uint64_t messages) {
    return eventually([&] {
      poll();
      return audit.oracle().handed() >= messages && client.state() == ClientState::live;
    });
  }

  Client client;
  Audit audit{};
  Gap::Reason last_gap{};
};

class ServerTest : public ::testing::Test {
 protected:
  void publish(int count) {
    for (int i = 0; i < count; ++i) {
      ASSERT_EQ(server.publish(kChannel, PriceUpdate{"USDC", "SOL", 142.25 + i, 12, 99}),
                PublishStatus::ok);
    }
  }
  void expect_kept() {
    ASSERT_TRUE(follower.has(published()));
    EXPECT_EQ(follower.audit.verdict(server.ledger()), "");
  }
  [[nodiscard]] std::uint64_t published() const { return server.ledger().total(); }

  Server server = Server::open().value();
  Follower follower{server.url()};
};

TEST_F(ServerTest, PublishesToWhoIsThere) {
  ASSERT_TRUE(server.wait_for_subscribers(1));
  publish(3);
  expect_kept();
}

TEST_F(ServerTest, WaitingForMoreThanThereAreEnds) {
  EXPECT_FALSE(server.wait_for_subscribers(2, 20ms));
  EXPECT_FALSE(server.wait_for([](const ServerStats&) { return false; }, 1ms));
}

TEST_F(ServerTest, ACutIsNoticedAndNothingIsLost) {
  for (const FaultKind kind : {FaultKind::cut, FaultKind::reset}) {
    ASSERT_TRUE(server.wait_for_subscribers(1));
    publish(1);
    // From here on it knows where it stands; a cut may take the server's answer with it.
    ASSERT_TRUE(follower.has(published()));
    publish(5);
    const std::uint64_t before = server.server()->stats().disconnected;
    server.cut(kind);
    EXPECT_GT(server.server()->stats().disconnected, before);
    publish(5);
    expect_kept();
  }
  EXPECT_EQ(follower.client.metrics().connects, 3u);
  EXPECT_EQ(follower.client.metrics().gaps, 0u);
}

TEST_F(ServerTest, WhileItIsStoppedNobodyConnects) {
  ASSERT_TRUE(server.wait_for_subscribers(1));
  server.stop();
  EXPECT_EQ(server.server(), nullptr);
  EXPECT_EQ(server.publish(kChannel, PriceUpdate{}), PublishStatus::closed);
  const auto colon = server.url().rfind(':');
  const auto port = static_cast<std::uint16_t>(std::stoi(server.url().substr(colon + 1)));
  EXPECT_FALSE(RawClient::tcp(port).is_open());
  EXPECT_FALSE(server.wait_for_subscribers(0, 1ms));
}

TEST_F(ServerTest, ARestartWithTheSameEpochLosesNothing) {
  ASSERT_TRUE(server.wait_for_subscribers(1));
  publish(10);
  ASSERT_TRUE(follower.has(10));
  const std::string url = server.url();
  const std::uint64_t epoch = server.epoch();
  server.stop();
  server.restart(Epoch::same).value();
  EXPECT_EQ(server.url(), url);
  EXPECT_EQ(server.epoch(), epoch);
  publish(10);
  expect_kept();
  EXPECT_EQ(follower.client.metrics().gaps, 0u);
}

TEST_F(ServerTest, ARestartWithAFreshEpochIsOneGap) {
  ASSERT_TRUE(server.wait_for_subscribers(1));
  publish(3);
  ASSERT_TRUE(follower.has(3));
  const std::uint64_t epoch = server.epoch();
  server.restart(Epoch::fresh).value();
  EXPECT_NE(server.epoch(), epoch);
  publish(2);
  expect_kept();
  EXPECT_EQ(follower.client.metrics().gaps, 1u);
  EXPECT_EQ(follower.last_gap, Gap::Reason::epoch_change);
}

TEST(Server, WrongSettingsAreNamed) {
  ServerConfig config;
  config.io_threads = 99;
  EXPECT_THAT(Server::open(config).error().message(), HasSubstr("io_threads"));
  config = {};
  config.threading = Threading::caller;
  EXPECT_THAT(Server::open(config).error().message(), HasSubstr("threading"));
}

}  // namespace
}  // namespace stratwire::testing
