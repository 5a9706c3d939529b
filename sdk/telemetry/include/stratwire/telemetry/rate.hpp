/// Events per second, from a counter that is looked at now and then.
#pragma once

#include <cstdint>

namespace stratwire::telemetry {

/// Turns readings of a counter into a rate over the time between two of them.
///
/// \thread one thread at a time
class RateMeter {
 public:
  /// Shortest time between two readings that gives a new rate; nearer ones repeat the last.
  static constexpr std::int64_t kIntervalNsMin = 10'000'000;

  /// \param count   reading of the counter; a smaller one than before starts anew
  /// \param now_ns  time of the reading, of one clock
  /// \return        events per second since the last reading; 0 for the first
  double update(std::uint64_t count, std::int64_t now_ns) noexcept {
    if (!started_ || count < count_ || now_ns < at_ns_) {
      started_ = true;
      per_second_ = 0;
    } else {
      const std::int64_t interval_ns = now_ns - at_ns_;
      if (interval_ns < kIntervalNsMin) return per_second_;
      per_second_ = static_cast<double>(count - count_) * 1e9 / static_cast<double>(interval_ns);
    }
    count_ = count;
    at_ns_ = now_ns;
    return per_second_;
  }
  [[nodiscard]] double per_second() const noexcept { return per_second_; }

 private:
  std::uint64_t count_ = 0;
  std::int64_t at_ns_ = 0;
  double per_second_ = 0;
  bool started_ = false;
};

}  // namespace stratwire::telemetry
