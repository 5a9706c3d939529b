/// A producer without a second thread: it publishes what its feed brings, then polls, which serves
/// the sockets. The fewest hops there are. (The subscriber here is in the same loop, for show.)
#include <cstdio>
#include <cstdlib>

#include <stratwire/client.hpp>
#include <stratwire/server.hpp>

int main() {
  constexpr unsigned kPrices = 1'000;
  constexpr unsigned kBurst = 8;  // What a turn of the feed brings at once.
  auto server = stratwire::Server::open(
                    {.host = "127.0.0.1", .port = 0, .threading = stratwire::Threading::caller})
                    .value();
  auto prices = server.publisher("prices:SOL-USDC");
  auto client = stratwire::Client::open({.url = "ws://" + server.local_addr(),
                                         .codec = stratwire::Codec::msgpack,
                                         .threading = stratwire::Threading::caller})
                    .value();
  client.subscribe({"prices:SOL-USDC"}).value();

  unsigned published = 0;
  unsigned received = 0;
  while (received < kPrices) {
    const bool subscribed = server.stats().subscribers == 1;
    for (unsigned i = 0; subscribed && i < kBurst && published < kPrices; ++i) {
      prices.publish(stratwire::PriceUpdate{
          .input_mint = "USDC", .output_mint = "SOL", .price = 142.33 + 0.01 * ++published});
    }
    server.poll();
    client.poll([&](const stratwire::Delivery& delivery) noexcept {
      if (delivery.get_if<stratwire::PriceUpdate>() != nullptr) ++received;
    });
  }
  std::printf("%u prices, from producer to subscriber, on one thread\n", received);
  return server.stats().gaps == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
