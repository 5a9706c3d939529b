// stratwire-sim: runs simulated worlds, one for each seed.

#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>

#include <CLI/CLI.hpp>

#include "lines_world.hpp"
#include "world.hpp"

namespace stratwire::sim {
namespace {

struct Arguments {
  std::uint64_t seeds = 2'000;
  std::uint64_t seed = 1;
  double hours_min = 0;
  bool trace = false;
  bool all_faults = false;
  bool lines = false;
};

/// Of all worlds that were run.
struct Totals {
  Outcome sum{};
  std::uint64_t worlds = 0;
  std::uint64_t failed = 0;

  void add(const Outcome& one) {
    ++worlds;
    if (!one.ok()) ++failed;
    sum.hash = sum.hash * 31 + one.hash;
    sum.seconds += one.seconds;
    sum.published += one.published;
    sum.handed += one.handed;
    sum.gaps += one.gaps;
    sum.replayed += one.replayed;
    for (std::size_t i = 0; i < kFaults; ++i) sum.faults[i] += one.faults[i];
  }
};

void print(const Totals& totals) {
  for (std::size_t i = 0; i < kFaults; ++i) {
    std::printf("%10llu  %s\n", static_cast<unsigned long long>(totals.sum.faults[i]),
                kFaultNames[i].data());
  }
  std::printf(
      "%llu worlds, %.1f simulated hours; %llu published, %llu handed over, %llu replayed, "
      "%llu gaps; hash %016llx\n",
      static_cast<unsigned long long>(totals.worlds), totals.sum.seconds / 3600,
      static_cast<unsigned long long>(totals.sum.published),
      static_cast<unsigned long long>(totals.sum.handed),
      static_cast<unsigned long long>(totals.sum.replayed),
      static_cast<unsigned long long>(totals.sum.gaps),
      static_cast<unsigned long long>(totals.sum.hash));
}

/// \return whether the run as a whole is what it was meant to be
bool check(const Totals& totals, const Arguments& arguments) {
  bool good = totals.failed == 0;
  if (!good) {
    std::printf("%llu worlds failed\n", static_cast<unsigned long long>(totals.failed));
  }
  for (std::size_t i = 0; arguments.all_faults && i < kFaults; ++i) {
    if (totals.sum.faults[i] != 0) continue;
    std::printf("fault %s never happened\n", kFaultNames[i].data());
    good = false;
  }
  if (totals.sum.seconds / 3600 < arguments.hours_min) {
    std::printf("less than %.1f hours were simulated\n", arguments.hours_min);
    good = false;
  }
  return good;
}

int run(const Arguments& arguments) {
  Totals totals;
  for (std::uint64_t i = 0; i < arguments.seeds; ++i) {
    Options options;
    options.seed = arguments.seed + i;
    options.lines = arguments.trace ? Trace::Lines::printed : Trace::Lines::none;
    const Outcome outcome = run_world(options);
    totals.add(outcome);
    if (outcome.ok()) continue;
    std::printf(
        "seed %llu failed after %.3f simulated seconds, hash %016llx; replay it with\n"
        "  ./dev sim --seed %llu --trace\n%s",
        static_cast<unsigned long long>(options.seed), outcome.seconds,
        static_cast<unsigned long long>(outcome.hash),
        static_cast<unsigned long long>(options.seed), outcome.report.c_str());
  }
  print(totals);
  return check(totals, arguments) ? 0 : 1;
}

// ---- Worlds of several lines

void add(const LinesOutcome& one, LinesOutcome& sum) {
  sum.hash = sum.hash * 31 + one.hash;
  sum.seconds += one.seconds;
  for (std::size_t i = 0; i < kLineFaults; ++i) sum.faults[i] += one.faults[i];
  sum.published += one.published;
  sum.counts.handed += one.counts.handed;
  sum.counts.duplicates += one.counts.duplicates;
  sum.counts.filled += one.counts.filled;
  sum.counts.gaps += one.counts.gaps;
  sum.replays += one.replays;
  sum.divergences += one.divergences;
}

void print(const LinesOutcome& sum, std::uint64_t worlds) {
  const auto number = [](std::uint64_t value) { return static_cast<unsigned long long>(value); };
  for (std::size_t i = 0; i < kLineFaults; ++i) {
    std::printf("%10llu  %s\n", number(sum.faults[i]), kLineFaultNames[i].data());
  }
  std::printf(
      "%llu worlds of lines, %.1f simulated hours; %llu published, %llu handed over, %llu further "
      "copies, %llu filled, %llu replays, %llu divergences, %llu gaps; hash %016llx\n",
      number(worlds), sum.seconds / 3600, number(sum.published), number(sum.counts.handed),
      number(sum.counts.duplicates), number(sum.counts.filled), number(sum.replays),
      number(sum.divergences), number(sum.counts.gaps), number(sum.hash));
}

int run_lines(const Arguments& arguments) {
  LinesOutcome sum;
  std::uint64_t failed = 0;
  for (std::uint64_t i = 0; i < arguments.seeds; ++i) {
    LinesOptions options;
    options.seed = arguments.seed + i;
    options.lines = arguments.trace ? Trace::Lines::printed : Trace::Lines::none;
    const LinesOutcome outcome = run_lines_world(options);
    add(outcome, sum);
    if (outcome.ok()) continue;
    ++failed;
    std::printf("seed %llu failed; replay it with\n  ./dev sim --lines --seed %llu --trace\n%s",
                static_cast<unsigned long long>(options.seed),
                static_cast<unsigned long long>(options.seed), outcome.report.c_str());
  }
  print(sum, arguments.seeds);
  bool good = failed == 0;
  if (!good) std::printf("%llu worlds failed\n", static_cast<unsigned long long>(failed));
  for (std::size_t i = 0; arguments.all_faults && i < kLineFaults; ++i) {
    if (sum.faults[i] != 0) continue;
    std::printf("fault %s never happened\n", kLineFaultNames[i].data());
    good = false;
  }
  return good ? 0 : 1;
}

}  // namespace
}  // namespace stratwire::sim

int main(int argc, char** argv) {
  stratwire::sim::Arguments arguments;
  CLI::App app{"Simulates servers, clients and everything that goes wrong between them."};
  const auto* const seeds =
      app.add_option("--seeds", arguments.seeds, "Worlds to run; 2000, or 1 with --trace");
  app.add_option("--seed", arguments.seed, "The first one's seed")->capture_default_str();
  app.add_flag("--trace", arguments.trace, "Print what happens");
  app.add_flag("--all-faults", arguments.all_faults, "Fail when a kind of fault never happened");
  app.add_flag("--lines", arguments.lines, "Worlds of several lines, merged by an Arbiter");
  app.add_option("--hours-min", arguments.hours_min, "Fail when less time was simulated");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (arguments.trace && seeds->count() == 0) arguments.seeds = 1;
  return arguments.lines ? stratwire::sim::run_lines(arguments) : stratwire::sim::run(arguments);
}
