#include "frame_log.hpp"

#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "../../support/seed.hpp"

namespace stratwire::server {
namespace {

std::string text(std::span<const char> bytes) {
  return {bytes.begin(), bytes.end()};
}

void append(FrameLog& log, LogBufferPool& pool, std::string_view bytes, std::uint64_t seq = 0,
            FrameMark::Keep keep = FrameMark::Keep::by_channel) {
  log.append(std::span(bytes), keep, nullptr, seq, pool);
}

TEST(FrameLog, HoldsFromAnyPositionToTheHead) {
  LogBufferPool pool;
  FrameLog log;
  EXPECT_EQ(log.head(), 0U);
  EXPECT_TRUE(log.from(0).empty());
  EXPECT_TRUE(log.marks_from(0).empty());
  append(log, pool, "abc", 1);
  append(log, pool, "defgh", 2);
  EXPECT_EQ(log.head(), 8U);
  EXPECT_EQ(log.frames(), 2U);
  EXPECT_EQ(text(log.from(0)), "abcdefgh");
  EXPECT_EQ(text(log.from(4)), "efgh");
  EXPECT_TRUE(log.from(8).empty());
  EXPECT_EQ(log.marks_from(0).size(), 2U);
  EXPECT_EQ(log.marks_from(2).size(), 2U) << "inside the first frame";
  ASSERT_EQ(log.marks_from(3).size(), 1U) << "between the two";
  EXPECT_EQ(log.marks_from(3)[0].seq, 2U);
  EXPECT_EQ(log.marks_from(7).size(), 1U);
  EXPECT_TRUE(log.marks_from(8).empty());
}

TEST(FrameLog, PositionsGoOnAcrossReset) {
  LogBufferPool pool;
  FrameLog log;
  append(log, pool, "abc", 1);
  log.reset(pool);
  EXPECT_EQ(log.head(), 3U);
  EXPECT_EQ(log.tail(), 3U);
  EXPECT_EQ(log.size(), 0U);
  append(log, pool, "de", 2);
  EXPECT_EQ(log.head(), 5U);
  EXPECT_EQ(text(log.from(3)), "de");
  ASSERT_EQ(log.marks_from(3).size(), 1U);
  EXPECT_EQ(log.marks_from(3)[0].end, 5U);
}

TEST(FrameLog, TrimsInsideAFrame) {
  LogBufferPool pool;
  FrameLog log;
  append(log, pool, "abc", 1);
  append(log, pool, "defgh", 2);
  append(log, pool, "i", 3);
  log.trim(5);
  EXPECT_EQ(log.tail(), 5U);
  EXPECT_EQ(text(log.from(5)), "fghi");
  ASSERT_EQ(log.marks_from(5).size(), 2U);
  EXPECT_EQ(log.marks_from(5)[0].seq, 2U);
  EXPECT_EQ(log.marks_from(8).size(), 1U);
  log.trim(9);
  EXPECT_EQ(log.frames(), 0U);
  EXPECT_EQ(log.head(), 9U);
}

TEST(FrameLog, CountsDataMessagesOnly) {
  using Keep = FrameMark::Keep;
  LogBufferPool pool;
  FrameLog log;
  append(log, pool, "heartbeat", 0, Keep::never);
  append(log, pool, "a", 1);
  append(log, pool, "heartbeat", 0, Keep::never);
  append(log, pool, "broadcast", 0, Keep::always);
  append(log, pool, "b", 2);
  const auto marks = log.marks_from(0);
  EXPECT_EQ(count_data(marks), 3U);
  EXPECT_EQ(count_data(marks.first(0)), 0U);
  EXPECT_EQ(count_data(marks.first(1)), 0U);
  EXPECT_EQ(count_data(marks.first(2)), 1U);
  EXPECT_EQ(count_data(marks.subspan(1, 1)), 1U);
  EXPECT_EQ(count_data(marks.subspan(1, 2)), 1U);
  EXPECT_EQ(count_data(marks.subspan(2)), 2U);
  EXPECT_EQ(log.data_frames(), 3U);
  log.trim(marks[1].end);
  EXPECT_EQ(log.data_frames(), 2U) << "one is forgotten";
  log.reset(pool);
  EXPECT_EQ(log.data_frames(), 0U);
  append(log, pool, "c", 3);
  EXPECT_EQ(count_data(log.marks_from(log.tail())), 1U);
  EXPECT_EQ(log.data_frames(), 1U);
}

TEST(FrameLog, PoolLendsTheSameMemoryAgain) {
  LogBufferPool pool;
  FrameLog log;
  append(log, pool, std::string(1'000, 'x'), 1);
  const char* const memory = log.from(0).data();
  log.reset(pool);
  FrameLog other;
  append(other, pool, std::string(1'000, 'y'), 1);
  EXPECT_EQ(other.from(0).data(), memory);
  EXPECT_EQ(other.frames(), 1U) << "frames of the last borrower";
}

TEST(FrameLog, PoolKeepsNoMegabytes) {
  LogBufferPool pool;
  FrameLog log;
  append(log, pool, std::string(3 << 20, 'x'), 1);
  log.reset(pool);
  EXPECT_EQ(pool.take()->bytes.capacity(), 0U);
}

TEST(FrameLog, AgreesWithASimpleModel) {
  struct Frame {
    std::uint64_t begin;
    std::string bytes;
    std::uint64_t seq;
  };
  std::mt19937_64 random(test::seed());
  LogBufferPool pool;
  FrameLog log;
  std::deque<Frame> model;
  std::uint64_t head = 0;
  std::uint64_t tail = 0;
  for (std::uint64_t step = 0; step < 20'000; ++step) {
    switch (random() % 8) {
      case 0:
        tail += random() % (head - tail + 1);
        log.trim(tail);
        break;
      case 1:
        log.reset(pool);
        tail = head;
        break;
      default: {
        const std::string bytes(1 + random() % 40, static_cast<char>('a' + step % 26));
        append(log, pool, bytes, step);
        model.push_back({head, bytes, step});
        head += bytes.size();
      }
    }
    while (!model.empty() && model.front().begin + model.front().bytes.size() <= tail) {
      model.pop_front();
    }
    ASSERT_EQ(log.head(), head);
    ASSERT_EQ(log.tail(), tail);
    ASSERT_EQ(log.data_frames(), model.size());
    const std::uint64_t position = tail + random() % (head - tail + 1);
    std::string bytes;
    std::vector<std::uint64_t> seqs;
    for (const Frame& frame : model) {
      const std::uint64_t end = frame.begin + frame.bytes.size();
      if (end <= position) continue;
      seqs.push_back(frame.seq);
      bytes += frame.begin >= position ? frame.bytes : frame.bytes.substr(position - frame.begin);
    }
    ASSERT_EQ(text(log.from(position)), bytes);
    std::vector<std::uint64_t> marked;
    for (const FrameMark& mark : log.marks_from(position)) marked.push_back(mark.seq);
    ASSERT_EQ(marked, seqs);
  }
}

}  // namespace
}  // namespace stratwire::server
