/// Messages that almost have the fixed layout: the fast path must refuse them, or agree.
#include <bit>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/codec.hpp>

#include "general_decoder.hpp"
#include "json_fast.hpp"
#include "msgpack_fast.hpp"

namespace stratwire::detail {
namespace {

// Whether the fast path took it.
bool agrees(Codec codec, const std::string& bytes) {
  GeneralDecoder general(codec);
  Message slow;
  Message quick;
  const Fault wrong = general.decode(bytes, slow);
  const bool taken =
      codec == Codec::json ? decode_json_fast(bytes, quick) : decode_msgpack_fast(bytes, quick);
  if (!taken) return false;
  EXPECT_FALSE(wrong) << bytes << ": only the fast path takes it";
  EXPECT_TRUE(quick == slow) << bytes;
  const auto* const a = std::get_if<PriceUpdate>(&quick.body);
  const auto* const b = std::get_if<PriceUpdate>(&slow.body);
  if (a != nullptr && b != nullptr) {
    EXPECT_EQ(std::bit_cast<std::uint64_t>(a->price), std::bit_cast<std::uint64_t>(b->price))
        << bytes;
  }
  return true;
}

const std::vector<std::string> kNumbers{"0",
                                        "-0",
                                        "00",
                                        "01",
                                        "-01",
                                        "09",
                                        "-",
                                        "+1",
                                        "1.",
                                        ".5",
                                        "1.5",
                                        "-1.5",
                                        "01.5",
                                        "0.05",
                                        "-0.0",
                                        "0.0",
                                        "1e5",
                                        "1E5",
                                        "1e+5",
                                        "1e-5",
                                        "1e",
                                        "1.5e300",
                                        "1e400",
                                        "-1e400",
                                        "1e-400",
                                        "0x1",
                                        "1 ",
                                        " 1",
                                        "\"1\"",
                                        "null",
                                        "",
                                        "9",
                                        "99",
                                        "12345678",
                                        "123456789",
                                        "1234567890123456",
                                        "12345678901234567",
                                        "9223372036854775807",
                                        "9223372036854775808",
                                        "-9223372036854775808",
                                        "-9223372036854775809",
                                        "9999999999999999999",
                                        "10000000000000000000",
                                        "18446744073709551615",
                                        "18446744073709551616",
                                        "28446744073709551615",
                                        "99999999999999999999",
                                        "123456789012345678901",
                                        "0.1234567890123456789",
                                        "0.12345678901234567890",
                                        "1.8446744073709551617",
                                        "1234567890123456789.5",
                                        "12345678901234567890.5",
                                        "9007199254740993",
                                        "9007199254740993.0",
                                        "0.30000000000000004",
                                        "142.3317"};

TEST(FastPathJson, AgreesAboutEveryNumberInEveryMember) {
  std::size_t taken = 0;
  for (const std::string& number : kNumbers) {
    const auto price = [](const std::string& seq, const std::string& value,
                          const std::string& volume, const std::string& timestamp) {
      return R"({"type":"PriceUpdate","ch":"c","seq":)" + seq +
             R"(,"input_mint":"a","output_mint":"b","price":)" + value + R"(,"volume":)" + volume +
             R"(,"timestamp":)" + timestamp + "}";
    };
    taken += agrees(Codec::json, price(number, "1", "1", "1"));
    taken += agrees(Codec::json, price("1", number, "1", "1"));
    taken += agrees(Codec::json, price("1", "1", number, "1"));
    taken += agrees(Codec::json, price("1", "1", "1", number));
  }
  EXPECT_GT(taken, kNumbers.size());  // Else the path under test is not the one that runs.
}

TEST(FastPathJson, AgreesWhenAnyByteIsChangedRemovedOrRepeated) {
  std::string bytes;
  const Message message{{"prices:A", 7}, PriceUpdate{"in", "out", 1.25, 3, -4}};
  ASSERT_TRUE(encode(Codec::json, message, bytes).ok());
  for (std::size_t place = 0; place < bytes.size(); ++place) {
    for (const char c : {'"', '\\', ' ', ',', '}', '{', '0', '-', '.', 'e', '\n', '\x80'}) {
      std::string changed = bytes;
      changed[place] = c;
      agrees(Codec::json, changed);
      changed = bytes;
      changed.insert(place, 1, c);
      agrees(Codec::json, changed);
    }
    std::string removed = bytes;
    removed.erase(place, 1);
    agrees(Codec::json, removed);
  }
}

TEST(FastPathJson, AgreesAboutEmptyChannelsAndOddEvents) {
  for (const std::string_view bytes :
       {R"({"type":"Event","ch":"","seq":5,"event":"e","data":1})",
        R"({"type":"Event","ch":"c","event":"e","data":1})",
        R"({"type":"Event","seq":5,"event":"e","data":1})",
        R"({"type":"Event","event":"e","data": 1})", R"({"type":"Event","event":"e","data":1 })",
        R"({"type":"Event","event":"e","data":1,"data":2})",
        R"({"type":"Event","event":"e","data":})",
        R"({"type":"Event","event":"e","data":"\ud800"})",
        R"({"type":"Event","event":"","data":{}})", R"({"type":"Event","event":"e","data":1}})",
        R"({"type":"Event","event":"e","data":01})"}) {
    agrees(Codec::json, std::string(bytes));
  }
}

TEST(FastPathMsgpack, AgreesWhenAnyByteIsAnyOther) {
  for (const Message& message : {Message{{"c", 7}, PriceUpdate{"in", "out", 1.25, 3, -4}},
                                 Message{{"c", 7}, AccountUpdate{"0123456789abcdef0", 1, 2, 3}}}) {
    std::string bytes;
    ASSERT_TRUE(encode(Codec::msgpack, message, bytes).ok());
    ASSERT_TRUE(agrees(Codec::msgpack, bytes));
    for (std::size_t place = 0; place < bytes.size(); ++place) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string changed = bytes;
        changed[place] = static_cast<char>(byte);
        agrees(Codec::msgpack, changed);
      }
      std::string removed = bytes;
      removed.erase(place, 1);
      agrees(Codec::msgpack, removed);
    }
  }
}

TEST(FastPathMsgpack, AgreesAboutANumberWithoutAChannel) {
  for (const Message& message :
       {Message{{}, PriceUpdate{"a", "b", 1, 2, 3}}, Message{{}, AccountUpdate{"a", 1, 2, 3}}}) {
    std::string bytes;
    ASSERT_TRUE(encode(Codec::msgpack, message, bytes).ok());
    bytes[10] = 9;  // The lowest byte of the sequence number.
    EXPECT_TRUE(agrees(Codec::msgpack, bytes));
  }
}

}  // namespace
}  // namespace stratwire::detail
