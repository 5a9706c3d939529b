#include <initializer_list>
#include <string>
#include <type_traits>
#include <unistd.h>

#include <stratwire/server_config.hpp>
#include <stratwire/session/channel_name.hpp>
#include <stratwire/transport/url.hpp>

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

using std::chrono::hours;
using std::chrono::milliseconds;
constexpr std::size_t kGiB = std::size_t{1} << 30;

Result<void> first_wrong(std::initializer_list<Result<void>> all) {
  for (const Result<void>& checked : all) {
    if (!checked) return checked;
  }
  return {};
}

Result<void> check_numbers(const ServerConfig& c) {
  return first_wrong(
      {check("io_threads", c.io_threads, 1, server::kIoThreadsMax),
       check("inbox_messages", c.inbox_messages, 64, 32'768),
       check("connections_max", c.connections_max, 1, 1'000'000),
       check("accepts_per_second", c.accepts_per_second, 1, 1'000'000),
       check("accepts_burst", c.accepts_burst, 1, 1'000'000),
       check("channels_max", c.channels_max, 1, 16'777'216),
       // What a script's double holds exactly.
       check("epoch", c.epoch, 0, std::uint64_t{1} << 53),
       check("channels_per_connection_max", c.channels_per_connection_max, 1, 65'536),
       check("inbound_message_bytes_max", c.inbound_message_bytes_max, 128, 16 << 20),
       check("handshake_timeout", c.handshake_timeout, milliseconds(1), hours(1)),
       check("heartbeat_interval", c.heartbeat_interval, milliseconds(50), hours(1)),
       check("ping_interval", c.ping_interval, milliseconds(0), hours(24))});
}

Result<void> check_hard(std::string_view setting, std::size_t value, std::size_t soft) {
  return value == 0 ? Result<void>{} : check(setting, value, soft, 4 * kGiB);
}

Result<void> check_lanes_and_logs(const ServerConfig& c) {
  return first_wrong(
      {check("lane_bytes_max", c.lane_bytes_max, 64 * 1024, kGiB),
       check("lane_messages_max", c.lane_messages_max, 16, kGiB),
       check_hard("lane_hard_bytes_max", c.lane_hard_bytes_max, c.lane_bytes_max),
       check_hard("lane_hard_messages_max", c.lane_hard_messages_max, c.lane_messages_max),
       check("stall_max", c.stall_max, milliseconds(10), hours(1)),
       check("channel_log.messages_max", c.channel_log.messages_max, 0, 1'048'576),
       check("channel_log.bytes_max", c.channel_log.bytes_max, 4096, kGiB),
       check("channel_log.age_max", c.channel_log.age_max, milliseconds(1'000), hours(24)),
       check("log_total_bytes_max", c.log_total_bytes_max, 64 * 1024, 1024 * kGiB)});
}

Result<void> check_drain(const ServerConfig& c) {
  return first_wrong(
      {check("drain.go_away_deadline", c.drain.go_away_deadline, milliseconds(0), hours(1)),
       check("drain.reconnect_spread", c.drain.reconnect_spread, milliseconds(0), hours(1)),
       check("drain.alternatives.size()", c.drain.alternatives.size(), 0,
             limits::kAlternativesMax)});
}

Result<void> check_alternatives(const ServerConfig& c) {
  for (const std::string& url : c.drain.alternatives) {
    if (const auto parsed = transport::Url::parse(url); !parsed) {
      return Error{Errc::invalid_config, 0,
                   "ServerConfig::drain.alternatives has a wrong URL: " + parsed.error().text};
    }
  }
  return {};
}

Result<void> check_kind(std::string_view setting, const std::string& kind) {
  const auto name = session::parse_channel_name(kind, session::Wildcards::refused);
  if (name && kind.find(':') == std::string::npos) return {};
  return Error{Errc::invalid_config, 0,
               "ServerConfig::" + std::string(setting) + " has " + session::quoted(kind) +
                   "; a kind is printable ASCII without ':', spaces, quotes and '*'"};
}

}  // namespace

std::vector<std::string> ServerConfig::default_kinds() {
  return {"accounts",    "activities", "agent",    "alerts", "events",  "global",
          "graduations", "kings",      "olympics", "prices", "staking", "token",
          "tokens",      "trades",     "vault",    "vaults"};
}

std::map<std::string, ChannelPolicy, std::less<>> ServerConfig::default_policies() {
  return {{"prices", {Overflow::conflate}},
          {"accounts", {Overflow::lossless}},
          {"agent", {Overflow::lossless}},
          {"vault", {Overflow::lossless}}};
}

Result<void> ServerConfig::validate() const {
  for (const Result<void>& checked :
       {check_numbers(*this), check_lanes_and_logs(*this), check_drain(*this),
        check_alternatives(*this), check_cpus(*this)}) {
    if (!checked) return checked;
  }
  for (const std::string& kind : kinds) {
    if (const auto checked = check_kind("kinds", kind); !checked) return checked;
  }
  for (const auto& [kind, policy] : policies) {
    if (const auto checked = check_kind("policies", kind); !checked) return checked;
  }
  return {};
}

}  // namespace stratwire
