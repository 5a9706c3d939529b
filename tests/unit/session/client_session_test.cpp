#include <string>

#include <gtest/gtest.h>

#include <stratwire/session/client_session.hpp>

#include "client_session_harness.hpp"

namespace stratwire::session {
namespace {

TEST_F(ClientSessionTest, ConnectsAsksAndIsLiveWhenAnswered) {
  session.subscribe(Names{"prices:A", "prices:B"});
  EXPECT_EQ(actions(), Names{});
  session.start(now);
  EXPECT_EQ(actions(), (Names{"connecting #1", "connect"}));
  session.opened(session.connection(), now);
  EXPECT_EQ(actions(), (Names{"subscribing #1", "subscribe prices:A prices:B"}));
  from_server(Welcome{1, kEpoch, 1000, 65536, 1024, 0});
  EXPECT_EQ(actions(), Names{});
  answer({{"prices:A", Errc::ok, "", kEpoch, 0}, {"prices:B", Errc::ok, "", kEpoch, 0}});
  EXPECT_EQ(actions(), (Names{"subscribed", "live #1"}));
  EXPECT_EQ(session.state(), ClientState::live);
}

TEST_F(ClientSessionTest, WithoutWishesItIsLiveAtOnce) {
  session.start(now);
  session.opened(session.connection(), now);
  EXPECT_EQ(actions(), (Names{"connecting #1", "connect", "subscribing #1", "live #1"}));
}

TEST_F(ClientSessionTest, SaysItsNameFirst) {
  ClientSessionConfig named = config();
  named.name = "hedger";
  ClientSession with_name{named};
  with_name.start(now);
  with_name.opened(with_name.connection(), now);
  Names lines;
  while (auto action = with_name.next_action()) lines.push_back(line(*action));
  EXPECT_EQ(lines,
            (Names{"connecting #1", "connect", "subscribing #1", "hello hedger", "live #1"}));
}

TEST_F(ClientSessionTest, ARefusedSubscriptionIsAnAnswerToo) {
  session.subscribe(Names{"nope:A"});
  connect();
  answer({{"nope:A", Errc::unknown_channel_kind, "known kinds: prices", 0, 0}});
  EXPECT_EQ(actions(), (Names{"subscribed", "live #1"}));
  lose();
  connect();
  EXPECT_EQ(asked.channels, Names{"nope:A"}) << "the next server may know it";
}

TEST_F(ClientSessionTest, AKindThatTheServerDoesNotKnowYetIsAskedForAgainAndToldOnce) {
  session.subscribe(Names{"orders:A", "prices:B"});
  connect();
  const ChannelResult refused{"orders:A", Errc::unknown_channel_kind, "known: prices", 0, 0};
  answer({refused, {"prices:B", Errc::ok, "", kEpoch, 0}});
  EXPECT_EQ(actions(), (Names{"subscribed", "live #1"}));
  for (const auto delay : {100ms, 200ms, 400ms}) {
    EXPECT_EQ(session.next_tick(), now + delay);
    now += delay;
    session.tick(now);
    EXPECT_EQ(actions(), Names{"subscribe orders:A"});
    EXPECT_EQ(session.state(), ClientState::live);
    answer({refused});
    EXPECT_EQ(actions(), Names{});
  }
  now += 800ms;
  session.tick(now);
  EXPECT_EQ(actions(), Names{"subscribe orders:A"});
  answer({{"orders:A", Errc::ok, "", kEpoch, 0}});
  EXPECT_EQ(actions(), Names{"subscribed"});
  now += 900ms;
  session.tick(now);
  EXPECT_EQ(actions(), Names{}) << "granted: not asked for again";
}

TEST_F(ClientSessionTest, ARefusedKindThatIsNoLongerWantedIsNotAskedForAgain) {
  session.subscribe(Names{"orders:A"});
  connect();
  answer({{"orders:A", Errc::unknown_channel_kind, "known: prices", 0, 0}});
  session.unsubscribe(Names{"orders:A"});
  static_cast<void>(actions());
  now += 100ms;
  session.tick(now);
  EXPECT_EQ(actions(), Names{});
}

TEST_F(ClientSessionTest, AnErrorReplyAnswersItsRequest) {
  session.subscribe(Names{"prices:A"});
  connect();
  from_server(ErrorReply{asked.id, Errc::too_many_channels, "at most 1", false, 0});
  EXPECT_EQ(actions(), (Names{"error too_many_channels", "live #1"}));
}

TEST_F(ClientSessionTest, AfterALossItComesBackAndAsksAgain) {
  session.subscribe(Names{"prices:A"});
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 0}});
  lose();
  static_cast<void>(actions());
  EXPECT_EQ(last.state, ClientState::backing_off);
  EXPECT_EQ(last.cause.code, Errc::connection_lost);
  EXPECT_LE(last.retry_in, 100ms);
  EXPECT_LE(session.next_tick(), now + 100ms);
  now = session.next_tick();
  session.tick(now);
  EXPECT_EQ(actions(), (Names{"connecting #2", "connect"}));
  session.opened(session.connection(), now);
  EXPECT_EQ(actions(), (Names{"subscribing #2", "subscribe prices:A"}));
  EXPECT_EQ(session.counts().connects, 2u);
}

