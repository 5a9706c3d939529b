/// What decoders say about input that is wrong, and where.
#include <bit>
#include <cmath>
#include <iterator>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include <stratwire/codec.hpp>
#include <stratwire/limits.hpp>

#include "examples.hpp"

namespace stratwire {
namespace {

struct Case {
  std::string_view input;
  Errc code;
  std::size_t offset;
};

void expect_error(Codec codec, std::string_view input, Errc code, std::size_t offset) {
  Decoder decoder(codec);
  Message message;
  const Error error = decoder.decode(input, message).error();
  EXPECT_EQ(to_string(error.code), to_string(code)) << testing::PrintToString(input);
  EXPECT_EQ(error.offset, offset) << testing::PrintToString(input);
  EXPECT_TRUE(error.context.empty());
}

std::string nested(std::size_t depth) {
  return std::string(depth, '[') + std::string(depth, ']');
}

TEST(DecodeJson, ErrorsHaveCodeAndOffset) {
  const Case cases[] = {
      {"", Errc::truncated, 0},
      {"  ", Errc::truncated, 2},
      {"{", Errc::truncated, 1},
      {R"({"type)", Errc::truncated, 6},
      {R"({"type":"Ping)", Errc::truncated, 13},
      {R"({"type":"Ping")", Errc::truncated, 14},
      {R"({"type":"Ping","t1":-)", Errc::truncated, 21},
      {R"({"type":"Ping","x":"\u00)", Errc::truncated, 24},
      {R"({"type":"Ping","x":tru)", Errc::truncated, 22},
      {"x", Errc::syntax, 0},
      {R"({type:"Ping"})", Errc::syntax, 1},
      {R"({"type" "Ping"})", Errc::syntax, 8},
      {R"({"type":"Ping",})", Errc::syntax, 15},
      {R"({"type":"Ping","t1":01})", Errc::syntax, 21},
      {R"({"type":"Ping","t1":+1})", Errc::syntax, 20},
      {R"({"type":"Ping","t1":1.})", Errc::syntax, 22},
      {R"({"type":"Ping","t1":1e})", Errc::syntax, 22},
      {R"({"type":"Ping","t1":1x})", Errc::syntax, 21},
      {R"({"type":"Ping","t1":[1 2]})", Errc::syntax, 23},
      {R"({"type":"Ping","x":"\q"})", Errc::syntax, 21},
      {R"({"type":"Ping","x":"\u00g0"})", Errc::syntax, 24},
      {"{\"type\":\"Ping\",\"x\":\"a\nb\"}", Errc::syntax, 21},
      {"{\"type\":\"Ping\",\"x\":nul}", Errc::syntax, 22},
      {"\xef\xbb\xbf{\"type\":\"Ping\"}", Errc::syntax, 0},
      {"{\"type\":\"Ping\",\"x\":\"\xff\"}", Errc::invalid_utf8, 20},
      {"{\"type\":\"Ping\",\"x\":\"\xed\xa0\x80\"}", Errc::invalid_utf8, 20},
      {R"({"type":"Ping","x":"\ud800"})", Errc::invalid_utf8, 20},
      {R"({"type":"Ping","x":"\udc00"})", Errc::invalid_utf8, 20},
      {R"({"type":"Ping","x":"\ud800\u0041"})", Errc::invalid_utf8, 20},
      {R"({"type":"Ping"}{)", Errc::trailing_bytes, 15},
      {R"({"type":"Ping"} x)", Errc::trailing_bytes, 16},
      {"1 2", Errc::trailing_bytes, 2},
      {R"("Ping")", Errc::wrong_type, 0},
      {R"([7,1])", Errc::wrong_type, 0},
      {R"({"type":7})", Errc::wrong_type, 8},
      {R"({"type":"Ping","t1":"1"})", Errc::wrong_type, 20},
      {R"({"type":"Ping","t1":1.5})", Errc::wrong_type, 20},
      {R"({"type":"Ping","t1":-0.0})", Errc::wrong_type, 20},
      {R"({"type":"Subscribe","channels":"a"})", Errc::wrong_type, 31},
      {R"({"type":"Subscribe","channels":["a",1]})", Errc::wrong_type, 36},
      {R"({"type":"Publish","channel":"c","message":{"type":"Ping"}})", Errc::wrong_type, 42},
      {R"({"type":"Publish","channel":"c","message":[1]})", Errc::wrong_type, 42},
      {"{}", Errc::missing_member, 0},
      {R"({"type":"Subscribe"})", Errc::missing_member, 0},
      {R"({"type":"PriceUpdate","input_mint":"a"})", Errc::missing_member, 0},
      {R"({"type":"Publish","channel":"c","message":{}})", Errc::missing_member, 42},
      {R"({"type":"Subscribed","results":[{"channel":"a"}]})", Errc::missing_member, 32},
      {R"({"type":"Ping","t1":9223372036854775808})", Errc::out_of_range, 20},
      {R"({"type":"Ping","t1":18446744073709551616})", Errc::out_of_range, 20},
      {R"({"type":"Ping","t1":1e999})", Errc::out_of_range, 20},
      {R"({"type":"GoAway","deadline_ms":4294967296})", Errc::out_of_range, 31},
      {R"({"type":"GoAway","deadline_ms":-1})", Errc::out_of_range, 31},
      {R"({"type":"Pinq"})", Errc::unknown_message_type, 8},
      {R"({"type":"ping"})", Errc::unknown_message_type, 8},
      {R"({"type":"Ping","t1":1,"t1":1})", Errc::syntax, 22},
  };
  for (const Case& wrong : cases) expect_error(Codec::json, wrong.input, wrong.code, wrong.offset);
}

TEST(DecodeJson, ErrorsInListsAndCarriedMessagesHaveCodeAndOffset) {
  const Case cases[] = {
      {R"({"type":"Subscribe","channels":[],"since":[["a",1,2]]})", Errc::wrong_type, 43},
      {R"({"type":"Subscribe","channels":[],"since":null})", Errc::wrong_type, 42},
      {R"({"type":"Subscribe","channels":[],"snapshot":1})", Errc::wrong_type, 45},
      {R"({"type":"Subscribe","channels":[],"since":[{"channel":"a","epoch":1}]})",
       Errc::missing_member, 43},
      {R"({"type":"Heartbeat","heads":[{"channel":"a","seq":-1}]})", Errc::out_of_range, 50},
      {R"({"type":"Heartbeat","times":[{"channel":"a","seq":1,"published":2}]})",
       Errc::missing_member, 29},
      {R"({"type":"GoAway","deadline_ms":1,"alternatives":[1]})", Errc::wrong_type, 49},
      {R"({"type":"Ack"})", Errc::missing_member, 0},
      {R"({"type":"PeerHello","name":"a"})", Errc::missing_member, 0},
      {R"({"type":"Request","seq":1,"id":2})", Errc::missing_member, 0},
      {R"({"type":"Request","id":2,"message":{}})", Errc::missing_member, 0},
      {R"({"type":"Request","seq":1,"id":2,"message":{"type":"Ack","seq":1}})", Errc::wrong_type,
       43},
      {R"({"type":"Reply","seq":1,"id":2,"code":"ok"})", Errc::missing_member, 0},
      {R"({"type":"Reply","seq":1,"id":2,"code":"ok","message":null})", Errc::wrong_type, 53},
  };
  for (const Case& wrong : cases) expect_error(Codec::json, wrong.input, wrong.code, wrong.offset);
}

TEST(DecodeJson, PriceBeyondAnyDoubleIsOutOfRange) {
  const std::string_view head =
      R"({"type":"PriceUpdate","input_mint":"a","output_mint":"b","price":)";
  const std::string rest = R"(,"volume":1,"timestamp":2})";
  expect_error(Codec::json, std::string(head) + "1e999" + rest, Errc::out_of_range, head.size());
  Decoder decoder(Codec::json);
  Message message;
  const std::string tiny = std::string(head) + "-1e-999" + rest;
  ASSERT_TRUE(decoder.decode(tiny, message).ok());
  EXPECT_TRUE(std::signbit(std::get<PriceUpdate>(message.body).price));
}

TEST(DecodeMsgpack, ErrorsHaveCodeAndOffset) {
  using namespace std::string_view_literals;
  const Case cases[] = {
      {""sv, Errc::truncated, 0},
      {"\x92\x07"sv, Errc::truncated, 2},
      {"\x92\x07\xcf\x01"sv, Errc::truncated, 4},
      {"\x92\x09\xa5"
       "ab"sv,
       Errc::truncated, 5},
      {"\xdd\xff\xff\xff\xff"sv, Errc::truncated, 5},
      {"\xdf\xff\xff\xff\xff\x01"sv, Errc::truncated, 6},
      {"\xdb\xff\xff\xff\xff"
       "abc"sv,
       Errc::truncated, 8},
      {"\xc6\xff\xff\xff\xff"
       "abc"sv,
       Errc::truncated, 8},
      {"\xc1"sv, Errc::syntax, 0},
      {"\x92\x07\xc1"sv, Errc::syntax, 2},
      {"\x92\x09\xa2"
       "a\xff"sv,
       Errc::invalid_utf8, 4},
      {"\x92\x07\x01\x02"sv, Errc::trailing_bytes, 3},
      {"\xc0"sv, Errc::wrong_type, 0},
      {"\x91\xa4"
       "Ping"sv,
       Errc::wrong_type, 1},
      {"\x92\x07\xa1"
       "1"sv,
       Errc::wrong_type, 2},
      {"\x92\x07\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"sv, Errc::wrong_type, 2},
      {"\x92\x09\xc4\x01"
       "a"sv,
       Errc::wrong_type, 2},
      {"\x90"sv, Errc::missing_member, 0},
      {"\x80"sv, Errc::missing_member, 0},
      {"\x92\x05\x01"sv, Errc::missing_member, 0},
      {"\x92\x07\xcf\x80\x00\x00\x00\x00\x00\x00\x00"sv, Errc::out_of_range, 2},
      {"\x92\x10\xcf\x00\x00\x00\x01\x00\x00\x00\x00"sv, Errc::out_of_range, 2},
      {"\x92\x10\xff"sv, Errc::out_of_range, 2},
      {"\x92\x00\x01"sv, Errc::unknown_message_type, 1},
      {"\x92\x17\x01"sv, Errc::unknown_message_type, 1},
      {"\x95\x05\x01\x90\x91\x01\xc2"sv, Errc::wrong_type, 5},
      {"\x95\x05\x01\x90\x91\x92\xa1"
       "a\x01\xc2"sv,
       Errc::missing_member, 5},
      {"\x95\x05\x01\x90\x90\x01"sv, Errc::wrong_type, 5},
      {"\x94\x0f\x01\x91\x91\xa1"
       "a\x90"sv,
       Errc::missing_member, 4},
      {"\x95\x15\x01\x02\x03\x92\x07\x01"sv, Errc::wrong_type, 5},
      {"\x96\x16\x01\x02\xa2ok\xa0\xc0"sv, Errc::wrong_type, 8},
      {"\x95\x16\x01\x02\xa2ok\xa0"sv, Errc::missing_member, 0},
      {"\x81\xa4type\xa4Pinq"sv, Errc::unknown_message_type, 6},
      {"\x83\xa4type\xa4Ping\xa2t1\x01\xa2t1\x01"sv, Errc::syntax, 15},
  };
  for (const Case& wrong : cases) {
    expect_error(Codec::msgpack, wrong.input, wrong.code, wrong.offset);
  }
}

TEST(DecodeMsgpack, PriceThatIsNotFiniteIsRefused) {
  const Message message{{}, PriceUpdate{"a", "b", 1, 2, 3}};
  for (const double wrong :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity()}) {
    std::string bytes;
    ASSERT_TRUE(encode(Codec::msgpack, message, bytes).ok());
    const auto bits = std::bit_cast<std::uint64_t>(wrong);
    for (std::size_t i = 0; i < 8; ++i) bytes[12 + i] = static_cast<char>(bits >> (56 - 8 * i));
    expect_error(Codec::msgpack, bytes, Errc::not_finite, 11);
  }
}

class DecodeBoth : public testing::TestWithParam<Codec> {};
INSTANTIATE_TEST_SUITE_P(BothCodecs, DecodeBoth, testing::Values(Codec::json, Codec::msgpack),
                         [](const auto& test) {
                           return test.param == Codec::json ? "Json" : "Msgpack";
                         });

TEST(DecodeErrors, NameTheMember) {
  const std::pair<std::string_view, std::string_view> cases[] = {
      {R"({})", "type"},
      {R"({"type":7})", "type"},
      {R"({"type":"Subscribe"})", "channels"},
      {R"({"type":"Subscribe","channels":[1]})", "channels"},
      {R"({"type":"Subscribe","channels":[],"since":[{"channel":"a","epoch":1}]})", "seq"},
      {R"({"type":"Subscribed","results":[{"channel":"a"}]})", "code"},
      {R"({"type":"Publish","channel":"c","message":{"type":"Event","event":"e"}})", "data"},
      {R"({"type":"Publish","channel":"c","message":{"type":"Ping"}})", "message"},
      {R"({"type":"GoAway","deadline_ms":4294967296})", "deadline_ms"},
      {R"({"type":"Ping","t1":1,"t1":1})", "t1"},
      {R"({"type":"Welcome","client_id":1,"epoch":2,"heartbeat_ms":3})", "message_bytes_max"},
  };
  Decoder decoder(Codec::json);
  Message message;
  for (const auto& [input, member] : cases) {
    const Error error = decoder.decode(input, message).error();
    EXPECT_EQ(error.member, member) << input;
    EXPECT_NE(error.message().find("'" + std::string(member) + "'"), std::string::npos) << input;
  }
  EXPECT_EQ(decoder.decode("{", message).error().member, "");
  Decoder packed(Codec::msgpack);
  EXPECT_EQ(packed.decode("\x92\x05\x01", message).error().member, "channels");
}

TEST_P(DecodeBoth, EveryMessageCutAnywhereIsTruncated) {
  Decoder decoder(GetParam());
  for (const test::Example& example : test::examples()) {
    std::string bytes;
    ASSERT_TRUE(encode(GetParam(), example.message, bytes).ok());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const std::string cut = bytes.substr(0, size);
      Message message;
      const Error error = decoder.decode(cut, message).error();
      EXPECT_EQ(error.code, Errc::truncated) << example.name << " cut at " << size;
      EXPECT_EQ(error.offset, size) << example.name;
    }
  }
}

