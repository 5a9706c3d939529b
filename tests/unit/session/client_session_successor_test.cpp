// Make before break: a server that leaves names another, which takes over without a hole.

#include <string>

#include <gtest/gtest.h>

#include <stratwire/session/client_session.hpp>

#include "client_session_harness.hpp"

namespace stratwire::session {
namespace {

using Points = std::vector<ResumePoint>;

class SuccessorTest : public ClientSessionTest {
 protected:
  /// prices:A followed up to 3, and a server that leaves for b, or c.
  void SetUp() override {
    session.subscribe(Names{"prices:A"});
    connect();
    answer({{"prices:A", Errc::ok, "", kEpoch, 0}});
    for (std::uint64_t i = 1; i <= 3; ++i) ASSERT_EQ(data("prices:A", i), Verdict::deliver);
    static_cast<void>(actions());
    old = session.connection();
    from_server(GoAway{5000, 700, {"ws://b", "ws://c"}});
    ASSERT_EQ(actions(), (Names{"goaway", "successor ws://b"}));
    fresh = session.successor();
    ASSERT_NE(fresh, old);
  }
  void open(std::uint64_t epoch = kEpoch) {
    session.opened(fresh, now);
    from(fresh, Welcome{2, epoch, 1000, 64 * 1024, 1024, 0});
    ASSERT_EQ(actions(), Names{"subscribe prices:A"});
  }
  void from(ConnectionId connection, WsMessage message, Envelope envelope = {}) {
    session.heard(connection, now);
    session.control(connection, envelope, std::move(message), {now, 0});
  }
  void granted(std::uint64_t head, bool recovered, std::uint64_t epoch = kEpoch) {
    from(fresh, Subscribed{asked.id, {{"prices:A", Errc::ok, "", epoch, head, recovered}}});
  }
  Verdict on(ConnectionId connection, std::uint64_t seq) {
    return session.data(connection, {"prices:A", seq});
  }

