// Two strategies with a direct link, and a proxy in between that cuts, resets, stalls and swallows:
// each side is handed what the other one sent, once and in order, and each request has one outcome.

#include <chrono>
#include <cstdint>
#include <iostream>
#include <map>
#include <memory>
#include <ostream>
#include <random>
#include <sched.h>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/peer.hpp>
#include <stratwire/testing/delivery_oracle.hpp>

#include "../support/seed.hpp"
#include "chaos.hpp"

namespace stratwire::test {
namespace {

using testing::DeliveryOracle;
using testing::PublishedLedger;

constexpr auto kPatience = 120s;
/// Of the ledger: a program that does not end has one epoch.
constexpr std::uint64_t kEpoch = 1;

PeerConfig peer_config(std::string name, Codec codec) {
  PeerConfig config;
  config.name = std::move(name);
  config.codec = codec;
  config.connect_timeout = 1s;
  config.ping_interval = 100ms;  // So soon is a black hole found out.
  config.reconnect.first_delay_max = 5ms;
  config.reconnect.delay_base = 2ms;
  config.reconnect.delay_max = 20ms;
  return config;
}

/// One side: sends, asks, answers, and judges what it is handed.
///
/// Every message carries a number of its own as its content, by which an answer is known, too.
class Side {
 public:
  Side(PeerConfig config, std::uint64_t seed)
      : name(config.name), peer(Peer::open(std::move(config)).value()), random_(seed) {
    oracle.start("peer", 0);
  }
  Side(const Side&) = delete;
  Side& operator=(const Side&) = delete;

  /// Most are messages, some are requests.
  void send_something() {
    const std::uint64_t content = ++contents_;
    if (random_() % 8 != 0) {
      if (peer.send(price(content)) == SendStatus::ok) ledger.append("peer", kEpoch, content);
      return;
    }
    const auto asked = peer.request(price(content), 0ms);
    if (!asked.ok()) return;
    ledger.append("peer", kEpoch, content);
    asked_[*asked] = content;
  }
  void poll() {
    peer.poll([this](const PeerDelivery& delivery) noexcept { take(delivery); });
    // Not from the handler: a log that is full has room again by and by.
    while (!owed_.empty()) {
      const auto& [to, content] = owed_.front();
      const SendStatus status = peer.reply(to, price(content));
      if (status == SendStatus::back_pressured) return;
      EXPECT_EQ(status, SendStatus::ok) << name;
      ledger.append("peer", kEpoch, content);
      owed_.erase(owed_.begin());
    }
  }
  /// It has all that the other side sent, and all of its own was answered.
  [[nodiscard]] bool is_through(const Side& other) const {
    return oracle.cursor("peer") == other.ledger.head("peer", kEpoch) && asked_.empty() &&
           owed_.empty();
  }
  void expect_clean(const Side& other) {
    oracle.finish(other.ledger);
    EXPECT_TRUE(oracle.clean()) << name << ": " << oracle.report();
    EXPECT_EQ(oracle.gaps(), 0u) << name << ": nothing grew too old";
    EXPECT_EQ(asked_.size(), 0u) << name;
  }

  const std::string name;
  Peer peer;
  PublishedLedger ledger{};  ///< What this side sent.
  DeliveryOracle oracle{};   ///< Of what it was handed.
  std::uint64_t links = 0;
  std::uint64_t answers = 0;

 private:
  static PriceUpdate price(std::uint64_t content) { return {"USDC", "SOL", 142.5, content, 99}; }
  static std::uint64_t content_of(const DataMessage& message) {
    const auto* const update = std::get_if<PriceUpdate>(&message);
    return update == nullptr ? 0 : update->volume;
  }

  void take(const PeerDelivery& delivery) noexcept {
    oracle.generation(delivery.from.generation);
    if (const auto* update = delivery.get_if<PriceUpdate>()) {
      oracle.handed("peer", kEpoch, delivery.seq, update->volume);
    } else if (const auto* request = delivery.get_if<PeerRequest>()) {
      const std::uint64_t content = content_of(request->message);
      oracle.handed("peer", kEpoch, delivery.seq, content);
      owed_.emplace_back(request->id, content);
    } else if (const auto* reply = delivery.get_if<PeerReply>()) {
      take_reply(delivery.seq, *reply);
    } else if (const auto* gap = delivery.get_if<Gap>()) {
      oracle.gap("peer", *gap);
    } else if (const auto* state = delivery.get_if<PeerStateEvent>()) {
      links += state->state == PeerState::linked ? 1U : 0U;
      EXPECT_NE(state->state, PeerState::failed) << state->cause.message();
    } else {
      ADD_FAILURE() << name << " was handed an error";
    }
  }
  void take_reply(std::uint64_t seq, const PeerReply& reply) {
    EXPECT_EQ(reply.code, Errc::ok) << name << ": neither program has ended";
    oracle.handed("peer", kEpoch, seq, content_of(reply.message));
    const auto asked = asked_.find(reply.id);
    ASSERT_NE(asked, asked_.end()) << name << ": answered twice, or never asked";
    EXPECT_EQ(asked->second, content_of(reply.message)) << name;
    asked_.erase(asked);
    ++answers;
  }

