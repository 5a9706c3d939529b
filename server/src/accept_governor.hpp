/// How many clients may come at once, and when the others are told to come back.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace stratwire::server {

/// A token bucket as one number (GCRA, ITU-T I.371): the time at which the bucket would be full
/// again. Those who are refused are told times of their own, one interval apart, so that a crowd
/// comes back as a queue.
///
/// Both numbers are written by every thread that calls.
///
/// \thread any thread; lock-free
class AcceptGovernor {
 public:
  /// A time that is told is at most so far away.
  static constexpr std::uint32_t kWaitMsMax = 60'000;

  AcceptGovernor(std::size_t per_second, std::size_t burst) noexcept
      : interval_ns_(1'000'000'000 / static_cast<std::int64_t>(per_second)),
        tolerance_ns_(interval_ns_ * static_cast<std::int64_t>(burst - 1)) {}

  /// \return 0: take it; else in how many milliseconds it shall come back
  [[nodiscard]] std::uint32_t admit(std::int64_t now_ms) noexcept {
    const std::int64_t now = now_ms * 1'000'000;
    // relaxed, here and below: each number is all there is to know; nothing is handed over by it.
    std::int64_t full_at = full_at_ns_.load(std::memory_order_relaxed);
    while (std::max(full_at, now) - now <= tolerance_ns_) {
      // relaxed: as above.
      if (full_at_ns_.compare_exchange_weak(full_at, std::max(full_at, now) + interval_ns_,
                                            std::memory_order_relaxed)) {
        return 0;
      }
    }
    return slot(now_ms, full_at - tolerance_ns_ - now);
  }
  /// A time to come back for one that is refused for another reason, at least so far away.
  [[nodiscard]] std::uint32_t come_back(std::int64_t now_ms, std::int64_t least_ms) noexcept {
    return slot(now_ms, least_ms * 1'000'000);
  }

 private:
  std::uint32_t slot(std::int64_t now_ms, std::int64_t least_ns) noexcept {
    const std::int64_t now = now_ms * 1'000'000;
    // relaxed: see admit().
    std::int64_t last = last_slot_ns_.load(std::memory_order_relaxed);
    std::int64_t mine = 0;
    do {
      mine = std::max(last, now + least_ns - interval_ns_) + interval_ns_;
      // The queue is as long as may be told: it begins anew.
      if (mine - now > std::int64_t{kWaitMsMax} * 1'000'000) mine = now + least_ns;
      // relaxed: see admit().
    } while (!last_slot_ns_.compare_exchange_weak(last, mine, std::memory_order_relaxed));
    const std::int64_t wait_ms = (mine - now + 999'999) / 1'000'000;
    return static_cast<std::uint32_t>(std::clamp<std::int64_t>(wait_ms, 1, kWaitMsMax));
  }

  const std::int64_t interval_ns_;
  const std::int64_t tolerance_ns_;
  std::atomic<std::int64_t> full_at_ns_{INT64_MIN / 2};
  std::atomic<std::int64_t> last_slot_ns_{INT64_MIN / 2};
};

}  // namespace stratwire::server
