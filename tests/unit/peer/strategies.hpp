/// Two strategies on one thread, each with a Peer, and what they are handed, a line each.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <sched.h>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/peer.hpp>
#include <stratwire/testing/scripted_peer.hpp>

#include "../../support/report.hpp"

namespace stratwire::testing {

inline std::string socket_url() {
  static std::atomic<int> count{0};
  return "ws+unix://" + ::testing::TempDir() + "stratwire-link-" + std::to_string(::getpid()) +
         '-' + std::to_string(++count) + ".sock";
}

inline PriceUpdate price(std::uint64_t n) {
  return {"USDC", "SOL", 142.5, n, 99};
}

/// "1 price 7", "gap 2-4 retention", "linked beta #1", "3 request 8" ...
inline std::string line(const PeerDelivery& delivery) {
  const std::string seq = std::to_string(delivery.seq) + ' ';
  if (const auto* update = delivery.get_if<PriceUpdate>()) {
    return seq + "price " + std::to_string(update->volume);
  }
  if (const auto* account = delivery.get_if<AccountUpdate>()) {
    return seq + "account " + std::string{account->pubkey};
  }
  if (const auto* event = delivery.get_if<Event>()) {
    return seq + std::string{event->type} + ' ' + std::string{event->data.bytes};
  }
  if (const auto* gap = delivery.get_if<Gap>()) {
    return "gap " + std::to_string(gap->from) + '-' + std::to_string(gap->to) + ' ' +
           std::string{to_string(gap->reason)};
  }
  if (const auto* state = delivery.get_if<PeerStateEvent>()) {
    std::string text{to_string(state->state)};
    if (state->state == PeerState::linked) {
      text +=
          ' ' + std::string{delivery.from.name} + " #" + std::to_string(delivery.from.generation);
    }
    if (state->cause.code != Errc::ok) text += ' ' + std::string{to_string(state->cause.code)};
    return text;
  }
  if (delivery.get_if<PeerRequest>() != nullptr) return seq + "request";
  if (const auto* reply = delivery.get_if<PeerReply>()) {
    return "reply " + std::string{to_string(reply->code)};
  }
  return "error";
}

/// A Peer that writes down what it is handed.
///
/// \thread one thread at a time
class Strategy {
 public:
  explicit Strategy(PeerConfig config) : peer(Peer::open(std::move(config)).value()) {}

  Peer peer;
  std::vector<std::string> lines{};

  void poll() {
    peer.poll([this](const PeerDelivery& delivery) noexcept { lines.push_back(line(delivery)); });
  }
  [[nodiscard]] bool has(const std::string& wanted) const {
    return std::find(lines.begin(), lines.end(), wanted) != lines.end();
  }
};

/// Lets all of them take turns until `done` says true or kPatience is over.
template <class Done, class... Polled>
[[nodiscard]] bool until(Done&& done, Polled&... polled) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    (polled.poll(), ...);
    sched_yield();
  }
  return true;
}

/// Ends both, so that no destructor waits for one that nobody polls any more.
inline void close(Strategy& a, Strategy& b) {
  a.peer.close();
  b.peer.close();
  const auto ended = [](const Strategy& strategy) {
    return strategy.peer.state() == PeerState::closed || strategy.peer.state() == PeerState::failed;
  };
  EXPECT_TRUE(until([&] { return ended(a) && ended(b); }, a, b));
}

}  // namespace stratwire::testing
