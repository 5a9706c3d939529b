/// Counts of times in log-linear buckets: every value of a run is in it, none is sampled.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace stratwire::bench {

/// Exact below 256 ns, to 1/128 above; 59 KiB.
class Histogram {
 public:
  void add(std::int64_t value) {
    const auto v = static_cast<std::uint64_t>(std::max<std::int64_t>(0, value));
    ++counts_[index_of(v)];
    ++count_;
    max_ = std::max(max_, v);
    sum_ += v;
  }

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t max() const { return max_; }
  [[nodiscard]] double mean() const {
    return count_ == 0 ? 0 : static_cast<double>(sum_) / static_cast<double>(count_);
  }

  /// Upper edge of the bucket that holds this share of the values.
  [[nodiscard]] std::uint64_t at(double percent) const {
    const auto rank = static_cast<std::uint64_t>(percent / 100 * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < kBuckets; ++i) {
      seen += counts_[i];
      if (seen > rank) return std::min(max_, upper_edge(i));
    }
    return max_;
  }

  /// Calls visit(upper edge, count) for every bucket with something in it, in order.
  template <class Visit>
  void each(Visit visit) const {
    for (std::size_t i = 0; i < kBuckets; ++i) {
      if (counts_[i] != 0) visit(upper_edge(i), counts_[i]);
    }
  }

 private:
  static constexpr unsigned kSubBits = 7;
  static constexpr std::size_t kSubBuckets = std::size_t{1} << kSubBits;
  static constexpr std::size_t kBuckets = (64 - kSubBits + 1) * kSubBuckets;

  static std::size_t index_of(std::uint64_t v) {
    if (v < 2 * kSubBuckets) return static_cast<std::size_t>(v);
    const auto shift = static_cast<unsigned>(std::bit_width(v)) - kSubBits - 1;
    return (static_cast<std::size_t>(shift) + 1) * kSubBuckets +
           (static_cast<std::size_t>(v >> shift) - kSubBuckets);
  }
  static std::uint64_t upper_edge(std::size_t index) {
    if (index < 2 * kSubBuckets) return index;
    const auto shift = static_cast<unsigned>(index / kSubBuckets - 1);
    const std::uint64_t sub = index % kSubBuckets + kSubBuckets;
    return ((sub + 1) << shift) - 1;
  }

  std::array<std::uint64_t, kBuckets> counts_{};
  std::uint64_t count_ = 0;
  std::uint64_t sum_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace stratwire::bench