TEST_F(ClientSessionTest, ATickThatComesEarlyDoesNothing) {
  connect();
  lose();
  static_cast<void>(actions());
  session.tick(session.next_tick() - 1ns);
  EXPECT_EQ(actions(), Names{});
}

TEST_F(ClientSessionTest, OfAServerThatIgnoresResumePointsTheNextMessageTellsTheGap) {
  session.subscribe(Names{"prices:A"});
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 0}});
  ASSERT_EQ(data("prices:A", 1), Verdict::deliver);
  EXPECT_EQ(session.place().epoch, kEpoch);
  lose();
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 4}});
  EXPECT_EQ(actions(), (Names{"subscribed", "recovering #2"}));
  ASSERT_EQ(data("prices:A", 5), Verdict::deliver_after_gap);
  EXPECT_EQ(session.gap(), (Gap{kEpoch, 2, 4, Gap::Reason::disconnected}));
  EXPECT_EQ(session.counts().gaps, 1u);
  EXPECT_EQ(session.counts().missed, 3u);
}

TEST_F(ClientSessionTest, AReplayMayTakeAsLongAsItTakes) {
  session.subscribe(Names{"prices:A"});
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 1}});
  lose();
  connect();
  // Beyond retention, as of a `kind:*` with one such channel: the Gap comes when its turn does.
  answer({{"prices:A", Errc::ok, "", kEpoch, 4}});
  static_cast<void>(actions());
  for (int i = 0; i < 100; ++i) {
    now += 1s;
    session.heard(session.connection(), now);
    session.tick(now);
  }
  EXPECT_EQ(actions(), Names{}) << "not live before CaughtUp";
  EXPECT_EQ(session.state(), ClientState::recovering);
  from_server(Gap{kEpoch, 2, 3, Gap::Reason::retention}, {"prices:A", 0});
  EXPECT_EQ(data("prices:A", 4), Verdict::deliver);
  from_server(CaughtUp{asked.id});
  EXPECT_EQ(actions(), (Names{"gap prices:A 2-3 retention", "live #2"}));
}

TEST_F(ClientSessionTest, WhatAReplayDidNotBringIsAGapAtItsEnd) {
  session.subscribe(Names{"prices:A"});
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 1}});
  lose();
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 4}});
  static_cast<void>(actions());
  from_server(CaughtUp{asked.id});
  EXPECT_EQ(actions(), (Names{"gap prices:A 2-4 disconnected", "live #2"}));
  EXPECT_EQ(data("prices:A", 5), Verdict::deliver);
}

