/// Two and more threads at full speed: nothing lost, doubled, reordered or torn.
///
/// How it works: the producer sends numbered items, with bursts, pauses and sizes drawn from a
/// seed; every item carries a checksum of its contents, which the consumer computes again. The
/// thread sanitizer build of this file looks for data races at the same time.
#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <stratwire_internal/queue/mpmc.hpp>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/queue/spsc.hpp>
#include <stratwire/queue/spsc_bytes.hpp>
#include <stratwire/queue/wait.hpp>

#include "../support/seed.hpp"

namespace stratwire::queue {
namespace {

using Random = std::mt19937_64;

constexpr std::uint64_t kItems = 150'000;

/// FNV-1a.
std::uint64_t checksum(const char* bytes, std::size_t size) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (std::size_t i = 0; i < size; ++i) {
    hash = (hash ^ static_cast<unsigned char>(bytes[i])) * 0x100000001b3u;
  }
  return hash;
}

/// 64 bytes that prove that they belong together.
struct Item {
  std::uint64_t number = 0;
  std::array<std::uint64_t, 6> filling{};
  std::uint64_t sum = 0;

  static Item make(std::uint64_t number) {
    Item item{number, {}, number};
    for (std::size_t i = 0; i < item.filling.size(); ++i) {
      item.filling[i] = number * 0x9e3779b97f4a7c15u + i;
      item.sum ^= item.filling[i];
    }
    return item;
  }
  [[nodiscard]] bool intact() const {
    return std::accumulate(filling.begin(), filling.end(), number,
                           [](auto a, auto b) { return a ^ b; }) == sum;
  }
};

/// Now and then lets the other side run far ahead.
class Hiccups {
 public:
  explicit Hiccups(std::uint64_t seed) : random_(seed) {}
  void step() {
    if (random_() % 4096 == 0) std::this_thread::yield();
  }
  std::size_t up_to(std::size_t limit) { return 1 + random_() % limit; }

 private:
  Random random_;
};

class SpscStress : public testing::TestWithParam<std::size_t> {};

TEST_P(SpscStress, SinglesArriveInOrderAndWhole) {
  const std::uint64_t seed = test::seed();
  Spsc<Item> ring(GetParam());
  std::thread producer([&] {
    Hiccups hiccups(seed);
    for (std::uint64_t i = 0; i < kItems; ++i) {
      while (!ring.try_push(Item::make(i))) std::this_thread::yield();
      hiccups.step();
    }
  });
  Hiccups hiccups(seed + 1);
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < kItems; ++i) {
    Item item;
    while (!ring.try_pop(item)) std::this_thread::yield();
    wrong += item.number != i || !item.intact();
    hiccups.step();
  }
  producer.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_TRUE(ring.empty());
}

TEST_P(SpscStress, BatchesArriveInOrderAndWhole) {
  const std::uint64_t seed = test::seed();
  Spsc<Item> ring(GetParam());
  std::thread producer([&] {
    Hiccups hiccups(seed);
    std::vector<Item> batch;
    for (std::uint64_t next = 0; next < kItems;) {
      batch.clear();
      const std::uint64_t size = std::min<std::uint64_t>(hiccups.up_to(50), kItems - next);
      for (std::uint64_t i = 0; i < size; ++i) batch.push_back(Item::make(next + i));
      for (std::span<const Item> rest(batch); !rest.empty();) {
        const std::size_t pushed = ring.try_push_batch(rest);
        if (pushed == 0) std::this_thread::yield();
        rest = rest.subspan(pushed);
      }
      next += size;
      hiccups.step();
    }
  });
  Hiccups hiccups(seed + 1);
  std::uint64_t seen = 0;
  std::uint64_t wrong = 0;
  while (seen < kItems) {
    const std::size_t popped = ring.pop_batch(
        [&](const Item& item) noexcept { wrong += item.number != seen++ || !item.intact(); },
        hiccups.up_to(40));
    if (popped == 0) std::this_thread::yield();
    hiccups.step();
  }
  producer.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_EQ(seen, kItems);
}