TEST_P(DecodeBoth, AByteBehindAnyMessageIsRefused) {
  Decoder decoder(GetParam());
  for (const test::Example& example : test::examples()) {
    std::string bytes;
    ASSERT_TRUE(encode(GetParam(), example.message, bytes).ok());
    const std::size_t size = bytes.size();
    bytes += GetParam() == Codec::json ? '1' : '\x01';
    Message message;
    const Error error = decoder.decode(bytes, message).error();
    EXPECT_EQ(error.code, Errc::trailing_bytes) << example.name;
    EXPECT_EQ(error.offset, size) << example.name;
  }
}

TEST_P(DecodeBoth, DataMayBeNestedToTheLimitAndNoDeeper) {
  using namespace std::string_view_literals;
  // What stands around the Event: nothing, or one of these.
  constexpr std::string_view kJsonCarriers[] = {
      R"({"type":"Publish","channel":"c","message":)",
      R"({"type":"Request","seq":1,"id":2,"message":)",
      R"({"type":"Reply","seq":1,"id":2,"code":"ok","message":)"};
  constexpr std::string_view kMsgpackCarriers[] = {
      "\x94\x0d\x00\xa1"
      "c"sv,
      "\x95\x15\x01\x02\x03"sv, "\x96\x16\x01\x02\xa2ok\xa0"sv};
  for (std::size_t form = 0; form <= std::size(kJsonCarriers); ++form) {
    for (const std::size_t depth : {limits::kNestingMax, limits::kNestingMax + 1}) {
      const std::string event = R"({"type":"Event","event":"e","data":)" + nested(depth) + "}";
      std::string bytes = event;
      if (form != 0) bytes = std::string(kJsonCarriers[form - 1]) + event + "}";
      std::size_t offset = bytes.find("[[") + limits::kNestingMax;
      if (GetParam() == Codec::msgpack) {
        const std::string arrays = std::string(depth - 1, '\x91') + '\x90';
        std::string packed = std::string("\x95\x03\x00\xa0\xa1", 5) + "e" + arrays;
        if (form != 0) packed = std::string(kMsgpackCarriers[form - 1]) + packed;
        offset = packed.size() - depth + limits::kNestingMax;
        bytes = packed;
      }
      Decoder decoder(GetParam());
      Message message;
      const Error error = decoder.decode(bytes, message).error();
      if (depth == limits::kNestingMax) {
        EXPECT_EQ(error.code, Errc::ok);
      } else {
        EXPECT_EQ(error.code, Errc::too_deep);
        EXPECT_EQ(error.offset, offset);
      }
    }
  }
}

