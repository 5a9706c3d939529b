// What two strategies that are linked say to each other.

#include <string>
#include <string_view>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strategies.hpp"

namespace stratwire {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using testing::price;
using testing::Strategy;
using testing::until;

struct Order {
  std::string side;
  std::uint64_t size = 0;
};
STRATWIRE_DESCRIBE(Order, side, size)

struct Fill {
  double price = 0;
};
STRATWIRE_DESCRIBE(Fill, price)

enum class Family { tcp, unix_socket };
struct Wire {
  Codec codec;
  Family family;
};

struct PeerTest : ::testing::TestWithParam<Wire> {
  static std::string address() {
    return GetParam().family == Family::tcp ? "ws://127.0.0.1:0" : testing::socket_url();
  }
  Strategy a{{.listen = address(), .name = "alpha", .codec = GetParam().codec}};
  Strategy b{{.dial = a.peer.url(), .name = "beta", .codec = GetParam().codec}};

  void TearDown() override { testing::close(a, b); }
  void link() {
    ASSERT_TRUE(until([&] { return a.has("linked beta #1") && b.has("linked alpha #1"); }, a, b));
    a.lines.clear();
    b.lines.clear();
  }
};

INSTANTIATE_TEST_SUITE_P(Wires, PeerTest,
                         ::testing::Values(Wire{Codec::json, Family::tcp},
                                           Wire{Codec::msgpack, Family::tcp},
                                           Wire{Codec::json, Family::unix_socket},
                                           Wire{Codec::msgpack, Family::unix_socket}),
                         [](const auto& wire) {
                           return std::string(wire.param.codec == Codec::json ? "Json"
                                                                              : "Msgpack") +
                                  (wire.param.family == Family::tcp ? "Tcp" : "Unix");
                         });

TEST_P(PeerTest, EverythingGoesBothWays) {
  link();
  EXPECT_EQ(a.peer.send(price(1)), SendStatus::ok);
  EXPECT_EQ(a.peer.send(AccountUpdate{"key", 1, 2, 3}), SendStatus::ok);
  EXPECT_EQ(b.peer.send(Event{"Note", {Codec::json, "[1]"}}), SendStatus::ok);
  ASSERT_TRUE(until([&] { return a.lines.size() == 1 && b.lines.size() == 2; }, a, b));
  EXPECT_THAT(b.lines, ElementsAre("1 price 1", "2 account key"));
  EXPECT_EQ(a.lines.front().substr(0, 6), "1 Note");
}

TEST_P(PeerTest, DescribedStructsAreSentAndReceived) {
  link();
  EXPECT_EQ(a.peer.send(Order{"buy", 7}), SendStatus::ok);
  FromPeer<Order> order;
  ASSERT_TRUE(until(
      [&] {
        order = b.peer.try_receive<Order>();
        return static_cast<bool>(order);
      },
      a));
  EXPECT_EQ(order->side, "buy");
  EXPECT_EQ(order->size, 7u);
  EXPECT_EQ(order.from().name, "alpha");
  EXPECT_EQ(order.from().generation, 1u);
  EXPECT_EQ(order.seq(), 1u);
  EXPECT_GT(order.received_at(), 0);
}

TEST_P(PeerTest, ARequestIsAnsweredByItsHandler) {
  link();
  b.peer.on_request([&](const PeerRequest& request) noexcept {
    const auto order = request.as<Order>();
    EXPECT_TRUE(order && order->size == 3);
    EXPECT_FALSE(request.as<Fill>().has_value());
    EXPECT_EQ(request.deadline, seconds{5});
    EXPECT_EQ(b.peer.reply(request.id, Fill{142.25}), SendStatus::ok);
  });
  double filled = 0;
  const auto asked =
      a.peer.request(Order{"sell", 3}, seconds{5}, [&](const PeerReply& reply) noexcept {
        if (const auto fill = reply.as<Fill>()) filled = fill->price;
      });
  ASSERT_TRUE(asked.ok());
  EXPECT_EQ(a.peer.metrics().requests_open, 1u);
  ASSERT_TRUE(until(
      [&] {
        b.peer.poll();
        return filled != 0;
      },
      a));
  EXPECT_EQ(filled, 142.25);
  EXPECT_THAT(a.lines, ElementsAre()) << "the reply went to its handler only";
  EXPECT_EQ(a.peer.metrics().requests_open, 0u);
}

TEST_P(PeerTest, WhoAsksAndWhoAnswersIsTold) {
  link();
  const PeerIdentity beta = a.peer.other();
  const PeerIdentity alpha = b.peer.other();
  EXPECT_NE(alpha.epoch, 0u);
  PeerIdentity asker;
  b.peer.on_request([&](const PeerRequest& request, const PeerDelivery& delivery) noexcept {
    asker = delivery.from;
    EXPECT_EQ(b.peer.reply(request.id, Fill{1}), SendStatus::ok);
  });
  PeerIdentity answerer;
  std::uint64_t seq = 0;
  ASSERT_TRUE(a.peer
                  .request(Order{"sell", 3}, seconds{5},
                           [&](const PeerReply&, const PeerDelivery& delivery) noexcept {
                             answerer = delivery.from;
                             seq = delivery.seq;
                           })
                  .ok());
  ASSERT_TRUE(until(
      [&] {
        b.peer.poll();
        return answerer.generation != 0;
      },
      a));
  EXPECT_EQ(asker, alpha);
  EXPECT_EQ(asker.name, "alpha");
  EXPECT_EQ(answerer, beta);
  EXPECT_EQ(answerer.name, "beta");
  EXPECT_EQ(seq, 1u);
}

TEST_P(PeerTest, AHandlerIsToldWhoDidNotAnswer) {
  link();
  std::string silent;
  Errc code = Errc::ok;
  ASSERT_TRUE(a.peer
                  .request(price(1), milliseconds{30},
                           [&](const PeerReply& reply, const PeerDelivery& delivery) noexcept {
                             silent = delivery.from.name;
                             code = reply.code;
                           })
                  .ok());
  ASSERT_TRUE(until([&] { return code != Errc::ok; }, a));
  EXPECT_EQ(code, Errc::deadline_exceeded);
  EXPECT_EQ(silent, "beta");
}

TEST_P(PeerTest, SeveralRequestsAreInFlightAndAnsweredInAnyOrder) {
  link();
  std::vector<PeerRequestId> heard;
  std::vector<std::uint64_t> asked;
  for (std::uint64_t n = 0; n < 10; ++n)
    asked.push_back(a.peer.request(price(n), seconds{5}).value());
  std::vector<std::pair<std::uint64_t, std::uint64_t>> answers;
  ASSERT_TRUE(until([&] {
    b.peer.poll([&](const PeerDelivery& delivery) noexcept {
      if (const auto* request = delivery.get_if<PeerRequest>()) heard.push_back(request->id);
    });
    if (heard.size() == 10) {
      for (std::size_t i = 10; i-- > 0;) {
        EXPECT_EQ(b.peer.reply(heard[i], price(100 + i)), SendStatus::ok);
      }
      heard.clear();
    }
    a.peer.poll([&](const PeerDelivery& delivery) noexcept {
      if (const auto* reply = delivery.get_if<PeerReply>()) {
        answers.emplace_back(reply->id, reply->as<PriceUpdate>().value_or(price(0)).volume);
      }
    });
    return answers.size() == 10;
  }));
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(answers[i], std::make_pair(asked[9 - i], std::uint64_t{109 - i}));
  }
}

