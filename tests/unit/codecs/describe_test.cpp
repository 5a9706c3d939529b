#include <limits>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/codec.hpp>
#include <stratwire/describe.hpp>
#include <stratwire/limits.hpp>

namespace market {

struct Leg {
  std::string side{};
  float quantity = 0;
  friend bool operator==(const Leg&, const Leg&) = default;
};
STRATWIRE_DESCRIBE(Leg, side, quantity)

struct Trade {
  std::string symbol{};
  std::string_view venue{};
  double price = 0;
  std::uint64_t size = 0;
  std::int64_t change = 0;
  std::int8_t flags = 0;
  std::uint16_t port = 0;
  bool aggressive = false;
  std::optional<std::string> note{};
  std::vector<Leg> legs{};
  std::vector<bool> bits{};
  std::vector<std::optional<int>> holes{};
  friend bool operator==(const Trade&, const Trade&) = default;
};
STRATWIRE_DESCRIBE(Trade, symbol, venue, price, size, change, flags, port, aggressive, note, legs,
                   bits, holes)

}  // namespace market

struct GlobalOne {
  std::int32_t value = 0;
};
STRATWIRE_DESCRIBE(GlobalOne, value)

struct Nested {
  std::vector<Nested> inner{};
};
STRATWIRE_DESCRIBE(Nested, inner)

namespace stratwire {
namespace {

static_assert(Described<market::Trade>);
static_assert(!Described<PriceUpdate>);
static_assert(!Described<int>);
static_assert(described_name<market::Trade>() == "Trade");
static_assert(described_name<GlobalOne>() == "GlobalOne");

class Describe : public testing::TestWithParam<Codec> {
 protected:
  template <class T>
  Result<void> reread(const T& value, T& out) {
    bytes_.clear();
    if (Result<void> encoded = encode_data(GetParam(), value, bytes_); !encoded) return encoded;
    return decode_data(RawValue{GetParam(), bytes_}, out);
  }

  // The same value whatever the codec of the test is.
  Result<void> read(std::string_view json, auto& out) {
    bytes_.clear();
    if (Result<void> made = transcode({Codec::json, json}, GetParam(), bytes_); !made) return made;
    return decode_data(RawValue{GetParam(), bytes_}, out);
  }

