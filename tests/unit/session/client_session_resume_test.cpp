// Resuming after a loss, and the ways in which clients are known to get it wrong.

#include <algorithm>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include <stratwire/session/client_session.hpp>

#include "client_session_harness.hpp"

namespace stratwire::session {
namespace {

using Points = std::vector<ResumePoint>;

class ResumeTest : public ClientSessionTest {
 protected:
  using ClientSessionTest::ClientSessionTest;

  /// Subscribed to prices:A on its first connection, messages 1..`seq` handed over.
  void follow(std::uint64_t seq) {
    session.subscribe(Names{"prices:A"});
    connect();
    answer({{"prices:A", Errc::ok, "", kEpoch, 0}});
    for (std::uint64_t i = 1; i <= seq; ++i) ASSERT_EQ(data("prices:A", i), Verdict::deliver);
    static_cast<void>(actions());
  }
  void gap_from_server(std::uint64_t from, std::uint64_t to, Gap::Reason reason,
                       std::uint64_t epoch = kEpoch) {
    from_server(Gap{epoch, from, to, reason}, {"prices:A", 0});
  }
};

TEST_F(ResumeTest, AReconnectReplaysWhatWasMissedThenGoesLive) {
  follow(3);
  lose();
  connect();
  EXPECT_EQ(asked.since, (Points{{"prices:A", kEpoch, 3}}));
  answer({{"prices:A", Errc::ok, "", kEpoch, 6, true}});
  EXPECT_EQ(actions(), (Names{"subscribed", "recovering #2"}));
  for (const std::uint64_t seq : {4u, 5u, 6u}) EXPECT_EQ(data("prices:A", seq), Verdict::deliver);
  EXPECT_EQ(actions(), Names{});
  from_server(CaughtUp{asked.id});
  EXPECT_EQ(actions(), Names{"live #2"});
  EXPECT_EQ(data("prices:A", 7), Verdict::deliver);
  EXPECT_EQ(session.counts().gaps, 0u);
}

TEST_F(ResumeTest, WhatTheServerNoLongerHasIsItsOneGap) {
  follow(3);
  lose();
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 9, false}});
  gap_from_server(4, 7, Gap::Reason::retention);
  EXPECT_EQ(actions(), (Names{"subscribed", "recovering #2", "gap prices:A 4-7 retention"}));
  EXPECT_EQ(data("prices:A", 8), Verdict::deliver);
  EXPECT_EQ(data("prices:A", 9), Verdict::deliver);
  from_server(CaughtUp{asked.id});
  EXPECT_EQ(actions(), Names{"live #2"});
  EXPECT_EQ(session.counts().missed, 4u);
}

TEST_F(ResumeTest, WhatWasPromisedAndDidNotComeIsOneGapAtCaughtUp) {
  follow(3);
  lose();
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 9, true}});
  EXPECT_EQ(data("prices:A", 4), Verdict::deliver);
  static_cast<void>(actions());
  from_server(CaughtUp{asked.id});
  EXPECT_EQ(actions(), (Names{"gap prices:A 5-9 upstream", "live #2"}));
  EXPECT_EQ(data("prices:A", 10), Verdict::deliver);
}

TEST_F(ResumeTest, ANumberingThatWentBackIsOneGapThenNumberOne) {
  follow(50);
  lose();
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 2, false}});
  gap_from_server(51, 0, Gap::Reason::epoch_change);
  EXPECT_EQ(actions(), (Names{"subscribed", "recovering #2", "gap prices:A 51-0 epoch_change"}));
  EXPECT_EQ(data("prices:A", 1), Verdict::deliver);
  EXPECT_EQ(data("prices:A", 2), Verdict::deliver);
  from_server(CaughtUp{asked.id});
  EXPECT_EQ(actions(), Names{"live #2"});
}

TEST_F(ResumeTest, AnEpochThatEndedIsOneGapAndTheNewOnesLossesAnother) {
  follow(3);
  lose();
  connect(kEpoch + 1);
  answer({{"prices:A", Errc::ok, "", kEpoch + 1, 9, false}});
  gap_from_server(4, 0, Gap::Reason::epoch_change);
  gap_from_server(1, 6, Gap::Reason::retention, kEpoch + 1);
  EXPECT_EQ(actions(), (Names{"subscribed", "recovering #2", "gap prices:A 4-0 epoch_change",
                              "gap prices:A 1-6 retention"}));
  EXPECT_EQ(data("prices:A", 7), Verdict::deliver);
  EXPECT_EQ(session.place().epoch, kEpoch + 1);
}

