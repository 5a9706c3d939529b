#include "channel.hpp"

#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace stratwire::server {
namespace {

/// A registry and what it needs.
struct Made {
  explicit Made(std::vector<std::string> kinds, std::size_t channels_max)
      : registry(config(std::move(kinds), channels_max), budget) {}
  static ServerConfig config(std::vector<std::string> kinds, std::size_t channels_max) {
    ServerConfig config;
    config.kinds = std::move(kinds);
    config.channels_max = channels_max;
    return config;
  }
  session::LogBudget budget{1 << 20};
  ChannelRegistry registry;
};

TEST(Channel, KnowsItsKind) {
  Made made_here({"prices"}, 100);
  ChannelRegistry& registry = made_here.registry;
  const auto price = registry.find_or_make("prices:A");
  ASSERT_TRUE(price);
  EXPECT_EQ((*price)->name(), "prices:A");
  EXPECT_EQ((*price)->kind(), "prices");
  EXPECT_EQ((*price)->overflow(), Overflow::conflate);
  EXPECT_EQ((*price)->log.head(), 0U);
  const auto token = registry.find_or_make("token-x");
  ASSERT_TRUE(token);
  EXPECT_EQ((*token)->kind(), "token");
  EXPECT_EQ((*token)->overflow(), Overflow::drop_oldest);
  const auto account = registry.find_or_make("accounts:x");
  ASSERT_TRUE(account);
  EXPECT_EQ((*account)->overflow(), Overflow::lossless);
  EXPECT_NE((*price)->id(), (*token)->id());
}

TEST(ChannelRegistry, FindsWhatItMade) {
  Made made_here({}, 100);
  ChannelRegistry& registry = made_here.registry;
  Channel* const made = *registry.find_or_make("a:1");
  EXPECT_EQ(*registry.find_or_make("a:1"), made);
  EXPECT_EQ(registry.size(), 1U);
}

TEST(ChannelRegistry, RefusesBadNamesAndTooMany) {
  Made made_here({}, 2);
  ChannelRegistry& registry = made_here.registry;
  EXPECT_EQ(registry.find_or_make("a b").error().code, Errc::invalid_channel_name);
  EXPECT_EQ(registry.find_or_make("a:*").error().code, Errc::invalid_channel_name);
  ASSERT_TRUE(registry.find_or_make("a:1"));
  ASSERT_TRUE(registry.find_or_make("a:2"));
  const auto third = registry.find_or_make("a:3");
  EXPECT_EQ(third.error().code, Errc::too_many_channels);
  EXPECT_NE(third.error().context.find("channels_max"), std::string::npos);
  EXPECT_TRUE(registry.find_or_make("a:2")) << "what is there is still found";
}

TEST(ChannelRegistry, FindingMakesNothing) {
  Made made_here({"a"}, 4);
  ChannelRegistry& registry = made_here.registry;
  EXPECT_EQ(registry.find("a:1"), nullptr);
  EXPECT_EQ(registry.size(), 0U);
  Channel* const made = *registry.find_or_make("a:1");
  EXPECT_EQ(registry.find("a:1"), made);
}

TEST(ChannelRegistry, KindsGrowAndOldLooksStayAsTheyWere) {
  Made made_here({"prices"}, 10);
  ChannelRegistry& registry = made_here.registry;
  const auto before = registry.kinds();
  registry.add_kind("weather");
  registry.add_kind("weather");
  EXPECT_FALSE(before->contains("weather"));
  EXPECT_TRUE(registry.kinds()->contains("weather"));
  EXPECT_TRUE(registry.kinds()->contains("prices"));
  EXPECT_EQ(registry.kinds()->size(), 2U);
}

TEST(ChannelRegistry, OneChannelPerNameFromAnyThread) {
  Made made_here({}, 10'000);
  ChannelRegistry& registry = made_here.registry;
  constexpr std::size_t kThreads = 4;
  constexpr int kNames = 300;
  std::vector<std::vector<Channel*>> seen(kThreads);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&registry, &mine = seen[t]] {
      for (int i = 0; i < kNames; ++i) {
        registry.add_kind("kind" + std::to_string(i));
        mine.push_back(*registry.find_or_make("a:" + std::to_string(i)));
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
