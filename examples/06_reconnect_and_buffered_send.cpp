/// The server goes away and comes back: the client connects and subscribes again by itself, and
/// what was sent in between waits in its buffer.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include <stratwire/client.hpp>
#include <stratwire/server.hpp>

using namespace std::chrono_literals;

namespace {

stratwire::Server open_server(std::uint16_t port) {
  return stratwire::Server::open({.host = "127.0.0.1",
                                  .port = port,
                                  .network_publish = stratwire::NetworkPublish::allowed})
      .value();
}

void wait_for(stratwire::Client& client, stratwire::ClientState state) {
  while (client.state() != state) {
    [[maybe_unused]] const auto none = client.receive_for<stratwire::Event>(10ms);
  }
}

}  // namespace

int main() {
  std::optional<stratwire::Server> server{open_server(0)};
  const auto port = server->local_port();

  auto client = stratwire::Client::open({.url = "ws://" + server->local_addr()}).value();
  client.on<stratwire::StateEvent>([](const stratwire::StateEvent& event) noexcept {
    std::printf("%s, connection %llu\n", std::string{to_string(event.state)}.c_str(),
                static_cast<unsigned long long>(event.generation));
  });
  client.on<stratwire::Published>([](const stratwire::Published& published) noexcept {
    std::printf("message %llu: %s\n", static_cast<unsigned long long>(published.id),
                std::string{to_string(published.code)}.c_str());
  });
  client.subscribe({"trades:SOL-USDC"}).value();
  wait_for(client, stratwire::ClientState::live);

  server.reset();
  wait_for(client, stratwire::ClientState::backing_off);
  const stratwire::Event trade{.type = "Trade", .data = {.bytes = R"({"side":"buy"})"}};
  if (client.send("trades:SOL-USDC", trade, 1) != stratwire::SendStatus::ok) return EXIT_FAILURE;

  server.emplace(open_server(port));
  const auto received = client.receive_for<stratwire::Event>(10s);
  if (!received) return EXIT_FAILURE;
  std::printf("%s %s\n", std::string{received->type}.c_str(),
              std::string{received->data.bytes}.c_str());
}
