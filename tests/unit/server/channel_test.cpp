#include "channel.hpp"

#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace stratwire::server {
namespace {

constexpr auto kPublisher = ChannelRegistry::Asker::publisher;

TEST(Channel, KnowsItsKind) {
  ChannelRegistry registry({"prices"}, 100);
  const auto price = registry.find_or_make("prices:A", kPublisher);
  ASSERT_TRUE(price);
  EXPECT_EQ((*price)->name(), "prices:A");
  EXPECT_EQ((*price)->kind(), "prices");
  EXPECT_TRUE((*price)->conflates());
  EXPECT_EQ((*price)->head, 0U);
  const auto token = registry.find_or_make("token-x", kPublisher);
  ASSERT_TRUE(token);
  EXPECT_EQ((*token)->kind(), "token");
  EXPECT_FALSE((*token)->conflates());
  EXPECT_NE((*price)->id(), (*token)->id());
}

TEST(ChannelRegistry, FindsWhatItMade) {
  ChannelRegistry registry({}, 100);
  Channel* const made = *registry.find_or_make("a:1", kPublisher);
  EXPECT_EQ(*registry.find_or_make("a:1", kPublisher), made);
  EXPECT_EQ(registry.size(), 1U);
}

TEST(ChannelRegistry, RefusesBadNamesAndTooMany) {
  ChannelRegistry registry({}, 2);
  EXPECT_EQ(registry.find_or_make("a b", kPublisher).error().code, Errc::invalid_channel_name);
  EXPECT_EQ(registry.find_or_make("a:*", kPublisher).error().code, Errc::invalid_channel_name);
  ASSERT_TRUE(registry.find_or_make("a:1", kPublisher));
  ASSERT_TRUE(registry.find_or_make("a:2", kPublisher));
  const auto third = registry.find_or_make("a:3", kPublisher);
  EXPECT_EQ(third.error().code, Errc::too_many_channels);
  EXPECT_NE(third.error().context.find("channels_max"), std::string::npos);
  EXPECT_TRUE(registry.find_or_make("a:2", kPublisher)) << "what is there is still found";
}

TEST(ChannelRegistry, ClientsCantTakeTheChannelsOfPublishers) {
  ChannelRegistry registry({"a"}, 4);
  constexpr auto kClient = ChannelRegistry::Asker::client;
  ASSERT_TRUE(registry.find_or_make("a:1", kClient));
  ASSERT_TRUE(registry.find_or_make("a:2", kClient));
  EXPECT_EQ(registry.find_or_make("a:3", kClient).error().code, Errc::too_many_channels);
  EXPECT_TRUE(registry.find_or_make("a:2", kClient)) << "what is there is still found";
  EXPECT_TRUE(registry.find_or_make("a:3", kPublisher));
  EXPECT_TRUE(registry.find_or_make("a:4", kPublisher));
}

TEST(ChannelRegistry, KindsGrowAndOldLooksStayAsTheyWere) {
  ChannelRegistry registry({"prices"}, 10);
  const auto before = registry.kinds();
  registry.add_kind("weather");
  registry.add_kind("weather");
  EXPECT_FALSE(before->contains("weather"));
  EXPECT_TRUE(registry.kinds()->contains("weather"));
  EXPECT_TRUE(registry.kinds()->contains("prices"));
  EXPECT_EQ(registry.kinds()->size(), 2U);
}

TEST(ChannelRegistry, OneChannelPerNameFromAnyThread) {
  ChannelRegistry registry({}, 10'000);
  constexpr std::size_t kThreads = 4;
  constexpr int kNames = 300;
  std::vector<std::vector<Channel*>> seen(kThreads);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&registry, &mine = seen[t]] {
      for (int i = 0; i < kNames; ++i) {
        registry.add_kind("kind" + std::to_string(i));
        mine.push_back(*registry.find_or_make("a:" + std::to_string(i), kPublisher));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& channels : seen) EXPECT_EQ(channels, seen[0]);
  std::set<std::uint32_t> ids;
  for (const Channel* const channel : seen[0]) ids.insert(channel->id());
  EXPECT_EQ(ids.size(), static_cast<std::size_t>(kNames));
  EXPECT_EQ(*ids.rbegin(), static_cast<std::uint32_t>(kNames - 1)) << "routes are kept by id";
  EXPECT_EQ(registry.kinds()->size(), static_cast<std::size_t>(kNames));
}

}  // namespace
}  // namespace stratwire::server