TEST_F(ResumeTest, ALossDuringAnEpochChangeResumesInTheNewEpochFromItsStart) {
  follow(3);
  lose();
  connect(kEpoch + 1);
  answer({{"prices:A", Errc::ok, "", kEpoch + 1, 9, false}});
  gap_from_server(4, 0, Gap::Reason::epoch_change);
  lose();
  connect(kEpoch + 1);
  EXPECT_EQ(asked.since, (Points{{"prices:A", kEpoch + 1, 0}}));
}

TEST_F(ResumeTest, ManuallyNothingIsAskedForAndWhatWasMissedIsOneGap) {
  ClientSessionConfig manual = config();
  manual.resume = Resume::manual;
  ClientSession other{manual};
  const auto run = [&] {
    Names lines;
    while (auto action = other.next_action()) {
      if (const auto* write = std::get_if<action::Write>(&*action)) {
        if (const auto* ask = std::get_if<Subscribe>(&write->message)) asked = *ask;
      }
      lines.push_back(line(*action));
    }
    return lines;
  };
  const auto subscribed = [&](std::uint64_t head) {
    other.control(other.connection(), {},
                  Subscribed{asked.id, {{"prices:A", Errc::ok, "", kEpoch, head}}}, {now, 0});
  };
  other.subscribe(Names{"prices:A"});
  other.start(now);
  other.opened(other.connection(), now);
  static_cast<void>(run());
  subscribed(5);
  other.lost(other.connection(), now, {{Errc::connection_lost}, 0});
  now = other.next_tick();
  other.tick(now);
  other.opened(other.connection(), now);
  static_cast<void>(run());
  EXPECT_TRUE(asked.since.empty());
  subscribed(8);
  EXPECT_EQ(run(), (Names{"subscribed", "gap prices:A 6-8 disconnected", "live #2"}));
}

TEST_F(ResumeTest, AUsersOwnPointIsWhereItBegins) {
  session.subscribe(Names{"prices:A"}, Start::live, Points{{"prices:A", kEpoch, 41}});
  connect();
  EXPECT_EQ(asked.since, (Points{{"prices:A", kEpoch, 41}}));
  answer({{"prices:A", Errc::ok, "", kEpoch, 43, true}});
  EXPECT_EQ(data("prices:A", 42), Verdict::deliver);
  EXPECT_EQ(data("prices:A", 43), Verdict::deliver);
}

TEST_F(ResumeTest, AUsersPointForAChannelThatFlowsAlreadyWaitsForItsReplay) {
  session.subscribe(Names{"prices:*"});
  connect();
  answer({{"prices:*", Errc::ok, "", kEpoch, 100}});
  session.subscribe(Names{"prices:A"}, Start::live, Points{{"prices:A", kEpoch, 41}});
  static_cast<void>(actions());
  EXPECT_EQ(data("prices:A", 50), Verdict::drop) << "comes again, in the replay";
  answer({{"prices:A", Errc::ok, "", kEpoch, 50, true}});
  for (std::uint64_t seq = 42; seq <= 50; ++seq) {
    EXPECT_EQ(data("prices:A", seq), Verdict::deliver);
  }
  EXPECT_EQ(session.counts().gaps, 0u);
}

TEST_F(ResumeTest, ARefusedReplayHidesNothing) {
  session.subscribe(Names{"prices:*"});
  connect();
  answer({{"prices:*", Errc::ok, "", kEpoch, 100}});
  session.subscribe(Names{"prices:A"}, Start::live, Points{{"prices:A", kEpoch, 41}});
  static_cast<void>(actions());
  EXPECT_EQ(data("prices:A", 50), Verdict::drop);
  from_server(ErrorReply{asked.id, Errc::too_many_channels, "", false, 0});
  EXPECT_EQ(data("prices:A", 51), Verdict::deliver_after_gap);
  EXPECT_EQ(session.gap(), (Gap{kEpoch, 42, 50, Gap::Reason::disconnected}));
}

