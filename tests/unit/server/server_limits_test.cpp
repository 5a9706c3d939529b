// Every limit of a server, reached, and what a peer that breaks the rules is told.

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "harness.hpp"

namespace stratwire::test {
namespace {

/// The close frame that comes next, and then the end.
std::uint16_t close_code(TestClient& client) {
  const Message* const message = client.next();
  EXPECT_EQ(message, nullptr) << client.payload();
  if (!client.closed_by()) {
    ADD_FAILURE() << "no close frame";
    return 0;
  }
  EXPECT_FALSE(client.raw().read_frame());
  EXPECT_EQ(client.raw().last_read(), Read::ended);
  return static_cast<std::uint16_t>(client.closed_by()->code);
}

std::string masked_frame(char first, std::string_view payload) {
  std::string frame;
  transport::append_frame(frame, {transport::Opcode::text, transport::MaskKey{}}, payload);
  frame[0] = first;
  return frame;
}

TEST(ServerLimits, TooManyChannelsInOneRequestAreOneError) {
  Server server = open_server();
  TestClient client(server);
  std::string bytes = R"({"type":"Subscribe","id":3,"channels":[)";
  for (int i = 0; i < 10'000; ++i) bytes += R"("a",)";
  bytes.back() = ']';
  bytes += '}';
  ASSERT_LE(bytes.size(), limits::kInboundMessageBytesMax);
  client.send_bytes(bytes);
  const auto error = client.expect<ErrorReply>();
  EXPECT_EQ(error.id, 3U);
  EXPECT_EQ(error.code, Errc::too_many_channels);
  EXPECT_NE(error.message.find("10000"), std::string::npos) << error.message;
  EXPECT_NE(error.message.find("1024"), std::string::npos) << error.message;
  EXPECT_EQ(server.stats().refused_requests, 1U);
  client.expect_silence();
}

TEST(ServerLimits, TooManyChannelsOfOneConnectionAreRefusedOneByOne) {
  ServerConfig config = quiet_config();
  config.channels_per_connection_max = 3;
  Server server = open_server(config);
  TestClient client(server);
  (void)client.subscribe({"prices:A", "prices:B"});
  const auto answer = client.subscribe({"prices:A", "prices:C", "prices:D"});
  ASSERT_EQ(answer.results.size(), 3U);
  EXPECT_EQ(answer.results[0].code, Errc::ok);
  EXPECT_EQ(answer.results[1].code, Errc::ok);
  EXPECT_EQ(answer.results[2].code, Errc::too_many_channels);
  EXPECT_NE(answer.results[2].message.find("3 channels"), std::string::npos);
  (void)client.unsubscribe({"prices:A"});
  EXPECT_EQ(client.subscribe({"prices:D"}).results.at(0).code, Errc::ok);
}

TEST(ServerLimits, MessageOfTheLimitIsTakenAndOneMoreIs1009) {
  ServerConfig config = quiet_config();
  config.inbound_message_bytes_max = 1'000;
  Server server = open_server(config);
  TestClient client(server);
  std::string request = R"({"type":"Ping","t1":5})";
  request.append(1'000 - request.size(), ' ');
  client.send_bytes(request);
  EXPECT_EQ(client.expect<Pong>().t1, 5);
  client.send_bytes(request + " ");
  EXPECT_EQ(close_code(client), 1009);
  EXPECT_NE(client.closed_by()->payload.find("split the request"), std::string::npos)
      << client.closed_by()->payload;
  EXPECT_EQ(server.stats().protocol_violations, 1U);
}

TEST(ServerLimits, UnsubscribeOfMoreThanAConnectionHasIsOneError) {
  ServerConfig config = quiet_config();
  config.channels_per_connection_max = 3;
  Server server = open_server(config);
  TestClient client(server);
  (void)client.subscribe({"prices:A"});
  client.send(Unsubscribe{{"prices:A", "prices:B", "prices:C", "prices:D"}, 7});
  const auto error = client.expect<ErrorReply>();
  EXPECT_EQ(error.id, 7U);
  EXPECT_EQ(error.code, Errc::too_many_channels);
  EXPECT_EQ(client.unsubscribe({"prices:A", "prices:B", "prices:C"}).results.at(0).code, Errc::ok);
  EXPECT_EQ(server.stats().refused_requests, 3U);
}

TEST(ServerLimits, FragmentsAreJoinedBeforeTheyAreMeasured) {
  ServerConfig config = quiet_config();
  config.inbound_message_bytes_max = 1'000;
  Server server = open_server(config);
  TestClient client(server);
  const std::string half(600, ' ');
  client.raw().send_frame(transport::Opcode::text, half, transport::FrameHead::Fin::more);
  client.raw().send_frame(transport::Opcode::continuation, half);
  EXPECT_EQ(close_code(client), 1009);
}

TEST(ServerLimits, PeersThatBreakTheRulesAreToldHow) {
  struct Wrong {
    const char* what;
    std::string bytes;
    std::uint16_t code;
  };
  std::string unmasked;
  transport::append_frame(unmasked, {transport::Opcode::text}, R"({"type":"Ping","t1":5})");
  const std::vector<Wrong> wrongs = {
      {"not masked", unmasked, 1002},
      {"reserved bit", masked_frame('\xc1', "{}"), 1002},
      {"unknown opcode", masked_frame('\x83', "{}"), 1002},
      {"continuation of nothing", masked_frame('\x80', "{}"), 1002},
      {"fragmented ping", masked_frame('\x09', "x"), 1002},
      {"large ping", masked_frame('\x89', std::string(126, 'x')), 1002},
      {"not UTF-8", masked_frame('\x81', "\xff\xfe"), 1007},
      {"binary on JSON", masked_frame('\x82', "{}"), 1003},
      {"close code that may not be sent", masked_frame('\x88', "\x03\xed"), 1002},
      {"close with one byte", masked_frame('\x88', "\x03"), 1002},
  };
  for (const Wrong& wrong : wrongs) {
    SCOPED_TRACE(wrong.what);
    Server server = open_server();
    TestClient client(server);
    TestClient other(server);
    client.raw().send_bytes(wrong.bytes);
    if (wrong.code == 1003) {
      // Ours to end, in the ordinary way.
      EXPECT_EQ(client.next(), nullptr);
      ASSERT_TRUE(client.closed_by());
      EXPECT_EQ(static_cast<std::uint16_t>(client.closed_by()->code), 1003);
      client.raw().send_close(transport::CloseCode::unsupported_data);
      EXPECT_FALSE(client.raw().read_frame());
    } else {
      EXPECT_EQ(close_code(client), wrong.code);
    }
    EXPECT_FALSE(client.closed_by()->payload.empty()) << "no reason given";
    EXPECT_EQ(server.stats().protocol_violations, 1U);
    client.raw().close();
    eventually([&] { return server.stats().connections == 1; }, "the connection is gone");
    other.expect_silence();
  }
}

TEST(ServerLimits, TextOnMessagePackIs1003) {
  Server server = open_server();
  TestClient client(server, Speaks::msgpack);
  client.raw().send_frame(transport::Opcode::text, "{}");
  EXPECT_EQ(client.next(), nullptr);
  ASSERT_TRUE(client.closed_by());
  EXPECT_EQ(client.closed_by()->code, transport::CloseCode::unsupported_data);
}

TEST(ServerLimits, ACloseBehindAWrongMessageDoesNotHideTheCode) {
  Server server = open_server();
  TestClient client(server, Speaks::msgpack);
  client.raw().send_bytes(masked_frame('\x81', "{}") + masked_frame('\x88', "\x03\xe8"));
  EXPECT_EQ(close_code(client), 1003);
}

TEST(ServerLimits, WhatComesBehindAViolationIsSwallowed) {
  Server server = open_server();
  TestClient client(server);
  client.raw().send_bytes(masked_frame('\x83', "{}"));
  for (int i = 0; i < 100; ++i) client.raw().send_bytes(masked_frame('\x81', "{}"));
  EXPECT_EQ(close_code(client), 1002);
  EXPECT_EQ(server.stats().received_messages, 0U);
  EXPECT_EQ(server.stats().protocol_violations, 1U);
}

TEST(ServerLimits, FragmentsOfOneMessage) {
  Server server = open_server();
  TestClient client(server);
  std::string frames = masked_frame('\x01', "");
  for (std::size_t i = 0; i < limits::kFragmentsMax; ++i) frames += masked_frame('\x00', "");
  client.raw().send_bytes(frames);
  EXPECT_EQ(close_code(client), 1008);
}

TEST(ServerLimits, HandshakeThatIsNeverFinishedIsDropped) {
  ServerConfig config = quiet_config();
  config.handshake_timeout = 10ms;
  Server server = open_server(config);
  RawClient silent = RawClient::tcp(server.local_port());
  RawClient half = RawClient::tcp(server.local_port());
  ASSERT_TRUE(half.send_bytes("GET / HTTP/1.1\r\nHost: x\r\nUpgr"));
  EXPECT_EQ(silent.read_to_end(), "");
  EXPECT_EQ(half.read_to_end(), "");
  EXPECT_EQ(silent.last_read(), Read::ended);
  EXPECT_EQ(half.last_read(), Read::ended);
  EXPECT_EQ(server.stats().timeouts, 2U);
  eventually([&] { return server.stats().connections == 0; }, "both are gone");
}

TEST(ServerLimits, HeadOfMoreThan8KiBIs431) {
  Server server = open_server();
  RawClient raw = RawClient::tcp(server.local_port());
  ASSERT_TRUE(raw.send_bytes("GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + std::string(9'000, 'x')));
  // It goes on although it was refused: the answer must reach it all the same.
  std::string answer;
  for (int i = 0; i < 20; ++i) (void)raw.send_bytes(std::string(1'000, 'y'));
  answer = raw.read_to_end();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 431 ")) << answer;
  EXPECT_EQ(answer.find("HTTP/1.1", 5), std::string::npos) << "answered twice: " << answer;
  EXPECT_EQ(server.stats().handshakes_refused, 1U);
}

/// The answer to an upgrade that is refused.
std::string refused_upgrade(const Server& server) {
  const std::string request =
      "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  RawClient raw = RawClient::tcp(server.local_port());
  EXPECT_TRUE(raw.send_bytes(request));
  return raw.read_to_end();
}

TEST(ServerLimits, ConnectionsBeyondTheLimitAre503) {
  ServerConfig config = quiet_config();
  config.connections_max = 2;
  Server server = open_server(config);
  TestClient first(server);
  TestClient second(server);
  const std::string answer = refused_upgrade(server);
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 ")) << answer;
  EXPECT_NE(answer.find("full"), std::string::npos) << answer;
  EXPECT_EQ(server.stats().handshakes_refused, 1U);
  EXPECT_EQ(server.stats().connections, 2U);
  // Room again.
  first.raw().close();
  eventually([&] { return server.stats().connections == 1; }, "the first one is gone");
  TestClient fourth(server);
  fourth.expect_silence();
}

TEST(ServerLimits, UpgradesBeyondTheRateAreToldWhenToComeBack) {
  ServerConfig config = quiet_config();
  config.accepts_per_second = 1;
  config.accepts_burst = 2;
  Server server = open_server(config);
  TestClient first(server);
  TestClient second(server);
  const std::string third = refused_upgrade(server);
  EXPECT_TRUE(third.starts_with("HTTP/1.1 503 ")) << third;
  EXPECT_NE(third.find("\r\nRetry-After: 1\r\n"), std::string::npos) << third;
  EXPECT_NE(third.find("\r\nRetry-After-Ms: "), std::string::npos) << third;
  // Another one, another time.
  const std::string fourth = refused_upgrade(server);
  EXPECT_NE(fourth.find("\r\nRetry-After: 2\r\n"), std::string::npos) << fourth;
  EXPECT_EQ(server.stats().accepts_refused, 2U);
  // Pages are not upgrades: who watches the server still sees it.
  RawClient raw = RawClient::tcp(server.local_port());
  ASSERT_TRUE(raw.send_bytes("GET /health HTTP/1.1\r\nHost: x\r\n\r\n"));
  EXPECT_TRUE(raw.read_to_end().starts_with("HTTP/1.1 200 "));
}

TEST(ServerLimits, TheAnswerOfAFullServerReachesOneThatSentItsRequest) {
  // With the request unread the kernel would reset the connection and the answer might be lost.
  ServerConfig config = quiet_config();
  config.connections_max = 1;
  Server server = open_server(config);
  TestClient first(server);
  for (int i = 0; i < 20; ++i) {
    const std::string answer = refused_upgrade(server);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 503 ")) << answer;
    EXPECT_NE(answer.find("\r\nRetry-After-Ms: "), std::string::npos) << answer;
  }
  EXPECT_EQ(server.stats().connections, 1U);
  EXPECT_EQ(server.stats().handshakes_refused, 20U);
  EXPECT_EQ(server.stats().disconnected, 0U) << "they never were connections";
}

TEST(ServerLimits, AFullServerStillSaysHowItIs) {
  ServerConfig config = quiet_config();
  config.connections_max = 1;
  Server server = open_server(config);
  TestClient first(server);
  for (const std::string path : {"/health", "/stats"}) {
    RawClient raw = RawClient::tcp(server.local_port());
    ASSERT_TRUE(raw.send_bytes("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n"));
    const std::string answer = raw.read_to_end();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 ")) << path << ": " << answer;
  }
  EXPECT_EQ(server.stats().handshakes_refused, 0U);
  EXPECT_EQ(server.stats().connections, 1U);
}

TEST(ServerLimits, DeadPeerIsPingedThenDropped) {
  ServerConfig config = quiet_config();
  config.ping_interval = 200ms;
  Server server = open_server(config);
  TestClient dead(server);
  auto frame = dead.raw().read_frame();
  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->opcode, transport::Opcode::ping);
  // It never answers.
  EXPECT_FALSE(dead.raw().read_frame());
  EXPECT_EQ(dead.raw().last_read(), Read::ended);
  EXPECT_EQ(server.stats().timeouts, 1U);
}

TEST(ServerLimits, PeerThatAnswersPingsStays) {
  ServerConfig config = quiet_config();
  config.ping_interval = 300ms;
  Server server = open_server(config);
  TestClient alive(server);
  for (int i = 0; i < 3; ++i) {
    const auto frame = alive.raw().read_frame();
    ASSERT_TRUE(frame) << "dropped after " << i << " pings";
    ASSERT_EQ(frame->opcode, transport::Opcode::ping);
    alive.raw().send_frame(transport::Opcode::pong, frame->payload);
  }
  EXPECT_EQ(server.stats().timeouts, 0U);
}

TEST(ServerLimits, HeartbeatsArriveAndStopNothing) {
  ServerConfig config = quiet_config();
  config.heartbeat_interval = 50ms;
  for (const Speaks speaks : {Speaks::json, Speaks::msgpack}) {
    Server server = open_server(config);
    TestClient client(server, speaks);
    EXPECT_EQ(client.welcome().heartbeat_ms, 50U);
    client.want_heartbeats();
    std::int64_t last = 0;
    for (int i = 0; i < 3; ++i) {
      const auto beat = client.expect<Heartbeat>();
      EXPECT_GT(beat.timestamp, last);
      last = beat.timestamp;
    }
    client.send(Subscribe{{"prices:A"}, 1});
    while (!std::holds_alternative<Subscribed>(client.next()->body)) {
    }
    Oracle oracle;
    oracle.start("prices:A", 0);
    const std::size_t before = client.heartbeats();
    std::uint64_t sent = 0;
    while (client.heartbeats() < before + 2) {
      if (oracle.cursor("prices:A") == sent) {
        ASSERT_EQ(server.publish("prices:A", price(++sent)), PublishStatus::ok);
        const Message* message = client.next();
        while (std::holds_alternative<Heartbeat>(message->body)) message = client.next();
        oracle.see(*message);
      }
      const Message* const quiet = client.next();
      ASSERT_NE(quiet, nullptr);
      ASSERT_TRUE(std::holds_alternative<Heartbeat>(quiet->body));
    }
    EXPECT_EQ(oracle.received(), sent);
  }
}

}  // namespace
}  // namespace stratwire::test
