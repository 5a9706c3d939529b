#include <algorithm>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/session/message_log.hpp>

#include "../../support/seed.hpp"

namespace stratwire::session {
namespace {

using namespace std::chrono_literals;

constexpr Instant t0{1h};

std::string text(const MessageLog& log, std::uint64_t seq) {
  const auto record = log.record(seq);
  return record ? std::string(record->bytes) : "(none)";
}

TEST(MessageLog, NumbersFromOneAndGivesBackWhatWasAppended) {
  MessageLog log({});
  EXPECT_TRUE(log.empty());
  EXPECT_EQ(log.head(), 0u);
  EXPECT_EQ(log.first(), 1u);
  EXPECT_EQ(log.append(17, t0, "one"), 1u);
  EXPECT_EQ(log.append(23, t0 + 1s, "two"), 2u);
  EXPECT_EQ(log.first(), 1u);
  EXPECT_EQ(log.head(), 2u);
  EXPECT_EQ(log.bytes(), 6u);
  const auto record = log.record(2);
  ASSERT_TRUE(record);
  EXPECT_EQ(record->bytes, "two");
  EXPECT_EQ(record->at, t0 + 1s);
  EXPECT_EQ(record->position, 23u);
  EXPECT_EQ(text(log, 1), "one");
  EXPECT_FALSE(log.record(0));
  EXPECT_FALSE(log.record(3));
}

TEST(MessageLog, EmptyOneHasNoMemory) {
  MessageLog log({});
  EXPECT_EQ(log.allocated_bytes(), 0u);
  EXPECT_EQ(log.first_after(0), 1u);
  log.evict_older_than(t0);
  log.evict_through(5);
  EXPECT_EQ(log.head(), 0u);
}

// ---- Limits

TEST(MessageLog, OneMessageTooManyPushesOutTheOldest) {
  MessageLog log({.messages_max = 3});
  for (const char* bytes : {"1", "2", "3"}) log.append(0, t0, bytes);
  EXPECT_EQ(log.evicted(), 0u);
  log.append(0, t0, "4");
  EXPECT_EQ(log.first(), 2u);
  EXPECT_EQ(log.head(), 4u);
  EXPECT_EQ(log.evicted(), 1u);
  EXPECT_EQ(text(log, 1), "(none)");
  EXPECT_EQ(text(log, 2), "2");
}

TEST(MessageLog, BytesLimitIsReachedExactly) {
  MessageLog log({.bytes_max = 10});
  log.append(0, t0, "aaaa");
  log.append(0, t0, "bbbbbb");
  EXPECT_EQ(log.size(), 2u);
  log.append(0, t0, "c");
  EXPECT_EQ(log.first(), 2u);
  EXPECT_EQ(log.bytes(), 7u);
  log.append(0, t0, "dddddddddd");
  EXPECT_EQ(log.first(), 4u);
  EXPECT_EQ(text(log, 4), "dddddddddd");
  EXPECT_EQ(log.evicted(), 3u);
}

TEST(MessageLog, RecordIsTooOldOneNanosecondAfterTheLimit) {
  MessageLog log({.age_max = 10s});
  log.append(0, t0, "a");
  log.append(0, t0 + 10s, "b");
  EXPECT_EQ(log.first(), 1u);
  log.append(0, t0 + 10s + 1ns, "c");
  EXPECT_EQ(log.first(), 2u);
  log.evict_older_than(t0 + 20s);
  EXPECT_EQ(log.first(), 2u);
  log.evict_older_than(t0 + 20s + 1ns);
  EXPECT_EQ(log.first(), 3u);
  EXPECT_EQ(log.evicted(), 2u);
}

TEST(MessageLog, AgeLimitMayBeEndless) {
  MessageLog log({.age_max = Duration::max()});
  log.append(0, Instant::min(), "a");
  log.append(0, Instant::max(), "b");
  log.evict_older_than(Instant::max());
  EXPECT_EQ(log.first(), 2u) << "older than 292 years";
  MessageLog usual({.age_max = Duration::max()});
  usual.append(0, Instant{}, "a");
  usual.evict_older_than(t0 + 1'000'000h);
  EXPECT_EQ(usual.size(), 1u);
}

TEST(MessageLog, NegativeAgeLimitIsZero) {
  MessageLog log({.age_max = -5s});
  log.append(0, t0, "a");
  log.append(0, t0, "b");
  EXPECT_EQ(log.size(), 2u);
  log.append(0, t0 + 1ns, "c");
  EXPECT_EQ(log.size(), 1u);
}

TEST(MessageLog, RecordLargerThanTheLimitEmptiesTheLogAndCountsAsAppended) {
  MessageLog log({.bytes_max = 4}, KeepLatest::yes);
  log.append(0, t0, "aa");
  EXPECT_EQ(log.append(0, t0, "bbbbb"), 2u);
  EXPECT_TRUE(log.empty());
  EXPECT_EQ(log.head(), 2u);
  EXPECT_EQ(log.first(), 3u);
  EXPECT_EQ(log.evicted(), 2u);
  EXPECT_EQ(log.append(0, t0, "cccc"), 3u);
  EXPECT_EQ(text(log, 3), "cccc");
}

TEST(MessageLog, LimitsOfZeroKeepNothing) {
  MessageLog log({.messages_max = 0}, KeepLatest::yes);
  EXPECT_EQ(log.append(0, t0, "a"), 1u);
  EXPECT_EQ(log.append(0, t0, ""), 2u);
  EXPECT_TRUE(log.empty());
  EXPECT_EQ(log.allocated_bytes(), 0u);
  EXPECT_EQ(log.evicted(), 2u);
  MessageLog only_empty({.bytes_max = 0});
  only_empty.append(0, t0, "a");
  only_empty.append(0, t0, "");
  EXPECT_EQ(only_empty.first(), 2u);
  EXPECT_EQ(only_empty.size(), 1u);
}

TEST(MessageLog, LimitsAboveTheMostAreTheMost) {
  MessageLog log({.messages_max = SIZE_MAX, .bytes_max = SIZE_MAX});
  log.append(0, t0, "a");
  EXPECT_EQ(text(log, 1), "a");
  EXPECT_LT(log.allocated_bytes(), 1000u);
}

// ---- Hostile input

TEST(MessageLog, EmptyRecordsAreRecords) {
  MessageLog log({.messages_max = 3, .bytes_max = 3});
  for (int i = 0; i < 5; ++i) log.append(0, t0, "");
  EXPECT_EQ(log.size(), 3u);
  log.append(0, t0, "xyz");
  log.append(0, t0, "");
  EXPECT_EQ(log.size(), 3u);
  EXPECT_EQ(text(log, 5), "");
  EXPECT_EQ(text(log, 6), "xyz");
  EXPECT_EQ(text(log, 7), "");
}

TEST(MessageLog, ClockThatGoesBackDropsNothing) {
  MessageLog log({.age_max = 10s});
  log.append(0, t0, "a");
  log.append(0, t0 - 1000s, "b");
  log.evict_older_than(t0 - 2000s);
  EXPECT_EQ(log.size(), 2u);
  EXPECT_EQ(log.record(2)->at, t0 - 1000s);
  // What lies behind a newer one stays as long as that does.
  log.evict_older_than(t0 + 10s);
  EXPECT_EQ(log.size(), 2u);
  log.evict_older_than(t0 + 11s);
  EXPECT_TRUE(log.empty());
}

TEST(MessageLog, BeginningOfTimeIsNotTooOld) {
  MessageLog log({.age_max = 10s});
  log.append(0, Instant::min(), "a");
  log.append(0, Instant::min() + 5s, "b");
  EXPECT_EQ(log.size(), 2u);
}

TEST(MessageLog, NumbersReachTheirEndAndStayThere) {
  MessageLog log({.messages_max = 4});
  log.restart(UINT64_MAX - 3);
  EXPECT_EQ(log.head(), UINT64_MAX - 3);
  EXPECT_EQ(log.append(1, t0, "a"), UINT64_MAX - 2);
  EXPECT_EQ(log.append(2, t0, "b"), UINT64_MAX - 1);
  EXPECT_EQ(log.append(3, t0, "c"), UINT64_MAX);
  EXPECT_EQ(log.append(4, t0, "d"), 0u);
  EXPECT_EQ(log.head(), UINT64_MAX);
  EXPECT_EQ(log.first(), UINT64_MAX - 2);
  EXPECT_EQ(text(log, UINT64_MAX), "c");
  EXPECT_FALSE(log.record(0));
  EXPECT_EQ(log.first_after(2), UINT64_MAX);
  log.evict_through(UINT64_MAX - 1);
  EXPECT_EQ(log.size(), 1u);
  log.evict_through(UINT64_MAX);
  EXPECT_TRUE(log.empty());
  EXPECT_EQ(log.first(), 0u);
  EXPECT_EQ(log.head(), UINT64_MAX);
  EXPECT_EQ(log.append(5, t0, "e"), 0u);
}

// ---- Positions

TEST(MessageLog, FindsTheFirstRecordAfterAPosition) {
  MessageLog log({.messages_max = 5});
  for (const std::uint64_t position : {2u, 3u, 10u, 20u, 20u, 30u, 40u}) {
    log.append(position, t0, "x");
  }
  ASSERT_EQ(log.first(), 3u);
  EXPECT_EQ(log.first_after(0), 3u);
  EXPECT_EQ(log.first_after(9), 3u);
  EXPECT_EQ(log.first_after(10), 4u);
  EXPECT_EQ(log.first_after(19), 4u);
  EXPECT_EQ(log.first_after(20), 6u);
  EXPECT_EQ(log.first_after(39), 7u);
  EXPECT_EQ(log.first_after(40), 8u);
  EXPECT_EQ(log.first_after(UINT64_MAX), 8u);
}

// ---- Acknowledgements and the latest record

TEST(MessageLog, AcknowledgedRecordsGoAndAreNotCountedAsEvicted) {
  MessageLog log({}, KeepLatest::yes);
  for (const char* bytes : {"1", "2", "3"}) log.append(0, t0, bytes);
  log.evict_through(0);
  EXPECT_EQ(log.size(), 3u);
  log.evict_through(2);
  EXPECT_EQ(log.first(), 3u);
  log.evict_through(1);
  EXPECT_EQ(log.first(), 3u);
  log.evict_through(100);
  EXPECT_TRUE(log.empty());
  EXPECT_EQ(log.head(), 3u) << "an acknowledgement of what was never sent is no record";
  EXPECT_EQ(log.evicted(), 0u);
}

TEST(MessageLog, LatestRecordOutlivesItsAgeIfAsked) {
  MessageLog log({.age_max = 1s}, KeepLatest::yes);
  log.append(0, t0, "a");
  log.append(0, t0, "b");
  log.evict_older_than(t0 + 1000s);
  EXPECT_EQ(log.first(), 2u);
  EXPECT_EQ(text(log, 2), "b");
  log.append(0, t0 + 1000s, "c");
  EXPECT_EQ(log.first(), 3u) << "no longer the latest";
}

TEST(MessageLog, RestartForgetsRecordsAndGoesOnFromTheNumber) {
  MessageLog log({});
  log.append(0, t0, "a");
  log.restart(41);
  EXPECT_TRUE(log.empty());
  EXPECT_EQ(log.allocated_bytes(), 0u);
  EXPECT_EQ(log.append(0, t0, "b"), 42u);
  EXPECT_EQ(text(log, 42), "b");
}

// ---- Memory

TEST(MessageLog, QuietLogGivesItsMemoryBack) {
  MessageLog log({.age_max = 10s});
  for (int i = 0; i < 1000; ++i) log.append(0, t0, std::string(100, 'x'));
  EXPECT_GT(log.allocated_bytes(), 100'000u);
  log.evict_older_than(t0 + 11s);
  EXPECT_TRUE(log.empty());
  EXPECT_EQ(log.allocated_bytes(), 0u);
  log.append(0, t0 + 12s, "y");
  EXPECT_EQ(text(log, 1001), "y");
}

TEST(MessageLog, SparseLogGivesMostOfItsMemoryBackAndKeepsItsRecords) {
  MessageLog log({.age_max = 10s}, KeepLatest::yes);
  for (int i = 0; i < 1000; ++i) log.append(0, t0, std::string(100, 'x'));
  log.append(7, t0 + 5s, "a");
  log.append(8, t0 + 6s, "b");
  log.evict_older_than(t0 + 12s);
  EXPECT_EQ(log.size(), 2u);
  EXPECT_LT(log.allocated_bytes(), 1000u);
  EXPECT_EQ(text(log, 1001), "a");
  EXPECT_EQ(text(log, 1002), "b");
  EXPECT_EQ(log.record(1001)->position, 7u);
}

TEST(MessageLog, LogThatUsesAThirdOfItsMemoryKeepsIt) {
  MessageLog log({.age_max = 10s});
  for (int i = 0; i < 600; ++i) log.append(0, t0, std::string(100, 'x'));
  for (int i = 0; i < 400; ++i) log.append(0, t0 + 5s, std::string(100, 'x'));
  const std::size_t memory = log.allocated_bytes();
  log.evict_older_than(t0 + 11s);
  EXPECT_EQ(log.size(), 400u);
  EXPECT_EQ(log.allocated_bytes(), memory);
}

TEST(MessageLog, LogOfOneRecordHasOneEntry) {
  MessageLog log({.messages_max = 1});
  for (int i = 0; i < 10; ++i) log.append(0, t0, std::string(100, 'x'));
  EXPECT_LE(log.allocated_bytes(), 24u + 256u);
}

TEST(MessageLog, AcknowledgedLogKeepsItsMemoryUntilItIsQuiet) {
  MessageLog log({.age_max = 10s});
  for (int i = 0; i < 1000; ++i) log.append(0, t0, std::string(100, 'x'));
  const std::size_t memory = log.allocated_bytes();
  log.evict_through(1000);
  log.evict_older_than(t0 + 10s);
  EXPECT_EQ(log.allocated_bytes(), memory);
  log.evict_older_than(t0 + 11s);
  EXPECT_EQ(log.allocated_bytes(), 0u);
}

TEST(MessageLog, MemoryStaysNearTheLimits) {
  constexpr std::size_t kBytes = 100'000;
  std::mt19937_64 random(test::seed());
  for (const std::size_t largest : {10u, 1'000u, 12'500u, 60'000u, 100'000u}) {
    MessageLog log({.messages_max = 512, .bytes_max = kBytes});
    for (int i = 0; i < 3000; ++i) log.append(0, t0, std::string(random() % largest, 'x'));
    const std::size_t rings = largest <= kBytes / 8 ? kBytes * 9 / 8 : 2 * kBytes;
    EXPECT_LE(log.allocated_bytes(), rings + 512 * 24) << "records up to " << largest;
  }
}

// ---- All of it against a simple model

struct Model {
  struct Record {
    std::uint64_t position;
    Instant at;
    std::string bytes;
  };
  LogLimits limits;
  std::size_t kept;
  std::deque<Record> records{};
  std::uint64_t head = 0;
  std::size_t bytes = 0;
  std::uint64_t evicted = 0;

  void drop() {
    bytes -= records.front().bytes.size();
    records.pop_front();
  }
  void evict_while(std::size_t left, auto&& condition) {
    for (; records.size() > left && condition(); ++evicted) drop();
  }
  void age(Instant now, std::size_t left) {
    evict_while(left, [&] { return now - records.front().at > limits.age_max; });
  }
  void append(Record record) {
    ++head;
    bytes += record.bytes.size();
    const Instant now = record.at;
    records.push_back(std::move(record));
    evict_while(0, [&] { return records.size() > limits.messages_max; });
    evict_while(0, [&] { return bytes > limits.bytes_max; });
    age(now, 1);
  }
  void acknowledge(std::uint64_t seq) {
    while (!records.empty() && first() <= seq) drop();
  }
  [[nodiscard]] std::uint64_t first() const { return head + 1 - records.size(); }
  [[nodiscard]] std::uint64_t first_after(std::uint64_t position) const {
    const auto found = std::find_if(records.begin(), records.end(),
                                    [&](const Record& one) { return one.position > position; });
    return first() + static_cast<std::uint64_t>(found - records.begin());
  }
};

void expect_same(const MessageLog& log, const Model& model, std::uint64_t position) {
  ASSERT_EQ(log.head(), model.head);
  ASSERT_EQ(log.first(), model.first());
  ASSERT_EQ(log.bytes(), model.bytes);
  ASSERT_EQ(log.evicted(), model.evicted);
  ASSERT_EQ(log.evicted_for_budget(), 0u);
  ASSERT_EQ(log.first_after(position), model.first_after(position));
  std::uint64_t seq = model.first();
  for (const auto& one : model.records) {
    const auto record = log.record(seq++);
    ASSERT_TRUE(record);
    ASSERT_EQ(record->bytes, one.bytes);
    ASSERT_EQ(record->at, one.at);
    ASSERT_EQ(record->position, one.position);
  }
  ASSERT_FALSE(log.record(seq));
  ASSERT_FALSE(log.record(model.first() - 1));
}

void agree(LogLimits limits, KeepLatest keep, std::size_t record_max, std::mt19937_64& random) {
  MessageLog log(limits, keep);
  Model model{limits, keep == KeepLatest::yes ? 1u : 0u};
  // Some begin near the end of the numbers.
  model.head = random() % 2 == 0 ? 0 : UINT64_MAX - 10'000;
  log.restart(model.head);
  std::uint64_t position = 0;
  Instant now = t0;
  for (int step = 0; step < 3000; ++step) {
    now += Duration{random() % 10};
    if (random() % 50 == 0) now -= Duration{random() % 100};
    position += random() % 3;
    switch (random() % 16) {
      case 0:
        log.evict_older_than(now);
        model.age(now, model.kept);
        break;
      case 1: {
        const std::uint64_t seq = model.first() + random() % (model.records.size() + 1) - 1;
        if (random() % 4 != 0) break;
        log.evict_through(seq);
        model.acknowledge(seq);
        break;
      }
      case 2:
        now += Duration{random() % 400};
        break;
      default: {
        const std::size_t bytes = random() % (random() % 8 == 0 ? record_max + 1 : 9);
        std::string record(bytes, '\0');
        for (char& c : record) c = static_cast<char>(random());
        ASSERT_EQ(log.append(position, now, record), model.head + 1);
        model.append({position, now, std::move(record)});
      }
    }
    ASSERT_NO_FATAL_FAILURE(expect_same(log, model, random() % (position + 2))) << "step " << step;
  }
}

TEST(MessageLog, AgreesWithASimpleModelAtEachLimit) {
  constexpr std::size_t kMany = 1'000'000;
  constexpr Duration kLong = 1h;
  std::mt19937_64 random(test::seed());
  for (const auto keep : {KeepLatest::no, KeepLatest::yes}) {
    for (int round = 0; round < 5; ++round) {
      const std::size_t some = 1 + random() % 70;
      const auto messages = [&] { agree({some, kMany, kLong}, keep, 300, random); };
      const auto bytes = [&] { agree({kMany, some * 9, kLong}, keep, some * 10, random); };
      const auto age = [&] { agree({kMany, kMany, Duration{some * 10}}, keep, 300, random); };
      const auto all = [&] { agree({some, some * 9, Duration{some * 5}}, keep, 60, random); };
      ASSERT_NO_FATAL_FAILURE(messages()) << "messages_max " << some;
      ASSERT_NO_FATAL_FAILURE(bytes()) << "bytes_max " << some * 9;
      ASSERT_NO_FATAL_FAILURE(age()) << "age_max " << some * 10;
      ASSERT_NO_FATAL_FAILURE(all()) << "all of " << some;
    }
  }
}

}  // namespace
}  // namespace stratwire::session
