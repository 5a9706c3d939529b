#include "accept_governor.hpp"

#include <cstdint>
#include <set>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace stratwire::server {
namespace {

TEST(AcceptGovernor, TakesTheBurstThenTheRate) {
  AcceptGovernor governor(10, 3);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(governor.admit(1'000), 0U) << i;
  EXPECT_NE(governor.admit(1'000), 0U);
  // One each 100 ms, and no more saved up than the burst.
  EXPECT_EQ(governor.admit(1'100), 0U);
  EXPECT_NE(governor.admit(1'100), 0U);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(governor.admit(60'000), 0U) << i;
  EXPECT_NE(governor.admit(60'000), 0U);
}

TEST(AcceptGovernor, EachIsToldItsOwnTimeAndIsTakenThen) {
  AcceptGovernor governor(100, 5);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(governor.admit(0), 0U);
  std::set<std::uint32_t> waits;
  for (int i = 0; i < 50; ++i) waits.insert(governor.admit(0));
  EXPECT_EQ(waits.size(), 50U) << "nobody comes together with another";
  EXPECT_EQ(*waits.begin(), 10U);
  EXPECT_EQ(*waits.rbegin(), 500U);
  for (const std::uint32_t wait : waits) EXPECT_EQ(governor.admit(wait), 0U) << wait;
}

TEST(AcceptGovernor, NoTimeIsFurtherAwayThanMayBeTold) {
  AcceptGovernor governor(1, 1);
  ASSERT_EQ(governor.admit(0), 0U);
  for (int i = 0; i < 200; ++i) {
    const std::uint32_t wait = governor.admit(0);
    EXPECT_GE(wait, 1'000U);
    EXPECT_LE(wait, AcceptGovernor::kWaitMsMax);
  }
}

TEST(AcceptGovernor, OthersComeBackInTurnToo) {
  AcceptGovernor governor(10, 1'000);
  EXPECT_EQ(governor.come_back(0, 1'000), 1'000U);
  EXPECT_EQ(governor.come_back(0, 1'000), 1'100U);
  EXPECT_EQ(governor.come_back(5'000, 1'000), 1'000U) << "the queue is over";
}

TEST(AcceptGovernor, AnyThreadButTheBurstOnce) {
  AcceptGovernor governor(1, 1'000);
  std::vector<std::thread> threads;
  std::vector<int> taken(4, 0);
  for (std::size_t t = 0; t < taken.size(); ++t) {
    threads.emplace_back([&governor, &mine = taken[t]] {
      for (int i = 0; i < 1'000; ++i) mine += governor.admit(0) == 0 ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken[0] + taken[1] + taken[2] + taken[3], 1'000);
}

}  // namespace
}  // namespace stratwire::server
