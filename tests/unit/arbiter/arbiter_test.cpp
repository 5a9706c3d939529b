#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/arbiter.hpp>
#include <stratwire/describe.hpp>
#include <stratwire/server.hpp>
#include <stratwire/testing/scripted_peer.hpp>

#include "../../support/report.hpp"

struct Fill {
  std::uint64_t id = 0;
  double price = 0;
};
STRATWIRE_DESCRIBE(Fill, id, price);

namespace stratwire::testing {
namespace {

using namespace std::chrono_literals;
using Lines = std::vector<std::string>;

constexpr const char* kChannel = "accounts:A";
constexpr std::uint64_t kEpoch = 20'261'121;

ServerConfig server_config(std::uint64_t epoch = kEpoch) {
  ServerConfig config;
  config.port = 0;
  config.heartbeat_interval = 50ms;
  config.epoch = epoch;
  return config;
}

AccountUpdate account(std::uint64_t slot) {
  return {.pubkey = "A", .lamports = 5, .slot = slot, .timestamp = 7};
}

struct Mode {
  Threading threading = Threading::own_thread;
  Codec codec = Codec::msgpack;
  Waiting waiting = Waiting::park;
};

ArbiterConfig config_for(const Mode& mode, std::span<Server> servers) {
  ArbiterConfig config;
  config.threading = mode.threading;
  config.waiting = mode.waiting;
  for (const Server& server : servers) {
    ClientConfig& line = config.lines.emplace_back();
    line.url = "ws://" + server.local_addr();
    line.codec = mode.codec;
    line.name = config.lines.size() == 1 ? "east" : "west";
  }
  return config;
}

/// "accounts:A 7 = 7", "gap accounts:A 2-4 retention", "divergence 5: east and west".
std::string text_of(const LineDelivery& delivery) {
  const std::string channel{delivery.envelope.channel};
  if (const auto* update = delivery.get_if<AccountUpdate>()) {
    return channel + ' ' + std::to_string(delivery.envelope.seq) + " = " +
           std::to_string(update->slot);
  }
  if (const auto* gap = delivery.get_if<Gap>()) {
    return "gap " + channel + ' ' + std::to_string(gap->from) + '-' + std::to_string(gap->to) +
           ' ' + std::string{to_string(gap->reason)};
  }
  if (const auto* told = delivery.get_if<Divergence>()) {
    return "divergence " + std::to_string(told->seq) + ": " + std::string{told->first_name} +
           " and " + std::string{told->other_name};
  }
  return "";
}

std::string expected(std::uint64_t seq) {
  return std::string{kChannel} + ' ' + std::to_string(seq) + " = " + std::to_string(seq);
}

/// Two servers of one log and a strategy that writes down what it is handed, but for notices.
class ArbiterTest : public ::testing::TestWithParam<Mode> {
 protected:
  void start(ArbiterConfig config) {
    arbiter.emplace(Arbiter::open(std::move(config)).value());
    arbiter->subscribe({kChannel}).value();
    ASSERT_TRUE(eventually([&] {
      poll();
      return arbiter->state(0) == ClientState::live && arbiter->state(1) == ClientState::live;
    }));
  }
  void start() { start(config_for(GetParam(), servers)); }
  void poll() {
    arbiter->poll([this](const LineDelivery& delivery) noexcept {
      if (std::string text = text_of(delivery); !text.empty()) heard.push_back(std::move(text));
    });
  }
  void publish(std::size_t server, std::uint64_t slot) {
    ASSERT_EQ(servers[server].publish(kChannel, account(slot)), PublishStatus::ok);
  }
  /// To both, which is one log.
  void publish(std::uint64_t slot) {
    publish(0, slot);
    publish(1, slot);
  }
  [[nodiscard]] bool hears(std::size_t count) {
    const bool came = eventually([&] {
      poll();
      return heard.size() >= count;
    });
    EXPECT_TRUE(came) << heard.size() << " of " << count;
    return came;
  }

