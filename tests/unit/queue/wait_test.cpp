#include <atomic>
#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include <stratwire/queue/wait.hpp>

namespace stratwire::queue {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

/// Every strategy keeps the same promises.
template <class Strategy>
struct Make {
  Strategy wait{};
};
template <Waiting kKind>
struct MakeAny {
  Wait wait{kKind};
};
struct MakeSleepyPark {
  ParkWait wait{0};
};

template <class Maker>
class EveryWait : public testing::Test {
 protected:
  Maker maker_{};
};
using Makers =
    testing::Types<Make<SpinWait>, Make<YieldWait>, Make<ParkWait>, MakeSleepyPark,
                   MakeAny<Waiting::spin>, MakeAny<Waiting::yield>, MakeAny<Waiting::park>>;
TYPED_TEST_SUITE(EveryWait, Makers);

TYPED_TEST(EveryWait, ReturnsAtOnceWhenReady) {
  int looks = 0;
  EXPECT_TRUE(this->maker_.wait.wait_until([&looks] { return ++looks > 0; }));
  EXPECT_EQ(looks, 1);
}

TYPED_TEST(EveryWait, LooksOnceMoreWhenTheDeadlineHasPassed) {
  int looks = 0;
  EXPECT_FALSE(this->maker_.wait.wait_until(
      [&looks] {
        ++looks;
        return false;
      },
      Clock::now() - 1s));
  EXPECT_GE(looks, 1);
}

TYPED_TEST(EveryWait, ReadyWinsOverAPassedDeadline) {
  EXPECT_TRUE(this->maker_.wait.wait_until([] { return true; }, Clock::now() - 1s));
}

TYPED_TEST(EveryWait, NeverGivesUpBeforeTheDeadline) {
  const auto deadline = Clock::now() + 3ms;
  EXPECT_FALSE(this->maker_.wait.wait_until([] { return false; }, deadline));
  EXPECT_GE(Clock::now(), deadline);
}

TYPED_TEST(EveryWait, DeadlineBeforeTheEpochHasPassed) {
  EXPECT_FALSE(this->maker_.wait.wait_until([] { return false; }, Deadline(-1ns)));
}

TYPED_TEST(EveryWait, SeesWhatAnotherThreadPublished) {
  std::atomic<int> published{0};
  std::thread producer([&] {
    for (int i = 1; i <= 200; ++i) {
      published.store(i, std::memory_order_release);
      this->maker_.wait.notify();
    }
  });
  for (int seen = 0; seen < 200;) {
    // Without a deadline: a lost wake-up would hang the test.
    ASSERT_TRUE(this->maker_.wait.wait_until(
        [&] { return published.load(std::memory_order_acquire) > seen; }));
    seen = published.load(std::memory_order_acquire);
  }
  producer.join();
}

TEST(ParkWait, NotifyWithoutASleeperIsNotRemembered) {
  ParkWait wait(0);
  wait.notify();
  const auto deadline = Clock::now() + 2ms;
  EXPECT_FALSE(wait.wait_until([] { return false; }, deadline));
  EXPECT_GE(Clock::now(), deadline);
}

TEST(ParkWait, SleepsInsteadOfSpinning) {
  ParkWait wait(0);
  int looks = 0;
  EXPECT_FALSE(wait.wait_until(
      [&looks] {
        ++looks;
        return false;
      },
      Clock::now() + 20ms));
  // Two looks for one sleep; a few more if the kernel wakes it without a cause.
  EXPECT_LE(looks, 20);
}

TEST(Wait, KnowsItsKind) {
  EXPECT_EQ(Wait(Waiting::yield).waiting(), Waiting::yield);
}

}  // namespace
}  // namespace stratwire::queue
