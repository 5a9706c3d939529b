#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/telemetry/counter.hpp>

namespace stratwire::telemetry {
namespace {

TEST(Counter, CountsFromZero) {
  Counter counter;
  EXPECT_EQ(counter.value(), 0u);
  counter.add();
  counter.add(41);
  EXPECT_EQ(counter.value(), 42u);
}

TEST(Counter, ReaderSeesItGrowOnly) {
  constexpr std::uint64_t kTotal = 100'000;
  Counter counter;
  std::thread writer([&counter] {
    for (std::uint64_t i = 0; i < kTotal; ++i) counter.add();
  });
  std::uint64_t last = 0;
  while (last < kTotal) {
    const std::uint64_t now = counter.value();
    ASSERT_GE(now, last);
    last = now;
  }
  writer.join();
  EXPECT_EQ(counter.value(), kTotal);
}

TEST(SharedCounter, LosesNothingBetweenWriters) {
  SharedCounter counter;
  std::vector<std::thread> writers;
  for (int i = 0; i < 4; ++i) {
    writers.emplace_back([&counter] {
      for (int n = 0; n < 25'000; ++n) counter.add();
      counter.add(1000);
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(counter.value(), 104'000u);
}

TEST(Gauge, GoesUpAndDown) {
  Gauge gauge;
  gauge.set(5);
  gauge.add(-7);
  EXPECT_EQ(gauge.value(), -2);
  gauge.add(3);
  EXPECT_EQ(gauge.value(), 1);
}

}  // namespace
}  // namespace stratwire::telemetry
