/// stratwire sub: prints what channels carry.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "connection.hpp"

namespace stratwire::cli {

enum class Print : std::uint8_t { messages, summary };
enum class OnClose : std::uint8_t { reconnect, exit };

struct SubOptions {
  ConnectionOptions connection{};
  std::vector<std::string> channels{};
  Start start = Start::live;
  std::vector<ResumePoint> since{};
  Print print = Print::messages;
  OnClose on_close = OnClose::reconnect;
  /// Data messages; nothing = no end.
  std::optional<std::uint64_t> count{};
  std::optional<std::chrono::nanoseconds> duration{};
};

/// \return the exit code
[[nodiscard]] int run_sub(const SubOptions& options);

}  // namespace stratwire::cli
