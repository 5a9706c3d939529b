#include <gtest/gtest.h>

#include <stratwire/queue/sleep_flag.hpp>

namespace stratwire::queue {
namespace {

TEST(SleepFlag, NobodyIsWokenWhileNobodySleeps) {
  SleepFlag flag;
  EXPECT_FALSE(flag.take());
}

TEST(SleepFlag, AnnouncementIsTakenOnce) {
  SleepFlag flag;
  flag.announce();
  EXPECT_TRUE(flag.take());
  EXPECT_FALSE(flag.take());
}

TEST(SleepFlag, WithdrawnAnnouncementIsNotTaken) {
  SleepFlag flag;
  flag.announce();
  flag.withdraw();
  EXPECT_FALSE(flag.take());
}

TEST(SleepFlag, CanBeAnnouncedAgain) {
  SleepFlag flag;
  flag.announce();
  ASSERT_TRUE(flag.take());
  flag.withdraw();
  flag.announce();
  EXPECT_TRUE(flag.take());
}

}  // namespace
}  // namespace stratwire::queue