TEST_F(ResumeTest, AWildcardsPositionMovesOnlyWhenItsReplayIsDone) {
  session.subscribe(Names{"prices:*"});
  connect();
  answer({{"prices:*", Errc::ok, "", kEpoch, 100}});
  lose();
  connect();
  EXPECT_EQ(asked.since, (Points{{"prices:*", kEpoch, 100}}));
  answer({{"prices:*", Errc::ok, "", kEpoch, 170, true}});
  EXPECT_EQ(data("prices:B", 1), Verdict::deliver);
  lose();
  connect();
  EXPECT_EQ(asked.since, (Points{{"prices:*", kEpoch, 100}, {"prices:B", kEpoch, 1}}));
  answer({{"prices:*", Errc::ok, "", kEpoch, 200, true}});
  from_server(CaughtUp{asked.id});
  EXPECT_EQ(last.state, ClientState::subscribing);
  static_cast<void>(actions());
  EXPECT_EQ(last.state, ClientState::live);
  lose();
  connect();
  EXPECT_EQ(asked.since, (Points{{"prices:*", kEpoch, 200}, {"prices:B", kEpoch, 1}}));
}

TEST_F(ResumeTest, AQuietChannelOfAWildcardLearnsOfTheNewEpochAtCaughtUp) {
  session.subscribe(Names{"prices:*"});
  connect();
  answer({{"prices:*", Errc::ok, "", kEpoch, 100}});
  ASSERT_EQ(data("prices:A", 7), Verdict::deliver);
  lose();
  connect(kEpoch + 1);
  answer({{"prices:*", Errc::ok, "", kEpoch + 1, 0, false}});
  static_cast<void>(actions());
  from_server(CaughtUp{asked.id});
  EXPECT_EQ(actions(), (Names{"gap prices:A 8-0 epoch_change", "live #2"}));
  EXPECT_EQ(data("prices:A", 1), Verdict::deliver);
}

TEST_F(ResumeTest, AHeadThatIsAheadIsOneGap) {
  follow(3);
  from_server(stratwire::Heartbeat{1, {{"prices:A", 5}}, {}});
  EXPECT_EQ(actions(), Names{"gap prices:A 4-5 upstream"});
  from_server(stratwire::Heartbeat{2, {{"prices:A", 5}}, {}});
  EXPECT_EQ(actions(), Names{});
  EXPECT_EQ(data("prices:A", 5), Verdict::drop);
  EXPECT_EQ(data("prices:A", 6), Verdict::deliver);
}

TEST_F(ResumeTest, AHeadOfAnUnknownChannelIsWhereItBegins) {
  session.subscribe(Names{"prices:*"});
  connect();
  answer({{"prices:*", Errc::ok, "", kEpoch, 100}});
  static_cast<void>(actions());
  from_server(stratwire::Heartbeat{1, {{"prices:Q", 5}, {"accounts:X", 9}}, {}});
  EXPECT_EQ(actions(), Names{});
  EXPECT_EQ(data("prices:Q", 7), Verdict::deliver_after_gap);
  EXPECT_EQ(session.gap(), (Gap{kEpoch, 6, 6, Gap::Reason::upstream}));
  EXPECT_EQ(data("accounts:X", 20), Verdict::deliver) << "not ours: no cursor from a head";
}

TEST_F(ResumeTest, AHeadInTheMiddleOfAReplayWaitsForItsEnd) {
  follow(3);
  lose();
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 6, true}});
  static_cast<void>(actions());
  EXPECT_EQ(data("prices:A", 4), Verdict::deliver);
  from_server(stratwire::Heartbeat{1, {{"prices:A", 6}}, {}});
  EXPECT_EQ(actions(), Names{});
  EXPECT_EQ(data("prices:A", 5), Verdict::deliver);
  EXPECT_EQ(data("prices:A", 6), Verdict::deliver);
  from_server(CaughtUp{asked.id});
  EXPECT_EQ(actions(), Names{"live #2"});
}

