/// Two strategies that hedge each other over a direct link: one buys, the other sells the same,
/// typed requests and replies, no server between.
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <stratwire/peer.hpp>

namespace {

using namespace std::chrono_literals;

struct Hedge {
  std::string side{};
  double size = 0;
};
STRATWIRE_DESCRIBE(Hedge, side, size)

struct Hedged {
  double size = 0;
  double price = 0;
};
STRATWIRE_DESCRIBE(Hedged, size, price)

struct Done {
  double exposure = 0;
};
STRATWIRE_DESCRIBE(Done, exposure)

/// Buys, and has each purchase hedged; what is not hedged stays as exposure.
int trade(stratwire::Peer peer) {
  double exposure = 0;
  int answers = 0;
  constexpr int kOrders = 5;
  // They wait in the peer's log until the hedger is there, and are answered in any order.
  for (int n = 1; n <= kOrders; ++n) {
    exposure += n;
    const auto asked = peer.request(
        Hedge{"sell", static_cast<double>(n)}, 10s,
        [&](const stratwire::PeerReply& reply, const stratwire::PeerDelivery& delivery) noexcept {
          ++answers;
          if (const auto hedged = reply.as<Hedged>()) {
            exposure -= hedged->size;
            std::printf("%s hedged %.0f at %.2f, exposure %.0f\n",
                        std::string{delivery.from.name}.c_str(), hedged->size, hedged->price,
                        exposure);
          } else {
            std::printf("not hedged: %s\n", std::string{to_string(reply.code)}.c_str());
          }
        });
    if (!asked) return EXIT_FAILURE;
  }
  // Nothing else is wanted: what comes goes to the handlers until all have answered.
  while (answers < kOrders) static_cast<void>(peer.receive_for<stratwire::PriceUpdate>(10ms));
  peer.send(Done{exposure});
  // Until the hedger, who has nothing more to do, has left.
  while (const auto event = peer.receive_for<stratwire::PeerStateEvent>(10s)) {
    if (event->state == stratwire::PeerState::listening) break;
  }
  return std::fabs(exposure) < 1e-9 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/// Sells what it is asked to, at the price of its own venue.
int hedge(stratwire::Peer peer) {
  peer.on_request([&](const stratwire::PeerRequest& request) noexcept {
    const auto order = request.as<Hedge>();
    if (!order || order->side != "sell") {
      peer.refuse(request.id, "this side only sells");
      return;
    }
    peer.reply(request.id, Hedged{order->size, 142.33});
  });
  const auto done = peer.receive_for<Done>(30s);
  peer.close();
  return done ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

int main() {
  const std::string url = "ws+unix:///tmp/stratwire-pair-" + std::to_string(getpid()) + ".sock";
  const pid_t child = fork();
  // Whoever is there first waits for the other; either may be started anew at any time.
  if (child == 0) {
    return hedge(stratwire::Peer::open({.dial = url, .name = "hedger"}).value());
  }
  const int code = trade(stratwire::Peer::open({.listen = url, .name = "trader"}).value());
  int status = 0;
  waitpid(child, &status, 0);
  return code != EXIT_SUCCESS || status != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
