#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/session/server_session.hpp>

namespace stratwire::session {
namespace {

using Names = std::vector<std::string>;

const KindSet kKinds = {"prices", "token", "global"};

SubscriptionChange subscribe(const Names& current, const Names& channels,
                             std::size_t channels_max = 10) {
  auto change = plan_subscribe(current, Subscribe{channels, 1}, {kKinds, channels_max});
  EXPECT_TRUE(change) << change.error().message();
  return change ? *change : SubscriptionChange{};
}

std::vector<Errc> codes(const SubscriptionChange& change) {
  std::vector<Errc> all;
  for (const ChannelResult& result : change.results) all.push_back(result.code);
  return all;
}

TEST(ServerSession, GrantsSortedAndOnce) {
  const auto change = subscribe({"prices:B"}, {"prices:C", "prices:A", "prices:C", "prices:*"});
  EXPECT_EQ(change.channels, (Names{"prices:*", "prices:A", "prices:B", "prices:C"}));
  EXPECT_EQ(change.added, (Names{"prices:C", "prices:A", "prices:*"}));
  EXPECT_TRUE(change.removed.empty());
  EXPECT_EQ(codes(change), (std::vector<Errc>(4, Errc::ok)));
  EXPECT_EQ(change.results[0].channel, "prices:C");
  EXPECT_EQ(change.results[3].channel, "prices:*");
}

TEST(ServerSession, AgainIsASuccessAndAddsNothing) {
  const auto change = subscribe({"prices:A"}, {"prices:A"});
  EXPECT_EQ(change.channels, Names{"prices:A"});
  EXPECT_TRUE(change.added.empty());
  EXPECT_EQ(codes(change), std::vector<Errc>{Errc::ok});
}

TEST(ServerSession, RefusalsLeaveTheRest) {
  const std::string binary(5'000, '\x01');
  const auto change = subscribe({}, {"nonsense:A", "prices:A", binary, "token-x", "prices:"});
  EXPECT_EQ(codes(change),
            (std::vector<Errc>{Errc::unknown_channel_kind, Errc::ok, Errc::invalid_channel_name,
                               Errc::ok, Errc::invalid_channel_name}));
  EXPECT_EQ(change.channels, (Names{"prices:A", "token-x"}));
  EXPECT_EQ(change.results[0].channel, "nonsense:A");
  EXPECT_EQ(change.results[0].message,
            "channel kind 'nonsense' is not known here; known kinds: global, prices, token");
  EXPECT_LT(change.results[2].channel.size(), 300U);
  EXPECT_TRUE(change.results[2].channel.starts_with("'\\x01"));
}

TEST(ServerSession, NamesAFewKindsOfThousands) {
  KindSet many;
  for (int i = 0; i < 5'000; ++i) many.insert("kind" + std::to_string(i));
  const auto change = plan_subscribe({}, Subscribe{{"nonsense:A"}, 1}, {many, 10});
  ASSERT_TRUE(change);
  const std::string& text = change->results.at(0).message;
  EXPECT_LT(text.size(), 1'000U);
  EXPECT_TRUE(text.ends_with(" and 4968 more")) << text;
}

TEST(ServerSession, LimitOfOneConnection) {
  const auto change = subscribe({"prices:A"}, {"prices:B", "prices:A", "prices:C"}, 2 + 1);
  EXPECT_EQ(codes(change), (std::vector<Errc>(3, Errc::ok)));
  const auto full = subscribe({"prices:A", "prices:B"}, {"prices:C", "prices:A"}, 2);
  EXPECT_EQ(codes(full), (std::vector<Errc>{Errc::too_many_channels, Errc::ok}));
  EXPECT_EQ(full.channels, (Names{"prices:A", "prices:B"}));
  EXPECT_NE(full.results[0].message.find("at most 2 channels"), std::string::npos);
}

TEST(ServerSession, ARequestBeyondTheLimitIsOneError) {
  const Names names(11, "prices:A");
  const auto change = plan_subscribe({}, Subscribe{names, 1}, {kKinds, 10});
  ASSERT_FALSE(change);
  EXPECT_EQ(change.error().code, Errc::too_many_channels);
  EXPECT_NE(change.error().context.find("11 channels"), std::string::npos);
  EXPECT_TRUE(plan_subscribe({}, Subscribe{Names(10, "prices:A"), 1}, {kKinds, 10}));
}

TEST(ServerSession, Unsubscribes) {
  const auto change = plan_unsubscribe({"prices:*", "prices:A", "prices:B"},
                                       Unsubscribe{{"prices:A", "prices:Z", "prices:A"}, 1});
  EXPECT_EQ(change.channels, (Names{"prices:*", "prices:B"}));
  EXPECT_EQ(change.removed, Names{"prices:A"});
  EXPECT_TRUE(change.added.empty());
  EXPECT_EQ(codes(change),
            (std::vector<Errc>{Errc::ok, Errc::not_subscribed, Errc::not_subscribed}));
  const auto odd = plan_unsubscribe({}, Unsubscribe{{std::string(10'000, '\x01')}, 1});
  EXPECT_LT(odd.results.at(0).channel.size(), 300U);
}

TEST(ServerSession, ChecksWhereToPublish) {
  EXPECT_TRUE(check_publish_channel("prices:A", kKinds));
  EXPECT_TRUE(check_publish_channel("global", kKinds));
  EXPECT_EQ(check_publish_channel("nonsense:A", kKinds).error().code, Errc::unknown_channel_kind);
  EXPECT_EQ(check_publish_channel("prices:*", kKinds).error().code, Errc::invalid_channel_name);
  EXPECT_EQ(check_publish_channel("", kKinds).error().code, Errc::invalid_channel_name);
}

}  // namespace
}  // namespace stratwire::session