TEST_F(ResumeTest, ASnapshotIsReplayedBeforeItIsLive) {
  session.subscribe(Names{"prices:A"}, Start::latest);
  connect();
  EXPECT_TRUE(asked.snapshot);
  answer({{"prices:A", Errc::ok, "", kEpoch, 8}});
  EXPECT_EQ(actions(), (Names{"subscribed", "recovering #1"}));
  EXPECT_EQ(data("prices:A", 9), Verdict::deliver);
  from_server(CaughtUp{asked.id});
  EXPECT_EQ(actions(), Names{"live #1"});
}

// ---- Traps, each by its name

TEST_F(ResumeTest, TrapRetryCounterResetByEachShortLivedConnect) {
  follow(1);
  for (std::uint32_t i = 1; i <= 6; ++i) {
    lose();
    static_cast<void>(actions());
    EXPECT_EQ(last.state, ClientState::backing_off);
    EXPECT_EQ(last.attempt, i);
    connect();
  }
}

TEST_F(ResumeTest, TrapAReconnectThatDoesNotResubscribe) {
  follow(1);
  session.subscribe(Names{"prices:B"});
  session.unsubscribe(Names{"prices:A"});
  static_cast<void>(actions());
  for (int i = 0; i < 3; ++i) {
    lose();
    connect();
    EXPECT_EQ(asked.channels, Names{"prices:B"});
    const auto subscribes = [](const std::string& text) { return text.starts_with("subscribe "); };
    EXPECT_EQ(std::count_if(actions_ignored.begin(), actions_ignored.end(), subscribes), 1);
  }
}

TEST_F(ResumeTest, TrapOldStateMergedWithANewSnapshot) {
  session.subscribe(Names{"prices:A"}, Start::latest);
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 8}});
  ASSERT_EQ(data("prices:A", 9), Verdict::deliver);
  lose();
  connect(kEpoch + 1);
  EXPECT_FALSE(asked.snapshot) << "the cursor counts";
  answer({{"prices:A", Errc::ok, "", kEpoch + 1, 3, false}});
  static_cast<void>(actions());
  // The user hears that the old state is void before anything of the new one.
  ASSERT_EQ(data("prices:A", 4), Verdict::deliver_after_gap);
  EXPECT_EQ(session.gap(), (Gap{kEpoch, 10, 0, Gap::Reason::epoch_change}));
  EXPECT_EQ(session.place().epoch, kEpoch + 1);
}

TEST_F(ResumeTest, TrapOldStateMergedWithANewSnapshotOfTheSameEpoch) {
  session.subscribe(Names{"prices:A"}, Start::latest);
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 8}});
  ASSERT_EQ(data("prices:A", 9), Verdict::deliver);
  from_server(CaughtUp{asked.id});
  lose();
  connect();
  EXPECT_EQ(asked.since, (Points{{"prices:A", kEpoch, 9}}));
  EXPECT_FALSE(asked.snapshot) << "the cursor counts";
  // The log has nothing but the latest message left.
  answer({{"prices:A", Errc::ok, "", kEpoch, 500, false}});
  static_cast<void>(actions());
  gap_from_server(10, 499, Gap::Reason::retention);
  EXPECT_EQ(actions(), Names{"gap prices:A 10-499 retention"}) << "before the new state";
  ASSERT_EQ(data("prices:A", 500), Verdict::deliver);
  from_server(CaughtUp{asked.id});
  EXPECT_EQ(actions(), Names{"live #2"});
  // And where a server says nothing of what it no longer has.
  lose();
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 600, false}});
  static_cast<void>(actions());
  ASSERT_EQ(data("prices:A", 600), Verdict::deliver_after_gap);
  EXPECT_EQ(session.gap().from, 501u);
  EXPECT_EQ(session.gap().to, 599u);
}

