#include <limits>
#include <random>

#include <gtest/gtest.h>

#include <stratwire/session/clock_offset.hpp>

namespace stratwire::session {
namespace {

using namespace std::chrono_literals;

constexpr Instant t0{1h};
constexpr std::int64_t kWall = 1'700'000'000'000'000'000;

/// A Ping that took `out`, a server that thought for 5 us, and a Pong that took `back`.
ClockSample trip(Duration offset, Duration out, Duration back, std::int64_t at = kWall) {
  const std::int64_t thinking = 5'000;
  return {at, at + out.count() + offset.count(), at + out.count() + thinking + offset.count(),
          at + out.count() + thinking + back.count()};
}

TEST(ClockOffset, KnowsNothingWithoutASample) {
  const ClockOffset clock;
  EXPECT_FALSE(clock.estimate(t0));
  EXPECT_FALSE(clock.latency(t0, {kWall, kWall + 1'000'000}));
}

TEST(ClockOffset, AnEvenTripGivesTheOffsetAndHalfTheTripAsItsError) {
  ClockOffset clock;
  ASSERT_TRUE(clock.add(t0, trip(70ms, 100us, 100us)));
  const auto estimate = clock.estimate(t0);
  ASSERT_TRUE(estimate);
  EXPECT_EQ(estimate->offset, 70ms);
  EXPECT_EQ(estimate->error, 100us);
}

TEST(ClockOffset, TheShortestTripIsBelieved) {
  ClockOffset clock;
  ASSERT_TRUE(clock.add(t0, trip(1ms, 100us, 8ms)));
  ASSERT_TRUE(clock.add(t0, trip(1ms, 100us, 120us)));
  ASSERT_TRUE(clock.add(t0, trip(1ms, 5ms, 100us)));
  EXPECT_EQ(clock.estimate(t0)->error, 110us);
  EXPECT_EQ(clock.estimate(t0)->offset, 990us);
}

TEST(ClockOffset, TheTrueOffsetIsAlwaysWithinTheError) {
  std::mt19937_64 random{20261121};
  std::uniform_int_distribution<std::int64_t> delay{0, 20'000'000};
  ClockOffset clock;
  const Duration offset = -3s;
  Instant now = t0;
  for (int i = 0; i < 1'000; ++i) {
    ASSERT_TRUE(clock.add(now, trip(offset, Duration{delay(random)}, Duration{delay(random)})));
    const auto estimate = clock.estimate(now);
    ASSERT_LE(std::chrono::abs(estimate->offset - offset), estimate->error) << "sample " << i;
    now += 1s;
  }
}

TEST(ClockOffset, AgeMakesItLessCertain) {
  ClockOffset clock;
  ASSERT_TRUE(clock.add(t0, trip(0ms, 100us, 100us)));
  EXPECT_EQ(clock.estimate(t0 + 10s)->error, 100us + 1ms);
  // So that a worse one that is new wins in time.
  ASSERT_TRUE(clock.add(t0 + 10s, trip(0ms, 200us, 200us)));
  EXPECT_EQ(clock.estimate(t0 + 10s)->error, 200us);
}

TEST(ClockOffset, TheWindowForgets) {
  ClockOffset clock;
  ASSERT_TRUE(clock.add(t0, trip(0ms, 0us, 0us)));
  for (std::size_t i = 0; i < ClockOffset::kSamplesMax; ++i) {
    ASSERT_TRUE(clock.add(t0, trip(0ms, 1ms, 1ms)));
  }
  EXPECT_EQ(clock.estimate(t0)->error, 1ms);
}

TEST(ClockOffset, AClockThatWasSetMakesItStartAnew) {
  ClockOffset clock;
  ASSERT_TRUE(clock.add(t0, trip(0ms, 10us, 10us)));
  ASSERT_TRUE(clock.add(t0 + 1s, trip(1h, 500us, 500us)));
  EXPECT_EQ(clock.estimate(t0 + 1s)->offset, 1h) << "though the old one seems the better one";
}

TEST(ClockOffset, WhatCannotBeIsLeftOut) {
  ClockOffset clock;
  EXPECT_FALSE(clock.add(t0, {kWall, 0, 0, kWall + 10})) << "an older server says no times";
  EXPECT_FALSE(clock.add(t0, {kWall, kWall, kWall + 100, kWall + 50})) << "a negative trip";
  EXPECT_FALSE(clock.add(t0, {kWall, kWall + 9, kWall + 8, kWall + 50})) << "answered before asked";
  constexpr std::int64_t kMin = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  EXPECT_FALSE(clock.add(t0, {kMin, kMax, kMax, kMax}));
  EXPECT_FALSE(clock.add(t0, {kMax, kMin, kMin, kMin}));
  EXPECT_FALSE(clock.estimate(t0));
}

TEST(ClockOffset, LatencyIsToldOnlyBeyondTheErrorAndNeverNegative) {
  ClockOffset clock;
  ASSERT_TRUE(clock.add(t0, trip(70ms, 100us, 100us)));
  const std::int64_t server_time = kWall + 70'000'000;
  EXPECT_EQ(clock.latency(t0, {server_time, kWall + 250'000}), 250us);
  EXPECT_FALSE(clock.latency(t0, {server_time, kWall + 100'000})) << "within the error";
  EXPECT_FALSE(clock.latency(t0, {server_time, kWall - 50'000})) << "before it was sent";
  EXPECT_FALSE(clock.latency(t0, {std::numeric_limits<std::int64_t>::min(), kWall}));
}

}  // namespace
}  // namespace stratwire::session
