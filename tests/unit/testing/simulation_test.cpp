#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stratwire/testing/simulation.hpp>

namespace stratwire::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* kChannel = "prices:SOL-USDC";

/// Writes down what it is handed.
struct Notebook {
  std::vector<std::uint64_t> numbers{};
  std::vector<Gap> gaps{};
  std::vector<ClientState> states{};

  void take(const Delivery& delivery) {
    if (delivery.get_if<PriceUpdate>() != nullptr) numbers.push_back(delivery.envelope.seq);
    if (const auto* gap = delivery.get_if<Gap>()) gaps.push_back(*gap);
    if (const auto* state = delivery.get_if<StateEvent>()) states.push_back(state->state);
  }
};

class SimulationTest : public ::testing::Test {
 protected:
  explicit SimulationTest(SimulationConfig config = {}) : simulation(make(std::move(config))) {}

  Simulation make(SimulationConfig config) {
    return Simulation::open([this](const Delivery& delivery) { notebook.take(delivery); },
                            std::move(config))
        .value();
  }
  void begin() {
    simulation.subscribe({kChannel}).value();
    ASSERT_TRUE(simulation.advance_until_live());
  }
  void publish(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      ASSERT_EQ(simulation.publish(kChannel, PriceUpdate{"USDC", "SOL", 142.25, i, 99}),
                PublishStatus::ok);
    }
  }
  void expect_kept() {
    ASSERT_TRUE(simulation.advance_until_live());
    simulation.advance(3s);
    EXPECT_EQ(simulation.verdict(), "");
  }

  Notebook notebook{};
  Simulation simulation;
};

TEST_F(SimulationTest, HandsOverWhatIsPublishedInOrder) {
  begin();
  publish(3);
  simulation.advance(1ms);
  EXPECT_THAT(notebook.numbers, ElementsAre(1, 2, 3));
  EXPECT_EQ(simulation.metrics().messages, 3u);
  EXPECT_EQ(simulation.server_stats().subscribers, 1u);
  expect_kept();
}

TEST_F(SimulationTest, ADayPassesWithoutALoss) {
  begin();
  const auto before = simulation.now();
  simulation.advance(24h);
  EXPECT_EQ(simulation.now() - before, 24h);
  EXPECT_EQ(simulation.metrics().connects, 1u);
  publish(1);
  expect_kept();
  EXPECT_THAT(notebook.numbers, ElementsAre(1));
}

