// The simulation itself: that it repeats itself, and that its judges notice what they are for.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "world.hpp"

namespace stratwire::sim {
namespace {

using ::testing::HasSubstr;

/// Worlds for one question; one alone may not have what is asked for.
constexpr std::uint64_t kWorlds = 20;

Outcome run(std::uint64_t seed, Sabotage sabotage = Sabotage::none,
            Trace::Lines lines = Trace::Lines::none) {
  Options options;
  options.seed = seed;
  options.sabotage = sabotage;
  options.lines = lines;
  return run_world(options);
}

TEST(Simulation, TheSameSeedIsTheSameWorld) {
  for (std::uint64_t seed = 1; seed <= kWorlds; ++seed) {
    EXPECT_EQ(run(seed).hash, run(seed).hash) << "seed " << seed;
  }
}

TEST(Simulation, AnotherSeedIsAnotherWorld) {
  EXPECT_NE(run(1).hash, run(2).hash);
}

TEST(Simulation, LinesChangeNothingAndTellOfEveryMessage) {
  const Outcome silent = run(3);
  ::testing::internal::CaptureStdout();
  const Outcome told = run(3, Sabotage::none, Trace::Lines::printed);
  const std::string lines = ::testing::internal::GetCapturedStdout();
  EXPECT_EQ(told.hash, silent.hash);
  EXPECT_THAT(lines, HasSubstr("starts site"));
  EXPECT_THAT(lines, HasSubstr("falls quiet"));
  EXPECT_GT(std::ranges::count(lines, '\n'), static_cast<std::ptrdiff_t>(silent.handed));
}

/// A way to break the client, and what the report must name.
struct Broken {
  Sabotage how;
  std::string word;
};

class SimulationJudge : public ::testing::TestWithParam<Broken> {};

TEST_P(SimulationJudge, Notices) {
  std::string reports;
  for (std::uint64_t seed = 1; seed <= kWorlds; ++seed) reports += run(seed, GetParam().how).report;
  EXPECT_THAT(reports, HasSubstr(GetParam().word));
}

INSTANTIATE_TEST_SUITE_P(Sabotage, SimulationJudge,
                         ::testing::Values(Broken{Sabotage::lose_message, "silent_loss"},
                                           Broken{Sabotage::hand_twice, "duplicate"},
                                           Broken{Sabotage::swap, "reorder"},
                                           Broken{Sabotage::lose_gap, "silent_loss"},
                                           Broken{Sabotage::alter, "altered"},
                                           Broken{Sabotage::ask_again, "asks from elsewhere"},
                                           Broken{Sabotage::stay_silent, "not live"}));

TEST(Simulation, NothingIsNoticedWhereNothingIsBroken) {
  for (std::uint64_t seed = 1; seed <= kWorlds; ++seed) EXPECT_EQ(run(seed).report, "");
}

}  // namespace
}  // namespace stratwire::sim
