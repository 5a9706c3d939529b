#include "options.hpp"

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <string_view>

#include "../common/message.hpp"

namespace stratwire::bench {
namespace {

constexpr const char* kHelp = R"(usage: bench_load_client --port N | --unix PATH [OPTIONS]

  --mode fan_out|idle|round_trip   default fan_out
  --protocol websocket|resp|nats   default websocket
  --subprotocol NAME               offered in the upgrade; default none
  --connections N                  default 1
  --channels N                     channels that the server publishes, 1..46656; default 1
  --per-connection N               of these, at random, for each connection; default 1
  --subscribe TEXT                 {channels} is replaced by "a","b", {names} by a b
  --ping TEXT                      what a round trip sends
  --warmup S, --window S           default 0.5 and 2
  --spin                           never sleep
  --latency                        read the intended time of each message
  --cpu N                          core to run on
  --seed N                         of the random channels; default 1
  --watch PID[,PID]                processes whose CPU time and memory to read

Says 'subscribed' when the last connection is, and ends with one line of JSON.
)";

[[noreturn]] void refuse(const std::string& text) {
  std::fprintf(stderr, "bench_load_client: %s\n%s", text.c_str(), kHelp);
  std::exit(2);
}

double number(std::string_view name, const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || value < 0) refuse(std::string(name) + " takes a number");
  return value;
}

template <class Enum>
Enum one_of(std::string_view name, const std::string& text,
            const std::map<std::string, Enum>& values) {
  const auto found = values.find(text);
  if (found == values.end()) refuse(std::string(name) + " does not know '" + text + "'");
  return found->second;
}

std::vector<int> pids(const std::string& text) {
  std::vector<int> all;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    all.push_back(std::atoi(text.substr(at, end - at).c_str()));
    at = end + 1;
  }
  return all;
}

using Setter = std::function<void(const std::string&)>;

std::map<std::string, Setter> setters(Options& o) {
  const auto count = [](const char* name, std::size_t& to) {
    return [name, &to](const std::string& v) { to = static_cast<std::size_t>(number(name, v)); };
  };
  const auto text = [](std::string& to) { return [&to](const std::string& v) { to = v; }; };
  return {
      {"--mode",
       [&o](const std::string& v) {
         o.mode = one_of<Mode>(
             "--mode", v,
             {{"fan_out", Mode::fan_out}, {"idle", Mode::idle}, {"round_trip", Mode::round_trip}});
       }},
      {"--protocol",
       [&o](const std::string& v) {
         o.protocol = one_of<Protocol>("--protocol", v,
                                       {{"websocket", Protocol::websocket},
                                        {"resp", Protocol::resp},
                                        {"nats", Protocol::nats}});
       }},
      {"--port",
       [&o](const std::string& v) { o.port = static_cast<std::uint16_t>(number("--port", v)); }},
      {"--unix", text(o.unix_path)},
      {"--subprotocol", text(o.subprotocol)},
      {"--connections", count("--connections", o.connections)},
      {"--channels", count("--channels", o.channels)},
      {"--per-connection", count("--per-connection", o.per_connection)},
      {"--subscribe", text(o.subscribe)},
      {"--ping", text(o.ping)},
      {"--warmup", [&o](const std::string& v) { o.warmup_s = number("--warmup", v); }},
      {"--window", [&o](const std::string& v) { o.window_s = number("--window", v); }},
      {"--cpu", [&o](const std::string& v) { o.cpu = static_cast<int>(number("--cpu", v)); }},
      {"--seed",
       [&o](const std::string& v) { o.seed = static_cast<std::uint64_t>(number("--seed", v)); }},
      {"--watch", [&o](const std::string& v) { o.watched = pids(v); }},
  };
}

}  // namespace

Options Options::parse(int argc, char** argv) {
  Options options;
  const auto known = setters(options);
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--help") {
      std::fputs(kHelp, stdout);
      std::exit(0);
    }
    if (name == "--spin") {
      options.spin = true;
      continue;
    }
    if (name == "--latency") {
      options.latency = true;
      continue;
    }
    const auto setter = known.find(name);
    if (setter == known.end()) refuse("there is no option '" + name + "'");
    if (i + 1 == argc) refuse(name + " takes a value");
    setter->second(argv[++i]);
  }
  if (options.port == 0 && options.unix_path.empty()) refuse("--port or --unix is missing");
  if (options.channels < 1 || options.channels > kChannelsMax || options.per_connection < 1 ||
      options.per_connection > options.channels || options.connections < 1) {
    refuse("connections and channels are counted from 1, channels to " +
           std::to_string(kChannelsMax));
  }
  return options;
}

}  // namespace stratwire::bench
