#include <gtest/gtest.h>

#include <stratwire/session/peer_requests.hpp>

namespace stratwire::session {
namespace {

using std::chrono::seconds;
const Instant t0{seconds{1000}};

std::vector<std::uint64_t> expired(AskedRequests& asked, Instant now) {
  std::vector<std::uint64_t> ids;
  asked.expire(now, [&](std::uint64_t id) { ids.push_back(id); });
  return ids;
}

TEST(AskedRequests, EachIsAnsweredOnce) {
  AskedRequests asked(4);
  asked.add(7, kNever);
  asked.add(9, kNever);
  EXPECT_FALSE(asked.answered(8));
  EXPECT_TRUE(asked.answered(7));
  EXPECT_FALSE(asked.answered(7));
  EXPECT_TRUE(asked.is_open(9));
  EXPECT_EQ(asked.size(), 1u);
}

TEST(AskedRequests, IsFullAtItsLimit) {
  AskedRequests asked(2);
  asked.add(1, kNever);
  EXPECT_FALSE(asked.full());
  asked.add(2, kNever);
  EXPECT_TRUE(asked.full());
}

TEST(AskedRequests, ExpireGivesUpWhatIsDueAndKeepsTheRest) {
  AskedRequests asked(8);
  EXPECT_EQ(asked.next_due(), kNever);
  asked.add(1, t0 + seconds{3});
  asked.add(2, t0 + seconds{1});
  asked.add(3, kNever);
  EXPECT_EQ(asked.next_due(), t0 + seconds{1});
  EXPECT_EQ(expired(asked, t0), std::vector<std::uint64_t>{});
  EXPECT_EQ(expired(asked, t0 + seconds{1}), std::vector<std::uint64_t>{2});
  EXPECT_EQ(asked.next_due(), t0 + seconds{3});
  EXPECT_EQ(expired(asked, t0 + seconds{9}), std::vector<std::uint64_t>{1});
  EXPECT_TRUE(asked.is_open(3));
}

TEST(AskedRequests, GivesUpWrittenOnesOnly) {
  AskedRequests asked(8);
  asked.add(1, kNever);
  asked.add(2, kNever);
  asked.written(1);
  std::vector<std::uint64_t> given;
  asked.give_up(AskedRequests::Which::written, [&](std::uint64_t id) { given.push_back(id); });
  EXPECT_EQ(given, std::vector<std::uint64_t>{1});
  EXPECT_TRUE(asked.is_open(2));
}

TEST(HeardRequests, OneThatIsOwedWaitsForTheUserNoMore) {
  HeardRequests heard(4);
  heard.add(5, kNever);
  EXPECT_TRUE(heard.waits(5));
  heard.owe(5, Errc::request_refused);
  EXPECT_FALSE(heard.waits(5));
  EXPECT_TRUE(heard.knows(5));
  ASSERT_TRUE(heard.next_owed().has_value());
  EXPECT_EQ(heard.next_owed()->id, 5u);
  EXPECT_EQ(heard.next_owed()->code, Errc::request_refused);
  heard.replied(5);
  EXPECT_FALSE(heard.next_owed().has_value());
  EXPECT_FALSE(heard.knows(5));
}

TEST(HeardRequests, OwesDeadlineExceededWhenTheDeadlineHasPassed) {
  HeardRequests heard(4);
  heard.add(5, t0 + seconds{2});
  heard.add(6, kNever);
  EXPECT_EQ(heard.next_due(), t0 + seconds{2});
  heard.expire(t0 + seconds{1});
  EXPECT_TRUE(heard.waits(5));
  heard.expire(t0 + seconds{2});
  EXPECT_FALSE(heard.waits(5));
  EXPECT_EQ(heard.next_owed()->code, Errc::deadline_exceeded);
  EXPECT_EQ(heard.next_due(), kNever);
  EXPECT_TRUE(heard.waits(6));
}

TEST(HeardRequests, ClearForgetsWhatIsOwed) {
  HeardRequests heard(2);
  heard.add(5, t0);
  heard.expire(t0);
  heard.clear();
  EXPECT_FALSE(heard.next_owed().has_value());
  EXPECT_EQ(heard.size(), 0u);
  EXPECT_EQ(heard.next_due(), kNever);
}

}  // namespace
}  // namespace stratwire::session
