#include <set>

#include <gtest/gtest.h>

#include <stratwire/session/subscription_tracker.hpp>

namespace stratwire::session {
namespace {

using Names = std::vector<std::string>;

Names many(std::size_t count) {
  Names names;
  for (std::size_t i = 0; i < count; ++i) names.push_back("prices:" + std::to_string(10'000 + i));
  return names;
}

TEST(SubscriptionTracker, EachConnectAsksForEveryWish) {
  SubscriptionTracker tracker;
  static_cast<void>(tracker.subscribe(Names{"prices:A", "prices:B"}));
  for (int i = 0; i < 3; ++i) {
    const auto requests = tracker.connected();
    ASSERT_EQ(requests.size(), 1u);
    EXPECT_EQ(requests[0].channels, (Names{"prices:A", "prices:B"}));
  }
}

TEST(SubscriptionTracker, WhatIsTakenBackIsNotAskedForAgain) {
  SubscriptionTracker tracker;
  static_cast<void>(tracker.subscribe(Names{"prices:A", "prices:B"}));
  const auto requests = tracker.unsubscribe(Names{"prices:A"});
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].channels, Names{"prices:A"});
  EXPECT_FALSE(tracker.wished("prices:A"));
  EXPECT_EQ(tracker.connected().at(0).channels, Names{"prices:B"});
}

TEST(SubscriptionTracker, NothingWishedNothingAsked) {
  SubscriptionTracker tracker;
  EXPECT_TRUE(tracker.connected().empty());
  EXPECT_TRUE(tracker.all_answered());
}

TEST(SubscriptionTracker, WishingAgainIsOneWish) {
  SubscriptionTracker tracker;
  static_cast<void>(tracker.subscribe(Names{"prices:A"}));
  static_cast<void>(tracker.subscribe(Names{"prices:A"}));
  EXPECT_EQ(tracker.size(), 1u);
}

TEST(SubscriptionTracker, RequestsStayWithinTheChannelLimit) {
  SubscriptionTracker tracker{{.channels_max = 100, .bytes_max = 1 << 20}};
  const Names names = many(1024);
  std::set<std::string> asked;
  std::set<std::uint64_t> ids;
  for (const Subscribe& request : tracker.subscribe(names)) {
    EXPECT_LE(request.channels.size(), 100u);
    ids.insert(request.id);
    asked.insert(request.channels.begin(), request.channels.end());
  }
  EXPECT_EQ(asked.size(), names.size());
  EXPECT_EQ(ids.size(), 11u);
}

TEST(SubscriptionTracker, RequestsStayWithinTheByteLimit) {
  SubscriptionTracker tracker{{.channels_max = 1000, .bytes_max = 200}};
  std::size_t asked = 0;
  for (const Subscribe& request : tracker.subscribe(many(100))) {
    std::size_t bytes = 0;
    for (const std::string& name : request.channels) bytes += name.size() + 8;
    EXPECT_LE(bytes, 200u);
    asked += request.channels.size();
  }
  EXPECT_EQ(asked, 100u);
}

TEST(SubscriptionTracker, AnswersAreMatchedById) {
  SubscriptionTracker tracker{{.channels_max = 1, .bytes_max = 1000}};
  const auto requests = tracker.subscribe(Names{"prices:A", "prices:B"});
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_FALSE(tracker.all_answered());
  EXPECT_TRUE(tracker.answered(999).empty());
  EXPECT_EQ(tracker.answered(requests[1].id), Names{"prices:B"});
  EXPECT_TRUE(tracker.answered(requests[1].id).empty());
  EXPECT_FALSE(tracker.all_answered());
  EXPECT_EQ(tracker.answered(requests[0].id), Names{"prices:A"});
  EXPECT_TRUE(tracker.all_answered());
}

TEST(SubscriptionTracker, AnAnswerToTheOldConnectionIsNotOneToTheNew) {
  SubscriptionTracker tracker;
  const auto before = tracker.subscribe(Names{"prices:A"});
  const auto after = tracker.connected();
  EXPECT_NE(before.at(0).id, after.at(0).id);
  EXPECT_TRUE(tracker.answered(before.at(0).id).empty());
  EXPECT_FALSE(tracker.all_answered());
}

TEST(SubscriptionTracker, IdsAreOddAndNeverZero) {
  SubscriptionTracker tracker;
  for (int i = 0; i < 10; ++i) {
    for (const Subscribe& request : tracker.subscribe(Names{"prices:A"})) {
      EXPECT_EQ(request.id % 2, 1u);
    }
  }
}

}  // namespace
}  // namespace stratwire::session