TEST_F(ResumeTest, TrapGapsThatTheApplicationNeverLearnsOf) {
  // Whatever is lost, and wherever the connection breaks, the sum is the whole.
  follow(3);
  ASSERT_EQ(data("prices:A", 6), Verdict::deliver_after_gap);
  from_server(stratwire::Heartbeat{1, {{"prices:A", 8}}, {}});
  lose();
  connect();
  EXPECT_EQ(asked.since, (Points{{"prices:A", kEpoch, 8}}));
  answer({{"prices:A", Errc::ok, "", kEpoch, 12, false}});
  gap_from_server(9, 10, Gap::Reason::retention);
  lose();
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 12, true}});
  from_server(CaughtUp{asked.id});
  static_cast<void>(actions());
  // 4-5, 7-8, 9-10, 11-12.
  EXPECT_EQ(session.counts().gaps, 4u);
  EXPECT_EQ(session.counts().missed, 8u);
  EXPECT_EQ(data("prices:A", 13), Verdict::deliver);
}

TEST_F(ResumeTest, TrapAReplayCursorThatRunsAheadOfWhatWasDelivered) {
  follow(3);
  lose();
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 100, true}});
  ASSERT_EQ(data("prices:A", 4), Verdict::deliver);
  lose();
  connect();
  EXPECT_EQ(asked.since, (Points{{"prices:A", kEpoch, 4}})) << "not the head of 100";
  // Nor what came after close(), which nobody was given.
  session.close(now);
  EXPECT_EQ(data("prices:A", 5), Verdict::drop);
}

TEST_F(ResumeTest, TrapAReplayRequestBeyondRetentionRepeatedForEver) {
  follow(3);
  lose();
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 500, false}});
  gap_from_server(4, 400, Gap::Reason::retention);
  for (int i = 0; i < 3; ++i) {
    lose();
    connect();
    EXPECT_EQ(asked.since, (Points{{"prices:A", kEpoch, 400}}));
  }
}

TEST_F(ResumeTest, TrapABufferClearedBeforeItsFlushSucceeded) {
  connect();
  send(1);
  send(2);
  ASSERT_NE(session.next_send(), nullptr);
  session.send_written(0);
  lose();
  EXPECT_EQ(session.sends().size(), 2u) << "no byte of them had left";
  connect();
  ASSERT_NE(session.next_send(), nullptr);
  EXPECT_EQ(session.next_send()->user_id, 1u);
}

TEST_F(ResumeTest, TrapAWriteOnADeadSocketThatSucceeds) {
  connect();
  send(1);
  ASSERT_NE(session.next_send(), nullptr);
  session.send_written(0);
  session.left(session.connection(), 10);
  now += 2500ms;
  session.tick(now);
  EXPECT_EQ(actions(),
            (Names{"drop", "published 1 connection_lost", "backing_off #1 peer_timeout"}))
      << "the kernel took it, nobody answered: told, neither forgotten nor sent twice";
  connect();
  EXPECT_EQ(session.next_send(), nullptr);
}

TEST_F(ResumeTest, TrapLateEventsOfAReplacedConnection) {
  follow(3);
  const ConnectionId old = session.connection();
  const std::uint64_t old_request = asked.id;
  lose();
  connect();
  static_cast<void>(actions());
  ASSERT_NE(session.connection(), old);
  session.lost(old, now, {{Errc::connection_lost}, 4003});
  session.try_failed(old, now, {{Errc::connect_failed}, Loss::fatal, {}});
  session.opened(old, now);
  session.control(old, {}, Subscribed{asked.id, {{"prices:A", Errc::ok, "", kEpoch, 90, true}}},
                  {now, 0});
  session.control(old, {}, CaughtUp{asked.id}, {now, 0});
  session.control(old, {"prices:A", 0}, Gap{kEpoch, 4, 80, Gap::Reason::retention}, {now, 0});
  session.left(old, 1'000'000);
  EXPECT_EQ(session.data(old, {"prices:A", 4}), Verdict::drop);
  session.heard(old, now + 1h);
  EXPECT_EQ(actions(), Names{});
  EXPECT_EQ(session.state(), ClientState::subscribing);
  // Nor an answer over the new one to what the old one was asked.
  from_server(CaughtUp{old_request});
  from_server(Subscribed{old_request, {}});
  EXPECT_EQ(session.state(), ClientState::subscribing);
  answer({{"prices:A", Errc::ok, "", kEpoch, 4, true}});
  EXPECT_EQ(data("prices:A", 4), Verdict::deliver);
}

