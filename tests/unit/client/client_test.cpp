#include <algorithm>
#include <string>
#include <utility>

#include <stratwire/client.hpp>

#include "strategy.hpp"

namespace my {
struct Fill {
  std::string side;
  double price = 0;
};
STRATWIRE_DESCRIBE(Fill, side, price)
}  // namespace my

namespace stratwire::testing {
namespace {

constexpr std::uint64_t kEpoch = 77;

INSTANTIATE_TEST_SUITE_P(Modes, ClientTest, kModes, mode_name);

TEST_P(ClientTest, ConnectsSubscribesAndHandsOverInOrder) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"prices:A", "prices:B"}).value();
  peer.greet_and_grant(kEpoch, 0);
  ASSERT_TRUE(strategy.hears("live #1"));
  EXPECT_EQ(strategy.client.state(), ClientState::live);
  peer.price("prices:A", 1, 1.5);
  peer.price("prices:B", 1, 2.5);
  peer.price("prices:A", 2, 3.5);
  ASSERT_TRUE(strategy.hears("prices:A 2 = 3.5"));
  EXPECT_EQ(strategy.take(),
            (Lines{"connecting #1", "subscribing #1", "subscribed prices:A prices:B", "live #1",
                   "prices:A 1 = 1.5", "prices:B 1 = 2.5", "prices:A 2 = 3.5"}));
  const ClientMetrics metrics = strategy.client.metrics();
  EXPECT_EQ(metrics.connects, 1u);
  EXPECT_EQ(metrics.gaps, 0u);
}

TEST_P(ClientTest, EveryKindOfMessageArrivesWhole) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"accounts:x"}).value();
  peer.greet_and_grant(kEpoch, 0);
  const std::string mint(44, 'm');
  peer.send(AccountUpdate{mint, 18'446'744'073'709'551'615u, 5, -1}, {"accounts:x", 1});
  const bool json = GetParam().codec == Codec::json;
  peer.send(Event{"Trade", {GetParam().codec, json ? R"({"n":[1,2]})" : "\x81\xa1n\x92\x01\x02"}},
            {"accounts:x", 2});
  ASSERT_TRUE(strategy.hears("accounts:x 1 account " + mint + " 18446744073709551615"));
  ASSERT_TRUE(strategy.hears(json ? R"(accounts:x 2 Trade {"n":[1,2]})"
                                  : "accounts:x 2 Trade \x81\xa1n\x92\x01\x02"));
}

TEST_P(ClientTest, DropsDuplicatesAndPutsGapsBeforeMessages) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  ASSERT_TRUE(strategy.hears("live #1"));
  strategy.take();
  peer.price("prices:A", 1, 1);
  peer.price("prices:A", 1, 1);
  peer.price("prices:A", 4, 4);
  peer.send(Gap{kEpoch, 5, 9, Gap::Reason::slow_consumer}, {"prices:A", 0});
  peer.price("prices:A", 10, 10);
  ASSERT_TRUE(strategy.hears("prices:A 10 = 10"));
  EXPECT_EQ(strategy.take(), (Lines{"prices:A 1 = 1", "gap prices:A 2-3 upstream", "prices:A 4 = 4",
                                    "gap prices:A 5-9 slow_consumer", "prices:A 10 = 10"}));
  ASSERT_TRUE(eventually([&] {
    strategy.poll();
    return strategy.client.metrics().duplicates == 1;
  }));
  const ClientMetrics metrics = strategy.client.metrics();
  EXPECT_EQ(metrics.gaps, 2u);
  EXPECT_EQ(metrics.missed, 7u);
  EXPECT_EQ(metrics.messages, 3u);
}

TEST_P(ClientTest, UnsubscribedChannelsStopAndAreNotAskedForAgain) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"prices:A", "prices:B"}).value();
  peer.greet_and_grant(kEpoch, 0);
  ASSERT_TRUE(strategy.hears("live #1"));
  strategy.client.unsubscribe({"prices:A"}).value();
  const auto leave = peer.expect<Unsubscribe>();
  EXPECT_EQ(leave.channels, std::vector<std::string>{"prices:A"});
  peer.send(Unsubscribed{leave.id, {{"prices:A", Errc::ok, "", 0, 0}}});
  ASSERT_TRUE(strategy.hears("unsubscribed"));
  peer.cut();
  peer.greet(kEpoch);
  EXPECT_EQ(peer.expect<Subscribe>().channels, std::vector<std::string>{"prices:B"});
}

