// A user of peers: two of them in one program, one request from the one to the other.
#include <chrono>
#include <cstdio>

#include <stratwire/peer.hpp>

int main() {
  using namespace std::chrono_literals;
  auto alpha = stratwire::Peer::open({.listen = "ws://127.0.0.1:0", .name = "alpha"}).value();
  auto beta = stratwire::Peer::open({.dial = alpha.url(), .name = "beta"}).value();
  alpha.on_request([&](const stratwire::PeerRequest& request) noexcept {
    alpha.reply(request.id, stratwire::Event{"Done", {}});
  });

  bool done = false;
  const auto asked = beta.request(stratwire::Event{"Hedge", {}}, 10s,
                                  [&](const stratwire::PeerReply& reply) noexcept {
                                    done = reply.as<stratwire::Event>().has_value();
                                  });
  while (asked && beta.metrics().requests_open != 0) {
    alpha.poll();
    beta.poll();
  }
  beta.close();
  alpha.close();
  while (alpha.state() != stratwire::PeerState::closed ||
         beta.state() != stratwire::PeerState::closed) {
    alpha.poll();
    beta.poll();
  }
  std::puts(done ? "pair: ok" : "the request was not answered");
  return done ? 0 : 1;
}