TEST_F(ResumeTest, TrapEverybodyReconnectingInTheSameSecond) {
  std::set<Instant> losses;
  std::set<Instant> second_tries;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    ClientSessionConfig one = config();
    one.seed = seed;
    ClientSession client{one};
    client.start(t0);
    client.opened(client.connection(), t0);
    client.lost(client.connection(), t0 + 1s, {{Errc::connection_lost}, 0});
    EXPECT_LE(client.next_tick(), t0 + 1100ms);
    losses.insert(client.next_tick());
    for (int i = 0; i < 6; ++i) {
      const Instant due = client.next_tick();
      client.tick(due);
      client.try_failed(client.connection(), due, {{Errc::connect_failed}, Loss::refused, {}});
    }
    second_tries.insert(client.next_tick());
  }
  EXPECT_GT(losses.size(), 95u);
  EXPECT_GT(second_tries.size(), 95u);
  EXPECT_GT(*second_tries.rbegin() - *second_tries.begin(), 2s);
}

TEST_F(ResumeTest, TrapASlotThatTheServerGaveIsKept) {
  connect();
  from_server(GoAway{100, 7000, {}});
  session.lost(session.connection(), now, {{Errc::connection_lost}, 4200});
  EXPECT_EQ(session.next_tick(), now + 7s);
}

TEST_F(ResumeTest, ASlotIsCountedFromItsGoAwayNotFromTheLoss) {
  connect();
  from_server(GoAway{5000, 7000, {}});
  const auto told = now;
  now += 5s;
  session.lost(session.connection(), now, {{Errc::connection_lost}, 4200});
  EXPECT_EQ(session.next_tick(), told + 7s);
}

TEST_F(ResumeTest, TrapHeartbeatsStarvedByData) {
  follow(0);
  for (std::uint64_t i = 1; i <= 100; ++i) {
    now += 900ms;
    session.heard(session.connection(), now);
    session.tick(now);
    ASSERT_EQ(data("prices:A", i), Verdict::deliver);
  }
  EXPECT_EQ(actions(), Names{}) << "neither stale nor dead: data is a sign of life";
}

TEST_F(ResumeTest, TrapConnectedAndSilentlyStale) {
  follow(3);
  session.tick(now + 1499ms);
  EXPECT_EQ(actions(), Names{});
  EXPECT_EQ(session.next_tick(), now + 1500ms);
  session.tick(now + 1500ms);
  EXPECT_EQ(actions(), Names{"stale #1 peer_timeout"});
  EXPECT_EQ(session.counts().stales, 1u);
  now += 2s;
  session.heard(session.connection(), now);
  EXPECT_EQ(actions(), Names{"live #1"});
  now += 2500ms;
  session.tick(now);
  EXPECT_EQ(actions(), (Names{"drop", "backing_off #1 peer_timeout"}));
}

TEST_F(ResumeTest, ASilentServerMakesItStaleWhateverIsOutstanding) {
  follow(3);
  session.subscribe(Names{"prices:B"});
  EXPECT_EQ(actions(), (Names{"subscribing #1", "subscribe prices:B"}));
  now += 1500ms;
  session.tick(now);
  EXPECT_EQ(actions(), Names{"stale #1 peer_timeout"});
  session.subscribe(Names{"prices:C"});
  EXPECT_EQ(actions(), Names{"subscribe prices:C"}) << "still silent";
  session.heard(session.connection(), now);
  EXPECT_EQ(actions(), Names{"subscribing #1"});
  now += 2500ms;
  session.tick(now);
  EXPECT_EQ(actions(), (Names{"drop", "backing_off #1 peer_timeout"})) << "an unanswered wish ends";
}

TEST_F(ResumeTest, ASilentServerIsStaleInTheMiddleOfAReplay) {
  follow(3);
  lose();
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 5, true}});
  static_cast<void>(actions());
  ASSERT_EQ(session.state(), ClientState::recovering);
  now += 1500ms;
  session.tick(now);
  EXPECT_EQ(actions(), Names{"stale #2 peer_timeout"});
  session.heard(session.connection(), now);
  EXPECT_EQ(actions(), Names{"recovering #2"});
  ASSERT_EQ(data("prices:A", 4), Verdict::deliver);
  ASSERT_EQ(data("prices:A", 5), Verdict::deliver);
  from_server(CaughtUp{asked.id});
  EXPECT_EQ(actions(), Names{"live #2"});
}

