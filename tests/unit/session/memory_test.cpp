/// What allocates and what does not, counted by an operator new of this program; it can also
/// refuse.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <new>
#include <string>

#include <gtest/gtest.h>

#include <stratwire/session/log_budget.hpp>
#include <stratwire/session/message_log.hpp>

namespace {

std::uint64_t allocations = 0;
std::uint64_t frees = 0;
bool refusing = false;

void* counted(std::size_t bytes) {
  ++allocations;
  if (void* const memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc{};
}
void* counted_or_refused(std::size_t bytes) noexcept {
  ++allocations;
  return refusing ? nullptr : std::malloc(bytes == 0 ? 1 : bytes);
}
void freed(void* memory) noexcept {
  frees += memory != nullptr;
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t bytes) {
  return counted(bytes);
}
void* operator new[](std::size_t bytes) {
  return counted(bytes);
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return counted_or_refused(bytes);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return counted_or_refused(bytes);
}
// noinline: g++ sees free() meet new, and not that new is malloc() here, when it inlines only one.
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  freed(memory);
}
[[gnu::noinline]] void operator delete[](void* memory) noexcept {
  freed(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  freed(memory);
}
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept {
  freed(memory);
}

namespace stratwire::session {
namespace {

using namespace std::chrono_literals;

constexpr Instant t0{1h};

/// So many records of 100 to 199 bytes, a millisecond apart.
void append(MessageLog& log, int records) {
  static const std::string bytes(200, 'x');
  for (int i = 0; i < records; ++i) {
    const auto number = static_cast<std::size_t>(log.head() + 1);
    log.append(number, t0 + number * 1ms, {bytes.data(), 100 + number * 7 % 100});
  }
}

TEST(MessageLogMemory, FullLogAllocatesNothing) {
  for (const LogLimits limits : {LogLimits{.messages_max = 100}, LogLimits{.bytes_max = 9'000},
                                 LogLimits{.age_max = 50ms}}) {
    MessageLog log(limits);
    append(log, 1'000);
    const std::uint64_t before = allocations;
    append(log, 10'000);
    EXPECT_EQ(allocations, before);
  }
}

TEST(MessageLogMemory, LogThatIsAcknowledgedAllocatesNothing) {
  MessageLog log({});
  append(log, 100);
  const std::uint64_t before = allocations;
  for (int i = 0; i < 100; ++i) {
    log.evict_through(log.head());
    log.evict_older_than(t0 + log.head() * 1ms);
    append(log, 90);
  }
  EXPECT_EQ(allocations, before);
}

TEST(MessageLogMemory, LogAtItsShareOfTheBudgetAllocatesNothing) {
  for (const auto keep : {KeepLatest::no, KeepLatest::yes}) {
    for (const std::size_t cap : {400u, 10'000u}) {
      LogBudget budget(cap);
      MessageLog log({}, keep, &budget);
      append(log, 1'000);
      const std::uint64_t before = allocations;
      append(log, 10'000);
      EXPECT_EQ(allocations, before) << "cap " << cap;
      EXPECT_GT(log.size(), 0u);
    }
  }
}

TEST(MessageLogMemory, LogThatGivesUpMovesOncePerEighthNotOncePerClaim) {
  constexpr std::uint64_t kClaims = 20;
  constexpr std::size_t kHogBytes = 65'536 + 512 * 24;
  LogBudget budget(kHogBytes + 100);
  MessageLog hog({}, KeepLatest::no, &budget);
  append(hog, 2'000);
  ASSERT_EQ(hog.allocated_bytes(), kHogBytes);
  std::deque<MessageLog> logs;
  for (std::uint64_t i = 0; i < kClaims; ++i)
    logs.emplace_back(LogLimits{}, KeepLatest::no, &budget);
  const std::uint64_t before = allocations;
  for (MessageLog& log : logs) append(log, 1);
  EXPECT_LT(allocations - before, 2 * kClaims + kClaims / 2);
  for (const MessageLog& log : logs) EXPECT_EQ(log.size(), 1u);
}

TEST(MessageLogMemory, NewLogAllocatesNothing) {
  const std::uint64_t before = allocations;
  const MessageLog log({});
  EXPECT_EQ(allocations, before);
}

TEST(MessageLogMemory, QuietLogFreesBothRings) {
  MessageLog log({.age_max = 1s});
  append(log, 10);
  const std::uint64_t before = frees;
  log.evict_older_than(t0 + 1h);
  EXPECT_EQ(frees, before + 2);
}

TEST(MessageLogMemory, RefusedMemoryDropsTheOldest) {
  MessageLog log({});
  append(log, 100);
  const std::size_t memory = log.allocated_bytes();
  refusing = true;
  append(log, 1'000);
  refusing = false;
  EXPECT_EQ(log.head(), 1'100u);
  EXPECT_EQ(log.allocated_bytes(), memory);
  EXPECT_GE(log.size(), 90u);
  EXPECT_EQ(log.size() + log.evicted_for_budget(), 1'100u);
  EXPECT_EQ(log.record(1'100)->bytes.size(), 100u + 1'100 * 7 % 100);
}

TEST(MessageLogMemory, RefusedMemoryOfAnEmptyLogLosesTheRecordAndCountsIt) {
  MessageLog log({}, KeepLatest::yes);
  refusing = true;
  append(log, 2);
  refusing = false;
  EXPECT_TRUE(log.empty());
  EXPECT_EQ(log.head(), 2u);
  EXPECT_EQ(log.evicted_for_budget(), 2u);
  append(log, 1);
  EXPECT_EQ(log.size(), 1u);
}

TEST(MessageLogMemory, RefusedMemoryToShrinkLeavesALogAsItIs) {
  LogBudget budget(100'000);
  MessageLog log({.age_max = 1s}, KeepLatest::yes, &budget);
  append(log, 200);
  const std::size_t memory = log.allocated_bytes();
  refusing = true;
  log.evict_older_than(t0 + 1h);
  refusing = false;
  EXPECT_EQ(log.size(), 1u);
  EXPECT_EQ(log.allocated_bytes(), memory);
  EXPECT_EQ(budget.bytes(), memory);
  EXPECT_EQ(log.record(200)->position, 200u);
}

}  // namespace
}  // namespace stratwire::session
