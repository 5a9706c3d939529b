#include <string>

#include <gtest/gtest.h>

#include "json_encode.hpp"
#include "text_scan.hpp"
#include "utf8.hpp"

namespace stratwire::detail {
namespace {

TEST(TextScan, FindsTheSpecialByteAtEveryPlaceOfEveryLength) {
  for (std::size_t size = 0; size < 70; ++size) {
    const std::string plain(size, 'a');
    EXPECT_EQ(find_special(plain.data(), plain.data() + size), plain.data() + size);
    EXPECT_TRUE(is_ascii(plain.data(), size));
    EXPECT_EQ(ascii_prefix(plain), size);
    for (std::size_t place = 0; place < size; ++place) {
      for (const char special : {'"', '\\', '\n', '\0', '\x1f', '\x80', '\xff'}) {
        std::string text = plain;
        text[place] = special;
        ASSERT_EQ(find_special(text.data(), text.data() + size), text.data() + place);
        const bool ascii = static_cast<signed char>(special) >= 0;
        ASSERT_EQ(is_ascii(text.data(), size), ascii);
        ASSERT_EQ(ascii_prefix(text), ascii ? size : place);
      }
    }
  }
}

TEST(TextScan, EqualBytesLooksAtEveryByte) {
  const std::string text = "{\"type\":\"AccountUpdate\",";
  const auto check = [&]<std::size_t N>(std::integral_constant<std::size_t, N>) {
    EXPECT_TRUE(equal_bytes<N>(text.data(), std::string(text).data()));
    for (std::size_t place = 0; place < N; ++place) {
      std::string other = text;
      other[place] ^= 1;
      EXPECT_FALSE(equal_bytes<N>(text.data(), other.data())) << N << " " << place;
    }
  };
  [&]<std::size_t... N>(std::index_sequence<N...>) {
    (check(std::integral_constant<std::size_t, N + 1>{}), ...);
  }
  (std::make_index_sequence<24>{});
}

TEST(Utf8, TakesWhatRfc3629Takes) {
  // Every code point, written by the rules of the RFC.
  for (unsigned code = 0; code <= 0x110000; code += code < 0x3000 ? 1 : 97) {
    const auto byte = [](unsigned value) { return static_cast<char>(value); };
    std::string text;
    if (code < 0x80) {
      text = {byte(code)};
    } else if (code < 0x800) {
      text = {byte(0xc0 | code >> 6), byte(0x80 | (code & 63))};
    } else if (code < 0x10000) {
      text = {byte(0xe0 | code >> 12), byte(0x80 | (code >> 6 & 63)), byte(0x80 | (code & 63))};
    } else {
      text = {byte(0xf0 | code >> 18), byte(0x80 | (code >> 12 & 63)),
              byte(0x80 | (code >> 6 & 63)), byte(0x80 | (code & 63))};
    }
    const bool valid = code < 0x110000 && (code < 0xd800 || code > 0xdfff);
    ASSERT_EQ(utf8_sequence_bytes(text), valid ? text.size() : 0) << code;
    for (std::size_t cut = 1; cut < text.size(); ++cut) {
      ASSERT_EQ(utf8_sequence_bytes(std::string_view(text).substr(0, cut)), 0U) << code;
    }
  }
}

TEST(Utf8, RefusesOverlongFormsSurrogatesAndStrays) {
  for (const std::string_view bad :
       {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xfe", "\xff", "\xc3\x28",
        "\xe2\x28\xa1", "\xe2\x82\x28", "\xf0\x28\x8c\xbc"}) {
    EXPECT_EQ(utf8_sequence_bytes(bad), 0U);
    const std::string text = "good \xc3\xa4 " + std::string(bad);
    EXPECT_EQ(utf8_valid_prefix(text), 8U);
  }
  EXPECT_EQ(utf8_valid_prefix(""), 0U);
}

TEST(JsonString, EscapesWhatMustBe) {
  const auto format = [](std::string_view text) {
    std::string room(json_string_bytes_max(text.size()), '#');
    char* const end = format_json_string(room.data(), text);
    return end == nullptr ? "refused" : std::string(room.data(), end);
  };
  EXPECT_EQ(format(""), R"("")");
  EXPECT_EQ(format("plain"), R"("plain")");
  EXPECT_EQ(format("\"\\/\b\f\n\r\t"), R"("\"\\/\b\f\n\r\t")");
  EXPECT_EQ(format(std::string("\0\x1f\x7f", 3)), "\"\\u0000\\u001f\x7f\"");
  EXPECT_EQ(format("a long text with an \xc3\xa4 in it"), "\"a long text with an \xc3\xa4 in it\"");
  EXPECT_EQ(format("\xc3"), "refused");
  for (std::size_t size = 0; size < 70; ++size) {
    EXPECT_EQ(format(std::string(size, 'a')), "\"" + std::string(size, 'a') + "\"");
  }
}

}  // namespace
}  // namespace stratwire::detail
