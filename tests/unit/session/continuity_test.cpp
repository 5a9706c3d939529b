#include <string>

#include <gtest/gtest.h>

#include <stratwire/limits.hpp>
#include <stratwire/session/continuity.hpp>

namespace stratwire::session {
namespace {

using Verdict = Continuity::Verdict;

constexpr std::uint64_t kEpoch = 77;
constexpr std::uint64_t kNextEpoch = 78;
constexpr const char* kChannel = "prices:A";

/// A client that has handed over messages 1..`seq` of kChannel on its first connection.
class On {
 public:
  explicit On(std::size_t channels_max = 100) : continuity(channels_max) {}

  void connect(std::uint64_t epoch, Continuity::Role role = Continuity::Role::sole) {
    line = continuity.connected(role);
    line.epoch = epoch;
  }
  Verdict message(std::string_view channel, std::uint64_t seq) {
    return continuity.message(line, channel, seq);
  }
  Verdict gap_message(std::string_view channel, const Gap& gap) {
    return continuity.gap_message(line, channel, gap);
  }
  /// Of a subscription that asked for nothing that was missed.
  std::optional<Gap> subscribed(std::string_view channel, std::uint64_t epoch, std::uint64_t head) {
    return continuity.subscribed(line, {channel, epoch, head, false, false},
                                 Continuity::Replay::none);
  }
  [[nodiscard]] const Gap& gap() const { return continuity.gap(); }
  [[nodiscard]] const Cursor& cursor() const { return continuity.cursor(); }

