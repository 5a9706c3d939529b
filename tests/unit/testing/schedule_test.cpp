#include <array>
#include <chrono>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/testing/schedule.hpp>

#include "../../support/seed.hpp"

namespace stratwire::testing {
namespace {

using namespace std::chrono_literals;

ScheduleConfig config_with(std::uint64_t seed) {
  ScheduleConfig config;
  config.every = 4s;
  config.jitter_percent = 25;
  config.menu = {{.kind = FaultKind::cut}, {.kind = FaultKind::stall, .amount = 7}};
  config.seed = seed;
  return config;
}

std::vector<Schedule::Step> steps(const ScheduleConfig& config) {
  Schedule schedule(config);
  std::vector<Schedule::Step> steps;
  for (int i = 0; i < 1'000; ++i) steps.push_back(schedule.next());
  return steps;
}

TEST(Schedule, DistancesStayWithinTheJitterAndEverythingOnTheMenuHappens) {
  std::array<int, 2> times{};
  std::chrono::nanoseconds least = 1h;
  std::chrono::nanoseconds most{0};
  for (const Schedule::Step& step : steps(config_with(test::seed()))) {
    least = std::min(least, step.after);
    most = std::max(most, step.after);
    ++times[step.fault.kind == FaultKind::stall ? 1 : 0];
    if (step.fault.kind == FaultKind::stall) {
      EXPECT_EQ(step.fault.amount, 7u);
    }
  }
  EXPECT_GE(least, 3s);
  EXPECT_LE(most, 5s);
  EXPECT_GT(most - least, 1s);
  EXPECT_GT(times[0], 300);
  EXPECT_GT(times[1], 300);
}

TEST(Schedule, TheSameSeedIsTheSameSeries) {
  const auto once = steps(config_with(3));
  const auto again = steps(config_with(3));
  const auto other = steps(config_with(4));
  std::size_t alike = 0;
  for (std::size_t i = 0; i < once.size(); ++i) {
    EXPECT_EQ(once[i].after, again[i].after);
    EXPECT_EQ(once[i].fault, again[i].fault);
    alike += once[i].after == other[i].after ? 1U : 0U;
  }
  EXPECT_LT(alike, once.size() / 2);
}

TEST(Schedule, WithoutJitterIsAClock) {
  ScheduleConfig config = config_with(1);
  config.jitter_percent = 0;
  for (const Schedule::Step& step : steps(config)) EXPECT_EQ(step.after, 4s);
}

}  // namespace
}  // namespace stratwire::testing