// ---- Several servers

class SeveralServersTest : public ResumeTest {
 protected:
  SeveralServersTest() : ResumeTest(three()) {}

  static ClientSessionConfig three() {
    ClientSessionConfig several = config();
    several.targets = 3;
    return several;
  }
  std::size_t target() {
    std::size_t found = ~std::size_t{0};
    while (auto action = session.next_action()) {
      if (const auto* connect = std::get_if<action::Connect>(&*action)) found = connect->target;
      if (const auto* notice = std::get_if<action::HandNotice>(&*action)) {
        if (const auto* state = std::get_if<StateEvent>(&notice->notice)) last = *state;
      }
    }
    return found;
  }
  void fail(Loss loss = Loss::refused, Duration retry_after = {}) {
    session.try_failed(session.connection(), now, {{Errc::connect_failed}, loss, retry_after});
  }
  std::size_t next_target() {
    now = session.next_tick();
    session.tick(now);
    return target();
  }
};

TEST_F(SeveralServersTest, ARoundIsOneAttempt) {
  session.start(now);
  EXPECT_EQ(target(), 0u);
  for (std::uint32_t round = 1; round <= 4; ++round) {
    const Instant begin = now;
    fail();
    EXPECT_EQ(next_target(), 1u);
    fail();
    EXPECT_EQ(next_target(), 2u);
    EXPECT_EQ(now, begin) << "no delay within a round";
    fail();
    EXPECT_EQ(next_target(), 0u);
    EXPECT_EQ(last.attempt, round);
  }
  EXPECT_GT(now, t0);
}

TEST_F(SeveralServersTest, ACutComesBackToTheServerThatHasTheLog) {
  session.start(now);
  session.opened(session.connection(), now);
  static_cast<void>(actions());
  const Instant lost_at = now;
  lose();
  EXPECT_EQ(next_target(), 0u);
  EXPECT_GT(now, lost_at);
  EXPECT_LE(now, lost_at + 100ms);
  const Instant failed_at = now;
  fail();
  EXPECT_EQ(next_target(), 1u);
  EXPECT_EQ(now, failed_at) << "one that is gone costs a try";
}

TEST_F(SeveralServersTest, OneThatNeverKeepsAConnectionIsLeftAfterAFewReturns) {
  session.start(now);
  for (int i = 0; i < 4; ++i) {
    session.opened(session.connection(), now);
    static_cast<void>(actions());
    lose();
    EXPECT_EQ(next_target(), i < 3 ? 0u : 1u) << i;
  }
}

TEST_F(SeveralServersTest, OneThatKeptAConnectionForLongIsComeBackToAgain) {
  session.start(now);
  for (int i = 0; i < 20; ++i) {
    session.opened(session.connection(), now);
    static_cast<void>(actions());
    now += 10s;
    session.heard(session.connection(), now);
    lose();
    EXPECT_EQ(next_target(), 0u) << i;
  }
}

TEST_F(SeveralServersTest, OneThatFellSilentOrLeavesIsNotWaitedFor) {
  session.start(now);
  session.opened(session.connection(), now);
  from_server(Welcome{1, kEpoch, 1000, 64 * 1024, 1024, 0});
  static_cast<void>(actions());
  now += 2500ms;
  session.tick(now);
  ASSERT_EQ(session.state(), ClientState::backing_off);
  EXPECT_EQ(next_target(), 1u);
  session.opened(session.connection(), now);
  static_cast<void>(actions());
  session.lost(session.connection(), now, {{Errc::connection_lost}, 1001});
  EXPECT_EQ(next_target(), 2u);
}

TEST_F(SeveralServersTest, NorIsOneThatSaidGoAwayAndWasCut) {
  session.start(now);
  session.opened(session.connection(), now);
  from_server(GoAway{5000, 0, {}});
  static_cast<void>(actions());
  lose();
  EXPECT_EQ(next_target(), 1u);
}

