#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/telemetry/histogram.hpp>

#include "../../support/seed.hpp"

namespace stratwire::telemetry {
namespace {

using detail::LatencyBuckets;

TEST(LatencyBuckets, EveryValueLiesInItsBucket) {
  std::size_t last = 0;
  for (std::uint64_t value = 0; value < 100'000; ++value) {
    const std::size_t index = LatencyBuckets::index(value);
    ASSERT_TRUE(index == last || index == last + 1) << value;
    ASSERT_LE(value, LatencyBuckets::upper(index));
    if (index != 0) {
      ASSERT_GT(value, LatencyBuckets::upper(index - 1));
    }
    last = index;
  }
}

TEST(LatencyBuckets, UpperEndIsAtMostOneSixtyFourthAbove) {
  for (std::size_t index = 1; index < LatencyBuckets::kCount; ++index) {
    const double lower = static_cast<double>(LatencyBuckets::upper(index - 1)) + 1;
    const double upper = static_cast<double>(LatencyBuckets::upper(index));
    ASSERT_LE(upper, lower * (1 + 1.0 / 64)) << index;
    ASSERT_EQ(LatencyBuckets::index(LatencyBuckets::upper(index)), index);
  }
}

TEST(LatencyBuckets, LastBucketTakesEverythingBeyond) {
  const std::uint64_t limit = std::uint64_t{1} << LatencyBuckets::kValueBits;
  EXPECT_EQ(LatencyBuckets::index(limit - 1), LatencyBuckets::kCount - 1);
  EXPECT_EQ(LatencyBuckets::index(limit), LatencyBuckets::kCount - 1);
  EXPECT_EQ(LatencyBuckets::index(~std::uint64_t{0}), LatencyBuckets::kCount - 1);
}

TEST(Histogram, EmptyHasNoPercentiles) {
  const Histogram histogram;
  const HistogramSnapshot snapshot = histogram.snapshot();
  EXPECT_EQ(snapshot.count(), 0u);
  EXPECT_EQ(snapshot.percentile(50), 0u);
  EXPECT_EQ(snapshot.max(), 0u);
  EXPECT_EQ(snapshot.mean(), 0);
}

TEST(Histogram, SmallValuesAreExact) {
  Histogram histogram;
  for (std::int64_t ns = 1; ns <= 50; ++ns) histogram.record(ns);
  const HistogramSnapshot snapshot = histogram.snapshot();
  EXPECT_EQ(snapshot.count(), 50u);
  EXPECT_EQ(snapshot.percentile(0), 1u);
  EXPECT_EQ(snapshot.percentile(50), 25u);
  EXPECT_EQ(snapshot.percentile(98), 49u);
  EXPECT_EQ(snapshot.percentile(100), 50u);
  EXPECT_DOUBLE_EQ(snapshot.mean(), 25.5);
}

TEST(Histogram, PercentilesAgreeWithASortedList) {
  std::mt19937_64 random(test::seed());
  std::lognormal_distribution<double> latency(9, 2);
  Histogram histogram;
  std::vector<std::uint64_t> values;
  for (int i = 0; i < 20'000; ++i) {
    const auto ns = static_cast<std::int64_t>(latency(random));
    histogram.record(ns);
    values.push_back(static_cast<std::uint64_t>(ns));
  }
  std::sort(values.begin(), values.end());
  const HistogramSnapshot snapshot = histogram.snapshot();
  for (const double percent : {0.1, 10.0, 50.0, 90.0, 99.0, 99.9, 100.0}) {
    const auto rank =
        static_cast<std::size_t>(std::ceil(percent / 100 * static_cast<double>(values.size())));
    const std::uint64_t exact = values[std::max<std::size_t>(rank, 1) - 1];
    EXPECT_GE(snapshot.percentile(percent), exact) << percent;
    EXPECT_LE(static_cast<double>(snapshot.percentile(percent)),
              static_cast<double>(exact) * (1 + 1.0 / 64))
        << percent;
  }
  EXPECT_EQ(snapshot.max(), values.back());
}

TEST(Histogram, PercentOutOfRangeIsClamped) {
  Histogram histogram;
  histogram.record(3);
  histogram.record(9);
  EXPECT_EQ(histogram.snapshot().percentile(-5), 3u);
  EXPECT_EQ(histogram.snapshot().percentile(500), 9u);
}

TEST(Histogram, PercentileIsNeverAboveTheMaximum) {
  Histogram histogram;
  histogram.record(1'000'001);
  EXPECT_EQ(histogram.snapshot().percentile(50), 1'000'001u);
}

TEST(Histogram, HugeValuesKeepAnExactMaximum) {
  Histogram histogram;
  const std::int64_t hours = std::int64_t{5} * 3600 * 1'000'000'000;
  histogram.record(hours);
  EXPECT_EQ(histogram.snapshot().max(), static_cast<std::uint64_t>(hours));
  EXPECT_EQ(histogram.snapshot().percentile(99), static_cast<std::uint64_t>(hours));
}

TEST(Histogram, NegativeLatencyIsCountedApart) {
  Histogram histogram;
  histogram.record(-1);
  histogram.record(10);
  const HistogramSnapshot snapshot = histogram.snapshot();
  EXPECT_EQ(snapshot.count(), 1u);
  EXPECT_EQ(snapshot.negative(), 1u);
  EXPECT_EQ(snapshot.percentile(0), 10u);
}

TEST(Histogram, MergeIsAsIfRecordedInOne) {
  Histogram first;
  Histogram second;
  Histogram both;
  // The largest goes to the second.
  for (std::int64_t i = 0; i <= 1000; ++i) {
    (i % 3 == 0 ? first : second).record(i * 997 - 5);
    both.record(i * 997 - 5);
  }
  HistogramSnapshot merged = first.snapshot();
  merged.merge(second.snapshot());
  const HistogramSnapshot expected = both.snapshot();
  EXPECT_EQ(merged.count(), expected.count());
  EXPECT_EQ(merged.negative(), expected.negative());
  EXPECT_EQ(merged.max(), expected.max());
  EXPECT_EQ(merged.sum(), expected.sum());
  for (double percent = 0; percent <= 100; percent += 0.5) {
    ASSERT_EQ(merged.percentile(percent), expected.percentile(percent)) << percent;
  }
}

TEST(Histogram, CanBeReadWhileItIsWritten) {
  constexpr std::uint64_t kTotal = 50'000;
  Histogram histogram;
  std::thread writer([&histogram] {
    for (std::uint64_t i = 0; i < kTotal; ++i) histogram.record(static_cast<std::int64_t>(i % 999));
  });
  std::uint64_t last = 0;
  while (last < kTotal) {
    const HistogramSnapshot snapshot = histogram.snapshot();
    ASSERT_GE(snapshot.count(), last);
    ASSERT_LE(snapshot.percentile(100), 998u);
    last = snapshot.count();
  }
  writer.join();
}

}  // namespace
}  // namespace stratwire::telemetry
