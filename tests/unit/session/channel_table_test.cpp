#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/session/channel_table.hpp>

namespace stratwire::session {
namespace {

TEST(ChannelTable, FindsWhatWasInternedAndNothingElse) {
  ChannelTable table;
  EXPECT_EQ(table.find("prices:A"), nullptr);
  Cursor& cursor = table.intern("prices:A");
  EXPECT_EQ(table.find("prices:A"), &cursor);
  EXPECT_EQ(table.find("prices:B"), nullptr);
  EXPECT_EQ(&table.intern("prices:A"), &cursor);
  EXPECT_EQ(table.size(), 1u);
}

TEST(ChannelTable, NamesAndCursorsStayWhereTheyAreWhileItGrows) {
  ChannelTable table;
  std::vector<std::pair<Cursor*, const char*>> seen;
  for (int i = 0; i < 50'000; ++i) {
    Cursor& cursor = table.intern("token-" + std::to_string(i));
    cursor.seq = static_cast<std::uint64_t>(i);
    seen.emplace_back(&cursor, cursor.channel.data());
  }
  for (int i = 0; i < 50'000; ++i) {
    const std::string name = "token-" + std::to_string(i);
    Cursor* const cursor = table.find(name);
    ASSERT_EQ(cursor, seen[static_cast<std::size_t>(i)].first) << name;
    ASSERT_EQ(cursor->channel.data(), seen[static_cast<std::size_t>(i)].second) << name;
    ASSERT_EQ(cursor->channel, name);
    ASSERT_EQ(cursor->seq, static_cast<std::uint64_t>(i));
  }
}

TEST(ChannelTable, NamesDoNotPointIntoTheCallersText) {
  ChannelTable table;
  std::string text = "prices:A";
  const std::string_view kept = table.intern(text).channel;
  text.assign("xxxxxxxx");
  EXPECT_EQ(kept, "prices:A");
}

TEST(ChannelTable, EveryByteOfANameCounts) {
  for (const std::size_t length : {1u, 2u, 3u, 4u, 7u, 8u, 15u, 16u, 17u, 31u, 33u, 50u, 128u}) {
    std::set<std::uint64_t> hashes;
    std::string name(length, 'a');
    hashes.insert(ChannelTable::hash(name));
    for (std::size_t i = 0; i < length; ++i) {
      name[i] = 'b';
      hashes.insert(ChannelTable::hash(name));
      name[i] = 'a';
    }
    EXPECT_EQ(hashes.size(), length + 1) << "length " << length;
  }
}

TEST(ChannelTable, HashesOfSimilarNamesSpread) {
  // 4,096 names into 4,096 slots: a good hash leaves about 1/e of them empty.
  std::set<std::uint64_t> slots;
  for (int i = 0; i < 4096; ++i) {
    slots.insert(ChannelTable::hash("prices:kraken:COIN" + std::to_string(i) + "-USD") & 4095);
  }
  EXPECT_GT(slots.size(), 2400u);
}

TEST(ChannelTable, TakesTheEmptyName) {
  ChannelTable table;
  EXPECT_EQ(table.find(""), nullptr);
  Cursor& cursor = table.intern("");
  EXPECT_EQ(table.find(""), &cursor);
}

}  // namespace
}  // namespace stratwire::session