TEST_F(ClientSessionTest, AnotherEpochIsOneGapOfUnknownEnd) {
  session.subscribe(Names{"prices:A"});
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 9}});
  lose();
  connect(kEpoch + 1);
  answer({{"prices:A", Errc::ok, "", kEpoch + 1, 2}});
  from_server(Gap{kEpoch, 10, 0, Gap::Reason::epoch_change}, {"prices:A", 0});
  EXPECT_EQ(actions(), (Names{"subscribed", "recovering #2", "gap prices:A 10-0 epoch_change"}));
  EXPECT_EQ(data("prices:A", 1), Verdict::deliver);
  EXPECT_EQ(session.place().epoch, kEpoch + 1);
  EXPECT_EQ(data("prices:A", 2), Verdict::deliver);
  from_server(CaughtUp{asked.id});
  EXPECT_EQ(actions(), Names{"live #2"});
  EXPECT_EQ(session.counts().missed, 0u);
}

TEST_F(ClientSessionTest, AHoleIsReportedByTheMessageBehindIt) {
  session.subscribe(Names{"prices:A"});
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 0}});
  ASSERT_EQ(data("prices:A", 3), Verdict::deliver_after_gap);
  EXPECT_EQ(session.gap(), (Gap{kEpoch, 1, 2, Gap::Reason::upstream}));
  EXPECT_EQ(data("prices:A", 3), Verdict::drop);
  EXPECT_EQ(session.counts().duplicates, 1u);
  EXPECT_EQ(session.counts().missed, 2u);
}

TEST_F(ClientSessionTest, AGapOfTheServerIsHandedOver) {
  connect();
  ASSERT_EQ(data("prices:A", 1), Verdict::deliver);
  from_server(Gap{kEpoch, 2, 6, Gap::Reason::slow_consumer}, {"prices:A", 0});
  EXPECT_EQ(actions(), Names{"gap prices:A 2-6 slow_consumer"});
  EXPECT_EQ(data("prices:A", 7), Verdict::deliver);
}

TEST_F(ClientSessionTest, ABroadcastHasNoChannelAndIsDelivered) {
  connect();
  EXPECT_EQ(data("", 0), Verdict::deliver);
  EXPECT_EQ(session.place().channel, "");
  EXPECT_EQ(session.place().epoch, kEpoch);
}

TEST_F(ClientSessionTest, PlacesKeepTheirNames) {
  connect();
  std::string frame = "prices:A";
  ASSERT_EQ(data(frame, 1), Verdict::deliver);
  const std::string_view kept = session.place().channel;
  frame.assign("????????");
  EXPECT_EQ(kept, "prices:A");
}

TEST_F(ClientSessionTest, AChannelTakenBackAndWishedAgainStartsWithoutAGap) {
  session.subscribe(Names{"prices:A"});
  connect();
  answer({{"prices:A", Errc::ok, "", kEpoch, 0}});
  ASSERT_EQ(data("prices:A", 1), Verdict::deliver);
  session.unsubscribe(Names{"prices:A"});
  EXPECT_EQ(actions(), (Names{"subscribed", "live #1", "unsubscribe prices:A"}));
  ASSERT_EQ(data("prices:A", 2), Verdict::deliver) << "was on its way";
  from_server(Unsubscribed{left.id, {{"prices:A", Errc::ok, "", 0, 0}}});
  EXPECT_EQ(actions(), Names{"unsubscribed"});
  session.subscribe(Names{"prices:A"});
  EXPECT_EQ(actions(), (Names{"subscribing #1", "subscribe prices:A"}));
  answer({{"prices:A", Errc::ok, "", kEpoch, 50}});
  EXPECT_EQ(actions(), (Names{"subscribed", "live #1"}));
  EXPECT_EQ(data("prices:A", 51), Verdict::deliver);
}

TEST_F(ClientSessionTest, AnAnswerForWhatWasTakenBackMeanwhileLeavesNoCursor) {
  session.subscribe(Names{"prices:A"});
  connect();
  session.unsubscribe(Names{"prices:A"});
  answer({{"prices:A", Errc::ok, "", kEpoch, 5}});
  lose();
  session.subscribe(Names{"prices:A"});
  connect();
  static_cast<void>(actions());
  answer({{"prices:A", Errc::ok, "", kEpoch, 20}});
  EXPECT_EQ(actions(), (Names{"subscribed", "live #2"})) << "nobody missed anything";
}

