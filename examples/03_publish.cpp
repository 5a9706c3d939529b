/// A producer in few lines: a server that publishes a price each 10 ms. Argument: the port.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include <stratwire/server.hpp>

int main(int argc, char** argv) {
  const auto port = static_cast<std::uint16_t>(argc > 1 ? std::atoi(argv[1]) : 8080);
  auto server = stratwire::Server::open({.host = "127.0.0.1", .port = port}).value();
  auto prices = server.publisher("prices:SOL-USDC");
  std::printf("ws://%s\n", server.local_addr().c_str());
  std::fflush(stdout);
  for (double price = 142.33;; price += 0.01) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    prices.publish(stratwire::PriceUpdate{.input_mint = "USDC",
                                          .output_mint = "SOL",
                                          .price = price,
                                          .volume = 12,
                                          .timestamp = std::chrono::nanoseconds{now}.count()});
    std::this_thread::sleep_for(std::chrono::milliseconds{10});
  }
}
