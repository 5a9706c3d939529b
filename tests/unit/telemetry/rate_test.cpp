#include <gtest/gtest.h>

#include <stratwire/telemetry/rate.hpp>

namespace stratwire::telemetry {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

TEST(RateMeter, FirstReadingIsZero) {
  RateMeter meter;
  EXPECT_EQ(meter.update(1'000'000, 5 * kSecond), 0);
}

TEST(RateMeter, IsEventsOverTheTimeBetweenReadings) {
  RateMeter meter;
  meter.update(100, 10 * kSecond);
  EXPECT_DOUBLE_EQ(meter.update(400, 12 * kSecond), 150);
  EXPECT_DOUBLE_EQ(meter.update(400, 13 * kSecond), 0);
  EXPECT_DOUBLE_EQ(meter.per_second(), 0);
}

TEST(RateMeter, ReadingsTooNearRepeatTheLastRate) {
  RateMeter meter;
  meter.update(0, 0);
  ASSERT_DOUBLE_EQ(meter.update(10, kSecond), 10);
  EXPECT_DOUBLE_EQ(meter.update(1000, kSecond + RateMeter::kIntervalNsMin - 1), 10);
  EXPECT_DOUBLE_EQ(meter.update(30, 2 * kSecond), 20);
}

TEST(RateMeter, StartsAnewWhenTheCounterOrTheClockGoesBack) {
  RateMeter meter;
  meter.update(100, 0);
  ASSERT_DOUBLE_EQ(meter.update(200, kSecond), 100);
  EXPECT_EQ(meter.update(5, 2 * kSecond), 0);
  EXPECT_DOUBLE_EQ(meter.update(10, 3 * kSecond), 5);
  EXPECT_EQ(meter.update(20, kSecond), 0);
}

}  // namespace
}  // namespace stratwire::telemetry
