/// What one world is made of, as its seed says.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <stratwire/server_config.hpp>
#include <stratwire/session/client_session.hpp>

#include "fault.hpp"
#include "random.hpp"
#include "sim_client.hpp"
#include "trace.hpp"

namespace stratwire::sim {

struct Settings {
  ServerConfig server{};
  std::size_t sites = 1;
  std::vector<std::string> channels{};
  std::vector<SimClientConfig> clients{};
  std::vector<std::vector<std::string>> wishes{};  ///< One for each client.
  std::vector<Start> starts{};                     ///< The same.
  std::vector<Fault> menu{};
  TimeNs chaos = 0;        ///< How long faults are injected.
  TimeNs fault_every = 0;  ///< Mean.
  TimeNs live_within = 0;  ///< After the last fault.
  TimeNs quiet = 0;        ///< Between the last message and the verdict.
  TimeNs latency_max = 0;
  std::size_t window_bytes_max = 0;

  /// All that the server's own validation allows, small enough that limits are reached.
  [[nodiscard]] static Settings draw(Random random);
};

}  // namespace stratwire::sim