TEST_P(PeerTest, ARequestThatNobodyAnswersIsRefusedByName) {
  link();
  ASSERT_TRUE(a.peer.request(Order{"sell", 3}, seconds{5}).ok());
  FromPeer<PeerReply> reply;
  std::string text;
  ASSERT_TRUE(until([&] {
    b.peer.poll();
    reply = a.peer.try_receive<PeerReply>();
    if (reply) text = reply->text;
    return static_cast<bool>(reply);
  }));
  EXPECT_EQ(reply->code, Errc::request_refused);
  EXPECT_EQ(text, "nothing answers 'Order' here");
  EXPECT_EQ(b.peer.metrics().refusals, 1u);
  EXPECT_EQ(b.peer.metrics().unhandled, 1u);
}

TEST_P(PeerTest, TheDeadlineIsKeptWhetherOrNotTheOtherSideRuns) {
  link();
  ASSERT_TRUE(a.peer.request(price(1), milliseconds{30}).ok());
  // b is not polled meanwhile.
  const auto reply = a.peer.receive_for<PeerReply>(testing::kPatience);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->code, Errc::deadline_exceeded);
}

TEST_P(PeerTest, HandlersGetTheirTypes) {
  link();
  std::string seen;
  b.peer.on<PriceUpdate>([&](const PriceUpdate&, const PeerDelivery& d) noexcept {
    seen += 'p' + std::to_string(d.seq);
  });
  b.peer.on<Order>([&](const Order& order) noexcept { seen += order.side; });
  b.peer.on<Event>([&](const Event& event) noexcept { seen += event.type; });
  a.peer.send(price(1));
  a.peer.send(Order{"buy", 1});
  a.peer.send(Event{"Order", {Codec::json, "{}"}});  // Not an Order: members are missing.
  a.peer.send(AccountUpdate{"key", 1, 2, 3});
  ASSERT_TRUE(until(
      [&] {
        b.peer.poll();
        return b.peer.metrics().unhandled == 1;
      },
      a));
  EXPECT_EQ(seen, "p1buyOrder");
}

