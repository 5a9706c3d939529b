// Several servers: failover, and the successor of one that leaves.
#include <algorithm>
#include <chrono>
#include <string>

#include <stratwire/client.hpp>
#include <stratwire/limits.hpp>

#include "../../support/silent_port.hpp"
#include "strategy.hpp"

namespace stratwire::testing {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kEpoch = 77;

INSTANTIATE_TEST_SUITE_P(Modes, ClientTest, kModes, mode_name);

class ServersTest : public ClientTest {
 protected:
  [[nodiscard]] ClientConfig both() const {
    ClientConfig config = this->config();
    config.urls = {other.url()};
    return config;
  }
  ScriptedPeer other{GetParam().codec};
};

INSTANTIATE_TEST_SUITE_P(Modes, ServersTest, kModes, mode_name);

TEST_P(ServersTest, TheNextOneIsTriedAtOnceAndResumesThere) {
  ClientConfig config = both();
  // Nobody waits for this: a failed try leads to the other server, not to the back-off.
  config.reconnect.first_delay_max = 1h;
  config.reconnect.delay_base = 1h;
  config.reconnect.delay_max = 1h;
  peer.stop_listening();
  Strategy strategy{peer, config};
  strategy.also(other);
  strategy.client.subscribe({"prices:A"}).value();
  other.greet_and_grant(kEpoch, 0);
  ASSERT_TRUE(strategy.hears("live #2"));
  EXPECT_TRUE(strategy.hears("backing_off #1 connect_failed"));
}

TEST_P(ServersTest, WhenTheOneGoesTheOtherGoesOnFromTheCursor) {
  Strategy strategy{peer, both()};
  strategy.also(other);
  ASSERT_TRUE(strategy.follows("prices:A", kEpoch));
  peer.stop_listening();
  peer.cut();
  other.greet(kEpoch);
  const auto request = other.expect<Subscribe>();
  EXPECT_EQ(request.since, (std::vector<ResumePoint>{{"prices:A", kEpoch, 1}}));
  other.grant_resumed(request, kEpoch, 2);
  other.price("prices:A", 2, 2);
  other.caught_up(request);
  ASSERT_TRUE(strategy.hears("prices:A 2 = 2"));
  EXPECT_EQ(strategy.client.metrics().gaps, 0u);
}

TEST_P(ServersTest, AListOfServersIsChecked) {
  const auto refused = [](ClientConfig config) { return Client::open(config).error(); };
  ClientConfig config = both();
  config.urls.push_back("http://x");
  EXPECT_EQ(refused(config).code, Errc::unsupported_scheme);
  config.urls.assign(limits::kUrlsMax, other.url());
  EXPECT_EQ(refused(config).code, Errc::invalid_config);
  EXPECT_NE(refused(config).context.find("64"), std::string::npos);
  config.urls.pop_back();
  EXPECT_TRUE(Client::open(config).ok());
  config.url.clear();
  EXPECT_TRUE(Client::open(config).ok()) << "one in the list is enough";
  config.urls.clear();
  EXPECT_EQ(refused(config).code, Errc::invalid_url);
}

TEST_P(ServersTest, ASuccessorTakesOverWithoutABreak) {
  Strategy strategy{peer, config()};
  strategy.also(other);
  const ChannelGate gate = strategy.client.gate("prices:A", {0ns, 0ns}).value();
  ASSERT_TRUE(strategy.follows("prices:A", kEpoch));
  peer.send(GoAway{5'000, 0, {"not a url", other.url()}});
  other.greet(kEpoch);
  const auto request = other.expect<Subscribe>();
  EXPECT_EQ(request.since, (std::vector<ResumePoint>{{"prices:A", kEpoch, 1}}));
  // Both bring what is published meanwhile; it comes once.
  peer.price("prices:A", 2, 2);
  ASSERT_TRUE(strategy.hears("prices:A 2 = 2"));
  EXPECT_TRUE(gate.open()) << "a hand-over is no reason to stop trading";
  other.grant_resumed(request, kEpoch, 2);
  other.price("prices:A", 2, 2);
  other.caught_up(request);
  EXPECT_EQ(peer.expect_close(), 1000);
  peer.send_close(1000);
  other.price("prices:A", 3, 3);
  ASSERT_TRUE(strategy.hears("prices:A 3 = 3"));
  EXPECT_TRUE(gate.open());
  const auto heard = strategy.take();
  EXPECT_EQ(std::count(heard.begin(), heard.end(), "prices:A 2 = 2"), 1);
  const auto is_break = [](const std::string& text) {
    return text.starts_with("backing_off") || text.starts_with("gap");
  };
  EXPECT_EQ(std::count_if(heard.begin(), heard.end(), is_break), 0);
  const auto metrics = strategy.client.metrics();
  EXPECT_EQ(metrics.handovers, 1u);
  EXPECT_EQ(metrics.connects, 2u);
  EXPECT_EQ(metrics.gaps, 0u);
  // And back again: the first server has room for another.
  other.send(GoAway{5'000, 0, {peer.url()}});
  peer.greet(kEpoch);
  const auto again = peer.expect<Subscribe>();
  peer.grant_resumed(again, kEpoch, 3);
  peer.caught_up(again);
  EXPECT_EQ(other.expect_close(), 1000);
  peer.price("prices:A", 4, 4);
  EXPECT_TRUE(strategy.hears("prices:A 4 = 4"));
  EXPECT_EQ(strategy.client.metrics().handovers, 2u);
}

TEST_P(ServersTest, AMessageThatIsUnderWayIsAnsweredBeforeTheHandOver) {
  Strategy strategy{peer, config()};
  strategy.also(other);
  peer.greet(kEpoch);
  ASSERT_TRUE(strategy.hears("live #1"));
  ASSERT_EQ(strategy.client.send("prices:A", PriceUpdate{"a", "b", 1, 2, 3}, 7), SendStatus::ok);
  const auto publish = peer.expect<Publish>();
  peer.send(GoAway{5'000, 0, {other.url()}});
  other.greet(kEpoch);
  // The successor has nothing to catch up with, and waits all the same.
  ASSERT_TRUE(eventually([&] {
    strategy.poll();
    return strategy.client.metrics().connects == 2;
  }));
  ASSERT_EQ(strategy.client.send("prices:A", PriceUpdate{"a", "b", 2, 2, 3}, 8), SendStatus::ok);
  peer.send(Published{publish.id, Errc::ok, ""});
  ASSERT_TRUE(strategy.hears("published 7 ok"));
  EXPECT_EQ(peer.expect_close(), 1000);
  const auto second = other.expect<Publish>();
  other.send(Published{second.id, Errc::ok, ""});
  EXPECT_TRUE(strategy.hears("published 8 ok"));
}

TEST_P(ServersTest, WhileASuccessorIsTriedEverythingElseGoesOn) {
  const SilentPort silent;
  ClientConfig patient = config();
  patient.connect_timeout = 1h;
  Strategy strategy{peer, patient};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  ASSERT_TRUE(strategy.hears("live #1"));
  peer.send(GoAway{5'000, 0, {"ws://127.0.0.1:" + std::to_string(silent.port())}});
  ASSERT_TRUE(strategy.hears("goaway"));
  // The try waits for ever; what comes, and what is asked for, does not wait for it.
  for (std::uint64_t seq = 1; seq <= 3; ++seq) {
    peer.price("prices:A", seq, 1);
    ASSERT_TRUE(strategy.hears("prices:A " + std::to_string(seq) + " = 1"));
  }
  strategy.client.subscribe({"prices:B"}).value();
  EXPECT_EQ(peer.expect<Subscribe>().channels, Lines{"prices:B"});
  EXPECT_EQ(strategy.client.metrics().connect_failures, 0u);
}

TEST_P(ServersTest, WithoutASuccessorTheClientStaysUntilTheEnd) {
  other.stop_listening();
  Strategy strategy{peer, config()};
  strategy.client.subscribe({"prices:A"}).value();
  peer.greet_and_grant(kEpoch, 0);
  ASSERT_TRUE(strategy.hears("live #1"));
  peer.send(GoAway{5'000, 0, {other.url()}});
  ASSERT_TRUE(eventually([&] {
    strategy.poll();
    return strategy.client.metrics().connect_failures == 1;
  }));
  peer.price("prices:A", 1, 1);
  EXPECT_TRUE(strategy.hears("prices:A 1 = 1"));
  EXPECT_EQ(strategy.client.state(), ClientState::live);
}

TEST_P(ServersTest, ClosingDuringAHandOverClosesOne) {
  Strategy strategy{peer, config()};
  strategy.also(other);
  peer.greet(kEpoch);
  ASSERT_TRUE(strategy.hears("live #1"));
  peer.send(GoAway{5'000, 0, {other.url()}});
  other.accept_silently();
  strategy.client.close();
  EXPECT_EQ(peer.expect_close(), 1000);
  peer.send_close(1000);
  ASSERT_TRUE(strategy.hears("closed #1"));
  other.expect_end();
}

// ---- Retry-After

struct Asked {
  const char* headers;
  std::chrono::milliseconds wait;
};

TEST_P(ClientTest, ARefusalThatNamesATimeIsHeeded) {
  for (const Asked& asked : {Asked{"Retry-After: 1\r\nRetry-After-Ms: 60000\r\n", 60'000ms},
                             Asked{"Retry-After: 7\r\n", 7'000ms}}) {
    ClientConfig config = this->config();
    config.reconnect.first_delay_max = 1ms;
    Strategy strategy{peer, config};
    peer.refuse_with("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n" +
                     std::string{asked.headers} + "\r\n");
    std::chrono::milliseconds told{0};
    ASSERT_TRUE(eventually([&] {
      strategy.client.poll([&](const Delivery& delivery) noexcept {
        const auto* const event = delivery.get_if<StateEvent>();
        if (event != nullptr && event->state == ClientState::backing_off) told = event->retry_in;
      });
      return told.count() != 0;
    }));
    EXPECT_EQ(told, asked.wait);
  }
}

}  // namespace
}  // namespace stratwire::testing