  std::array<Server, 2> servers{Server::open(server_config()).value(),
                                Server::open(server_config()).value()};
  std::optional<Arbiter> arbiter{};
  Lines heard{};
};

INSTANTIATE_TEST_SUITE_P(Modes, ArbiterTest,
                         ::testing::Values(Mode{Threading::own_thread, Codec::msgpack},
                                           Mode{Threading::own_thread, Codec::json},
                                           Mode{Threading::caller, Codec::msgpack, Waiting::yield},
                                           Mode{Threading::caller, Codec::json, Waiting::spin}),
                         [](const auto& each) {
                           std::string name =
                               each.param.threading == Threading::caller ? "caller" : "own_thread";
                           return name + (each.param.codec == Codec::json ? "_json" : "_msgpack");
                         });

TEST_P(ArbiterTest, EachMessageComesOnceAndInOrder) {
  start();
  for (std::uint64_t slot = 1; slot <= 500; ++slot) publish(slot);
  ASSERT_TRUE(hears(500));
  ASSERT_TRUE(eventually([&] {
    poll();
    return arbiter->statistics().duplicates == 500;
  }));
  ASSERT_EQ(heard.size(), 500u);
  for (std::uint64_t seq = 1; seq <= 500; ++seq) ASSERT_EQ(heard[seq - 1], expected(seq));
  const ArbiterStatistics all = arbiter->statistics();
  EXPECT_EQ(all.messages, 500u);
  EXPECT_EQ(all.gaps, 0u);
  EXPECT_EQ(all.divergences, 0u);
  ASSERT_EQ(all.lines.size(), 2u);
  EXPECT_EQ(all.lines[0].name, "east");
  EXPECT_EQ(all.lines[1].state, ClientState::live);
  EXPECT_EQ(all.lines[0].copies, 500u);
  EXPECT_EQ(all.lines[1].copies, 500u);
  EXPECT_EQ(all.lines[0].wins + all.lines[1].wins, 500u);
  EXPECT_EQ(all.lines[0].late + all.lines[1].late, 500u);
}

TEST_P(ArbiterTest, TheLineThatIsAloneFirstWins) {
  start();
  publish(1, 1);
  ASSERT_TRUE(hears(1));
  publish(0, 1);
  ASSERT_TRUE(eventually([&] {
    poll();
    return arbiter->statistics().lines[0].late == 1;
  }));
  const ArbiterStatistics all = arbiter->statistics();
  EXPECT_EQ(all.lines[1].wins, 1u);
  EXPECT_GT(all.lines[0].lag_mean, 0ns);
  EXPECT_EQ(all.lines[0].lag_max, all.lines[0].lag_mean);
}

TEST_P(ArbiterTest, AServerThatGoesTakesNothingWithIt) {
  start();
  for (std::uint64_t slot = 1; slot <= 50; ++slot) publish(slot);
  // A client without a thread answers its close only when it is polled.
  static_cast<void>(servers[0].drain(1ms));
  for (std::uint64_t slot = 51; slot <= 100; ++slot) publish(1, slot);
  ASSERT_TRUE(hears(100));
  for (std::uint64_t seq = 1; seq <= 100; ++seq) ASSERT_EQ(heard[seq - 1], expected(seq));
  EXPECT_EQ(arbiter->statistics().gaps, 0u);
}

TEST_P(ArbiterTest, AnotherMessageUnderTheSameNumberIsToldOnce) {
  start();
  publish(1);
  publish(0, 2);
  ASSERT_TRUE(hears(2));
  publish(1, 999);
  ASSERT_TRUE(hears(3));
  publish(3);
  ASSERT_TRUE(hears(4));
  EXPECT_EQ(heard, (Lines{expected(1), expected(2), "divergence 2: east and west", expected(3)}));
  EXPECT_EQ(arbiter->statistics().lines[1].divergences, 1u);
}

TEST_P(ArbiterTest, ReceiveWaitsForTheNextOneAndNamesItsLine) {
  start();
  EXPECT_FALSE(arbiter->try_receive<AccountUpdate>());
  EXPECT_FALSE(arbiter->receive_for<AccountUpdate>(1ms));
  publish(1, 1);
  const auto received = arbiter->receive<AccountUpdate>();
  ASSERT_TRUE(received);
  EXPECT_EQ(received->slot, 1u);
  EXPECT_EQ(received.seq(), 1u);
  EXPECT_EQ(received.epoch(), kEpoch);
  EXPECT_EQ(received.channel(), kChannel);
  EXPECT_EQ(received.line(), 1u);
  EXPECT_EQ(received.line_name(), "west");
  EXPECT_GT(received.received_at(), 0);
}

TEST_P(ArbiterTest, HandlersGetWhatTheyAreFor) {
  start();
  Lines got;
  arbiter->on<AccountUpdate>([&](const AccountUpdate& update, const LineDelivery&) noexcept {
    got.push_back("account " + std::to_string(update.slot));
  });
  arbiter->on<Fill>(
      [&](const Fill& fill) noexcept { got.push_back("fill " + std::to_string(fill.id)); });
  arbiter->on<Divergence>([&](const Divergence& told) noexcept {
    got.push_back("divergence " + std::to_string(told.seq));
  });
  arbiter->on<StateEvent>([&](const StateEvent& event, const LineDelivery& delivery) noexcept {
    if (event.state == ClientState::closed)
      got.push_back("closed " + std::string{delivery.line_name});
  });
  const auto hear = [&](std::size_t count) {
    return eventually([&] {
      arbiter->poll();
      return got.size() >= count;
    });
  };
  publish(0, 1);
  ASSERT_TRUE(hear(1));
  publish(1, 2);
  ASSERT_TRUE(hear(2));
  ASSERT_EQ(servers[0].publish(kChannel, Fill{.id = 77, .price = 1.5}), PublishStatus::ok);
  ASSERT_TRUE(hear(3));
  EXPECT_EQ(got, (Lines{"account 1", "divergence 1", "fill 77"}));
  arbiter->close();
  ASSERT_TRUE(hear(5));
  EXPECT_EQ(arbiter->statistics().unhandled, 0u);
}

TEST_P(ArbiterTest, CloseEndsReceiveAfterWhatWasThere) {
  start();
  publish(1);
  ASSERT_TRUE(hears(1));
  arbiter->close();
  EXPECT_FALSE(arbiter->receive<AccountUpdate>());
  EXPECT_EQ(arbiter->state(0), ClientState::closed);
  EXPECT_EQ(arbiter->state(1), ClientState::closed);
}

TEST_P(ArbiterTest, AWildcardIsArbitratedToo) {
  arbiter.emplace(Arbiter::open(config_for(GetParam(), servers)).value());
  arbiter->subscribe({"accounts:*"}).value();
  ASSERT_TRUE(eventually([&] {
    poll();
    return arbiter->state(0) == ClientState::live && arbiter->state(1) == ClientState::live;
  }));
  for (std::uint64_t slot = 1; slot <= 50; ++slot) publish(slot);
  ASSERT_TRUE(hears(50));
  for (std::uint64_t seq = 1; seq <= 50; ++seq) ASSERT_EQ(heard[seq - 1], expected(seq));
}

TEST_P(ArbiterTest, WhatIsSubscribedToAgainBeginsAnew) {
  start();
  publish(1);
  ASSERT_TRUE(hears(1));
  std::size_t left = 0;
  arbiter->on<Unsubscribed>([&](const Unsubscribed&) noexcept { ++left; });
  arbiter->unsubscribe({kChannel}).value();
  ASSERT_TRUE(eventually([&] {
    arbiter->poll();
    return left == 2;
  }));
  publish(2);
  ASSERT_TRUE(eventually(
      [&] { return servers[0].stats().published == 2 && servers[1].stats().published == 2; }));
  arbiter->subscribe({kChannel}).value();
  ASSERT_TRUE(eventually([&] {
    poll();
    return arbiter->state(0) == ClientState::live && arbiter->state(1) == ClientState::live;
  }));
  publish(3);
  ASSERT_TRUE(hears(2));
  EXPECT_EQ(heard, (Lines{expected(1), expected(3)})) << "no Gap for what nobody wanted";
}

TEST_P(ArbiterTest, SourcesOfTheirOwnAreMergedByArrivalWithTheirLine) {
  ArbiterConfig config = config_for(GetParam(), servers);
  config.merge = Merge::by_arrival;
  start(std::move(config));
  publish(0, 10);
  publish(1, 20);
  std::array<std::uint64_t, 2> slots{};
  for (int i = 0; i < 2; ++i) {
    const auto received = arbiter->receive<AccountUpdate>();
    ASSERT_TRUE(received);
    EXPECT_EQ(received.seq(), 1u) << "each has numbers of its own";
    slots.at(received.line()) = received->slot;
    EXPECT_EQ(received.line_name(), received.line() == 0 ? "east" : "west");
  }
  EXPECT_EQ(slots, (std::array<std::uint64_t, 2>{10, 20}));
  EXPECT_EQ(arbiter->statistics().messages, 2u);
  EXPECT_EQ(arbiter->statistics().lines[1].wins, 1u);
  EXPECT_EQ(arbiter->statistics().divergences, 0u);
}

// ---- The end

/// A hole that is waited for, at the moment at which the last line ends.
class ArbiterEnd : public ::testing::TestWithParam<Mode> {
 protected:
  void SetUp() override {
    ArbiterConfig config;
    config.threading = GetParam().threading;
    config.waiting = GetParam().waiting;
    // Nobody waits for these.
    config.hold_max = 1h;
    config.replay_max = 1h;
    for (ScriptedPeer& peer : peers) {
      ClientConfig& line = config.lines.emplace_back();
      line.url = peer.url();
      line.codec = GetParam().codec;
      peer.while_waiting = [this] { poll(); };
    }
    arbiter.emplace(Arbiter::open(std::move(config)).value());
    arbiter->subscribe({kChannel}).value();
    peers[0].greet_and_grant(kEpoch, 0);
    ASSERT_TRUE(eventually([this] {
      poll();
      return arbiter->state(0) == ClientState::live;
    }));
    peers[1].greet_and_grant(kEpoch, 2);
    peers[1].send(account(3), {kChannel, 3});
    ASSERT_TRUE(eventually([this] {
      poll();
      return arbiter->statistics().held == 1;
    }));
    EXPECT_EQ(heard, Lines{}) << "1 and 2 may still come";
  }
  void poll() {
    arbiter->poll([this](const LineDelivery& delivery) noexcept {
      if (const auto* event = delivery.get_if<StateEvent>()) {
        const bool last = event->state == ClientState::failed;
        if (last) heard.push_back("failed");
      } else if (std::string text = text_of(delivery); !text.empty()) {
        heard.push_back(std::move(text));
      }
    });
  }
  void end() {
    for (ScriptedPeer& peer : peers) peer.send_close(4'000);
  }

  std::array<ScriptedPeer, 2> peers{ScriptedPeer{GetParam().codec}, ScriptedPeer{GetParam().codec}};
  std::optional<Arbiter> arbiter{};
  Lines heard{};
};

INSTANTIATE_TEST_SUITE_P(Modes, ArbiterEnd,
                         ::testing::Values(Mode{Threading::own_thread, Codec::msgpack},
                                           Mode{Threading::caller, Codec::json, Waiting::spin}));

TEST_P(ArbiterEnd, WhatWaitsIsToldBeforeTheEndOfTheLastLine) {
  end();
  ASSERT_TRUE(eventually([this] {
    poll();
    return std::count(heard.begin(), heard.end(), "failed") == 2;
  }));
  EXPECT_EQ(heard, (Lines{"failed", "gap accounts:A 1-2 upstream", "accounts:A 3 = 3", "failed"}));
}

TEST_P(ArbiterEnd, ReceiveEndsBehindWhatWaits) {
  end();
  const auto last = arbiter->receive<AccountUpdate>();
  ASSERT_TRUE(last);
  EXPECT_EQ(last.seq(), 3u);
  EXPECT_FALSE(arbiter->receive<AccountUpdate>());
  EXPECT_EQ(arbiter->statistics().missed, 2u);
}

// ---- What is refused

void expect_refused(ArbiterConfig config, std::string_view setting) {
  const auto opened = Arbiter::open(std::move(config));
  ASSERT_FALSE(opened.ok()) << setting;
  EXPECT_EQ(opened.error().code, Errc::invalid_config);
  EXPECT_NE(opened.error().context.find(setting), std::string::npos) << opened.error().context;
}

ArbiterConfig two_lines() {
  ArbiterConfig config;
  config.lines.resize(2);
  for (ClientConfig& line : config.lines) line.url = "ws://127.0.0.1:1";
  return config;
}

TEST(Arbiter, RefusesWhatCanNotBe) {
  expect_refused({}, "ArbiterConfig::lines");
  ArbiterConfig config = two_lines();
  config.lines.resize(17, config.lines.front());
  expect_refused(config, "ArbiterConfig::lines");
  config = two_lines();
  config.lines[1].codec = Codec::msgpack;
  expect_refused(config, "ArbiterConfig::lines");
  config = two_lines();
  config.threading = Threading::caller;
  expect_refused(config, "ArbiterConfig::waiting");
  config = two_lines();
  config.window = 1'000;
  expect_refused(config, "ArbiterConfig::window");
  config = two_lines();
  config.held_messages_max = 0;
  expect_refused(config, "ArbiterConfig::held_messages_max");
  config = two_lines();
  config.held_bytes_max = 0;
  expect_refused(config, "ArbiterConfig::held_bytes_max");
  config = two_lines();
  config.hold_max = -1ms;
  expect_refused(config, "ArbiterConfig::hold_max");
  config = two_lines();
  config.replay_max = 0ms;
  expect_refused(config, "ArbiterConfig::replay_max");
}

TEST(Arbiter, RefusesALineThatAClientRefuses) {
  ArbiterConfig config = two_lines();
  config.lines[1].url = "localhost:80";
  EXPECT_EQ(Arbiter::open(config).error().code, Errc::invalid_url);
}

TEST(Arbiter, RefusesABadNameOnEveryLine) {
  Arbiter arbiter = Arbiter::open(two_lines()).value();
  EXPECT_EQ(arbiter.subscribe({"no colon"}).error().code, Errc::invalid_channel_name);
  EXPECT_EQ(arbiter.line_name(1), "ws://127.0.0.1:1") << "without a name the URL is one";
}

}  // namespace
}  // namespace stratwire::testing
