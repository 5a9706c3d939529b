/// stratwire chaos: a proxy that breaks connections on purpose.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <stratwire/testing/fault.hpp>

#include "connection.hpp"

namespace stratwire::cli {

enum class ChaosLines : std::uint8_t { text, json };
/// Where a fault of the clock happens.
enum class ChaosDirection : std::uint8_t { up, down, both };

struct ChaosOptions {
  std::string to{};
  std::string listen = "127.0.0.1:0";

  // By the clock.
  std::vector<testing::Fault> menu{};
  ChaosDirection direction = ChaosDirection::both;
  std::optional<std::chrono::nanoseconds> every{};
  std::uint32_t jitter_percent = 50;

  // By the byte.
  std::vector<std::string> faults{};  ///< Lines of a plan.
  std::string plan_file{};
  bool random = false;
  std::uint64_t random_bytes = testing::RandomFaults{}.offset_max;
  std::optional<std::uint64_t> print{};

  std::optional<std::uint64_t> seed{};
  std::optional<std::chrono::nanoseconds> duration{};
  ChaosLines lines = ChaosLines::text;
};

/// \return the exit code
[[nodiscard]] int run_chaos(const ChaosOptions& options);

}  // namespace stratwire::cli