TEST_P(ClientTest, SubscribingWhileLiveIsSubscribingUntilAnswered) {
  Strategy strategy{peer, config()};
  peer.greet(kEpoch);
  ASSERT_TRUE(strategy.hears("live #1"));
  strategy.client.subscribe({"prices:A"}).value();
  EXPECT_EQ(strategy.client.state(), ClientState::subscribing);
  const auto request = peer.expect<Subscribe>();
  EXPECT_EQ(strategy.client.state(), ClientState::subscribing);
  peer.grant(request, kEpoch, 0);
  ASSERT_TRUE(strategy.reaches(ClientState::live));
}

TEST_P(ClientTest, ManyChannelsGoIntoSeveralRequests) {
  Strategy strategy{peer, config()};
  std::vector<std::string> channels;
  for (int i = 0; i < 1024; ++i) channels.push_back("prices:COIN" + std::to_string(1000 + i));
  strategy.client.subscribe(channels).value();
  const auto refused = strategy.client.subscribe({"prices:one-more"});
  EXPECT_EQ(refused.error().code, Errc::too_many_channels);
  EXPECT_NE(refused.error().context.find("1025"), std::string::npos);
  peer.greet(kEpoch);
  std::size_t asked = 0;
  while (asked < channels.size()) {
    const auto request = peer.expect<Subscribe>();
    ASSERT_FALSE(request.channels.empty());
    ASSERT_LE(request.channels.size(), 256u);
    asked += request.channels.size();
    peer.grant(request, kEpoch, 0);
  }
  EXPECT_TRUE(strategy.reaches(ClientState::live));
  // Again: not one more, and the server is asked once more.
  strategy.client.subscribe({"prices:COIN1000"}).value();
  EXPECT_EQ(peer.expect<Subscribe>().channels, std::vector<std::string>{"prices:COIN1000"});
}

TEST_P(ClientTest, ABadChannelNameIsRefusedAndNamed) {
  Strategy strategy{peer, config()};
  const auto refused = strategy.client.subscribe({"prices:A", "no spaces"});
  EXPECT_EQ(refused.error().code, Errc::invalid_channel_name);
  EXPECT_NE(refused.error().context.find("no spaces"), std::string::npos);
  EXPECT_FALSE(strategy.client.subscribe({std::string(10'000, 'x')}).ok());
  peer.greet(kEpoch);
  EXPECT_TRUE(strategy.reaches(ClientState::live)) << "nothing was asked for";
}

TEST_P(ClientTest, AMessageThatDoesNotDecodeIsReportedAndTheConnectionGoesOn) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  std::string said;
  strategy.client.on<ErrorReply>([&](const ErrorReply& reply) noexcept { said = reply.message; });
  peer.while_waiting = [&] { strategy.client.poll(); };
  peer.send_payload(GetParam().codec == Codec::json ? R"({"type":"PriceUpdate","price":})"
                                                    : std::string_view("\x93\x01\x02", 3));
  peer.price("prices:A", 1, 1);
  ASSERT_TRUE(eventually([&] {
    strategy.client.poll();
    return !said.empty() && strategy.client.metrics().messages == 1;
  }));
  EXPECT_NE(said.find("at byte"), std::string::npos) << said;
  EXPECT_EQ(strategy.client.metrics().decode_errors, 1u);
  EXPECT_EQ(strategy.client.state(), ClientState::live);
}

TEST_P(ClientTest, AMessageOfAnUnknownTypeIsCountedAndIgnored) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  peer.send_payload(GetParam().codec == Codec::json ? R"({"type":"FromTheFuture","x":1})"
                                                    : std::string_view("\x81\xa4type\xad"
                                                                       "FromTheFuture",
                                                                       20));
  peer.price("prices:A", 1, 1);
  ASSERT_TRUE(strategy.hears("prices:A 1 = 1"));
  ASSERT_TRUE(eventually([&] {
    strategy.poll();
    return strategy.client.metrics().unknown_messages == 1;
  }));
  EXPECT_EQ(strategy.client.metrics().decode_errors, 0u);
}

TEST_P(ClientTest, PingsAreAnswered) {
  Strategy strategy{peer, config()};
  peer.greet(kEpoch);
  peer.send_frame(transport::Opcode::ping, "are you there");
  EXPECT_EQ(peer.expect_control(transport::Incoming::Kind::pong), "are you there");
}

TEST_P(ClientTest, SaysItsName) {
  ClientConfig named = config();
  named.name = "hedger";
  Strategy strategy{peer, named};
  peer.greet(kEpoch);
  EXPECT_EQ(peer.expect<Hello>().name, "hedger");
}

TEST_P(ClientTest, FragmentedAndSplitMessagesAreWhole) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  std::string payload;
  encode(GetParam().codec, Message{{"prices:A", 1}, PriceUpdate{"a", "b", 1.25, 2, 3}}, payload)
      .value();
  const auto opcode =
      GetParam().codec == Codec::json ? transport::Opcode::text : transport::Opcode::binary;
  std::string frames;
  transport::append_frame(frames, {opcode, {}, transport::FrameHead::Fin::more},
                          payload.substr(0, 10));
  transport::append_frame(frames,
                          {transport::Opcode::continuation, {}, transport::FrameHead::Fin::last},
                          payload.substr(10));
  for (const char byte : frames) peer.send_bytes({&byte, 1});
  EXPECT_TRUE(strategy.hears("prices:A 1 = 1.25"));
}

TEST_P(ClientTest, ReceiveGivesOneMessageAtATimeAndLosesNoneOfTheBatch) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  ASSERT_TRUE(strategy.hears("live #1"));
  peer.while_waiting = [] {};
  for (std::uint64_t seq = 1; seq <= 500; ++seq) {
    peer.price("prices:A", seq, static_cast<double>(seq));
  }
  for (std::uint64_t seq = 1; seq <= 500; ++seq) {
    const auto update = strategy.client.receive_for<PriceUpdate>(kPatience);
    ASSERT_TRUE(update);
    ASSERT_EQ(update.seq(), seq);
    ASSERT_EQ(update->price, static_cast<double>(seq));
    ASSERT_EQ(update.channel(), "prices:A");
    ASSERT_EQ(update.epoch(), kEpoch);
    ASSERT_GT(update.received_at(), 0);
  }
  EXPECT_FALSE(strategy.client.try_receive<PriceUpdate>());
}

