#include <set>

#include <gtest/gtest.h>

#include <stratwire/limits.hpp>
#include <stratwire/session/subscription_tracker.hpp>

namespace stratwire::session {
namespace {

using Names = std::vector<std::string>;
using Points = std::vector<ResumePoint>;

constexpr std::uint64_t kEpoch = 77;

Names many(std::size_t count) {
  Names names;
  for (std::size_t i = 0; i < count; ++i) names.push_back("prices:" + std::to_string(10'000 + i));
  return names;
}

/// A tracker, cursors and the connection that they are asked for.
struct Client {
  explicit Client(RequestLimits limits = {}) : tracker(limits) { connect(); }

  void connect(std::uint64_t epoch = kEpoch) {
    line = continuity.connected();
    line.epoch = epoch;
  }
  /// Follows the channel up to `seq` on this connection.
  void follow(const std::string& channel, std::uint64_t seq) {
    const Continuity::Granted granted{channel, line.epoch, seq, false, false};
    static_cast<void>(continuity.subscribed(line, granted, Continuity::Replay::none));
  }
  [[nodiscard]] SubscriptionTracker::Asker asker(
      Continuity::Which which = Continuity::Which::every) {
    return {continuity, line, which};
  }
  std::vector<Subscribe> wish(const Names& channels, Start start = Start::live) {
    tracker.wish(channels, start);
    return tracker.ask(asker(), channels);
  }
  std::vector<Subscribe> ask_all() { return tracker.ask_all(asker()); }

  Continuity continuity{};
  Continuity::Line line{};
  SubscriptionTracker tracker;
};

TEST(SubscriptionTracker, EachConnectAsksForEveryWish) {
  Client client;
  static_cast<void>(client.wish(Names{"prices:A", "prices:B"}));
  for (int i = 0; i < 3; ++i) {
    client.connect();
    const auto requests = client.ask_all();
    ASSERT_EQ(requests.size(), 1u);
    EXPECT_EQ(requests[0].channels, (Names{"prices:A", "prices:B"}));
    EXPECT_TRUE(requests[0].since.empty());
    EXPECT_FALSE(requests[0].snapshot);
  }
}

TEST(SubscriptionTracker, WhatIsTakenBackIsNotAskedForAgain) {
  Client client;
  static_cast<void>(client.wish(Names{"prices:A", "prices:B"}));
  client.tracker.unwish(Names{"prices:A"});
  const auto requests = client.tracker.leave(Names{"prices:A"});
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].channels, Names{"prices:A"});
  EXPECT_FALSE(client.tracker.wished("prices:A"));
  EXPECT_EQ(client.ask_all().at(0).channels, Names{"prices:B"});
}

TEST(SubscriptionTracker, NothingWishedNothingAsked) {
  Client client;
  EXPECT_TRUE(client.ask_all().empty());
}

TEST(SubscriptionTracker, WishingAgainIsOneWish) {
  Client client;
  static_cast<void>(client.wish(Names{"prices:A"}));
  static_cast<void>(client.wish(Names{"prices:A"}));
  EXPECT_EQ(client.tracker.size(), 1u);
}

TEST(SubscriptionTracker, AChannelIsWantedByNameOrByItsWildcard) {
  SubscriptionTracker tracker;
  tracker.wish(Names{"prices:*", "accounts:X"});
  EXPECT_TRUE(tracker.wanted("prices:A"));
  EXPECT_FALSE(tracker.wished("prices:A"));
  EXPECT_TRUE(tracker.wanted("accounts:X"));
  EXPECT_FALSE(tracker.wanted("accounts:Y"));
}

TEST(SubscriptionTracker, RequestsStayWithinTheChannelLimit) {
  Client client{{.channels_max = 100, .bytes_max = 1 << 20}};
  const Names names = many(1024);
  std::set<std::string> asked;
  std::set<std::uint64_t> ids;
  for (const Subscribe& request : client.wish(names)) {
    EXPECT_LE(request.channels.size(), 100u);
    ids.insert(request.id);
    asked.insert(request.channels.begin(), request.channels.end());
  }
  EXPECT_EQ(asked.size(), names.size());
  EXPECT_EQ(ids.size(), 11u);
}

TEST(SubscriptionTracker, RequestsStayWithinTheByteLimit) {
  Client client{{.channels_max = 1000, .bytes_max = 200}};
  std::size_t asked = 0;
  for (const Subscribe& request : client.wish(many(100))) {
    std::size_t bytes = 0;
    for (const std::string& name : request.channels) bytes += name.size() + 8;
    EXPECT_LE(bytes, 200u);
    asked += request.channels.size();
  }
  EXPECT_EQ(asked, 100u);
}

TEST(SubscriptionTracker, IdsAreOddAndOfOneRequestEachOverAllConnections) {
  Client client;
  std::set<std::uint64_t> ids;
  for (int i = 0; i < 10; ++i) {
    client.connect();
    for (const Subscribe& request : client.wish(Names{"prices:A"})) {
      EXPECT_EQ(request.id % 2, 1u);
      EXPECT_TRUE(ids.insert(request.id).second);
    }
  }
}

TEST(SubscriptionTracker, AReconnectResumesFromTheCursors) {
  Client client;
  static_cast<void>(client.wish(Names{"prices:A", "prices:B"}));
  client.follow("prices:A", 7);
  client.connect();
  const auto requests = client.ask_all();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].channels, (Names{"prices:A", "prices:B"}));
  EXPECT_EQ(requests[0].since, (Points{{"prices:A", kEpoch, 7}}));
}

