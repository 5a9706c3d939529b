/// A random walk of 20 instruments, for when there is no feed at hand.
#pragma once

#include <cstdint>
#include <memory>

#include "feed.hpp"

namespace stratwire::app {

struct DemoSettings {
  std::uint64_t seed = 0;
  /// \units messages per second, all instruments together
  double rate = 5'000;
  /// 0 = it does not end.
  std::uint64_t messages = 0;
};

/// The same seed gives the same prices in the same order on every machine.
[[nodiscard]] std::unique_ptr<Feed> make_demo_feed(const DemoSettings& settings);

}  // namespace stratwire::app
