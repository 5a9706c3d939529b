/// Time as it is given to the parts of the server that have no clock.
#pragma once

#include <cstdint>

namespace stratwire::server {

/// One look at both clocks; a simulation makes its own.
struct Now {
  std::int64_t ms = 0;       ///< Monotonic: only differences mean something.
  std::int64_t wall_ns = 0;  ///< Unix nanoseconds.
};

}  // namespace stratwire::server
