// Faults and plans as text: what is printed is what can be replayed.

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/testing/fault.hpp>

#include "../../support/seed.hpp"

namespace stratwire::testing {
namespace {

TEST(Fault, ReadsWhatItPrints) {
  const std::array faults{
      Fault{3, Direction::down, 65'536, FaultKind::cut, 0},
      Fault{0, Direction::up, 0, FaultKind::split, 200},
      Fault{1, Direction::up, 1, FaultKind::reset, 0},
      Fault{~std::uint64_t{0}, Direction::down, ~std::uint64_t{0}, FaultKind::stall, 0},
      Fault{7, Direction::down, 9, FaultKind::black_hole, 0},
      Fault{7, Direction::down, 9, FaultKind::half_close, 0},
      Fault{7, Direction::down, 9, FaultKind::throttle, 1'000},
      Fault{7, Direction::down, 9, FaultKind::delay, 20},
  };
  for (const Fault& fault : faults) {
    EXPECT_EQ(parse_fault(to_string(fault)), fault) << to_string(fault);
  }
  EXPECT_EQ(to_string(faults[0]), "3 down 65536 cut");
  EXPECT_EQ(to_string(faults[1]), "* up 0 split 200");
}

TEST(Fault, RefusesWhatIsNoFault) {
  for (const std::string text :
       {"", "cut", "0 down 1 cut", "1 sideways 1 cut", "1 down -1 cut", "1 down 1 cutt",
        "1 down 1 cut 5", "1 down 1 stall", "1 down 1 stall x", "1 down 1 stall 5 5",
        "x down 1 cut", "1 down 99999999999999999999 cut"}) {
    EXPECT_FALSE(parse_fault(text)) << text;
  }
}

TEST(Plan, SkipsCommentsAndNamesTheBadLine) {
  std::string bad_line;
  const auto plan = Plan::parse("# a comment\n\n 2 up 10 reset \r\n* down 5 delay 3", bad_line);
  ASSERT_TRUE(plan) << bad_line;
  EXPECT_EQ(plan->faults_of(1).size(), 1u);
  ASSERT_EQ(plan->faults_of(2).size(), 2u);
  EXPECT_EQ(plan->faults_of(2)[0].kind, FaultKind::delay) << "in the order of offsets";
  EXPECT_FALSE(Plan::parse("* down 5 delay 3\n1 down cut\n", bad_line));
  EXPECT_EQ(bad_line, "1 down cut");
}

TEST(Plan, RandomFaultsCanBeReplayedFromTheirText) {
  RandomFaults random;
  random.seed = test::seed();
  const Plan plan{random};
  std::string bad_line;
  const auto replay = Plan::parse(plan.to_text(200), bad_line);
  ASSERT_TRUE(replay) << bad_line;
  for (std::uint64_t connection = 1; connection <= 200; ++connection) {
    EXPECT_EQ(plan.faults_of(connection), replay->faults_of(connection)) << connection;
  }
}

TEST(Plan, RandomFaultsEndEveryConnectionInEveryWay) {
  RandomFaults random;
  random.seed = test::seed();
  random.connections_max = 1'000;
  const Plan plan{random};
  std::array<std::size_t, kFaultKinds> seen{};
  for (std::uint64_t connection = 1; connection <= 1'000; ++connection) {
    const auto faults = plan.faults_of(connection);
    EXPECT_TRUE(std::any_of(faults.begin(), faults.end(), [&](const Fault& fault) {
      return ends_connection(fault.kind) && fault.direction == Direction::down &&
             fault.offset <= random.offset_max;
    })) << connection;
    for (const Fault& fault : faults) ++seen[static_cast<std::size_t>(fault.kind)];
  }
  for (const std::size_t count : seen) EXPECT_GT(count, 10u);
  EXPECT_TRUE(plan.faults_of(1'001).empty());
  EXPECT_NE(plan.to_text(3), Plan{RandomFaults{random.seed + 1}}.to_text(3));
}

}  // namespace
}  // namespace stratwire::testing
