/// Notices that a peer is late, and that it is dead.
#pragma once

#include <algorithm>
#include <cstdint>

#include <stratwire/session/time.hpp>

namespace stratwire::session {

/// Silence becomes a warning or a ping, further silence a verdict.
///
/// With a server that promised heartbeats: stale after one and a half of them, dead after two and
/// 500 ms. Without: a ping when nothing came for `ping_interval`, dead after twice that. Neither is
/// early because of data that delays a heartbeat: anything that comes counts as a sign of life.
///
/// \thread one thread at a time
class Heartbeat {
 public:
  enum class Action : std::uint8_t { wait, send_ping, say_stale, declare_dead };

  explicit Heartbeat(Duration ping_interval) noexcept : ping_interval_(ping_interval) {}

  /// A new connection; what an earlier one promised is forgotten.
  void opened(Instant now) noexcept {
    promised_ = Duration{0};
    heard(now);
  }
  /// The server sends something at least this often; zero = it does not promise anything.
  void promised(Duration interval) noexcept { promised_ = interval; }
  void heard(Instant now) noexcept {
    heard_at_ = now;
    spoken_ = false;
  }

  [[nodiscard]] Action step(Instant now) noexcept {
    if (now >= dead_at()) return Action::declare_dead;
    if (spoken_ || now < first_at()) return Action::wait;
    spoken_ = true;
    return promised_ != Duration{0} ? Action::say_stale : Action::send_ping;
  }
  /// When step() has something to say if nothing comes until then.
  [[nodiscard]] Instant next() const noexcept {
    return spoken_ ? dead_at() : std::min(first_at(), dead_at());
  }
  [[nodiscard]] Instant heard_at() const noexcept { return heard_at_; }

  /// Grace beyond two promised heartbeats: scheduling and the network are never exact.
  static constexpr Duration kGrace = std::chrono::milliseconds{500};

 private:
  [[nodiscard]] Instant first_at() const noexcept {
    return heard_at_ + (promised_ != Duration{0} ? promised_ + promised_ / 2 : ping_interval_);
  }
  [[nodiscard]] Instant dead_at() const noexcept {
    return heard_at_ + (promised_ != Duration{0} ? 2 * promised_ + kGrace : 2 * ping_interval_);
  }

  Duration ping_interval_;
  Duration promised_{0};
  Instant heard_at_{};
  bool spoken_ = false;  // Of this silence.
};

}  // namespace stratwire::session
