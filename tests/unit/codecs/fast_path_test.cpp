/// Messages that almost have the fixed layout: the fast path must refuse them, or agree.
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/codec.hpp>

#include "exchange_fast.hpp"
#include "general_decoder.hpp"
#include "json_anchored.hpp"
#include "json_fast.hpp"
#include "msgpack_fast.hpp"
#include "wire_order.hpp"

namespace stratwire::detail {
namespace {

// Whether the fast path took it.
bool agrees(Codec codec, const std::string& text) {
  // In memory that ends where it ends, so that a sanitizer sees a look behind or before it.
  const std::vector<char> exact(text.begin(), text.end());
  const std::string_view bytes(exact.data(), exact.size());
  GeneralDecoder general(codec);
  Message slow;
  Message quick;
  const Fault wrong = general.decode(bytes, slow);
  const bool taken =
      codec == Codec::json
          ? decode_json_fast(bytes, quick) || decode_json_exchange(bytes, quick)
          : decode_msgpack_fast(bytes, quick) || decode_msgpack_exchange(bytes, quick);
  // The way to where a price is wanted takes what the other one takes, if it is a price.
  Message direct;
  auto& price = direct.body.emplace<PriceUpdate>();
  const bool is_price = taken && std::holds_alternative<PriceUpdate>(quick.body);
  const bool straight = Decoder(codec).try_decode(bytes, direct.envelope, price);
  EXPECT_TRUE(!straight || (is_price && direct == quick)) << bytes;
  EXPECT_TRUE(straight || !is_price || codec == Codec::json) << bytes;
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

TEST(FastPathJson, AgreesAboutEveryNumberInFrontOfATimestampOfToday) {
  std::size_t taken = 0;
  for (const std::string& number : kNumbers) {
    const auto price = [](const std::string& seq, const std::string& value,
                          const std::string& volume) {
      return R"({"type":"PriceUpdate","ch":"c","seq":)" + seq +
             R"(,"input_mint":"a","output_mint":"b","price":)" + value + R"(,"volume":)" + volume +
             R"(,"timestamp":1732094400123456789})";
    };
    const auto account = [](const std::string& lamports, const std::string& slot) {
      return R"({"type":"AccountUpdate","pubkey":"a","lamports":)" + lamports + R"(,"slot":)" +
             slot + R"(,"timestamp":1732094400123456789})";
    };
    taken += agrees(Codec::json, price(number, "1", "1"));
    taken += agrees(Codec::json, price("1", number, "1"));
    taken += agrees(Codec::json, price("1", "1.5", number));
    taken += agrees(Codec::json, price("1", number, number));
    taken += agrees(Codec::json, account(number, "1"));
    taken += agrees(Codec::json, account("1", number));
  }
  EXPECT_GT(taken, kNumbers.size());
}

TEST(FastPathJson, AgreesAboutTimestampsAroundTheEndsOfTheirRange) {
  for (const std::string_view timestamp :
       {"1732094400123456789", "0732094400123456789", "9223372036854775807", "9223372036854775808",
        "9999999999999999999", "173209440012345678", "17320944001234567890", "-732094400123456789",
        "1732094400123456.89", "173209440012345678e", "17320944001234567 9", "17320944001234567:9",
        "1732094400123/56789", ""}) {
    for (const std::string_view end : {"}", "} ", "", "},", ",", "}}"}) {
      agrees(
          Codec::json,
          R"({"type":"AccountUpdate","pubkey":"0123456789","lamports":11,"slot":22,"timestamp":)" +
              std::string(timestamp) + std::string(end));
    }
  }
}

TEST(FastPathJson, ReadsPricesOfEveryLengthAtOnce) {
  // Nines: the largest number of so many digits is the first one to be rounded wrongly.
  for (std::size_t whole = 1; whole <= 14; ++whole) {
    for (std::size_t scale = 1; whole + scale <= 15; ++scale) {
      const std::string price = std::string(whole, '9') + "." + std::string(scale, '9');
      for (const std::string& mint : {std::string("a"), std::string("1234567890")}) {
        const std::string bytes = R"({"type":"PriceUpdate","input_mint":"","output_mint":")" +
                                  mint + R"(","price":)" + price +
                                  R"(,"volume":1,"timestamp":1732094400123456789})";
        Message out;
        EXPECT_TRUE(decode_json_anchored(bytes, out)) << price;
        PriceUpdate direct;
        EXPECT_TRUE(Decoder(Codec::json).try_decode(bytes, out.envelope, direct)) << price;
        EXPECT_TRUE(agrees(Codec::json, bytes)) << price;
      }
    }
  }
}

TEST(FastPathJson, ReadsIntegersOfEveryLengthAtOnce) {
  for (std::size_t digits = 1; digits <= 15; ++digits) {
    const std::string number = std::string(digits, '7');
    for (const std::string& other : {std::string("1"), std::string("123456789012345")}) {
      for (const auto& [lamports, slot] : {std::pair{number, other}, std::pair{other, number}}) {
        const std::string bytes = R"({"type":"AccountUpdate","ch":"a","seq":)" + number +
                                  R"(,"pubkey":"9","lamports":)" + lamports + R"(,"slot":)" + slot +
                                  R"(,"timestamp":1732094400123456789})";
        Message out;
        EXPECT_TRUE(decode_json_anchored(bytes, out)) << bytes;
        EXPECT_TRUE(agrees(Codec::json, bytes)) << bytes;
      }
    }
  }
}

const PriceUpdate kPrice{"So11111111111111111111111111111111111111112", "out", 1.25, 3,
                         1'732'094'400'123'456'789};
const AccountUpdate kAccount{"9xQeWvG816bUx9EP", 2'039'280, 301'234'567, 1'732'094'400'123'456'789};

/// What is asked and answered, as this library writes it.
const std::vector<Message> kExchanges{
    {{}, Ping{1'732'094'400'123'456'789}},
    {{}, Ping{0}},
    {{}, Pong{1, 200, 70'000}},
    {{}, Publish{3, "prices:A", kPrice}},
    {{}, Publish{300, "accounts:a-channel-with-a-name-of-more-than-31-bytes", kAccount}},
    {{}, Published{1ULL << 40, Errc::ok, {}}},
    {{{}, 7}, Request{70'000, 4'294'967'295, kPrice}},
    {{{}, 128}, Request{1, 0, kAccount}},
    {{{}, 7}, Reply{3, Errc::ok, {}, kPrice}},
    {{{}, 7}, Reply{3, Errc::ok, {}, kAccount}},
};

class FastPathJsonBytes : public testing::TestWithParam<Message> {};
INSTANTIATE_TEST_SUITE_P(
    Messages, FastPathJsonBytes,
    testing::Values(Message{{"prices:A", 7}, PriceUpdate{"in", "out", 1.25, 3, -4}},
                    Message{{"prices:A", 7},
                            PriceUpdate{"So11111111111111111111111111111111111111112", "out", 1.25,
                                        3, 1'732'094'400'123'456'789}},
                    Message{{}, PriceUpdate{"in", "out", 142, 3, 1'732'094'400'123'456'789}},
                    Message{{"a:b", 1'234'567'890},
                            AccountUpdate{"9xQeWvG816bUx9EP", 2'039'280, 301'234'567,
                                          1'732'094'400'123'456'789}}));
INSTANTIATE_TEST_SUITE_P(Exchanges, FastPathJsonBytes, testing::ValuesIn(kExchanges));

TEST_P(FastPathJsonBytes, AgreesWhenAnyIsChangedRemovedOrRepeated) {
  std::string bytes;
  ASSERT_TRUE(encode(Codec::json, GetParam(), bytes).ok());
  ASSERT_TRUE(agrees(Codec::json, bytes));
  for (std::size_t place = 0; place < bytes.size(); ++place) {
    for (const char c : {'"', '\\', ' ', ',', '}', '{', '0', '9', '-', '.', 'e', '\n', '\x80'}) {
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
  std::vector<Message> messages{{{"c", 7}, PriceUpdate{"in", "out", 1.25, 3, -4}},
                                {{"c", 7}, AccountUpdate{"0123456789abcdef0", 1, 2, 3}}};
  messages.insert(messages.end(), kExchanges.begin(), kExchanges.end());
  for (const Message& message : messages) {
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

TEST(FastPathMsgpack, ReadsTextsOfEveryLengthAndSeesEachByteBeyondAscii) {
  for (std::size_t size = 0; size < 100; ++size) {
    const std::string text(size, 'a');
    for (const Message& message : {Message{{text, 7}, PriceUpdate{"in", "out", 1.25, 3, -4}},
                                   Message{{"c", 7}, PriceUpdate{text, "out", 1.25, 3, -4}},
                                   Message{{"c", 7}, PriceUpdate{"in", text, 1.25, 3, -4}},
                                   Message{{}, AccountUpdate{text, 1, 2, 3}}}) {
      std::string bytes;
      ASSERT_TRUE(encode(Codec::msgpack, message, bytes).ok());
      EXPECT_TRUE(agrees(Codec::msgpack, bytes)) << size;
      const std::size_t start = bytes.find(text, 38);
      for (std::size_t place = 0; place < size; ++place) {
        std::string changed = bytes;
        changed[start + place] = '\xe4';
        EXPECT_FALSE(agrees(Codec::msgpack, changed)) << size << " " << place;
      }
    }
  }
}

TEST(FastPath, LeavesExchangesThatSayMore) {
  for (const Message& message :
       {Message{{}, Published{3, Errc::publish_not_allowed, "cure"}},
        Message{{{}, 7}, Reply{3, Errc::expired, "late", {}}},
        Message{{}, Publish{3, "trades:A", Event{"e", RawValue{Codec::json, "1"}}}}}) {
    for (const Codec codec : {Codec::json, Codec::msgpack}) {
      std::string bytes;
      ASSERT_TRUE(encode(codec, message, bytes).ok());
      EXPECT_FALSE(agrees(codec, bytes)) << bytes;
    }
  }
  for (const std::string_view bytes :
       {R"({"type":"Request","seq":7,"id":3,"deadline_ms":4294967296,"message":)",
        R"({"type":"Request","seq":7,"id":3,"deadline_ms":-1,"message":)",
        R"({"type":"Publish","id":3,"channel":"prices:\u0041","message":)"}) {
    std::string data;
    ASSERT_TRUE(encode(Codec::json, Message{{}, kPrice}, data).ok());
    EXPECT_FALSE(agrees(Codec::json, std::string(bytes) + data + "}")) << bytes;
  }
}

TEST(FastPath, TheMessageInsideMayNameAChannelThatIsIgnored) {
  for (const Codec codec : {Codec::json, Codec::msgpack}) {
    std::string data;
    std::string named;
    std::string bytes;
    ASSERT_TRUE(encode(codec, Message{{}, kPrice}, data).ok());
    ASSERT_TRUE(encode(codec, Message{{"prices:B", 9}, kPrice}, named).ok());
    ASSERT_TRUE(encode(codec, Message{{}, Publish{3, "prices:A", kPrice}}, bytes).ok());
    const std::size_t at = bytes.find(data);
    ASSERT_NE(at, std::string::npos);
    EXPECT_TRUE(agrees(codec, bytes.replace(at, data.size(), named)));
  }
}

TEST(FastPathMsgpack, LeavesPricesThatAreNotFinite) {
  for (const double price :
       {std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity(),
        std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::max(),
        std::numeric_limits<double>::denorm_min(), -0.0}) {
    std::string bytes;
    ASSERT_TRUE(encode(Codec::msgpack, Message{{}, PriceUpdate{"a", "b", 1, 2, 3}}, bytes).ok());
    store_big_endian(&bytes[12], std::bit_cast<std::uint64_t>(price));
    EXPECT_EQ(agrees(Codec::msgpack, bytes), std::isfinite(price)) << price;
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
