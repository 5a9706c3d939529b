/// The options of stratwire-server from its four sources: flags over environment over a TOML file
/// over defaults.
#pragma once

#include <variant>

#include "settings.hpp"

namespace stratwire::app {

/// Nothing is left to do (--help, --version), or the input was wrong and that was said.
struct ExitNow {
  int code = 0;
};

inline constexpr int kExitOk = 0;
/// Something was left undone: rows not handed over, a drain that was cut short.
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitCannotListen = 3;

/// Reads them all; prints to stdout (help) or stderr (one error that names source, line, key,
/// cure).
[[nodiscard]] std::variant<Options, ExitNow> read_options(int argc, const char* const* argv);

}  // namespace stratwire::app
