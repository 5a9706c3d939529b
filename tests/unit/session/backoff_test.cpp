#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/session/backoff.hpp>

namespace stratwire::session {
namespace {

using namespace std::chrono_literals;

constexpr Instant t0{1h};
constexpr std::uint64_t kSeed = 7;

/// The delays of `count` failed tries in a row.
std::vector<Duration> delays(Backoff& backoff, int count, Loss loss) {
  std::vector<Duration> result;
  Instant now = t0;
  for (int i = 0; i < count; ++i) {
    result.push_back(backoff.lost(now, loss).delay);
    now += result.back();
  }
  return result;
}

TEST(Backoff, FirstTryAfterALossComesWithin100Milliseconds) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Backoff backoff{{}, Nearness::remote, seed};
    backoff.opened(t0);
    EXPECT_LE(backoff.lost(t0 + 1s, Loss::ordinary).delay, 100ms) << "seed " << seed;
  }
}

TEST(Backoff, DelaysDoubleToTheCapWithFullJitter) {
  const Duration bounds[] = {100ms, 100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 5s, 5s, 5s};
  std::vector<Duration> longest(std::size(bounds));
  std::vector<Duration> shortest(std::size(bounds), 1h);
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Backoff backoff{{}, Nearness::remote, seed};
    const std::vector<Duration> all = delays(backoff, std::size(bounds), Loss::refused);
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_LE(all[i], bounds[i]) << "try " << i << ", seed " << seed;
      longest[i] = std::max(longest[i], all[i]);
      shortest[i] = std::min(shortest[i], all[i]);
    }
  }
  for (std::size_t i = 0; i < longest.size(); ++i) {
    EXPECT_GT(longest[i], bounds[i] * 9 / 10) << "try " << i;
    EXPECT_LT(shortest[i], bounds[i] / 10) << "try " << i;
  }
}

TEST(Backoff, SameSeedGivesTheSameDelays) {
  Backoff one{{}, Nearness::remote, kSeed};
  Backoff other{{}, Nearness::remote, kSeed};
  Backoff third{{}, Nearness::remote, kSeed + 1};
  const auto expected = delays(one, 8, Loss::ordinary);
  EXPECT_EQ(delays(other, 8, Loss::ordinary), expected);
  EXPECT_NE(delays(third, 8, Loss::ordinary), expected);
}

TEST(Backoff, ShortLivedConnectionsDoNotResetTheTries) {
  Backoff backoff{{}, Nearness::remote, kSeed};
  Instant now = t0;
  for (std::uint32_t i = 1; i <= 5; ++i) {
    backoff.opened(now);
    backoff.heard(now + 9s);
    now += 9s;
    static_cast<void>(backoff.lost(now, Loss::ordinary));
    EXPECT_EQ(backoff.attempt(), i);
  }
}

TEST(Backoff, TenSecondsOfTrafficResetTheTries) {
  Backoff backoff{{}, Nearness::remote, kSeed};
  delays(backoff, 6, Loss::ordinary);
  backoff.opened(t0);
  backoff.heard(t0 + 10s);
  const auto next = backoff.lost(t0 + 11s, Loss::ordinary);
  EXPECT_EQ(backoff.attempt(), 0u);
  EXPECT_LE(next.delay, 100ms);
}

TEST(Backoff, TriesThatFailAfterAHealthyConnectionAreCounted) {
  Backoff backoff{{}, Nearness::remote, kSeed};
  backoff.opened(t0);
  backoff.heard(t0 + 60s);
  static_cast<void>(backoff.lost(t0 + 60s, Loss::ordinary));
  for (std::uint32_t i = 1; i <= 3; ++i) {
    static_cast<void>(backoff.lost(t0 + 61s, Loss::ordinary));
    EXPECT_EQ(backoff.attempt(), i);
  }
}

TEST(Backoff, TheFirstTryHasABoundOfItsOwn) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Backoff backoff{{.first_delay_max = 10ms, .delay_base = 1s}, Nearness::remote, seed};
    backoff.opened(t0);
    EXPECT_LE(backoff.lost(t0 + 1s, Loss::ordinary).delay, 10ms) << "seed " << seed;
  }
}

TEST(Backoff, SilenceIsNotHealthy) {
  Backoff backoff{{}, Nearness::remote, kSeed};
  backoff.opened(t0);
  backoff.heard(t0 + 1s);
  static_cast<void>(backoff.lost(t0 + 60s, Loss::ordinary));
  EXPECT_EQ(backoff.attempt(), 1u);
}

TEST(Backoff, GivesUpAfterTheLastAttempt) {
  Backoff backoff{{.attempts_max = 3}, Nearness::remote, kSeed};
  EXPECT_FALSE(backoff.lost(t0, Loss::ordinary).give_up);
  EXPECT_FALSE(backoff.lost(t0 + 1s, Loss::ordinary).give_up);
  EXPECT_TRUE(backoff.lost(t0 + 2s, Loss::ordinary).give_up);
  EXPECT_EQ(backoff.attempt(), 3u);
}

TEST(Backoff, WithoutALimitItNeverGivesUp) {
  Backoff backoff{{}, Nearness::remote, kSeed};
  Instant now = t0;
  for (int i = 0; i < 10'000; ++i) {
    const auto next = backoff.lost(now, Loss::ordinary);
    ASSERT_FALSE(next.give_up);
    ASSERT_LE(next.delay, 5s);
    now += next.delay;
  }
}