TEST_F(SeveralServersTest, AfterAHandoverTheServerThatLeftIsNoneToComeBackTo) {
  session.start(now);
  session.opened(session.connection(), now);
  from_server(GoAway{5000, 0, {"ws://elsewhere"}});
  static_cast<void>(actions());
  session.opened(session.successor(), now);
  session.tick(now);
  ASSERT_EQ(session.counts().handovers, 1u);
  static_cast<void>(actions());
  lose();
  EXPECT_EQ(next_target(), 1u);
}

TEST_F(SeveralServersTest, AnOutageCountsNothingAgainstTheServerThatComesBack) {
  session.start(now);
  for (int round = 0; round < 6; ++round) {
    fail();
    static_cast<void>(next_target());
    fail();
    static_cast<void>(next_target());
    fail();
    static_cast<void>(next_target());
  }
  session.opened(session.connection(), now);
  static_cast<void>(actions());
  lose();
  EXPECT_EQ(next_target(), 0u);
}

TEST_F(SeveralServersTest, OneThatSentASlowReaderAwayHasItsLogStill) {
  session.start(now);
  session.opened(session.connection(), now);
  static_cast<void>(actions());
  session.lost(session.connection(), now, {{Errc::connection_lost}, 4101});
  EXPECT_EQ(next_target(), 0u);
}

TEST_F(SeveralServersTest, OneThatIsWrongForEverDoesNotMatterAsLongAsOthersMayBeRight) {
  session.start(now);
  fail(Loss::fatal);
  static_cast<void>(next_target());
  fail();
  static_cast<void>(next_target());
  fail(Loss::fatal);
  EXPECT_EQ(session.state(), ClientState::backing_off);
  for (int i = 0; i < 3; ++i) {
    static_cast<void>(next_target());
    fail(Loss::fatal);
  }
  EXPECT_EQ(session.state(), ClientState::failed);
}

TEST_F(SeveralServersTest, OneThatAskedToWaitIsPassedOver) {
  session.start(now);
  fail(Loss::ordinary, 1h);
  EXPECT_EQ(next_target(), 1u);
  fail();
  EXPECT_EQ(next_target(), 2u);
  fail();
  EXPECT_EQ(next_target(), 1u) << "not 0";
}

TEST_F(ResumeTest, TheRetryAfterOfARefusalIsKeptExactly) {
  session.start(now);
  session.try_failed(session.connection(), now, {{Errc::not_websocket}, Loss::ordinary, 1234ms});
  static_cast<void>(actions());
  EXPECT_EQ(session.next_tick(), now + 1234ms);
  EXPECT_EQ(last.retry_in, 1234ms);
  for (int i = 0; i < 8; ++i) {
    now = session.next_tick();
    session.tick(now);
    session.try_failed(session.connection(), now, {{Errc::not_websocket}, Loss::ordinary, 3ms});
    EXPECT_EQ(session.next_tick(), now + 3ms) << "wins over a longer back-off, too";
  }
}

// ---- The server's clock

TEST_F(ResumeTest, TheClockIsProbedQuicklyThenSeldom) {
  ClientSessionConfig probing = config();
  probing.clock_interval = 10s;
  ClientSession other{probing};
  other.start(now);
  other.opened(other.connection(), now);
  other.control(other.connection(), {}, Welcome{1, kEpoch, 0, 0, 0, 0}, {now, 0});
  std::vector<Duration> probes;
  for (; now < t0 + 25s; now += 50ms) {
    while (auto action = other.next_action()) {
      if (std::holds_alternative<action::ProbeClock>(*action)) probes.push_back(now - t0);
    }
    other.heard(other.connection(), now);
    other.tick(now + 50ms);
  }
  EXPECT_EQ(probes, (std::vector<Duration>{0s, 250ms, 500ms, 750ms, 10750ms, 20750ms}));
  other.control(other.connection(), {}, Pong{1'000, 5'100, 5'200}, {now, 1'300});
  ASSERT_TRUE(other.clock().estimate(now));
  EXPECT_EQ(other.clock().estimate(now)->offset, 4'000ns);
  EXPECT_EQ(other.clock().estimate(now)->error, 100ns);
  other.lost(other.connection(), now, {{Errc::connection_lost}, 0});
  EXPECT_FALSE(other.clock().estimate(now)) << "another server has another clock";
}

}  // namespace
}  // namespace stratwire::session
