// What a strategy's author sees of a scripted peer: a conversation, and a failure in words.

#include <chrono>
#include <cstdint>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stratwire/client.hpp>
#include <stratwire/testing/raw_client.hpp>
#include <stratwire/testing/scripted_peer.hpp>

namespace stratwire::testing {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;

constexpr const char* kChannel = "prices:SOL-USDC";

class ScriptedPeerTest : public ::testing::TestWithParam<ScriptedPeer::Family> {
 protected:
  /// What the peer finds wrong in `step`.
  template <class Step>
  static std::string failure_of(Step&& step) {
    try {
      step();
    } catch (const Failed& failed) {
      return failed.what();
    }
    return {};
  }

  ScriptedPeer peer{Codec::json, GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Family, ScriptedPeerTest,
                         ::testing::Values(ScriptedPeer::Family::tcp,
                                           ScriptedPeer::Family::unix_socket));

TEST_P(ScriptedPeerTest, HoldsAConversation) {
  Client client = Client::open({.url = peer.url()}).value();
  client.subscribe({kChannel}).value();
  peer.greet_and_grant(7, 0);
  peer.price(kChannel, 1, 142.25);
  EXPECT_EQ(client.receive_for<PriceUpdate>(kPatience)->price, 142.25);
  peer.send(Gap{7, 2, 4, Gap::Reason::slow_consumer}, {kChannel});
  EXPECT_EQ(client.receive_for<Gap>(kPatience)->to, 4u);
  peer.send_close(4200);
  EXPECT_EQ(peer.expect_close(), 4200);
}

TEST_P(ScriptedPeerTest, SaysWhatCameInsteadOfWhatItExpects) {
  Client client = Client::open({.url = peer.url()}).value();
  client.subscribe({kChannel}).value();
  peer.greet(7);
  EXPECT_THAT(failure_of([&] { (void)peer.expect<Unsubscribe>(); }),
              HasSubstr("another message came: {\"type\":\"Subscribe\""));
  peer.cut();
}

TEST_P(ScriptedPeerTest, SaysThatTheClientHasGone) {
  {
    Client client = Client::open({.url = peer.url()}).value();
    peer.greet(7);
    client.close();
    EXPECT_THAT(failure_of([&] { (void)peer.expect<Subscribe>(); }), HasSubstr("no message came"));
    peer.cut();
  }
  EXPECT_THAT(failure_of([&] {
                for (;;) peer.send_bytes("x");
              }),
              HasSubstr("the client has ended"));
}

}  // namespace
}  // namespace stratwire::testing
