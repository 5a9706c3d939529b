#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stratwire/transport/handshake.hpp>

namespace stratwire::transport {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using Server = ServerHandshake::Step;
using Client = ClientHandshake::Step;

std::span<const char> bytes_of(std::string_view text) {
  return {text.data(), text.size()};
}

const std::vector<std::string> kFields = {"Host: feed.example:8080", "Upgrade: websocket",
                                          "Connection: Upgrade", "Sec-WebSocket-Version: 13",
                                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="};

/// A good request with changes: a field of the same name is replaced (by nothing if it has no
/// value), any other is added.
std::string request(const std::vector<std::string>& changes = {},
                    std::string_view line = "GET /path?a=b HTTP/1.1") {
  std::vector<std::string> fields = kFields;
  for (const std::string& change : changes) {
    const bool is_addition = change.starts_with('+');
    const std::string name = change.substr(0, change.find(':') + 1);
    bool replaced = false;
    for (std::string& field : fields) {
      if (is_addition || !field.starts_with(name)) continue;
      field = change == name ? "" : change;
      replaced = true;
    }
    if (!replaced) fields.push_back(is_addition ? change.substr(1) : change);
  }
  std::string out = std::string(line) + "\r\n";
  for (const std::string& field : fields) {
    if (!field.empty()) out += field + "\r\n";
  }
  return out + "\r\n";
}

Server feed(ServerHandshake& handshake, std::string_view text) {
  auto input = bytes_of(text);
  return handshake.feed(input);
}

// ---- Server: what is accepted

TEST(ServerHandshake, ExampleOfTheRfc) {
  ServerHandshake handshake;
  ASSERT_EQ(feed(handshake, request({"Sec-WebSocket-Protocol: chat, superchat",
                                     "Origin: http://example.com", "User-Agent: test"})),
            Server::upgrade);
  EXPECT_EQ(handshake.method(), "GET");
  EXPECT_EQ(handshake.path(), "/path");
  EXPECT_EQ(handshake.query(), "a=b");
  EXPECT_EQ(handshake.header("host"), "feed.example:8080");
  EXPECT_EQ(handshake.header("ORIGIN"), "http://example.com");
  EXPECT_EQ(handshake.header("User-Agent"), "test");
  EXPECT_EQ(handshake.header("Authorization"), "");
  EXPECT_THAT(handshake.subprotocols(), ElementsAre("chat", "superchat"));
  EXPECT_EQ(handshake.accept("chat"),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
            "Sec-WebSocket-Protocol: chat\r\n\r\n");
  EXPECT_THAT(handshake.accept(""), Not(HasSubstr("Protocol:")));
}

TEST(ServerHandshake, FormsThatAreAllowed) {
  const std::vector<std::string> table = {
      request({"Connection: keep-alive, Upgrade"}),
      request({"Connection: keep-alive", "+Connection: upgrade"}),
      request({"Upgrade: WebSocket"}),
      request({"Content-Length: 0"}),
      request({"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"}),
      // RFC 6455 1.3's own kind of key, with bits set that base64 does not use.
      request({"Sec-WebSocket-Key: AQIDBAUGBwgJCgsMDQ4PEC=="}),
      request({}, "GET http://feed.example:8080/path HTTP/1.1"),
      request({}, "GET ws://feed.example:8080 HTTP/1.1"),
  };
  for (const std::string& text : table) {
    ServerHandshake handshake;
    EXPECT_EQ(feed(handshake, text), Server::upgrade) << text << handshake.refusal_text();
  }
}

TEST(ServerHandshake, SubprotocolsOfSeveralFieldsKeepTheirOrder) {
  ServerHandshake handshake;
  ASSERT_EQ(
      feed(handshake, request({"+Sec-WebSocket-Protocol: a,b", "+Sec-WebSocket-Protocol: c"})),
      Server::upgrade);
  EXPECT_THAT(handshake.subprotocols(), ElementsAre("a", "b", "c"));
}

TEST(ServerHandshake, AbsoluteTargetIsSplitToo) {
  ServerHandshake handshake;
  ASSERT_EQ(feed(handshake, request({}, "GET http://host:80/p?q HTTP/1.1")), Server::upgrade);
  EXPECT_EQ(handshake.path(), "/p");
  EXPECT_EQ(handshake.query(), "q");
}

TEST(ServerHandshake, QueryValuesAreDecoded) {
  ServerHandshake handshake;
  ASSERT_EQ(feed(handshake, request({}, "GET /?a=1&token=x%2Fy+z%&empty=&flag&a=2 HTTP/1.1")),
            Server::upgrade);
  EXPECT_EQ(handshake.query_value("a"), "1");
  EXPECT_EQ(handshake.query_value("token"), "x/y z%");
  EXPECT_EQ(handshake.query_value("empty"), "");
  EXPECT_EQ(handshake.query_value("flag"), "");
  EXPECT_EQ(handshake.query_value("none"), std::nullopt);
}

TEST(ServerHandshake, WhatFollowsTheHeadIsLeft) {
  ServerHandshake handshake;
  const std::string text = request() + "\x81\x80 frames";
  auto input = bytes_of(text);
  ASSERT_EQ(handshake.feed(input), Server::upgrade);
  EXPECT_EQ(std::string_view(input.data(), input.size()), "\x81\x80 frames");
  ASSERT_EQ(handshake.feed(input), Server::upgrade);
  EXPECT_EQ(input.size(), 9U);
}

TEST(ServerHandshake, PlainRequestIsAnswered) {
  for (const std::string version : {"HTTP/1.0", "HTTP/1.1"}) {
    ServerHandshake handshake;
    ASSERT_EQ(feed(handshake, "GET /health?x " + version + "\r\nHost: h\r\n\r\n"),
              Server::http_request);
    EXPECT_EQ(handshake.path(), "/health");
    EXPECT_EQ(handshake.respond(200, "application/json", "{}"),
              "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n"
              "Content-Length: 2\r\n\r\n{}");
  }
}

TEST(ServerHandshake, HeadGetsTheHeadOnly) {
  ServerHandshake handshake;
  ASSERT_EQ(feed(handshake, "HEAD /health HTTP/1.0\r\n\r\n"), Server::http_request);
  const std::string response = handshake.respond(200, "text/plain", "fine");
  EXPECT_THAT(response, HasSubstr("Content-Length: 4\r\n"));
  EXPECT_THAT(response, testing::EndsWith("\r\n\r\n"));
}

TEST(ServerHandshake, OtherUpgradesAreOrdinaryRequests) {
  ServerHandshake handshake;
  EXPECT_EQ(feed(handshake,
                 "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\n"
                 "Connection: Upgrade, HTTP2-Settings\r\n\r\n"),
            Server::http_request);
}

// ---- Server: what is refused

struct Refused {
  std::string text;
  unsigned status;
  std::string reason;
};

std::vector<Refused> refused_requests() {
  using namespace std::string_literals;
  return {
      {request({"Host:"}), 400, "no Host"},
      {request({"+Host: other"}), 400, "more than one Host"},
      {request({"Upgrade:"}), 400, "no Upgrade"},
      {request({"+Upgrade: websocket"}), 400, "more than one Upgrade"},
      {request({"Upgrade: h2c"}), 400, "Upgrade is 'h2c'"},
      {request({"Connection:"}), 400, "Connection: Upgrade"},
      {request({"Connection: keep-alive"}), 400, "Connection: Upgrade"},
      {request({"Sec-WebSocket-Key:"}), 400, "no Sec-WebSocket-Key"},
      {request({"Sec-WebSocket-Key: "}), 400, "16 random bytes"},
      {request({"Sec-WebSocket-Key: short"}), 400, "Sec-WebSocket-Key is 'short'"},
      {request({"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=A"}), 400, "16 random bytes"},
      {request({"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j*Q=="}), 400, "16 random bytes"},
      {request({"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA"}), 400, "16 random bytes"},
      {request({"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAAAA=="}), 400, "16 random bytes"},
      {request({"+Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}), 400, "more than one"},
      {request({"Sec-WebSocket-Version:"}), 400, "no Sec-WebSocket-Version"},
      {request({"+Sec-WebSocket-Version: 13"}), 400, "more than one Sec-WebSocket-Version"},
      {request({"Sec-WebSocket-Version: 8"}), 426, "send 13"},
      {request({"Sec-WebSocket-Version: 13, 8"}), 426, "send 13"},
      {request({"Content-Length: 5"}), 400, "announces a body"},
      {request({"Transfer-Encoding: chunked"}), 400, "announces a body"},
      {request({"Sec-WebSocket-Protocol: a b"}), 400, "'a b', which is no token"},
      {request({"Sec-WebSocket-Protocol: a,,b"}), 400, "no token"},
      {request({"Sec-WebSocket-Protocol: a, b, a"}), 400, "'a' twice"},
      {request({}, "POST / HTTP/1.1"), 405, "use GET"},
      {request({}, "GET / HTTP/1.0"), 400, "use HTTP/1.1"},
      {request({}, "GET / HTTP/2.0"), 400, "malformed"},
      {request({}, "GET /#part HTTP/1.1"), 400, "'/#part'"},
      {request({}, "GET * HTTP/1.1"), 400, "starts with '/'"},
      {request({}, "GET host:80 HTTP/1.1"), 400, "starts with '/'"},
      {request({}, "GET /\x01 HTTP/1.1"), 400, "malformed"},
      {request({}, "GET  HTTP/1.1"), 400, "malformed"},
      {request({"Bad Name: x"}), 400, "malformed"},
      {request({"+No-Colon"}), 400, "malformed"},
      {"DELETE / HTTP/1.1\r\nHost: h\r\n\r\n", 405, "'DELETE'; use GET or HEAD"},
      {"GET / HTTP/1.1\nHost: h\n\n", 400, "CR LF"},
      {"GET / HTTP/1.1\r\nHost: h\n\r\n", 400, "CR LF"},
      {"\x16\x03\x01\x02"s, 400, "without TLS"},
      {"\r\n", 400, "not an HTTP request"},
      {"\x81\x85", 400, "not an HTTP request"},
      {"GET /" + std::string(kHandshakeBytesMax, 'x'), 431, "8192 bytes"},
      {request({"X-Large: " + std::string(kHandshakeBytesMax, 'x')}), 431, "8192 bytes"},
  };
}

TEST(ServerHandshake, RefusalNamesFaultAndCureAtEveryCut) {
  for (const Refused& one : refused_requests()) {
    SCOPED_TRACE(one.text.substr(0, 300));
    const std::size_t step = one.text.size() > 1000 ? 997 : 1;
    for (std::size_t at = 0; at <= one.text.size(); at += step) {
      ServerHandshake handshake;
      if (feed(handshake, one.text.substr(0, at)) == Server::need_more) {
        ASSERT_EQ(feed(handshake, one.text.substr(at)), Server::refused) << "cut at " << at;
      }
      ASSERT_EQ(handshake.refusal_status(), one.status) << handshake.refusal_text();
      ASSERT_THAT(handshake.refusal_text(), HasSubstr(one.reason)) << "cut at " << at;
    }
  }
}

TEST(ServerHandshake, RefusalIsAWholeResponse) {
  ServerHandshake handshake;
  ASSERT_EQ(feed(handshake, request({"Sec-WebSocket-Version: 8"})), Server::refused);
  EXPECT_EQ(handshake.refusal(),
            "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Connection: Upgrade, close\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Length: 38\r\n\r\nSec-WebSocket-Version is '8'; send 13\n");
}

TEST(ServerHandshake, MethodNotAllowedNamesThoseThatAre) {
  ServerHandshake handshake;
  ASSERT_EQ(feed(handshake, "PUT / HTTP/1.1\r\nHost: h\r\n\r\n"), Server::refused);
  EXPECT_THAT(handshake.refusal(), HasSubstr("Allow: GET, HEAD\r\n"));
}

TEST(ServerHandshake, LargestHeadIsTaken) {
  const std::size_t used = request({"X: "}).size();
  const std::string largest = request({"X: " + std::string(kHandshakeBytesMax - used, 'x')});
  ASSERT_EQ(largest.size(), kHandshakeBytesMax);
  ServerHandshake handshake;
  EXPECT_EQ(feed(handshake, largest), Server::upgrade) << handshake.refusal_text();
  ServerHandshake next;
  EXPECT_EQ(feed(next, request({"X: " + std::string(kHandshakeBytesMax - used + 1, 'x')})),
            Server::refused);
}

TEST(ServerHandshake, GoodRequestByteByByte) {
  const std::string text = request({"Sec-WebSocket-Protocol: chat"});
  ServerHandshake handshake;
  for (std::size_t i = 0; i + 1 < text.size(); ++i) {
    ASSERT_EQ(feed(handshake, text.substr(i, 1)), Server::need_more) << i;
  }
  EXPECT_EQ(feed(handshake, "\n"), Server::upgrade);
  EXPECT_THAT(handshake.subprotocols(), ElementsAre("chat"));
}

// ---- Client

const Url kUrl{.host = "feed.example", .port = 8080, .target = "/live?x=1"};
constexpr ClientHandshake::Key kKey = {'t', 'h', 'e', ' ', 's', 'a', 'm', 'p',
                                       'l', 'e', ' ', 'n', 'o', 'n', 'c', 'e'};

ClientHandshake client(std::vector<std::string_view> subprotocols = {"a", "b"}) {
  return {kUrl, subprotocols, kKey};
}

Client feed(ClientHandshake& handshake, std::string_view text) {
  auto input = bytes_of(text);
  return handshake.feed(input);
}

std::string response(const std::string& more = "",
                     const std::string& accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") {
  return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Accept: " +
         accept + "\r\n" + more + "\r\n";
}

TEST(ClientHandshake, RequestHasWhatTheRfcWants) {
  const ClientHandshake handshake = client();
  EXPECT_EQ(handshake.request(),
            "GET /live?x=1 HTTP/1.1\r\nHost: feed.example:8080\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nUser-Agent: stratwire\r\n"
            "Sec-WebSocket-Protocol: a, b\r\n\r\n");
  const ClientHandshake without = client({});
  EXPECT_THAT(std::string(without.request()), Not(HasSubstr("Protocol")));
}

TEST(ClientHandshake, KeysOfItsOwnDiffer) {
  const ClientHandshake first(kUrl, {});
  const ClientHandshake second(kUrl, {});
  EXPECT_NE(first.request(), second.request());
}

TEST(ClientHandshake, OurServerAcceptsIt) {
  const std::vector<std::string_view> offers = {"stratwire.v1.json", "stratwire.v1.msgpack"};
  ClientHandshake client_side(kUrl, offers);
  ServerHandshake server_side;
  ASSERT_EQ(feed(server_side, client_side.request()), Server::upgrade);
  EXPECT_THAT(server_side.subprotocols(), ElementsAre(offers[0], offers[1]));
  ASSERT_EQ(feed(client_side, server_side.accept(offers[1])), Client::upgraded);
  EXPECT_EQ(client_side.subprotocol(), "stratwire.v1.msgpack");
}

TEST(ClientHandshake, UpgradedAtEveryCutAndLeavesTheRest) {
  const std::string text = response("Sec-WebSocket-Protocol: b\r\nServer: x\r\n");
  for (std::size_t at = 0; at <= text.size(); ++at) {
    ClientHandshake handshake = client();
    if (at < text.size()) {
      ASSERT_EQ(feed(handshake, text.substr(0, at)), Client::need_more);
    }
    const std::string rest = text.substr(at < text.size() ? at : 0) + "frames";
    auto input = bytes_of(rest);
    ASSERT_EQ(handshake.feed(input), Client::upgraded) << handshake.error().text;
    EXPECT_EQ(handshake.subprotocol(), "b");
    EXPECT_EQ(handshake.http_status(), 101U);
    EXPECT_EQ(std::string_view(input.data(), input.size()), "frames");
  }
}

TEST(ClientHandshake, ServerMayChooseNoSubprotocol) {
  ClientHandshake handshake = client();
  EXPECT_EQ(feed(handshake, response()), Client::upgraded);
  EXPECT_THAT(handshake.subprotocol(), IsEmpty());
}

struct Failed {
  std::string text;
  Errc code;
  std::string reason;
};

std::vector<Failed> failed_responses() {
  return {
      {response("", "wrong"), Errc::invalid_handshake, "Sec-WebSocket-Accept 'wrong'"},
      {response("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), Errc::invalid_handshake,
       "Sec-WebSocket-Accept"},
      {response("Sec-WebSocket-Protocol: c\r\n"), Errc::subprotocol_refused, "'c'"},
      {response("Sec-WebSocket-Protocol: a, b\r\n"), Errc::subprotocol_refused, "'a, b'"},
      {response("Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n"),
       Errc::invalid_handshake, "more than one subprotocol"},
      {response("Sec-WebSocket-Extensions: permessage-deflate\r\n"), Errc::invalid_handshake,
       "'permessage-deflate'"},
      {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", Errc::invalid_handshake,
       "without 'Upgrade: websocket'"},
      {"HTTP/1.1 101 OK\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", Errc::invalid_handshake,
       "without 'Upgrade: websocket'"},
      {response("").replace(0, 8, "HTTP/1.0"), Errc::invalid_handshake, "101 in HTTP/1.0"},
      {"HTTP/1.1 404 Not Found\r\nContent-Length: 13\r\n\r\nno such page\n", Errc::not_websocket,
       "answered HTTP 404 Not Found: no such page (check the path)"},
      {"HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\n\r\nfault", Errc::not_websocket,
       "HTTP 400 Bad Request: fault"},
      {"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nfault\n\r\n0\r\n\r\n",
       Errc::not_websocket, "HTTP 400 Bad: fault"},
      {"HTTP/1.1 301 Moved\r\nLocation: ws://b/\r\nContent-Length: 0\r\n\r\n", Errc::not_websocket,
       "Location 'ws://b/'"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + std::string(600, 'x'),
       Errc::not_websocket, "xxx... (a web server"},
      {"HTTP/1.0 503 Busy\r\n\r\nline one\r\nline two\r\n", Errc::not_websocket,
       "503 Busy: line one (try again later)"},
      {"HTTP/1.1 204 No Content\r\n\r\n", Errc::not_websocket, "HTTP 204 No Content ("},
      {"HTTP/1.1 4x4 Odd\r\n\r\n", Errc::not_websocket, "malformed HTTP"},
      {"HTTP/1.1 101 OK\nUpgrade: websocket\n\n", Errc::not_websocket, "LF alone"},
      {"SSH-2.0-OpenSSH_9.2\r\n", Errc::not_websocket, "does not speak HTTP"},
      {"-ERR unknown command\r\n", Errc::not_websocket, "check the port"},
      {"HTTP/1.1 101 OK\r\nX: " + std::string(kHandshakeBytesMax, 'x'), Errc::too_large,
       "more than 8192 bytes"},
  };
}

TEST(ClientHandshake, FailureNamesUrlFaultAndCureAtEveryCut) {
  for (const Failed& one : failed_responses()) {
    SCOPED_TRACE(one.text.substr(0, 300));
    const std::size_t step = one.text.size() > 1000 ? 997 : 1;
    for (std::size_t at = 0; at <= one.text.size(); at += step) {
      ClientHandshake handshake = client();
      if (feed(handshake, one.text.substr(0, at)) == Client::need_more) {
        ASSERT_EQ(feed(handshake, one.text.substr(at)), Client::failed) << "cut at " << at;
      }
      ASSERT_EQ(handshake.error().code, one.code) << handshake.error().text;
      ASSERT_THAT(handshake.error().text, HasSubstr(one.reason));
      ASSERT_THAT(handshake.error().text, StartsWith("ws://feed.example:8080/live?x=1 "));
    }
  }
}

TEST(ClientHandshake, EndOfStreamFailsAtEveryByte) {
  const std::string text = response();
  for (std::size_t at = 0; at < text.size(); ++at) {
    ClientHandshake handshake = client();
    ASSERT_EQ(feed(handshake, text.substr(0, at)), Client::need_more);
    ASSERT_EQ(handshake.end_of_stream(), Client::failed);
    ASSERT_EQ(handshake.error().code, Errc::connection_lost);
  }
}

TEST(ClientHandshake, EndOfStreamEndsABodyWithoutLength) {
  ClientHandshake handshake = client();
  ASSERT_EQ(feed(handshake, "HTTP/1.1 403 Forbidden\r\n\r\nnot you"), Client::need_more);
  EXPECT_EQ(handshake.end_of_stream(), Client::failed);
  EXPECT_EQ(handshake.error().code, Errc::not_websocket);
  EXPECT_EQ(handshake.http_status(), 403U);
  EXPECT_THAT(handshake.error().text, HasSubstr("403 Forbidden: not you (check the credentials"));
}

TEST(ClientHandshake, TheTimeToTheNextTryIsRead) {
  struct Case {
    const char* fields;
    std::int64_t wait_ms;
  };
  for (const Case& one :
       std::initializer_list<Case>{{"", 0},
                                   {"Retry-After: 3\r\n", 3'000},
                                   {"Retry-After: 3\r\nRetry-After-Ms: 250\r\n", 250},
                                   {"retry-after-ms: 40\r\n", 40},
                                   {"Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n", 0},
                                   {"Retry-After: -1\r\n", 0},
                                   {"Retry-After: 5 s\r\n", 0},
                                   {"Retry-After-Ms: x\r\nRetry-After: 2\r\n", 2'000},
                                   {"Retry-After: 4000\r\n", 3'600'000},
                                   {"Retry-After: 99999999999999999999\r\n", 3'600'000}}) {
    SCOPED_TRACE(one.fields);
    ClientHandshake handshake = client();
    EXPECT_EQ(handshake.retry_after().count(), 0);
    const std::string head = "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n";
    ASSERT_EQ(feed(handshake, head + one.fields + "\r\n"), Client::failed);
    EXPECT_EQ(handshake.retry_after().count(), one.wait_ms);
  }
}

}  // namespace
}  // namespace stratwire::transport