TEST_F(ClientSessionTest, TakingAWildcardBackForgetsItsChannelsButNotThoseWishedByName) {
  session.subscribe(Names{"prices:*", "prices:A", "token:*"});
  connect();
  for (const char* channel : {"prices:A", "prices:B", "token-x"}) {
    ASSERT_EQ(data(channel, 1), Verdict::deliver);
  }
  session.unsubscribe(Names{"prices:*"});
  EXPECT_EQ(data("prices:B", 9), Verdict::deliver);
  EXPECT_EQ(data("prices:A", 9), Verdict::deliver_after_gap);
  EXPECT_EQ(data("token-x", 9), Verdict::deliver_after_gap);
  session.unsubscribe(Names{"token:*"});
  EXPECT_EQ(data("token-x", 20), Verdict::deliver);
}

TEST_F(ClientSessionTest, AChannelThatAWildcardStillBringsIsNotForgotten) {
  session.subscribe(Names{"prices:*", "prices:A"});
  connect();
  ASSERT_EQ(data("prices:A", 1), Verdict::deliver);
  session.unsubscribe(Names{"prices:A"});
  EXPECT_EQ(data("prices:A", 5), Verdict::deliver_after_gap);
}

TEST_F(ClientSessionTest, AnAnswerWithoutAnEpochIsOfTheServers) {
  session.subscribe(Names{"prices:A"});
  connect();
  answer({{"prices:A", Errc::ok, "", 0, 3}});
  ASSERT_EQ(data("prices:A", 4), Verdict::deliver);
  EXPECT_EQ(session.place().epoch, kEpoch);
}

