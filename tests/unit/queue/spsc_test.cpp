#include <array>
#include <cstdint>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stratwire/queue/spsc.hpp>

namespace stratwire::queue {
namespace {

using testing::ElementsAre;

/// Counts how many of it are alive.
struct Counted {
  explicit Counted(int* alive) noexcept : alive_(alive) { ++*alive_; }
  Counted(Counted&& other) noexcept : alive_(other.alive_) { ++*alive_; }
  Counted& operator=(Counted&&) noexcept = default;
  ~Counted() { --*alive_; }
  int* alive_;
};

/// Its copy throws when it holds `kBad`.
struct Fragile {
  static constexpr int kBad = 13;
  Fragile(int value) : value_(value) {}  // NOLINT: implicit
  Fragile(const Fragile& other) : value_(other.value_) {
    if (value_ == kBad) throw std::runtime_error("bad copy");
  }
  Fragile& operator=(const Fragile&) = default;
  int value_;
};

template <class T>
std::vector<T> drain(Spsc<T>& ring, std::size_t limit = 1000) {
  std::vector<T> items;
  items.reserve(limit);
  ring.pop_batch([&items](T& item) noexcept { items.push_back(std::move(item)); }, limit);
  return items;
}

TEST(Spsc, CapacityIsRoundedUpToAPowerOfTwo) {
  EXPECT_EQ(Spsc<int>(1).capacity(), 1u);
  EXPECT_EQ(Spsc<int>(2).capacity(), 2u);
  EXPECT_EQ(Spsc<int>(3).capacity(), 4u);
  EXPECT_EQ(Spsc<int>(1000).capacity(), 1024u);
}

TEST(SpscDeathTest, CapacityOfZeroIsABrokenContract) {
  EXPECT_DEATH(Spsc<int>(0), "contract broken");
}

TEST(SpscDeathTest, CapacityAboveTheLimitIsABrokenContract) {
  EXPECT_DEATH(Spsc<int>(Spsc<int>::kCapacityMax + 1), "contract broken");
}

TEST(Spsc, NewRingIsEmpty) {
  Spsc<int> ring(4);
  int out = 7;
  EXPECT_FALSE(ring.try_pop(out));
  EXPECT_EQ(out, 7);
  EXPECT_EQ(ring.front(), nullptr);
  EXPECT_TRUE(ring.empty());
  EXPECT_EQ(ring.size_approx(), 0u);
}

TEST(Spsc, FullQueueRefusesWithoutOverwriting) {
  Spsc<int> ring(4);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(ring.try_push(i));
  EXPECT_FALSE(ring.try_push(99));
  EXPECT_EQ(ring.size_approx(), 4u);
  EXPECT_THAT(drain(ring), ElementsAre(0, 1, 2, 3));
}

TEST(Spsc, RefusedItemIsNotMovedFrom) {
  Spsc<std::unique_ptr<int>> ring(1);
  ASSERT_TRUE(ring.try_push(std::make_unique<int>(1)));
  auto second = std::make_unique<int>(2);
  EXPECT_FALSE(ring.try_push(std::move(second)));
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(*second, 2);
}

TEST(Spsc, OrderIsKeptOverManyLaps) {
  Spsc<std::uint64_t> ring(8);
  std::uint64_t pushed = 0;
  std::uint64_t popped = 0;
  for (int round = 0; round < 1000; ++round) {
    for (int i = 0; i < round % 9; ++i) {
      if (ring.try_push(pushed)) ++pushed;
    }
    std::uint64_t out = 0;
    for (int i = 0; i < round % 7; ++i) {
      if (ring.try_pop(out)) {
        ASSERT_EQ(out, popped++);
      }
    }
  }
  EXPECT_GT(popped, 2000u);
}

TEST(Spsc, OneFreedSlotTakesOneItem) {
  Spsc<int> ring(2);
  ASSERT_TRUE(ring.try_push(1));
  ASSERT_TRUE(ring.try_push(2));
  int out = 0;
  ASSERT_TRUE(ring.try_pop(out));
  EXPECT_TRUE(ring.try_push(3));
  EXPECT_FALSE(ring.try_push(4));
}

TEST(Spsc, FrontStaysUntilPop) {
  Spsc<std::string> ring(2);
  ASSERT_TRUE(ring.try_emplace(3u, 'x'));
  ASSERT_NE(ring.front(), nullptr);
  EXPECT_EQ(*ring.front(), "xxx");
  EXPECT_EQ(*ring.front(), "xxx");
  ring.pop();
  EXPECT_EQ(ring.front(), nullptr);
}

TEST(Spsc, BatchTakesWhatFits) {
  Spsc<int> ring(8);
  ASSERT_TRUE(ring.try_push(-1));
  std::array<int, 10> items{};
  std::iota(items.begin(), items.end(), 0);
  EXPECT_EQ(ring.try_push_batch(items), 7u);
  EXPECT_EQ(ring.try_push_batch(items), 0u);
  EXPECT_THAT(drain(ring), ElementsAre(-1, 0, 1, 2, 3, 4, 5, 6));
}

TEST(Spsc, BatchWrapsAround) {
  Spsc<int> ring(4);
  const std::array<int, 3> first{1, 2, 3};
  const std::array<int, 4> second{4, 5, 6, 7};
  ASSERT_EQ(ring.try_push_batch(first), 3u);
  EXPECT_THAT(drain(ring), ElementsAre(1, 2, 3));
  EXPECT_EQ(ring.try_push_batch(second), 4u);
  EXPECT_THAT(drain(ring), ElementsAre(4, 5, 6, 7));
}

TEST(SpscDeathTest, PopOfAnEmptyRingIsABrokenContract) {
#ifdef NDEBUG
  GTEST_SKIP() << "hot-path checks are left out of release builds";
#else
  Spsc<int> ring(4);
  EXPECT_DEATH(ring.pop(), "contract broken");
#endif
}

TEST(Spsc, EmptyBatchIsNothing) {
  Spsc<int> ring(4);
  EXPECT_EQ(ring.try_push_batch(std::span<const int>{}), 0u);
  EXPECT_TRUE(ring.empty());
}

TEST(Spsc, PopBatchHeedsItsLimit) {
  Spsc<int> ring(8);
  const std::array<int, 5> items{1, 2, 3, 4, 5};
  ASSERT_EQ(ring.try_push_batch(items), 5u);
  EXPECT_THAT(drain(ring, 0), ElementsAre());
  EXPECT_THAT(drain(ring, 2), ElementsAre(1, 2));
  EXPECT_THAT(drain(ring, 100), ElementsAre(3, 4, 5));
}

TEST(Spsc, MoveOnlyItemsTravelInBatches) {
  Spsc<std::unique_ptr<int>> ring(4);
  std::vector<std::unique_ptr<int>> items;
  for (int i = 0; i < 6; ++i) items.push_back(std::make_unique<int>(i));
  EXPECT_EQ(ring.try_push_batch(std::move_iterator(items.begin()), items.size()), 4u);
  EXPECT_EQ(items[3], nullptr);
  ASSERT_NE(items[4], nullptr);
  std::unique_ptr<int> out;
  ASSERT_TRUE(ring.try_pop(out));
  EXPECT_EQ(*out, 0);
}

TEST(Spsc, PoppedItemsAreDestroyed) {
  int alive = 0;
  Spsc<Counted> ring(4);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(ring.try_emplace(&alive));
  EXPECT_EQ(alive, 3);
  ASSERT_NE(ring.front(), nullptr);
  ring.pop();
  EXPECT_EQ(alive, 2);
  ring.pop_batch([](Counted&) noexcept {}, 10);
  EXPECT_EQ(alive, 0);
}

TEST(Spsc, LeftItemsAreDestroyedWithTheRing) {
  int alive = 0;
  {
    Spsc<Counted> ring(4);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(ring.try_emplace(&alive));
    ASSERT_NE(ring.front(), nullptr);
    ring.pop();
    ASSERT_TRUE(ring.try_emplace(&alive));
    ASSERT_TRUE(ring.try_emplace(&alive));
    EXPECT_EQ(alive, 4);
  }
  EXPECT_EQ(alive, 0);
}

TEST(Spsc, ThrowingCopyLeavesTheRingAsItWas) {
  Spsc<Fragile> ring(4);
  const Fragile bad(Fragile::kBad);
  EXPECT_THROW(static_cast<void>(ring.try_push(bad)), std::runtime_error);
  EXPECT_TRUE(ring.empty());
}

TEST(Spsc, ThrowingCopyInABatchKeepsThoseBeforeIt) {
  Spsc<Fragile> ring(4);
  const std::array<int, 2> good{1, 2};
  ASSERT_EQ(ring.try_push_batch(good.begin(), good.size()), 2u);
  std::vector<Fragile> items;
  items.reserve(2);
  items.emplace_back(3);
  items.emplace_back(Fragile::kBad);
  EXPECT_THROW(static_cast<void>(ring.try_push_batch(items)), std::runtime_error);
  EXPECT_EQ(ring.size_approx(), 3u);
  std::vector<int> seen;
  ring.pop_batch([&seen](Fragile& item) noexcept { seen.push_back(item.value_); }, 10);
  EXPECT_THAT(seen, ElementsAre(1, 2, 3));
}

TEST(Spsc, NoexceptIsExactlyThatOfTheItem) {
  using Plain = Spsc<int>;
  using Throwing = Spsc<Fragile>;
  static_assert(noexcept(std::declval<Plain&>().try_push(1)));
  static_assert(noexcept(std::declval<Plain&>().try_push_batch(std::span<const int>{})));
  static_assert(!noexcept(std::declval<Throwing&>().try_push(std::declval<const Fragile&>())));
  static_assert(!noexcept(std::declval<Throwing&>().try_push_batch(std::span<const Fragile>{})));
  static_assert(noexcept(std::declval<Throwing&>().pop()));
  SUCCEED();
}

TEST(Spsc, OverAlignedItemsAreAligned) {
  struct alignas(256) Wide {
    int value = 0;
  };
  Spsc<Wide> ring(2);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(ring.try_push(Wide{i}));
    ASSERT_NE(ring.front(), nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(ring.front()) % 256, 0u);
    ring.pop();
  }
}

}  // namespace
}  // namespace stratwire::queue
