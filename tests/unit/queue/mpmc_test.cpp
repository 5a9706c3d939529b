#include <array>
#include <atomic>
#include <cstdint>
#include <malloc.h>
#include <memory>
#include <stratwire_internal/queue/mpmc.hpp>
#include <string_view>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace stratwire::queue {
namespace {

using testing::ElementsAre;
using Numbers = Mpmc<std::uint64_t>;

std::vector<std::uint64_t> drain(Numbers& queue, Numbers::Consumer& consumer,
                                 std::size_t limit = 1'000'000) {
  std::vector<std::uint64_t> items;
  queue.pop_batch(
      consumer, [&items](std::uint64_t&& item) noexcept { items.push_back(item); }, limit);
  return items;
}

TEST(Mpmc, NewQueueIsEmpty) {
  Numbers queue({.capacity = 10});
  Numbers::Consumer consumer(queue);
  EXPECT_TRUE(drain(queue, consumer).empty());
  EXPECT_EQ(queue.size_approx(), 0u);
  EXPECT_EQ(queue.capacity(), 10u);
}

TEST(Mpmc, OrderOfOneProducerIsKept) {
  Numbers queue({.capacity = 100});
  Numbers::Producer producer(queue);
  Numbers::Consumer consumer(queue);
  for (std::uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(queue.try_push(producer, i));
  EXPECT_THAT(drain(queue, consumer), ElementsAre(0, 1, 2));
}

TEST(Mpmc, BoundIsExact) {
  for (const std::size_t capacity : {1u, 31u, 32u, 33u, 100u, 1000u}) {
    Numbers queue({.capacity = capacity});
    Numbers::Producer producer(queue);
    std::size_t pushed = 0;
    while (queue.try_push(producer, pushed)) ++pushed;
    EXPECT_EQ(pushed, capacity);
    EXPECT_EQ(queue.size_approx(), capacity);
  }
}

TEST(MpmcDeathTest, CapacityOutOfRangeIsABrokenContract) {
  EXPECT_DEATH(Numbers({.capacity = 0}), "contract broken");
  EXPECT_DEATH(Numbers({.capacity = kMpmcCapacityMax + 1}), "contract broken");
}

TEST(Mpmc, LargestCapacityHolds) {
  Numbers queue({.capacity = kMpmcCapacityMax, .producers = 1, .threads = 1});
  Numbers::Producer producer(queue);
  Numbers::Consumer consumer(queue);
  // The second time the indices stand in the middle of a block.
  for (int round = 0; round < 2; ++round) {
    std::uint64_t pushed = 0;
    while (queue.try_push(producer, pushed)) ++pushed;
    ASSERT_EQ(pushed, kMpmcCapacityMax);
    ASSERT_EQ(drain(queue, consumer).size(), kMpmcCapacityMax);
    ASSERT_TRUE(queue.try_push(producer, 1));
    ASSERT_EQ(drain(queue, consumer).size(), 1u);
  }
}

TEST(Mpmc, LargestCapacityHoldsWithoutATokenToo) {
  Numbers queue({.capacity = kMpmcCapacityMax, .producers = 1, .threads = 1});
  Numbers::Consumer consumer(queue);
  for (int round = 0; round < 2; ++round) {
    std::uint64_t pushed = 0;
    while (queue.try_push(pushed)) ++pushed;
    ASSERT_EQ(pushed, kMpmcCapacityMax);
    ASSERT_EQ(drain(queue, consumer).size(), kMpmcCapacityMax);
    ASSERT_TRUE(queue.try_push(1));
    ASSERT_EQ(drain(queue, consumer).size(), 1u);
  }
}

// Each producer in turn fills the queue, at every position of its blocks: what it got then it
// keeps, and the others must still find room.
TEST(Mpmc, PromisedCapacityHoldsForEveryProducer) {
  constexpr std::size_t kCapacity = 100;
  constexpr std::size_t kProducers = 5;
  Numbers queue({.capacity = kCapacity, .producers = kProducers, .threads = 1});
  std::vector<std::unique_ptr<Numbers::Producer>> producers;
  for (std::size_t i = 0; i < kProducers; ++i) {
    producers.push_back(std::make_unique<Numbers::Producer>(queue));
  }
  Numbers::Consumer consumer(queue);
  for (std::size_t round = 0; round < 50 * kProducers; ++round) {
    Numbers::Producer& producer = *producers[round % kProducers];
    for (auto& other : producers) ASSERT_TRUE(queue.try_push(*other, 0));
    ASSERT_TRUE(queue.try_push(0));
    std::size_t pushed = kProducers + 1;
    while (queue.try_push(producer, pushed)) ++pushed;
    ASSERT_EQ(pushed, kCapacity) << "round " << round;
    ASSERT_EQ(drain(queue, consumer).size(), kCapacity);
    for (std::size_t i = 0; i < round % 7; ++i) ASSERT_TRUE(queue.try_push(producer, i));
    ASSERT_EQ(drain(queue, consumer).size(), round % 7);
  }
}

TEST(Mpmc, PromisedCapacityHoldsForEveryThreadWithoutAToken) {
  constexpr std::size_t kCapacity = 64;
  constexpr std::size_t kThreads = 8;
  Numbers queue({.capacity = kCapacity, .producers = 0, .threads = kThreads});
  Numbers::Consumer consumer(queue);
  for (int round = 0; round < 5; ++round) {
    std::atomic<std::size_t> pushed{0};
    std::vector<std::thread> threads;
    // All alive at the same time, so that each is a producer of its own.
    for (std::size_t i = 0; i < kThreads; ++i) {
      threads.emplace_back([&] {
        while (queue.try_push(1)) ++pushed;
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(pushed.load(), kCapacity);
    ASSERT_EQ(drain(queue, consumer).size(), kCapacity);
  }
}

TEST(Mpmc, NothingIsAllocatedAfterTheFirstPush) {
  Numbers queue({.capacity = 500, .producers = 1, .threads = 1});
  Numbers::Producer producer(queue);
  Numbers::Consumer consumer(queue);
  ASSERT_TRUE(queue.try_push(1));
  // In use by this thread; a sanitizer's allocator answers 0 to all of it.
  const std::size_t before = mallinfo2().uordblks;
  std::uint64_t popped = 0;
  for (int round = 0; round < 200; ++round) {
    while (queue.try_push(producer, 2) && queue.try_push(3)) {
    }
    popped += queue.pop_batch(
        consumer, [](std::uint64_t&&) noexcept {}, 400);
  }
  EXPECT_EQ(mallinfo2().uordblks, before);
  EXPECT_EQ(popped, 200u * 400u);
}

TEST(Mpmc, BatchIsTakenWholeOrNotAtAll) {
  Numbers queue({.capacity = 5});
  Numbers::Producer producer(queue);
  Numbers::Consumer consumer(queue);
  std::array<std::uint64_t, 3> items{1, 2, 3};
  EXPECT_TRUE(queue.try_push_batch(producer, items));
  EXPECT_FALSE(queue.try_push_batch(producer, items));
  EXPECT_TRUE(queue.try_push_batch(producer, std::span<std::uint64_t>{}));
  EXPECT_THAT(drain(queue, consumer), ElementsAre(1, 2, 3));
  EXPECT_TRUE(queue.try_push_batch(producer, items));
}

TEST(Mpmc, PopBatchHeedsItsLimit) {
  Numbers queue({.capacity = 8});
  Numbers::Producer producer(queue);
  Numbers::Consumer consumer(queue);
  std::array<std::uint64_t, 3> items{1, 2, 3};
  ASSERT_TRUE(queue.try_push_batch(producer, items));
  EXPECT_TRUE(drain(queue, consumer, 0).empty());
  std::array<std::uint64_t, 2> out{};
  EXPECT_EQ(queue.pop_batch(consumer, out), 2u);
  EXPECT_THAT(out, ElementsAre(1, 2));
  EXPECT_EQ(queue.size_approx(), 1u);
  EXPECT_EQ(queue.pop_batch(consumer, out), 1u);
  EXPECT_EQ(out[0], 3u);
}

/// Made of a text, in the queue alone.
struct Length {
  Length() noexcept = default;
  explicit Length(const std::string_view& text) noexcept : value(text.size()) {}
  std::size_t value = 0;
};

TEST(Mpmc, ItemIsMadeInItsPlaceWithinTheBound) {
  Mpmc<Length> queue({.capacity = 2});
  Mpmc<Length>::Consumer consumer(queue);
  EXPECT_TRUE(queue.try_emplace(std::string_view("a")));
  EXPECT_TRUE(queue.try_emplace(std::string_view("abc")));
  EXPECT_FALSE(queue.try_emplace(std::string_view("abcde")));
  std::array<Length, 3> out{};
  ASSERT_EQ(queue.pop_batch(consumer, out), 2u);
  EXPECT_EQ(out[0].value, 1u);
  EXPECT_EQ(out[1].value, 3u);
  EXPECT_TRUE(queue.try_emplace(std::string_view("abcde")));
}

TEST(Mpmc, RefusedItemIsNotMovedFrom) {
  Mpmc<std::unique_ptr<int>> queue({.capacity = 1});
  Mpmc<std::unique_ptr<int>>::Producer producer(queue);
  ASSERT_TRUE(queue.try_push(producer, std::make_unique<int>(1)));
  auto second = std::make_unique<int>(2);
  EXPECT_FALSE(queue.try_push(producer, std::move(second)));
  EXPECT_FALSE(queue.try_push(std::move(second)));
  ASSERT_NE(second, nullptr);
}

TEST(Mpmc, LeftItemsAreDestroyedWithTheQueue) {
  const auto item = std::make_shared<int>(1);
  {
    Mpmc<std::shared_ptr<int>> queue({.capacity = 10});
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(queue.try_push(item));
    EXPECT_EQ(item.use_count(), 11);
  }
  EXPECT_EQ(item.use_count(), 1);
}

TEST(Mpmc, ProducerCanBeMadeAgain) {
  Numbers queue({.capacity = 64, .producers = 1, .threads = 1});
  Numbers::Consumer consumer(queue);
  for (int round = 0; round < 100; ++round) {
    Numbers::Producer producer(queue);
    std::size_t pushed = 0;
    while (queue.try_push(producer, pushed)) ++pushed;
    ASSERT_EQ(pushed, 64u);
    ASSERT_EQ(drain(queue, consumer).size(), 64u);
  }
}

}  // namespace
}  // namespace stratwire::queue
