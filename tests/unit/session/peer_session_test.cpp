#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stratwire/session/peer_session.hpp>
#include <stratwire/testing/peer_halves.hpp>

#include "../../support/report.hpp"

namespace stratwire::session {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::PeerPair;

PriceUpdate price(std::uint64_t n) {
  return {"USDC", "SOL", 142.5, n, 99};
}
Event hedge() {
  return {"Hedge", {Codec::json, R"({"size":3})"}};
}

struct PeerSessionTest : ::testing::Test {
  /// Linked, and what that said forgotten.
  void link(PeerPair& pair) {
    pair.connect();
    pair.flow();
    pair.a.take_log();
    pair.b.take_log();
  }
  std::uint64_t ask(PeerPair& pair, Duration timeout = Duration{0}) {
    return pair.b.session->request(pair.now, hedge(), timeout).value();
  }
};

// ---- Linking

TEST_F(PeerSessionTest, BothHearWhoTheOtherIs) {
  PeerPair pair;
  EXPECT_THAT(pair.a.take_log(), ElementsAre("listening"));
  EXPECT_THAT(pair.b.take_log(), ElementsAre("connecting"));
  EXPECT_TRUE(pair.b.wants_connect);
  pair.connect();
  EXPECT_THAT(pair.a.take_log(), ElementsAre("linked beta/2000000 #1"));
  EXPECT_THAT(pair.b.take_log(), ElementsAre("linked alpha/1000000 #1"));
}

TEST_F(PeerSessionTest, MessagesGoBothWaysInOrder) {
  PeerPair pair;
  link(pair);
  EXPECT_EQ(pair.a.session->send(pair.now, price(1)), SendStatus::ok);
  EXPECT_EQ(pair.a.session->send(pair.now, hedge()), SendStatus::ok);
  EXPECT_EQ(pair.b.session->send(pair.now, AccountUpdate{"key", 1, 2, 3}), SendStatus::ok);
  EXPECT_EQ(pair.b.session->send(pair.now, price(2)), SendStatus::ok);
  pair.flow();
  EXPECT_THAT(pair.b.take_log(), ElementsAre("1 price 1", "2 Hedge"));
  EXPECT_THAT(pair.a.take_log(), ElementsAre("2 price 2"));
  EXPECT_EQ(pair.a.session->counts().received, 2u);
}

TEST_F(PeerSessionTest, WhatIsSentBeforeTheLinkWaitsForIt) {
  PeerPair pair;
  EXPECT_EQ(pair.b.session->send(pair.now, price(1)), SendStatus::ok);
  link(pair);
  EXPECT_EQ(pair.a.session->counts().received, 1u);
}

TEST_F(PeerSessionTest, AnotherNameIsRefusedForAllTheLifeOfThePeer) {
  PeerPair pair;
  link(pair);
  const PeerHello stranger{"gamma", 7, 0, 0};
  for (const bool linked : {true, false}) {
    const PeerMeeting meeting = pair.a.session->meet(pair.now, 9, stranger);
    EXPECT_EQ(meeting.answer, PeerMeeting::Answer::refused) << linked;
    EXPECT_EQ(meeting.code, kPeerTaken);
    EXPECT_EQ(meeting.reason, "this peer is linked with 'beta' only");
    pair.cut();
  }
  EXPECT_EQ(pair.a.session->counts().refused, 2u);
}

TEST_F(PeerSessionTest, ADiallerThatMeetsAnotherNameFails) {
  PeerSessionConfig dialling;
  dialling.other = "omega";
  PeerPair pair({}, dialling);
  pair.connect();
  EXPECT_EQ(pair.b.session->state(), PeerState::failed);
  EXPECT_EQ(pair.b.closed_with, kPeerTaken);
}

TEST_F(PeerSessionTest, AHelloWithoutNameOrEpochIsRefused) {
  PeerPair pair;
  EXPECT_EQ(pair.a.session->meet(pair.now, 1, {"", 7, 0, 0}).code, kPeerBroke);
  EXPECT_EQ(pair.a.session->meet(pair.now, 2, {"beta", 0, 0, 0}).code, kPeerBroke);
  EXPECT_EQ(pair.a.session->state(), PeerState::listening);
}

// ---- Replacing

TEST_F(PeerSessionTest, ANewConnectionOfTheSamePeerReplacesTheOldOne) {
  PeerPair pair;
  link(pair);
  const PeerMeeting meeting = pair.a.session->meet(pair.now, 5, {"beta", 2'000'000, 0, 0});
  EXPECT_EQ(meeting.answer, PeerMeeting::Answer::linked);
  EXPECT_EQ(meeting.code, kPeerReplaced);
  pair.a.settle(pair.now);
  EXPECT_THAT(pair.a.take_log(), ElementsAre("linked beta/2000000 #2"));
}

TEST_F(PeerSessionTest, AnOlderConnectionCannotReplaceANewerOne) {
  PeerPair pair;
  pair.connections = 4;
  link(pair);
  const PeerMeeting late = pair.a.session->meet(pair.now, 3, {"beta", 1, 0, 0});
  EXPECT_EQ(late.answer, PeerMeeting::Answer::refused);
  EXPECT_EQ(late.code, kPeerReplaced);
  EXPECT_EQ(pair.a.session->other(), (PeerIdentity{"beta", 2'000'000, 1}));
}

TEST_F(PeerSessionTest, APeerThatStartedAnewEndsItsNumbersWithAGap) {
  PeerPair pair;
  link(pair);
  pair.b.session->send(pair.now, price(1));
  pair.flow();
  pair.cut();
  pair.b.restart(3'000'000, pair.now);
  pair.b.session->send(pair.now, price(2));
  pair.a.take_log();
  pair.connect();
  pair.flow();
  EXPECT_THAT(pair.a.take_log(),
              ElementsAre("gap 2-0 epoch_change", "linked beta/3000000 #2", "1 price 2"));
}

// ---- Resuming

TEST_F(PeerSessionTest, WhatWasOnItsWayIsSentAgainAndHandedOverOnce) {
  PeerPair pair;
  link(pair);
  for (std::uint64_t n = 1; n <= 4; ++n) pair.b.session->send(pair.now, price(n));
  pair.b.write(pair.now);
  pair.deliver(pair.b, pair.a, 2);
  pair.cut();
  pair.b.session->send(pair.now, price(5));
  pair.connect();
  pair.flow();
  EXPECT_THAT(pair.a.take_log(),
              ElementsAre("1 price 1", "2 price 2", "listening connection_lost",
                          "linked beta/2000000 #2", "3 price 3", "4 price 4", "5 price 5"));
  EXPECT_EQ(pair.b.session->counts().resent, 2u);
  EXPECT_EQ(pair.a.session->counts().duplicates, 0u);
}

TEST_F(PeerSessionTest, WhatCameOnTheOldConnectionAfterTheHelloIsDroppedWhenItComesAgain) {
  PeerPair pair;
  link(pair);
  pair.b.session->send(pair.now, price(1));
  pair.b.session->send(pair.now, price(2));
  pair.b.write(pair.now);
  const PeerHello early = pair.a.session->hello();
  pair.deliver(pair.b, pair.a);
  // The dialler was told the cursor of before: it sends both again.
  pair.b.session->lost(pair.now, {{Errc::connection_lost}, 0});
  pair.b.session->tick(pair.now + seconds{1});
  pair.b.settle(pair.now);
  const PeerHello from_b = pair.b.session->hello();
  EXPECT_EQ(pair.b.session->meet(pair.now, 2, early).code, 0);
  EXPECT_EQ(pair.a.session->meet(pair.now, 2, from_b).code, kPeerReplaced);
  pair.b.up = true;
  pair.flow();
  EXPECT_EQ(pair.a.session->counts().received, 2u);
  EXPECT_EQ(pair.a.session->counts().duplicates, 2u);
}

TEST_F(PeerSessionTest, WhatGrewTooOldIsOneGap) {
  PeerSessionConfig dialling;
  dialling.log.age_max = seconds{10};
  PeerPair pair({}, dialling);
  link(pair);
  pair.cut();
  for (std::uint64_t n = 1; n <= 3; ++n) pair.b.session->send(pair.now, price(n));
  pair.pass(seconds{11});
  pair.b.session->send(pair.now, price(4));
  pair.a.take_log();
  pair.connect();
  pair.flow();
  EXPECT_THAT(pair.a.take_log(),
              ElementsAre("linked beta/2000000 #2", "gap 1-3 retention", "4 price 4"));
  EXPECT_EQ(pair.a.session->counts().missed, 3u);
  EXPECT_EQ(pair.b.session->counts().gaps_sent, 1u);
  pair.pass(milliseconds{20});
  pair.flow();
  EXPECT_EQ(pair.b.session->log().size(), 0u) << "the Gap was acknowledged too";
}

TEST_F(PeerSessionTest, AReceiverThatStartedAnewIsSentWhatNobodyAcknowledged) {
  PeerPair pair;
  link(pair);
  pair.a.session->send(pair.now, price(1));
  pair.flow();
  pair.pass(milliseconds{20});
  pair.flow();
  ASSERT_EQ(pair.a.session->log().size(), 0u);
  pair.cut();
  pair.a.session->send(pair.now, price(2));
  pair.b.restart(3'000'000, pair.now);
  pair.b.take_log();
  pair.connect();
  pair.flow();
  EXPECT_THAT(pair.b.take_log(),
              ElementsAre("linked alpha/1000000 #1", "gap 1-1 retention", "2 price 2"));
}

// ---- Limits

TEST_F(PeerSessionTest, AFullLogIsBackPressuredUntilSomethingIsAcknowledged) {
  PeerSessionConfig dialling;
  dialling.log.messages_max = 3;
  PeerPair pair({}, dialling);
  for (std::uint64_t n = 1; n <= 3; ++n) {
    EXPECT_EQ(pair.b.session->send(pair.now, price(n)), SendStatus::ok);
  }
  EXPECT_EQ(pair.b.session->send(pair.now, price(4)), SendStatus::back_pressured);
  EXPECT_EQ(pair.b.session->request(pair.now, hedge(), seconds{1}).error().code,
            Errc::back_pressured);
  EXPECT_EQ(pair.b.session->counts().back_pressured, 2u);
  link(pair);
  pair.pass(milliseconds{20});
  pair.flow();
  EXPECT_EQ(pair.b.session->send(pair.now, price(4)), SendStatus::ok);
  pair.flow();
  EXPECT_EQ(pair.a.session->counts().received, 4u);
  EXPECT_EQ(pair.a.session->counts().gaps, 0u);
}

TEST_F(PeerSessionTest, BytesAreALimitToo) {
  PeerSessionConfig dialling;
  dialling.log.bytes_max = 400;
  PeerPair pair({}, dialling);
  std::uint64_t taken = 0;
  while (pair.b.session->send(pair.now, price(taken + 1)) == SendStatus::ok) ++taken;
  EXPECT_GE(taken, 1u);
  EXPECT_LE(pair.b.session->log().bytes(), 400u);
  const std::string large(500, 'x');
  EXPECT_EQ(pair.b.session->send(pair.now, AccountUpdate{large, 1, 2, 3}), SendStatus::refused);
  link(pair);
  EXPECT_EQ(pair.a.session->counts().received, taken);
  EXPECT_EQ(pair.a.session->counts().gaps, 0u);
}

TEST_F(PeerSessionTest, WhatCannotBeEncodedIsRefusedAndTakesNoNumber) {
  PeerPair pair;
  link(pair);
  PriceUpdate bad = price(1);
  bad.price = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(pair.b.session->send(pair.now, bad), SendStatus::refused);
  EXPECT_EQ(pair.b.session->send(pair.now, price(2)), SendStatus::ok);
  pair.flow();
  EXPECT_THAT(pair.a.take_log(), ElementsAre("1 price 2"));
}

TEST_F(PeerSessionTest, AcksComeAfterSoManyMessagesOrALittleTime) {
  PeerSessionConfig listening;
  listening.ack_every = 3;
  listening.ack_delay = milliseconds{10};
  PeerPair pair(listening);
  link(pair);
  const auto send = [&](std::uint64_t n) {
    pair.b.session->send(pair.now, price(n));
    pair.flow();
  };
  send(1);
  send(2);
  EXPECT_EQ(pair.b.session->log().size(), 2u);
  send(3);
  EXPECT_EQ(pair.b.session->log().size(), 0u);
  send(4);
  EXPECT_EQ(pair.b.session->log().size(), 1u);
  EXPECT_EQ(pair.a.session->next_tick(), pair.now + milliseconds{10});
  pair.pass(milliseconds{10});
  pair.flow();
  EXPECT_EQ(pair.b.session->log().size(), 0u);
  // And with whatever else is said.
  send(5);
  pair.a.session->send(pair.now, price(1));
  pair.flow();
  EXPECT_EQ(pair.b.session->log().size(), 0u);
}

// ---- What the other side may not say

TEST_F(PeerSessionTest, BrokenRulesEndTheLinkWith4002) {
  const Message wrong[] = {
      {{"prices:SOL", 1}, price(1)},
      {{kPeerChannel, 0}, price(1)},
      {{}, Ack{99}},
      {{kPeerChannel, 0}, Gap{2'000'000, 5, 4, Gap::Reason::retention}},
      {{kPeerChannel, 0}, Gap{77, 1, 4, Gap::Reason::retention}},
      {{"elsewhere", 0}, Gap{2'000'000, 1, 4, Gap::Reason::retention}},
  };
  for (const Message& message : wrong) {
    PeerPair pair;
    link(pair);
    EXPECT_EQ(pair.a.session->receive(pair.now, message), PeerSession::Verdict::drop);
    pair.a.settle(pair.now);
    EXPECT_EQ(pair.a.closed_with, kPeerBroke);
    EXPECT_EQ(pair.a.session->state(), PeerState::listening);
    EXPECT_EQ(pair.a.session->cause().code, Errc::protocol_violation);
  }
}

TEST_F(PeerSessionTest, AHoleIsTold) {
  PeerPair pair;
  link(pair);
  const Message ahead{{kPeerChannel, 4}, price(4)};
  EXPECT_EQ(pair.a.session->receive(pair.now, ahead), PeerSession::Verdict::deliver_after_gap);
  EXPECT_EQ(pair.a.session->gap(), (Gap{2'000'000, 1, 3, Gap::Reason::upstream}));
  EXPECT_EQ(pair.a.session->receive(pair.now, ahead), PeerSession::Verdict::drop);
}

TEST_F(PeerSessionTest, OfAGapOnlyWhatIsNotThereYetIsTold) {
  PeerPair pair;
  link(pair);
  for (std::uint64_t n = 1; n <= 2; ++n) {
    EXPECT_EQ(pair.a.session->receive(pair.now, {{kPeerChannel, n}, price(n)}),
              PeerSession::Verdict::deliver);
  }
  const auto gap = [&](std::uint64_t from, std::uint64_t to) {
    return pair.a.session->receive(
        pair.now, {{kPeerChannel, 0}, Gap{2'000'000, from, to, Gap::Reason::retention}});
  };
  EXPECT_EQ(gap(1, 2), PeerSession::Verdict::drop);
  EXPECT_EQ(gap(1, 5), PeerSession::Verdict::gap);
  EXPECT_EQ(pair.a.session->gap(), (Gap{2'000'000, 3, 5, Gap::Reason::retention}));
  EXPECT_EQ(gap(8, 9), PeerSession::Verdict::gap);
  EXPECT_EQ(pair.a.session->gap(), (Gap{2'000'000, 6, 9, Gap::Reason::retention}));
}

TEST_F(PeerSessionTest, WhatCannotBeDecodedOrIsNoneOfPeersIsAnsweredWithAnError) {
  PeerPair pair;
  link(pair);
  pair.b.out.emplace_back("{\"type\":\"PriceUpdate\"");
  pair.b.out.emplace_back(R"({"type":"Buy"})");
  pair.b.out.emplace_back(R"({"type":"Subscribe","channels":["prices:*"]})");
  pair.deliver(pair.b, pair.a);
  EXPECT_THAT(pair.a.take_log(), ElementsAre("error truncated"));
  EXPECT_EQ(pair.a.session->counts().undecodable, 1u);
  EXPECT_EQ(pair.a.session->counts().unknown_messages, 2u);
  pair.deliver(pair.a, pair.b);
  EXPECT_THAT(pair.b.take_log(), ElementsAre("error truncated", "error unknown_message_type",
                                             "error unknown_message_type"));
}

// ---- Time and the end

TEST_F(PeerSessionTest, ASilentOtherSideIsPingedThenGivenUp) {
  PeerPair pair;
  link(pair);
  const Instant heard = pair.now;
  EXPECT_EQ(pair.b.session->next_tick(), heard + seconds{5});
  pair.b.session->tick(heard + seconds{5});
  const auto ping = pair.b.session->next_action();
  ASSERT_TRUE(ping.has_value());
  EXPECT_TRUE(std::holds_alternative<PeerSession::WritePing>(*ping));
  pair.b.session->tick(heard + seconds{10});
  pair.b.settle(heard + seconds{10});
  EXPECT_EQ(pair.b.session->cause().code, Errc::peer_timeout);
  EXPECT_EQ(pair.b.session->state(), PeerState::backing_off);
}

TEST_F(PeerSessionTest, TheDiallerTriesAgainAndTheListenerWaits) {
  PeerPair pair;
  link(pair);
  pair.cut();
  EXPECT_EQ(pair.a.session->state(), PeerState::listening);
  EXPECT_EQ(pair.b.session->state(), PeerState::backing_off);
  pair.pass(milliseconds{100});
  EXPECT_EQ(pair.b.session->state(), PeerState::connecting);
  EXPECT_TRUE(pair.b.wants_connect);
  pair.pass(seconds{5});
  EXPECT_EQ(pair.b.session->cause().code, Errc::handshake_timeout);
  EXPECT_EQ(pair.b.session->counts().connect_failures, 1u);
}

TEST_F(PeerSessionTest, TheDiallerGivesUpAfterAsManyTriesAsAreAllowed) {
  PeerSessionConfig dialling;
  dialling.backoff.attempts_max = 2;
  PeerPair pair({}, dialling);
  pair.b.session->try_failed(pair.now, {Errc::connect_failed}, Loss::ordinary);
  pair.pass(seconds{1});
  pair.b.session->try_failed(pair.now, {Errc::connect_failed}, Loss::ordinary);
  EXPECT_EQ(pair.b.session->state(), PeerState::failed);
  EXPECT_EQ(pair.b.session->cause().code, Errc::attempts_exhausted);
  EXPECT_EQ(pair.b.session->send(pair.now, price(1)), SendStatus::closed);
}

TEST_F(PeerSessionTest, ACloseCodeThatSaysStopIsTheEndOfTheDiallerOnly) {
  PeerPair pair;
  link(pair);
  pair.b.session->lost(pair.now, {{Errc::protocol_violation}, kPeerTaken});
  EXPECT_EQ(pair.b.session->state(), PeerState::failed);
  pair.a.session->lost(pair.now, {{Errc::protocol_violation}, kPeerBroke});
  EXPECT_EQ(pair.a.session->state(), PeerState::listening);
}

TEST_F(PeerSessionTest, CloseLetsWhatWasSentLeaveFirst) {
  PeerPair pair;
  link(pair);
  pair.b.session->send(pair.now, price(1));
  pair.b.session->close(pair.now);
  EXPECT_EQ(pair.b.session->send(pair.now, price(2)), SendStatus::closed);
  pair.b.settle(pair.now);
  EXPECT_EQ(pair.b.session->state(), PeerState::closing);
  pair.deliver(pair.b, pair.a);
  EXPECT_THAT(pair.a.take_log(), ElementsAre("1 price 1"));
  pair.b.session->lost(pair.now, {});
  EXPECT_EQ(pair.b.session->state(), PeerState::closed);
}

TEST_F(PeerSessionTest, CloseEndsWithoutAnAnswerAfterItsTimeout) {
  PeerPair pair;
  link(pair);
  pair.b.session->close(pair.now);
  pair.b.settle(pair.now);
  EXPECT_EQ(pair.b.session->next_tick(), pair.now + limits::kCloseTimeout);
  pair.pass(limits::kCloseTimeout);
  EXPECT_EQ(pair.b.session->state(), PeerState::closed);
  EXPECT_EQ(pair.b.session->next_tick(), kNever);
}

// ---- Requests

TEST_F(PeerSessionTest, ARequestGetsItsReply) {
  PeerPair pair;
  link(pair);
  PeerRequestId heard;
  pair.a.on_request = [&](const Request&, PeerRequestId id) { heard = id; };
  const std::uint64_t first = ask(pair);
  const std::uint64_t second = ask(pair);
  pair.flow();
  EXPECT_EQ(heard, (PeerRequestId{2'000'000, second}));
  EXPECT_EQ(pair.a.session->reply(pair.now, heard, price(1)), SendStatus::ok);
  EXPECT_EQ(pair.a.session->reply(pair.now, {2'000'000, first}, price(2)), SendStatus::ok);
  EXPECT_EQ(pair.a.session->reply(pair.now, heard, price(1)), SendStatus::refused) << "only one";
  pair.flow();
  EXPECT_THAT(pair.b.take_log(), ElementsAre("1 reply " + std::to_string(second) + " ok",
                                             "2 reply " + std::to_string(first) + " ok"));
  EXPECT_EQ(pair.b.session->requests_open(), 0u);
}

TEST_F(PeerSessionTest, TheAskerIsToldWhenTheDeadlinePassesAndTheLateReplyIsDropped) {
  PeerPair pair;
  link(pair);
  PeerRequestId heard;
  pair.a.on_request = [&](const Request&, PeerRequestId id) { heard = id; };
  const std::uint64_t id = ask(pair, milliseconds{250});
  pair.flow();
  EXPECT_EQ(pair.b.session->next_tick(), pair.now + milliseconds{250});
  // Answered in time there, and on its way for too long.
  pair.a.session->reply(pair.now, heard, price(1));
  pair.a.write(pair.now);
  pair.pass(milliseconds{250});
  EXPECT_THAT(pair.b.take_log(),
              ElementsAre("no reply " + std::to_string(id) + " deadline_exceeded"));
  pair.flow();
  EXPECT_THAT(pair.b.take_log(), IsEmpty());
  EXPECT_EQ(pair.b.session->counts().late_replies, 1u);
}

TEST_F(PeerSessionTest, AfterItsDeadlineTheUserCanNotReplyAndAReplyIsSentAllTheSame) {
  PeerPair pair;
  link(pair);
  PeerRequestId heard;
  pair.a.on_request = [&](const Request&, PeerRequestId id) { heard = id; };
  ask(pair, milliseconds{250});
  pair.flow();
  pair.pass(milliseconds{250});
  EXPECT_EQ(pair.a.session->reply(pair.now, heard, price(1)), SendStatus::refused);
  pair.flow();
  EXPECT_EQ(pair.b.session->counts().late_replies, 1u);
}

TEST_F(PeerSessionTest, ARequestWhoseDeadlinePassedUnsentIsNotSentAnyMore) {
  PeerPair pair;
  link(pair);
  pair.cut();
  pair.b.session->send(pair.now, price(1));
  ask(pair, milliseconds{250});
  pair.b.session->send(pair.now, price(2));
  pair.pass(milliseconds{250});
  pair.connect();
  pair.a.take_log();
  pair.flow();
  EXPECT_THAT(pair.a.take_log(), ElementsAre("1 price 1", "gap 2-2 retention", "3 price 2"));
}

TEST_F(PeerSessionTest, ARequestSurvivesAReconnectAndIsHandedOverOnce) {
  PeerPair pair;
  link(pair);
  int handed = 0;
  pair.a.on_request = [&](const Request&, PeerRequestId id) {
    ++handed;
    pair.a.session->reply(pair.now, id, price(1));
  };
  const std::uint64_t id = ask(pair);
  pair.b.write(pair.now);
  pair.deliver(pair.b, pair.a);
  pair.cut();
  pair.b.take_log();
  pair.connect();
  pair.flow();
  EXPECT_EQ(handed, 1);
  EXPECT_THAT(pair.b.take_log(), ElementsAre("connecting", "linked alpha/1000000 #2",
                                             "1 reply " + std::to_string(id) + " ok"));
}

TEST_F(PeerSessionTest, OpenRequestsEndWhenTheOtherSideStartsAnewUnlessTheyNeverLeft) {
  PeerPair pair;
  link(pair);
  const std::uint64_t taken = ask(pair);
  pair.b.write(pair.now);
  pair.cut();
  const std::uint64_t unsent = ask(pair);
  pair.a.restart(5'000'000, pair.now);
  pair.a.on_request = [&](const Request&, PeerRequestId id) {
    pair.a.session->reply(pair.now, id, price(1));
  };
  pair.b.take_log();
  pair.a.take_log();
  pair.connect();
  pair.flow();
  EXPECT_THAT(pair.b.take_log(),
              ElementsAre("connecting", "gap 1-0 epoch_change",
                          "no reply " + std::to_string(taken) + " connection_lost",
                          "linked alpha/5000000 #2", "1 reply " + std::to_string(unsent) + " ok"));
  EXPECT_THAT(pair.a.take_log(), ElementsAre("linked beta/2000000 #1", "gap 1-1 retention",
                                             "2 request " + std::to_string(unsent)))
      << "what its asker was told is lost is not carried out";
}

TEST_F(PeerSessionTest, AReplyToAnAskerThatIsGoneIsNeverTakenForOneToItsSuccessor) {
  PeerPair pair;
  link(pair);
  PeerRequestId old;
  pair.a.on_request = [&](const Request&, PeerRequestId id) { old = id; };
  ask(pair);
  ask(pair);
  pair.flow();
  // One reply is in the log, one is still the user's, when another program of that name comes with
  // the same ids.
  pair.a.session->reply(pair.now, {old.epoch, old.id - 1}, price(1));
  pair.cut();
  EXPECT_EQ(pair.a.session->meet(pair.now, 9, {"beta", 3'000'000, 0, 0}).code, 0);
  pair.a.settle(pair.now);
  const Message again{{{}, 1}, Request{old.id, 0, hedge()}};
  EXPECT_EQ(pair.a.session->receive(pair.now, again), PeerSession::Verdict::deliver);
  EXPECT_EQ(pair.a.session->reply(pair.now, old, price(2)), SendStatus::refused);
  pair.a.write(pair.now);
  ASSERT_EQ(pair.a.out.size(), 2u);
  EXPECT_THAT(pair.a.out[0], ::testing::HasSubstr("\"Gap\"")) << "in place of the old reply";
  EXPECT_THAT(pair.a.out[1], ::testing::HasSubstr("\"Ack\""));
}

TEST_F(PeerSessionTest, IdsOfAProgramThatStartedAnewAreOthers) {
  PeerPair pair;
  const std::uint64_t first = ask(pair);
  pair.b.restart(2'000'500, pair.now);
  EXPECT_GT(ask(pair), first);
}

TEST_F(PeerSessionTest, NobodyAnswersIsAReplyToo) {
  PeerPair pair;
  link(pair);
  pair.a.on_request = [&](const Request&, PeerRequestId id) {
    EXPECT_EQ(pair.a.session->refuse(pair.now, id, "nothing answers 'Hedge' here"), SendStatus::ok);
  };
  const std::uint64_t id = ask(pair);
  pair.flow();
  EXPECT_THAT(pair.b.take_log(), ElementsAre("1 reply " + std::to_string(id) + " request_refused"));
  EXPECT_EQ(pair.a.session->counts().refusals, 1u);
}

TEST_F(PeerSessionTest, ARefusalWaitsForRoom) {
  PeerSessionConfig listening;
  listening.log.messages_max = 1;
  PeerPair pair(listening);
  link(pair);
  pair.a.session->send(pair.now, price(1));
  pair.a.on_request = [&](const Request&, PeerRequestId id) {
    pair.a.session->refuse(pair.now, id, "no");
  };
  const std::uint64_t id = ask(pair);
  pair.b.write(pair.now);
  pair.deliver(pair.b, pair.a);
  EXPECT_EQ(pair.a.session->log().head(), 1u) << "no room yet";
  pair.flow();
  pair.pass(milliseconds{20});
  pair.flow();
  EXPECT_THAT(pair.b.take_log(),
              ElementsAre("1 price 1", "2 reply " + std::to_string(id) + " request_refused"));
}

TEST_F(PeerSessionTest, OpenRequestsHaveALimitOnBothSides) {
  PeerSessionConfig listening;
  listening.requests_max = 2;
  PeerSessionConfig dialling;
  dialling.requests_max = 3;
  PeerPair pair(listening, dialling);
  link(pair);
  std::uint64_t last = 0;
  for (int i = 0; i < 3; ++i) last = ask(pair);
  EXPECT_EQ(pair.b.session->request(pair.now, hedge(), Duration{0}).error().code,
            Errc::back_pressured);
  pair.flow();
  EXPECT_THAT(pair.b.take_log(),
              ElementsAre("1 reply " + std::to_string(last) + " request_refused"));
}

TEST_F(PeerSessionTest, TooManyRequestsWithoutRoomToRefuseThemEndTheLinkAndComeAgain) {
  PeerSessionConfig listening;
  listening.requests_max = 1;
  listening.log.messages_max = 1;
  PeerPair pair(listening);
  link(pair);
  pair.a.session->send(pair.now, price(1));
  ask(pair);
  ask(pair);
  pair.b.write(pair.now);
  pair.deliver(pair.b, pair.a);
  EXPECT_EQ(pair.a.closed_with, kPeerOverloaded);
  EXPECT_EQ(pair.a.session->hello().received_seq, 1u) << "the second was not taken";
}

TEST_F(PeerSessionTest, OpenRequestsEndWithThePeer) {
  PeerPair pair;
  link(pair);
  const std::uint64_t id = ask(pair);
  pair.b.session->close(pair.now);
  pair.b.session->lost(pair.now, {});
  pair.b.settle(pair.now);
  EXPECT_THAT(pair.b.take_log(),
              ElementsAre("closing", "no reply " + std::to_string(id) + " closed", "closed"));
}

}  // namespace
}  // namespace stratwire::session
