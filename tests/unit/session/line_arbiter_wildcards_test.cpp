// With what the channels of a wildcard begin.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/session/line_arbiter.hpp>

#include "line_arbiter_desk.hpp"

namespace stratwire::session {
namespace {

/// Both lines followed prices:* when 10 messages had been published, in all channels.
class LineArbiterWildcard : public ::testing::Test {
 protected:
  void SetUp() override {
    desk.asked = "prices:*";
    follows(0, 10);
    follows(1, 10);
    EXPECT_EQ(desk.take(), Lines{});
  }
  void follows(std::size_t line, std::uint64_t position, std::uint64_t epoch = kEpoch) {
    desk.started(line, "prices:*", epoch, position, desk.now);
    desk.goes(line, Link::up);
    desk.after(0s);
  }
  void both_go() {
    desk.goes(0, Link::down);
    desk.goes(1, Link::down);
  }
  void comes_back(std::size_t line, std::uint64_t position) {
    desk.goes(line, Link::up);
    follows(line, position);
  }
  Desk desk{};
};

TEST_F(LineArbiterWildcard, AChannelBeginsWithTheFirstMessageOfALineThatWasThereFromTheStart) {
  EXPECT_EQ(desk.copy(0, 7), Verdict::hold);
  EXPECT_EQ(desk.copy(1, 7), Verdict::duplicate);
  EXPECT_EQ(desk.take(), Lines{"7 of 0"});
  EXPECT_EQ(desk.copy(1, 8), Verdict::deliver);
  EXPECT_EQ(desk.counts().filled, 0u);
}

TEST_F(LineArbiterWildcard, AFirstMessageThatOneLineLostComesFromTheOther) {
  EXPECT_EQ(desk.copy(0, 8), Verdict::hold) << "there is no number that it skipped";
  EXPECT_EQ(desk.copy(0, 9), Verdict::hold);
  EXPECT_EQ(desk.copy(1, 7), Verdict::deliver);
  EXPECT_EQ(desk.take(), (Lines{"7 of 1", "8 of 0", "9 of 0"}));
  EXPECT_EQ(desk.copy(0, 10), Verdict::deliver);
}

TEST_F(LineArbiterWildcard, WhatOneLineLostBehindItsFirstMessageIsStillAHole) {
  desk.copy(0, 7);
  desk.copy(0, 9);
  EXPECT_EQ(desk.take(), Lines{});
  EXPECT_EQ(desk.copy(1, 7), Verdict::duplicate);
  EXPECT_EQ(desk.take(), Lines{"7 of 0"});
  EXPECT_EQ(desk.copy(1, 8), Verdict::deliver);
  EXPECT_EQ(desk.take(), (Lines{"8 of 1", "9 of 0"}));
}

TEST_F(LineArbiterWildcard, AFirstMessageWaitsNoLongerThanForAHole) {
  EXPECT_EQ(desk.copy(0, 8), Verdict::hold);
  desk.after(19ms);
  EXPECT_EQ(desk.take(), Lines{});
  desk.after(1ms);
  EXPECT_EQ(desk.take(), Lines{"8 of 0"});
}

TEST_F(LineArbiterWildcard, AFirstMessageDoesNotWaitForALineThatIsDown) {
  EXPECT_EQ(desk.copy(0, 8), Verdict::hold);
  desk.goes(1, Link::down);
  EXPECT_EQ(desk.take(), Lines{"8 of 0"});
}

TEST_F(LineArbiterWildcard, WhatALineHadToldCountsWhenItHasGone) {
  EXPECT_EQ(desk.copy(0, 8), Verdict::hold);
  desk.goes(0, Link::down);
  EXPECT_EQ(desk.take(), Lines{}) << "line 1 is there yet";
  desk.goes(1, Link::down);
  EXPECT_EQ(desk.take(), Lines{"8 of 0"});
}

TEST_F(LineArbiterWildcard, NothingIsBeforeNumberOne) {
  EXPECT_EQ(desk.copy(0, 1), Verdict::deliver);
}

TEST_F(LineArbiterWildcard, AFirstMessageThatOneLineToldAsAGapComesFromTheOther) {
  desk.lost(0, 7, 7);
  EXPECT_EQ(desk.copy(0, 8), Verdict::hold);
  EXPECT_EQ(desk.copy(1, 7), Verdict::deliver);
  EXPECT_EQ(desk.take(), (Lines{"7 of 1", "8 of 0"}));
}

TEST_F(LineArbiterWildcard, WhatWasPublishedWhileAllWereAwayComesFirst) {
  both_go();
  comes_back(1, 15);
  EXPECT_EQ(desk.take(), Lines{"ask 1 since 10"});
  EXPECT_EQ(desk.copy(1, 9), Verdict::hold);
  EXPECT_EQ(desk.replayed(1, 7), Verdict::deliver);
  EXPECT_EQ(desk.replayed(1, 8), Verdict::deliver);
  EXPECT_EQ(desk.take(), (Lines{"7 of 1", "8 of 1", "9 of 1"}));
  desk.ended(1);
  EXPECT_EQ(desk.copy(1, 10), Verdict::deliver);
  EXPECT_EQ(desk.held(), 0u);
}

TEST_F(LineArbiterWildcard, WhatWaitedIsHandedOverOnceEvenIfTheReplayBringsIt) {
  both_go();
  comes_back(1, 15);
  EXPECT_EQ(desk.copy(1, 9), Verdict::hold);
  desk.take();
  EXPECT_EQ(desk.replayed(1, 9), Verdict::duplicate);
  EXPECT_EQ(desk.take(), Lines{"9 of 1"});
}

TEST_F(LineArbiterWildcard, AChannelThatNobodyPublishedMeanwhileBeginsOnceTheReplayIsOver) {
  both_go();
  comes_back(1, 15);
  EXPECT_EQ(desk.copy(1, 9), Verdict::hold);
  desk.take();
  desk.ended(1);
  EXPECT_EQ(desk.take(), Lines{"9 of 1"});
}

TEST_F(LineArbiterWildcard, AReplayThatFailedIsAskedForAgain) {
  both_go();
  comes_back(1, 15);
  EXPECT_EQ(desk.copy(1, 9), Verdict::hold);
  desk.take();
  desk.ended(1, LineArbiter::Replayed::not_all);
  EXPECT_EQ(desk.take(), Lines{});
  desk.after(1s);
  EXPECT_EQ(desk.take(), Lines{"ask 1 since 10"});
  desk.ended(1);
  EXPECT_EQ(desk.take(), Lines{"9 of 1"});
}

TEST_F(LineArbiterWildcard, WhatNoReplayTellsIsToldAsMissing) {
  both_go();
  comes_back(1, 15);
  EXPECT_EQ(desk.copy(1, 9), Verdict::hold);
  desk.take();
  desk.asked = kChannel;  // The wildcard's replay never ends; the channel's own says nothing.
  desk.after(1020ms);
  EXPECT_EQ(desk.take(), Lines{"ask 1 since 0"});
  desk.ended(1);
  desk.after(1s);
  EXPECT_EQ(desk.take(), (Lines{"gap 1-8 upstream", "9 of 1"}));
}

TEST_F(LineArbiterWildcard, WhatTheLogNoLongerHasIsAGapEvenIfNothingComesBehindIt) {
  both_go();
  comes_back(1, 15);
  desk.lost(1, 7, 8, Gap::Reason::retention, CopySource::replay);
  desk.take();
  desk.ended(1);
  desk.asked = kChannel;
  desk.after(0s);
  desk.after(2s);
  EXPECT_EQ(desk.take(), Lines{"gap 7-8 retention"});
}

TEST_F(LineArbiterWildcard, ALineThatCameBackIsNotTrustedForWhatTheOtherMayBringYet) {
  desk.goes(1, Link::down);
  comes_back(1, 15);
  EXPECT_EQ(desk.take(), Lines{"ask 1 since 10"});
  EXPECT_EQ(desk.copy(1, 9), Verdict::hold);
  EXPECT_EQ(desk.copy(0, 8), Verdict::deliver) << "it was there all the time";
  EXPECT_EQ(desk.take(), (Lines{"8 of 0", "9 of 1"}));
}

TEST_F(LineArbiterWildcard, ChannelsThatAreKnownAreAskedForFromWhereTheyAre) {
  desk.copy(0, 7);
  both_go();
  comes_back(0, 15);
  std::vector<std::string> cursors;
  desk.cursors(kEpoch, [&](std::string_view channel, std::uint64_t seq) {
    cursors.push_back(std::string{channel} + ' ' + std::to_string(seq));
  });
  EXPECT_EQ(cursors, Lines{"prices:A 7"});
  desk.take();
  EXPECT_EQ(desk.replayed(0, 8), Verdict::deliver) << "quiet since then: nothing else tells of it";
}

TEST_F(LineArbiterWildcard, AllOfANewEpochIsWanted) {
  both_go();
  desk.epoch = kNextEpoch;
  desk.goes(0, Link::up);
  follows(0, 5, kNextEpoch);
  EXPECT_EQ(desk.take(), Lines{"ask 0 since 0 of the next epoch"});
  EXPECT_EQ(desk.replayed(0, 1), Verdict::deliver);
  EXPECT_EQ(desk.copy(0, 2), Verdict::deliver);
}

TEST_F(LineArbiterWildcard, AnEpochEndsForChannelsThatStayQuietInTheNextOne) {
  desk.copy(0, 7);
  both_go();
  desk.goes(0, Link::up);
  desk.take();
  follows(0, 5, kNextEpoch);
  EXPECT_EQ(desk.take(), (Lines{"gap 8-0 epoch_change", "ask 0 since 0 of the next epoch"}));
}

TEST_F(LineArbiterWildcard, AChannelOfALineInAnotherEpochWaitsUntilItsEpochIsWanted) {
  desk.goes(0, Link::down);
  desk.goes(0, Link::up);
  follows(0, 5, kNextEpoch);
  desk.epoch = kNextEpoch;
  EXPECT_EQ(desk.copy(0, 2), Verdict::hold) << "line 1 is still in the first one";
  desk.goes(1, Link::down);
  EXPECT_EQ(desk.take(), Lines{"ask 0 since 0 of the next epoch"});
  EXPECT_EQ(desk.replayed(0, 1), Verdict::deliver);
  EXPECT_EQ(desk.take(), (Lines{"1 of 0", "2 of 0"}));
}

TEST_F(LineArbiterWildcard, WhatWaitsForItsBeginningIsToldWhenTheLastLineIsOver) {
  both_go();
  comes_back(1, 15);
  EXPECT_EQ(desk.copy(1, 9), Verdict::hold);
  desk.goes(0, Link::over);
  desk.take();
  desk.goes(1, Link::over);
  EXPECT_EQ(desk.take(), (Lines{"gap 1-8 upstream", "9 of 1"}));
  EXPECT_EQ(desk.held(), 0u);
}

TEST_F(LineArbiterWildcard, OneThatNobodyWantsAnyMoreIsNotAskedFor) {
  both_go();
  desk.forget("prices:*");
  desk.goes(1, Link::up);
  desk.after(0s);
  EXPECT_EQ(desk.take(), Lines{});
  EXPECT_EQ(desk.copy(1, 9), Verdict::deliver);
}

}  // namespace
}  // namespace stratwire::session
