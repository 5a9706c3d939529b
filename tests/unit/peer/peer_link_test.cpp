// How links come and go: over real sockets, cut and refused by a fake other side.

#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stratwire/testing/raw_client.hpp>
#include <stratwire/testing/scripted_peer.hpp>

#include "../../support/report.hpp"
#include "strategies.hpp"

namespace stratwire {
namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::price;
using testing::ScriptedPeer;
using testing::Strategy;
using testing::until;

std::uint16_t port_of(const Peer& peer) {
  const std::string& url = peer.url();
  return static_cast<std::uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
}

/// The other side of a Peer that listens, word by word; the Peer gets its turns meanwhile.
struct Dialler {
  explicit Dialler(Strategy& listening) : raw(testing::RawClient::tcp(port_of(listening.peer))) {
    raw.while_waiting = [&listening] { listening.poll(); };
  }

  testing::RawClient raw;
  std::string hello{};

  void upgrade() { ASSERT_TRUE(raw.upgrade({"stratwire.peer.v1.json"})) << raw.refusal(); }
  void say(const WsMessage& message, Envelope envelope = {}) {
    std::string payload;
    ASSERT_TRUE(encode(Codec::json, {envelope, message}, payload).ok());
    ASSERT_TRUE(raw.send_frame(transport::Opcode::text, payload));
  }
  testing::RawFrame next() {
    return raw.read_frame().value_or(testing::RawFrame{transport::Opcode::close, "(ended)"});
  }
  /// The code of the next close frame, whatever comes before it.
  std::uint16_t next_close() {
    for (;;) {
      const testing::RawFrame frame = next();
      if (frame.opcode == transport::Opcode::close) return static_cast<std::uint16_t>(frame.code);
    }
  }
  /// Upgraded, greeted, and the strategy's PeerHello taken.
  void link(const std::string& name, std::uint64_t epoch) {
    upgrade();
    say(PeerHello{name, epoch, 0, 0});
    hello = next().payload;
  }
};

struct PeerLinkTest : ::testing::Test {
  Strategy a{{.listen = "ws://127.0.0.1:0", .name = "alpha"}};
};

// ---- The side that listens

TEST_F(PeerLinkTest, SaysWhoItIsAtOnce) {
  Dialler dialler(a);
  dialler.upgrade();
  EXPECT_THAT(dialler.next().payload, HasSubstr(R"({"type":"PeerHello","name":"alpha","epoch":)"));
}

TEST_F(PeerLinkTest, ASecondPeerIsRefusedWithAClearClose) {
  Dialler first(a);
  first.link("beta", 7);
  Dialler second(a);
  second.link("gamma", 8);
  const testing::RawFrame close = second.next();
  EXPECT_EQ(close.opcode, transport::Opcode::close);
  EXPECT_EQ(static_cast<std::uint16_t>(close.code), 4003);
  EXPECT_EQ(close.payload, "this peer is linked with 'beta' only");
  EXPECT_EQ(a.peer.other().name, "beta");
  EXPECT_EQ(a.peer.metrics().refused, 1u);
}

TEST_F(PeerLinkTest, ANewConnectionOfTheSamePeerReplacesTheOldOne) {
  Dialler old(a);
  old.link("beta", 7);
  old.say(price(1), {"peer", 1});
  ASSERT_TRUE(until([&] { return a.has("1 price 1"); }, a));
  Dialler fresh(a);
  fresh.link("beta", 7);
  EXPECT_THAT(fresh.hello, HasSubstr(R"("received_epoch":7,"received_seq":1)"));
  ASSERT_TRUE(until([&] { return a.has("linked beta #2"); }, a));
  old.say(price(66), {"peer", 2});
  fresh.say(price(2), {"peer", 2});
  ASSERT_TRUE(until([&] { return a.has("2 price 2"); }, a));
  EXPECT_FALSE(a.has("2 price 66")) << "of the connection that was replaced";
  EXPECT_EQ(a.peer.other().generation, 2u);
  EXPECT_EQ(old.next_close(), 4004);
}

TEST_F(PeerLinkTest, AnotherCodecIsRefusedInTheUpgrade) {
  Dialler dialler(a);
  EXPECT_FALSE(dialler.raw.upgrade({"stratwire.peer.v1.msgpack", "stratwire.v1.json"}));
  EXPECT_THAT(dialler.raw.refusal(), HasSubstr("this peer speaks stratwire.peer.v1.json only"));
}

TEST_F(PeerLinkTest, APageIsNoPeer) {
  Dialler dialler(a);
  ASSERT_TRUE(dialler.raw.send_bytes("GET /health HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_THAT(dialler.raw.read_to_end(), HasSubstr("HTTP/1.1 426"));
}

TEST_F(PeerLinkTest, SomethingElseBeforeThePeerHelloIsClosedWith4002) {
  Dialler dialler(a);
  dialler.upgrade();
  dialler.say(Ack{1});
  EXPECT_EQ(dialler.next_close(), 4002);
  EXPECT_EQ(a.peer.state(), PeerState::listening);
}

TEST_F(PeerLinkTest, BrokenRulesCloseWith4002AndItListensAgain) {
  Dialler dialler(a);
  dialler.link("beta", 7);
  dialler.say(price(1), {"prices:SOL", 1});
  EXPECT_EQ(dialler.next_close(), 4002);
  ASSERT_TRUE(until([&] { return a.has("listening protocol_violation"); }, a));
}

TEST_F(PeerLinkTest, AGapIsHandedOverBeforeTheMessageBehindIt) {
  Dialler dialler(a);
  dialler.link("beta", 7);
  dialler.say(price(3), {"peer", 3});
  dialler.say(price(4), {"peer", 4});
  ASSERT_TRUE(until([&] { return a.has("4 price 4"); }, a));
  EXPECT_THAT(a.lines, ElementsAre("listening", "linked beta #1", "gap 1-2 upstream", "3 price 3",
                                   "4 price 4"));
}

TEST_F(PeerLinkTest, PingIsAnsweredWithTimes) {
  Dialler dialler(a);
  dialler.link("beta", 7);
  dialler.say(Ping{5});
  const std::string pong = dialler.next().payload;
  EXPECT_THAT(pong, HasSubstr(R"({"type":"Pong","t1":5,"t2":1)"));
}

TEST_F(PeerLinkTest, ManyThatSayNothingDoNotKeepAPeerOut) {
  std::vector<testing::RawClient> silent;
  for (int i = 0; i < 20; ++i) silent.push_back(testing::RawClient::tcp(port_of(a.peer)));
  Dialler dialler(a);
  dialler.link("beta", 7);
  EXPECT_TRUE(until([&] { return a.has("linked beta #1"); }, a));
  // Less than their time to say something: the oldest made room.
  silent.front().while_waiting = [this] { a.poll(); };
  EXPECT_FALSE(silent.front().read_frame(std::chrono::seconds{3}).has_value());
  EXPECT_EQ(silent.front().last_read(), testing::Read::ended);
}

TEST_F(PeerLinkTest, AMessageThatIsTooLargeEndsTheConnectionWith1009) {
  Strategy small{{.listen = "ws://127.0.0.1:0", .name = "small", .message_bytes_max = 1024}};
  Dialler dialler(small);
  dialler.link("beta", 7);
  dialler.say(AccountUpdate{std::string(2000, 'x'), 1, 2, 3}, {"peer", 1});
  EXPECT_EQ(dialler.next_close(), 1009);
}

// ---- The side that dials

TEST(PeerDial, ComesBackAndSendsAgainWhatWasNotAcknowledged) {
  ScriptedPeer server(Codec::json);
  Strategy b{{.dial = server.url(), .name = "beta"}};
  server.while_waiting = [&] { b.poll(); };
  b.peer.send(price(1));
  b.peer.send(price(2));
  server.accept();
  const auto hello = server.expect<PeerHello>();
  EXPECT_EQ(hello.name, "beta");
  EXPECT_EQ(hello.received_epoch, 0u);
  server.send(PeerHello{"alpha", 7, 0, 0});
  EXPECT_EQ(server.expect<PriceUpdate>().volume, 1u);
  EXPECT_EQ(server.expect<PriceUpdate>().volume, 2u);
  server.send(price(50), {"peer", 1});
  ASSERT_TRUE(until([&] { return b.has("1 price 50"); }, b));
  server.cut();
  b.peer.send(price(3));
  server.accept();
  const auto again = server.expect<PeerHello>();
  EXPECT_EQ(again.epoch, hello.epoch);
  EXPECT_EQ(again.received_epoch, 7u);
  EXPECT_EQ(again.received_seq, 1u);
  server.send(PeerHello{"alpha", 7, hello.epoch, 1});
  EXPECT_EQ(server.expect<PriceUpdate>().volume, 2u);
  EXPECT_EQ(server.expect<PriceUpdate>().volume, 3u);
  // The third was written before the cut was noticed.
  EXPECT_EQ(b.peer.metrics().resent, 2u);
  EXPECT_EQ(b.peer.metrics().links, 2u);
  server.cut();
}

TEST(PeerDial, MeetsAPeerThatIsStartedLater) {
  const std::string url = testing::socket_url();
  Strategy b{{.dial = url, .name = "beta"}};
  ASSERT_TRUE(until([&] { return b.has("backing_off connect_failed"); }, b));
  Strategy a{{.listen = url, .name = "alpha"}};
  EXPECT_TRUE(until([&] { return a.has("linked beta #1") && b.has("linked alpha #1"); }, a, b));
  testing::close(a, b);
}

TEST(PeerDial, APeerThatStartsAnewGetsWhatTheOldOneDidNotConfirm) {
  const std::string url = testing::socket_url();
  auto a = std::make_optional<Strategy>(PeerConfig{.listen = url, .name = "alpha"});
  Strategy b{{.dial = url, .name = "beta"}};
  ASSERT_TRUE(until([&] { return b.has("linked alpha #1"); }, *a, b));
  b.lines.clear();
  a.reset();
  b.peer.send(price(1));
  a.emplace(PeerConfig{.listen = url, .name = "alpha"});
  ASSERT_TRUE(until([&] { return a->has("1 price 1") && b.has("linked alpha #2"); }, *a, b));
  EXPECT_TRUE(b.has("gap 1-0 epoch_change"));
  testing::close(*a, b);
}

TEST(PeerDial, FailsWhenItIsToldThatThePeerIsTaken) {
  Strategy a{{.listen = "ws://127.0.0.1:0", .name = "alpha", .other = "gamma"}};
  Strategy b{{.dial = a.peer.url(), .name = "beta"}};
  ASSERT_TRUE(until([&] { return b.peer.state() == PeerState::failed; }, a, b));
  EXPECT_THAT(b.peer.error().message(), HasSubstr("4003: this peer is linked with 'gamma' only"));
}

TEST(PeerDial, FailsWhenTheOtherSideSpeaksNoPeer) {
  Strategy a{{.listen = "ws://127.0.0.1:0", .name = "alpha", .codec = Codec::msgpack}};
  Strategy b{{.dial = a.peer.url(), .name = "beta", .codec = Codec::json}};
  ASSERT_TRUE(until([&] { return b.peer.state() == PeerState::failed; }, a, b));
  EXPECT_THAT(b.peer.error().message(), HasSubstr("both sides have to choose the same codec"));
}

TEST(PeerDial, ASilentPeerIsGivenUp) {
  ScriptedPeer server(Codec::json);
  Strategy b{{.dial = server.url(), .name = "beta", .ping_interval = milliseconds{20}}};
  server.while_waiting = [&] { b.poll(); };
  server.accept();
  server.expect<PeerHello>();
  server.send(PeerHello{"alpha", 7, 0, 0});
  server.expect_control(transport::Incoming::Kind::ping);
  server.expect_end();
  EXPECT_TRUE(until([&] { return b.has("backing_off peer_timeout"); }, b));
}

TEST(PeerDial, APeerThatAnswersPingsIsKept) {
  ScriptedPeer server(Codec::json);
  Strategy b{{.dial = server.url(), .name = "beta", .ping_interval = milliseconds{100}}};
  server.while_waiting = [&] { b.poll(); };
  server.accept();
  server.expect<PeerHello>();
  server.send(PeerHello{"alpha", 7, 0, 0});
  for (int i = 0; i < 3; ++i) {
    server.expect_control(transport::Incoming::Kind::ping);
    server.send_frame(transport::Opcode::pong, "");
  }
  EXPECT_EQ(b.peer.metrics().links, 1u);
  EXPECT_EQ(b.peer.state(), PeerState::linked);
  server.cut();
}

TEST(PeerDial, APeerThatNeverGreetsIsGivenUp) {
  ScriptedPeer server(Codec::json);
  Strategy b{{.dial = server.url(), .name = "beta", .connect_timeout = milliseconds{50}}};
  server.while_waiting = [&] { b.poll(); };
  server.accept();
  server.expect<PeerHello>();
  server.expect_end();
  EXPECT_TRUE(until([&] { return b.has("backing_off handshake_timeout"); }, b));
}

}  // namespace
}  // namespace stratwire
