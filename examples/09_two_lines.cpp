/// The same feed from two servers: one dies, and the strategy does not notice.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include <stratwire/arbiter.hpp>
#include <stratwire/server.hpp>

namespace {

/// Two servers that publish the same messages in the same order number them alike: one epoch.
stratwire::Server open_server() {
  return stratwire::Server::open({.host = "127.0.0.1", .port = 0, .epoch = 20'261'121}).value();
}

stratwire::PriceUpdate at(double price) {
  return {.input_mint = "USDC", .output_mint = "SOL", .price = price};
}

}  // namespace

int main() {
  std::optional<stratwire::Server> east = open_server();
  stratwire::Server west = open_server();

  stratwire::ArbiterConfig config;
  config.lines.push_back({.url = "ws://" + east->local_addr(), .name = "east"});
  config.lines.push_back({.url = "ws://" + west.local_addr(), .name = "west"});
  auto feed = stratwire::Arbiter::open(config).value();

  std::uint64_t gaps = 0;
  feed.on<stratwire::Gap>([&](const stratwire::Gap&) noexcept { ++gaps; });
  feed.subscribe({"prices:SOL-USDC"}).value();
  for (int answers = 0; answers < 2; ++answers) {
    if (!feed.receive<stratwire::Subscribed>()) return EXIT_FAILURE;
  }

  for (int i = 1; i <= 100; ++i) {
    if (i == 50) east.reset();
    if (east) east->publish("prices:SOL-USDC", at(100 + i));
    west.publish("prices:SOL-USDC", at(100 + i));
  }
  std::uint64_t seq = 0;
  while (seq < 100) {
    const auto update = feed.receive<stratwire::PriceUpdate>();
    if (!update || update.seq() != seq + 1 || update->price != 101.0 + static_cast<double>(seq)) {
      return EXIT_FAILURE;
    }
    seq = update.seq();
  }
  for (const auto& line : feed.statistics().lines) {
    std::printf("%s: first with %llu of %llu messages\n", line.name.c_str(),
                static_cast<unsigned long long>(line.wins),
                static_cast<unsigned long long>(line.copies));
  }
  return gaps == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