  Continuity continuity;
  Continuity::Line line{};
};

class At : public On {
 public:
  explicit At(std::uint64_t seq, std::size_t channels_max = 100) : On(channels_max) {
    connect(kEpoch);
    EXPECT_EQ(subscribed(kChannel, kEpoch, 0), std::nullopt);
    for (std::uint64_t i = 1; i <= seq; ++i) EXPECT_EQ(message(kChannel, i), Verdict::deliver);
  }
};

void reconnect(On& continuity, std::uint64_t epoch) {
  continuity.connect(epoch);
}

Gap gap(std::uint64_t from, std::uint64_t to, Gap::Reason reason, std::uint64_t epoch = kEpoch) {
  return {epoch, from, to, reason};
}

TEST(Continuity, TheNextOneIsDelivered) {
  At continuity{3};
  EXPECT_EQ(continuity.message(kChannel, 4), Verdict::deliver);
  EXPECT_EQ(continuity.cursor().channel, kChannel);
  EXPECT_EQ(continuity.cursor().epoch, kEpoch);
}

TEST(Continuity, WhatWasHandedOverIsADuplicate) {
  At continuity{3};
  EXPECT_EQ(continuity.message(kChannel, 3), Verdict::duplicate);
  EXPECT_EQ(continuity.message(kChannel, 1), Verdict::duplicate);
  EXPECT_EQ(continuity.message(kChannel, 4), Verdict::deliver);
}

TEST(Continuity, AHoleIsOneGapBeforeTheMessage) {
  At continuity{3};
  EXPECT_EQ(continuity.message(kChannel, 9), Verdict::deliver_after_gap);
  EXPECT_EQ(continuity.gap(), gap(4, 8, Gap::Reason::upstream));
  EXPECT_EQ(continuity.message(kChannel, 10), Verdict::deliver);
}

TEST(Continuity, TheFirstMessageAfterSubscribedIsHeadPlusOne) {
  On continuity;
  reconnect(continuity, kEpoch);
  EXPECT_EQ(continuity.subscribed(kChannel, kEpoch, 100), std::nullopt);
  EXPECT_EQ(continuity.message(kChannel, 102), Verdict::deliver_after_gap);
  EXPECT_EQ(continuity.gap(), gap(101, 101, Gap::Reason::upstream));
}

TEST(Continuity, AChannelOfAWildcardStartsWithItsFirstMessage) {
  On continuity;
  reconnect(continuity, kEpoch);
  EXPECT_EQ(continuity.subscribed("prices:*", kEpoch, 0), std::nullopt);
  EXPECT_EQ(continuity.continuity.channels(), 0u);
  EXPECT_EQ(continuity.message(kChannel, 41), Verdict::deliver);
  EXPECT_EQ(continuity.cursor().epoch, kEpoch);
  EXPECT_EQ(continuity.message(kChannel, 42), Verdict::deliver);
}

TEST(Continuity, ChannelsDoNotDisturbOneAnother) {
  At continuity{3};
  EXPECT_EQ(continuity.message("prices:B", 900), Verdict::deliver);
  EXPECT_EQ(continuity.message(kChannel, 4), Verdict::deliver);
  EXPECT_EQ(continuity.message("prices:B", 901), Verdict::deliver);
}

TEST(Continuity, AGapOfTheServerMovesTheCursor) {
  At continuity{3};
  EXPECT_EQ(continuity.gap_message(kChannel, gap(4, 20, Gap::Reason::slow_consumer)),
            Verdict::deliver);
  EXPECT_EQ(continuity.gap(), gap(4, 20, Gap::Reason::slow_consumer));
  EXPECT_EQ(continuity.message(kChannel, 21), Verdict::deliver);
}

TEST(Continuity, AGapOfWhatWasHandedOverIsADuplicate) {
  At continuity{9};
  EXPECT_EQ(continuity.gap_message(kChannel, gap(4, 9, Gap::Reason::slow_consumer)),
            Verdict::duplicate);
  EXPECT_EQ(continuity.message(kChannel, 10), Verdict::deliver);
}

TEST(Continuity, OneGapCoversTheServersAndWhatLiesBeforeIt) {
  At continuity{3};
  EXPECT_EQ(continuity.gap_message(kChannel, gap(8, 10, Gap::Reason::conflated)), Verdict::deliver);
  EXPECT_EQ(continuity.gap(), gap(4, 10, Gap::Reason::conflated));
}

TEST(Continuity, AGapThatOverlapsIsCutToWhatIsMissing) {
  At continuity{6};
  EXPECT_EQ(continuity.gap_message(kChannel, gap(4, 10, Gap::Reason::slow_consumer)),
            Verdict::deliver);
  EXPECT_EQ(continuity.gap(), gap(7, 10, Gap::Reason::slow_consumer));
}

TEST(Continuity, AGapBeforeTheFirstMessageIsHandedOverAsItIs) {
  On continuity;
  reconnect(continuity, kEpoch);
  EXPECT_EQ(continuity.gap_message(kChannel, gap(5, 9, Gap::Reason::slow_consumer)),
            Verdict::deliver);
  EXPECT_EQ(continuity.gap(), gap(5, 9, Gap::Reason::slow_consumer));
  EXPECT_EQ(continuity.message(kChannel, 10), Verdict::deliver);
}

TEST(Continuity, AGapWithoutAnEpochIsOfTheConnections) {
  At continuity{3};
  EXPECT_EQ(continuity.gap_message(kChannel, gap(4, 5, Gap::Reason::slow_consumer, 0)),
            Verdict::deliver);
  EXPECT_EQ(continuity.gap(), gap(4, 5, Gap::Reason::slow_consumer));
  EXPECT_EQ(continuity.message(kChannel, 6), Verdict::deliver);
}

TEST(Continuity, AnEpochChangeByGapStartsAnew) {
  At continuity{500};
  EXPECT_EQ(continuity.gap_message(kChannel, gap(0, 0, Gap::Reason::epoch_change)),
            Verdict::deliver);
  EXPECT_EQ(continuity.gap().from, 501u);
  EXPECT_EQ(continuity.message(kChannel, 1), Verdict::deliver);
  EXPECT_EQ(continuity.message(kChannel, 2), Verdict::deliver);
}

TEST(Continuity, AGapOfAnotherEpochIsOneEpochChange) {
  At continuity{500};
  EXPECT_EQ(continuity.gap_message(kChannel, gap(1, 7, Gap::Reason::slow_consumer, kNextEpoch)),
            Verdict::deliver);
  EXPECT_EQ(continuity.gap(), gap(501, 0, Gap::Reason::epoch_change));
  EXPECT_EQ(continuity.message(kChannel, 8), Verdict::deliver);
  EXPECT_EQ(continuity.cursor().epoch, kNextEpoch);
}

TEST(Continuity, NothingMissedWhileAwayIsNoGap) {
  At continuity{5};
  reconnect(continuity, kEpoch);
  EXPECT_EQ(continuity.subscribed(kChannel, kEpoch, 5), std::nullopt);
  EXPECT_EQ(continuity.message(kChannel, 6), Verdict::deliver);
}

TEST(Continuity, WhatWasMissedWhileAwayIsOneGap) {
  At continuity{5};
  reconnect(continuity, kEpoch);
  EXPECT_EQ(continuity.subscribed(kChannel, kEpoch, 12), gap(6, 12, Gap::Reason::disconnected));
  EXPECT_EQ(continuity.message(kChannel, 13), Verdict::deliver);
}

TEST(Continuity, AnotherEpochAfterAReconnectIsOneGapOfUnknownEnd) {
  At continuity{5};
  reconnect(continuity, kNextEpoch);
  EXPECT_EQ(continuity.subscribed(kChannel, kNextEpoch, 2), gap(6, 0, Gap::Reason::epoch_change));
  EXPECT_EQ(continuity.message(kChannel, 3), Verdict::deliver);
  EXPECT_EQ(continuity.cursor().epoch, kNextEpoch);
}

TEST(Continuity, AServerOfTheSameEpochThatIsBehindBringsNothingTwice) {
  At continuity{500};
  reconnect(continuity, kEpoch);
  EXPECT_EQ(continuity.subscribed(kChannel, kEpoch, 2), std::nullopt);
  EXPECT_EQ(continuity.message(kChannel, 3), Verdict::duplicate);
  EXPECT_EQ(continuity.message(kChannel, 500), Verdict::duplicate);
  EXPECT_EQ(continuity.message(kChannel, 501), Verdict::deliver);
}

TEST(Continuity, TheEndOfANumberingThatWasGivenUpIsNotTheCursors) {
  On continuity;
  reconnect(continuity, kNextEpoch);
  EXPECT_EQ(continuity.subscribed(kChannel, kNextEpoch, 4), std::nullopt);
  EXPECT_EQ(continuity.gap_message(kChannel, gap(10, 0, Gap::Reason::epoch_change, kEpoch)),
            Verdict::duplicate);
  EXPECT_EQ(continuity.message(kChannel, 5), Verdict::deliver);
  EXPECT_EQ(continuity.cursor().epoch, kNextEpoch);
}

std::optional<ResumePoint> position(On& continuity) {
  return continuity.continuity.ask(continuity.line, "prices:*");
}
std::optional<Gap> resumed(On& continuity, std::string_view channel, std::uint64_t head) {
  return continuity.continuity.subscribed(continuity.line, {channel, kEpoch, head, true, false},
                                          Continuity::Replay::follows);
}

TEST(Continuity, OnlyAFirstPositionCountsBeforeItsReplayIsDone) {
  On continuity;
  reconnect(continuity, kEpoch);
  EXPECT_EQ(resumed(continuity, "prices:*", 100), std::nullopt);
  reconnect(continuity, kEpoch);
  EXPECT_EQ(position(continuity), (ResumePoint{"prices:*", kEpoch, 100}));
  EXPECT_EQ(resumed(continuity, "prices:*", 170), std::nullopt);
  reconnect(continuity, kEpoch);
  EXPECT_EQ(position(continuity), (ResumePoint{"prices:*", kEpoch, 100}));
}

TEST(Continuity, ANameBeginsWithWhatItsWildcardHadMissed) {
  On continuity;
  reconnect(continuity, kEpoch);
  EXPECT_EQ(continuity.subscribed("prices:*", kEpoch, 100), std::nullopt);
  reconnect(continuity, kEpoch);
  EXPECT_NE(position(continuity), std::nullopt);
  EXPECT_EQ(resumed(continuity, "prices:*", 170), std::nullopt);
  EXPECT_EQ(resumed(continuity, kChannel, 9), std::nullopt);
  EXPECT_EQ(continuity.message(kChannel, 8), Verdict::deliver);
  EXPECT_EQ(continuity.message(kChannel, 9), Verdict::deliver);
  continuity.continuity.caught_up(continuity.line, "prices:*", [](auto, const Gap&) { FAIL(); });
  // Behind the replay the answer tells where a name begins.
  EXPECT_EQ(resumed(continuity, "prices:B", 5), std::nullopt);
  EXPECT_EQ(continuity.message("prices:B", 7), Verdict::deliver_after_gap);
}

TEST(Continuity, WhatAWildcardReplaysIsANamesTooWhenTheWildcardIsGivenUp) {
  At continuity{3};
  reconnect(continuity, kNextEpoch);
  const auto points = continuity.continuity.ask_covered(continuity.line, "prices:*", 10);
  EXPECT_EQ(points.size(), 1U);
  continuity.continuity.answered(continuity.line, "prices:*", kNextEpoch);
  EXPECT_EQ(continuity.gap_message(kChannel, gap(4, 0, Gap::Reason::epoch_change)),
            Verdict::deliver);
  EXPECT_EQ(continuity.message(kChannel, 1), Verdict::deliver);
}

TEST(Continuity, AMessageBeforeItsSubscribedSettlesTheCursor) {
  At continuity{5};
  reconnect(continuity, kEpoch);
  EXPECT_EQ(continuity.message(kChannel, 8), Verdict::deliver_after_gap);
  EXPECT_EQ(continuity.gap(), gap(6, 7, Gap::Reason::disconnected));
  EXPECT_EQ(continuity.subscribed(kChannel, kEpoch, 7), std::nullopt);
  EXPECT_EQ(continuity.message(kChannel, 9), Verdict::deliver);
}

TEST(Continuity, OfAWildcardTheFirstMessageAfterAReconnectDecides) {
  On continuity;
  reconnect(continuity, kEpoch);
  EXPECT_EQ(continuity.message(kChannel, 1), Verdict::deliver);
  reconnect(continuity, kEpoch);
  EXPECT_EQ(continuity.message(kChannel, 2), Verdict::deliver);
  reconnect(continuity, kEpoch);
  EXPECT_EQ(continuity.message(kChannel, 5), Verdict::deliver_after_gap);
  EXPECT_EQ(continuity.gap(), gap(3, 4, Gap::Reason::disconnected));
  reconnect(continuity, kEpoch);
  EXPECT_EQ(continuity.message(kChannel, 5), Verdict::duplicate);
  reconnect(continuity, kNextEpoch);
  EXPECT_EQ(continuity.message(kChannel, 6), Verdict::deliver_after_gap);
  EXPECT_EQ(continuity.gap(), gap(6, 0, Gap::Reason::epoch_change));
  EXPECT_EQ(continuity.cursor().epoch, kNextEpoch);
  EXPECT_EQ(continuity.message(kChannel, 7), Verdict::deliver);
}

TEST(Continuity, AServerWithoutEpochsThatCountsAnewIsNoticed) {
  On continuity;
  reconnect(continuity, 0);
  EXPECT_EQ(continuity.message(kChannel, 90), Verdict::deliver);
  reconnect(continuity, 0);
  EXPECT_EQ(continuity.message(kChannel, 1), Verdict::deliver_after_gap);
  EXPECT_EQ(continuity.gap(), gap(91, 0, Gap::Reason::epoch_change, 0));
  EXPECT_EQ(continuity.message(kChannel, 2), Verdict::deliver);
}

TEST(Continuity, AForgottenChannelStartsAnewWithoutAGap) {
  At continuity{5};
  continuity.continuity.forget(kChannel);
  EXPECT_EQ(continuity.subscribed(kChannel, kEpoch, 50), std::nullopt);
  EXPECT_EQ(continuity.message(kChannel, 51), Verdict::deliver);
  continuity.continuity.forget_if([](std::string_view channel) { return channel == kChannel; });
  EXPECT_EQ(continuity.message(kChannel, 90), Verdict::deliver);
}

TEST(Continuity, MessagesWithoutANumberAreNotChecked) {
  At continuity{5};
  EXPECT_EQ(continuity.message(kChannel, 0), Verdict::deliver);
  EXPECT_EQ(continuity.message("events:x", 0), Verdict::deliver);
  EXPECT_EQ(continuity.message("events:x", 0), Verdict::deliver);
  EXPECT_EQ(continuity.message(kChannel, 6), Verdict::deliver);
}

TEST(Continuity, TheNumberOfChannelsIsLimited) {
  At continuity{1, 3};
  EXPECT_EQ(continuity.message("prices:B", 1), Verdict::deliver);
  EXPECT_EQ(continuity.message("prices:C", 1), Verdict::deliver);
  EXPECT_EQ(continuity.message("prices:D", 1), Verdict::refused);
  EXPECT_EQ(continuity.message(kChannel, 2), Verdict::deliver);
}

TEST(Continuity, ANameThatIsTooLongIsNotRemembered) {
  At continuity{1};
  const std::string longest(limits::kChannelNameBytesMax, 'x');
  EXPECT_EQ(continuity.message(longest, 1), Verdict::deliver);
  EXPECT_EQ(continuity.message(longest + "x", 1), Verdict::refused);
}

// ---- What led to where it is

TEST(Continuity, KnowsWhetherAMessageLedToWhereItIs) {
  const auto is_at_message = [](On& on) { return on.continuity.is_at_message(kChannel); };
  On on;
  on.connect(kEpoch);
  EXPECT_FALSE(is_at_message(on)) << "a name that never came";
  on.subscribed(kChannel, kEpoch, 5);
  EXPECT_FALSE(is_at_message(on)) << "a head";
  on.message(kChannel, 6);
  EXPECT_TRUE(is_at_message(on));
  on.gap_message(kChannel, gap(7, 9, Gap::Reason::conflated));
  EXPECT_FALSE(is_at_message(on)) << "a Gap";
  on.message(kChannel, 12);
  EXPECT_TRUE(is_at_message(on)) << "behind a hole of its own";
  EXPECT_TRUE(on.continuity.head(on.line, kChannel, 14).has_value());
  EXPECT_FALSE(is_at_message(on)) << "a head that told of a loss";
  on.message(kChannel, 15);
  EXPECT_FALSE(on.continuity.head(on.line, kChannel, 15).has_value());
  EXPECT_TRUE(is_at_message(on)) << "the head that it is at";
  on.gap_message(kChannel, gap(16, 0, Gap::Reason::epoch_change));
  EXPECT_FALSE(is_at_message(on)) << "the end of a numbering";
  on.message(kChannel, 1);
  EXPECT_TRUE(is_at_message(on));
  on.continuity.forget(kChannel);
  EXPECT_FALSE(is_at_message(on)) << "nobody wanted it";
  on.message(kChannel, 2);
  EXPECT_TRUE(is_at_message(on));
}

TEST(Continuity, AReconnectKeepsWhatLedThere) {
  At on{6};
  on.connect(kEpoch);
  EXPECT_EQ(on.subscribed(kChannel, kEpoch, 6), std::nullopt);
  EXPECT_TRUE(on.continuity.is_at_message(kChannel)) << "nothing was missed";
  on.connect(kEpoch);
  EXPECT_TRUE(on.subscribed(kChannel, kEpoch, 8).has_value());
  EXPECT_FALSE(on.continuity.is_at_message(kChannel));
  on.message(kChannel, 9);
  on.connect(kNextEpoch);
  EXPECT_TRUE(on.subscribed(kChannel, kNextEpoch, 9).has_value());
  EXPECT_FALSE(on.continuity.is_at_message(kChannel)) << "the same number of another numbering";
  on.message(kChannel, 10);
  on.connect(kEpoch);
  EXPECT_EQ(on.message(kChannel, 9), Verdict::deliver_after_gap) << "without an answer";
  EXPECT_TRUE(on.continuity.is_at_message(kChannel)) << "a Gap once ended at this number";
}

TEST(Continuity, APointOfTheUserIsNoMessage) {
  On on;
  on.continuity.seed({kChannel, kEpoch, 7});
  EXPECT_FALSE(on.continuity.is_at_message(kChannel));
}

}  // namespace
}  // namespace stratwire::session
