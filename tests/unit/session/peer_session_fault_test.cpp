// Two PeerSessions through a pipe that breaks anywhere. How it works:
//  1. A round is a few hundred random steps: either side sends, asks, replies, writes some frames
//  or
//     reads some; time passes; the connection is cut, noticed by both or by one only; a new one is
//     begun (both say PeerHello) and finished some steps later, over the old one or without; either
//     program starts anew.
//  2. Everything that gets a number is written into a ledger, everything that is handed over is
//  told
//     to an oracle: duplicate, reorder, silent loss, untrue or overlapping Gaps, wrong contents.
//  3. In the end the connection heals, both send one more message, and all that is left flows: then
//     nothing may be lost without a Gap, nothing unacknowledged, and each Request has one outcome.
// The seed of a run is printed; STRATWIRE_SEED runs it again.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/session/peer_session.hpp>
#include <stratwire/testing/delivery_oracle.hpp>
#include <stratwire/testing/peer_halves.hpp>

#include "../../support/report.hpp"
#include "../../support/seed.hpp"

namespace stratwire::session {
namespace {

using std::chrono::milliseconds;
using testing::DeliveryOracle;
using testing::PeerHalf;
using testing::PeerPair;
using testing::PublishedLedger;

/// What the library numbers by itself: refusals, and replies after the deadline.
constexpr std::uint64_t kOwn = 0;

PriceUpdate price(std::uint64_t content) {
  return {"USDC", "SOL", 1.5, content, 99};
}

std::uint64_t content_of(const WsMessage& body) {
  const auto of_data = [](const DataMessage& message) {
    return std::get<PriceUpdate>(message).volume;
  };
  if (const auto* update = std::get_if<PriceUpdate>(&body)) return update->volume;
  if (const auto* request = std::get_if<Request>(&body)) return of_data(request->message);
  if (const auto* reply = std::get_if<Reply>(&body)) {
    return reply->code == Errc::ok ? of_data(reply->message) : kOwn;
  }
  ADD_FAILURE() << "something without a number was numbered";
  return kOwn;
}

/// One half with what is known of it.
struct Witness {
  explicit Witness(PeerHalf& watched) : half(watched) {}

  PeerHalf& half;
  std::uint64_t epoch = 0;
  PublishedLedger sent{};   // By this half.
  DeliveryOracle handed{};  // To this half.
  std::vector<PeerRequestId> heard{};
  std::map<std::uint64_t, int> outcomes{};  // Of the Requests of this half.
};

class Round {
 public:
  Round(std::uint64_t seed, const PeerSessionConfig& config)
      : random_(seed), pair_(config, config), a_(pair_.a), b_(pair_.b) {
    a_.epoch = 1'000'000;
    b_.epoch = 2'000'000;
    for (Witness* witness : {&a_, &b_}) {
      watch(*witness);
      witness->handed.start(kPeerChannel, 0);
    }
  }

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      step();
      note_own(a_);
      note_own(b_);
    }
    heal();
    a_.handed.finish(b_.sent);
    b_.handed.finish(a_.sent);
    for (Witness* witness : {&a_, &b_}) check(*witness);
  }

  std::uint64_t links() const { return links_; }
  std::uint64_t gaps() const { return a_.handed.gaps() + b_.handed.gaps(); }
  std::uint64_t handed() const { return a_.handed.handed() + b_.handed.handed(); }
  std::uint64_t restarts() const { return restarts_; }
  std::uint64_t replaced() const { return replaced_; }

 private:
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  Witness& either() { return below(2) == 0 ? a_ : b_; }

  void watch(Witness& witness) {
    witness.half.on_handed = [this, &witness](const PeerIdentity& from, std::uint64_t seq,
                                              const WsMessage& body) {
      witness.handed.generation(from.generation);
      if (const auto* gap = std::get_if<Gap>(&body)) {
        witness.handed.gap(kPeerChannel, *gap);
        return;
      }
      witness.handed.handed(kPeerChannel, from.epoch, seq, content_of(body));
      if (const auto* reply = std::get_if<Reply>(&body)) ++witness.outcomes[reply->id];
    };
    witness.half.on_swallowed = [&witness](const PeerIdentity& from, std::uint64_t seq,
                                           const WsMessage& body) {
      witness.handed.handed(kPeerChannel, from.epoch, seq, content_of(body));
    };
    witness.half.on_event = [&witness](const PeerIdentity& from) {
      witness.handed.generation(from.generation);
    };
    witness.half.on_request = [&witness](const Request&, PeerRequestId id) {
      witness.heard.push_back(id);
    };
  }

