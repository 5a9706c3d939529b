/// Every setting of stratwire-server, once: its names in the three sources and how its text is
/// read.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <stratwire/server_config.hpp>

namespace stratwire::app {

enum class FeedKind : std::uint8_t { none, replay, demo };
enum class AtEnd : std::uint8_t { stay, exit };

struct Options {
  ServerConfig server{};
  /// The port is written here once the server listens; empty = nowhere.
  std::string port_file{};
  LogLevel log_level = LogLevel::info;

  FeedKind feed = FeedKind::none;
  std::string replay_file{};
  /// Of the demo; drawn by the program when it is not given.
  std::optional<std::uint64_t> seed{};
  /// Of the demo. \units messages per second, all instruments together
  double rate = 5'000;
  /// Of the demo; 0 = it does not end.
  std::uint64_t messages = 0;
  /// 1 = the feed's own pace, 2 = twice as fast, 0 = as fast as the readers take it.
  double speed = 1;
  /// The feed starts when so many connections have subscribed.
  std::size_t wait_subscribers = 0;
  AtEnd at_end = AtEnd::stay;
  /// Most time that readers get for what waits when the server goes.
  std::chrono::milliseconds drain_timeout{5'000};
};

struct Setting {
  /// "lane-bytes": the flag is --lane-bytes, the key of the TOML file lane_bytes.
  std::string_view name;
  /// "BYTES"; empty for those that are on or off.
  std::string_view value;
  /// A value that is right, for errors.
  std::string_view example;
  /// What it is when nobody sets it, for the help; empty where there is nothing to say.
  std::string_view fallback;
  /// Names in the environment, the weightier last.
  std::span<const std::string_view> environment;
  std::string_view group;
  std::string_view help;
  /// Sets it from text.
  ///
  /// \return empty, or what is wrong with the text: "is not a whole number from 0 to 65535"
  std::string (*apply)(Options& options, std::string_view text);
};

[[nodiscard]] std::span<const Setting> all_settings() noexcept;

}  // namespace stratwire::app
