#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/session/line_arbiter.hpp>

namespace stratwire::session {
namespace {

using namespace std::chrono_literals;
using Verdict = LineArbiter::Verdict;
using Link = LineArbiter::Link;
using Lines = std::vector<std::string>;

constexpr std::uint64_t kEpoch = 77;
constexpr std::uint64_t kNextEpoch = 78;
constexpr const char* kChannel = "prices:A";
const Instant t0{1000s};

/// An arbiter whose lines are up, and an owner that writes down all that it hands over.
class Desk : public LineArbiter {
 public:
  explicit Desk(LineArbiterConfig config = {}) : LineArbiter(config) {
    for (std::size_t line = 0; line < config.lines; ++line) link(line, Link::up, t0);
  }
  using LineArbiter::gap;
  using LineArbiter::link;

  /// A message that says `content`; by default what every line says of this number.
  Verdict copy(std::size_t line, std::uint64_t seq, std::uint64_t content = 0,
               CopySource source = CopySource::live) {
    return give({line, source, channel, epoch, seq, (content == 0 ? seq : content) << 8, 100, 0});
  }
  Verdict replayed(std::size_t line, std::uint64_t seq) {
    return copy(line, seq, 0, CopySource::replay);
  }
  Verdict give(const LineCopy& copy) {
    const Decision decision = message(copy, now);
    const std::string text = std::to_string(copy.seq) + " of " + std::to_string(copy.line);
    if (decision.verdict == Verdict::deliver) heard.push_back(text);
    if (decision.verdict == Verdict::hold) slots[decision.slot] = text;
    act();
    return decision.verdict;
  }
  void lost(std::size_t line, std::uint64_t from, std::uint64_t to,
            Gap::Reason reason = Gap::Reason::disconnected, CopySource source = CopySource::live) {
    gap(line, source, channel, {epoch, from, to, reason}, now);
    act();
  }
  void subscribed(std::size_t line, std::uint64_t head) {
    started(line, channel, epoch, head, now);
    act();
  }
  void goes(std::size_t line, Link to) {
    link(line, to, now);
    act();
  }
  void ended(std::size_t line, Replayed replayed = Replayed::all) {
    replay_ended(line, asked, replayed, now);
    act();
  }
  void after(Duration passed) {
    now += passed;
    tick(now);
    act();
  }
  /// What was handed over and asked for since the last call.
  Lines take() { return std::exchange(heard, {}); }

  Instant now = t0;
  std::string channel = kChannel;
  std::string asked = kChannel;  // What replays are asked of.
  std::uint64_t epoch = kEpoch;
  std::map<std::uint32_t, std::string> slots{};
  Lines heard{};

 private:
  void act() {
    while (const auto action = next_action()) std::visit([this](auto& a) { on(a); }, *action);
  }
  void on(const arbiter_action::Release& release) {
    heard.push_back(slots.at(release.slot));
    slots.erase(release.slot);
  }
  void on(const arbiter_action::Discard& discard) { EXPECT_EQ(slots.erase(discard.slot), 1u); }
  void on(const arbiter_action::HandGap& hand) {
    heard.push_back("gap " + std::to_string(hand.gap.from) + '-' + std::to_string(hand.gap.to) +
                    ' ' + std::string{to_string(hand.gap.reason)} +
                    (hand.gap.epoch == kEpoch ? "" : " of the next epoch"));
  }
  void on(const arbiter_action::AskReplay& ask) {
    EXPECT_EQ(ask.channel, asked);
    heard.push_back("ask " + std::to_string(ask.line) + " since " + std::to_string(ask.seq) +
                    (ask.epoch == kEpoch ? "" : " of the next epoch"));
  }
  void on(const arbiter_action::HandDivergence& hand) {
    EXPECT_EQ(hand.divergence.channel, channel);
    heard.push_back("divergence " + std::to_string(hand.divergence.seq) + ": " +
                    std::to_string(hand.divergence.first) + " and " +
                    std::to_string(hand.divergence.other));
  }
};

LineArbiterConfig lines(std::size_t count) {
  LineArbiterConfig config;
  config.lines = count;
  return config;
}

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

// ---- Wildcards

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
