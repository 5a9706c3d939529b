#include <algorithm>
#include <cstdint>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stratwire/queue/spsc_bytes.hpp>

#include "../../support/seed.hpp"

namespace stratwire::queue {
namespace {

using testing::ElementsAre;

bool push(SpscBytes& ring, std::string_view text) {
  char* const memory = ring.try_reserve(text.size());
  if (memory == nullptr) return false;
  std::copy(text.begin(), text.end(), memory);
  ring.commit();
  ring.publish();
  return true;
}

std::string_view text_of(std::span<char> record) {
  return {record.data(), record.size()};
}

std::vector<std::string> drain(SpscBytes& ring) {
  std::vector<std::string> records;
  ring.pop_batch(
      [&records](std::span<char> record) noexcept { records.emplace_back(text_of(record)); }, 1000);
  return records;
}

TEST(SpscBytes, CapacityIsRoundedUpToAPowerOfTwo) {
  EXPECT_EQ(SpscBytes(0).capacity_bytes(), SpscBytes::kCapacityMin);
  EXPECT_EQ(SpscBytes(65).capacity_bytes(), 128u);
  EXPECT_EQ(SpscBytes(4096).capacity_bytes(), 4096u);
}

TEST(SpscBytesDeathTest, CapacityAboveTheLimitIsABrokenContract) {
  EXPECT_DEATH(SpscBytes(SpscBytes::kCapacityMax + 1), "contract broken");
}

TEST(SpscBytes, NewRingIsEmpty) {
  SpscBytes ring(64);
  EXPECT_TRUE(ring.front().empty());
  EXPECT_TRUE(ring.empty());
  EXPECT_EQ(ring.used_bytes_approx(), 0u);
}

TEST(SpscBytes, RecordComesOutAsItWentIn) {
  SpscBytes ring(256);
  ASSERT_TRUE(push(ring, "hello"));
  EXPECT_EQ(text_of(ring.front()), "hello");
  EXPECT_EQ(text_of(ring.front()), "hello");
  EXPECT_EQ(ring.used_bytes_approx(), 16u);
  ring.pop();
  EXPECT_TRUE(ring.empty());
}

TEST(SpscBytes, RecordsAreAligned) {
  SpscBytes ring(1024);
  for (std::size_t size = 1; size < 20; ++size) {
    char* const memory = ring.try_reserve(size);
    ASSERT_NE(memory, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % SpscBytes::kRecordAlignment, 0u);
    ring.commit();
  }
}

TEST(SpscBytes, CommittedRecordIsUnseenUntilPublished) {
  SpscBytes ring(256);
  std::memcpy(ring.try_reserve(3), "one", 3);
  ring.commit();
  std::memcpy(ring.try_reserve(3), "two", 3);
  ring.commit();
  EXPECT_TRUE(ring.empty());
  ring.publish();
  EXPECT_THAT(drain(ring), ElementsAre("one", "two"));
}

TEST(SpscBytes, ReservationWithoutCommitIsForgotten) {
  SpscBytes ring(256);
  std::memcpy(ring.try_reserve(7), "dropped", 7);
  std::memcpy(ring.try_reserve(4), "kept", 4);
  ring.commit();
  ring.commit();
  ring.publish();
  EXPECT_THAT(drain(ring), ElementsAre("kept"));
}

TEST(SpscBytes, CommitOfNothingForgetsTheReservation) {
  SpscBytes ring(256);
  ASSERT_NE(ring.try_reserve(7), nullptr);
  ring.commit(0);
  ring.publish();
  EXPECT_TRUE(ring.empty());
  EXPECT_EQ(ring.used_bytes_approx(), 0u);
}

TEST(SpscBytes, ShorterCommitGivesTheRestBack) {
  SpscBytes ring(128);
  std::memcpy(ring.try_reserve(50), "short", 5);
  ring.commit(5);
  ring.publish();
  EXPECT_EQ(ring.used_bytes_approx(), 16u);
  EXPECT_THAT(drain(ring), ElementsAre("short"));
}

TEST(SpscBytes, FullRingRefusesWithoutOverwriting) {
  SpscBytes ring(64);
  for (const char* text : {"aaaaaaaa", "bbbbbbbb", "cccccccc", "dddddddd"}) {
    ASSERT_TRUE(push(ring, text));
  }
  EXPECT_EQ(ring.try_reserve(1), nullptr);
  EXPECT_THAT(drain(ring), ElementsAre("aaaaaaaa", "bbbbbbbb", "cccccccc", "dddddddd"));
}

TEST(SpscBytes, StagedRecordsCountAsUsed) {
  SpscBytes ring(64);
  for (int i = 0; i < 4; ++i) {
    ASSERT_NE(ring.try_reserve(8), nullptr);
    ring.commit();
  }
  EXPECT_EQ(ring.try_reserve(8), nullptr);
}

TEST(SpscBytes, PoppedRecordKeepsItsMemoryUntilRelease) {
  SpscBytes ring(64);
  while (push(ring, "12345678")) {
  }
  const std::span<char> record = ring.front();
  ring.pop();
  EXPECT_EQ(ring.try_reserve(8), nullptr);
  EXPECT_EQ(text_of(record), "12345678");
  ring.release();
  EXPECT_EQ(ring.try_reserve(8), record.data());
}

TEST(SpscBytes, LargestRecordFitsAtEveryPosition) {
  constexpr std::size_t kCapacity = 256;
  for (std::size_t offset = 0; offset < kCapacity; offset += 16) {
    SpscBytes ring(kCapacity);
    for (std::size_t at = 0; at < offset; at += 16) {
      ASSERT_TRUE(push(ring, "12345678"));
      ASSERT_EQ(drain(ring).size(), 1u);
    }
    const std::string largest(ring.record_bytes_max(), 'x');
    ASSERT_TRUE(push(ring, largest)) << "after " << offset << " bytes";
    EXPECT_THAT(drain(ring), ElementsAre(largest));
  }
}

TEST(SpscBytes, LargerThanTheLargestIsRefused) {
  SpscBytes ring(256);
  EXPECT_EQ(ring.record_bytes_max(), 256 / 2 - SpscBytes::kHeaderBytes);
  EXPECT_EQ(ring.try_reserve(ring.record_bytes_max() + 1), nullptr);
  EXPECT_EQ(ring.try_reserve(static_cast<std::size_t>(-1)), nullptr);
  EXPECT_NE(ring.try_reserve(ring.record_bytes_max()), nullptr);
}

TEST(SpscBytes, EmptyRecordIsRefused) {
  SpscBytes ring(64);
  EXPECT_EQ(ring.try_reserve(0), nullptr);
}

TEST(SpscBytes, RecordIsNeverSplit) {
  SpscBytes ring(64);
  ASSERT_TRUE(push(ring, std::string(24, 'a')));  // 32 bytes
  ASSERT_TRUE(push(ring, std::string(8, 'b')));   // 48 bytes
  ASSERT_EQ(drain(ring).size(), 2u);
  // 16 bytes are left before the end: a record of 24 goes to the start, with 16 of padding.
  const char* const start = ring.try_reserve(16);
  ASSERT_NE(start, nullptr);
  ring.commit();
  ring.publish();
  EXPECT_EQ(ring.used_bytes_approx(), 16u + 24u);
  const std::span<char> record = ring.front();
  EXPECT_EQ(record.size(), 16u);
  EXPECT_EQ(record.data(), start);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(start) % kIsolationBytes, SpscBytes::kHeaderBytes);
}

TEST(SpscBytes, PaddingThatWasNotCommittedLeavesNoTrace) {
  SpscBytes ring(64);
  ASSERT_TRUE(push(ring, std::string(24, 'a')));
  ASSERT_TRUE(push(ring, std::string(8, 'b')));
  ASSERT_EQ(drain(ring).size(), 2u);
  ASSERT_NE(ring.try_reserve(16), nullptr);  // would wrap
  char* const memory = ring.try_reserve(8);  // fits before the end
  ASSERT_NE(memory, nullptr);
  std::memcpy(memory, "12345678", 8);
  ring.commit();
  ring.publish();
  EXPECT_EQ(ring.used_bytes_approx(), 16u);
  EXPECT_THAT(drain(ring), ElementsAre("12345678"));
}

TEST(SpscBytes, PopBatchHeedsItsLimit) {
  SpscBytes ring(256);
  for (const char* text : {"a", "b", "c"}) ASSERT_TRUE(push(ring, text));
  std::size_t seen = 0;
  const auto count = [&seen](std::span<char>) noexcept { ++seen; };
  EXPECT_EQ(ring.pop_batch(count, 2), 2u);
  EXPECT_EQ(ring.pop_batch(count, 2), 1u);
  EXPECT_EQ(ring.pop_batch(count, 2), 0u);
  EXPECT_EQ(seen, 3u);
}

// Random operations, compared with a std::deque of strings.
TEST(SpscBytes, BehavesAsAQueueOfStrings) {
  std::mt19937_64 random(test::seed());
  for (std::size_t capacity = 64; capacity <= 4096; capacity *= 4) {
    SpscBytes ring(capacity);
    std::deque<std::string> staged;
    std::deque<std::string> published;
    for (int step = 0; step < 20'000; ++step) {
      switch (random() % 4) {
        case 0: {
          const std::size_t size = 1 + random() % ring.record_bytes_max();
          const std::string text(size, static_cast<char>('a' + random() % 26));
          if (char* const memory = ring.try_reserve(size)) {
            std::copy(text.begin(), text.end(), memory);
            const std::size_t used = 1 + random() % size;
            ring.commit(used);
            staged.push_back(text.substr(0, used));
          }
          break;
        }
        case 1:
          ring.publish();
          published.insert(published.end(), staged.begin(), staged.end());
          staged.clear();
          break;
        case 2:
          if (published.empty()) {
            ASSERT_TRUE(ring.empty());
          } else {
            ASSERT_EQ(text_of(ring.front()), published.front());
            ring.pop();
            published.pop_front();
          }
          break;
        default:
          ring.release();
          break;
      }
    }
  }
}

}  // namespace
}  // namespace stratwire::queue
