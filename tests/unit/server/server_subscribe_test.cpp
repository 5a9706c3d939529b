// What a client asks, and what becomes of it.

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "harness.hpp"

namespace stratwire::test {
namespace {

class EachDialect : public ::testing::TestWithParam<Speaks> {};
INSTANTIATE_TEST_SUITE_P(Server, EachDialect,
                         ::testing::Values(Speaks::json, Speaks::msgpack, Speaks::plain),
                         [](const auto& each) { return std::string(to_string(each.param)); });

TEST(ServerSubscribe, GreetsWithItsLimits) {
  ServerConfig config = quiet_config();
  config.inbound_message_bytes_max = 5'000;
  config.channels_per_connection_max = 7;
  const Server server = open_server(config);
  const auto before = std::chrono::system_clock::now().time_since_epoch();
  TestClient first(server);
  TestClient second(server, Speaks::msgpack);
  EXPECT_EQ(first.raw().subprotocol(), "stratwire.v1.json");
  EXPECT_EQ(second.raw().subprotocol(), "stratwire.v1.msgpack");
  EXPECT_NE(first.welcome().client_id, second.welcome().client_id);
  EXPECT_EQ(first.welcome().epoch, server.stats().epoch);
  EXPECT_EQ(first.welcome().message_bytes_max, 5'000U);
  EXPECT_EQ(first.welcome().channels_max, 7U);
  EXPECT_EQ(first.welcome().heartbeat_ms, 3'600'000U);
  EXPECT_GE(std::chrono::nanoseconds(first.welcome().timestamp), before);
}

TEST(ServerSubscribe, TheEpochIsTheOneThatWasAskedFor) {
  ServerConfig config = quiet_config();
  config.epoch = 20'261'121;
  Server server = open_server(std::move(config));
  TestClient client(server);
  EXPECT_EQ(client.welcome().epoch, 20'261'121u);
  EXPECT_EQ(client.subscribe({"prices:SOL"}).results.at(0).epoch, 20'261'121u);
}

TEST_P(EachDialect, DeliversInOrderFromOne) {
  Server server = open_server();
  TestClient client(server, GetParam());
  client.send(Subscribe{{"prices:SOL-USDC"}, 1});
  if (GetParam() != Speaks::plain) (void)client.expect<Subscribed>();
  client.send(Ping{1});
  ASSERT_EQ(client.expect<Pong>().t1, 1);

  const Publisher prices = server.publisher("prices:SOL-USDC");
  for (std::uint64_t i = 1; i <= 1'000; ++i) {
    ASSERT_EQ(Publisher(prices).publish(price(i)), PublishStatus::ok);
  }
  for (std::uint64_t i = 1; i <= 1'000; ++i) {
    ASSERT_EQ(client.expect_seq("prices:SOL-USDC"), i);
  }
}

TEST_P(EachDialect, CarriesEveryField) {
  Server server = open_server();
  TestClient client(server, GetParam());
  client.send(Subscribe{{"prices:A", "accounts:B", "events:C"}, 1});
  if (GetParam() != Speaks::plain) (void)client.expect<Subscribed>();
  client.send(Ping{1});
  (void)client.expect<Pong>();

  const PriceUpdate sent{"in\"\n", "o\\ut", 0.1, ~std::uint64_t{0}, -5};
  ASSERT_EQ(server.publish("prices:A", sent), PublishStatus::ok);
  EXPECT_EQ(client.expect<PriceUpdate>(), sent);
  ASSERT_EQ(server.publish("accounts:B", account(77)), PublishStatus::ok);
  EXPECT_EQ(client.expect<AccountUpdate>(), account(77));
  ASSERT_EQ(server.publish("events:C", Event{"Trade", {Codec::json, R"({"a":[1,"x"]})"}}),
            PublishStatus::ok);
  const auto event = client.expect<Event>();
  EXPECT_EQ(event.type, "Trade");
  std::string data;
  ASSERT_TRUE(transcode(event.data, Codec::json, data));
  EXPECT_EQ(data, R"({"a":[1,"x"]})");
}

TEST(ServerSubscribe, PlainGetsDataAndPongOnly) {
  ServerConfig config = quiet_config();
  config.heartbeat_interval = 50ms;
  Server server = open_server(config);
  TestClient plain(server, Speaks::plain);
  TestClient native(server);
  native.want_heartbeats();
  // No Welcome, no Subscribed, no Error, no Unsubscribed, no Published.
  plain.send(Subscribe{{"prices:A", "nonsense:A", ""}, 1});
  plain.send_bytes("{ not JSON");
  plain.send_bytes(R"({"type":"NoSuchType"})");
  plain.send(Publish{3, "prices:A", price(1)});
  plain.send(Unsubscribe{{"prices:Z"}, 2});
  plain.send(Hello{"worker"});
  plain.send(Ping{5});
  EXPECT_EQ(plain.expect<Pong>().t1, 5);
  // Others get heartbeats meanwhile.
  (void)native.expect<Heartbeat>();
  (void)native.expect<Heartbeat>();
  ASSERT_EQ(server.publish("prices:A", price(9)), PublishStatus::ok);
  EXPECT_EQ(plain.expect<PriceUpdate>().volume, 9U);
  EXPECT_EQ(plain.heartbeats(), 0U);
  plain.expect_silence();
}

TEST(ServerSubscribe, AnswersPerChannelWithTheCure) {
  Server server = open_server();
  for (int i = 0; i < 3; ++i) ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
  eventually([&] { return server.stats().published == 3; }, "three messages stamped");
  TestClient client(server);
  const std::string long_name = "prices:" + std::string(10'000, 'x');
  const std::string control_name = "prices:\x01\n\"";
  const Subscribed answer = client.subscribe({"prices:A", "prices:*", "nonsense:A", "", long_name,
                                              control_name, "prices:A*", "prices", "token-abc"});
  ASSERT_EQ(answer.results.size(), 9U);
  const auto& results = answer.results;
  EXPECT_EQ(results[0].code, Errc::ok);
  EXPECT_EQ(results[0].channel, "prices:A");
  EXPECT_EQ(results[0].head, 3U);
  EXPECT_EQ(results[0].epoch, server.stats().epoch);
  EXPECT_EQ(results[1].code, Errc::ok);
  EXPECT_EQ(results[1].head, 3U) << "a position";
  EXPECT_EQ(results[2].code, Errc::unknown_channel_kind);
  EXPECT_NE(results[2].message.find("'nonsense'"), std::string::npos) << results[2].message;
  EXPECT_NE(results[2].message.find("prices"), std::string::npos) << results[2].message;
  for (const std::size_t i : {3U, 4U, 5U, 6U}) {
    EXPECT_EQ(results[i].code, Errc::invalid_channel_name) << i;
    EXPECT_LT(results[i].channel.size(), 100U) << i;
    EXPECT_FALSE(results[i].message.empty()) << i;
  }
  EXPECT_NE(results[4].message.find("10007 bytes"), std::string::npos) << results[4].message;
  EXPECT_NE(results[5].message.find("\\x01\\x0a"), std::string::npos) << results[5].message;
  EXPECT_EQ(results[7].code, Errc::ok);
  EXPECT_EQ(results[8].code, Errc::ok);
  EXPECT_EQ(server.stats().refused_requests, 5U);
  // What was granted works.
  ASSERT_EQ(server.publish("token-abc", price()), PublishStatus::ok);
  EXPECT_EQ(client.expect_seq("token-abc"), 1U);
}

TEST(ServerSubscribe, ExactAndWildcardTogetherGiveNoDuplicate) {
  Server server = open_server();
  TestClient client(server);
  (void)client.subscribe({"prices:A", "prices:*"});
  Publisher a = server.publisher("prices:A");
  Publisher b = server.publisher("prices:B");
  for (std::uint64_t i = 1; i <= 50; ++i) {
    ASSERT_EQ(a.publish(price(i)), PublishStatus::ok);
    ASSERT_EQ(b.publish(price(i)), PublishStatus::ok);
  }
  Oracle oracle;
  for (int i = 0; i < 100; ++i) {
    const Message* const message = client.next();
    ASSERT_NE(message, nullptr);
    oracle.see(*message);
  }
  EXPECT_EQ(oracle.cursor("prices:A"), 50U);
  EXPECT_EQ(oracle.cursor("prices:B"), 50U);
  client.expect_silence();
}

TEST(ServerSubscribe, LosesOneOfTwoCoveringSubscriptionsOnly) {
  Server server = open_server();
  TestClient client(server);
  (void)client.subscribe({"prices:A", "prices:*"});
  EXPECT_EQ(client.unsubscribe({"prices:*"}).results.at(0).code, Errc::ok);
  ASSERT_EQ(server.publish("prices:B", price()), PublishStatus::ok);
  ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
  EXPECT_EQ(client.expect_seq("prices:A"), 1U);
  (void)client.subscribe({"prices:*"});
  EXPECT_EQ(client.unsubscribe({"prices:A"}).results.at(0).code, Errc::ok);
  ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
  EXPECT_EQ(client.expect_seq("prices:A"), 2U);
}

TEST(ServerSubscribe, WildcardTakesTokensAndChannelsThatComeLater) {
  Server server = open_server();
  TestClient client(server);
  (void)client.subscribe({"token:*", "global:*"});
  ASSERT_EQ(server.publish("token-mint1", price()), PublishStatus::ok);
  EXPECT_EQ(client.expect_seq("token-mint1"), 1U);
  ASSERT_EQ(server.publish("global", price()), PublishStatus::ok);
  EXPECT_EQ(client.expect_seq("global"), 1U);
  ASSERT_EQ(server.publish("tokens:x", price()), PublishStatus::ok);
  client.expect_silence();
}

TEST(ServerSubscribe, KindOfAPublisherBecomesKnown) {
  Server server = open_server();
  TestClient client(server);
  EXPECT_EQ(client.subscribe({"weather:oslo"}).results.at(0).code, Errc::unknown_channel_kind);
  Publisher weather = server.publisher("weather:bergen");
  EXPECT_EQ(client.subscribe({"weather:oslo"}).results.at(0).code, Errc::ok);
  EXPECT_EQ(client.subscribe({"weather:*"}).results.at(0).code, Errc::ok);
  ASSERT_EQ(weather.publish(price()), PublishStatus::ok);
  EXPECT_EQ(client.expect_seq("weather:bergen"), 1U);
}

TEST(ServerSubscribe, AgainIsASuccessWithTheHead) {
  Server server = open_server();
  TestClient client(server);
  (void)client.subscribe({"prices:A"});
  for (int i = 0; i < 5; ++i) ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
  for (std::uint64_t i = 1; i <= 5; ++i) ASSERT_EQ(client.expect_seq("prices:A"), i);
  const Subscribed again = client.subscribe({"prices:A", "prices:A"});
  ASSERT_EQ(again.results.size(), 2U);
  for (const ChannelResult& result : again.results) {
    EXPECT_EQ(result.code, Errc::ok);
    EXPECT_EQ(result.head, 5U);
  }
  ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
  EXPECT_EQ(client.expect_seq("prices:A"), 6U);
  client.expect_silence();
  EXPECT_EQ(server.connections(1).at(0).channels, 1U);
}

TEST(ServerSubscribe, UnsubscribeStops) {
  Server server = open_server();
  TestClient client(server);
  (void)client.subscribe({"prices:A", "prices:B"});
  const Unsubscribed answer = client.unsubscribe({"prices:A", "prices:Z", "prices:A"});
  ASSERT_EQ(answer.results.size(), 3U);
  EXPECT_EQ(answer.results[0].code, Errc::ok);
  EXPECT_EQ(answer.results[1].code, Errc::not_subscribed);
  EXPECT_EQ(answer.results[2].code, Errc::not_subscribed);
  EXPECT_EQ(server.stats().refused_requests, 2U);
  ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
  ASSERT_EQ(server.publish("prices:B", price()), PublishStatus::ok);
  EXPECT_EQ(client.expect_seq("prices:B"), 1U);
  // What was missed meanwhile is in the head.
  EXPECT_EQ(client.subscribe({"prices:A"}).results.at(0).head, 1U);
  ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
  EXPECT_EQ(client.expect_seq("prices:A"), 2U);
}

TEST(ServerSubscribe, HeadCountsWhileNobodyListens) {
  Server server = open_server();
  for (int i = 0; i < 7; ++i) ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
  eventually([&] { return server.stats().published == 7; }, "seven messages stamped");
  TestClient client(server);
  EXPECT_EQ(client.subscribe({"prices:A"}).results.at(0).head, 7U);
  ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
  EXPECT_EQ(client.expect_seq("prices:A"), 8U);
}

TEST(ServerSubscribe, ReadsARequestAsAMap) {
  // From any msgpack library: {"type": "Subscribe", "channels": ["prices:A"]}.
  Server server = open_server();
  TestClient client(server, Speaks::msgpack);
  client.send_bytes(
      "\x82\xa4type\xa9Subscribe\xa8"
      "channels\x91\xa8prices:A");
  EXPECT_EQ(client.expect<Subscribed>().results.at(0).code, Errc::ok);
}

TEST(ServerSubscribe, JsonEventReachesMessagePackAndBack) {
  Server server = open_server();
  TestClient json(server);
  TestClient msgpack(server, Speaks::msgpack);
  (void)json.subscribe({"events:A"});
  (void)msgpack.subscribe({"events:A"});
  const std::string value = R"({"big":18446744073709551615,"f":0.5,"n":null,"t":"\u0001é"})";
  ASSERT_EQ(server.publish("events:A", Event{"Mix", {Codec::json, value}}), PublishStatus::ok);
  auto event = msgpack.expect<Event>();
  EXPECT_EQ(event.data.codec, Codec::msgpack);
  const std::string packed(event.data.bytes);
  EXPECT_EQ(json.expect<Event>().data, (RawValue{Codec::json, value}));
  ASSERT_EQ(server.publish("events:A", Event{"Mix", {Codec::msgpack, packed}}), PublishStatus::ok);
  std::string text;
  event = json.expect<Event>();
  EXPECT_EQ(event.data.codec, Codec::json);
  EXPECT_EQ(event.data.bytes, value);
  EXPECT_EQ(msgpack.expect<Event>().data.bytes, packed);
}

TEST(ServerSubscribe, TakesFragmentsAndPipelinedRequests) {
  Server server = open_server();
  TestClient client(server);
  using Fin = transport::FrameHead::Fin;
  client.raw().send_frame(transport::Opcode::text, R"({"type":"Subscr)", Fin::more);
  client.raw().send_frame(transport::Opcode::ping, "between");
  client.raw().send_frame(transport::Opcode::continuation, R"(ibe","channels":["pri)", Fin::more);
  client.raw().send_frame(transport::Opcode::continuation, R"(ces:A"],"id":4})", Fin::last);
  auto frame = client.raw().read_frame();
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->opcode, transport::Opcode::pong);
  EXPECT_EQ(frame->payload, "between");
  EXPECT_EQ(client.expect<Subscribed>().id, 4U);

  std::string burst;
  for (std::uint64_t id = 10; id < 200; ++id) {
    std::string request;
    const std::string channel = "prices:" + std::to_string(id % 7);
    ASSERT_TRUE(encode(Codec::json, Message{{}, Subscribe{{channel}, id}}, request));
    transport::append_frame(burst, {transport::Opcode::text, transport::MaskKey{}}, request);
    request.clear();
    ASSERT_TRUE(encode(Codec::json, Message{{}, Unsubscribe{{channel}, id}}, request));
    transport::append_frame(burst, {transport::Opcode::text, transport::MaskKey{}}, request);
  }
  ASSERT_TRUE(client.raw().send_bytes(burst));
  for (std::uint64_t id = 10; id < 200; ++id) {
    ASSERT_EQ(client.expect<Subscribed>().id, id);
    ASSERT_EQ(client.expect<Unsubscribed>().id, id);
  }
}

TEST(ServerSubscribe, RequestsInTheSameSegmentAsTheUpgradeAreAnswered) {
  Server server = open_server();
  RawClient raw = RawClient::tcp(server.local_port());
  std::string request;
  ASSERT_TRUE(encode(Codec::json, Message{{}, Ping{8}}, request));
  std::string bytes =
      "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
  transport::append_frame(bytes, {transport::Opcode::text, transport::MaskKey{}}, request);
  transport::append_close(bytes, transport::CloseCode::normal, "", transport::MaskKey{});
  ASSERT_TRUE(raw.send_bytes(bytes));
  const std::string answer = raw.read_to_end();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 101 ")) << answer;
  EXPECT_NE(answer.find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), std::string::npos);
  EXPECT_NE(answer.find(R"({"type":"Pong","t1":8)"), std::string::npos) << answer;
  EXPECT_TRUE(answer.ends_with("\x88\x02\x03\xe8")) << answer;
}

TEST(ServerSubscribe, BadMessagesAreAnsweredAndCounted) {
  Server server = open_server();
  TestClient client(server);
  client.send_bytes(R"({"type":"Subscribe","channels":["prices:A")");
  auto error = client.expect<ErrorReply>();
  EXPECT_EQ(error.code, Errc::truncated) << error.message;
  EXPECT_NE(error.message.find("byte"), std::string::npos) << error.message;
  client.send_bytes(R"({"type":"Frobnicate"})");
  EXPECT_EQ(client.expect<ErrorReply>().code, Errc::unknown_message_type);
  client.send_bytes(R"({"type":"Heartbeat","timestamp":1})");  // a server's word
  EXPECT_EQ(client.expect<ErrorReply>().code, Errc::unknown_message_type);
  client.send_bytes("");
  (void)client.expect<ErrorReply>();
  client.send_bytes(R"({"type":"Subscribe","channels":[7]})");
  EXPECT_EQ(client.expect<ErrorReply>().code, Errc::wrong_type);
  client.send_bytes(R"({"type":"Subscribe","id":1})");
  error = client.expect<ErrorReply>();
  EXPECT_EQ(error.code, Errc::missing_member);
  EXPECT_TRUE(error.message.starts_with("'channels': ")) << error.message;
  EXPECT_EQ(server.stats().bad_messages, 6U);
  // Nothing else is lost.
  (void)client.subscribe({"prices:A"});
  ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
  EXPECT_EQ(client.expect_seq("prices:A"), 1U);
}

TEST(ServerSubscribe, PingsOfBothKindsAreAnswered) {
  Server server = open_server();
  TestClient client(server);
  client.raw().send_frame(transport::Opcode::ping, "payload \x01");
  const auto frame = client.raw().read_frame();
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->opcode, transport::Opcode::pong);
  EXPECT_EQ(frame->payload, "payload \x01");
  client.send(Ping{123});
  const auto pong = client.expect<Pong>();
  EXPECT_EQ(pong.t1, 123);
  EXPECT_GT(pong.t2, 0);
  EXPECT_GE(pong.t3, pong.t2);
}

