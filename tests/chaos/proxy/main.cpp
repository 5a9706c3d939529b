/// stratwire-chaos: the chaos proxy of the tests as a program. Not installed.
#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>

#include "proxy.hpp"

namespace stratwire::chaos {
namespace {

constexpr std::string_view kHelp = R"(usage: stratwire-chaos --target ADDRESS [OPTIONS]

Stands between clients and a server and breaks their connections on purpose, until Ctrl-C.

  --target ADDRESS   the server: 127.0.0.1:PORT or unix:PATH
  --listen ADDRESS   where clients connect; default 127.0.0.1:0, any port, which is printed
  --fault 'FAULT'    does this (below); may be given several times
  --plan FILE        a file with one fault per line; '#' begins a comment
  --random           a random fault, or two, for every connection
  --seed N           of --random; the same seed breaks the same connections at the same bytes.
                     Without it one is chosen and printed
  --bytes N          each connection of --random ends within its first N bytes; default 262144
  --print N          only print what happens to the first N connections, as lines for --plan
  --help

A fault is CONNECTION DIRECTION OFFSET KIND [AMOUNT], for example '3 down 65536 cut':
  CONNECTION   its number, from 1 in the order of connecting, or * for every one
  DIRECTION    up (client to server) or down (server to client)
  OFFSET       when so many bytes were forwarded in this direction
  KIND         cut                 FIN to both
               reset               RST to both
               half_close          FIN in this direction, the other one goes on
               black_hole          both are read, nothing is forwarded, nothing ends
               throttle BYTES      at most so many per second; 0 = as fast as it goes again
               split BYTES         so many one by one, each its own write; 0 = all that follow
               stall MS            not read for so long; 0 = for ever
               delay MS            forwarded so much later

At the end it prints what it has done. Exit code 0; 1 when it can't listen; 2 for wrong usage.
)";

struct Options {
  ProxyConfig proxy{};
  std::string faults{};
  RandomFaults random{};
  std::optional<std::uint64_t> seed{};
  bool is_random = false;
  std::optional<std::uint64_t> print{};
};

struct WrongUsage {
  std::string text{};
};
struct Help {};
using Parsed = std::variant<Options, Help, WrongUsage>;

std::optional<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// \return what is wrong; empty if nothing is
std::string take_value(std::string_view name, const std::string& value, Options& options) {
  const auto number = number_of(value);
  const std::string complaint = std::string{name} + " takes a number, not '" + value + "'";
  if (name == "--target") {
    options.proxy.target = value;
  } else if (name == "--listen") {
    options.proxy.listen = value;
  } else if (name == "--fault") {
    options.faults += value + '\n';
  } else if (name == "--plan") {
    std::ifstream file{value};
    if (!file) return "--plan '" + value + "' can't be read";
    options.faults += std::string{std::istreambuf_iterator<char>{file}, {}} + '\n';
  } else if (name == "--seed") {
    options.seed = number;
    if (!number) return complaint;
  } else if (name == "--bytes") {
    if (!number || *number == 0) return complaint + " above 0";
    options.random.offset_max = *number;
  } else if (name == "--print") {
    options.print = number;
    if (!number) return complaint;
  } else {
    return "there is no option '" + std::string{name} + "'";
  }
  return {};
}

/// Names and random faults become the plan.
std::string make_plan(Options& options) {
  if (options.is_random && !options.faults.empty()) {
    return "--random goes with neither --fault nor --plan";
  }
  if (!options.is_random &&
      (options.seed || options.random.offset_max != RandomFaults{}.offset_max))
    return "--seed and --bytes belong to --random";
  if (options.is_random) {
    options.random.seed = options.seed ? *options.seed : std::random_device{}();
    options.proxy.plan = Plan{options.random};
    return {};
  }
  std::string bad_line;
  auto plan = Plan::parse(options.faults, bad_line);
  if (!plan) return "'" + bad_line + "' is no fault";
  options.proxy.plan = *std::move(plan);
  return {};
}

Parsed parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view name{argv[i]};
    if (name == "--help") return Help{};
    if (name == "--random") {
      options.is_random = true;
      continue;
    }
    if (i + 1 == argc) return WrongUsage{std::string{name} + " is no option, or lacks its value"};
    if (auto wrong = take_value(name, argv[++i], options); !wrong.empty()) return WrongUsage{wrong};
  }
  if (auto wrong = make_plan(options); !wrong.empty()) return WrongUsage{wrong};
  if (options.proxy.target.empty() && !options.print) return WrongUsage{"--target is missing"};
  return options;
}

void print_summary(const ProxyStats& stats) {
  std::printf("%llu connections, %llu refused, %llu bytes up, %llu bytes down\n",
              static_cast<unsigned long long>(stats.accepted),
              static_cast<unsigned long long>(stats.refused),
              static_cast<unsigned long long>(stats.forwarded_bytes[0]),
              static_cast<unsigned long long>(stats.forwarded_bytes[1]));
  for (std::size_t kind = 0; kind < kFaultKinds; ++kind) {
    if (stats.faults[kind] == 0) continue;
    std::printf("%llu %s\n", static_cast<unsigned long long>(stats.faults[kind]),
                std::string{to_string(static_cast<FaultKind>(kind))}.c_str());
  }
}

int run(const Options& options) {
  if (options.print) {
    std::fputs(options.proxy.plan.to_text(*options.print).c_str(), stdout);
    return 0;
  }
  // Before the proxy's thread exists, so that it inherits the mask.
  sigset_t ends;
  sigemptyset(&ends);
  sigaddset(&ends, SIGINT);
  sigaddset(&ends, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &ends, nullptr);
  auto opened = Proxy::open(options.proxy);
  if (!opened.ok()) {
    std::fprintf(stderr, "stratwire-chaos: %s\n", opened.error().text.c_str());
    return opened.error().code == transport::Errc::invalid_url ? 2 : 1;
  }
  const auto& proxy = *opened;
  std::printf("listening on %s\n", proxy->url().c_str());
  if (options.is_random) {
    std::printf("--seed %llu\n", static_cast<unsigned long long>(options.random.seed));
  }
  std::fflush(stdout);
  int signal = 0;
  sigwait(&ends, &signal);
  print_summary(proxy->stats());
  return 0;
}

}  // namespace
}  // namespace stratwire::chaos

int main(int argc, char** argv) {
  using namespace stratwire::chaos;
  const Parsed parsed = parse(argc, argv);
  if (std::holds_alternative<Help>(parsed)) {
    std::fwrite(kHelp.data(), 1, kHelp.size(), stdout);
    return 0;
  }
  if (const auto* const wrong = std::get_if<WrongUsage>(&parsed)) {
    std::fprintf(stderr, "stratwire-chaos: %s; --help says what there is\n", wrong->text.c_str());
    return 2;
  }
  return run(std::get<Options>(parsed));
}
