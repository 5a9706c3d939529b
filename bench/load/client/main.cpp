/// The load generator of `bench/load`: one thread, one JSON object at the end (bench/README.md).
#include <cstdio>
#include <sched.h>
#include <string>

#include "generator.hpp"

namespace stratwire::bench {
namespace {

void pin(int cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  sched_setaffinity(0, sizeof set, &set);
}

unsigned long long whole(std::uint64_t value) {
  return value;
}

void print_latency(const Histogram& latency) {
  std::printf(
      ", \"latency_ns\": {\"count\": %llu, \"mean\": %.1f, \"p50\": %llu, \"p90\": %llu, "
      "\"p99\": %llu, \"p99.9\": %llu, \"max\": %llu, \"buckets\": [",
      whole(latency.count()), latency.mean(), whole(latency.at(50)), whole(latency.at(90)),
      whole(latency.at(99)), whole(latency.at(99.9)), whole(latency.max()));
  const char* between = "";
  latency.each([&](std::uint64_t upper, std::uint64_t count) {
    std::printf("%s[%llu,%llu]", between, whole(upper), whole(count));
    between = ",";
  });
  std::printf("]}");
}

void print(const Report& r) {
  std::printf(
      "{\"upgrade_s\": %.4f, \"subscribe_s\": %.4f, \"window_s\": %.4f, "
      "\"deliveries\": %llu, \"deliveries_per_s\": %.1f, \"payload_bytes\": %llu, ",
      r.upgrade_s, r.subscribe_s, r.window_s, whole(r.window.messages),
      r.window_s > 0 ? static_cast<double>(r.window.messages) / r.window_s : 0,
      whole(r.window.bytes));
  std::printf(
      "\"recv_calls\": %llu, \"busy_share\": %.4f, \"cpu_share\": %.4f, "
      "\"server_cpu_s\": %.6f, \"memory_before\": %llu, \"memory_after\": %llu, ",
      whole(r.recv_calls), r.busy_share, r.cpu_share, r.server_cpu_s, whole(r.memory_before),
      whole(r.memory_after));
  std::printf(
      "\"messages\": %llu, \"lost\": %llu, \"gaps\": %llu, \"told\": %llu, \"disordered\": %llu, "
      "\"not_ours\": %llu, \"disconnected\": %llu, \"starved\": %llu",
      whole(r.all.messages), whole(r.all.lost), whole(r.all.gaps), whole(r.all.told),
      whole(r.all.disordered), whole(r.all.not_ours), whole(r.disconnected), whole(r.starved));
  if (r.latency.count() != 0) print_latency(r.latency);
  std::printf("}\n");
}

int main_of(int argc, char** argv) {
  const Options options = Options::parse(argc, argv);
  pin(options.cpu);
  Generator generator{options};
  generator.connect_all();
  switch (options.mode) {
    case Mode::fan_out:
      generator.subscribe_all();
      generator.measure();
      break;
    case Mode::idle:
      generator.subscribe_all();
      generator.measure_idle();
      break;
    case Mode::round_trip:
      generator.subscribe_all();
      generator.measure_round_trips();
      break;
  }
  print(generator.report());
  return 0;
}

}  // namespace
}  // namespace stratwire::bench

int main(int argc, char** argv) {
  return stratwire::bench::main_of(argc, argv);
}
