// send(): what the peer gets, what the caller is told, exactly once each.
#include <chrono>
#include <limits>
#include <string>

#include <stratwire/client.hpp>

#include "strategy.hpp"

namespace stratwire::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kEpoch = 77;
const PriceUpdate kPrice{"USDC", "SOL", 142.5, 7, 99};

std::size_t count(const Lines& lines, const std::string& text) {
  return static_cast<std::size_t>(std::count(lines.begin(), lines.end(), text));
}

INSTANTIATE_TEST_SUITE_P(Modes, ClientTest, kModes, mode_name);

TEST_P(ClientTest, SendIsAPublishAndItsAnswerHasTheCallersId) {
  Strategy strategy{peer, config()};
  peer.greet(kEpoch);
  ASSERT_EQ(strategy.client.send("prices:A", kPrice, 5), SendStatus::ok);
  const auto publish = peer.expect<Publish>();
  EXPECT_EQ(publish.channel, "prices:A");
  EXPECT_EQ(std::get<PriceUpdate>(publish.message), kPrice);
  peer.send(Published{publish.id, Errc::ok, ""});
  EXPECT_TRUE(strategy.hears("published 5 ok"));
  EXPECT_EQ(strategy.client.metrics().sends, 1u);
  EXPECT_EQ(strategy.client.metrics().sends_dropped, 0u);
}

TEST_P(ClientTest, ARefusedSendIsReported) {
  Strategy strategy{peer, config()};
  peer.greet(kEpoch);
  ASSERT_EQ(strategy.client.send("prices:A", kPrice), SendStatus::ok);
  peer.send(Published{peer.expect<Publish>().id, Errc::publish_not_allowed, "ask the operator"});
  EXPECT_TRUE(strategy.hears("published 0 publish_not_allowed"));
}

TEST_P(ClientTest, SendsWaitForAConnectionInTheirOrder) {
  peer.stop_listening();
  Strategy strategy{peer, config()};
  for (std::uint64_t id = 1; id <= 10; ++id) {
    ASSERT_EQ(strategy.client.send("prices:A", PriceUpdate{"a", "b", 1, id, 0}, id),
              SendStatus::ok);
  }
  peer.listen();
  peer.greet(kEpoch);
  for (std::uint64_t id = 1; id <= 10; ++id) {
    const auto publish = peer.expect<Publish>();
    EXPECT_EQ(std::get<PriceUpdate>(publish.message).volume, id);
    peer.send(Published{publish.id, Errc::ok, ""});
  }
  ASSERT_TRUE(strategy.hears("published 10 ok"));
  for (std::uint64_t id = 1; id <= 10; ++id) {
    EXPECT_EQ(count(strategy.heard, "published " + std::to_string(id) + " ok"), 1u);
  }
}

TEST_P(ClientTest, SendsOnTheirWayWhenTheConnectionBreaksAreReportedOnce) {
  Strategy strategy{peer, config()};
  peer.greet(kEpoch);
  for (std::uint64_t id = 1; id <= 3; ++id) {
    ASSERT_EQ(strategy.client.send("prices:A", kPrice, id), SendStatus::ok);
  }
  const auto first = peer.expect<Publish>();
  peer.expect<Publish>();
  peer.expect<Publish>();
  peer.send(Published{first.id, Errc::ok, ""});
  peer.cut();
  peer.greet(kEpoch);
  ASSERT_TRUE(strategy.hears("live #2"));
  EXPECT_EQ(count(strategy.heard, "published 1 ok"), 1u);
  EXPECT_EQ(count(strategy.heard, "published 2 connection_lost"), 1u);
  EXPECT_EQ(count(strategy.heard, "published 3 connection_lost"), 1u);
  ASSERT_EQ(strategy.client.send("prices:A", kPrice, 4), SendStatus::ok);
  peer.send(Published{peer.expect<Publish>().id, Errc::ok, ""});
  ASSERT_TRUE(strategy.hears("published 4 ok")) << "nothing was sent twice";
  EXPECT_EQ(strategy.client.metrics().sends_dropped, 2u);
}

TEST_P(ClientTest, AFullBufferSaysSoAndGoesOnWhenThereIsRoom) {
  peer.stop_listening();
  ClientConfig small = config();
  small.send_buffer.messages_max = 3;
  Strategy strategy{peer, small};
  for (std::uint64_t id = 1; id <= 3; ++id) {
    ASSERT_EQ(strategy.client.send("prices:A", kPrice, id), SendStatus::ok);
  }
  EXPECT_EQ(strategy.client.send("prices:A", kPrice, 4), SendStatus::back_pressured);
  peer.listen();
  peer.greet(kEpoch);
  for (int i = 0; i < 3; ++i) peer.send(Published{peer.expect<Publish>().id, Errc::ok, ""});
  ASSERT_TRUE(strategy.hears("published 3 ok"));
  EXPECT_TRUE(eventually([&] {
    strategy.poll();
    return strategy.client.send("prices:A", kPrice, 5) == SendStatus::ok;
  }));
}

