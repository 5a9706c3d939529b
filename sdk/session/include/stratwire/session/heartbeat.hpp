/// Notices that a peer is dead.
#pragma once

#include <cstdint>

#include <stratwire/session/time.hpp>

namespace stratwire::session {

/// Silence becomes a ping, further silence a verdict.
///
/// With a server that promised heartbeats: dead after two of them and 500 ms. Without: a ping when
/// nothing came for `ping_interval`, dead after twice that. The ping is never late because of
/// data: anything that comes counts as a sign of life.
///
/// \thread one thread at a time
class Heartbeat {
 public:
  enum class Action : std::uint8_t { wait, send_ping, declare_dead };

  explicit Heartbeat(Duration ping_interval) noexcept : ping_interval_(ping_interval) {}

  /// A new connection; what an earlier one promised is forgotten.
  void opened(Instant now) noexcept {
    heard_at_ = now;
    promised_ = Duration{0};
    pinged_ = false;
  }
  /// The server sends something at least this often; zero = it does not promise anything.
  void promised(Duration interval) noexcept { promised_ = interval; }
  void heard(Instant now) noexcept {
    heard_at_ = now;
    pinged_ = false;
  }

  [[nodiscard]] Action step(Instant now) noexcept {
    if (now >= dead_at()) return Action::declare_dead;
    if (promised_ != Duration{0} || pinged_ || now < heard_at_ + ping_interval_) {
      return Action::wait;
    }
    pinged_ = true;
    return Action::send_ping;
  }
  /// When step() has something to say if nothing comes until then.
  [[nodiscard]] Instant next() const noexcept {
    return promised_ != Duration{0} || pinged_ ? dead_at() : heard_at_ + ping_interval_;
  }

  /// Grace beyond two promised heartbeats: scheduling and the network are never exact.
  static constexpr Duration kGrace = std::chrono::milliseconds{500};

 private:
  [[nodiscard]] Instant dead_at() const noexcept {
    return heard_at_ + (promised_ != Duration{0} ? 2 * promised_ + kGrace : 2 * ping_interval_);
  }

  Duration ping_interval_;
  Duration promised_{0};
  Instant heard_at_{};
  bool pinged_ = false;
};

}  // namespace stratwire::session
