#include <set>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/session/targets.hpp>

namespace stratwire::session {
namespace {

using namespace std::chrono_literals;

constexpr Instant t0{1h};

std::vector<std::size_t> round_of(Targets& targets) {
  std::vector<std::size_t> tried;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    tried.push_back(targets.current());
    EXPECT_EQ(targets.move_on(t0), t0);
  }
  return tried;
}

TEST(Targets, GoRoundAsTheyAreListed) {
  Targets targets{3, TargetOrder::in_order, 1};
  EXPECT_EQ(round_of(targets), (std::vector<std::size_t>{0, 1, 2}));
  EXPECT_EQ(targets.current(), 0u);
}

TEST(Targets, ShuffledEachClientHasItsOwnOrderOfAll) {
  std::set<std::size_t> first;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Targets targets{4, TargetOrder::shuffled, seed};
    const auto tried = round_of(targets);
    first.insert(tried.front());
    EXPECT_EQ(std::set(tried.begin(), tried.end()).size(), 4u) << "seed " << seed;
    Targets again{4, TargetOrder::shuffled, seed};
    EXPECT_EQ(round_of(again), tried) << "seed " << seed;
  }
  EXPECT_EQ(first.size(), 4u);
}

TEST(Targets, OneIsComeBackToSoManyTimesUnlessItKeepsAConnection) {
  Targets targets{2, TargetOrder::in_order, 1};
  for (std::uint32_t i = 0; i < 2 * Targets::kReturnsMax; ++i) {
    targets.opened();
    if (i == Targets::kReturnsMax) targets.kept();
    EXPECT_EQ(targets.come_back(t0), t0);
    EXPECT_EQ(targets.current(), 0u) << i;
  }
  targets.opened();
  EXPECT_EQ(targets.come_back(t0), t0);
  EXPECT_EQ(targets.current(), 1u);
  targets.opened();
  EXPECT_EQ(targets.come_back(t0), t0);
  EXPECT_EQ(targets.current(), 1u) << "counted for each by itself";
}

TEST(Targets, OneThatAskedToWaitIsNotComeBackTo) {
  Targets targets{2, TargetOrder::in_order, 1};
  targets.opened();
  targets.not_before(t0 + 1s);
  EXPECT_EQ(targets.come_back(t0), t0);
  EXPECT_EQ(targets.current(), 1u);
}

TEST(Targets, ARoundIsOverWhenEachHasFailed) {
  Targets targets{3, TargetOrder::in_order, 1};
  EXPECT_FALSE(targets.failed());
  EXPECT_FALSE(targets.failed());
  EXPECT_TRUE(targets.failed());
  targets.begin_round();
  EXPECT_FALSE(targets.failed());
}

TEST(Targets, OneThatAskedToWaitIsLeftOutAsLongAsAnotherMayBeTried) {
  Targets targets{2, TargetOrder::in_order, 1};
  targets.not_before(t0 + 5s);
  EXPECT_EQ(targets.move_on(t0), t0);
  EXPECT_EQ(targets.current(), 1u);
  EXPECT_EQ(targets.move_on(t0), t0);
  EXPECT_EQ(targets.current(), 1u);
  targets.not_before(t0 + 9s);
  EXPECT_EQ(targets.move_on(t0), t0 + 5s) << "all asked: the one that may be tried first";
  EXPECT_EQ(targets.current(), 0u);
  EXPECT_EQ(targets.move_on(t0 + 20s), t0 + 20s);
}

TEST(Targets, AListOfNoneIsAListOfOne) {
  Targets targets{0, TargetOrder::shuffled, 1};
  EXPECT_EQ(targets.size(), 1u);
  EXPECT_TRUE(targets.failed());
}

}  // namespace
}  // namespace stratwire::session
