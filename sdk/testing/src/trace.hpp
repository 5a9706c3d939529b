/// What happened in a simulation: a hash of all of it, and lines to read.
#pragma once

#include <cstdint>
#include <cstdio>
#include <limits>
#include <string>
#include <string_view>

namespace stratwire::sim {

/// Virtual nanoseconds on the clock that nobody sets.
using TimeNs = std::int64_t;
inline constexpr TimeNs kMicro = 1'000;
inline constexpr TimeNs kMilli = 1'000'000;
inline constexpr TimeNs kSecond = 1'000'000'000;
inline constexpr TimeNs kForever = std::numeric_limits<TimeNs>::max();
/// Not 0, which is "never" in some places.
inline constexpr TimeNs kStart = 1'000 * kSecond;
/// The wall clock at kStart.
inline constexpr std::int64_t kUnixStartNs = 1'732'094'400'000'000'000;

/// The same seed must give the same hash: whatever differs in a second run, be it the order of two
/// events or one byte of a message, has been mixed into it.
class Trace {
 public:
  enum class Lines : std::uint8_t { none, printed };
  explicit Trace(Lines lines) noexcept : lines_(lines) {}

  void at(TimeNs now) noexcept { now_ = now; }
  void mix(std::uint64_t value) noexcept {
    hash_ = (hash_ ^ value) * 0x9fb21c651e98df25U;
    hash_ ^= hash_ >> 32;
  }
  void mix(std::string_view text) noexcept {
    for (const char c : text) mix(static_cast<std::uint64_t>(c));
  }
  /// One thing that happened to `who`.
  void note(std::string_view who, std::string_view what, std::uint64_t a = 0, std::uint64_t b = 0) {
    mix(what.size() ^ a << 8);
    mix(b);
    if (lines_ == Lines::printed) print(who, what, a, b);
  }
  /// `text()` is made only if somebody reads it.
  template <class Text>
  void tell(std::string_view who, Text&& text) {
    if (lines_ != Lines::printed) return;
    const std::string line = text();
    std::printf("%12.6f %-10.*s %s\n", seconds(), static_cast<int>(who.size()), who.data(),
                line.c_str());
  }
  [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }
  /// Virtual seconds since the start.
  [[nodiscard]] double seconds() const noexcept {
    return static_cast<double>(now_ - kStart) / static_cast<double>(kSecond);
  }

 private:
  void print(std::string_view who, std::string_view what, std::uint64_t a, std::uint64_t b) const {
    std::printf("%12.6f %-10.*s %.*s", seconds(), static_cast<int>(who.size()), who.data(),
                static_cast<int>(what.size()), what.data());
    if (a != 0 || b != 0) std::printf(" %llu", static_cast<unsigned long long>(a));
    if (b != 0) std::printf(" %llu", static_cast<unsigned long long>(b));
    std::printf("\n");
  }

  std::uint64_t hash_ = 0x2545f4914f6cdd1dU;
  TimeNs now_ = kStart;
  Lines lines_;
};

}  // namespace stratwire::sim