TEST_P(DecodeBoth, InputBeyondTheOffsetsOfErrorsIsRefusedUnread) {
  // Only the size is wrong; the decoder must not look behind the memory that is there.
  const char byte = GetParam() == Codec::json ? '{' : '\x92';
  Decoder decoder(GetParam());
  Message message;
  // Behind a first byte that is no message of the fixed layout, 'too_large' is all there is to say.
  std::string memory(64, byte);
  const Error error = decoder.decode({memory.data(), std::size_t{1} << 31}, message).error();
  EXPECT_EQ(error.code, Errc::too_large);
}

TEST_P(DecodeBoth, ADecoderGoesOnAfterAnError) {
  Decoder decoder(GetParam());
  Message message;
  for (int round = 0; round < 3; ++round) {
    EXPECT_FALSE(decoder.decode("\xc1garbage", message).ok());
    std::string bytes;
    ASSERT_TRUE(encode(GetParam(), Message{{}, Ping{7}}, bytes).ok());
    ASSERT_TRUE(decoder.decode(bytes, message).ok());
    EXPECT_EQ(std::get<Ping>(message.body).t1, 7);
  }
}

TEST_P(DecodeBoth, ADecoderCanBeMoved) {
  Decoder first(GetParam());
  std::string bytes;
  ASSERT_TRUE(encode(GetParam(), Message{{}, Ping{7}}, bytes).ok());
  Message message;
  ASSERT_TRUE(first.decode(bytes, message).ok());
  Decoder second(std::move(first));
  EXPECT_EQ(second.codec(), GetParam());
  EXPECT_TRUE(second.decode(bytes, message).ok());
}

}  // namespace
}  // namespace stratwire