TEST(ServerSubscribe, BroadcastReachesAll) {
  Server server = open_server();
  TestClient nothing(server);
  TestClient something(server, Speaks::msgpack);
  TestClient plain(server, Speaks::plain);
  (void)something.subscribe({"prices:A"});
  ASSERT_EQ(server.broadcast(price(4)), PublishStatus::ok);
  ASSERT_EQ(server.broadcast(account(5)), PublishStatus::ok);
  ASSERT_EQ(server.broadcast(Event{"Notice", {Codec::json, R"("hi")"}}), PublishStatus::ok);
  for (TestClient* const client : {&nothing, &something, &plain}) {
    const Message* const message = client->next();
    ASSERT_NE(message, nullptr);
    EXPECT_EQ(message->envelope, Envelope{});
    EXPECT_EQ(std::get<PriceUpdate>(message->body), price(4));
    EXPECT_EQ(client->expect<AccountUpdate>().slot, 5U);
    EXPECT_EQ(client->expect<Event>().type, "Notice");
    client->expect_silence();
  }
}

TEST(ServerSubscribe, HelloNamesTheConnection) {
  Server server = open_server();
  TestClient client(server);
  client.send(Hello{"strategy one"});
  client.expect_silence();
  const auto connections = server.connections(10);
  ASSERT_EQ(connections.size(), 1U);
  EXPECT_EQ(connections[0].name, "strategy one");
  EXPECT_EQ(connections[0].id, client.welcome().client_id);
  EXPECT_EQ(connections[0].protocol, "stratwire.v1.json");
  EXPECT_TRUE(connections[0].peer.starts_with("127.0.0.1:")) << connections[0].peer;
}

}  // namespace
}  // namespace stratwire::test
