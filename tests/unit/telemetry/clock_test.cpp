#include <ctime>

#include <gtest/gtest.h>

#include <stratwire/telemetry/clock.hpp>

namespace stratwire::telemetry {
namespace {

std::int64_t read_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

TEST(Clock, WallIsUnixNanoseconds) {
  const std::int64_t before = read_ns(CLOCK_REALTIME);
  const std::int64_t now = wall_ns();
  EXPECT_GE(now, before);
  EXPECT_LE(now, read_ns(CLOCK_REALTIME));
}

TEST(Clock, MonotonicIsTheKernelsMonotonicClock) {
  const std::int64_t before = read_ns(CLOCK_MONOTONIC);
  const std::int64_t now = monotonic_ns();
  EXPECT_GE(now, before);
  EXPECT_LE(now, read_ns(CLOCK_MONOTONIC));
}

}  // namespace
}  // namespace stratwire::telemetry
