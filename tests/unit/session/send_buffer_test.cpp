#include <gtest/gtest.h>

#include <stratwire/session/send_buffer.hpp>

namespace stratwire::session {
namespace {

using namespace std::chrono_literals;

constexpr Instant t0{1h};

Outgoing message(std::uint64_t id, std::size_t bytes = 10, Instant sent_at = t0) {
  return {id * 2, id, std::string(bytes, 'x'), sent_at};
}

/// "1:connection_lost 2:expired".
std::string text(const std::vector<Fate>& fates) {
  std::string result;
  for (const Fate& fate : fates) {
    if (!result.empty()) result += ' ';
    result += std::to_string(fate.user_id) + ':' + std::string{to_string(fate.code)};
  }
  return result;
}

TEST(SendBuffer, HandsOutInOrder) {
  SendBuffer buffer{{}};
  ASSERT_TRUE(buffer.push(message(1)));
  ASSERT_TRUE(buffer.push(message(2)));
  EXPECT_EQ(buffer.next()->user_id, 1u);
  buffer.written(0);
  EXPECT_EQ(buffer.next()->user_id, 2u);
  buffer.written(20);
  EXPECT_EQ(buffer.next(), nullptr);
}

TEST(SendBuffer, RefusesMoreMessagesThanItsLimit) {
  SendBuffer buffer{{.messages_max = 2}};
  EXPECT_TRUE(buffer.push(message(1)));
  EXPECT_TRUE(buffer.push(message(2)));
  EXPECT_FALSE(buffer.push(message(3)));
  buffer.written(0);
  EXPECT_FALSE(buffer.push(message(3))) << "in flight counts too";
  EXPECT_EQ(buffer.answered(2), 1u);
  EXPECT_TRUE(buffer.push(message(3)));
}

TEST(SendBuffer, RefusesMoreBytesThanItsLimit) {
  SendBuffer buffer{{.bytes_max = 100}};
  EXPECT_TRUE(buffer.push(message(1, 60)));
  EXPECT_FALSE(buffer.push(message(2, 41)));
  EXPECT_TRUE(buffer.push(message(2, 40)));
  EXPECT_EQ(buffer.bytes(), 100u);
}

TEST(SendBuffer, AnAnswerEndsOneMessageOnce) {
  SendBuffer buffer{{}};
  ASSERT_TRUE(buffer.push(message(1)));
  EXPECT_EQ(buffer.answered(2), std::nullopt) << "not written yet";
  buffer.written(0);
  EXPECT_TRUE(buffer.knows(2));
  EXPECT_EQ(buffer.answered(2), 1u);
  EXPECT_EQ(buffer.answered(2), std::nullopt);
  EXPECT_FALSE(buffer.knows(2));
  EXPECT_EQ(buffer.bytes(), 0u);
}

TEST(SendBuffer, WhatHadLeftIsReportedAndTheRestIsKeptInOrder) {
  SendBuffer buffer{{}};
  for (std::uint64_t id = 1; id <= 4; ++id) ASSERT_TRUE(buffer.push(message(id)));
  buffer.written(0);
  buffer.written(20);
  buffer.written(40);
  std::vector<Fate> fates;
  // 25 bytes left: the first message whole, the second in part.
  buffer.lost(25, fates);
  EXPECT_EQ(text(fates), "1:connection_lost 2:connection_lost");
  EXPECT_EQ(buffer.next()->user_id, 3u);
  buffer.written(0);
  EXPECT_EQ(buffer.next()->user_id, 4u);
  EXPECT_EQ(buffer.size(), 2u);
}

TEST(SendBuffer, NothingLeftMeansNothingLost) {
  SendBuffer buffer{{}};
  ASSERT_TRUE(buffer.push(message(1)));
  buffer.written(0);
  std::vector<Fate> fates;
  buffer.lost(0, fates);
  EXPECT_EQ(text(fates), "");
  EXPECT_EQ(buffer.next()->user_id, 1u);
}

TEST(SendBuffer, WithoutAnOfflineBufferEverythingIsReported) {
  SendBuffer buffer{{.kept_offline = false}};
  ASSERT_TRUE(buffer.push(message(1)));
  ASSERT_TRUE(buffer.push(message(2)));
  buffer.written(0);
  std::vector<Fate> fates;
  buffer.lost(5, fates);
  EXPECT_EQ(text(fates), "1:connection_lost 2:connection_lost");
  EXPECT_EQ(buffer.size(), 0u);
  EXPECT_EQ(buffer.bytes(), 0u);
}

TEST(SendBuffer, WhatIsTooOldIsReportedOnce) {
  SendBuffer buffer{{.age_max = 5s}};
  ASSERT_TRUE(buffer.push(message(1, 10, t0)));
  ASSERT_TRUE(buffer.push(message(2, 10, t0 + 1s)));
  ASSERT_TRUE(buffer.push(message(3, 10, t0 + 2s)));
  buffer.written(0);
  EXPECT_EQ(buffer.next_expiry(), t0 + 5s);
  std::vector<Fate> fates;
  buffer.expire(t0 + 4999ms, fates);
  EXPECT_EQ(text(fates), "");
  buffer.expire(t0 + 6s, fates);
  EXPECT_EQ(text(fates), "1:expired 2:expired");
  EXPECT_EQ(buffer.answered(2), std::nullopt) << "an answer that comes late is not a second report";
  EXPECT_EQ(buffer.next_expiry(), t0 + 7s);
  EXPECT_EQ(buffer.size(), 1u);
}

TEST(SendBuffer, AnEmptyBufferNeverExpires) {
  SendBuffer buffer{{}};
  EXPECT_EQ(buffer.next_expiry(), kNever);
}

TEST(SendBuffer, ClosingReportsEverythingThatIsLeft) {
  SendBuffer buffer{{}};
  for (std::uint64_t id = 1; id <= 2; ++id) ASSERT_TRUE(buffer.push(message(id)));
  buffer.written(0);
  std::vector<Fate> fates;
  buffer.close(fates);
  EXPECT_EQ(text(fates), "1:connection_lost 2:closed");
  fates.clear();
  buffer.close(fates);
  EXPECT_EQ(text(fates), "");
}

TEST(SendBuffer, ARefusedOneIsGone) {
  SendBuffer buffer{{}};
  ASSERT_TRUE(buffer.push(message(1, 30)));
  const Fate fate = buffer.refuse_next(Errc::too_large);
  EXPECT_EQ(fate.user_id, 1u);
  EXPECT_EQ(fate.code, Errc::too_large);
  EXPECT_EQ(buffer.size(), 0u);
  EXPECT_EQ(buffer.bytes(), 0u);
}

}  // namespace
}  // namespace stratwire::session