TEST_P(ClientTest, ReceiveTakesWhatIsAskedForAndHandsTheRestToHandlers) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  ASSERT_TRUE(strategy.hears("live #1"));
  int prices = 0;
  int gaps = 0;
  strategy.client.on<PriceUpdate>([&](const PriceUpdate&, const Delivery& delivery) noexcept {
    prices += delivery.envelope.channel == "prices:A" ? 1 : 100;
  });
  peer.while_waiting = [] {};
  peer.price("prices:A", 1, 1);
  peer.price("prices:A", 3, 3);
  peer.send(AccountUpdate{"key", 1, 2, 3}, {"prices:A", 4});
  auto account = strategy.client.receive_for<AccountUpdate>(kPatience);
  ASSERT_TRUE(account);
  EXPECT_EQ(account->pubkey, "key");
  EXPECT_EQ(prices, 2);
  EXPECT_EQ(strategy.client.metrics().unhandled, 1u) << "the gap";
  strategy.client.on<Gap>([&](const Gap&) noexcept { ++gaps; });
  peer.send(AccountUpdate{"other", 1, 2, 3}, {"prices:A", 6});
  account = strategy.client.receive_for<AccountUpdate>(kPatience);
  ASSERT_TRUE(account);
  EXPECT_EQ(gaps, 1);
  EXPECT_EQ(strategy.client.metrics().unhandled, 1u);
}

TEST_P(ClientTest, ReceiveAnyMessageTakesGapsToo) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  ASSERT_TRUE(strategy.hears("live #1"));
  peer.while_waiting = [] {};
  peer.price("prices:A", 3, 3);
  const auto first = strategy.client.receive_for<WsMessage>(kPatience);
  ASSERT_TRUE(first);
  EXPECT_EQ(std::get<Gap>(*first), (Gap{kEpoch, 1, 2, Gap::Reason::upstream}));
  EXPECT_EQ(first.channel(), "prices:A");
  const auto second = strategy.client.receive_for<WsMessage>(kPatience);
  ASSERT_TRUE(second);
  EXPECT_EQ(std::get<PriceUpdate>(*second).price, 3);
}

TEST_P(ClientTest, ReceiveForGivesUpInTime) {
  Strategy strategy{peer, config()};
  peer.greet(kEpoch);
  ASSERT_TRUE(strategy.hears("live #1"));
  const auto start = std::chrono::steady_clock::now();
  EXPECT_FALSE(strategy.client.receive_for<PriceUpdate>(std::chrono::milliseconds{30}));
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds{30});
}

