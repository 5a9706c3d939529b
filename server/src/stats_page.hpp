/// The figures of a server, gathered and as JSON.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core.hpp"

namespace stratwire::server {

/// \thread any thread
[[nodiscard]] ServerStats gather_stats(const Core& core);

/// Asks every I/O thread for its connections, one after the other; `done` runs on the last.
///
/// \thread any thread
void gather_connections(Core& core, std::function<void(std::vector<ConnectionStats>)> done);

/// Those furthest behind first, then those connected longest; at most `limit`.
void sort_by_lag(std::vector<ConnectionStats>& connections, std::size_t limit);

/// {"status":"ok", ...} for GET /health.
[[nodiscard]] std::string health_json(const Core& core);
/// Everything in ServerStats, and the slowest connections, for GET /stats.
[[nodiscard]] std::string stats_json(const Core& core, std::vector<ConnectionStats> connections);

}  // namespace stratwire::server