  ConnectionId old{};
  ConnectionId fresh{};
};

TEST_F(SuccessorTest, TakesOverWhenItHasCaughtUp) {
  open();
  EXPECT_EQ(asked.since, (Points{{"prices:A", kEpoch, 3}}));
  granted(5, true);
  EXPECT_EQ(on(old, 4), Verdict::deliver);
  EXPECT_EQ(on(fresh, 4), Verdict::drop);
  EXPECT_EQ(on(fresh, 5), Verdict::deliver) << "whichever is first";
  EXPECT_EQ(on(old, 5), Verdict::drop);
  EXPECT_EQ(actions(), Names{}) << "what goes on is nobody's business";
  EXPECT_EQ(session.generation(), 1u);
  from(fresh, CaughtUp{asked.id});
  EXPECT_EQ(actions(), (Names{"leave", "live #2"}));
  EXPECT_EQ(session.connection(), fresh);
  EXPECT_EQ(session.successor(), ConnectionId::none);
  EXPECT_EQ(on(fresh, 6), Verdict::deliver);
  EXPECT_EQ(session.counts().gaps, 0u);
  EXPECT_EQ(session.counts().handovers, 1u);
}

TEST_F(SuccessorTest, TrapLateEventsOfAReplacedConnection) {
  open();
  granted(3, true);
  from(fresh, CaughtUp{asked.id});
  static_cast<void>(actions());
  EXPECT_EQ(on(old, 4), Verdict::drop);
  from(old, Gap{kEpoch, 4, 9, Gap::Reason::slow_consumer}, {"prices:A", 0});
  from(old, GoAway{0, 0, {"ws://d"}});
  session.lost(old, now, {{Errc::connection_lost}, 4003});
  EXPECT_EQ(actions(), Names{});
  EXPECT_EQ(session.state(), ClientState::live);
  EXPECT_EQ(on(fresh, 4), Verdict::deliver);
}

TEST_F(SuccessorTest, AHeadThatTheConnectionHasPassedSinceIsNoNewNumbering) {
  open();
  EXPECT_EQ(on(old, 4), Verdict::deliver);
  granted(3, true);
  from(fresh, CaughtUp{asked.id});
  EXPECT_EQ(actions(), (Names{"leave", "live #2"}));
  EXPECT_EQ(on(fresh, 4), Verdict::drop);
  EXPECT_EQ(on(fresh, 5), Verdict::deliver);
}

TEST_F(SuccessorTest, AHoleOfOneIsNothingAsLongAsTheOtherMayFillIt) {
  open();
  granted(3, true);
  EXPECT_EQ(on(fresh, 6), Verdict::drop);
  EXPECT_EQ(on(old, 4), Verdict::deliver);
  EXPECT_EQ(on(old, 5), Verdict::deliver);
  EXPECT_EQ(session.counts().gaps, 0u);
  // Nobody did fill 6.
  from(fresh, CaughtUp{asked.id});
  EXPECT_EQ(on(fresh, 7), Verdict::deliver_after_gap);
  EXPECT_EQ(session.gap(), (Gap{kEpoch, 6, 6, Gap::Reason::upstream}));
}

TEST_F(SuccessorTest, NorIsAHoleOfOneThatHasNotConfirmedTheCursorYet) {
  open();
  granted(6, false);
  EXPECT_EQ(on(fresh, 6), Verdict::drop);
  for (std::uint64_t seq = 4; seq <= 6; ++seq) EXPECT_EQ(on(old, seq), Verdict::deliver);
  EXPECT_EQ(session.counts().gaps, 0u);
}

TEST_F(SuccessorTest, AGapOfTheSuccessorIsNothingAsLongAsTheConnectionBringsIt) {
  open();
  granted(9, false);
  from(fresh, Gap{kEpoch, 4, 9, Gap::Reason::retention}, {"prices:A", 0});
  EXPECT_EQ(actions(), Names{});
  for (std::uint64_t seq = 4; seq <= 8; ++seq) EXPECT_EQ(on(old, seq), Verdict::deliver);
  from(fresh, CaughtUp{asked.id});
  EXPECT_EQ(actions(), (Names{"leave", "gap prices:A 9-9 disconnected", "live #2"}));
}

TEST_F(SuccessorTest, IfItFailsTheNextAlternativeIsTriedAndTheConnectionGoesOn) {
  session.try_failed(fresh, now, {{Errc::connect_failed}, Loss::fatal, {}});
  EXPECT_EQ(actions(), Names{"successor ws://c"});
  EXPECT_EQ(session.state(), ClientState::live);
  session.try_failed(fresh, now, {{Errc::connect_failed}, Loss::ordinary, {}});
  EXPECT_EQ(actions(), Names{}) << "late: of the first one";
  session.try_failed(session.successor(), now, {{Errc::connect_failed}, Loss::ordinary, {}});
  EXPECT_EQ(actions(), Names{});
  EXPECT_EQ(on(old, 4), Verdict::deliver);
  session.lost(old, now, {{Errc::connection_lost}, 4200});
  EXPECT_EQ(actions(), Names{"backing_off #1 connection_lost"});
  EXPECT_EQ(session.next_tick(), now + 700ms) << "the slot of the GoAway";
}

TEST_F(SuccessorTest, ATryThatTakesTooLongIsGivenUp) {
  now += 1s;
  session.heard(old, now);
  now = t0 + 5s;
  session.heard(old, now);
  session.tick(now);
  EXPECT_EQ(actions(), (Names{"drop", "successor ws://c"}));
  EXPECT_EQ(session.counts().connect_failures, 1u);
}

TEST_F(SuccessorTest, IfTheConnectionIsLostFirstTheSuccessorIsTheConnection) {
  open();
  granted(5, true);
  EXPECT_EQ(on(fresh, 4), Verdict::deliver);
  session.lost(old, now, {{Errc::connection_lost}, 4200});
  EXPECT_EQ(actions(), Names{"recovering #2 connection_lost"});
  EXPECT_EQ(on(fresh, 5), Verdict::deliver);
  from(fresh, CaughtUp{asked.id});
  EXPECT_EQ(actions(), Names{"live #2"});
  EXPECT_EQ(session.counts().gaps, 0u);
}

TEST_F(SuccessorTest, IfTheConnectionIsLostDuringTheTryItIsTheTry) {
  session.lost(old, now, {{Errc::connection_lost}, 4200});
  EXPECT_EQ(actions(), Names{"connecting #2 connection_lost"});
  session.opened(fresh, now);
  from(fresh, Welcome{2, kEpoch, 1000, 0, 0, 0});
  EXPECT_EQ(actions(), (Names{"subscribing #2", "subscribe prices:A"}));
  EXPECT_EQ(asked.since, (Points{{"prices:A", kEpoch, 3}}));
}

TEST_F(SuccessorTest, AnotherEpochSwitchesTheChannelOnceAndBackIfItFails) {
  open(kEpoch + 1);
  granted(2, false, kEpoch + 1);
  from(fresh, Gap{kEpoch, 4, 0, Gap::Reason::epoch_change}, {"prices:A", 0});
  EXPECT_EQ(actions(), Names{"gap prices:A 4-0 epoch_change"});
  EXPECT_EQ(on(fresh, 1), Verdict::deliver);
  EXPECT_EQ(on(old, 4), Verdict::drop) << "of the numbering that was left";
  session.lost(fresh, now, {{Errc::connection_lost}, 0});
  static_cast<void>(actions());
  EXPECT_EQ(on(old, 5), Verdict::deliver_after_gap);
  EXPECT_EQ(session.gap(), (Gap{kEpoch + 1, 2, 0, Gap::Reason::epoch_change}));
  EXPECT_EQ(on(old, 6), Verdict::deliver);
}

TEST_F(SuccessorTest, WhatTheFailedOneBroughtIsNotBroughtAgain) {
  open();
  granted(5, true);
  EXPECT_EQ(on(fresh, 4), Verdict::deliver);
  EXPECT_EQ(on(fresh, 5), Verdict::deliver);
  session.lost(fresh, now, {{Errc::connection_lost}, 0});
  EXPECT_EQ(on(old, 4), Verdict::drop);
  EXPECT_EQ(on(old, 5), Verdict::drop);
  EXPECT_EQ(on(old, 6), Verdict::deliver);
  EXPECT_EQ(on(old, 8), Verdict::deliver_after_gap);
}

TEST_F(SuccessorTest, OneThatRefusesAChannelIsNoSuccessor) {
  open();
  from(fresh, Subscribed{asked.id, {{"prices:A", Errc::unknown_channel_kind, "", 0, 0}}});
  EXPECT_EQ(actions(), (Names{"drop", "successor ws://c"}));
}

TEST_F(SuccessorTest, OneThatReplaysForLongStaysOne) {
  open();
  granted(5, false);
  for (int i = 0; i < 100; ++i) {
    now += 1s;
    session.heard(old, now);
    session.heard(fresh, now);
    session.tick(now);
  }
  EXPECT_EQ(actions(), Names{});
  from(fresh, Gap{kEpoch, 4, 5, Gap::Reason::retention}, {"prices:A", 0});
  from(fresh, CaughtUp{asked.id});
  EXPECT_EQ(session.connection(), fresh);
}

TEST_F(SuccessorTest, OneThatLeavesItselfIsNoSuccessor) {
  open();
  from(fresh, GoAway{1, 1, {}});
  EXPECT_EQ(actions(), (Names{"drop", "successor ws://c"}));
}

TEST_F(SuccessorTest, OneThatFallsSilentIsDropped) {
  open();
  for (int i = 0; i < 3; ++i) {
    now += 1s;
    session.heard(old, now);
    session.tick(now);
  }
  EXPECT_EQ(actions(), (Names{"drop", "successor ws://c"}));
  EXPECT_EQ(session.state(), ClientState::live);
}

TEST_F(SuccessorTest, WhatIsOnItsWayIsAnsweredBeforeItTakesOver) {
  send(1);
  ASSERT_NE(session.next_send(), nullptr);
  session.send_written(0);
  send(2);
  open();
  granted(3, true);
  from(fresh, CaughtUp{asked.id});
  EXPECT_EQ(actions(), Names{});
  EXPECT_EQ(session.next_send(), nullptr) << "waits for the successor";
  from(old, Published{2, Errc::ok, ""});
  EXPECT_EQ(actions(), (Names{"published 1 ok", "leave", "live #2"}));
  ASSERT_NE(session.next_send(), nullptr);
  EXPECT_EQ(session.next_send()->user_id, 2u);
}

TEST_F(SuccessorTest, WhatIsWishedMeanwhileIsAskedOnBoth) {
  open();
  const std::uint64_t first = asked.id;
  session.subscribe(Names{"prices:B"});
  EXPECT_EQ(actions(), (Names{"subscribing #1", "subscribe prices:B", "subscribe prices:B"}));
  const std::uint64_t on_fresh = asked.id;
  from(fresh, Subscribed{first, {{"prices:A", Errc::ok, "", kEpoch, 3, true}}});
  from(fresh, CaughtUp{first});
  EXPECT_EQ(actions(), Names{}) << "prices:B is open";
  from(fresh, Subscribed{on_fresh, {{"prices:B", Errc::ok, "", kEpoch, 0, false}}});
  EXPECT_EQ(actions(), (Names{"subscribed", "leave", "live #2"})) << "nobody else will tell";
}

TEST_F(SuccessorTest, CloseDropsIt) {
  open();
  session.close(now);
  EXPECT_EQ(actions(), (Names{"drop", "closing #1", "close 1000"}));
  session.lost(old, now, {{Errc::connection_lost}, 1000});
  EXPECT_EQ(actions(), Names{"closed #1"});
}

TEST_F(SuccessorTest, HeadsOfTheSuccessorAreLookedAtWhenItTookOver) {
  open();
  granted(3, true);
  from(fresh, stratwire::Heartbeat{1, {{"prices:A", 4}}, {}});
  EXPECT_EQ(actions(), Names{});
  from(fresh, CaughtUp{asked.id});
  EXPECT_EQ(actions(), (Names{"leave", "gap prices:A 4-4 upstream", "live #2"}));
}

}  // namespace
}  // namespace stratwire::session
