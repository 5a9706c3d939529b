// The simulation of lines itself: that it repeats itself, and that its judge notices what it is
// for.

#include <cstdint>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lines_world.hpp"

namespace stratwire::sim {
namespace {

using ::testing::HasSubstr;

/// Worlds for one question; one alone may not have what is asked for.
constexpr std::uint64_t kWorlds = 30;

LinesOutcome run(std::uint64_t seed, DeskSabotage sabotage = DeskSabotage::none) {
  LinesOptions options;
  options.seed = seed;
  options.sabotage = sabotage;
  return run_lines_world(options);
}

TEST(LinesSimulation, TheSameSeedIsTheSameWorld) {
  for (std::uint64_t seed = 1; seed <= kWorlds / 3; ++seed) {
    EXPECT_EQ(run(seed).hash, run(seed).hash) << "seed " << seed;
  }
}

TEST(LinesSimulation, NothingIsNoticedWhereNothingIsBroken) {
  session::LineArbiterCounts sum;
  for (std::uint64_t seed = 1; seed <= kWorlds; ++seed) {
    const LinesOutcome outcome = run(seed);
    EXPECT_EQ(outcome.report, "") << "seed " << seed;
    sum.duplicates += outcome.counts.duplicates;
    sum.filled += outcome.counts.filled;
    sum.divergences += outcome.counts.divergences;
  }
  EXPECT_GT(sum.duplicates, 0u);
  EXPECT_GT(sum.filled, 0u);
  EXPECT_GT(sum.divergences, 0u);
}

struct Broken {
  DeskSabotage how;
  std::string word;
};

class LinesSimulationJudge : public ::testing::TestWithParam<Broken> {};

TEST_P(LinesSimulationJudge, Notices) {
  std::string reports;
  for (std::uint64_t seed = 1; seed <= kWorlds; ++seed) reports += run(seed, GetParam().how).report;
  EXPECT_THAT(reports, HasSubstr(GetParam().word));
}

INSTANTIATE_TEST_SUITE_P(
    Sabotage, LinesSimulationJudge,
    ::testing::Values(Broken{DeskSabotage::lose_message, "silent_loss"},
                      Broken{DeskSabotage::hand_twice, "duplicate"},
                      Broken{DeskSabotage::hand_divergent, "duplicate"},
                      Broken{DeskSabotage::tell_twice, "told 2 times instead of 1"},
                      Broken{DeskSabotage::lose_divergence, "told 0 times instead of 1"},
                      Broken{DeskSabotage::lose_gap, "silent_loss"}));

}  // namespace
}  // namespace stratwire::sim
