#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/session/log_budget.hpp>
#include <stratwire/session/message_log.hpp>

#include "../../support/seed.hpp"

namespace stratwire::session {
namespace {

using namespace std::chrono_literals;

constexpr Instant t0{1h};
const std::string k100(100, 'x');

void append(MessageLog& log, int records, const std::string& bytes = k100) {
  for (int i = 0; i < records; ++i) log.append(0, t0, bytes);
}

TEST(LogBudget, CountsWhatItsLogsAllocate) {
  LogBudget budget(1'000'000);
  MessageLog a({}, KeepLatest::no, &budget);
  EXPECT_EQ(budget.bytes(), 0u);
  EXPECT_EQ(budget.logs(), 0u) << "a log without memory has no share";
  append(a, 50);
  {
    MessageLog b({}, KeepLatest::no, &budget);
    append(b, 7);
    EXPECT_EQ(budget.bytes(), a.allocated_bytes() + b.allocated_bytes());
    EXPECT_EQ(budget.logs(), 2u);
  }
  EXPECT_EQ(budget.bytes(), a.allocated_bytes());
  EXPECT_EQ(budget.logs(), 1u);
  a.restart(0);
  EXPECT_EQ(budget.bytes(), 0u);
  EXPECT_EQ(budget.logs(), 0u);
}

TEST(LogBudget, LogThatMayNotGrowDropsItsOwnOldest) {
  LogBudget budget(10'000);
  MessageLog log({}, KeepLatest::no, &budget);
  append(log, 500);
  EXPECT_LE(budget.bytes(), 10'000u);
  EXPECT_GT(log.size(), 30u);
  EXPECT_EQ(log.head(), 500u);
  EXPECT_EQ(log.record(500)->bytes, k100);
  EXPECT_EQ(log.evicted(), 0u);
  EXPECT_EQ(log.evicted_for_budget(), 500 - log.size());
  EXPECT_EQ(budget.evicted(), log.evicted_for_budget());
}

TEST(LogBudget, LogBelowItsShareTakesFromThoseAboveTheirs) {
  LogBudget budget(64'000);
  MessageLog hog({}, KeepLatest::no, &budget);
  append(hog, 1000);
  const std::size_t had = hog.allocated_bytes();
  EXPECT_GT(had, 32'000u);
  MessageLog small({}, KeepLatest::no, &budget);
  append(small, 1);
  EXPECT_EQ(small.size(), 1u);
  append(small, 99);
  EXPECT_GE(small.allocated_bytes(), 16'000u) << "half its share at the least";
  EXPECT_EQ(hog.head(), 1000u);
  EXPECT_EQ(hog.record(1000)->bytes, k100) << "the oldest go, not the newest";
  EXPECT_LE(budget.bytes(), 64'000u);
}

TEST(LogBudget, LogAboveItsShareTakesNothingFromOthersLikeIt) {
  LogBudget budget(64'000);
  MessageLog a({}, KeepLatest::no, &budget);
  MessageLog b({}, KeepLatest::no, &budget);
  MessageLog small({}, KeepLatest::no, &budget);
  append(small, 1);
  for (int i = 0; i < 1000; ++i) {
    append(a, 1);
    append(b, 1);
  }
  ASSERT_GT(b.allocated_bytes(), 64'000u / 3);
  const std::size_t size = b.size();
  const std::size_t memory = b.allocated_bytes();
  append(a, 1000);
  EXPECT_EQ(b.size(), size);
  EXPECT_EQ(b.allocated_bytes(), memory);
}

TEST(LogBudget, SmallClaimCostsAHogLittle) {
  constexpr std::size_t kHogBytes = 524'288 + 8'192 * 24;
  LogBudget budget(kHogBytes + 100);
  MessageLog hog({.messages_max = 1'000'000, .bytes_max = 10'000'000}, KeepLatest::no, &budget);
  append(hog, 20'000);
  ASSERT_EQ(hog.allocated_bytes(), kHogBytes);
  const std::size_t size = hog.size();
  MessageLog small({}, KeepLatest::no, &budget);
  append(small, 1);
  EXPECT_EQ(small.size(), 1u);
  EXPECT_GT(hog.size(), size * 3 / 4);
}

TEST(LogBudget, LargeClaimIsMetAtOnce) {
  constexpr std::size_t kHogBytes = 32'768 + 512 * 24;
  LogBudget budget(kHogBytes + 100);
  MessageLog hog({}, KeepLatest::no, &budget);
  append(hog, 1000);
  ASSERT_EQ(hog.allocated_bytes(), kHogBytes);
  MessageLog other({}, KeepLatest::no, &budget);
  other.append(0, t0, std::string(20'000, 'y'));
  EXPECT_EQ(other.size(), 1u);
}

TEST(LogBudget, LooksAtSoManyLogsAndGoesOnFromThereTheNextTime) {
  LogBudget budget(64'000);
  std::deque<MessageLog> smalls;
  for (std::size_t i = 0; i < 2 * LogBudget::kLooksMax + 8; ++i) {
    append(smalls.emplace_back(LogLimits{}, KeepLatest::no, &budget), 2);
  }
  MessageLog hog({}, KeepLatest::no, &budget);
  append(hog, 1000);
  const std::uint64_t evicted = hog.evicted_for_budget();
  const std::string large(1'100, 'y');
  append(smalls[0], 1, large);
  EXPECT_EQ(hog.evicted_for_budget(), evicted) << "it is too far away";
  EXPECT_EQ(smalls[0].evicted_for_budget(), 2u);
  for (std::size_t i = 1; i < 4; ++i) append(smalls[i], 1, large);
  EXPECT_GT(hog.evicted_for_budget(), evicted);
  EXPECT_EQ(smalls[3].evicted_for_budget(), 0u);
}

TEST(LogBudget, OthersGiveUpInTurn) {
  constexpr std::size_t kHogs = 8;
  LogBudget budget(800'000);
  std::deque<MessageLog> logs;
  for (std::size_t i = 0; i < kHogs; ++i) {
    append(logs.emplace_back(LogLimits{}, KeepLatest::no, &budget), 1000);
  }
  for (std::size_t i = 0; i < 40; ++i) {
    append(logs.emplace_back(LogLimits{}, KeepLatest::no, &budget), 100);
  }
  for (std::size_t i = 0; i < kHogs; ++i) {
    EXPECT_GT(logs[i].evicted_for_budget(), 0u) << i;
    EXPECT_GE(logs[i].allocated_bytes(), 800'000 / 48 / 2) << i;
  }
  for (std::size_t i = kHogs; i < logs.size(); ++i) {
    EXPECT_GE(logs[i].allocated_bytes(), 800'000 / 48 / 2) << i;
  }
  EXPECT_LE(budget.bytes(), 800'000u);
}

TEST(LogBudget, RecordThatFitsNowhereCountsAsAppendedAndEvicted) {
  LogBudget budget(1'000);
  MessageLog log({}, KeepLatest::no, &budget);
  append(log, 2);
  EXPECT_EQ(log.append(0, t0, std::string(2'000, 'y')), 3u);
  EXPECT_TRUE(log.empty());
  EXPECT_EQ(log.head(), 3u);
  EXPECT_EQ(log.evicted_for_budget(), 3u);
  EXPECT_EQ(budget.evicted(), 3u);
  EXPECT_EQ(log.append(0, t0, "z"), 4u);
  EXPECT_EQ(log.size(), 1u);
}

TEST(LogBudget, RecordThatFitsAloneIsKeptAlone) {
  LogBudget budget(1'000);
  MessageLog log({}, KeepLatest::no, &budget);
  append(log, 3);
  log.append(0, t0, std::string(700, 'y'));
  EXPECT_EQ(log.size(), 1u);
  EXPECT_EQ(log.record(4)->bytes, std::string(700, 'y'));
  EXPECT_LE(budget.bytes(), 1'000u);
}

TEST(LogBudget, LatestRecordIsKeptAboveTheCapIfAsked) {
  LogBudget budget(0);
  MessageLog kept({}, KeepLatest::yes, &budget);
  MessageLog other({}, KeepLatest::no, &budget);
  append(kept, 3);
  append(other, 3);
  EXPECT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept.first(), 3u);
  EXPECT_EQ(kept.record(3)->bytes, k100);
  EXPECT_TRUE(other.empty());
  EXPECT_EQ(budget.bytes(), kept.allocated_bytes());
  EXPECT_EQ(budget.evicted(), 5u);
}

TEST(LogBudget, LatestRecordIsNotGivenUpForOthers) {
  LogBudget budget(4'000);
  MessageLog kept({}, KeepLatest::yes, &budget);
  kept.append(0, t0, std::string(3'000, 'k'));
  MessageLog other({}, KeepLatest::no, &budget);
  append(other, 100);
  EXPECT_EQ(kept.size(), 1u);
  EXPECT_EQ(kept.record(1)->bytes, std::string(3'000, 'k'));
  EXPECT_LE(budget.bytes(), 4'000u);
  EXPECT_GT(other.size(), 0u);
}

TEST(LogBudget, AgesItsLogsInTurn) {
  LogBudget budget(1'000'000);
  std::deque<MessageLog> logs;
  for (int i = 0; i < 10; ++i) {
    append(logs.emplace_back(LogLimits{.age_max = 10s}, KeepLatest::no, &budget), 5);
  }
  budget.evict_older_than(t0 + 5s, 100);
  EXPECT_EQ(budget.logs(), 10u);
  budget.evict_older_than(t0 + 11s, 4);
  EXPECT_EQ(budget.logs(), 6u);
  budget.evict_older_than(t0 + 11s, 4);
  EXPECT_EQ(budget.logs(), 2u);
  budget.evict_older_than(t0 + 11s, 1'000'000);
  EXPECT_EQ(budget.logs(), 0u);
  EXPECT_EQ(budget.bytes(), 0u);
  budget.evict_older_than(t0 + 11s, 4);
  for (const MessageLog& log : logs) EXPECT_EQ(log.first(), 6u);
}

TEST(LogBudget, AgesEachLogInTurnThoughNoneGoesAway) {
  LogBudget budget(1'000'000);
  std::deque<MessageLog> logs;
  for (int i = 0; i < 3; ++i) {
    append(logs.emplace_back(LogLimits{.age_max = 10s}, KeepLatest::yes, &budget), 5);
  }
  for (int i = 0; i < 3; ++i) budget.evict_older_than(t0 + 11s, 1);
  for (const MessageLog& log : logs) EXPECT_EQ(log.size(), 1u);
}

TEST(LogBudget, LogMayEndWhileItIsTheNextInTurn) {
  LogBudget budget(1'000'000);
  auto first = std::make_unique<MessageLog>(LogLimits{.age_max = 10s}, KeepLatest::no, &budget);
  MessageLog second({.age_max = 10s}, KeepLatest::no, &budget);
  append(*first, 1);
  append(second, 1);
  first.reset();
  budget.evict_older_than(t0 + 11s, 1);
  EXPECT_TRUE(second.empty());
}

// ---- Random logs under one cap: always the newest records, in one run, every byte accounted for

struct Stream {
  Stream(LogLimits limits, KeepLatest keep_latest, LogBudget& budget)
      : log(limits, keep_latest, &budget), keep(keep_latest) {}
  MessageLog log;
  KeepLatest keep;
  std::vector<std::string> appended{};
  std::uint64_t acknowledged = 0;

  void append(std::string bytes, Instant now) {
    ASSERT_EQ(log.append(0, now, bytes), appended.size() + 1);
    appended.push_back(std::move(bytes));
    if (keep == KeepLatest::yes) {
      ASSERT_FALSE(log.empty());
    }
  }
  void acknowledge(std::uint64_t seq) {
    const std::size_t size = log.size();
    log.evict_through(seq);
    acknowledged += size - log.size();
  }
  void check() const {
    ASSERT_EQ(log.head(), appended.size());
    ASSERT_EQ(log.size() + log.evicted() + log.evicted_for_budget() + acknowledged,
              appended.size());
    for (std::uint64_t seq = log.first(); seq <= log.head(); ++seq) {
      ASSERT_EQ(log.record(seq)->bytes, appended[seq - 1]) << "seq " << seq;
    }
  }
};

void check(const LogBudget& budget, const std::deque<Stream>& streams) {
  std::size_t memory = 0;
  std::size_t kept = 0;
  std::size_t logs = 0;
  std::uint64_t evicted = 0;
  for (const Stream& stream : streams) {
    ASSERT_NO_FATAL_FAILURE(stream.check());
    memory += stream.log.allocated_bytes();
    evicted += stream.log.evicted_for_budget();
    logs += stream.log.allocated_bytes() != 0;
    if (stream.keep == KeepLatest::yes) kept += stream.log.allocated_bytes();
  }
  ASSERT_EQ(budget.bytes(), memory);
  ASSERT_EQ(budget.evicted(), evicted);
  ASSERT_EQ(budget.logs(), logs);
  ASSERT_TRUE(memory <= budget.bytes_max() || memory - kept <= budget.bytes_max());
}

TEST(LogBudget, EveryLogHoldsTheNewestOfItsRecordsUnderAnyCap) {
  std::mt19937_64 random(test::seed());
  for (int round = 0; round < 30; ++round) {
    LogBudget budget(random() % 40'000);
    std::deque<Stream> streams;
    for (std::size_t logs = 1 + random() % 12; streams.size() < logs;) {
      streams.emplace_back(LogLimits{1 + random() % 300, 100 + random() % 9'000, 1s},
                           random() % 4 == 0 ? KeepLatest::yes : KeepLatest::no, budget);
    }
    Instant now = t0;
    for (int step = 0; step < 2000; ++step) {
      now += Duration{random() % 2'000'000};
      Stream& stream = streams[random() % (1 + random() % streams.size())];
      switch (random() % 32) {
        case 0:
          budget.evict_older_than(now, random() % 5);
          break;
        case 1:
          if (stream.keep == KeepLatest::no) stream.acknowledge(stream.log.first() + random() % 9);
          break;
        default: {
          const std::size_t bytes = random() % (random() % 16 == 0 ? 101 : 40);
          ASSERT_NO_FATAL_FAILURE(
              stream.append(std::string(bytes, static_cast<char>('a' + step % 26)), now));
        }
      }
      if (step % 16 == 0) {
        ASSERT_NO_FATAL_FAILURE(check(budget, streams)) << round << ", " << step;
      }
    }
    ASSERT_NO_FATAL_FAILURE(check(budget, streams)) << round;
  }
}

}  // namespace
}  // namespace stratwire::session
