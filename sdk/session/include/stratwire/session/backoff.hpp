/// When to try again after a connection was lost or a try failed.
#pragma once

#include <cstdint>
#include <optional>

#include <stratwire/session/time.hpp>

namespace stratwire::session {

struct BackoffPolicy {
  /// The first try after a loss comes within this time.
  Duration first_delay_max = std::chrono::milliseconds{100};
  /// Further ones come after a random time in 0 .. base * 2^n, at most `delay_max`.
  Duration delay_base = std::chrono::milliseconds{100};
  Duration delay_max = std::chrono::seconds{5};
  /// A connection counts as good after so long of traffic; only then the tries start anew.
  Duration healthy_after = std::chrono::seconds{10};
  /// Failed tries in a row before giving up; 0 = never.
  std::uint32_t attempts_max = 0;
};

/// Where the peer is, as far as the URL tells.
enum class Nearness : std::uint8_t {
  remote,
  same_host,  ///< Loopback or AF_UNIX: a refused try costs microseconds and disturbs nobody.
};

/// How a connection ended, or a try failed.
enum class Loss : std::uint8_t {
  ordinary,    ///< Cut, timed out, HTTP 5xx.
  refused,     ///< Nobody listens there, said at once.
  penalised,   ///< The peer said "back off" (4100-4199).
  no_penalty,  ///< The peer said "come back" (1001, 4200-4299).
  fatal,       ///< No retry cures it (4000-4099, most HTTP 4xx).
};

/// Full jitter, so that clients cut together do not come back together; see "Exponential Backoff
/// And Jitter" (AWS architecture blog).
///
/// Once a peer on the same host refuses, or cuts a connection that lived for 100 ms or more, a try
/// disturbs nobody, and a strategy wants its restarted server back now: until the next try of the
/// schedule is due it knocks every 25 to 50 ms. A refused knock is not an attempt: `attempts_max`
/// counts the schedule only.
///
/// \thread one thread at a time
class Backoff {
 public:
  struct Next {
    Duration delay{};
    bool give_up = false;  ///< attempts_max reached; there is no next try.
    bool counted = true;   ///< The try that failed was one of the schedule.
    bool knock = false;    ///< The next try is not: nobody need be told of it.
  };

  /// \param seed  of the jitter; the same seed gives the same delays
  Backoff(BackoffPolicy policy, Nearness nearness, std::uint64_t seed) noexcept;

  /// The connection is up.
  void opened(Instant now) noexcept;
  /// Something came from the peer.
  void heard(Instant now) noexcept { heard_at_ = now; }
  /// The peer asked for so long between the loss of this connection and the next try; wins over
  /// every other rule.
  void asked_to_wait(Duration delay) noexcept { asked_ = delay; }
  /// The peer asked not to be tried before; wins as well, if it is still ahead when it matters.
  void asked_to_wait_until(Instant earliest) noexcept { earliest_ = earliest; }
  /// The connection was lost or the try failed; `Loss::fatal` is the caller's business.
  [[nodiscard]] Next lost(Instant now, Loss loss) noexcept;

  /// Failed tries, and connections that did not live to be healthy, in a row.
  [[nodiscard]] std::uint32_t attempt() const noexcept { return attempt_; }

 private:
  [[nodiscard]] Duration jitter(Duration delay_max) noexcept;
  [[nodiscard]] Duration schedule_max(std::uint32_t attempt) const noexcept;
  enum class Until : std::uint8_t { due, due_or_knock };
  [[nodiscard]] Next wait(Instant now, Until until) noexcept;

  BackoffPolicy policy_;
  Nearness nearness_;
  std::uint64_t random_;
  std::uint32_t attempt_ = 0;
  bool forgiven_ = false;  // The last loss was one without penalty.
  std::optional<Instant> opened_at_{};
  Instant heard_at_{};
  std::optional<Duration> asked_{};
  Instant earliest_{};
  Instant due_{};  // The next try of the schedule; knocks come before it.
};

}  // namespace stratwire::session