  std::mt19937_64 random_;
  std::uint64_t contents_ = 0;
  std::map<std::uint64_t, std::uint64_t> asked_{};  // Content by request.
  std::vector<std::pair<PeerRequestId, std::uint64_t>> owed_{};
};

struct Case {
  std::string name{};
  Codec codec = Codec::msgpack;

  friend void PrintTo(const Case& value, std::ostream* out) { *out << value.name; }
};

class Peers : public ::testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Chaos, Peers,
                         ::testing::Values(Case{"msgpack"}, Case{"json", Codec::json}),
                         [](const auto& each) { return each.param.name; });

TEST_P(Peers, LoseNothingAndHandNothingOverTwiceWhateverBreaks) {
  const std::uint64_t seed_of_all = seed();
  const auto disconnects = sized<std::uint64_t>(40, 1'000);
  PeerConfig listening = peer_config("alpha", GetParam().codec);
  listening.listen = "ws://127.0.0.1:0";
  Side alpha(listening, seed_of_all);
  testing::RandomFaults faults;
  faults.seed = seed_of_all;
  faults.offset_max = 32 * 1024;
  std::string address = alpha.peer.url().substr(std::string_view("ws://").size());
  address.resize(address.find('/'));
  const auto proxy = open_proxy({.target = address, .plan = testing::Plan{faults}});
  ASSERT_NE(proxy, nullptr);
  PeerConfig dialing = peer_config("beta", GetParam().codec);
  dialing.dial = proxy->url();
  Side beta(dialing, seed_of_all + 1);

  std::mt19937_64 random(seed_of_all + 2);
  const auto end = std::chrono::steady_clock::now() + (is_full() ? 20min : kPatience);
  const auto poll_both = [&] {
    alpha.poll();
    beta.poll();
    sched_yield();
    return std::chrono::steady_clock::now() < end;
  };
  while (proxy->stats().disconnects() < disconnects) {
    // In piles, so that a break finds some on their way in each direction.
    for (int i = 0; i < 20; ++i) {
      alpha.send_something();
      beta.send_something();
    }
    // What the plan leaves out: breaks by the bytes of the other direction.
    if (random() % 200 == 0) {
      const FaultKind kinds[] = {FaultKind::reset, FaultKind::black_hole, FaultKind::cut};
      proxy->apply({.direction = Direction::up, .kind = kinds[random() % 3]});
    }
    ASSERT_TRUE(poll_both()) << proxy->stats().disconnects() << " disconnects, "
                             << to_string(beta.peer.state()) << '\n'
                             << alpha.oracle.report() << beta.oracle.report();
    ASSERT_TRUE(alpha.oracle.clean() && beta.oracle.clean())
        << alpha.oracle.report() << beta.oracle.report();
  }
  proxy->set_plan({});
  proxy->apply({.kind = FaultKind::reset});
  while (!alpha.is_through(beta) || !beta.is_through(alpha)) {
    ASSERT_TRUE(poll_both()) << alpha.oracle.report() << beta.oracle.report();
  }
  std::cout << proxy->stats().disconnects() << " disconnects, " << beta.links << " links, "
            << alpha.oracle.handed() + beta.oracle.handed() << " handed over, "
            << alpha.answers + beta.answers << " answers\n";
  alpha.expect_clean(beta);
  beta.expect_clean(alpha);
  EXPECT_GT(alpha.answers + beta.answers, 0u);
  alpha.peer.close();
  beta.peer.close();
  const auto ended = [](const Side& side) { return side.peer.state() == PeerState::closed; };
  while (!ended(alpha) || !ended(beta)) ASSERT_TRUE(poll_both());
}

}  // namespace
}  // namespace stratwire::test