TEST_F(SimulationTest, AfterACutWhatWasMissedIsReplayed) {
  begin();
  publish(2);
  simulation.advance(1ms);
  simulation.cut();
  simulation.advance(1ms);
  EXPECT_NE(simulation.state(), ClientState::live);
  publish(2);
  expect_kept();
  EXPECT_THAT(notebook.numbers, ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(simulation.metrics().connects, 2u);
  EXPECT_TRUE(notebook.gaps.empty());
}

TEST_F(SimulationTest, EveryWayToLoseTheLineIsSurvived) {
  begin();
  const std::vector<std::function<void()>> ways{
      [this] { simulation.cut(); },        [this] { simulation.reset(); },
      [this] { simulation.half_close(); }, [this] { simulation.black_hole(); },
      [this] { simulation.outage(20s); },  [this] { simulation.pause_server(5s); }};
  std::uint64_t connects = 1;
  for (const auto& lose : ways) {
    publish(5);
    lose();
    publish(5);
    simulation.advance(30s);
    EXPECT_GT(simulation.metrics().connects, connects);
    connects = simulation.metrics().connects;
    expect_kept();
  }
  EXPECT_EQ(notebook.numbers.size(), 10 * ways.size());
}

TEST_F(SimulationTest, DuringAnOutageNothingComesAndNobodyConnects) {
  begin();
  simulation.outage(10s);
  publish(1);
  simulation.advance(9s);
  EXPECT_TRUE(notebook.numbers.empty());
  EXPECT_EQ(simulation.metrics().connects, 1u);
  simulation.advance(10s);
  EXPECT_THAT(notebook.numbers, ElementsAre(1));
  expect_kept();
}

TEST_F(SimulationTest, ARestartWithItsLogGoesOn) {
  begin();
  publish(2);
  simulation.advance(1ms);
  simulation.stop_server();
  EXPECT_EQ(simulation.publish(kChannel, PriceUpdate{}), PublishStatus::closed);
  simulation.advance(5s);
  simulation.start_server(Epoch::same).value();
  publish(1);
  expect_kept();
  EXPECT_THAT(notebook.numbers, ElementsAre(1, 2, 3));
  EXPECT_TRUE(notebook.gaps.empty());
}

TEST_F(SimulationTest, AFreshEpochIsOneGapAndNumbersFromOne) {
  begin();
  publish(2);
  simulation.advance(1ms);
  simulation.stop_server();
  simulation.start_server(Epoch::fresh).value();
  publish(1);
  expect_kept();
  EXPECT_THAT(notebook.numbers, ElementsAre(1, 2, 1));
  ASSERT_EQ(notebook.gaps.size(), 1u);
  EXPECT_EQ(notebook.gaps[0].reason, Gap::Reason::epoch_change);
}

TEST_F(SimulationTest, AServerThatRunsIsNotStarted) {
  const auto started = simulation.start_server(Epoch::same);
  ASSERT_FALSE(started.ok());
  EXPECT_THAT(started.error().message(), HasSubstr("stop_server() first"));
}

TEST_F(SimulationTest, AStrategyThatStandsStillFindsEverythingLater) {
  begin();
  simulation.stall_strategy(5s);
  publish(10);
  simulation.advance(4s);
  EXPECT_TRUE(notebook.numbers.empty());
  expect_kept();
  EXPECT_EQ(notebook.numbers.size(), 10u);
}

TEST_F(SimulationTest, AStoredPointIsWhereItBegins) {
  publish(5);
  const std::vector<std::string> channels{kChannel};
  const std::vector<ResumePoint> since{{kChannel, simulation.epoch(), 3}};
  simulation.subscribe(channels, since).value();
  ASSERT_TRUE(simulation.advance_until_live());
  simulation.advance(1ms);
  EXPECT_THAT(notebook.numbers, ElementsAre(4, 5));
  expect_kept();
}

TEST_F(SimulationTest, NamesThatAreNoneAreRefused) {
  EXPECT_EQ(simulation.subscribe({"a b"}).error().code, Errc::invalid_channel_name);
  EXPECT_EQ(simulation.publish("a b", PriceUpdate{}), PublishStatus::refused);
  EXPECT_EQ(simulation.publish("prices:*", PriceUpdate{}), PublishStatus::refused);
}

TEST(Simulation, AStrategyMayDoWhatTheTestMay) {
  Simulation* world = nullptr;
  std::vector<std::string> heard;
  Simulation simulation = Simulation::open([&](const Delivery& delivery) {
                            const auto* event = delivery.get_if<Event>();
                            if (event == nullptr) return;
                            heard.emplace_back(delivery.envelope.channel);
                            if (heard.size() > 1) return;
                            world->subscribe({"trades:B"}).value();
                            world->cut();
                            EXPECT_THROW(world->advance(1s), Failed);
                          }).value();
  world = &simulation;
  simulation.subscribe({"trades:A"}).value();
  ASSERT_TRUE(simulation.advance_until_live());
  ASSERT_EQ(simulation.publish("trades:A", Event{"Order", {Codec::json, "{}"}}), PublishStatus::ok);
  simulation.advance(1s);
  ASSERT_TRUE(simulation.advance_until_live());
  EXPECT_EQ(simulation.metrics().connects, 2u);
  ASSERT_EQ(simulation.publish("trades:B", Event{"Order", {Codec::json, "[1]"}}),
            PublishStatus::ok);
  simulation.advance(1s);
  EXPECT_THAT(heard, ElementsAre("trades:A", "trades:B"));
  EXPECT_EQ(simulation.verdict(), "");
}

TEST(Simulation, AStrategyMayRestartTheServer) {
  std::vector<std::uint64_t> numbers;
  std::vector<bool> done;
  Simulation* world = nullptr;
  auto simulation = Simulation::open([&](const Delivery& delivery) {
                      if (delivery.get_if<PriceUpdate>() == nullptr) return;
                      numbers.push_back(delivery.envelope.seq);
                      if (delivery.envelope.seq != 1) return;
                      done.push_back(world->start_server(Epoch::same).ok());  // It is running.
                      world->stop_server();
                      done.push_back(world->start_server(Epoch::same).ok());
                      done.push_back(world->start_server(Epoch::same).ok());
                    }).value();
  world = &simulation;
  simulation.subscribe({kChannel}).value();
  ASSERT_TRUE(simulation.advance_until_live());
  const PriceUpdate price{"USDC", "SOL", 1, 1, 1};
  ASSERT_EQ(simulation.publish(kChannel, price), PublishStatus::ok);
  simulation.advance(1s);
  EXPECT_EQ(done, (std::vector<bool>{false, true, false}));
  ASSERT_TRUE(simulation.advance_until_live());
  EXPECT_EQ(simulation.metrics().connects, 2u);
  ASSERT_EQ(simulation.publish(kChannel, price), PublishStatus::ok);
  simulation.advance(3s);
  EXPECT_EQ(numbers, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(simulation.verdict(), "");
}

TEST(Simulation, AnExceptionOfTheStrategyComesOut) {
  Simulation simulation =
      Simulation::open([](const Delivery&) { throw std::runtime_error("no"); }).value();
  EXPECT_THROW(simulation.advance(1s), std::runtime_error);
}

TEST(Simulation, WrongSettingsAreNamed) {
  SimulationConfig config;
  config.server.io_threads = 99;
  EXPECT_THAT(Simulation::open({}, config).error().message(), HasSubstr("io_threads"));
  config = {};
  config.client.ping_interval = 0ms;
  EXPECT_THAT(Simulation::open({}, config).error().message(), HasSubstr("ping_interval"));
  config = {};
  config.client.url = "http://x";
  EXPECT_FALSE(Simulation::open({}, config).ok());
}

/// When each message comes, over a line that is left to chance.
std::vector<std::int64_t> arrivals(std::uint64_t seed) {
  SimulationConfig config;
  config.seed = seed;
  config.line.jitter = 5ms;
  config.line.segment_bytes_max = 7;
  std::vector<std::int64_t> times;
  Simulation* world = nullptr;
  Simulation simulation = Simulation::open(
                              [&](const Delivery& delivery) {
                                if (delivery.envelope.seq != 0) {
                                  times.push_back(world->now().count());
                                }
                              },
                              config)
                              .value();
  world = &simulation;
  simulation.subscribe({kChannel}).value();
  EXPECT_TRUE(simulation.advance_until_live());
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(simulation.publish(kChannel, PriceUpdate{"A", "B", 1, 2, 3}), PublishStatus::ok);
    simulation.advance(10ms);
    if (i == 10) simulation.cut();
  }
  simulation.advance(10s);
  EXPECT_EQ(simulation.verdict(), "");
  return times;
}

TEST(Simulation, TheSameSeedIsTheSameRun) {
  const auto once = arrivals(5);
  EXPECT_EQ(once.size(), 20u);
  EXPECT_EQ(once, arrivals(5));
  EXPECT_NE(once, arrivals(6));
}

TEST(Simulation, TheVerdictNoticesWhatIsStillOnItsWay) {
  Simulation simulation = Simulation::open({}).value();
  simulation.subscribe({kChannel}).value();
  ASSERT_TRUE(simulation.advance_until_live());
  ASSERT_EQ(simulation.publish(kChannel, PriceUpdate{"A", "B", 1, 2, 3}), PublishStatus::ok);
  EXPECT_THAT(simulation.verdict(), HasSubstr("tail_lost"));
  simulation.advance(1s);
  EXPECT_EQ(simulation.verdict(), "");
}

}  // namespace
}  // namespace stratwire::testing
