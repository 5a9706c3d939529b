#include <algorithm>

#include <stratwire/session/backoff.hpp>

namespace stratwire::session {
namespace {

// 20 to 40 refused connects a second cost under 0.2 % of a core on loopback, and a server that
// comes back is met after 50 ms at most.
constexpr Duration kKnockMin = std::chrono::milliseconds{25};
constexpr Duration kKnockMax = std::chrono::milliseconds{50};
// A server that takes connections and cuts them at once must not be knocked at; one that was there
// for so long and went may come back any moment.
constexpr Duration kKnockAfter = std::chrono::milliseconds{100};

// SplitMix64 (Steele, Lea, Flood 2014): one word of state, any seed will do.
std::uint64_t next_random(std::uint64_t& state) noexcept {
  std::uint64_t z = (state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

}  // namespace

Backoff::Backoff(BackoffPolicy policy, Nearness nearness, std::uint64_t seed) noexcept
    : policy_(policy), nearness_(nearness), random_(seed) {}

void Backoff::opened(Instant now) noexcept {
  opened_at_ = now;
  heard_at_ = now;
  asked_.reset();
  earliest_ = Instant{};
}

Backoff::Next Backoff::lost(Instant now, Loss loss) noexcept {
  const bool opened = opened_at_.has_value();
  const bool healthy = opened && heard_at_ - *opened_at_ >= policy_.healthy_after;
  const bool may_knock = loss == Loss::refused ||
                         (loss == Loss::ordinary && opened && now - *opened_at_ >= kKnockAfter);
  const Until until =
      may_knock && nearness_ == Nearness::same_host ? Until::due_or_knock : Until::due;
  opened_at_.reset();
  if (loss == Loss::refused && now < due_) {
    Next next = wait(now, until);
    next.counted = false;
    return next;
  }

  // A peer that greets and sends away at once, again and again, is forgiven once.
  const bool forgiven = loss == Loss::no_penalty && (healthy || !forgiven_);
  forgiven_ = loss == Loss::no_penalty;
  if (healthy) attempt_ = 0;
  if (loss == Loss::penalised || (!healthy && !forgiven)) ++attempt_;
  due_ = now;
  Next next;
  if (policy_.attempts_max != 0 && attempt_ >= policy_.attempts_max) {
    next.give_up = true;
  } else if (asked_ || earliest_ > now) {
    next.delay = std::max(asked_.value_or(Duration{0}), earliest_ - now);
    asked_.reset();
  } else if (loss == Loss::penalised) {
    next.delay = policy_.delay_base + jitter(schedule_max(attempt_ + 2));
  } else {
    due_ = now + jitter(forgiven ? policy_.first_delay_max : schedule_max(attempt_));
    next = wait(now, until);
  }
  return next;
}

Backoff::Next Backoff::wait(Instant now, Until until) noexcept {
  Next next;
  next.delay = due_ - now;
  if (until == Until::due_or_knock && next.delay > kKnockMax) {
    next.delay = kKnockMin + jitter(kKnockMax - kKnockMin);
    next.knock = true;
  }
  return next;
}

Duration Backoff::schedule_max(std::uint32_t attempt) const noexcept {
  if (attempt <= 1) return policy_.first_delay_max;
  Duration delay = policy_.delay_base;
  for (std::uint32_t n = 2; n < attempt && delay < policy_.delay_max; ++n) delay *= 2;
  return std::min(delay, policy_.delay_max);
}

Duration Backoff::jitter(Duration delay_max) noexcept {
  const auto range = static_cast<std::uint64_t>(std::max<Duration::rep>(delay_max.count(), 0)) + 1;
  return Duration{static_cast<Duration::rep>(next_random(random_) % range)};
}

}  // namespace stratwire::session
