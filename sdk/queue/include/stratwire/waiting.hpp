/// How a thread of ours waits when there is nothing to do.
#pragma once

#include <cstdint>

namespace stratwire {

/// Chosen by the caller, because only the caller knows what a core is worth.
enum class Waiting : std::uint8_t {
  park,   ///< Sleeps in the kernel. No CPU when idle; about 25-50 us to wake.
  yield,  ///< Looks again and again, giving the core away between. One core, shared.
  spin,   ///< Looks again and again. One whole core; the quickest.
};

}  // namespace stratwire
