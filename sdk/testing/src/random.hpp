/// The only source of chance in a simulation.
#pragma once

#include <cstddef>
#include <cstdint>

namespace stratwire::sim {

/// splitmix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators"): the same
/// seed gives the same numbers everywhere, which the engines and distributions of the standard
/// library do not promise.
///
/// \thread one thread at a time
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

  [[nodiscard]] std::uint64_t next() noexcept {
    state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }
  /// 0 .. count - 1.
  [[nodiscard]] std::size_t below(std::size_t count) noexcept {
    return static_cast<std::size_t>(next() % count);
  }
  /// Both ends included.
  template <class Int>
  [[nodiscard]] Int between(Int least, Int most) noexcept {
    const auto span = static_cast<std::uint64_t>(most) - static_cast<std::uint64_t>(least) + 1;
    return static_cast<Int>(static_cast<std::uint64_t>(least) + next() % span);
  }
  [[nodiscard]] bool percent(unsigned chance) noexcept { return next() % 100 < chance; }
  /// One of these.
  template <class T, std::size_t N>
  [[nodiscard]] T pick(const T (&choices)[N]) noexcept {
    return choices[below(N)];
  }
  /// An independent one, so that what one part draws does not change what another gets.
  [[nodiscard]] Random fork() noexcept { return Random(next()); }

 private:
  std::uint64_t state_;
};

}  // namespace stratwire::sim
