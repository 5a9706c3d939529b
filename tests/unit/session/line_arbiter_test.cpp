#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/session/line_arbiter.hpp>

#include "line_arbiter_desk.hpp"

namespace stratwire::session {
namespace {

/// Both lines were subscribed before the first message.
class LineArbiterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    desk.subscribed(0, 0);
    desk.subscribed(1, 0);
  }
  Desk desk{};
};

// ---- Copies

TEST_F(LineArbiterTest, TheFirstCopyWinsWhicheverLineBringsIt) {
  EXPECT_EQ(desk.copy(0, 1), Verdict::deliver);
  EXPECT_EQ(desk.copy(1, 1), Verdict::duplicate);
  EXPECT_EQ(desk.copy(1, 2), Verdict::deliver);
  EXPECT_EQ(desk.copy(0, 2), Verdict::duplicate);
  EXPECT_EQ(desk.take(), (Lines{"1 of 0", "2 of 1"}));
  EXPECT_EQ(desk.counts(0).wins, 1u);
  EXPECT_EQ(desk.counts(1).wins, 1u);
  EXPECT_EQ(desk.counts(0).copies, 2u);
  EXPECT_EQ(desk.counts().handed, 2u);
  EXPECT_EQ(desk.counts().duplicates, 2u);
}

TEST_F(LineArbiterTest, ALineMayLagByMoreThanTheWindow) {
  for (std::uint64_t seq = 1; seq <= 3'000; ++seq) ASSERT_EQ(desk.copy(0, seq), Verdict::deliver);
  for (std::uint64_t seq = 1; seq <= 3'000; ++seq) ASSERT_EQ(desk.copy(1, seq), Verdict::duplicate);
  EXPECT_EQ(desk.counts().unchecked, 3'000u - 1'024u);
  EXPECT_EQ(desk.counts().duplicates, 1'024u);
}

TEST_F(LineArbiterTest, TheLagIsThatBehindTheWinner) {
  desk.give({0, CopySource::live, kChannel, kEpoch, 1, 0, 1, 1'000});
  desk.give({1, CopySource::live, kChannel, kEpoch, 1, 0, 1, 1'300});
  desk.give({0, CopySource::live, kChannel, kEpoch, 2, 0, 1, 2'000});
  desk.give({1, CopySource::live, kChannel, kEpoch, 2, 0, 1, 2'100});
  EXPECT_EQ(desk.counts(1).late, 2u);
  EXPECT_EQ(desk.counts(1).lag_ns_sum, 400);
  EXPECT_EQ(desk.counts(1).lag_ns_max, 300);
  EXPECT_EQ(desk.counts(0).late, 0u);
}

TEST(LineArbiter, AChannelThatNobodyAnnouncedBeginsWithItsFirstMessage) {
  Desk desk;
  EXPECT_EQ(desk.copy(0, 41), Verdict::deliver);
  EXPECT_EQ(desk.copy(1, 40), Verdict::duplicate);
  EXPECT_EQ(desk.copy(1, 42), Verdict::deliver);
}

TEST(LineArbiter, AMessageWithoutANumberIsDelivered) {
  Desk desk;
  EXPECT_EQ(desk.copy(0, 0), Verdict::deliver);
  EXPECT_EQ(desk.copy(1, 0), Verdict::deliver);
}

// ---- Holes

TEST_F(LineArbiterTest, AHoleOfOneLineIsFilledFromTheOther) {
  desk.copy(0, 1);
  desk.lost(0, 2, 3);
  EXPECT_EQ(desk.copy(0, 4), Verdict::hold);
  EXPECT_EQ(desk.copy(1, 1), Verdict::duplicate);
  EXPECT_EQ(desk.copy(1, 2), Verdict::deliver);
  EXPECT_EQ(desk.take(), (Lines{"1 of 0", "2 of 1"}));
  EXPECT_EQ(desk.copy(1, 3), Verdict::deliver);
  EXPECT_EQ(desk.take(), (Lines{"3 of 1", "4 of 0"}));
  EXPECT_EQ(desk.copy(1, 4), Verdict::duplicate);
  desk.after(10s);
  EXPECT_EQ(desk.take(), Lines{});
  EXPECT_EQ(desk.next_tick(), kNever);
  EXPECT_EQ(desk.counts(0).holes, 1u);
  EXPECT_EQ(desk.counts(0).missed, 2u);
  EXPECT_EQ(desk.counts().filled, 2u);
  EXPECT_EQ(desk.counts().gaps, 0u);
}

TEST_F(LineArbiterTest, ALineThatSkipsInSilenceHasAHole) {
  desk.copy(0, 1);
  desk.copy(0, 4);
  EXPECT_EQ(desk.counts(0).holes, 1u);
  EXPECT_EQ(desk.counts(0).missed, 2u);
}

TEST_F(LineArbiterTest, AHoleOfBothLinesIsAskedForAtOnce) {
  desk.copy(0, 1);
  desk.lost(0, 2, 3);
  desk.lost(1, 1, 3);
  EXPECT_EQ(desk.take(), (Lines{"1 of 0", "ask 0 since 1"}));
  EXPECT_EQ(desk.replayed(0, 2), Verdict::deliver);
  EXPECT_EQ(desk.replayed(0, 3), Verdict::deliver);
  desk.ended(0);
  desk.after(10s);
  EXPECT_EQ(desk.take(), (Lines{"2 of 0", "3 of 0"}));
  EXPECT_EQ(desk.counts(0).replays, 1u);
  EXPECT_EQ(desk.counts(0).copies, 1u) << "a replay says nothing about how good the line is";
}

TEST_F(LineArbiterTest, ALaggingLineIsWaitedForAWhileAndThenOneIsAsked) {
  desk.copy(0, 1);
  desk.lost(0, 2, 2);
  desk.copy(0, 3);
  EXPECT_EQ(desk.next_tick(), t0 + 20ms);
  desk.after(19ms);
  EXPECT_EQ(desk.take(), Lines{"1 of 0"});
  desk.after(1ms);
  EXPECT_EQ(desk.take(), Lines{"ask 0 since 1"});
  // The line may still be quicker than the replay.
  desk.copy(1, 2);
  EXPECT_EQ(desk.take(), (Lines{"2 of 1", "3 of 0"}));
  EXPECT_EQ(desk.replayed(0, 2), Verdict::duplicate);
}

TEST_F(LineArbiterTest, ALineThatIsAloneIsAskedAtOnce) {
  desk.goes(1, Link::down);
  desk.copy(0, 1);
  desk.copy(0, 3);
  EXPECT_EQ(desk.take(), (Lines{"1 of 0", "ask 0 since 1"}));
}

TEST_F(LineArbiterTest, WhatOneReplayLacksTheOtherLineIsAskedFor) {
  desk.goes(1, Link::down);
  desk.goes(1, Link::up);
  desk.copy(0, 1);
  desk.lost(1, 1, 4);
  desk.copy(0, 5);
  EXPECT_EQ(desk.take(), (Lines{"1 of 0", "ask 0 since 1"}));
  desk.ended(0);
  EXPECT_EQ(desk.take(), Lines{"ask 1 since 1"});
  desk.replayed(1, 2);
  desk.replayed(1, 3);
  desk.replayed(1, 4);
  EXPECT_EQ(desk.take(), (Lines{"2 of 1", "3 of 1", "4 of 1", "5 of 0"}));
}

TEST_F(LineArbiterTest, WhatNobodyHasIsOneGapWithTheExactRange) {
  desk.copy(0, 1);
  desk.lost(0, 2, 5);
  desk.copy(0, 6);
  desk.lost(1, 2, 5);
  EXPECT_EQ(desk.take(), (Lines{"1 of 0", "ask 0 since 1"}));
  desk.lost(0, 2, 4, Gap::Reason::retention, CopySource::replay);
  EXPECT_EQ(desk.replayed(0, 5), Verdict::hold);
  EXPECT_EQ(desk.take(), Lines{});
  desk.ended(0);
  EXPECT_EQ(desk.take(), Lines{"ask 1 since 1"});
  desk.ended(1);
  EXPECT_EQ(desk.take(), (Lines{"gap 2-4 retention", "5 of 0", "6 of 0"}));
  EXPECT_EQ(desk.counts().gaps, 1u);
  EXPECT_EQ(desk.counts().missed, 3u);
  EXPECT_EQ(desk.copy(1, 3), Verdict::duplicate) << "it was named as missing";
}

TEST_F(LineArbiterTest, AReplayThatTakesTooLongIsGivenUp) {
  desk.goes(1, Link::over);
  desk.copy(0, 1);
  desk.copy(0, 3);
  desk.take();
  desk.after(999ms);
  EXPECT_EQ(desk.take(), Lines{});
  desk.after(1ms);
  EXPECT_EQ(desk.take(), (Lines{"gap 2-2 upstream", "3 of 0"}));
  EXPECT_EQ(desk.next_tick(), kNever);
}

TEST_F(LineArbiterTest, ALineThatIsDownIsWaitedForBeforeAnythingIsGivenUp) {
  desk.goes(1, Link::down);
  desk.copy(0, 1);
  desk.copy(0, 3);
  desk.ended(0);
  EXPECT_EQ(desk.take(), (Lines{"1 of 0", "ask 0 since 1"}));
  desk.after(300ms);
  desk.goes(1, Link::up);
  EXPECT_EQ(desk.take(), Lines{"ask 1 since 1"});
  desk.replayed(1, 2);
  EXPECT_EQ(desk.take(), (Lines{"2 of 1", "3 of 0"}));
}

TEST_F(LineArbiterTest, ButNotForEver) {
  desk.goes(1, Link::down);
  desk.copy(0, 1);
  desk.copy(0, 3);
  desk.ended(0);
  desk.take();
  desk.after(1'020ms);
  EXPECT_EQ(desk.take(), (Lines{"gap 2-2 upstream", "3 of 0"}));
}

TEST_F(LineArbiterTest, TheLastOnesOfAQuietChannelAreMissedToo) {
  desk.copy(0, 1);
  desk.lost(0, 2, 4, Gap::Reason::upstream);
  EXPECT_EQ(desk.take(), Lines{"1 of 0"});
  desk.after(20ms);
  EXPECT_EQ(desk.take(), Lines{"ask 0 since 1"});
  desk.ended(0);
  EXPECT_EQ(desk.take(), Lines{"ask 1 since 1"});
  desk.ended(1);
  EXPECT_EQ(desk.take(), Lines{"gap 2-4 upstream"});
}

TEST_F(LineArbiterTest, ALineThatComesLaterTellsOfWhatTheOthersLost) {
  desk.goes(1, Link::down);
  desk.goes(1, Link::up);
  desk.copy(0, 1);
  desk.subscribed(1, 3);
  EXPECT_EQ(desk.take(), Lines{"1 of 0"});
  desk.after(20ms);
  EXPECT_EQ(desk.take(), Lines{"ask 1 since 1"});
}

TEST_F(LineArbiterTest, ALaterHoleIsAskedForAfterTheFirstWasFilled) {
  desk.goes(1, Link::over);
  desk.copy(0, 1);
  desk.copy(0, 3);
  desk.copy(0, 5);
  EXPECT_EQ(desk.take(), (Lines{"1 of 0", "ask 0 since 1"}));
  desk.replayed(0, 2);
  desk.ended(0);
  EXPECT_EQ(desk.take(), (Lines{"2 of 0", "3 of 0", "ask 0 since 3"}));
  desk.ended(0);
  EXPECT_EQ(desk.take(), (Lines{"gap 4-4 upstream", "5 of 0"}));
}

TEST_F(LineArbiterTest, WhatAReplayLacksIsNotAskedForAgain) {
  desk.goes(1, Link::over);
  desk.copy(0, 1);
  desk.copy(0, 6);
  EXPECT_EQ(desk.take(), (Lines{"1 of 0", "ask 0 since 1"}));
  desk.replayed(0, 2);
  desk.lost(0, 3, 4, Gap::Reason::retention, CopySource::replay);
  EXPECT_EQ(desk.replayed(0, 5), Verdict::hold) << "the replay goes on behind it";
  desk.ended(0);
  EXPECT_EQ(desk.take(), (Lines{"2 of 0", "gap 3-4 retention", "5 of 0", "6 of 0"}));
}

TEST_F(LineArbiterTest, ALateEndOfAReplayIsNotTheEndOfTheNext) {
  desk.copy(0, 1);
  desk.lost(0, 2, 2);
  desk.lost(1, 1, 2);
  desk.after(1s);
  EXPECT_EQ(desk.take(), (Lines{"1 of 0", "ask 0 since 1", "ask 1 since 1"}));
  desk.ended(0);
  EXPECT_EQ(desk.take(), Lines{});
  desk.replayed(1, 2);
  EXPECT_EQ(desk.take(), Lines{"2 of 1"});
}

TEST_F(LineArbiterTest, TheWaitBeginsWithTheFirstOneThatIsMissing) {
  desk.copy(0, 1);
  desk.lost(0, 2, 2);
  desk.after(15ms);
  desk.lost(0, 3, 3);
  desk.take();
  desk.after(5ms);
  EXPECT_EQ(desk.take(), Lines{"ask 0 since 1"});
}

// ---- Limits

TEST(LineArbiter, TheReorderBufferIsBoundedInMessages) {
  LineArbiterConfig config;
  config.held_messages_max = 3;
  Desk desk{config};
  desk.copy(0, 1);
  for (const std::uint64_t seq : {3u, 4u, 6u}) EXPECT_EQ(desk.copy(0, seq), Verdict::hold);
  EXPECT_EQ(desk.held(), 3u);
  EXPECT_EQ(desk.take(), Lines{"1 of 0"});
  EXPECT_EQ(desk.copy(0, 7), Verdict::hold);
  EXPECT_EQ(desk.take(), (Lines{"gap 2-2 upstream", "3 of 0", "4 of 0"}));
  EXPECT_EQ(desk.held(), 2u);
  EXPECT_EQ(desk.counts().overflows, 1u);
}

TEST(LineArbiter, TheReorderBufferIsBoundedInBytes) {
  LineArbiterConfig config;
  config.held_bytes_max = 250;  // Of messages of 100.
  Desk desk{config};
  desk.copy(0, 1);
  desk.copy(0, 3);
  desk.copy(0, 5);
  EXPECT_EQ(desk.held_bytes(), 200u);
  desk.take();
  desk.copy(0, 7);
  EXPECT_EQ(desk.take(), (Lines{"gap 2-2 upstream", "3 of 0"}));
  EXPECT_EQ(desk.held_bytes(), 200u);
}

TEST(LineArbiter, WhatIsLargerThanTheReorderBufferIsNotHeld) {
  LineArbiterConfig config;
  config.held_bytes_max = 50;
  Desk desk{config};
  desk.copy(0, 1);
  EXPECT_EQ(desk.copy(0, 3), Verdict::hold);
  EXPECT_EQ(desk.take(), (Lines{"1 of 0", "gap 2-2 upstream", "3 of 0"}));
  EXPECT_EQ(desk.held(), 0u);
  EXPECT_TRUE(desk.slots.empty());
}

// ---- Divergence

TEST(LineArbiter, AnotherContentUnderTheSameNumberIsOneDivergence) {
  Desk three{lines(3)};
  EXPECT_EQ(three.copy(1, 1, 500), Verdict::deliver);
  EXPECT_EQ(three.copy(0, 1, 501), Verdict::divergence);
  EXPECT_EQ(three.copy(2, 1, 502), Verdict::divergence);
  EXPECT_EQ(three.take(), (Lines{"1 of 1", "divergence 1: 1 and 0"}));
  EXPECT_EQ(three.counts(0).divergences, 1u);
  EXPECT_EQ(three.counts(2).divergences, 1u);
  EXPECT_EQ(three.counts().divergences, 1u);
}

TEST_F(LineArbiterTest, AMessageThatWaitsIsComparedToo) {
  desk.copy(0, 1);
  desk.copy(0, 3, 500);
  desk.take();
  EXPECT_EQ(desk.copy(1, 3, 501), Verdict::divergence);
  EXPECT_EQ(desk.take(), (Lines{"divergence 3: 0 and 1", "ask 0 since 1"}));
  desk.replayed(0, 2);
  EXPECT_EQ(desk.take(), (Lines{"2 of 0", "3 of 0"}));
  EXPECT_EQ(desk.copy(1, 3, 502), Verdict::divergence);
  EXPECT_EQ(desk.take(), Lines{}) << "told once";
}

TEST(LineArbiter, TheWindowRemembersExactlySoMany) {
  LineArbiterConfig config;
  config.window = 64;
  Desk small{config};
  for (std::uint64_t seq = 1; seq <= 100; ++seq) small.copy(0, seq);
  small.take();
  EXPECT_EQ(small.copy(1, 36, 500), Verdict::duplicate);
  EXPECT_EQ(small.copy(1, 37, 500), Verdict::divergence);
  EXPECT_EQ(small.take(), Lines{"divergence 37: 0 and 1"});
}

TEST(LineArbiter, AGapLeavesNothingToCompareWith) {
  LineArbiterConfig config;
  config.window = 16;
  Desk small{config};
  for (std::uint64_t seq = 1; seq <= 16; ++seq) small.copy(0, seq);
  small.lost(0, 17, 20);
  small.lost(1, 1, 20);
  small.ended(0);
  small.ended(1);
  small.take();
  // 17 lies where 1 was.
  EXPECT_EQ(small.copy(1, 17, 500), Verdict::duplicate);
  EXPECT_EQ(small.take(), Lines{});
}

// ---- Epochs

TEST_F(LineArbiterTest, AChangeOfEpochOfAllLinesIsOneGap) {
  desk.copy(0, 1);
  desk.copy(1, 1);
  desk.take();
  desk.lost(0, 2, 0, Gap::Reason::epoch_change);
  EXPECT_EQ(desk.take(), Lines{}) << "the other line is still in the old one";
  desk.epoch = kNextEpoch;
  EXPECT_EQ(desk.copy(0, 1), Verdict::foreign);
  desk.epoch = kEpoch;
  desk.copy(1, 2);
  EXPECT_EQ(desk.take(), Lines{"2 of 1"});
  desk.lost(1, 3, 0, Gap::Reason::epoch_change);
  EXPECT_EQ(desk.take(), (Lines{"gap 3-0 epoch_change"}));
  desk.epoch = kNextEpoch;
  // What this line brought while the old epoch went on.
  desk.after(20ms);
  EXPECT_EQ(desk.take(), Lines{"ask 0 since 0 of the next epoch"});
  EXPECT_EQ(desk.copy(1, 1), Verdict::deliver);
  EXPECT_EQ(desk.copy(0, 2), Verdict::deliver);
  desk.after(10s);
  EXPECT_EQ(desk.take(), (Lines{"1 of 1", "2 of 0"}));
  EXPECT_EQ(desk.counts().gaps, 1u);
  EXPECT_EQ(desk.counts(0).foreign, 1u);
}

TEST_F(LineArbiterTest, AnEpochEndsWhenTheLastLineOfItGoesDown) {
  desk.copy(0, 1);
  desk.copy(1, 1);
  desk.epoch = kNextEpoch;
  desk.copy(0, 1);
  desk.take();
  desk.goes(1, Link::down);
  EXPECT_EQ(desk.take(), (Lines{"gap 2-0 epoch_change", "ask 0 since 0 of the next epoch"}));
  desk.replayed(0, 1);
  EXPECT_EQ(desk.copy(0, 2), Verdict::deliver);
  EXPECT_EQ(desk.take(), (Lines{"1 of 0", "2 of 0"}));
}

TEST_F(LineArbiterTest, AnEpochThatWasEndedNeverComesBack) {
  desk.copy(0, 1);
  desk.goes(1, Link::down);
  desk.epoch = kNextEpoch;
  EXPECT_EQ(desk.copy(0, 1), Verdict::hold) << "the Gap comes before it";
  EXPECT_EQ(desk.take(), (Lines{"1 of 0", "gap 2-0 epoch_change", "1 of 0"}));
  desk.goes(1, Link::up);
  desk.epoch = kEpoch;
  EXPECT_EQ(desk.copy(1, 2), Verdict::foreign);
  desk.goes(0, Link::down);
  EXPECT_EQ(desk.copy(1, 3), Verdict::foreign);
  EXPECT_EQ(desk.take(), Lines{});
}

TEST_F(LineArbiterTest, ALineThatHasLeftAnEpochSaysNothingOfTheNext) {
  desk.copy(0, 1);
  desk.lost(0, 2, 0, Gap::Reason::epoch_change);
  desk.lost(1, 1, 0, Gap::Reason::epoch_change);
  desk.epoch = kNextEpoch;
  desk.copy(1, 1);
  EXPECT_EQ(desk.take(), (Lines{"1 of 0", "gap 2-0 epoch_change", "1 of 1"}));
  desk.goes(1, Link::down);
  EXPECT_EQ(desk.take(), Lines{});
  EXPECT_EQ(desk.copy(0, 2), Verdict::deliver);
}

TEST_F(LineArbiterTest, WhatWaitsIsHandedOverBeforeItsEpochEnds) {
  desk.goes(1, Link::down);
  desk.copy(0, 1);
  desk.copy(0, 3);
  desk.take();
  desk.lost(0, 4, 0, Gap::Reason::epoch_change);
  EXPECT_EQ(desk.take(), (Lines{"gap 2-2 upstream", "3 of 0", "gap 4-0 epoch_change"}));
  desk.epoch = kNextEpoch;
  desk.subscribed(0, 2);
  EXPECT_EQ(desk.take(), Lines{"ask 0 since 0 of the next epoch"});
  EXPECT_EQ(desk.copy(0, 3), Verdict::hold);
  desk.ended(0);
  desk.after(1'020ms);  // The line that is down might have come back.
  EXPECT_EQ(desk.take(), (Lines{"gap 1-2 upstream of the next epoch", "3 of 0"}));
}

// ---- What nobody wants any more

TEST_F(LineArbiterTest, AForgottenChannelStartsAnewAndFreesItsSlots) {
  desk.copy(0, 1);
  desk.copy(0, 3);
  EXPECT_EQ(desk.slots.size(), 1u);
  desk.forget(kChannel);
  desk.after(10s);
  EXPECT_TRUE(desk.slots.empty());
  EXPECT_EQ(desk.held(), 0u);
  desk.take();
  EXPECT_EQ(desk.copy(0, 9), Verdict::deliver);
  EXPECT_EQ(desk.take(), Lines{"9 of 0"});
}

TEST_F(LineArbiterTest, WhatWaitsForAReplayIsToldWhenTheLastLineIsOver) {
  desk.lost(0, 1, 1);
  desk.lost(1, 1, 1);
  EXPECT_EQ(desk.copy(0, 2), Verdict::hold);
  EXPECT_EQ(desk.take(), Lines{"ask 0 since 0"});
  desk.goes(0, Link::over);
  EXPECT_EQ(desk.take(), Lines{});
  desk.goes(1, Link::over);
  EXPECT_EQ(desk.take(), (Lines{"gap 1-1 disconnected", "2 of 0"}));
  EXPECT_EQ(desk.held(), 0u);
  desk.ended(0);
  desk.after(2s);
  EXPECT_EQ(desk.take(), Lines{});
}

TEST_F(LineArbiterTest, ChannelsDoNotWaitForEachOther) {
  desk.copy(0, 1);
  desk.copy(0, 3);
  desk.channel = "prices:B";
  desk.copy(0, 1);
  EXPECT_EQ(desk.take(), (Lines{"1 of 0", "1 of 0"}));
}

TEST(LineArbiter, SixteenLinesAreToldApart) {
  Desk desk{lines(LineArbiter::kLinesMax)};
  desk.copy(15, 1);
  EXPECT_EQ(desk.copy(14, 1, 500), Verdict::divergence);
  EXPECT_EQ(desk.take(), (Lines{"1 of 15", "divergence 1: 15 and 14"}));
}

}  // namespace
}  // namespace stratwire::session
