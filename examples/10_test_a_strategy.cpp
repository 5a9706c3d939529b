// A test of a strategy, three times: on a virtual clock, where hours pass in milliseconds; against
// a real server whose connections are cut; and against a peer that says what no good server says.
// Any test framework will do, or none: this one is a main() with checks.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include <stratwire/client.hpp>
#include <stratwire/testing/audit.hpp>
#include <stratwire/testing/scripted_peer.hpp>
#include <stratwire/testing/server.hpp>
#include <stratwire/testing/simulation.hpp>

using namespace std::chrono_literals;
namespace testing = stratwire::testing;

// ---- The strategy: a moving average of prices, which it trusts only while it lacks none.
class Average {
 public:
  void take(const stratwire::Delivery& delivery) noexcept {
    if (const auto* update = delivery.get_if<stratwire::PriceUpdate>()) {
      average_ = count_++ == 0 ? update->price : average_ + (update->price - average_) / 4;
    } else if (delivery.get_if<stratwire::Gap>() != nullptr) {
      count_ = 0;  // What came before says nothing about what comes next.
    } else if (const auto* state = delivery.get_if<stratwire::StateEvent>()) {
      live_ = state->state == stratwire::ClientState::live;
    }
  }
  [[nodiscard]] bool may_trade() const noexcept { return live_ && count_ >= 4; }
  [[nodiscard]] double value() const noexcept { return average_; }

 private:
  double average_ = 0;
  int count_ = 0;
  bool live_ = false;
};

// ---- The tests.
constexpr const char* kChannel = "prices:SOL-USDC";

void check(bool holds, const char* what) {
  std::printf("%s %s\n", holds ? "ok  " : "FAIL", what);
  if (!holds) std::exit(1);
}

stratwire::PriceUpdate price(double value) {
  return {.input_mint = "USDC", .output_mint = "SOL", .price = value, .volume = 1};
}

/// Everything in one thread, the same in every run.
void hours_of_trouble() {
  Average strategy;
  auto market =
      testing::Simulation::open([&](const stratwire::Delivery& d) { strategy.take(d); }).value();
  market.subscribe({kChannel}).value();
  check(market.advance_until_live(), "the client connects");
  for (int i = 0; i < 4; ++i) market.publish(kChannel, price(100));
  market.advance(1s);
  check(strategy.may_trade(), "four prices are enough to trade");

  market.cut();
  market.advance(1ms);
  check(!strategy.may_trade(), "no trade without a connection");
  market.publish(kChannel, price(108));
  check(market.advance_until_live() && strategy.may_trade(), "it trades again after the reconnect");
  check(std::abs(strategy.value() - 102) < 1e-9, "with the price that came meanwhile");

  // The server keeps what it published for two minutes, and the latest price for ever.
  market.outage(1h);
  market.publish(kChannel, price(50));
  market.publish(kChannel, price(51));
  market.advance(2h);
  check(market.advance_until_live() && !strategy.may_trade(), "after an hour it begins anew");
  check(market.verdict().empty(), "and whatever was missing was told of");
}

/// The real client with its threads, and a real server.
void cut_at_the_wrong_moment() {
  Average strategy;
  testing::Audit audit;
  auto server = testing::Server::open().value();
  auto client = stratwire::Client::open({.url = server.url()}).value();
  client.subscribe({kChannel}).value();
  // Not before it knows where the channel stands: a cut may take the server's answer with it.
  const auto is_live = [&] { return client.state() == stratwire::ClientState::live; };
  check(testing::eventually(is_live), "the client is live");
  for (int i = 0; i < 100; ++i) {
    server.publish(kChannel, price(100 + i));
    if (i % 25 == 24) server.cut();
  }
  const bool came = testing::eventually([&] {
    client.poll([&](const stratwire::Delivery& delivery) noexcept {
      audit.take(delivery);
      strategy.take(delivery);
    });
    return audit.oracle().handed() == 100 && strategy.may_trade();
  });
  check(came && audit.verdict(server.ledger()).empty(), "four cuts, a hundred prices, all of them");
}

/// A server that loses messages and says so.
void a_hole_in_the_feed() {
  Average strategy;
  testing::ScriptedPeer peer(stratwire::Codec::json);
  auto client = stratwire::Client::open({.url = peer.url()}).value();
  client.subscribe({kChannel}).value();
  const auto poll = [&] {
    client.poll([&](const stratwire::Delivery& delivery) noexcept { strategy.take(delivery); });
  };
  peer.while_waiting = poll;
  peer.greet_and_grant(7, 0);
  for (std::uint64_t seq = 1; seq <= 4; ++seq) peer.price(kChannel, seq, 100);
  check(testing::eventually([&] { return poll(), strategy.may_trade(); }), "it trades");
  peer.send(stratwire::Gap{7, 5, 9, stratwire::Gap::Reason::slow_consumer}, {kChannel});
  check(testing::eventually([&] { return poll(), !strategy.may_trade(); }),
        "until it lacks prices");
  peer.cut();
}

int main() {
  hours_of_trouble();
  cut_at_the_wrong_moment();
  a_hole_in_the_feed();
}
