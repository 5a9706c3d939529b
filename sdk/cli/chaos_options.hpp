/// The arguments of stratwire chaos.
#pragma once

#include <CLI/CLI.hpp>

#include "chaos.hpp"

namespace stratwire::cli {

/// Adds the subcommand, which fills `options` in.
CLI::App* add_chaos(CLI::App& app, ChaosOptions& options);

}  // namespace stratwire::cli