  std::string bytes_{};
};

INSTANTIATE_TEST_SUITE_P(BothCodecs, Describe, testing::Values(Codec::json, Codec::msgpack),
                         [](const auto& test) {
                           return test.param == Codec::json ? "Json" : "Msgpack";
                         });

market::Trade trade() {
  return {"SOL",
          "a\"b\\c\n",
          -0.1,
          std::numeric_limits<std::uint64_t>::max(),
          std::numeric_limits<std::int64_t>::min(),
          -128,
          65535,
          true,
          "n\xc3\xb6te",
          {{"buy", 0.1F}, {"sell", 2}},
          {true, false, true},
          {1, std::nullopt, -3}};
}

TEST_P(Describe, EveryKindOfMemberSurvives) {
  market::Trade out;
  const Result<void> result = reread(trade(), out);
  ASSERT_TRUE(result.ok()) << result.error().message();
  EXPECT_TRUE(out == trade());
}

TEST_P(Describe, DefaultsSurvive) {
  market::Trade out = trade();
  ASSERT_TRUE(reread(market::Trade{}, out).ok());
  EXPECT_TRUE(out == market::Trade{});
}

TEST_P(Describe, TravelsAsAnEvent) {
  std::string data;
  ASSERT_TRUE(encode_data(GetParam(), market::Leg{"buy", 3}, data).ok());
  std::string frame;
  const Event event{described_name<market::Leg>(), {GetParam(), data}};
  ASSERT_TRUE(encode(GetParam(), Message{{"legs", 1}, event}, frame).ok());
  Decoder decoder(GetParam());
  Message message;
  ASSERT_TRUE(decoder.decode(frame, message).ok());
  const auto& arrived = std::get<Event>(message.body);
  EXPECT_EQ(arrived.type, "Leg");
  market::Leg leg;
  ASSERT_TRUE(decode_data(arrived.data, leg).ok());
  EXPECT_EQ(leg, (market::Leg{"buy", 3}));
}

TEST_P(Describe, UnknownMembersAreSkippedAndOrderIsFree) {
  market::Leg leg;
  ASSERT_TRUE(read(R"({"new":[{"side":1}],"quantity":5,"side":"buy"})", leg).ok());
  EXPECT_EQ(leg, (market::Leg{"buy", 5}));
}

TEST_P(Describe, MissingMemberIsNamed) {
  market::Leg leg;
  const Result<void> result = read(R"({"quantity":5})", leg);
  EXPECT_EQ(result.error().code, Errc::missing_member);
  EXPECT_EQ(result.error().context, "Leg needs a member 'side'");
}

TEST_P(Describe, WrongTypesAreNamedWithTheirPlace) {
  market::Leg leg;
  const Result<void> result = read(R"({"side":"b","quantity":"5"})", leg);
  EXPECT_EQ(result.error().code, Errc::wrong_type);
  EXPECT_TRUE(result.error().context.starts_with("'quantity' of Leg")) << result.error().context;
  EXPECT_EQ(result.error().offset, GetParam() == Codec::json ? 23U : 17U);
}

TEST_P(Describe, ErrorsInsideOfMembersNameTheInnermost) {
  market::Trade out;
  std::string data;
  ASSERT_TRUE(encode_data(Codec::json, trade(), data).ok());
  data.replace(data.find("\"buy\""), 5, "12345");
  const Result<void> result = read(data, out);
  EXPECT_EQ(result.error().code, Errc::wrong_type);
  EXPECT_TRUE(result.error().context.starts_with("'side' of Leg")) << result.error().context;
}

TEST_P(Describe, NumbersThatDoNotFitAreRefused) {
  GlobalOne one;
  EXPECT_TRUE(read(R"({"value":-2147483648})", one).ok());
  EXPECT_EQ(one.value, std::numeric_limits<std::int32_t>::min());
  EXPECT_EQ(read(R"({"value":2147483648})", one).error().code, Errc::out_of_range);
  EXPECT_EQ(read(R"({"value":-2147483649})", one).error().code, Errc::out_of_range);
  EXPECT_EQ(read(R"({"value":1.0})", one).error().code, Errc::wrong_type);
  market::Leg leg;
  EXPECT_EQ(read(R"({"side":"","quantity":1e39})", leg).error().code, Errc::out_of_range);
}

TEST_P(Describe, DataOfAnotherShapeIsRefused) {
  market::Leg leg;
  EXPECT_EQ(read("[1]", leg).error().code, Errc::wrong_type);
  EXPECT_EQ(read("null", leg).error().code, Errc::wrong_type);
  EXPECT_EQ(decode_data(RawValue{GetParam(), ""}, leg).error().code, Errc::truncated);
}

TEST(DescribeJson, AMemberThatIsThereTwiceIsRefused) {
  market::Leg leg;
  const std::string_view data = R"({"side":"a","side":"b","quantity":1})";
  const Result<void> result = decode_data(RawValue{Codec::json, data}, leg);
  EXPECT_EQ(result.error().code, Errc::syntax);
  EXPECT_EQ(result.error().offset, 12U);
}

TEST_P(Describe, RefusedValuesLeaveTheOutputAlone) {
  std::string out = "before";
  const market::Leg not_a_number{"a", std::numeric_limits<float>::quiet_NaN()};
  EXPECT_EQ(encode_data(GetParam(), not_a_number, out).error().code, Errc::not_finite);
  EXPECT_EQ(out, "before");
  EXPECT_EQ(encode_data(GetParam(), market::Leg{"\xff", 1}, out).error().code, Errc::invalid_utf8);
  EXPECT_EQ(out, "before");
}

TEST_P(Describe, NestingIsLimitedBothWays) {
  // Each level is an object and an array; the innermost array is empty.
  Nested fits;
  for (std::size_t i = 1; i < limits::kNestingMax / 2; ++i) fits = Nested{{fits}};
  Nested out;
  EXPECT_TRUE(reread(fits, out).ok());
  EXPECT_EQ(reread(Nested{{fits}}, out).error().code, Errc::too_deep);
}

}  // namespace
}  // namespace stratwire