TEST_P(ClientTest, AHandlerHasTheWholeBufferToo) {
  peer.stop_listening();
  ClientConfig small = config();
  small.send_buffer.messages_max = 3;
  Client client = Client::open(small).value();
  std::vector<SendStatus> said;
  client.on<StateEvent>([&](const StateEvent& event) noexcept {
    if (event.state != ClientState::backing_off || !said.empty()) return;
    for (std::uint64_t id = 1; id <= 4; ++id) said.push_back(client.send("prices:A", kPrice, id));
  });
  ASSERT_TRUE(eventually([&] {
    client.poll();
    return !said.empty();
  }));
  using enum SendStatus;
  EXPECT_EQ(said, (std::vector{ok, ok, ok, back_pressured}));
}

TEST_P(ClientTest, BytesAreBoundedToo) {
  peer.stop_listening();
  ClientConfig small = config();
  small.send_buffer.bytes_max = 1000;
  Strategy strategy{peer, small};
  const std::string text = '"' + std::string(600, 'x') + '"';
  const Event event{"Note", {Codec::json, text}};
  EXPECT_EQ(strategy.client.send("events:A", event, 1), SendStatus::ok);
  EXPECT_EQ(strategy.client.send("events:A", event, 2), SendStatus::back_pressured);
  const std::string too_large = '"' + std::string(1000, 'x') + '"';
  EXPECT_EQ(strategy.client.send("events:A", Event{"Note", {Codec::json, too_large}}, 3),
            SendStatus::refused);
}

TEST_P(ClientTest, WhatGrowsTooOldIsReported) {
  peer.stop_listening();
  ClientConfig impatient = config();
  impatient.send_buffer.age_max = 50ms;
  Strategy strategy{peer, impatient};
  ASSERT_EQ(strategy.client.send("prices:A", kPrice, 1), SendStatus::ok);
  ASSERT_TRUE(strategy.hears("published 1 expired"));
  peer.listen();
  peer.greet(kEpoch);
  ASSERT_TRUE(strategy.reaches(ClientState::live));
  EXPECT_EQ(count(strategy.heard, "published 1 expired"), 1u);
  EXPECT_EQ(strategy.client.metrics().sends_dropped, 1u);
}

TEST_P(ClientTest, WithoutABufferNothingIsTakenOffline) {
  peer.stop_listening();
  ClientConfig none = config();
  none.send_buffer.messages_max = 0;
  Strategy strategy{peer, none};
  EXPECT_EQ(strategy.client.send("prices:A", kPrice, 1), SendStatus::back_pressured);
  peer.listen();
  peer.greet(kEpoch);
  ASSERT_TRUE(strategy.reaches(ClientState::live));
  EXPECT_EQ(strategy.client.send("prices:A", kPrice, 2), SendStatus::ok);
  peer.expect<Publish>();
}

TEST_P(ClientTest, WhatCanNotBeSentIsRefused) {
  Strategy strategy{peer, config()};
  PriceUpdate bad = kPrice;
  bad.price = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(strategy.client.send("prices:A", bad, 1), SendStatus::refused);
  EXPECT_EQ(strategy.client.send("prices:*", kPrice, 1), SendStatus::refused);
  EXPECT_EQ(strategy.client.send("", kPrice, 1), SendStatus::refused);
  EXPECT_EQ(strategy.client.send("prices:A", AccountUpdate{"\xff", 1, 2, 3}, 1),
            SendStatus::refused);
}

TEST_P(ClientTest, EverySendIsReportedExactlyOnceAcrossManyCuts) {
  Strategy strategy{peer, config()};
  std::uint64_t id = 0;
  for (int connection = 1; connection <= 5; ++connection) {
    for (int i = 0; i < 20; ++i) {
      ASSERT_EQ(strategy.client.send("prices:A", kPrice, ++id), SendStatus::ok);
    }
    peer.greet(kEpoch);
    for (int i = 0; i < 7; ++i) peer.send(Published{peer.expect<Publish>().id, Errc::ok, ""});
    peer.cut();
    ASSERT_TRUE(strategy.hears("backing_off #" + std::to_string(connection) + " connection_lost"));
  }
  strategy.client.close();
  ASSERT_TRUE(strategy.reaches(ClientState::closed));
  strategy.poll();
  for (std::uint64_t each = 1; each <= id; ++each) {
    const std::string prefix = "published " + std::to_string(each) + ' ';
    EXPECT_EQ(std::count_if(strategy.heard.begin(), strategy.heard.end(),
                            [&](const std::string& text) { return text.starts_with(prefix); }),
              1)
        << prefix;
  }
}

TEST_P(ClientTest, NothingIsSentBeforeTheServerHasSaidWhatItTakes) {
  Strategy strategy{peer, config()};
  peer.accept();
  ASSERT_TRUE(strategy.hears("live #1"));
  const std::string text = '"' + std::string(2'000, 'x') + '"';
  ASSERT_EQ(strategy.client.send("a:b", Event{"note", {Codec::json, text}}, 1), SendStatus::ok);
  ASSERT_EQ(strategy.client.send("a:b", kPrice, 2), SendStatus::ok);
  strategy.poll();
  peer.send(Welcome{1, kEpoch, 60'000, 1'024, 1'024, 0});
  ASSERT_TRUE(strategy.hears("published 1 too_large"));
  EXPECT_EQ(std::get<PriceUpdate>(peer.expect<Publish>().message), kPrice);
}

}  // namespace
}  // namespace stratwire::testing