TEST(SubscriptionTracker, WhatFlowsIsNotResumed) {
  Client client;
  static_cast<void>(client.wish(Names{"prices:A"}));
  client.follow("prices:A", 7);
  EXPECT_TRUE(client.wish(Names{"prices:A"}).at(0).since.empty());
}

TEST(SubscriptionTracker, AWildcardBringsThePointsOfItsChannelsAndItsOwn) {
  Client client;
  static_cast<void>(client.wish(Names{"prices:*", "prices:A", "accounts:X"}));
  client.follow("prices:*", 900);
  client.follow("prices:A", 7);
  client.follow("accounts:X", 3);
  ASSERT_EQ(client.continuity.message(client.line, "prices:B", 41), Continuity::Verdict::deliver);
  client.connect();
  const auto requests = client.ask_all();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].channels, Names{"prices:*"});
  EXPECT_EQ(requests[0].since,
            (Points{{"prices:*", kEpoch, 900}, {"prices:A", kEpoch, 7}, {"prices:B", kEpoch, 41}}));
  EXPECT_EQ(requests[1].channels, (Names{"accounts:X", "prices:A"}));
  EXPECT_EQ(requests[1].since, (Points{{"accounts:X", kEpoch, 3}})) << "prices:A: stands above";
}

TEST(SubscriptionTracker, APointsOfAWildcardThatDoNotFitGoOnInMoreParts) {
  Client client{{.channels_max = 100, .bytes_max = 1000}};
  static_cast<void>(client.wish(Names{"prices:*"}));
  client.follow("prices:*", 900);
  const Names names = many(100);
  for (const std::string& name : names) {
    ASSERT_EQ(client.continuity.message(client.line, name, 5), Continuity::Verdict::deliver);
  }
  client.connect();
  const auto requests = client.ask_all();
  ASSERT_GT(requests.size(), 5u);
  std::set<std::string> points;
  for (const Subscribe& request : requests) {
    EXPECT_EQ(request.id, requests.front().id);
    EXPECT_EQ(request.more, &request != &requests.back());
    EXPECT_EQ(request.channels.size(), &request == &requests.front() ? 1u : 0u);
    std::size_t bytes = 0;
    for (const ResumePoint& point : request.since) {
      bytes += point.channel.size() + 80;
      points.insert(point.channel);
    }
    EXPECT_LE(bytes, 1000u);
  }
  EXPECT_EQ(points.size(), 101u);
}

TEST(SubscriptionTracker, PointsBeyondTheLimitAreLeftToTheWildcardsOwn) {
  Client client;
  static_cast<void>(client.wish(Names{"prices:*"}));
  client.follow("prices:*", 900);
  for (const std::string& name : many(limits::kResumePointsMax + 10)) {
    ASSERT_EQ(client.continuity.message(client.line, name, 5), Continuity::Verdict::deliver);
  }
  client.connect();
  std::size_t points = 0;
  for (const Subscribe& request : client.ask_all()) points += request.since.size();
  EXPECT_EQ(points, limits::kResumePointsMax);
}

TEST(SubscriptionTracker, ASnapshotIsAskedForWhereThereIsNoCursorYet) {
  Client client;
  static_cast<void>(client.wish(Names{"prices:A"}));
  const auto first = client.wish(Names{"prices:B", "prices:C"}, Start::latest);
  ASSERT_EQ(first.size(), 1u);
  EXPECT_TRUE(first[0].snapshot);
  client.follow("prices:B", 7);
  client.connect();
  const auto again = client.ask_all();
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(again[0].channels, (Names{"prices:A", "prices:B"}));
  EXPECT_FALSE(again[0].snapshot) << "the cursor counts";
  EXPECT_EQ(again[0].since, (Points{{"prices:B", kEpoch, 7}}));
  EXPECT_EQ(again[1].channels, Names{"prices:C"});
  EXPECT_TRUE(again[1].snapshot);
}

TEST(SubscriptionTracker, WithoutResumingOnlyTheUsersOwnPointsAreAskedFor) {
  Client client;
  client.tracker.wish(Names{"prices:A", "prices:B"});
  client.follow("prices:A", 7);
  client.continuity.seed({"prices:B", kEpoch, 3});
  client.connect();
  const auto requests = client.tracker.ask_all(client.asker(Continuity::Which::seeded));
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].since, (Points{{"prices:B", kEpoch, 3}}));
}

}  // namespace
}  // namespace stratwire::session
