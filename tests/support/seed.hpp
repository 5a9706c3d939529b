/// Seeds of randomised tests: printed, and set by STRATWIRE_SEED to run one again.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>

namespace stratwire::test {

/// The seed for this test; a new one in every run unless STRATWIRE_SEED says which.
inline std::uint64_t seed() {
  const char* const given = std::getenv("STRATWIRE_SEED");
  const std::uint64_t seed =
      given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "STRATWIRE_SEED=" << seed << '\n';
  return seed;
}

}  // namespace stratwire::test
