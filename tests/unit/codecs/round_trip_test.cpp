/// Random messages survive both codecs. The seed is printed; STRATWIRE_SEED replays another one.
#include <bit>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include <stratwire/codec.hpp>
#include <stratwire/limits.hpp>

namespace stratwire {
namespace {

class Values {
 public:
  explicit Values(std::uint64_t seed) : random_(seed) {}

  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }

  // All sizes alike, and the ends of the range often.
  std::uint64_t natural() {
    switch (below(8)) {
      case 0:
        return 0;
      case 1:
        return ~0ULL;
      case 2:
        return 1ULL << below(64);
      default:
        return random_() >> below(64);
    }
  }
  std::int64_t integer() { return static_cast<std::int64_t>(natural()); }
  std::uint32_t small() { return static_cast<std::uint32_t>(natural()); }

  double number() {
    switch (below(4)) {
      case 0:
        return static_cast<double>(below(1'000'000'000)) / std::pow(10, below(10));
      case 1:
        return std::ldexp(1.0, static_cast<int>(below(2098)) - 1074);
      default:
        for (;;) {
          const double any = std::bit_cast<double>(random_());
          if (std::isfinite(any)) return any;
        }
    }
  }

  std::string text() {
    std::string out;
    const std::size_t characters = below(4) == 0 ? below(400) : below(50);
    const bool plain = below(2) == 0;
    for (std::size_t i = 0; i < characters; ++i) {
      append_character(out, plain ? 0x20 + below(0x5f) : below(0x110000));
    }
    return out;
  }

 private:
  static void append_character(std::string& out, std::uint64_t code) {
    if (code >= 0xd800 && code < 0xe000) code -= 0xd800;  // Surrogates are no characters.
    const auto tail = [&](unsigned shift) {
      out += static_cast<char>(0x80U | ((code >> shift) & 0x3fU));
    };
    if (code < 0x80) {
      out += static_cast<char>(code);
    } else if (code < 0x800) {
      out += static_cast<char>(0xc0U | code >> 6);
      tail(0);
    } else if (code < 0x10000) {
      out += static_cast<char>(0xe0U | code >> 12);
      tail(6);
      tail(0);
    } else {
      out += static_cast<char>(0xf0U | code >> 18);
      tail(12);
      tail(6);
      tail(0);
    }
  }

  std::mt19937_64 random_;
};

std::uint64_t seed() {
  const char* const given = std::getenv("STRATWIRE_SEED");
  const std::uint64_t value = given != nullptr ? std::strtoull(given, nullptr, 10) : 20240607;
  std::printf("STRATWIRE_SEED=%llu\n", static_cast<unsigned long long>(value));
  return value;
}

class RoundTrip : public testing::TestWithParam<Codec> {
 protected:
  void survives(const Message& message) {
    bytes_.clear();
    const Result<void> encoded = encode(GetParam(), message, bytes_);
    ASSERT_TRUE(encoded.ok()) << encoded.error().message();
    const Result<void> decoded = decoder_.decode(bytes_, out_);
    ASSERT_TRUE(decoded.ok()) << decoded.error().message() << '\n' << bytes_;
    ASSERT_TRUE(out_ == message) << bytes_;
    if (const auto* price = std::get_if<PriceUpdate>(&message.body)) {
      ASSERT_EQ(std::bit_cast<std::uint64_t>(price->price),
                std::bit_cast<std::uint64_t>(std::get<PriceUpdate>(out_.body).price));
    }
  }

  Decoder decoder_{GetParam()};
  std::string bytes_{};
  Message out_{};
};
INSTANTIATE_TEST_SUITE_P(BothCodecs, RoundTrip, testing::Values(Codec::json, Codec::msgpack),
                         [](const auto& test) {
                           return test.param == Codec::json ? "Json" : "Msgpack";
                         });

TEST_P(RoundTrip, RandomDataMessages) {
  Values random(seed());
  for (int i = 0; i < 20'000; ++i) {
    const std::string channel = random.text();
    const std::string a = random.text();
    const std::string b = random.text();
    const Envelope envelope{channel, channel.empty() ? 0 : random.natural()};
    survives({envelope, PriceUpdate{a, b, random.number(), random.natural(), random.integer()}});
    survives({envelope, AccountUpdate{a, random.natural(), random.natural(), random.integer()}});
    survives({{channel, 0},
              Gap{random.natural(), random.natural(), random.natural(),
                  static_cast<Gap::Reason>(random.below(6))}});
  }
}

TEST_P(RoundTrip, RandomControlMessages) {
  Values random(seed());
  for (int i = 0; i < 3'000; ++i) {
    const std::string a = random.text();
    const std::vector<std::string> channels(random.below(20), random.text());
    const auto code = static_cast<Errc>(random.below(30));
    const std::vector<ChannelResult> results(
        random.below(20),
        {a, code, random.text(), random.natural(), random.natural(), random.below(2) == 1});
    const std::vector<ResumePoint> points(random.below(20),
                                          {random.text(), random.natural(), random.natural()});
    survives({{}, Hello{a}});
    survives({{}, Subscribe{channels, random.natural()}});
    survives({{},
              Subscribe{channels, random.natural(), points, random.below(2) == 1,
                        random.below(2) == 1}});
    survives({{}, Unsubscribe{channels, random.natural()}});
    survives({{}, Ping{random.integer()}});
    survives({{}, Pong{random.integer(), random.integer(), random.integer()}});
    survives({{},
              Welcome{random.natural(), random.natural(), random.small(), random.small(),
                      random.small(), random.integer()}});
    survives({{}, Subscribed{random.natural(), results}});
    survives({{}, Unsubscribed{random.natural(), results}});
    survives({{}, Published{random.natural(), code, a}});
    survives({{}, Heartbeat{random.integer()}});
    const std::vector<ChannelHead> heads(random.below(20), {random.text(), random.natural()});
    const std::vector<HopTimes> times(
        random.below(20), {random.text(), random.natural(), random.integer(), random.integer()});
    survives({{}, Heartbeat{random.integer(), heads, times}});
    survives({{}, GoAway{random.small(), random.small(), channels}});
    survives({{}, CaughtUp{random.natural()}});
    survives({{}, ErrorReply{random.natural(), code, a, random.below(2) == 1, random.small()}});
    const PriceUpdate price{a, a, random.number(), random.natural(), random.integer()};
    survives({{}, Publish{random.natural(), "c" + a, price}});
  }
}

TEST_P(RoundTrip, RandomMessagesOfPeers) {
  Values random(seed());
  for (int i = 0; i < 3'000; ++i) {
    const std::string a = random.text();
    const Envelope numbered{{}, random.natural()};
    const PriceUpdate price{a, a, random.number(), random.natural(), random.integer()};
    const AccountUpdate account{a, random.natural(), random.natural(), random.integer()};
    const std::string packed{'\x07'};
    const RawValue value{GetParam(), GetParam() == Codec::json ? "7" : std::string_view(packed)};
    survives({{}, PeerHello{a, random.natural(), random.natural(), random.natural()}});
    survives({{}, Ack{random.natural()}});
    survives({numbered, Request{random.natural(), random.small(), price}});
    survives({numbered, Request{random.natural(), random.small(), Event{a, value}}});
    survives({numbered, Reply{random.natural(), Errc::ok, a, account}});
    const auto code = static_cast<Errc>(1 + random.below(30));
    survives({numbered, Reply{random.natural(), code, a, {}}});
  }
}

TEST_P(RoundTrip, LongTextsOfEveryWidth) {
  for (const std::size_t size : {0UL, 15UL, 16UL, 17UL, 31UL, 32UL, 64UL, 65UL, 255UL, 256UL, 257UL,
                                 65'535UL, 65'536UL, 100'000UL}) {
    const std::string text(size, 'x');
    survives({{}, PriceUpdate{text, "b", 1, 2, 3}});
    survives({{}, Hello{text}});
    std::string wide = text;
    wide += "\xf0\x9f\x98\x80";
    survives({{}, AccountUpdate{wide, 1, 2, 3}});
    survives({{}, Hello{wide}});
  }
}

TEST_P(RoundTrip, ListsOfEveryWidth) {
  for (const std::size_t count : {0UL, 15UL, 16UL, 17UL, 65'535UL, 65'536UL}) {
    survives({{}, Subscribe{std::vector<std::string>(count, "c"), 1}});
  }
}

TEST_P(RoundTrip, ListsAtTheirLimits) {
  const std::string channel(limits::kChannelNameBytesMax, 'c');
  constexpr std::uint64_t kNumber = ~0ULL;
  constexpr std::int64_t kTime = std::numeric_limits<std::int64_t>::min();
  const std::vector<ResumePoint> points(limits::kResumePointsMax, {channel, kNumber, kNumber});
  survives({{}, Subscribe{{}, 1, points}});
  const Heartbeat full{kTime,
                       {limits::kHeartbeatEntriesMax, {channel, kNumber}},
                       {limits::kHeartbeatEntriesMax, {channel, kNumber, kTime, kTime}}};
  survives({{}, full});
  EXPECT_LT(bytes_.size(), limits::kClientMessageBytesMax) << "a client must be able to take it";
  survives({{}, GoAway{1, 2, {limits::kAlternativesMax, std::string(2048, 'u')}}});
}

TEST(RoundTripJson, EveryAsciiCharacterSurvivesAtEveryPlace) {
  Decoder decoder(Codec::json);
  for (char c = 0; c >= 0 && c < 127; ++c) {
    for (std::size_t place = 0; place < 48; ++place) {
      std::string text(48, 'x');
      text[place] = c;
      std::string bytes;
      ASSERT_TRUE(encode(Codec::json, Message{{}, AccountUpdate{text, 1, 2, 3}}, bytes).ok());
      Message out;
      ASSERT_TRUE(decoder.decode(bytes, out).ok());
      ASSERT_EQ(std::get<AccountUpdate>(out.body).pubkey, text);
    }
  }
}

TEST(GeneralForms, JsonMembersInAnyOrderWithSpacesAndEscapes) {
  const std::string bytes =
      " {\"timestamp\" : -5 ,\"volume\":1,\r\n\"pr\\u0069ce\":2,\t\"output_mint\":\"\\u00e4"
      "\\ud83d\\ude00\",\"input_mint\":\"x\\/y\",\"seq\":9,\"ch\":\"c\",\"more\":[{}],"
      "\"type\":\"PriceUpdate\" } ";
  Decoder decoder(Codec::json);
  Message out;
  ASSERT_TRUE(decoder.decode(bytes, out).ok());
  EXPECT_EQ(out.envelope, (Envelope{"c", 9}));
  EXPECT_EQ(std::get<PriceUpdate>(out.body),
            (PriceUpdate{"x/y", "\xc3\xa4\xf0\x9f\x98\x80", 2, 1, -5}));
}

TEST(GeneralForms, MsgpackMapsOtherWidthsAndExtraElements) {
  using namespace std::string_view_literals;
  Decoder decoder(Codec::msgpack);
  Message out;
  ASSERT_TRUE(decoder
                  .decode("\x82\xa8"
                          "channels\x91\xa1"
                          "a\xa4type\xa9Subscribe"sv,
                          out)
                  .ok());
  EXPECT_EQ(std::get<Subscribe>(out.body), (Subscribe{{"a"}, 0}));

  const std::string_view short_price =
      "\x99\x01\x09\xff\xcc\xff\xd0\x80\xa1"
      "c\xa1"
      "a\xa1"
      "b\xc0"sv;
  ASSERT_TRUE(decoder.decode(short_price, out).ok());
  EXPECT_EQ(out.envelope, (Envelope{"c", 9}));
  EXPECT_EQ(std::get<PriceUpdate>(out.body), (PriceUpdate{"a", "b", -1, 255, -128}));

  const std::string_view single =
      "\x98\x01\x09\xca\x3f\xc0\x00\x00\x01\x02\xa0\xa1"
      "a\xa1"
      "b"sv;
  ASSERT_TRUE(decoder.decode(single, out).ok());
  EXPECT_EQ(std::get<PriceUpdate>(out.body).price, 1.5);
  EXPECT_EQ(out.envelope, Envelope{});
}

TEST(GeneralForms, OptionalMembersMayBeMissing) {
  Decoder json(Codec::json);
  Message out;
  ASSERT_TRUE(json.decode(R"({"type":"Ping"})", out).ok());
  EXPECT_EQ(std::get<Ping>(out.body).t1, 0);
  ASSERT_TRUE(json.decode(R"({"type":"Pong"})", out).ok());
  ASSERT_TRUE(json.decode(R"({"type":"Subscribe","channels":[]})", out).ok());
  Decoder packed(Codec::msgpack);
  ASSERT_TRUE(packed.decode("\x91\x07", out).ok());
  EXPECT_EQ(std::get<Ping>(out.body).t1, 0);
}

TEST(GeneralForms, MembersOfLaterVersionsMayBeMissing) {
  // As a peer of before `since`, `recovered`, `heads` and `alternatives` sends them.
  using namespace std::string_view_literals;
  Decoder packed(Codec::msgpack);
  Message out;
  ASSERT_TRUE(packed.decode("\x93\x05\x01\x90"sv, out).ok());
  EXPECT_EQ(std::get<Subscribe>(out.body), (Subscribe{{}, 1}));
  ASSERT_TRUE(packed
                  .decode("\x93\x0b\x01\x91\x95\xa1"
                          "a\xa2ok\xa0\x02\x03"sv,
                          out)
                  .ok());
  EXPECT_EQ(std::get<Subscribed>(out.body), (Subscribed{1, {{"a", Errc::ok, "", 2, 3, false}}}));
  ASSERT_TRUE(packed.decode("\x92\x0f\x09"sv, out).ok());
  EXPECT_EQ(std::get<Heartbeat>(out.body), Heartbeat{9});
  ASSERT_TRUE(packed.decode("\x93\x10\x01\x02"sv, out).ok());
  EXPECT_EQ(std::get<GoAway>(out.body), (GoAway{1, 2, {}}));
}

TEST(GeneralForms, MsgpackMapsInListsAndInsteadOfPeersArrays) {
  using namespace std::string_view_literals;
  Decoder decoder(Codec::msgpack);
  Message out;
  ASSERT_TRUE(decoder
                  .decode("\x94\x05\x01\x90\x92"
                          "\x83\xa3seq\x07\xa5"
                          "epoch\x02\xa7"
                          "channel\xa1"
                          "a"
                          "\x93\xa1"
                          "b\x02\x08"sv,
                          out)
                  .ok());
  EXPECT_EQ(std::get<Subscribe>(out.body).since,
            (std::vector<ResumePoint>{{"a", 2, 7}, {"b", 2, 8}}));
  ASSERT_TRUE(decoder
                  .decode("\x84\xa4type\xa7Request\xa3seq\x05\xa2id\x06\xa7message"
                          "\x83\xa4type\xa5"
                          "Event\xa5"
                          "event\xa1"
                          "e\xa4"
                          "data\x07"sv,
                          out)
                  .ok());
  EXPECT_EQ(out.envelope, (Envelope{{}, 5}));
  EXPECT_EQ(std::get<Request>(out.body), (Request{6, 0, Event{"e", {Codec::msgpack, "\x07"}}}));
}

TEST(GeneralForms, TheMessageOfAReplyThatRefusesIsNotLookedAt) {
  for (const std::string_view message : {"null", "7", R"({"type":"Event"})"}) {
    const std::string bytes =
        R"({"type":"Reply","seq":1,"id":2,"code":"request_refused","message":)" +
        std::string(message) + "}";
    Decoder decoder(Codec::json);
    Message out;
    ASSERT_TRUE(decoder.decode(bytes, out).ok()) << message;
    EXPECT_EQ(std::get<Reply>(out.body), (Reply{2, Errc::request_refused, "", {}}));
  }
}

TEST(GeneralForms, NamesOfLaterVersionsAreTaken) {
  Decoder decoder(Codec::json);
  Message out;
  ASSERT_TRUE(
      decoder.decode(R"({"type":"Gap","epoch":1,"from":2,"to":3,"reason":"cosmic_rays"})", out)
          .ok());
  EXPECT_EQ(std::get<Gap>(out.body).reason, Gap::Reason::upstream);
  ASSERT_TRUE(decoder.decode(R"({"type":"Error","code":"new_code"})", out).ok());
  EXPECT_EQ(std::get<ErrorReply>(out.body).code, Errc::protocol_violation);
}

}  // namespace
}  // namespace stratwire
