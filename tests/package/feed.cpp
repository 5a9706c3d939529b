// A user of both ends: a server on any free port, a client, one price from the one to the other,
// and an arbiter.
#include <chrono>
#include <cstdio>

#include <stratwire/arbiter.hpp>
#include <stratwire/client.hpp>
#include <stratwire/server.hpp>

int main() {
  using namespace std::chrono_literals;
  auto server = stratwire::Server::open({.port = 0}).value();
  auto prices = server.publisher("prices:SOL-USDC");

  auto client = stratwire::Client::open({.url = "ws://" + server.local_addr()}).value();
  client.subscribe({"prices:SOL-USDC"}).value();
  if (!client.receive_for<stratwire::Subscribed>(10s)) {
    std::fprintf(stderr, "not subscribed: %s\n", client.error().message().c_str());
    return 1;
  }

  const auto status = prices.publish(stratwire::PriceUpdate{
      .input_mint = "USDC", .output_mint = "SOL", .price = 142.33, .volume = 12, .timestamp = 5});
  const auto update = client.receive_for<stratwire::PriceUpdate>(10s);
  if (status != stratwire::PublishStatus::ok || !update || update->price != 142.33 ||
      update->output_mint != "SOL" || update.seq() != 1) {
    std::fputs("the price did not come through\n", stderr);
    return 1;
  }

  stratwire::ArbiterConfig lines;
  lines.lines.resize(1);
  lines.lines[0].url = "ws://" + server.local_addr();
  auto arbiter = stratwire::Arbiter::open(lines).value();
  arbiter.subscribe({"prices:SOL-USDC"}).value();
  if (!arbiter.receive_for<stratwire::Subscribed>(10s)) {
    std::fprintf(stderr, "not subscribed: %s\n", arbiter.error(0).message().c_str());
    return 1;
  }
  std::puts("feed: ok");
}
