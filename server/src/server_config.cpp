#include <string>
#include <type_traits>
#include <unistd.h>

#include <stratwire/server_config.hpp>
#include <stratwire/session/channel_name.hpp>

#include "channel.hpp"

namespace stratwire {
namespace {

Error out_of_range(std::string_view setting, const std::string& value, const std::string& range) {
  return {Errc::invalid_config, 0,
          "ServerConfig::" + std::string(setting) + " is " + value + "; it must be " + range};
}

template <class T>
Result<void> check(std::string_view setting, T value, std::type_identity_t<T> least,
                   std::type_identity_t<T> most) {
  if (value >= least && value <= most) return {};
  return out_of_range(setting, std::to_string(value),
                      std::to_string(least) + ".." + std::to_string(most));
}

Result<void> check(std::string_view setting, std::chrono::milliseconds value,
                   std::chrono::milliseconds least, std::chrono::milliseconds most) {
  if (value >= least && value <= most) return {};
  return out_of_range(setting, std::to_string(value.count()) + " ms",
                      std::to_string(least.count()) + ".." + std::to_string(most.count()) + " ms");
}

/// Each I/O thread needs a core that is there: pinning to another is refused by the system, in
/// silence.
Result<void> check_cpus(const ServerConfig& config) {
  const auto cpus = static_cast<int>(::sysconf(_SC_NPROCESSORS_CONF));
  const int threads = static_cast<int>(config.io_threads);
  if (config.io_cpu == -1 || (config.io_cpu >= 0 && config.io_cpu <= cpus - threads)) return {};
  return out_of_range("io_cpu", std::to_string(config.io_cpu),
                      "-1, or " + std::to_string(threads) + " I/O threads below the " +
                          std::to_string(cpus) + " cores of this machine");
}

}  // namespace

std::vector<std::string> ServerConfig::default_kinds() {
  return {"accounts",    "activities", "agent",    "alerts", "events",  "global",
          "graduations", "kings",      "olympics", "prices", "staking", "token",
          "tokens",      "trades",     "vault",    "vaults"};
}

Result<void> ServerConfig::validate() const {
  using std::chrono::hours;
  using std::chrono::milliseconds;
  constexpr std::size_t kGiB = std::size_t{1} << 30;
  for (const Result<void>& checked :
       {check("io_threads", io_threads, 1, server::kIoThreadsMax),
        check("inbox_messages", inbox_messages, 64, 32'768),
        check("lane_bytes_max", lane_bytes_max, 64 * 1024, kGiB),
        check("lane_messages_max", lane_messages_max, 16, kGiB),
        check("connections_max", connections_max, 1, 1'000'000),
        check("channels_max", channels_max, 1, 16'777'216),
        check("channels_per_connection_max", channels_per_connection_max, 1, 65'536),
        check("inbound_message_bytes_max", inbound_message_bytes_max, 128, 16 << 20),
        check("handshake_timeout", handshake_timeout, milliseconds(1), hours(1)),
        check("heartbeat_interval", heartbeat_interval, milliseconds(50), hours(1)),
        check("ping_interval", ping_interval, milliseconds(0), hours(24))}) {
    if (!checked) return checked;
  }
  if (const auto checked = check_cpus(*this); !checked) return checked;
  for (const std::string& kind : kinds) {
    const auto name = session::parse_channel_name(kind, session::Wildcards::refused);
    if (!name || kind.find(':') != std::string::npos) {
      return Error{Errc::invalid_config, 0,
                   "ServerConfig::kinds has " + session::quoted(kind) +
                       "; a kind is printable ASCII without ':', spaces, quotes and '*'"};
    }
  }
  return {};
}

}  // namespace stratwire
