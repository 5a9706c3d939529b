/// Two venues into one loop on one thread: who has the best price?
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <stratwire/client.hpp>
#include <stratwire/server.hpp>

namespace {

struct Venue {
  stratwire::Server server = stratwire::Server::open({.host = "127.0.0.1", .port = 0}).value();
  stratwire::Publisher prices = server.publisher("prices:SOL-USDC");
  stratwire::Client client = stratwire::Client::open({.url = "ws://" + server.local_addr(),
                                                      .codec = stratwire::Codec::msgpack,
                                                      .threading = stratwire::Threading::caller})
                                 .value();
  double price = 0;

  void poll() {
    client.poll([this](const stratwire::Delivery& delivery) noexcept {
      if (const auto* update = delivery.get_if<stratwire::PriceUpdate>()) price = update->price;
    });
  }
};

stratwire::PriceUpdate at(double price) {
  return {.input_mint = "USDC", .output_mint = "SOL", .price = price};
}

}  // namespace

int main() {
  std::array<Venue, 2> venues{};
  for (auto& venue : venues) venue.client.subscribe({"prices:SOL-USDC"}).value();
  // Who subscribes later gets what is published later: both first, then the prices.
  for (auto& venue : venues) {
    while (venue.client.state() != stratwire::ClientState::live) venue.poll();
  }
  venues[0].prices.publish(at(142.33));
  venues[1].prices.publish(at(142.29));

  while (venues[0].price == 0 || venues[1].price == 0) {
    for (auto& venue : venues) venue.poll();
  }
  const auto best = venues[0].price < venues[1].price ? 0 : 1;
  std::printf("buy on venue %d at %.2f\n", best, venues[static_cast<std::size_t>(best)].price);
  return best == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
