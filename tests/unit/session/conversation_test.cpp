#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/session/conversation.hpp>

namespace stratwire::session {
namespace {

using Answer = Conversation::Answer;
using Names = std::vector<std::string>;

Subscribe subscribe(std::uint64_t id, Names channels, std::vector<ResumePoint> since = {}) {
  Subscribe request;
  request.id = id;
  request.channels = std::move(channels);
  request.since = std::move(since);
  return request;
}

TEST(Conversation, ARequestIsAnsweredOnceAndByItsIdOnly) {
  Conversation talk;
  talk.asked(subscribe(1, {"prices:A"}));
  EXPECT_FALSE(talk.all_answered());
  EXPECT_TRUE(talk.answered(3, Answer::granted).channels.empty());
  EXPECT_EQ(talk.answered(1, Answer::granted).channels, Names{"prices:A"});
  EXPECT_TRUE(talk.answered(1, Answer::granted).channels.empty());
  EXPECT_TRUE(talk.all_caught_up());
}

TEST(Conversation, AnIdOfAnotherConversationIsNotKnownHere) {
  Conversation old;
  Conversation fresh;
  old.asked(subscribe(1, {"prices:A"}, {{"prices:A", 7, 3}}));
  fresh.asked(subscribe(3, {"prices:A"}, {{"prices:A", 7, 3}}));
  EXPECT_TRUE(fresh.answered(1, Answer::granted).channels.empty());
  EXPECT_FALSE(fresh.all_answered());
  EXPECT_EQ(fresh.answered(3, Answer::granted).channels, Names{"prices:A"});
  EXPECT_TRUE(fresh.caught_up(1).empty());
  EXPECT_TRUE(fresh.replaying());
}

TEST(Conversation, PartsOfOneRequestAreAnsweredTogether) {
  Conversation talk;
  talk.asked(subscribe(1, {"prices:*"}, {{"prices:A", 7, 3}}));
  talk.asked(subscribe(1, {}, {{"prices:B", 7, 3}}));
  EXPECT_EQ(talk.answered(1, Answer::granted).channels, Names{"prices:*"});
  EXPECT_TRUE(talk.all_answered());
}

TEST(Conversation, WhatAsksForAReplayIsCaughtUpByItsCaughtUp) {
  Conversation talk;
  talk.asked(subscribe(1, {"prices:A"}, {{"prices:A", 7, 3}}));
  static_cast<void>(talk.answered(1, Answer::granted));
  EXPECT_TRUE(talk.replaying());
  EXPECT_FALSE(talk.all_caught_up());
  EXPECT_EQ(talk.caught_up(1), Names{"prices:A"});
  EXPECT_TRUE(talk.all_caught_up());
}

TEST(Conversation, ARefusedRequestReplaysNothing) {
  Conversation talk;
  talk.asked(subscribe(1, {"prices:A"}, {{"prices:A", 7, 3}}));
  static_cast<void>(talk.answered(1, Answer::refused));
  EXPECT_TRUE(talk.all_caught_up());
}

TEST(Conversation, HeadsAreKeptUntilTheyAreTaken) {
  Conversation talk;
  talk.keep({{"prices:A", 4}, {"prices:B", 9}});
  talk.keep({{"prices:A", 3}, {"prices:B", 10}});
  EXPECT_EQ(talk.take_heads(), (std::vector<ChannelHead>{{"prices:A", 4}, {"prices:B", 10}}));
  EXPECT_TRUE(talk.take_heads().empty());
}

}  // namespace
}  // namespace stratwire::session
