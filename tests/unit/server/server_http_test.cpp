// The HTTP pages, and upgrades that are refused.

#include <string>

#include <gtest/gtest.h>

#include "harness.hpp"

namespace stratwire::test {
namespace {

std::string get(const Server& server, std::string_view target, std::string_view method = "GET") {
  RawClient raw = RawClient::tcp(server.local_port());
  EXPECT_TRUE(raw.send_bytes(std::string(method) + " " + std::string(target) +
                             " HTTP/1.1\r\nHost: x\r\n\r\n"));
  return raw.read_to_end();
}

std::string body_of(const std::string& response) {
  const std::size_t end = response.find("\r\n\r\n");
  return end == std::string::npos ? "" : response.substr(end + 4);
}

/// Whether a text is one JSON value: what the codec says of it as the value of an Event.
bool is_json(std::string_view text) {
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  std::string out;
  return transcode({Codec::json, text}, Codec::msgpack, out).ok();
}

TEST(ServerHttp, Health) {
  Server server = open_server();
  TestClient client(server);
  (void)client.subscribe({"prices:A"});
  const std::string response = get(server, "/health");
  EXPECT_TRUE(response.starts_with("HTTP/1.1 200 ")) << response;
  const std::string body = body_of(response);
  EXPECT_TRUE(is_json(body)) << body;
  EXPECT_NE(body.find(R"("status":"ok")"), std::string::npos) << body;
  EXPECT_NE(body.find(R"("subscribers":1)"), std::string::npos) << body;
  EXPECT_EQ(server.stats().http_requests, 1U);
  EXPECT_EQ(body_of(get(server, "/health", "HEAD")), "");
}

TEST(ServerHttp, StatsIsValidJsonWhateverAClientCallsItself) {
  ServerConfig config = quiet_config();
  config.io_threads = 2;
  Server server = open_server(config);
  TestClient first(server);
  std::string name = "\"\\\x01\n\t\x7f";
  // Ends in the middle of a character, wherever it is cut.
  for (int i = 0; i < 100; ++i) name += "é";
  first.send(Hello{name});
  first.expect_silence();
  TestClient second(server);
  second.send(Hello{"x" + name});
  second.expect_silence();
  ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
  eventually([&] { return server.stats().published == 1; }, "stamped");

  const std::string response = get(server, "/stats?x=1");
  EXPECT_TRUE(response.starts_with("HTTP/1.1 200 ")) << response;
  const std::string body = body_of(response);
  EXPECT_TRUE(is_json(body)) << body;
  EXPECT_NE(body.find(R"("published":1)"), std::string::npos) << body;
  EXPECT_NE(body.find(R"(\"\\\u0001\u000a)"), std::string::npos) << body;
  EXPECT_NE(body.find("stratwire.v1.json"), std::string::npos) << body;
}

TEST(ServerHttp, OtherPathsAre404WithAHint) {
  Server server = open_server();
  const std::string response = get(server, "/nothing");
  EXPECT_TRUE(response.starts_with("HTTP/1.1 404 ")) << response;
  EXPECT_NE(response.find("/stats"), std::string::npos) << response;
}

TEST(ServerHttp, OtherMethodsAreRefused) {
  Server server = open_server();
  RawClient raw = RawClient::tcp(server.local_port());
  ASSERT_TRUE(raw.send_bytes("POST /stats HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"));
  const std::string response = raw.read_to_end();
  EXPECT_TRUE(response.starts_with("HTTP/1.1 4")) << response;
  EXPECT_EQ(server.stats().handshakes_refused, 1U);
}

TEST(ServerHttp, PipelinedRequestsAreAnsweredOnce) {
  // The first answer says that the connection ends with it.
  Server server = open_server();
  for (const std::string_view page : {"/health", "/stats"}) {
    RawClient raw = RawClient::tcp(server.local_port());
    const std::string request = "GET " + std::string(page) + " HTTP/1.1\r\nHost: x\r\n\r\n";
    ASSERT_TRUE(raw.send_bytes(request));
    for (int i = 0; i < 20; ++i) (void)raw.send_bytes(request);
    const std::string response = raw.read_to_end();
    EXPECT_TRUE(response.starts_with("HTTP/1.1 200 ")) << response;
    EXPECT_EQ(response.find("HTTP/1.1", 5), std::string::npos) << response;
  }
  EXPECT_EQ(server.stats().http_requests, 2U);
}

TEST(ServerHttp, UnknownSubprotocolIs400WithBothLists) {
  Server server = open_server();
  RawClient raw = RawClient::tcp(server.local_port());
  EXPECT_FALSE(raw.upgrade({"chat", "soap.v3"}));
  EXPECT_NE(raw.refusal().find("chat, soap.v3"), std::string::npos) << raw.refusal();
  EXPECT_NE(raw.refusal().find("stratwire.v1.json"), std::string::npos) << raw.refusal();
  EXPECT_NE(raw.refusal().find("400"), std::string::npos) << raw.refusal();
  EXPECT_EQ(server.stats().handshakes_refused, 1U);
}

TEST(ServerHttp, TheFirstKnownSubprotocolIsEchoed) {
  Server server = open_server();
  RawClient raw = RawClient::tcp(server.local_port());
  ASSERT_TRUE(raw.upgrade({"chat", "stratwire.v1.msgpack", "stratwire.v1.json"}));
  EXPECT_EQ(raw.subprotocol(), "stratwire.v1.msgpack");
}

TEST(ServerHttp, BrokenUpgradesAreRefusedWithTheFault) {
  Server server = open_server();
  const std::string good =
      "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: ";
  for (const std::string& request :
       {good + "8\r\n\r\n", good + "13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        std::string("\x16\x03\x01\x02 this is TLS\r\n\r\n"), std::string("rubbish\r\n\r\n")}) {
    RawClient raw = RawClient::tcp(server.local_port());
    ASSERT_TRUE(raw.send_bytes(request));
    const std::string answer = raw.read_to_end();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 4")) << request << answer;
    EXPECT_FALSE(body_of(answer).empty()) << answer;
  }
  EXPECT_EQ(server.stats().handshakes_refused, 4U);
}

TEST(ServerHttp, AHalfClosedClientGetsItsPage) {
  Server server = open_server();
  for (const std::string_view page : {"/health", "/stats"}) {
    RawClient raw = RawClient::tcp(server.local_port());
    ASSERT_TRUE(raw.send_bytes("GET " + std::string(page) + " HTTP/1.1\r\nHost: x\r\n\r\n"));
    raw.shutdown();
    EXPECT_TRUE(raw.read_to_end().starts_with("HTTP/1.1 200 "));
  }
}

}  // namespace
}  // namespace stratwire::test
