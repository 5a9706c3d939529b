/// How far the server's clock is from ours, and how far off that may be.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <stratwire/session/time.hpp>

namespace stratwire::session {

/// The times of one Ping and its Pong.
///
/// \units Unix nanoseconds; t1 and t4 of this host, t2 and t3 of the server
struct ClockSample {
  std::int64_t t1 = 0;  ///< The Ping was sent.
  std::int64_t t2 = 0;  ///< It came.
  std::int64_t t3 = 0;  ///< The Pong was sent.
  std::int64_t t4 = 0;  ///< It came.
};

/// Four-timestamp estimate behind a minimum-delay filter.
///
/// Of the samples in the window the one with the smallest error is believed: half its round trip,
/// plus what two clocks can drift apart in its age. A sample that contradicts it, errors included,
/// means that one of the clocks was set: everything before it is forgotten.
///
/// \thread one thread at a time
/// \source RFC 5905 section 8 (offset and delay), section 10 (clock filter)
class ClockOffset {
 public:
  struct Estimate {
    Duration offset{};  ///< To be added to a time of this host to have the server's.
    Duration error{};   ///< The true offset is within so much of it.
  };

  /// Takes a sample; one that can't be true (t2 or t3 missing, negative delay) is left out.
  ///
  /// \return whether it was taken
  bool add(Instant now, const ClockSample& sample) noexcept;
  /// Nothing while there is no sample.
  [[nodiscard]] std::optional<Estimate> estimate(Instant now) const noexcept;

  /// Time from `server_time` to `local_time`, told only when it is larger than the error: never
  /// negative, and never noise.
  ///
  /// \units Unix nanoseconds of the clocks in their names
  struct Span {
    std::int64_t server_time = 0;
    std::int64_t local_time = 0;
  };
  [[nodiscard]] std::optional<Duration> latency(Instant now, Span span) const noexcept;

  void reset() noexcept { size_ = 0; }

  /// 160 s of a Ping every 10 s.
  static constexpr std::size_t kSamplesMax = 16;
  /// Two undisciplined quartz clocks at their worst.
  static constexpr std::int64_t kDriftPerMillion = 100;

 private:
  struct Entry {
    Instant taken_at{};
    Duration offset{};
    Duration half_trip{};
  };
  [[nodiscard]] static Duration error_of(const Entry& entry, Instant now) noexcept;
  [[nodiscard]] const Entry* best(Instant now) const noexcept;

  std::array<Entry, kSamplesMax> entries_{};
  std::size_t next_ = 0;
  std::size_t size_ = 0;
};

}  // namespace stratwire::session
