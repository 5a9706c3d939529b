/// A strategy in ten lines: typed prices of one instrument, in order. Argument: the server's URL.
#include <cstdio>

#include <stratwire/client.hpp>

int main(int argc, char** argv) {
  const auto* url = argc > 1 ? argv[1] : "ws://127.0.0.1:8080";
  auto client = stratwire::Client::open({.url = url, .codec = stratwire::Codec::msgpack}).value();
  client.subscribe({"prices:SOL-USDC"}).value();
  while (auto update = client.receive<stratwire::PriceUpdate>()) {
    std::printf("%llu %.6g\n", static_cast<unsigned long long>(update.seq()), update->price);
  }
  std::printf("%s\n", client.error().message().c_str());
}