INSTANTIATE_TEST_SUITE_P(Capacity, SpscStress, testing::Values(1, 2, 64, 4096));

/// Records of 16 bytes to the largest: number, checksum, filling.
struct RecordHead {
  std::uint64_t number;
  std::uint64_t sum;
};

class SpscBytesStress : public testing::TestWithParam<std::size_t> {};

TEST_P(SpscBytesStress, RecordsArriveInOrderAndWhole) {
  constexpr std::uint64_t kRecords = 100'000;
  const std::uint64_t seed = test::seed();
  SpscBytes ring(GetParam());
  const std::size_t filling_max =
      std::min<std::size_t>(ring.record_bytes_max() - sizeof(RecordHead), 300);
  std::thread producer([&] {
    Random random(seed);
    for (std::uint64_t i = 0; i < kRecords; ++i) {
      const std::size_t filling = random() % (filling_max + 1);
      char* memory = nullptr;
      while ((memory = ring.try_reserve(sizeof(RecordHead) + filling)) == nullptr) {
        ring.publish();
        std::this_thread::yield();
      }
      char* const text = memory + sizeof(RecordHead);
      for (std::size_t at = 0; at < filling; ++at) text[at] = static_cast<char>(i + at);
      const RecordHead head{i, checksum(text, filling)};
      std::memcpy(memory, &head, sizeof head);
      ring.commit();
      if (random() % 8 == 0) ring.publish();
    }
    ring.publish();
  });
  Random random(seed + 1);
  std::uint64_t wrong = 0;
  for (std::uint64_t i = 0; i < kRecords; ++i) {
    std::span<char> record = ring.front();
    while (record.empty()) {
      ring.release();
      std::this_thread::yield();
      record = ring.front();
    }
    RecordHead head{};
    std::memcpy(&head, record.data(), sizeof head);
    wrong += head.number != i;
    wrong += head.sum != checksum(record.data() + sizeof head, record.size() - sizeof head);
    ring.pop();
    if (random() % 8 == 0) ring.release();
  }
  producer.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_TRUE(ring.empty());
}

INSTANTIATE_TEST_SUITE_P(Capacity, SpscBytesStress, testing::Values(64, 256, 4096, 65536));

// Both sides sleep for the other at every turn: one lost wake-up and the test hangs.
TEST(ParkStress, NoWakeUpIsLost) {
  constexpr std::uint64_t kTurns = 20'000;
  Spsc<std::uint64_t> there(1);
  Spsc<std::uint64_t> back(1);
  ParkWait there_wait(0);
  ParkWait back_wait(0);
  std::thread other([&] {
    for (std::uint64_t i = 0; i < kTurns; ++i) {
      static_cast<void>(there_wait.wait_until([&] { return !there.empty(); }));
      std::uint64_t value = 0;
      const bool answered = there.try_pop(value) && back.try_push(value + 1);
      if (!answered) std::abort();
      back_wait.notify();
    }
  });
  for (std::uint64_t i = 0; i < kTurns; ++i) {
    ASSERT_TRUE(there.try_push(i));
    there_wait.notify();
    ASSERT_TRUE(back_wait.wait_until([&] { return !back.empty(); }));
    std::uint64_t value = 0;
    ASSERT_TRUE(back.try_pop(value));
    ASSERT_EQ(value, i + 1);
  }
  other.join();
}

