/// Latencies: written by one thread for a few nanoseconds each, read by any.
///
/// Log-linear buckets, as in HdrHistogram (Tene, 2012): exact below 64 ns, above it 64 buckets for
/// every power of two, so that a percentile is at most 1/64 (1.6 %) away. Fixed memory, about 19
/// KB.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace stratwire::telemetry {

namespace detail {

/// How values are put into buckets.
struct LatencyBuckets {
  static constexpr unsigned kSubBits = 6;
  static constexpr std::uint64_t kSubCount = std::uint64_t{1} << kSubBits;
  /// Values from here on (about 73 minutes) share the last bucket; the maximum stays exact.
  static constexpr unsigned kValueBits = 42;
  static constexpr std::size_t kCount = (kValueBits - kSubBits + 1) * kSubCount;

  [[nodiscard]] static constexpr std::size_t index(std::uint64_t value) noexcept {
    if (value < kSubCount) return static_cast<std::size_t>(value);
    if (value >= std::uint64_t{1} << kValueBits) return kCount - 1;
    const unsigned shift = static_cast<unsigned>(std::bit_width(value)) - 1 - kSubBits;
    return static_cast<std::size_t>((std::uint64_t{shift} << kSubBits) + (value >> shift));
  }
  /// Largest value of the bucket.
  [[nodiscard]] static constexpr std::uint64_t upper(std::size_t index) noexcept {
    if (index < kSubCount) return index;
    const unsigned shift = static_cast<unsigned>((index >> kSubBits) - 1);
    const std::uint64_t sub = (index & (kSubCount - 1)) + kSubCount;
    return ((sub + 1) << shift) - 1;
  }
};

}  // namespace detail

/// What a histogram held at some moment; a plain value that can be merged with others.
///
/// \units nanoseconds
/// \thread one thread at a time
class HistogramSnapshot {
 public:
  /// Values recorded, negative ones not counted.
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  /// Values below zero: the clocks of the two ends disagree by more than the latency.
  [[nodiscard]] std::uint64_t negative() const noexcept { return negative_; }
  /// Largest value, exact; 0 when there is none.
  [[nodiscard]] std::uint64_t max() const noexcept { return max_; }
  /// Average; 0 when there is none.
  [[nodiscard]] double mean() const noexcept {
    return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
  }
  [[nodiscard]] std::uint64_t sum() const noexcept { return sum_; }

  /// A value that `percent` of all values do not exceed, at most 1.6 % above the smallest such.
  ///
  /// \param percent  0..100; 50 is the median
  /// \return         nanoseconds; 0 when nothing was recorded
  [[nodiscard]] std::uint64_t percentile(double percent) const noexcept {
    if (count_ == 0) return 0;
    const double share = std::clamp(percent, 0.0, 100.0) / 100.0;
    const auto rank = std::max<std::uint64_t>(
        1, static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_))));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i != buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen >= rank) {
        return i + 1 == buckets_.size() ? max_ : std::min(detail::LatencyBuckets::upper(i), max_);
      }
    }
    return max_;
  }

  /// Adds what another one holds.
  void merge(const HistogramSnapshot& other) noexcept {
    for (std::size_t i = 0; i != buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    negative_ += other.negative_;
    sum_ += other.sum_;
    max_ = std::max(max_, other.max_);
  }

 private:
  friend class Histogram;
  std::array<std::uint64_t, detail::LatencyBuckets::kCount> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t negative_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t max_ = 0;
};

/// Records latencies.
///
/// \units nanoseconds
/// \thread record: one thread at a time; snapshot: any thread
class Histogram {
 public:
  /// Never allocates. A negative value is counted apart and not taken for a latency.
  ///
  /// \cost a few nanoseconds, no locked instruction
  void record(std::int64_t ns) noexcept {
    if (ns < 0) {
      bump(negative_, 1);
      return;
    }
    const auto value = static_cast<std::uint64_t>(ns);
    bump(buckets_[detail::LatencyBuckets::index(value)], 1);
    bump(sum_, value);
    // relaxed: only this thread writes; a figure orders nothing.
    if (value > max_.load(std::memory_order_relaxed)) {
      // relaxed: as above.
      max_.store(value, std::memory_order_relaxed);
    }
  }

  /// A copy for reading. While the writer goes on, the last few values may be in part of it only;
  /// count() and percentiles always agree with one another.
  ///
  /// \cost about a microsecond, 19 KB
  [[nodiscard]] HistogramSnapshot snapshot() const noexcept {
    HistogramSnapshot result;
    for (std::size_t i = 0; i != buckets_.size(); ++i) {
      // relaxed: figures order nothing; the count is the sum of what was seen.
      result.buckets_[i] = buckets_[i].load(std::memory_order_relaxed);
      result.count_ += result.buckets_[i];
    }
    // relaxed, all three: as above.
    result.negative_ = negative_.load(std::memory_order_relaxed);
    result.sum_ = sum_.load(std::memory_order_relaxed);
    result.max_ = max_.load(std::memory_order_relaxed);
    return result;
  }

 private:
  static void bump(std::atomic<std::uint64_t>& figure, std::uint64_t n) noexcept {
    // relaxed: only this thread writes; a figure orders nothing.
    const std::uint64_t before = figure.load(std::memory_order_relaxed);
    // relaxed: as above.
    figure.store(before + n, std::memory_order_relaxed);
  }

  std::array<std::atomic<std::uint64_t>, detail::LatencyBuckets::kCount> buckets_{};
  std::atomic<std::uint64_t> negative_{0};
  std::atomic<std::uint64_t> sum_{0};
  std::atomic<std::uint64_t> max_{0};
};

}  // namespace stratwire::telemetry
