/// A struct of one's own as a message, by naming its members once: sent and received, typed.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

#include <stratwire/client.hpp>
#include <stratwire/describe.hpp>
#include <stratwire/server.hpp>

namespace {

struct Fill {
  std::string order{};
  double price = 0;
  std::uint64_t size = 0;
};
STRATWIRE_DESCRIBE(Fill, order, price, size)

}  // namespace

int main() {
  auto server = stratwire::Server::open({.host = "127.0.0.1", .port = 0}).value();
  auto fills = server.publisher("fills:SOL-USDC");

  auto client = stratwire::Client::open({.url = "ws://" + server.local_addr()}).value();
  client.subscribe({"fills:SOL-USDC"}).value();
  // Published once the subscription stands, so that the one fill finds its reader.
  client.on<stratwire::Subscribed>([&](const stratwire::Subscribed&) noexcept {
    fills.publish(Fill{"A-1", 142.33, 12});
  });

  const auto fill = client.receive_for<Fill>(std::chrono::seconds{10});
  if (!fill) return EXIT_FAILURE;
  std::printf("%s: %llu at %.2f\n", fill->order.c_str(),
              static_cast<unsigned long long>(fill->size), fill->price);
}