  void step() {
    const std::uint64_t dice = below(100);
    if (dice < 30) return send(either());
    if (dice < 36) return ask(either());
    if (dice < 42) return reply(either());
    if (dice < 60) return either().half.write(pair_.now, below(6));
    if (dice < 80) return read();
    if (dice < 90) return pass(milliseconds{below(40)});
    if (dice < 94) return cut();
    if (dice < 97) return begin_connection();
    if (dice < 99) return finish_connection();
    if (below(4) == 0) restart(either());
  }

  void send(Witness& witness) {
    const std::uint64_t content = ++contents_;
    if (witness.half.session->send(pair_.now, price(content)) == SendStatus::ok) {
      note(witness, content);
    }
  }
  void ask(Witness& witness) {
    const std::uint64_t content = ++contents_;
    const milliseconds timeout{below(3) == 0 ? 0 : below(200)};
    const auto asked = witness.half.session->request(pair_.now, price(content), timeout);
    if (!asked.ok()) return;
    note(witness, content);
    witness.outcomes.try_emplace(*asked, 0);
  }
  void reply(Witness& witness) {
    if (witness.heard.empty()) return;
    const std::size_t at = below(witness.heard.size());
    const PeerRequestId id = witness.heard[at];
    const std::uint64_t content = ++contents_;
    if (below(4) == 0) {
      witness.half.session->refuse(pair_.now, id, "not now");
    } else {
      const SendStatus status = witness.half.session->reply(pair_.now, id, price(content));
      if (status == SendStatus::ok) note(witness, content);
      if (status == SendStatus::back_pressured) return;
    }
    witness.heard.erase(witness.heard.begin() + static_cast<std::ptrdiff_t>(at));
  }
  void note(Witness& witness, std::uint64_t content) {
    EXPECT_EQ(witness.sent.append(kPeerChannel, witness.epoch, content),
              witness.half.session->log().head());
  }
  void note_own(Witness& witness) {
    while (witness.sent.head(kPeerChannel, witness.epoch) < witness.half.session->log().head()) {
      witness.sent.append(kPeerChannel, witness.epoch, kOwn);
    }
  }

  void read() {
    const bool to_b = below(2) == 0;
    pair_.deliver(to_b ? pair_.a : pair_.b, to_b ? pair_.b : pair_.a, below(6));
  }
  void pass(Duration time) {
    pair_.pass(time);
    // A timeout of the try drops what was begun.
    if (!pair_.b.wants_connect && begun_ && !pair_.b.up) begun_.reset();
  }

  void cut() {
    // Both notice, or one does so long before the other.
    const std::uint64_t who = below(3);
    if (who != 0 && pair_.a.up) pair_.lose(pair_.a);
    if (who != 1 && pair_.b.up) pair_.lose(pair_.b);
  }
  /// A connection is up, and both say PeerHello, as of now.
  void begin_connection() {
    if (pair_.b.session->state() != PeerState::connecting) return;
    begun_ = {pair_.a.session->hello(), pair_.b.session->hello()};
  }
  /// They hear each other's; what happened since is for the sessions to sort out.
  void finish_connection() {
    if (!begun_ || pair_.b.session->state() != PeerState::connecting) return;
    const auto [from_a, from_b] = *std::exchange(begun_, std::nullopt);
    const std::uint64_t number = ++pair_.connections;
    if (pair_.a.up) ++replaced_;
    meet(pair_.a, number, from_b);
    meet(pair_.b, number, from_a);
    ++links_;
  }
  void meet(PeerHalf& half, std::uint64_t number, const PeerHello& hello) {
    half.out.clear();
    half.wants_connect = false;
    half.up = half.session->meet(pair_.now, number, hello).answer == PeerMeeting::Answer::linked;
    EXPECT_TRUE(half.up);
    half.settle(pair_.now);
  }

