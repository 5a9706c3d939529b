#include "settings.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

#include <stratwire/limits.hpp>

namespace stratwire::app {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

template <class T>
bool parse(std::string_view text, T& out) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

template <class T>
std::string whole(T& out, std::string_view text, T low, T high) {
  T value{};
  if (!parse(text, value) || value < low || value > high) {
    return "is not a whole number from " + std::to_string(low) + " to " + std::to_string(high);
  }
  out = value;
  return {};
}

std::string size(std::size_t& out, std::string_view text) {
  return whole<std::size_t>(out, text, 0, std::numeric_limits<std::uint32_t>::max());
}

/// All that a number of JSON holds exactly.
constexpr std::uint64_t kEpochMax = std::uint64_t{1} << 53;

/// Beyond these a pause between two messages is no time that a clock could tell.
constexpr double kRateMin = 0.001;
constexpr double kRateMax = 1e9;
constexpr double kSpeedMin = 0.001;
constexpr double kSpeedMax = 1e6;

bool number(double& out, std::string_view text, double low, double high) {
  double value = 0;
  if (!parse(text, value) || !(value >= low && value <= high)) return false;
  out = value;
  return true;
}

/// "5", "5s" and "5000ms" are the same.
std::string duration(std::chrono::milliseconds& out, std::string_view text) {
  double factor = 1000;
  auto digits = text;
  if (digits.ends_with("ms")) {
    factor = 1;
    digits.remove_suffix(2);
  } else if (digits.ends_with('s')) {
    digits.remove_suffix(1);
  }
  double value = 0;
  constexpr double kDayMs = 86'400'000;
  if (!parse(digits, value) || !(value >= 0) || value * factor > kDayMs) {
    return "is not a time from 0 to a day, in seconds (5 or 5s) or milliseconds (250ms)";
  }
  out = std::chrono::milliseconds{std::llround(value * factor)};
  return {};
}

std::string yes_or_no(std::string_view text, bool& out) {
  if (text != "true" && text != "false") return "is neither true nor false";
  out = text == "true";
  return {};
}

template <class T, std::size_t N>
std::string choice(T& out, std::string_view text,
                   const std::array<std::pair<std::string_view, T>, N>& choices) {
  std::string names;
  for (const auto& [name, value] : choices) {
    if (name == text) {
      out = value;
      return {};
    }
    names += names.empty() ? "" : ", ";
    names += name;
  }
  return "is none of " + names;
}

/// "a,b,c" in pieces; nothing when one of them is empty.
std::optional<std::vector<std::string>> pieces(std::string_view text) {
  std::vector<std::string> pieces;
  while (!text.empty()) {
    const auto comma = text.find(',');
    const auto piece = text.substr(0, comma);
    if (piece.empty()) return std::nullopt;
    pieces.emplace_back(piece);
    text = comma == std::string_view::npos ? ""sv : text.substr(comma + 1);
  }
  return pieces;
}

std::string set_kinds(Options& options, std::string_view text) {
  auto kinds = pieces(text);
  if (!kinds) return "has an empty name in it";
  options.server.kinds = *std::move(kinds);
  return {};
}

/// Beside the defaults, so that one kind can be changed without repeating the others.
std::string set_policies(Options& options, std::string_view text) {
  constexpr auto kOverflows = std::array{std::pair{"drop_oldest"sv, Overflow::drop_oldest},
                                         std::pair{"conflate"sv, Overflow::conflate},
                                         std::pair{"lossless"sv, Overflow::lossless}};
  const auto entries = pieces(text);
  if (!entries) return "has an empty entry in it";
  auto policies = ServerConfig::default_policies();
  for (const std::string& entry : *entries) {
    const auto equals = entry.find('=');
    if (equals == 0 || equals == std::string::npos) return "has an entry without '='";
    ChannelPolicy policy;
    const auto problem = choice(policy.overflow, entry.substr(equals + 1), kOverflows);
    if (!problem.empty()) return "has a policy in '" + entry + "' that " + problem;
    policies.insert_or_assign(entry.substr(0, equals), policy);
  }
  options.server.policies = std::move(policies);
  return {};
}

std::string set_alternatives(Options& options, std::string_view text) {
  auto urls = pieces(text);
  if (!urls) return "has an empty URL in it";
  if (urls->size() > limits::kAlternativesMax) {
    return "has more than " + std::to_string(limits::kAlternativesMax) + " URLs";
  }
  options.server.drain.alternatives = *std::move(urls);
  return {};
}

std::string set_feed(Options& options, FeedKind kind) {
  options.feed = kind;
  return {};
}

constexpr auto kHostNames = std::array{"WS_HOST"sv};
constexpr auto kPortNames = std::array{"PORT"sv, "WS_PORT"sv};
constexpr auto kPingNames = std::array{"WS_PING_INTERVAL"sv};
constexpr auto kLogNames = std::array{"LOG_LEVEL"sv};

constexpr auto kWaitings =
    std::array{std::pair{"park"sv, Waiting::park}, std::pair{"yield"sv, Waiting::yield},
               std::pair{"spin"sv, Waiting::spin}};
constexpr auto kIoUring = std::array{std::pair{"auto"sv, true}, std::pair{"off"sv, false}};
constexpr auto kLogLevels =
    std::array{std::pair{"debug"sv, LogLevel::debug}, std::pair{"info"sv, LogLevel::info},
               std::pair{"warning"sv, LogLevel::warning}, std::pair{"warn"sv, LogLevel::warning},
               std::pair{"error"sv, LogLevel::error}};

using Text = std::string_view;
constexpr auto kListening = "Where it listens"sv;
constexpr auto kThreads = "Threads"sv;
constexpr auto kLimits = "Limits"sv;
constexpr auto kClients = "What clients may do"sv;
constexpr auto kFeed = "Feed"sv;
constexpr auto kProgram = "Program"sv;

// clang-format off
constexpr Setting kSettings[] = {
    {"host", "ADDRESS", "0.0.0.0", "127.0.0.1", kHostNames, kListening,
     "Address to listen on, or a name that resolves to one",
     [](Options& o, Text t) { o.server.host = t; return t.empty() ? "is empty"s : ""s; }},
    {"port", "PORT", "8080", "8080", kPortNames, kListening, "Port; 0 = any free one, see --port-file",
     [](Options& o, Text t) { return whole<std::uint16_t>(o.server.port, t, 0, 65535); }},
    {"unix-path", "PATH", "/run/stratwire.sock", "", {}, kListening,
     "Also listen on this AF_UNIX path (ws+unix://PATH)",
     [](Options& o, Text t) { o.server.unix_path = t; return ""s; }},
    {"port-file", "FILE", "/run/stratwire.port", "", {}, kListening,
     "Write the port here once the server listens",
     [](Options& o, Text t) { o.port_file = t; return ""s; }},

    {"io-threads", "N", "1", "1", {}, kThreads, "Threads that read and write sockets",
     [](Options& o, Text t) { return size(o.server.io_threads, t); }},
    {"io-cpu", "CORE", "0", "-1", {}, kThreads,
     "Core of the first I/O thread, the others follow; -1 = wherever the system puts them",
     [](Options& o, Text t) { return whole(o.server.io_cpu, t, -1, 4095); }},
    {"waiting", "HOW", "park", "park", {}, kThreads,
     "How I/O threads wait: park (sleep), yield, or spin (a core each, quickest)",
     [](Options& o, Text t) { return choice(o.server.waiting, t, kWaitings); }},
    {"io-uring", "HOW", "off", "auto", {}, kThreads,
     "Send to many connections in one system call: auto (where the system has io_uring) or off",
     [](Options& o, Text t) { return choice(o.server.io_uring, t, kIoUring); }},

    {"inbox-messages", "N", "16384", "16384", {}, kLimits,
     "Messages that may wait between publishers and the hub, 64 to 32768",
     [](Options& o, Text t) { return size(o.server.inbox_messages, t); }},
    {"lane-bytes", "BYTES", "4194304", "4194304", {}, kLimits,
     "How far a reader may fall behind before it gets a Gap",
     [](Options& o, Text t) { return size(o.server.lane_bytes_max, t); }},
    {"lane-messages", "N", "65536", "65536", {}, kLimits, "The same in messages",
     [](Options& o, Text t) { return size(o.server.lane_messages_max, t); }},
    {"lane-hard-bytes", "BYTES", "16777216", "4 x --lane-bytes", {}, kLimits,
     "How much of what may not be lost waits for a reader before it is closed with 4101",
     [](Options& o, Text t) { return size(o.server.lane_hard_bytes_max, t); }},
    {"lane-hard-messages", "N", "262144", "4 x --lane-messages", {}, kLimits, "The same in messages",
     [](Options& o, Text t) { return size(o.server.lane_hard_messages_max, t); }},
    {"stall", "TIME", "10s", "10s", {}, kLimits,
     "A reader that took nothing for so long is closed with 4101",
     [](Options& o, Text t) { return duration(o.server.stall_max, t); }},
    {"policies", "KIND=POLICY", "prices=conflate,vault=lossless", "prices=conflate,accounts=lossless,agent=lossless,vault=lossless", {}, kLimits,
     "What channels do for a reader that is behind: drop_oldest, conflate or lossless, comma between",
     set_policies},
    {"channel-log-messages", "N", "4096", "4096", {}, kLimits,
     "Messages that each channel keeps for readers that come back; 0 = none",
     [](Options& o, Text t) { return size(o.server.channel_log.messages_max, t); }},
    {"channel-log-bytes", "BYTES", "1048576", "1048576", {}, kLimits, "The same in bytes",
     [](Options& o, Text t) { return size(o.server.channel_log.bytes_max, t); }},
    {"channel-log-age", "TIME", "120s", "120s", {}, kLimits, "The same in time",
     [](Options& o, Text t) { return duration(o.server.channel_log.age_max, t); }},
    {"log-total-bytes", "BYTES", "268435456", "268435456", {}, kLimits, "Memory of all channels' logs together",
     [](Options& o, Text t) { return size(o.server.log_total_bytes_max, t); }},
    {"accepts-per-second", "N", "5000", "5000", {}, kLimits,
     "Upgrades in the long run; further ones get HTTP 503 and a time to come back",
     [](Options& o, Text t) { return size(o.server.accepts_per_second, t); }},
    {"accepts-burst", "N", "16384", "16384", {}, kLimits, "Upgrades at once after a quiet time",
     [](Options& o, Text t) { return size(o.server.accepts_burst, t); }},
    {"connections", "N", "16384", "16384", {}, kLimits, "Open connections; further ones get HTTP 503",
     [](Options& o, Text t) { return size(o.server.connections_max, t); }},
    {"channels-per-connection", "N", "1024", "1024", {}, kLimits, "Channels that one connection may have",
     [](Options& o, Text t) { return size(o.server.channels_per_connection_max, t); }},
    {"inbound-message-bytes", "BYTES", "65536", "65536", {}, kLimits, "Largest message taken from a client",
     [](Options& o, Text t) { return size(o.server.inbound_message_bytes_max, t); }},
    {"handshake-timeout", "TIME", "5s", "5s", {}, kLimits, "From accepted to upgraded",
     [](Options& o, Text t) { return duration(o.server.handshake_timeout, t); }},
    {"heartbeat-interval", "TIME", "1s", "1s", {}, kLimits,
     "A Heartbeat goes to every native connection so often",
     [](Options& o, Text t) { return duration(o.server.heartbeat_interval, t); }},
    {"ping-interval", "TIME", "30s", "30s", kPingNames, kLimits,
     "Ping to a peer that was silent for so long; twice as long, and it is given up",
     [](Options& o, Text t) { return duration(o.server.ping_interval, t); }},
    {"drain-timeout", "TIME", "5s", "5s; twice --drain-go-away-deadline if more", {}, kLimits,
     "Most time that readers get for all when the server goes: to change over, and for what waits",
     [](Options& o, Text t) { return duration(o.drain_timeout, t); }},
    {"drain-go-away-deadline", "TIME", "5s", "0; 5s with --drain-alternatives", {}, kLimits,
     "How long the server goes on after it said that it leaves, so that readers can change over; at "
     "most half of --drain-timeout, and less once all have",
     [](Options& o, Text t) { return duration(o.server.drain.go_away_deadline, t); }},
    {"drain-reconnect-spread", "TIME", "1s", "0", {}, kLimits,
     "Over how long the readers' reconnects are spread when the server leaves",
     [](Options& o, Text t) { return duration(o.server.drain.reconnect_spread, t); }},
    {"drain-alternatives", "URLS", "ws://b:8080,ws://c:8080", "", {}, kLimits,
     "Servers with the same channels that readers are sent to when this one leaves, comma between; "
     "see --epoch",
     set_alternatives},

    {"allow-publish", "", "true", "", {}, kClients,
     "Let connections publish; only on networks that you trust",
     [](Options& o, Text t) {
       bool allowed = false;
       auto problem = yes_or_no(t, allowed);
       o.server.network_publish = allowed ? NetworkPublish::allowed : NetworkPublish::refused;
       return problem;
     }},
    {"kinds", "NAMES", "prices,trades", "", {}, kClients,
     "Channel kinds that clients may subscribe to, comma between, beside those of the feed",
     [](Options& o, Text t) { return set_kinds(o, t); }},

    {"replay", "FILE", "ticks.csv", "", {}, kFeed,
     "Publish the rows of a CSV file (columns offset_ns,venue,symbol,kind,price,size,"
     "exchange_time_ns) on prices:<venue>:<symbol>, heeding slow readers",
     [](Options& o, Text t) {
       o.replay_file = t;
       return t.empty() ? "is empty"s : set_feed(o, FeedKind::replay);
     }},
    {"demo", "", "true", "", {}, kFeed, "Publish a seeded random walk of 20 instruments",
     [](Options& o, Text t) {
       bool wanted = false;
       auto problem = yes_or_no(t, wanted);
       if (wanted) return set_feed(o, FeedKind::demo);
       if (problem.empty() && o.feed == FeedKind::demo) o.feed = FeedKind::none;
       return problem;
     }},
    {"epoch", "N", "1732094399000000", "0", {}, kFeed,
     "Of all numbers, up to 2^53; 0 = the time of the start. Two servers may share one only if they "
     "publish the same messages with the same numbers from the start on, as from one log: then "
     "readers change over without a Gap. After a restart it must be another one",
     [](Options& o, Text t) { return whole<std::uint64_t>(o.server.epoch, t, 0, kEpochMax); }},
    {"seed", "N", "42", "", {}, kFeed, "Of the demo; drawn and logged when not given",
     [](Options& o, Text t) {
       return whole<std::uint64_t>(o.seed.emplace(), t, 0, std::numeric_limits<std::uint64_t>::max());
     }},
    {"rate", "N", "5000", "5000", {}, kFeed, "Of the demo: messages per second",
     [](Options& o, Text t) {
       return number(o.rate, t, kRateMin, kRateMax)
           ? ""s : "is not a number from 0.001 to 1e9 (--speed 0 is flat out)"s;
     }},
    {"messages", "N", "100000", "0", {}, kFeed, "Of the demo: it ends after so many; 0 = never",
     [](Options& o, Text t) {
       return whole<std::uint64_t>(o.messages, t, 0, std::numeric_limits<std::uint64_t>::max());
     }},
    {"speed", "X", "1", "1", {}, kFeed,
     "1 = the feed's own pace, 2 = twice as fast, 0 = as fast as the readers take it",
     [](Options& o, Text t) {
       const bool flat_out = number(o.speed, t, 0, 0);
       return flat_out || number(o.speed, t, kSpeedMin, kSpeedMax)
           ? ""s : "is neither 0 (flat out) nor a number from 0.001 to 1e6"s;
     }},
    {"wait-subscribers", "N", "1", "0", {}, kFeed, "Start the feed when so many have subscribed",
     [](Options& o, Text t) { return size(o.wait_subscribers, t); }},
    {"exit-at-end", "", "true", "", {}, kFeed,
     "End when the feed has, after the readers got everything",
     [](Options& o, Text t) {
       bool wanted = false;
       auto problem = yes_or_no(t, wanted);
       o.at_end = wanted ? AtEnd::exit : AtEnd::stay;
       return problem;
     }},

    {"log-level", "LEVEL", "info", "info", kLogNames, kProgram, "debug, info, warning or error",
     [](Options& o, Text t) { return choice(o.log_level, t, kLogLevels); }},
};
// clang-format on

}  // namespace

std::span<const Setting> all_settings() noexcept {
  return kSettings;
}

}  // namespace stratwire::app