// The producer does not wait for the consumer, so that sleeping and publishing meet at every
// offset.
TEST(ParkStress, BurstsWakeTheSleeper) {
  const std::uint64_t seed = test::seed();
  Spsc<std::uint64_t> ring(64);
  ParkWait wait(3);
  std::thread producer([&] {
    Random random(seed);
    for (std::uint64_t i = 0; i < kItems; ++i) {
      while (!ring.try_push(i)) std::this_thread::yield();
      wait.notify();
      for (std::uint64_t pause = random() % 64; pause != 0; --pause) Machine::relax();
    }
  });
  std::uint64_t next = 0;
  std::uint64_t wrong = 0;
  while (next < kItems) {
    ASSERT_TRUE(wait.wait_until([&] { return !ring.empty(); }));
    ring.pop_batch([&](std::uint64_t item) noexcept { wrong += item != next++; }, 8);
  }
  producer.join();
  EXPECT_EQ(wrong, 0u);
}

// Full most of the time: the bound is never exceeded, and each producer's items stay in order.
TEST(MpmcStress, NothingIsLostAndTheBoundHolds) {
  constexpr std::size_t kProducers = 4;
  constexpr std::size_t kCapacity = 100;
  constexpr std::uint64_t kEach = 50'000;
  struct Tagged {
    std::size_t producer = 0;
    std::uint64_t number = 0;
  };
  Mpmc<Tagged> queue({.capacity = kCapacity, .producers = kProducers / 2, .threads = kProducers});
  std::vector<std::thread> threads;
  for (std::size_t p = 0; p < kProducers; ++p) {
    threads.emplace_back([&queue, p] {
      if (p % 2 == 0) {
        Mpmc<Tagged>::Producer producer(queue);
        for (std::uint64_t i = 0; i < kEach; i += 2) {
          std::array<Tagged, 2> pair{Tagged{p, i}, Tagged{p, i + 1}};
          while (!queue.try_push_batch(producer, pair)) std::this_thread::yield();
        }
      } else {
        for (std::uint64_t i = 0; i < kEach; ++i) {
          while (!queue.try_push(Tagged{p, i})) std::this_thread::yield();
        }
      }
    });
  }
  Mpmc<Tagged>::Consumer consumer(queue);
  std::array<std::uint64_t, kProducers> next{};
  std::uint64_t wrong = 0;
  std::size_t most = 0;
  for (std::uint64_t seen = 0; seen < kProducers * kEach;) {
    most = std::max(most, queue.size_approx());
    const std::size_t popped = queue.pop_batch(
        consumer, [&](Tagged&& item) noexcept { wrong += item.number != next[item.producer]++; },
        32);
    if (popped == 0) std::this_thread::yield();
    seen += popped;
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0u);
  EXPECT_LE(most, kCapacity);
  for (const std::uint64_t count : next) EXPECT_EQ(count, kEach);
  EXPECT_EQ(queue.size_approx(), 0u);
}

TEST(MpmcStress, EveryItemGoesToOneConsumer) {
  constexpr std::uint64_t kTotal = 100'000;
  Mpmc<std::uint64_t> queue({.capacity = 1000, .producers = 1, .threads = 1});
  std::atomic<std::uint64_t> sum{0};
  std::atomic<std::uint64_t> count{0};
  std::vector<std::thread> consumers;
  for (int c = 0; c < 3; ++c) {
    consumers.emplace_back([&] {
      Mpmc<std::uint64_t>::Consumer consumer(queue);
      while (count.load() < kTotal) {
        std::uint64_t part = 0;
        const std::size_t popped = queue.pop_batch(
            consumer, [&part](std::uint64_t&& n) noexcept { part += n; }, 16);
        sum += part;
        count += popped;
        if (popped == 0) std::this_thread::yield();
      }
    });
  }
  Mpmc<std::uint64_t>::Producer producer(queue);
  for (std::uint64_t i = 1; i <= kTotal; ++i) {
    while (!queue.try_push(producer, i)) std::this_thread::yield();
  }
  for (std::thread& consumer : consumers) consumer.join();
  EXPECT_EQ(count.load(), kTotal);
  EXPECT_EQ(sum.load(), kTotal * (kTotal + 1) / 2);
}

}  // namespace
}  // namespace stratwire::queue
