/// stratwire pub: publishes lines from standard input.
#pragma once

#include <chrono>
#include <string>

#include "connection.hpp"

namespace stratwire::cli {

struct PubOptions {
  ConnectionOptions connection{};
  std::string channel{};
  /// Type of the Events that other JSON values become.
  std::string event = "line";
  /// How long the last answers may take once all lines were read and the connection is silent.
  std::chrono::nanoseconds timeout = std::chrono::seconds{10};
};

/// \return the exit code
[[nodiscard]] int run_pub(const PubOptions& options);

}  // namespace stratwire::cli