TEST_P(ClientTest, DescribedStructsAreTakenByTheirName) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"trades:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  ASSERT_TRUE(strategy.hears("live #1"));
  peer.while_waiting = [] {};
  const auto fill = [&](std::uint64_t seq, const my::Fill& value) {
    std::string data;
    encode_data(GetParam().codec, value, data).value();
    peer.send(Event{"Fill", {GetParam().codec, data}}, {"trades:A", seq});
  };
  fill(1, {"buy", 1.5});
  const auto received = strategy.client.receive_for<my::Fill>(kPatience);
  ASSERT_TRUE(received);
  EXPECT_EQ(received->side, "buy");
  EXPECT_EQ(received->price, 1.5);

  double sum = 0;
  int events = 0;
  strategy.client.on<my::Fill>([&](const my::Fill& value) noexcept { sum += value.price; });
  strategy.client.on<Event>([&](const Event&) noexcept { ++events; });
  fill(2, {"sell", 2.25});
  peer.send(Event{"Fill", {GetParam().codec, GetParam().codec == Codec::json ? "7" : "\x07"}},
            {"trades:A", 3});
  peer.send(Event{"Other", {GetParam().codec, GetParam().codec == Codec::json ? "7" : "\x07"}},
            {"trades:A", 4});
  ASSERT_TRUE(eventually([&] {
    strategy.client.poll();
    return events == 2;
  })) << "one that does not decode and one of another name";
  EXPECT_EQ(sum, 2.25);
}

TEST_P(ClientTest, AHandlerMayReplaceItself) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  int first = 0;
  int second = 0;
  strategy.client.on<PriceUpdate>([&, name = std::string(100, 'x')](const PriceUpdate&) noexcept {
    strategy.client.on<PriceUpdate>([&](const PriceUpdate&) noexcept { ++second; });
    first += name.size() == 100 ? 1 : 0;  // Still alive although it was replaced.
  });
  peer.while_waiting = [] {};
  for (std::uint64_t seq = 1; seq <= 3; ++seq) peer.price("prices:A", seq, 1);
  ASSERT_TRUE(eventually([&] {
    strategy.client.poll();
    return first + second == 3;
  }));
  EXPECT_EQ(first, 1);
}

TEST_P(ClientTest, PollHandsOverAtMostItsLimit) {
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  ASSERT_TRUE(strategy.hears("live #1"));
  peer.while_waiting = [] {};
  for (std::uint64_t seq = 1; seq <= 20; ++seq) peer.price("prices:A", seq, 1);
  std::size_t got = 0;
  ASSERT_TRUE(eventually([&] {
    const std::size_t now = strategy.client.poll([](const Delivery&) noexcept {}, 3);
    EXPECT_LE(now, 3u);
    got += now;
    return got == 20;
  }));
  EXPECT_EQ(strategy.client.poll([](const Delivery&) noexcept {}, 0), 0u);
}

TEST(ClientHandlers, MayNotTakeMessagesThemselves) {
  const auto take_inside = [](auto take) {
    auto client =
        Client::open({.url = "ws+unix:///nobody/is/here", .threading = Threading::caller}).value();
    client.on<StateEvent>([&](const StateEvent&) noexcept { take(client); });
    static_cast<void>(client.receive_for<PriceUpdate>(kPatience));
  };
  EXPECT_DEATH(take_inside([](Client& client) { client.poll(); }), "by one of its own handlers");
  EXPECT_DEATH(take_inside([](Client& client) { static_cast<void>(client.try_receive<Gap>()); }),
               "by one of its own handlers");
}

TEST(ClientUnixSocket, WorksOverASocketFile) {
  ScriptedPeer peer{Codec::msgpack, ScriptedPeer::Family::unix_socket};
  for (const Threading threading : {Threading::own_thread, Threading::caller}) {
    Strategy strategy{peer, config_for({threading, Codec::msgpack}, peer)};
    strategy.client.subscribe({"prices:A"}).value();
    peer.greet_and_grant(kEpoch, 0);
    peer.price("prices:A", 1, 1.5);
    EXPECT_TRUE(strategy.hears("prices:A 1 = 1.5"));
  }
}

