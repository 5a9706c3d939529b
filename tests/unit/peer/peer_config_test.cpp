#include <functional>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "strategies.hpp"

namespace stratwire {
namespace {

using ::testing::HasSubstr;

std::string refused(const std::function<void(PeerConfig&)>& change) {
  PeerConfig config{.listen = "ws://127.0.0.1:0", .name = "alpha"};
  change(config);
  const auto opened = Peer::open(config);
  return opened.ok() ? "taken" : opened.error().message();
}

TEST(PeerConfig, EachSettingOutOfItsRangeIsRefusedByName) {
  using std::chrono::milliseconds;
  EXPECT_EQ(refused([](PeerConfig&) {}), "taken");
  EXPECT_THAT(refused([](PeerConfig& c) { c.dial = "ws://127.0.0.1:1"; }),
              HasSubstr("invalid_config: one of listen and dial"));
  EXPECT_THAT(refused([](PeerConfig& c) { c.listen = ""; }), HasSubstr("one of listen and dial"));
  EXPECT_THAT(refused([](PeerConfig& c) { c.name = ""; }), HasSubstr("name = '' is not possible"));
  EXPECT_THAT(refused([](PeerConfig& c) { c.name = std::string(65, 'x'); }), HasSubstr("name = "));
  EXPECT_THAT(refused([](PeerConfig& c) { c.name = "\xff"; }), HasSubstr("not UTF-8"));
  EXPECT_THAT(refused([](PeerConfig& c) { c.other = std::string(65, 'x'); }),
              HasSubstr("other = "));
  EXPECT_THAT(refused([](PeerConfig& c) { c.log.messages_max = 0; }),
              HasSubstr("log.messages_max = 0 is not possible; use 1 to"));
  EXPECT_THAT(refused([](PeerConfig& c) { c.log.bytes_max = std::size_t{2} << 30; }),
              HasSubstr("log.bytes_max"));
  EXPECT_THAT(refused([](PeerConfig& c) { c.log.age_max = milliseconds{0}; }),
              HasSubstr("log.age_max"));
  EXPECT_THAT(refused([](PeerConfig& c) { c.requests_max = 0; }), HasSubstr("requests_max"));
  EXPECT_THAT(refused([](PeerConfig& c) { c.requests_max = 65'537; }), HasSubstr("requests_max"));
  EXPECT_THAT(refused([](PeerConfig& c) { c.message_bytes_max = 100; }),
              HasSubstr("message_bytes_max"));
  EXPECT_THAT(refused([](PeerConfig& c) { c.connect_timeout = milliseconds{0}; }),
              HasSubstr("connect_timeout"));
  EXPECT_THAT(refused([](PeerConfig& c) { c.ping_interval = milliseconds{0}; }),
              HasSubstr("ping_interval"));
  EXPECT_THAT(refused([](PeerConfig& c) { c.reconnect.delay_max = milliseconds{-1}; }),
              HasSubstr("reconnect.delay_max"));
}

TEST(PeerConfig, UrlsAreChecked) {
  EXPECT_THAT(refused([](PeerConfig& c) { c.listen = "127.0.0.1:80"; }), HasSubstr("invalid_url"));
  EXPECT_THAT(refused([](PeerConfig& c) { c.listen = "wss://127.0.0.1:80"; }),
              HasSubstr("unsupported_scheme"));
  EXPECT_THAT(refused([](PeerConfig& c) {
                c.listen = "";
                c.dial = "ws://127.0.0.1:0";
              }),
              HasSubstr("port"));
}

TEST(PeerConfig, APortThatIsTakenIsSaid) {
  const Peer first = Peer::open({.listen = "ws://127.0.0.1:0", .name = "alpha"}).value();
  EXPECT_THAT(refused([&](PeerConfig& c) { c.listen = first.url(); }), HasSubstr("io_failed"));
}

TEST(PeerConfig, UrlSaysWhatToDial) {
  const Peer tcp = Peer::open({.listen = "ws://127.0.0.1:0", .name = "alpha"}).value();
  EXPECT_THAT(tcp.url(), ::testing::MatchesRegex("ws://127\\.0\\.0\\.1:[1-9][0-9]*/"));
  const std::string path = testing::socket_url();
  const Peer local = Peer::open({.listen = path, .name = "alpha"}).value();
  EXPECT_THAT(local.url(), HasSubstr(path));
}

}  // namespace
}  // namespace stratwire
