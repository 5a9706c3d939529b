#include <array>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/codec.hpp>
#include <stratwire/limits.hpp>

#include "json_fast.hpp"
#include "msgpack_fast.hpp"

namespace stratwire {
namespace {

class Encode : public testing::TestWithParam<Codec> {};
INSTANTIATE_TEST_SUITE_P(BothCodecs, Encode, testing::Values(Codec::json, Codec::msgpack),
                         [](const auto& test) {
                           return test.param == Codec::json ? "Json" : "Msgpack";
                         });

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST_P(Encode, NumbersThatAreNotFiniteAreRefused) {
  std::array<char, 1024> buffer;
  for (const double wrong : {kNan, kInfinity, -kInfinity}) {
    const PriceUpdate price{"a", "b", wrong, 1, 2};
    EXPECT_EQ(encode(GetParam(), {}, price, buffer).error().code, Errc::not_finite);
    std::string out = "before";
    const Result<void> result = encode(GetParam(), Message{{}, price}, out);
    EXPECT_EQ(result.error().code, Errc::not_finite);
    EXPECT_EQ(result.error().member, "price");
    EXPECT_EQ(out, "before");
  }
}

TEST_P(Encode, TextsThatAreNotUtf8AreRefusedAndNamed) {
  const std::string longer = std::string(40, 'x') + "\xc3";
  for (const std::string& bad : {std::string("\xff"), std::string("a\xc3"), longer}) {
    const auto refused = [&](const Message& message) {
      std::string out = "before";
      const Error error = encode(GetParam(), message, out).error();
      EXPECT_EQ(error.code, Errc::invalid_utf8);
      EXPECT_EQ(out, "before");
      return error.member;
    };
    EXPECT_EQ(refused({{bad, 1}, PriceUpdate{"a", "b", 1, 2, 3}}), "channel");
    EXPECT_EQ(refused({{}, PriceUpdate{bad, "b", 1, 2, 3}}), "input_mint");
    EXPECT_EQ(refused({{}, PriceUpdate{"a", bad, 1, 2, 3}}), "output_mint");
    EXPECT_EQ(refused({{}, AccountUpdate{bad, 1, 2, 3}}), "pubkey");
    refused({{}, Event{bad, {Codec::json, "1"}}});
    refused({{bad, 1}, Event{"e", {Codec::json, "1"}}});
    refused({{}, Subscribe{{"a", bad}, 1}});
    refused({{}, Hello{bad}});
    refused({{}, Publish{1, bad, PriceUpdate{}}});
    refused({{}, Publish{1, "c", PriceUpdate{bad, "b", 1, 2, 3}}});
    refused({{}, ErrorReply{1, Errc::closed, bad, false, 0}});
    refused({{}, Subscribe{{"a"}, 1, {{bad, 1, 2}}}});
    refused({{}, Heartbeat{1, {{bad, 1}}}});
    refused({{}, Heartbeat{1, {}, {{bad, 1, 2, 3}}}});
    refused({{}, GoAway{1, 2, {bad}}});
    refused({{}, PeerHello{bad, 1}});
    refused({{{}, 1}, Request{1, 2, AccountUpdate{bad, 1, 2, 3}}});
    refused({{{}, 1}, Reply{1, Errc::ok, bad, AccountUpdate{"a", 1, 2, 3}}});
    refused({{{}, 1}, Reply{1, Errc::request_refused, bad, {}}});
  }
}

TEST_P(Encode, EventsWithBrokenValuesAreRefusedWithTheOffset) {
  std::string out = "before";
  const Event broken{"e", {Codec::json, "[1,}"}};
  const Error error = encode(GetParam(), Message{{}, broken}, out).error();
  EXPECT_EQ(error.code, Errc::syntax);
  EXPECT_EQ(error.offset, 3U);
  const Event twice{"e", {Codec::msgpack, "\x01\x01"}};
  EXPECT_EQ(encode(GetParam(), Message{{}, twice}, out).error().code, Errc::trailing_bytes);
  const Event injected{"e", {Codec::json, "1},{\"a\":1"}};
  EXPECT_EQ(encode(GetParam(), Message{{}, injected}, out).error().code, Errc::trailing_bytes);
  EXPECT_EQ(out, "before");
}

TEST_P(Encode, ABufferThatMayBeTooSmallIsRefused) {
  const PriceUpdate price{"input", "output", -1.7976931348623157e308,
                          std::numeric_limits<std::uint64_t>::max(),
                          std::numeric_limits<std::int64_t>::min()};
  const AccountUpdate account{"key", std::numeric_limits<std::uint64_t>::max(),
                              std::numeric_limits<std::uint64_t>::max(),
                              std::numeric_limits<std::int64_t>::min()};
  const Envelope envelope{"channel", std::numeric_limits<std::uint64_t>::max()};
  const auto check = [&](const auto& message) {
    const std::size_t room = encoded_bytes_max(GetParam(), envelope, message);
    std::string exact(room, '#');
    const auto bytes = encode(GetParam(), envelope, message, std::span<char>(exact));
    ASSERT_TRUE(bytes.ok());
    EXPECT_LE(*bytes, room);
    const auto refused =
        encode(GetParam(), envelope, message, std::span<char>(exact).first(room - 1));
    EXPECT_EQ(refused.error().code, Errc::buffer_too_small);
  };
  check(price);
  check(account);
}

TEST_P(Encode, TheWorstTextsFitTheRoomThatIsAskedFor) {
  for (std::size_t size = 0; size < 100; ++size) {
    const std::string worst(size, '\x01');
    const PriceUpdate price{worst, worst, -1.2345678901234567e-300, 1, -1};
    std::string room(encoded_bytes_max(GetParam(), {worst, 9}, price), '#');
    const auto bytes = encode(GetParam(), {worst, 9}, price, std::span<char>(room));
    ASSERT_TRUE(bytes.ok());
    Decoder decoder(GetParam());
    Message message;
    ASSERT_TRUE(decoder.decode({room.data(), *bytes}, message).ok());
    EXPECT_EQ(std::get<PriceUpdate>(message.body), price);
  }
}

TEST_P(Encode, EveryByteBeyondAsciiIsLookedAtInTextsOfEveryLength) {
  for (std::size_t size = 0; size < 300; size = size < 70 ? size + 1 : size + 23) {
    for (std::size_t place = 0; place <= size; ++place) {
      std::string text(size, 'a');
      text.insert(place, "\xc3\xa4");
      const PriceUpdate price{text, "b", 1.5, 2, 3};
      // In memory that ends where it ends, so that a sanitizer sees a write behind it.
      std::vector<char> room(encoded_bytes_max(GetParam(), {text, 9}, price));
      const auto bytes = encode(GetParam(), {text, 9}, price, std::span<char>(room));
      ASSERT_TRUE(bytes.ok());
      Decoder decoder(GetParam());
      Message message;
      ASSERT_TRUE(decoder.decode({room.data(), *bytes}, message).ok());
      ASSERT_EQ(message, (Message{{text, 9}, price}));
      text[place] = 'a';  // A continuation by itself.
      const PriceUpdate wrong{"b", text, 1.5, 2, 3};
      const auto refused = encode(GetParam(), {"c", 9}, wrong, std::span<char>(room));
      ASSERT_EQ(refused.error().code, Errc::invalid_utf8) << size << " " << place;
      ASSERT_EQ(refused.error().member, "output_mint");
    }
  }
}

TEST_P(Encode, AppendsToWhatIsThere) {
  std::string out = "before";
  ASSERT_TRUE(encode(GetParam(), Message{{}, Ping{1}}, out).ok());
  EXPECT_TRUE(out.starts_with("before"));
  const std::string text(3000, 'x');  // Too long for the buffer on the stack.
  const PriceUpdate price{text, "b", 1, 2, 3};
  const std::size_t start = out.size();
  ASSERT_TRUE(encode(GetParam(), Message{{}, price}, out).ok());
  Decoder decoder(GetParam());
  Message message;
  ASSERT_TRUE(decoder.decode(std::string_view(out).substr(start), message).ok());
  EXPECT_EQ(std::get<PriceUpdate>(message.body), price);
}

TEST_P(Encode, SequenceNumberWithoutAChannelIsLeftOut) {
  std::string with;
  std::string without;
  ASSERT_TRUE(encode(GetParam(), Message{{"", 7}, PriceUpdate{}}, with).ok());
  ASSERT_TRUE(encode(GetParam(), Message{{}, PriceUpdate{}}, without).ok());
  EXPECT_EQ(with, without);
}

TEST_P(Encode, WhatIsWrittenTakesTheFastPathBack) {
  const Envelope envelope{"prices:SOL-USDC", 5};
  for (const Envelope& where : {envelope, Envelope{}}) {
    for (const double price : {0.0, -0.0, 142.3317, 1e-300, 1.2345678901234567e300, -5.0}) {
      std::string bytes;
      const Message message{where, PriceUpdate{"a", "bcd", price, ~0ULL, -1}};
      ASSERT_TRUE(encode(GetParam(), message, bytes).ok());
      Message out;
      EXPECT_TRUE(GetParam() == Codec::json ? detail::decode_json_fast(bytes, out)
                                            : detail::decode_msgpack_fast(bytes, out))
          << price;
      EXPECT_TRUE(out == message);
    }
    std::string bytes;
    ASSERT_TRUE(encode(GetParam(), Message{where, AccountUpdate{"k", 1, 2, 3}}, bytes).ok());
    Message out;
    EXPECT_TRUE(GetParam() == Codec::json ? detail::decode_json_fast(bytes, out)
                                          : detail::decode_msgpack_fast(bytes, out));
  }
}

TEST(EncodeJson, EventsTakeTheFastPathBack) {
  const Message message{{"c", 1}, Event{"e", {Codec::json, R"({"a":[1,"\u00e4"]})"}}};
  std::string bytes;
  ASSERT_TRUE(encode(Codec::json, message, bytes).ok());
  Message out;
  EXPECT_TRUE(detail::decode_json_fast(bytes, out));
  EXPECT_TRUE(out == message);
}

}  // namespace
}  // namespace stratwire