// A slow strategy stops the reading, and everything is there when it goes on.
TEST(ClientRing, AFullRingStopsReadingAndLosesNothing) {
  ScriptedPeer peer{Codec::json};
  ClientConfig config = config_for({}, peer);
  config.message_bytes_max = 1024;
  config.ring_bytes = 4096;
  auto client = Client::open(config).value();
  client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  std::string batch;
  std::uint64_t seq = 0;
  std::size_t sent_bytes = 0;
  const auto refill = [&] {
    while (batch.size() < 60'000) {
      std::string payload;
      encode(Codec::json, Message{{"prices:A", ++seq}, PriceUpdate{"a", "b", 1, 2, 3}}, payload)
          .value();
      transport::append_frame(batch, {transport::Opcode::text, {}, transport::FrameHead::Fin::last},
                              payload);
    }
  };
  // Until the kernel's buffers are full too and stay so while the ring says that it is.
  ASSERT_TRUE(eventually([&] {
    refill();
    const std::size_t sent = peer.try_send_bytes(batch);
    batch.erase(0, sent);
    sent_bytes += sent;
    return sent == 0 && sent_bytes > 1'000'000 && client.metrics().ring_full > 0;
  }));
  EXPECT_EQ(client.state(), ClientState::live);
  std::uint64_t received = 0;
  bool in_order = true;
  ASSERT_TRUE(eventually([&] {
    if (!batch.empty()) batch.erase(0, peer.try_send_bytes(batch));
    client.poll([&](const Delivery& delivery) noexcept {
      if (delivery.get_if<PriceUpdate>() == nullptr) return;
      in_order = in_order && delivery.envelope.seq == received + 1;
      ++received;
    });
    return received == seq;
  }));
  EXPECT_TRUE(in_order);
  EXPECT_EQ(client.metrics().gaps, 0u);
  EXPECT_EQ(client.metrics().connects, 1u);
}

// A strategy that is slower than its feed: whenever it looks there is more to be read.
TEST(ClientWithoutThread, DoesMoreThanReadWhenTheSocketIsNeverEmpty) {
  ScriptedPeer peer{Codec::json};
  ClientConfig config = config_for({Threading::caller}, peer);
  config.send_buffer.age_max = std::chrono::milliseconds{1};
  Strategy strategy{peer, config};
  ASSERT_TRUE(strategy.follows("prices:A", kEpoch));
  std::uint64_t seq = 1;
  bool sending = false;
  const auto poll_with_more_to_read = [&] {
    if (std::exchange(sending, true)) return;  // The peer waits while it sends, too.
    peer.price("prices:A", ++seq, 1);
    sending = false;
    strategy.poll();
  };
  peer.while_waiting = poll_with_more_to_read;
  peer.send_frame(transport::Opcode::ping, "still there?");
  EXPECT_EQ(peer.expect_control(transport::Incoming::Kind::pong), "still there?");

  EXPECT_EQ(strategy.client.send("prices:A", PriceUpdate{}, 7), SendStatus::ok);
  EXPECT_TRUE(eventually([&] {
    poll_with_more_to_read();
    const auto& heard = strategy.heard;
    return std::find(heard.begin(), heard.end(), "published 7 expired") != heard.end();
  })) << "an answer that never comes";
}

// Not reading is our doing: it says nothing about the peer.
TEST(ClientRing, AFullRingIsNotTakenForADeadPeer) {
  ScriptedPeer peer{Codec::json};
  ClientConfig config = config_for({}, peer);
  config.message_bytes_max = 1024;
  config.ring_bytes = 4096;
  auto client = Client::open(config).value();
  client.subscribe({"prices:A"}).value();
  peer.greet(kEpoch, 100);
  peer.grant(peer.expect<Subscribe>(), kEpoch, 0);
  for (std::uint64_t seq = 1; seq <= 100; ++seq) peer.price("prices:A", seq, 1);
  ASSERT_TRUE(eventually([&] { return client.metrics().ring_full > 0; }));
  // Twice the time after which silence is death.
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds{1400};
  ASSERT_TRUE(eventually([&] { return std::chrono::steady_clock::now() > end; }));
  for (std::uint64_t seq = 1; seq <= 100; ++seq) {
    const auto update = client.receive_for<PriceUpdate>(kPatience);
    ASSERT_TRUE(update);
    ASSERT_EQ(update.seq(), seq);
  }
  EXPECT_EQ(client.metrics().connects, 1u);
}

}  // namespace
}  // namespace stratwire::testing
