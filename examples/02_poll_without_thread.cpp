/// No thread but the strategy's own: poll() reads the socket. The fewest hops there are; nothing
/// happens while nobody polls. Argument: the server's URL.
#include <cstdio>

#include <stratwire/client.hpp>

int main(int argc, char** argv) {
  const auto* url = argc > 1 ? argv[1] : "ws://127.0.0.1:8080";
  auto client = stratwire::Client::open({.url = url,
                                         .codec = stratwire::Codec::msgpack,
                                         .threading = stratwire::Threading::caller,
                                         .waiting = stratwire::Waiting::spin})
                    .value();
  client.subscribe({"prices:*"}).value();

  unsigned messages = 0;
  while (messages < 1'000 && client.state() != stratwire::ClientState::failed) {
    // A real strategy does its other work between two calls.
    client.poll([&](const stratwire::Delivery& delivery) noexcept {
      if (const auto* state = delivery.get_if<stratwire::StateEvent>()) {
        std::printf("%s\n", std::string{to_string(state->state)}.c_str());
      }
      if (delivery.get_if<stratwire::PriceUpdate>() != nullptr) ++messages;
    });
  }
  std::printf("%u prices on this thread\n", messages);
}
