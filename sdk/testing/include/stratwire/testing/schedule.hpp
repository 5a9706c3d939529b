/// Faults by the clock: which one is next, and when.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <utility>
#include <vector>

#include <stratwire/testing/fault.hpp>

namespace stratwire::testing {

/// What a Schedule draws from.
struct ScheduleConfig {
  /// Between two faults, on average; above 0.
  std::chrono::nanoseconds every = std::chrono::seconds{5};
  /// Each distance is `every`, more or less by up to so many percent of it, 0..100.
  std::uint32_t jitter_percent = 50;
  /// What may happen; one of these is drawn each time, all alike. Not empty. Their connection and
  /// offset mean what they mean to Proxy::apply().
  std::vector<Fault> menu{};
  std::uint64_t seed = 1;
};

/// An endless series of faults for Proxy::apply(); the same settings give the same one.
///
/// Use it for a test or a show that runs for a while; for a fault at one certain byte use a Plan.
///
/// \thread one thread at a time
class Schedule {
 public:
  struct Step {
    /// Since the step before, or since the start.
    std::chrono::nanoseconds after{0};
    Fault fault{};
  };

  explicit Schedule(ScheduleConfig config) : config_(std::move(config)), random_(config_.seed) {}

  [[nodiscard]] Step next() {
    const std::int64_t mean = config_.every.count();
    const std::int64_t most = mean / 100 * static_cast<std::int64_t>(config_.jitter_percent);
    std::uniform_int_distribution<std::int64_t> jitter(-most, most);
    const std::chrono::nanoseconds after{mean + jitter(random_)};
    std::uniform_int_distribution<std::size_t> choice(0, config_.menu.size() - 1);
    return {after, config_.menu[choice(random_)]};
  }

 private:
  ScheduleConfig config_;
  std::mt19937_64 random_;
};

}  // namespace stratwire::testing
