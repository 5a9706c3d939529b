// Producers: inside the process and over the network.

#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "harness.hpp"

namespace stratwire::test {
struct Fill {
  double price = 0;
  std::string note{};
};
STRATWIRE_DESCRIBE(Fill, price, note)

namespace {

TEST(ServerPublish, RefusesWhatHasNoForm) {
  Server server = open_server();
  Publisher prices = server.publisher("prices:A");
  PriceUpdate update = price();
  update.price = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(prices.publish(update), PublishStatus::refused);
  update.price = std::numeric_limits<double>::infinity();
  EXPECT_EQ(prices.publish(update), PublishStatus::refused);
  EXPECT_EQ(server.broadcast(update), PublishStatus::refused);
  update = price();
  update.input_mint = "\xff\xfe";
  EXPECT_EQ(prices.publish(update), PublishStatus::refused);
  EXPECT_EQ(prices.publish(AccountUpdate{.pubkey = "\xc0\x80"}), PublishStatus::refused);
  EXPECT_EQ(prices.publish(Event{"\x80", {}}), PublishStatus::refused);
  EXPECT_EQ(prices.publish(Event{"x", {Codec::json, "\"\xff\""}}), PublishStatus::refused);
  const std::string large(256 * 1024, 'x');
  EXPECT_EQ(prices.publish(AccountUpdate{.pubkey = large + "x"}), PublishStatus::refused);
  EXPECT_EQ(prices.publish(Event{"x", {Codec::json, large}}), PublishStatus::refused);
  EXPECT_EQ(prices.publish(Fill{std::nan(""), ""}), PublishStatus::refused);
  // What every reader would have to be told of as a Gap.
  for (const char* const data : {"", "{bad", "1,\"seq\":99", "NaN", "\"\\ud800\"", "1 2"}) {
    EXPECT_EQ(prices.publish(Event{"x", {Codec::json, data}}), PublishStatus::refused) << data;
  }
  EXPECT_EQ(prices.publish(Event{"x", {Codec::msgpack, "\x92\x01"}}), PublishStatus::refused);
  const ServerStats stats = server.stats();
  EXPECT_EQ(stats.publish_refused, 17U);
  EXPECT_EQ(stats.published, 0U);
}

TEST(ServerPublish, TakesTheLargestThatItSays) {
  Server server = open_server();
  TestClient client(server);
  (void)client.subscribe({"accounts:A"});
  const std::string large(256 * 1024, 'x');
  ASSERT_EQ(server.publish("accounts:A", AccountUpdate{.pubkey = large}), PublishStatus::ok);
  EXPECT_EQ(client.expect<AccountUpdate>().pubkey, large);
}

TEST(ServerPublish, LargerThanAClientTakesIsAGap) {
  // 256 KiB of control characters are 1.5 MiB of JSON, which no client takes.
  Server server = open_server();
  TestClient json(server);
  TestClient msgpack(server, Speaks::msgpack);
  (void)json.subscribe({"accounts:A"});
  (void)msgpack.subscribe({"accounts:A"});
  const std::string large(256 * 1024, '\x01');
  ASSERT_EQ(server.publish("accounts:A", AccountUpdate{.pubkey = large}), PublishStatus::ok);
  EXPECT_EQ(json.expect<Gap>().reason, Gap::Reason::upstream);
  EXPECT_EQ(msgpack.expect<AccountUpdate>().pubkey, large);
}

TEST(ServerPublish, ABadNameRefusesEverythingAndSaysWhy) {
  Server server = open_server();
  for (const std::string& name :
       {std::string(), std::string("prices:*"), std::string("prices:a b"), std::string(129, 'x')}) {
    Publisher publisher = server.publisher(name);
    EXPECT_EQ(publisher.error().code, Errc::invalid_channel_name) << name;
    EXPECT_EQ(publisher.publish(price()), PublishStatus::refused) << name;
    EXPECT_EQ(publisher.channel(), "");
  }
  EXPECT_EQ(server.stats().publish_refused, 4U);
  const Publisher good = server.publisher("prices:A");
  EXPECT_EQ(good.error().code, Errc::ok);
  EXPECT_EQ(good.channel(), "prices:A");
}

TEST(ServerPublish, SaysWhenTheServerHasItsChannels) {
  ServerConfig config = quiet_config();
  config.channels_max = 3;
  Server server = open_server(config);
  TestClient client(server);
  // Names that clients invent take no room from publishers.
  const Subscribed answer =
      client.subscribe({"prices:A", "prices:B", "prices:C", "prices:D", "prices:*", "prices:A"});
  for (const ChannelResult& result : answer.results) EXPECT_EQ(result.code, Errc::ok);
  EXPECT_EQ(server.stats().channels, 0U);
  EXPECT_EQ(server.connections(1).at(0).channels, 5U);
  for (const std::string name : {"prices:C", "prices:F", "prices:G"}) {
    EXPECT_EQ(server.publisher(name).error().code, Errc::ok) << name;
  }
  Publisher late = server.publisher("prices:H");
  EXPECT_EQ(late.error().code, Errc::too_many_channels);
  EXPECT_EQ(late.publish(price()), PublishStatus::refused);
  // Those that are there go on.
  ASSERT_EQ(server.publish("prices:C", price()), PublishStatus::ok);
  EXPECT_EQ(client.expect_seq("prices:C"), 1U);
  EXPECT_EQ(client.unsubscribe({"prices:A", "prices:B", "prices:C", "prices:*"}).results.size(),
            4U);
  ASSERT_EQ(server.publish("prices:C", price()), PublishStatus::ok);
  client.expect_silence();
}

TEST(ServerPublish, ANameThatWasSubscribedBecomesAChannelWhenItIsPublished) {
  Server server = open_server();
  TestClient by_name(server);
  TestClient by_kind(server);
  TestClient gone(server);
  (void)by_name.subscribe({"prices:A"});
  (void)by_kind.subscribe({"prices:*"});
  (void)gone.subscribe({"prices:A"});
  (void)gone.unsubscribe({"prices:A"});
  ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
  EXPECT_EQ(by_name.expect_seq("prices:A"), 1U);
  EXPECT_EQ(by_kind.expect_seq("prices:A"), 1U);
  gone.expect_silence();
  (void)by_name.unsubscribe({"prices:A"});
  ASSERT_EQ(server.publish("prices:A", price()), PublishStatus::ok);
  by_name.expect_silence();
  EXPECT_EQ(by_kind.expect_seq("prices:A"), 2U);
}

TEST(ServerPublish, DescribedStructsTravelAsEvents) {
  Server server = open_server();
  TestClient client(server);
  (void)client.subscribe({"trades:A"});
  ASSERT_EQ(server.publish("trades:A", Fill{1.5, "x"}), PublishStatus::ok);
  const auto event = client.expect<Event>();
  EXPECT_EQ(event.type, "Fill");
  EXPECT_EQ(event.data.bytes, R"({"price":1.5,"note":"x"})");
  ASSERT_EQ(server.broadcast(Fill{2.5, "y"}), PublishStatus::ok);
  EXPECT_EQ(client.expect<Event>().data.bytes, R"({"price":2.5,"note":"y"})");
  EXPECT_EQ(server.broadcast(Fill{std::nan(""), ""}), PublishStatus::refused);
}

TEST(ServerPublish, ABroadcastWithoutFormInOneCodecIsCounted) {
  Server server = open_server();
  TestClient json(server);
  TestClient msgpack(server, Speaks::msgpack);
  const std::string binary("\xc4\x02\x00\x01", 4);
  ASSERT_EQ(server.broadcast(Event{"Blob", {Codec::msgpack, binary}}), PublishStatus::ok);
  EXPECT_EQ(msgpack.expect<Event>().data.bytes, binary);
  json.expect_silence();
  EXPECT_EQ(server.stats().not_encodable, 1U);
}

TEST(ServerPublish, NoFormInOneCodecIsAGapThere) {
  Server server = open_server();
  TestClient json(server);
  TestClient msgpack(server, Speaks::msgpack);
  TestClient plain(server, Speaks::plain);
  (void)json.subscribe({"events:A"});
  (void)msgpack.subscribe({"events:A"});
  plain.send(Subscribe{{"events:A"}, 0});
  plain.expect_silence();
  const std::string binary("\xc4\x02\x00\x01", 4);
  ASSERT_EQ(server.publish("events:A", Event{"Blob", {Codec::msgpack, binary}}), PublishStatus::ok);
  ASSERT_EQ(server.publish("events:A", price()), PublishStatus::ok);
  // The value as it came.
  EXPECT_EQ(msgpack.expect<Event>().data.bytes, binary);
  EXPECT_EQ(msgpack.expect_seq("events:A"), 2U);
  const Gap gap = json.expect<Gap>();
  EXPECT_EQ(gap, (Gap{server.stats().epoch, 1, 1, Gap::Reason::upstream}));
  EXPECT_EQ(server.stats().not_encodable, 1U);
  EXPECT_EQ(json.expect_seq("events:A"), 2U);
  EXPECT_EQ(plain.expect_seq("events:A"), 2U);
}

TEST(ServerPublish, SayWhatTheStatusIs) {
  EXPECT_EQ(to_string(PublishStatus::ok), "ok");
  EXPECT_EQ(to_string(PublishStatus::back_pressured), "back_pressured");
  EXPECT_EQ(to_string(PublishStatus::refused), "refused");
  EXPECT_EQ(to_string(PublishStatus::closed), "closed");
}

TEST(ServerPublish, AfterDrainIsClosed) {
  auto server = std::make_unique<Server>(open_server());
  Publisher prices = server->publisher("prices:A");
  ASSERT_TRUE(server->drain(1s));
  EXPECT_EQ(prices.publish(price()), PublishStatus::closed);
  EXPECT_EQ(server->broadcast(price()), PublishStatus::closed);
  EXPECT_EQ(server->publish("prices:B", price()), PublishStatus::closed);
  // It outlives its server.
  server.reset();
  EXPECT_EQ(prices.publish(price()), PublishStatus::closed);
  EXPECT_EQ(prices.channel(), "prices:A");
}

TEST(ServerPublish, AnEmptyHandleIsClosed) {
  Publisher nobody;
  EXPECT_EQ(nobody.publish(price()), PublishStatus::closed);
  EXPECT_EQ(nobody.channel(), "");
  EXPECT_EQ(nobody.error().code, Errc::ok);
}

TEST(ServerPublish, FullInboxIsBackPressureAndNothingElse) {
  ServerConfig config = quiet_config();
  config.inbox_messages = 64;
  config.lane_bytes_max = 64 << 20;
  config.lane_messages_max = 1 << 20;
  Server server = open_server(config);
  TestClient client(server);
  (void)client.subscribe({"accounts:A"});
  Publisher accounts = server.publisher("accounts:A");
  std::uint64_t taken = 0;
  std::uint64_t pressed = 0;
  while (pressed < 100 && taken < 100'000) {
    const PublishStatus status = accounts.publish(account(taken));
    if (status == PublishStatus::ok) {
      ++taken;
    } else {
      ASSERT_EQ(status, PublishStatus::back_pressured);
      ++pressed;
    }
  }
  ASSERT_EQ(pressed, 100U) << "one thread can't be slower than its own publishing";
  EXPECT_EQ(server.stats().publish_back_pressured, pressed);
  for (std::uint64_t i = 0; i < taken; ++i) {
    const Message* const message = client.next();
    ASSERT_NE(message, nullptr);
    ASSERT_EQ(message->envelope.seq, i + 1);
    ASSERT_EQ(std::get<AccountUpdate>(message->body).slot, i);
  }
  EXPECT_EQ(server.stats().published, taken);
}

// ---- Over the network

TEST(ServerPublish, NetworkIsRefusedUnlessAllowed) {
  Server server = open_server();
  TestClient client(server);
  (void)client.subscribe({"prices:A"});
  client.send(Publish{7, "prices:A", price()});
  const auto answer = client.expect<Published>();
  EXPECT_EQ(answer.id, 7U);
  EXPECT_EQ(answer.code, Errc::publish_not_allowed);
  EXPECT_NE(answer.message.find("--allow-publish"), std::string::npos) << answer.message;
  // Data that is not wrapped is not taken either.
  client.send(price());
  EXPECT_EQ(client.expect<ErrorReply>().code, Errc::unknown_message_type);
  EXPECT_EQ(server.stats().published, 0U);
  EXPECT_EQ(server.stats().refused_requests, 1U);
}

class NetworkPublishing : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(IoThreads, NetworkPublishing, ::testing::Values(1, 3));

TEST_P(NetworkPublishing, ReachesAnotherConnection) {
  ServerConfig config = quiet_config();
  config.io_threads = GetParam();
  config.network_publish = NetworkPublish::allowed;
  Server server = open_server(config);
  TestClient reader(server);
  (void)reader.subscribe({"prices:*", "accounts:*", "events:*"});
  TestClient json(server);
  TestClient msgpack(server, Speaks::msgpack);
  TestClient plain(server, Speaks::plain);
  std::uint64_t seq = 0;
  for (TestClient* const client : {&json, &msgpack}) {
    ++seq;
    client->send(Publish{1, "prices:A", price(5)});
    EXPECT_EQ(client->expect<Published>(), (Published{1, Errc::ok, {}}));
    EXPECT_EQ(reader.expect_seq("prices:A"), seq);
    client->send(Publish{2, "accounts:A", account(6)});
    EXPECT_EQ(client->expect<Published>(), (Published{2, Errc::ok, {}}));
    EXPECT_EQ(reader.expect_seq("accounts:A"), seq);
    const Codec codec = client == &json ? Codec::json : Codec::msgpack;
    const std::string_view value = client == &json ? "[1]" : "\x91\x01";
    client->send(Publish{3, "events:A", Event{"E", {codec, value}}});
    EXPECT_EQ(client->expect<Published>(), (Published{3, Errc::ok, {}}));
    EXPECT_EQ(reader.expect<Event>(), (Event{"E", {Codec::json, "[1]"}}));
  }
  plain.send(Publish{4, "prices:B", price(5)});
  EXPECT_EQ(reader.expect_seq("prices:B"), 1U);
  plain.expect_silence();
}

TEST(ServerPublish, NetworkRefusalsNameTheFault) {
  ServerConfig config = quiet_config();
  config.network_publish = NetworkPublish::allowed;
  config.channels_max = 1;
  Server server = open_server(config);
  TestClient client(server);
  client.send(Publish{1, "nonsense:A", price()});
  EXPECT_EQ(client.expect<Published>().code, Errc::unknown_channel_kind);
  client.send(Publish{2, "prices:*", price()});
  EXPECT_EQ(client.expect<Published>().code, Errc::invalid_channel_name);
  client.send(Publish{3, "prices:A", price()});
  EXPECT_EQ(client.expect<Published>().code, Errc::ok);
  client.send(Publish{4, "prices:B", price()});
  EXPECT_EQ(client.expect<Published>().code, Errc::too_many_channels);
  EXPECT_EQ(server.stats().refused_requests, 3U);
}

}  // namespace
}  // namespace stratwire::test