  void restart(Witness& witness) {
    ++restarts_;
    EXPECT_TRUE(witness.handed.clean()) << witness.handed.report();
    PeerHalf& other = &witness == &a_ ? pair_.b : pair_.a;
    begun_.reset();
    witness.epoch += 1'000;
    witness.heard.clear();
    witness.outcomes.clear();
    witness.handed = DeliveryOracle{};
    witness.handed.start(kPeerChannel, 0);
    witness.half.restart(witness.epoch, pair_.now);
    // A dialler knows at once; a listener may find out by the new connection only.
    if (other.up && (&other == &pair_.b || below(2) == 0)) pair_.lose(other);
  }

  void heal() {
    if (pair_.a.up) pair_.lose(pair_.a);
    if (pair_.b.up) pair_.lose(pair_.b);
    begun_.reset();
    // Room for one more, if there was none; then everything, and the deadlines of all Requests.
    settle();
    send(a_);
    send(b_);
    for (int i = 0; i < 20; ++i) settle();
  }
  void settle() {
    // One side may have ended it once more: too many Requests, and no room to refuse them.
    if (!pair_.a.up || !pair_.b.up) {
      if (pair_.a.up) pair_.lose(pair_.a);
      if (pair_.b.up) pair_.lose(pair_.b);
      while (pair_.b.session->state() == PeerState::backing_off) pair_.pass(milliseconds{50});
      note_own(a_);
      note_own(b_);
      begin_connection();
      finish_connection();
    }
    pair_.flow();
    pair_.pass(milliseconds{50});
    note_own(a_);
    note_own(b_);
    pair_.flow();
  }

  void check(Witness& witness) {
    EXPECT_TRUE(witness.handed.clean()) << witness.handed.report();
    EXPECT_EQ(witness.half.session->log().size(), 0u) << "something is not acknowledged";
    witness.half.session->close(pair_.now);
    witness.half.session->lost(pair_.now, {});
    while (witness.half.session->has_events()) {
      const auto event = witness.half.session->next_event();
      if (const auto* reply = std::get_if<Reply>(&event.what)) ++witness.outcomes[reply->id];
    }
    for (const std::string& line : witness.half.take_log()) {
      if (line.starts_with("no reply ")) ++witness.outcomes[std::stoull(line.substr(9))];
    }
    for (const auto& [id, outcomes] : witness.outcomes) {
      EXPECT_EQ(outcomes, 1) << "of Request " << id;
    }
  }

  std::mt19937_64 random_;
  PeerPair pair_;
  Witness a_;
  Witness b_;
  std::optional<std::pair<PeerHello, PeerHello>> begun_{};
  std::uint64_t contents_ = kOwn;
  std::uint64_t links_ = 0;
  std::uint64_t restarts_ = 0;
  std::uint64_t replaced_ = 0;
};

struct Totals {
  std::uint64_t links = 0;
  std::uint64_t handed = 0;
  std::uint64_t gaps = 0;
  std::uint64_t restarts = 0;
  std::uint64_t replaced = 0;
};

Totals run_rounds(const PeerSessionConfig& config, int rounds) {
  const std::uint64_t seed = test::seed();
  Totals totals;
  for (int i = 0; i < rounds && !::testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE("round " + std::to_string(i));
    Round round(seed + static_cast<std::uint64_t>(i), config);
    round.run(600);
    totals.links += round.links();
    totals.handed += round.handed();
    totals.gaps += round.gaps();
    totals.restarts += round.restarts();
    totals.replaced += round.replaced();
  }
  return totals;
}

TEST(PeerSessionFault, NothingIsLostInSilenceWithLargeLogs) {
  const Totals totals = run_rounds({}, 2000);
  // The rounds must have been what they are meant to be.
  EXPECT_GT(totals.links, 2000u);
  EXPECT_GT(totals.handed, 10'000u);
  EXPECT_GT(totals.restarts, 50u);
  EXPECT_GT(totals.replaced, 20u);
}

TEST(PeerSessionFault, NothingIsLostInSilenceWithSmallLogsThatForget) {
  PeerSessionConfig config;
  config.codec = Codec::msgpack;
  config.log = {.messages_max = 12, .bytes_max = 1000, .age_max = milliseconds{300}};
  config.requests_max = 4;
  config.ack_every = 3;
  const Totals totals = run_rounds(config, 2000);
  EXPECT_GT(totals.gaps, 300u);
}

}  // namespace
}  // namespace stratwire::session