TEST(Backoff, TheServersDelayWins) {
  Backoff backoff{{}, Nearness::same_host, kSeed};
  backoff.opened(t0);
  backoff.asked_to_wait(7s);
  EXPECT_EQ(backoff.lost(t0 + 1s, Loss::no_penalty).delay, 7s);
  // Once: what follows is the schedule again.
  EXPECT_LE(backoff.lost(t0 + 9s, Loss::ordinary).delay, 100ms);
}

TEST(Backoff, AnEarliestMomentWinsWhileItIsAhead) {
  Backoff backoff{{}, Nearness::remote, kSeed};
  backoff.opened(t0);
  backoff.asked_to_wait_until(t0 + 8s);
  EXPECT_EQ(backoff.lost(t0 + 3s, Loss::ordinary).delay, 5s);
  EXPECT_LE(backoff.lost(t0 + 8s, Loss::ordinary).delay, 100ms);
}

TEST(Backoff, ANewConnectionForgetsWhatTheOldServerAsked) {
  Backoff backoff{{}, Nearness::remote, kSeed};
  backoff.asked_to_wait(7s);
  backoff.asked_to_wait_until(t0 + 1h);
  backoff.opened(t0);
  EXPECT_LE(backoff.lost(t0 + 1s, Loss::ordinary).delay, 100ms);
}

TEST(Backoff, BeingSentAwayCostsAtLeastTheBaseDelay) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    Backoff backoff{{}, Nearness::same_host, seed};
    backoff.opened(t0);
    backoff.heard(t0 + 60s);
    EXPECT_GE(backoff.lost(t0 + 60s, Loss::penalised).delay, 100ms) << "seed " << seed;
  }
}

TEST(Backoff, ComeBackIsForgivenOnceButNotForEver) {
  Backoff backoff{{}, Nearness::remote, kSeed};
  backoff.opened(t0);
  EXPECT_LE(backoff.lost(t0, Loss::no_penalty).delay, 100ms);
  EXPECT_EQ(backoff.attempt(), 0u);
  backoff.opened(t0 + 1s);
  static_cast<void>(backoff.lost(t0 + 1s, Loss::no_penalty));
  EXPECT_EQ(backoff.attempt(), 1u);
}

TEST(Backoff, KnocksEvery50MillisecondsWhereTheSameHostRefuses) {
  Backoff backoff{{}, Nearness::same_host, kSeed};
  backoff.opened(t0);
  Instant now = t0;
  Duration delay = backoff.lost(now, Loss::ordinary).delay;
  EXPECT_LE(delay, 100ms);
  for (int i = 0; i < 1000; ++i) {
    now += delay;
    delay = backoff.lost(now, Loss::refused).delay;
    ASSERT_LE(delay, 50ms);
  }
}

TEST(Backoff, KnocksAreNeitherAttemptsNorAnnounced) {
  Backoff backoff{{.attempts_max = 8}, Nearness::same_host, kSeed};
  Instant now = t0;
  std::uint32_t counted = 0;
  int knocks = 0;
  bool was_knock = false;
  for (;;) {
    const auto next = backoff.lost(now, Loss::refused);
    if (next.counted) ++counted;
    EXPECT_TRUE(next.counted || was_knock);
    EXPECT_EQ(backoff.attempt(), counted);
    if (next.give_up) break;
    knocks += next.knock ? 1 : 0;
    was_knock = next.knock;
    now += next.delay;
    ASSERT_LT(now, t0 + 1min);
  }
  EXPECT_EQ(counted, 8u);
  EXPECT_GT(knocks, 20);
}

/// The next try after three connections that each lived for `life` and were cut.
Backoff::Next after_three_cuts(Duration life, std::uint64_t seed) {
  Backoff backoff{{}, Nearness::same_host, seed};
  Instant now = t0;
  Backoff::Next next;
  for (int i = 0; i < 3; ++i) {
    backoff.opened(now);
    now += life;
    next = backoff.lost(now, Loss::ordinary);
    now += next.delay;
  }
  return next;
}

TEST(Backoff, KnocksAfterTheSameHostCutAConnectionThatHadLived) {
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    EXPECT_LE(after_three_cuts(100ms, seed).delay, 50ms) << "seed " << seed;
  }
}

TEST(Backoff, DoesNotKnockAtAServerThatTakesConnectionsAndCutsThem) {
  Duration longest{};
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    const Backoff::Next next = after_three_cuts(99ms, seed);
    EXPECT_FALSE(next.knock) << "seed " << seed;
    longest = std::max(longest, next.delay);
  }
  EXPECT_GT(longest, 100ms);
}

TEST(Backoff, ARemotePeerIsNeverKnockedAt) {
  Backoff backoff{{}, Nearness::remote, kSeed};
  Instant now = t0;
  for (int i = 0; i < 100; ++i) {
    const auto next = backoff.lost(now, Loss::refused);
    EXPECT_FALSE(next.knock);
    EXPECT_TRUE(next.counted);
    now += next.delay;
  }
}

}  // namespace
}  // namespace stratwire::session
