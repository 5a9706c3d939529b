/// What sub and pub share: exit codes, Ctrl-C, and a client's state told to a person.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <stratwire/client.hpp>

namespace stratwire::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitLost = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitNotConnected = 3;
inline constexpr int kExitRefused = 4;

struct ConnectionOptions {
  std::string url{};
  /// Further servers with the same channels.
  std::vector<std::string> also{};
  Codec codec = Codec::json;
  /// Failed tries in a row before giving up, 0 = never. Not given: 3 before the first connection,
  /// never after it.
  std::optional<std::uint32_t> retry{};
};

/// From now on SIGINT and SIGTERM set interrupted(), and SIGPIPE is an error of write().
void catch_signals();
[[nodiscard]] bool interrupted() noexcept;

/// "stratwire: " and a line, on stderr.
void say(const std::string& text);

[[nodiscard]] ClientConfig client_config(const ConnectionOptions& options, const char* name);

/// Says on stderr how the connection fares, and when there is no point in waiting any longer.
class ConnectionWatch {
 public:
  enum class Verdict : std::uint8_t {
    go_on,
    lost,     ///< Was there and is gone; the client tries again.
    give_up,  ///< Said on stderr with the cure.
  };

  explicit ConnectionWatch(ConnectionOptions options);

  Verdict on_state(const StateEvent& event);
  [[nodiscard]] std::uint64_t reconnects() const noexcept { return reconnects_; }
  [[nodiscard]] bool was_connected() const noexcept { return connected_; }

 private:
  Verdict on_backing_off(const StateEvent& event);
  void on_answered(const StateEvent& event);

  ConnectionOptions options_;
  std::string where_{};  // "URL" or "URL and 2 others".
  bool connected_ = false;
  bool up_ = false;
  bool stale_ = false;
  bool recovering_ = false;
  std::uint64_t generation_ = 0;  // Of the connection that was told of.
  std::uint64_t reconnects_ = 0;
};

}  // namespace stratwire::cli
