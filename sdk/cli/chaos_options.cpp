#include "chaos_options.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "arguments.hpp"

namespace stratwire::cli {
namespace {

using testing::FaultKind;

constexpr const char* kFooter =
    "Connect the strategy to the address that is printed first. Faults of the clock happen to "
    "every "
    "connection\n"
    "that is open then; given none at all it is --cut. Throttle and delay last until the next "
    "one.\n"
    "Each thing that happens is one line on standard output; Ctrl-C ends with a summary.\n"
    "\n"
    "A --fault happens when so many bytes were forwarded, neither earlier nor later:\n"
    "  CONNECTION DIRECTION OFFSET KIND [AMOUNT], for example '3 down 65536 cut'\n"
    "  CONNECTION   its number, from 1 in the order of connecting, or * for every one\n"
    "  DIRECTION    up (client to server) or down (server to client)\n"
    "  KIND         cut, reset, half_close, black_hole, throttle BYTES, split BYTES, stall MS, "
    "delay "
    "MS;\n"
    "               an AMOUNT of 0: no throttle or delay any more, split all, stall for ever\n"
    "\n"
    "Examples: stratwire chaos --to ws://127.0.0.1:8080 --listen 127.0.0.1:9000 --cut --reset "
    "--every 3\n"
    "          stratwire chaos --to ws://127.0.0.1:8080 --fault '* down 0 split 0'\n"
    "Exit codes: 0 ended by Ctrl-C or --seconds, 2 wrong arguments, 3 could not listen.";

constexpr double kSecondsMax = 1e9;

std::chrono::nanoseconds as_time(double seconds) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>{seconds});
}

void add_kind(CLI::App& chaos, ChaosOptions& options, const char* name, FaultKind kind,
              const char* help) {
  chaos
      .add_flag_function(
          name, [&options, kind](std::int64_t) { options.menu.push_back({.kind = kind}); }, help)
      ->group("Faults of the clock");
}

void add_kind(CLI::App& chaos, ChaosOptions& options, const char* name, FaultKind kind,
              const char* unit, const char* help) {
  chaos
      .add_option_function<std::uint64_t>(
          name,
          [&options, kind](std::uint64_t amount) {
            options.menu.push_back({.kind = kind, .amount = amount});
          },
          help)
      ->check(number_from<std::uint64_t>(1, ~std::uint64_t{0}, "a whole number from 1 on"))
      ->type_name(unit)
      ->group("Faults of the clock");
}

void add_clock(CLI::App& chaos, ChaosOptions& options) {
  static const std::map<std::string, ChaosDirection> kDirections{
      {"up", ChaosDirection::up}, {"down", ChaosDirection::down}, {"both", ChaosDirection::both}};
  add_kind(chaos, options, "--cut", FaultKind::cut, "FIN to both ends; what is on its way is lost");
  add_kind(chaos, options, "--reset", FaultKind::reset, "RST to both ends");
  add_kind(chaos, options, "--half-close", FaultKind::half_close,
           "FIN in one direction, the other one goes on");
  add_kind(chaos, options, "--black-hole", FaultKind::black_hole,
           "Half-open: nothing is forwarded any more, and nobody is told");
  add_kind(chaos, options, "--throttle", FaultKind::throttle, "BYTES", "So many bytes per second");
  add_kind(chaos, options, "--split", FaultKind::split, "BYTES",
           "The next so many bytes one by one, each its own write");
  add_kind(chaos, options, "--stall", FaultKind::stall, "MS", "Nothing is read for so long");
  add_kind(chaos, options, "--delay", FaultKind::delay, "MS", "Everything comes so much later");
  chaos
      .add_option_function<std::string>(
          "--direction",
          [&options](const std::string& name) { options.direction = kDirections.at(name); },
          "Where they happen (default both; a half-close: one of them by chance)")
      ->check(CLI::IsMember({"up", "down", "both"}))
      ->type_name("up|down|both")
      ->group("Faults of the clock");
  chaos
      .add_option_function<double>(
          "--every", [&options](double seconds) { options.every = as_time(seconds); },
          "Seconds between two of them, on average (default 5)")
      ->check(number_from<double>(0.001, kSecondsMax, "a number of seconds from 0.001 on"))
      ->type_name("N")
      ->group("Faults of the clock");
  chaos
      .add_option("--jitter", options.jitter_percent,
                  "How far each distance is off that, at most, in percent")
      ->check(number_from<std::uint32_t>(0, 100, "a whole number from 0 to 100"))
      ->capture_default_str()
      ->type_name("N")
      ->group("Faults of the clock");
}

void add_bytes(CLI::App& chaos, ChaosOptions& options) {
  chaos.add_option("--fault", options.faults, "Does this, see below; may be repeated")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("FAULT")
      ->group("Faults at a byte");
  chaos
      .add_option("--plan", options.plan_file, "A file with one FAULT per line; # begins a comment")
      ->type_name("FILE")
      ->group("Faults at a byte");
  chaos
      .add_flag_function(
          "--random", [&options](std::int64_t) { options.random = true; },
          "One or two by chance for every connection")
      ->group("Faults at a byte");
  chaos
      .add_option("--bytes", options.random_bytes,
                  "Each connection of --random ends within its first so many bytes")
      ->check(number_from<std::uint64_t>(1, ~std::uint64_t{0}, "a whole number from 1 on"))
      ->capture_default_str()
      ->type_name("N")
      ->needs("--random")
      ->group("Faults at a byte");
  chaos
      .add_option_function<std::uint64_t>(
          "--print", [&options](std::uint64_t count) { options.print = count; },
          "Only print what happens to the first N connections, as lines for --plan")
      ->check(number_from<std::uint64_t>(1, 1'000'000, "a whole number from 1 to 1000000"))
      ->type_name("N")
      ->group("Faults at a byte");
}

}  // namespace

CLI::App* add_chaos(CLI::App& app, ChaosOptions& options) {
  auto* chaos = app.add_subcommand(
      "chaos", "Stand between clients and a server and break their connections on purpose");
  chaos->footer(kFooter);
  chaos->add_option("--to", options.to, "The server: ws://host:port or ws+unix:///path")
      ->type_name("URL");
  chaos
      ->add_option("--listen", options.listen,
                   "Where clients connect, host:port or unix:PATH; port 0 = any free one")
      ->capture_default_str()
      ->type_name("ADDR");
  add_clock(*chaos, options);
  add_bytes(*chaos, options);
  chaos
      ->add_option_function<std::uint64_t>(
          "--seed", [&options](std::uint64_t seed) { options.seed = seed; },
          "Of all that is left to chance; without it one is chosen and printed")
      ->check(number_from<std::uint64_t>(0, ~std::uint64_t{0}, "a whole number from 0 on"))
      ->type_name("N");
  chaos
      ->add_option_function<double>(
          "--seconds", [&options](double seconds) { options.duration = as_time(seconds); },
          "End after so long")
      ->check(number_from<double>(0, kSecondsMax, "a number of seconds from 0 on"))
      ->type_name("N");
  chaos->add_flag_function(
      "--json", [&options](std::int64_t) { options.lines = ChaosLines::json; },
      "Each line is a JSON object, the summary too");
  return chaos;
}

}  // namespace stratwire::cli