TEST_F(ClientSessionTest, WhatOneServerSaidIsForgottenOnTheNextConnection) {
  connect(kEpoch, 1000);
  session.left(session.connection(), 1'000);
  lose();
  now = session.next_tick() + 1h;
  session.tick(now);
  session.opened(session.connection(), now);  // No Welcome this time.
  static_cast<void>(actions());
  session.tick(now + 3s);
  EXPECT_EQ(actions(), Names{}) << "no heartbeat was promised";
  ASSERT_EQ(data("", 0), Verdict::deliver);
  EXPECT_EQ(session.place().epoch, 0u);
  send(1, 70'000);
  ASSERT_NE(session.next_send(), nullptr) << "its limit is not known";
  session.send_written(0);
  lose();
  EXPECT_EQ(actions().size(), 1u) << "backing_off only: no byte of it had left";
}

TEST_F(ClientSessionTest, AHealthyConnectionResetsTheAttempts) {
  session.start(now);
  for (int i = 0; i < 3; ++i) {
    session.try_failed(session.connection(), now, {{Errc::connect_failed}, Loss::ordinary});
    now = session.next_tick();
    session.tick(now);
  }
  session.opened(session.connection(), now);
  now += 10s;
  session.heard(session.connection(), now);
  lose();
  static_cast<void>(actions());
  EXPECT_EQ(last.state, ClientState::backing_off);
  EXPECT_EQ(last.attempt, 0u);
}

TEST_F(ClientSessionTest, SilenceBeyondTheHeartbeatIsALoss) {
  connect();
  const Instant dead = now + 2500ms;
  session.tick(dead - 1ns);
  EXPECT_EQ(actions(), Names{"stale #1 peer_timeout"});
  EXPECT_EQ(session.next_tick(), dead);
  now = dead;
  session.tick(now);
  EXPECT_EQ(actions(), (Names{"drop", "backing_off #1 peer_timeout"}));
}

TEST_F(ClientSessionTest, WithoutHeartbeatsASilentServerIsPinged) {
  connect(kEpoch, 0);
  session.tick(now + 30s);
  EXPECT_EQ(actions(), Names{"ping"});
  session.tick(now + 60s);
  EXPECT_EQ(actions(), (Names{"drop", "backing_off #1 peer_timeout"}));
}

TEST_F(ClientSessionTest, ATryThatTakesTooLongIsGivenUp) {
  session.start(now);
  EXPECT_EQ(session.next_tick(), now + 5s);
  session.tick(now + 5s);
  EXPECT_EQ(actions(),
            (Names{"connecting #1", "connect", "drop", "backing_off #1 handshake_timeout"}));
  EXPECT_EQ(session.counts().connect_failures, 1u);
}

TEST_F(ClientSessionTest, ARefusalThatNoRetryCuresIsTheEnd) {
  session.start(now);
  session.try_failed(session.connection(), now,
                     {{Errc::not_websocket, 0, "HTTP 404"}, Loss::fatal});
  EXPECT_EQ(actions(), (Names{"connecting #1", "connect", "failed #1 not_websocket"}));
  EXPECT_TRUE(session.ended());
  EXPECT_EQ(session.next_tick(), kNever);
}

TEST_F(ClientSessionTest, GivesUpAfterTheLastAttemptAndSaysWhy) {
  ClientSessionConfig limited = config();
  limited.backoff.attempts_max = 2;
  ClientSession short_lived{limited};
  short_lived.start(now);
  short_lived.try_failed(short_lived.connection(), now,
                         {{Errc::connect_failed, 0, "127.0.0.1:1"}, Loss::refused});
  EXPECT_EQ(short_lived.state(), ClientState::backing_off);
  now = short_lived.next_tick();
  short_lived.tick(now);
  short_lived.try_failed(short_lived.connection(), now,
                         {{Errc::connect_failed, 0, "127.0.0.1:1"}, Loss::refused});
  EXPECT_EQ(short_lived.state(), ClientState::failed);
  EXPECT_EQ(short_lived.cause().code, Errc::attempts_exhausted);
  EXPECT_NE(short_lived.cause().context.find("127.0.0.1:1"), std::string::npos);
}

TEST_F(ClientSessionTest, KnocksAreSilentUntilOneIsAnswered) {
  ClientSessionConfig near = config();
  near.nearness = Nearness::same_host;
  near.backoff.first_delay_max = 1min;
  near.backoff.delay_base = 1min;
  near.backoff.delay_max = 1min;
  ClientSession local{near};
  local.start(now);
  local.try_failed(local.connection(), now, {{Errc::connect_failed}, Loss::refused});
  Names lines;
  for (int i = 0; i < 10; ++i) {
    ASSERT_LE(local.next_tick(), now + 50ms);
    now = local.next_tick();
    local.tick(now);
    local.try_failed(local.connection(), now, {{Errc::connect_failed}, Loss::refused});
  }
  now = local.next_tick();
  local.tick(now);
  local.opened(local.connection(), now);
  std::size_t connects = 0;
  while (auto action = local.next_action()) {
    const std::string text = line(*action);
    if (text == "connect") {
      ++connects;
    } else {
      lines.push_back(text);
    }
  }
  EXPECT_EQ(connects, 12u);
  EXPECT_EQ(lines, (Names{"connecting #1", "backing_off #1 connect_failed", "connecting #2",
                          "subscribing #2", "live #2"}));
}

TEST_F(ClientSessionTest, CloseCodesDecideWhatComesNext) {
  EXPECT_EQ(loss_of(0), Loss::ordinary);
  EXPECT_EQ(loss_of(1000), Loss::ordinary);
  EXPECT_EQ(loss_of(1001), Loss::no_penalty);
  EXPECT_EQ(loss_of(1011), Loss::ordinary);
  EXPECT_EQ(loss_of(4000), Loss::fatal);
  EXPECT_EQ(loss_of(4099), Loss::fatal);
  EXPECT_EQ(loss_of(4100), Loss::penalised);
  EXPECT_EQ(loss_of(4199), Loss::penalised);
  EXPECT_EQ(loss_of(4200), Loss::no_penalty);
  EXPECT_EQ(loss_of(4299), Loss::no_penalty);
  EXPECT_EQ(loss_of(4300), Loss::ordinary);
}

TEST_F(ClientSessionTest, HttpStatusesDecideWhatComesNext) {
  for (const unsigned status : {200u, 301u, 400u, 401u, 403u, 404u, 426u}) {
    EXPECT_EQ(loss_of_http(status), Loss::fatal) << status;
  }
  EXPECT_EQ(loss_of_http(429), Loss::penalised);
  for (const unsigned status : {0u, 500u, 503u}) {
    EXPECT_EQ(loss_of_http(status), Loss::ordinary) << status;
  }
}

TEST_F(ClientSessionTest, AStopCodeEndsIt) {
  connect();
  session.lost(session.connection(), now, {{Errc::protocol_violation, 0, "4003: forbidden"}, 4003});
  EXPECT_EQ(actions(), Names{"failed #1 protocol_violation"});
}

TEST_F(ClientSessionTest, GoAwayIsToldAndItsDelayWins) {
  connect();
  from_server(GoAway{100, 3000});
  EXPECT_EQ(actions(), Names{"goaway"});
  session.lost(session.connection(), now, {{Errc::connection_lost}, 4200});
  EXPECT_EQ(session.next_tick(), now + 3s);
}

TEST_F(ClientSessionTest, ARetryAfterOfAnErrorHoldsForItsTime) {
  connect();
  from_server(ErrorReply{0, Errc::back_pressured, "slow down", true, 2000});
  lose();
  EXPECT_EQ(session.next_tick(), now + 2s);
}

TEST_F(ClientSessionTest, SendsAreAnsweredOnceWithTheCallersId) {
  connect();
  send(5);
  ASSERT_NE(session.next_send(), nullptr);
  EXPECT_EQ(session.next_send()->wire_id, 10u);
  session.send_written(0);
  from_server(Published{10, Errc::ok, ""});
  from_server(Published{10, Errc::ok, ""});
  EXPECT_EQ(actions(), Names{"published 5 ok"});
  EXPECT_EQ(session.counts().sends_dropped, 0u);
}

TEST_F(ClientSessionTest, WithoutAnIdOnlyRefusalsAreTold) {
  connect();
  session.send({2, 0, "x", now});
  session.send({4, 0, "x", now});
  session.send_written(0);
  session.send_written(1);
  from_server(Published{2, Errc::ok, ""});
  from_server(ErrorReply{4, Errc::publish_not_allowed, "", false, 0});
  EXPECT_EQ(actions(), Names{"published 0 publish_not_allowed"});
  EXPECT_EQ(session.counts().sends_dropped, 1u);
}

TEST_F(ClientSessionTest, NothingIsSentWithoutAConnection) {
  send(1);
  EXPECT_EQ(session.next_send(), nullptr);
  connect();
  ASSERT_NE(session.next_send(), nullptr);
}

TEST_F(ClientSessionTest, InFlightSendsOfALostConnectionAreReportedAndTheRestIsSent) {
  connect();
  send(1);
  send(2);
  send(3);
  session.send_written(0);
  session.send_written(20);
  session.left(session.connection(), 15);
  lose();
  EXPECT_EQ(actions(), (Names{"published 1 connection_lost", "backing_off #1 connection_lost"}));
  connect();
  ASSERT_NE(session.next_send(), nullptr);
  EXPECT_EQ(session.next_send()->user_id, 2u);
  session.send_written(0);
  EXPECT_EQ(session.next_send()->user_id, 3u);
}

TEST_F(ClientSessionTest, SendsThatGrowTooOldAreReported) {
  send(1);
  EXPECT_EQ(session.next_tick(), now + 30s);
  session.start(now);
  now += 29s;
  session.try_failed(session.connection(), now, {{Errc::connect_failed}, Loss::ordinary});
  static_cast<void>(actions());
  now += 1s;
  session.tick(now);
  EXPECT_EQ(actions().at(0), "published 1 expired");
}

TEST_F(ClientSessionTest, AMessageLargerThanTheServerTakesIsNotSent) {
  connect();
  send(1, 70'000);
  send(2, 10);
  ASSERT_NE(session.next_send(), nullptr);
  EXPECT_EQ(session.next_send()->user_id, 2u);
  EXPECT_EQ(actions(), Names{"published 1 too_large"});
}

TEST_F(ClientSessionTest, CloseIsAHandshakeThatEnds) {
  connect();
  session.close(now);
  EXPECT_EQ(actions(), (Names{"closing #1", "close 1000"}));
  EXPECT_EQ(data("prices:A", 1), Verdict::drop) << "nobody wants it any more";
  session.lost(session.connection(), now, {{Errc::connection_lost}, 1000});
  EXPECT_EQ(actions(), Names{"closed #1"});
  EXPECT_TRUE(session.ended());
}

TEST_F(ClientSessionTest, APeerThatDoesNotAnswerTheCloseIsCut) {
  connect();
  session.close(now);
  static_cast<void>(actions());
  EXPECT_EQ(session.next_tick(), now + 2s);
  session.tick(now + 2s);
  EXPECT_EQ(actions(), (Names{"drop", "closed #1"}));
}

TEST_F(ClientSessionTest, CloseWhileConnectingOrBackingOffIsImmediate) {
  session.start(now);
  session.close(now);
  EXPECT_EQ(actions(), (Names{"connecting #1", "connect", "drop", "closed #1"}));
  session.close(now);
  session.opened(session.connection(), now);
  session.tick(now + 1h);
  EXPECT_EQ(actions(), Names{}) << "closed is the end";
}

TEST_F(ClientSessionTest, CloseReportsEverySendThatIsLeft) {
  connect();
  send(1);
  session.send_written(0);
  session.left(session.connection(), 10);
  send(2);
  session.close(now);
  send(3);
  session.tick(now + 2s);
  EXPECT_EQ(actions(), (Names{"closing #1", "close 1000", "published 3 closed", "drop",
                              "published 1 connection_lost", "published 2 closed", "closed #1"}));
  EXPECT_EQ(session.counts().sends_dropped, 3u);
}

TEST_F(ClientSessionTest, UnknownMessagesAreCounted) {
  connect();
  from_server(Hello{"server?"});
  from_server(stratwire::Heartbeat{1});
  from_server(Pong{});
  EXPECT_EQ(session.counts().unknown_messages, 1u);
  EXPECT_EQ(actions(), Names{});
}

TEST_F(ClientSessionTest, APingIsAnswered) {
  connect();
  from_server(Ping{42});
  EXPECT_EQ(actions(), Names{"pong 42"});
}

TEST_F(ClientSessionTest, UndecodableMessagesAreReportedWithCodeAndOffset) {
  connect();
  session.undecodable({Errc::syntax, 17, ""});
  auto action = session.next_action();
  ASSERT_TRUE(action);
  const auto& reply = std::get<ErrorReply>(std::get<action::HandNotice>(*action).notice);
  EXPECT_EQ(reply.code, Errc::syntax);
  EXPECT_NE(reply.message.find("syntax at byte 17"), std::string::npos) << reply.message;
}

TEST_F(ClientSessionTest, TooManyChannelsAreTheEndAndSaySo) {
  ClientSessionConfig small = config();
  small.channels_max = 2;
  ClientSession limited{small};
  limited.start(now);
  limited.opened(limited.connection(), now);
  EXPECT_EQ(limited.data(limited.connection(), {"prices:A", 1}), Verdict::deliver);
  EXPECT_EQ(limited.data(limited.connection(), {"prices:B", 1}), Verdict::deliver);
  EXPECT_EQ(limited.data(limited.connection(), {"prices:C", 1}), Verdict::drop);
  EXPECT_EQ(limited.state(), ClientState::failed);
  EXPECT_EQ(limited.cause().code, Errc::too_many_channels);
}

TEST_F(ClientSessionTest, AChannelNameThatIsTooLongIsReported) {
  connect();
  EXPECT_EQ(data(std::string(200, 'x'), 1), Verdict::drop);
  EXPECT_EQ(actions(), Names{"error invalid_channel_name"});
  EXPECT_EQ(session.state(), ClientState::live);
}

}  // namespace
}  // namespace stratwire::session