TEST_P(PeerTest, ReceiveForWaitsNoLonger) {
  link();
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(a.peer.receive_for<PriceUpdate>(milliseconds{5}));
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds{5});
}

TEST_P(PeerTest, ManyMessagesBothWaysAtOnceArriveInOrderAndAreAcknowledged) {
  link();
  constexpr std::uint64_t kMessages = 20'000;
  std::uint64_t sent_a = 0, sent_b = 0, got_a = 0, got_b = 0;
  const auto take = [](std::uint64_t& got) {
    return [&got](const PeerDelivery& delivery) noexcept {
      const auto* update = delivery.get_if<PriceUpdate>();
      if (update != nullptr && update->volume == got + 1) ++got;
    };
  };
  ASSERT_TRUE(until([&] {
    while (sent_a < kMessages && a.peer.send(price(sent_a + 1)) == SendStatus::ok) ++sent_a;
    while (sent_b < kMessages && b.peer.send(price(sent_b + 1)) == SendStatus::ok) ++sent_b;
    a.peer.poll(take(got_a));
    b.peer.poll(take(got_b));
    return got_a == kMessages && got_b == kMessages && a.peer.metrics().unacknowledged == 0 &&
           b.peer.metrics().unacknowledged == 0;
  })) << got_a
      << ' ' << got_b;
  EXPECT_EQ(a.peer.metrics().gaps + b.peer.metrics().gaps, 0u);
  EXPECT_GT(a.peer.metrics().back_pressured, 0u) << "the log was full now and then";
  EXPECT_GT(a.peer.metrics().bytes, kMessages * 40);
}

TEST_P(PeerTest, CloseEndsBothWithWhatWasSentHandedOver) {
  link();
  a.peer.send(price(1));
  a.peer.close();
  EXPECT_EQ(a.peer.send(price(2)), SendStatus::closed);
  ASSERT_TRUE(until([&] { return a.peer.state() == PeerState::closed; }, a, b));
  EXPECT_EQ(b.lines.front(), "1 price 1");
  EXPECT_THAT(a.lines, ElementsAre("closing", "closed"));
  EXPECT_FALSE(a.peer.receive<PriceUpdate>()) << "nothing is left";
}

TEST_P(PeerTest, TwoThreadsTalkWhileTheyPark) {
  link();
  constexpr std::uint64_t kTurns = 500;
  std::thread other([&] {
    for (std::uint64_t n = 0; n < kTurns; ++n) {
      const auto got = b.peer.receive_for<PriceUpdate>(testing::kPatience);
      ASSERT_TRUE(got);
      ASSERT_EQ(b.peer.send(price(got->volume + 1)), SendStatus::ok);
    }
  });
  std::uint64_t value = 0;
  for (std::uint64_t n = 0; n < kTurns; ++n) {
    EXPECT_EQ(a.peer.send(price(value)), SendStatus::ok);
    const auto got = a.peer.receive_for<PriceUpdate>(testing::kPatience);
    if (!got) break;
    value = got->volume;
  }
  other.join();
  EXPECT_EQ(value, kTurns);
}

}  // namespace
}  // namespace stratwire
