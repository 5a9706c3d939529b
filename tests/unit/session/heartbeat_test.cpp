#include <gtest/gtest.h>

#include <stratwire/session/heartbeat.hpp>

namespace stratwire::session {
namespace {

using namespace std::chrono_literals;
using Action = Heartbeat::Action;

constexpr Instant t0{1h};

TEST(Heartbeat, SilentPeerIsPingedThenDeclaredDead) {
  Heartbeat heartbeat{10s};
  heartbeat.opened(t0);
  EXPECT_EQ(heartbeat.step(t0 + 9s), Action::wait);
  EXPECT_EQ(heartbeat.step(t0 + 10s), Action::send_ping);
  EXPECT_EQ(heartbeat.step(t0 + 11s), Action::wait);
  EXPECT_EQ(heartbeat.step(t0 + 20s), Action::declare_dead);
}

TEST(Heartbeat, AnythingHeardStartsTheSilenceAnew) {
  Heartbeat heartbeat{10s};
  heartbeat.opened(t0);
  EXPECT_EQ(heartbeat.step(t0 + 10s), Action::send_ping);
  heartbeat.heard(t0 + 15s);
  EXPECT_EQ(heartbeat.step(t0 + 20s), Action::wait);
  EXPECT_EQ(heartbeat.step(t0 + 25s), Action::send_ping);
  EXPECT_EQ(heartbeat.step(t0 + 35s), Action::declare_dead);
}

TEST(Heartbeat, PromisedHeartbeatsMissedTwiceAndHalfASecondAreDeath) {
  Heartbeat heartbeat{30s};
  heartbeat.opened(t0);
  heartbeat.promised(1s);
  EXPECT_EQ(heartbeat.step(t0 + 2499ms), Action::say_stale);
  EXPECT_EQ(heartbeat.step(t0 + 2499ms), Action::wait);
  EXPECT_EQ(heartbeat.step(t0 + 2500ms), Action::declare_dead);
}

TEST(Heartbeat, APeerThatPromisesHeartbeatsIsNotPinged) {
  Heartbeat heartbeat{1s};
  heartbeat.opened(t0);
  heartbeat.promised(10s);
  EXPECT_EQ(heartbeat.step(t0 + 5s), Action::wait);
  EXPECT_EQ(heartbeat.step(t0 + 20s), Action::say_stale);
  EXPECT_EQ(heartbeat.step(t0 + 20s), Action::wait);
}

TEST(Heartbeat, AHeartbeatThatIsHalfAnIntervalOverdueIsStaleOnceForEachSilence) {
  Heartbeat heartbeat{30s};
  heartbeat.opened(t0);
  heartbeat.promised(1s);
  EXPECT_EQ(heartbeat.next(), t0 + 1500ms);
  EXPECT_EQ(heartbeat.step(t0 + 1499ms), Action::wait);
  EXPECT_EQ(heartbeat.step(t0 + 1500ms), Action::say_stale);
  EXPECT_EQ(heartbeat.step(t0 + 1600ms), Action::wait);
  EXPECT_EQ(heartbeat.next(), t0 + 2500ms);
  heartbeat.heard(t0 + 2s);
  EXPECT_EQ(heartbeat.step(t0 + 3500ms), Action::say_stale);
}

TEST(Heartbeat, NextIsTheMomentOfTheNextAction) {
  Heartbeat heartbeat{10s};
  heartbeat.opened(t0);
  EXPECT_EQ(heartbeat.next(), t0 + 10s);
  EXPECT_EQ(heartbeat.step(heartbeat.next()), Action::send_ping);
  EXPECT_EQ(heartbeat.next(), t0 + 20s);
  EXPECT_EQ(heartbeat.step(heartbeat.next()), Action::declare_dead);
  heartbeat.promised(1s);
  EXPECT_EQ(heartbeat.next(), t0 + 2500ms);
}

TEST(Heartbeat, ANewConnectionForgetsThePromiseOfTheOld) {
  Heartbeat heartbeat{10s};
  heartbeat.opened(t0);
  heartbeat.promised(1s);
  heartbeat.opened(t0 + 60s);
  EXPECT_EQ(heartbeat.step(t0 + 65s), Action::wait);
  EXPECT_EQ(heartbeat.step(t0 + 70s), Action::send_ping);
}

}  // namespace
}  // namespace stratwire::session
