#include <string>

#include <gtest/gtest.h>

#include <stratwire/codec.hpp>
#include <stratwire/limits.hpp>

namespace stratwire {
namespace {

std::string convert(Codec from, std::string_view bytes, Codec to) {
  std::string out;
  const Result<void> result = transcode({from, bytes}, to, out);
  return result ? out : result.error().message();
}

std::string there_and_back(std::string_view json) {
  return convert(Codec::msgpack, convert(Codec::json, json, Codec::msgpack), Codec::json);
}

TEST(Transcode, JsonSurvivesMsgpack) {
  for (const std::string_view json :
       {"null", "true", "false", "0", "-1", "18446744073709551615", "-9223372036854775808", "0.1",
        "-0.0", "5e-324", "1.7976931348623157e+308", "1.0", R"("")", R"("\"\\\n\u0001äö")", "[]",
        "{}", R"([1,[2,[3]],{"a":{"b":[]}}])", R"({"":null,"x":1.5})"}) {
    EXPECT_EQ(there_and_back(json), json);
  }
}

TEST(Transcode, SpacesGoAndNumbersKeepTheirKind) {
  EXPECT_EQ(there_and_back(" [ 1 , 2.50 ,{ } ] "), "[1,2.5,{}]");
  EXPECT_EQ(there_and_back("1e3"), "1000.0");
  EXPECT_EQ(there_and_back("-0"), "-0.0");
  // More than 64 bits: what a reader with doubles makes of it.
  EXPECT_EQ(there_and_back("18446744073709551616"), "18446744073709551616.0");
}

TEST(Transcode, SameCodecKeepsTheBytes) {
  EXPECT_EQ(convert(Codec::json, " [1.50,1e999] ", Codec::json), " [1.50,1e999] ");
  EXPECT_EQ(convert(Codec::msgpack, "\xc4\x01x", Codec::msgpack), "\xc4\x01x");
}

TEST(Transcode, WhatJsonHasNoFormForIsRefusedWithItsPlace) {
  using namespace std::string_view_literals;
  const struct {
    std::string_view bytes;
    std::uint32_t offset;
  } cases[] = {
      {"\x92\x01\xc4\x01x"sv, 2},                             // bin
      {"\x92\x01\xd4\x01x"sv, 2},                             // ext
      {"\x92\x01\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"sv, 2},  // NaN
      {"\x92\x01\xca\x7f\x80\x00\x00"sv, 2},                  // infinity
      {"\x92\x01\x81\x02\x03"sv, 3},                          // a key that is no string
  };
  for (const auto& wrong : cases) {
    std::string out = "before";
    const Result<void> result = transcode({Codec::msgpack, wrong.bytes}, Codec::json, out);
    EXPECT_EQ(result.error().code, Errc::wrong_type);
    EXPECT_EQ(result.error().offset, wrong.offset);
    EXPECT_EQ(out, "before");
  }
  std::string out;
  const Result<void> huge = transcode({Codec::json, "[1e999]"}, Codec::msgpack, out);
  EXPECT_EQ(huge.error().code, Errc::out_of_range);
  EXPECT_EQ(huge.error().offset, 1U);
}

TEST(Transcode, BrokenValuesAreRefusedWithTheirPlace) {
  for (const Codec to : {Codec::json, Codec::msgpack}) {
    std::string out = "before";
    const auto code = [&](Codec from, std::string_view bytes) {
      return transcode({from, bytes}, to, out).error();
    };
    EXPECT_EQ(code(Codec::json, "").code, Errc::truncated);
    EXPECT_EQ(code(Codec::json, "[1").offset, 2U);
    EXPECT_EQ(code(Codec::json, "[1] 2").code, Errc::trailing_bytes);
    EXPECT_EQ(code(Codec::msgpack, "\x92\x01").code, Errc::truncated);
    EXPECT_EQ(code(Codec::msgpack, "\x01\x01").code, Errc::trailing_bytes);
    EXPECT_EQ(code(Codec::msgpack, "\xa1\xff").code, Errc::invalid_utf8);
    EXPECT_EQ(out, "before");
  }
}

TEST(Check, SaysWhetherItIsOneValueAndWhereNot) {
  EXPECT_TRUE(check({Codec::json, " [1,{}] "}).ok());
  EXPECT_TRUE(check({Codec::msgpack, "\x92\x01\xc0"}).ok());
  EXPECT_EQ(check({Codec::json, ""}).error().code, Errc::truncated);
  EXPECT_EQ(check({Codec::json, "{bad"}).error().offset, 1U);
  EXPECT_EQ(check({Codec::json, "1 2"}).error().code, Errc::trailing_bytes);
  EXPECT_EQ(check({Codec::msgpack, "\x92\x01"}).error().code, Errc::truncated);
  const std::string deep = std::string(limits::kNestingMax + 1, '[');
  EXPECT_EQ(check({Codec::json, deep}).error().code, Errc::too_deep);
}

TEST(Transcode, DepthIsLimited) {
  for (const Codec to : {Codec::json, Codec::msgpack}) {
    std::string out;
    const std::string fits =
        std::string(limits::kNestingMax, '[') + std::string(limits::kNestingMax, ']');
    EXPECT_TRUE(transcode({Codec::json, fits}, to, out).ok());
    const std::string too_deep = "[" + fits + "]";
    const Error error = transcode({Codec::json, too_deep}, to, out).error();
    EXPECT_EQ(error.code, Errc::too_deep);
    EXPECT_EQ(error.offset, limits::kNestingMax);

    const std::string packed = std::string(limits::kNestingMax, '\x91') + "\x01";
    EXPECT_TRUE(transcode({Codec::msgpack, packed}, to, out).ok());
    const Error packed_error = transcode({Codec::msgpack, "\x91" + packed}, to, out).error();
    EXPECT_EQ(packed_error.code, Errc::too_deep);
    EXPECT_EQ(packed_error.offset, limits::kNestingMax);
  }
}

}  // namespace
}  // namespace stratwire
