#include <stratwire_internal/queue/budget.hpp>

#include <gtest/gtest.h>

namespace stratwire::queue {
namespace {

TEST(Budget, GivesExactlyWhatItHas) {
  Budget budget(5);
  EXPECT_TRUE(budget.try_take(3));
  EXPECT_FALSE(budget.try_take(3));
  EXPECT_TRUE(budget.try_take(2));
  EXPECT_FALSE(budget.try_take(1));
  EXPECT_EQ(budget.taken_approx(), 5u);
}

TEST(Budget, ReturnedPermitsCanBeTakenAgain) {
  Budget budget(2);
  ASSERT_TRUE(budget.try_take(2));
  budget.give_back(1);
  EXPECT_TRUE(budget.try_take(1));
  EXPECT_FALSE(budget.try_take(1));
}

TEST(Budget, BoundHoldsHoweverManyWereGivenBack) {
  Budget budget(3);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(budget.try_take(2));
    ASSERT_FALSE(budget.try_take(2));
    ASSERT_TRUE(budget.try_take(1));
    ASSERT_EQ(budget.taken_approx(), 3u);
    budget.give_back(3);
    ASSERT_EQ(budget.taken_approx(), 0u);
  }
}

TEST(Budget, RequestThatWouldOverflowIsRefused) {
  Budget budget(2);
  ASSERT_TRUE(budget.try_take(1));
  EXPECT_FALSE(budget.try_take(static_cast<std::size_t>(-1)));
}

}  // namespace
}  // namespace stratwire::queue
