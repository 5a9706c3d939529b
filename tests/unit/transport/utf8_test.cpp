#include <string>

#include <gtest/gtest.h>

#include <stratwire/transport/utf8.hpp>

namespace stratwire::transport {
namespace {

// RFC 3629 written down once more, slowly: encode every code point.
std::string encoded(unsigned point) {
  const auto byte = [](unsigned value) { return static_cast<char>(value); };
  if (point < 0x80) return {byte(point)};
  if (point < 0x800) return {byte(0xc0 | point >> 6), byte(0x80 | (point & 0x3f))};
  if (point < 0x10000) {
    return {byte(0xe0 | point >> 12), byte(0x80 | (point >> 6 & 0x3f)),
            byte(0x80 | (point & 0x3f))};
  }
  return {byte(0xf0 | point >> 18), byte(0x80 | (point >> 12 & 0x3f)),
          byte(0x80 | (point >> 6 & 0x3f)), byte(0x80 | (point & 0x3f))};
}

bool fed_bytewise(std::string_view text) {
  Utf8Checker checker;
  for (const char& c : text) {
    if (!checker.feed({&c, 1})) return false;
  }
  return checker.complete();
}

TEST(Utf8, EveryCodePointAndNoSurrogate) {
  for (unsigned point = 0; point < 0x120000; ++point) {
    const bool valid = point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
    const std::string text = encoded(point);
    ASSERT_EQ(is_utf8(text), valid) << std::hex << point;
    ASSERT_EQ(fed_bytewise(text), valid) << std::hex << point;
  }
}

TEST(Utf8, EveryPairOfBytesInFrontOfEveryRest) {
  // Both ways of checking agree on every two bytes, followed by up to two right ones.
  for (unsigned first = 0; first < 256; ++first) {
    for (unsigned second = 0; second < 256; ++second) {
      for (const char* rest : {"", "\x80", "\x80\x80", "a", "\xbf\xbf\xbf"}) {
        const std::string text =
            std::string{static_cast<char>(first), static_cast<char>(second)} + rest;
        ASSERT_EQ(is_utf8(text), fed_bytewise(text)) << first << ' ' << second;
      }
    }
  }
}

TEST(Utf8, OddByteIsFoundAtEveryPosition) {
  for (std::size_t bytes = 1; bytes < 100; ++bytes) {
    for (std::size_t at = 0; at < bytes; ++at) {
      std::string text(bytes, 'a');
      ASSERT_TRUE(is_utf8(text));
      text[at] = '\x80';
      ASSERT_FALSE(is_utf8(text)) << at << " of " << bytes;
    }
  }
}

TEST(Utf8, CheckerStaysRefusedUntilReset) {
  Utf8Checker checker;
  EXPECT_FALSE(checker.feed("\xff"));
  EXPECT_FALSE(checker.feed("a"));
  EXPECT_FALSE(checker.complete());
  checker.reset();
  EXPECT_TRUE(checker.feed("a"));
  EXPECT_TRUE(checker.complete());
}

TEST(Utf8, CutCodePointIsNotComplete) {
  Utf8Checker checker;
  EXPECT_TRUE(checker.feed("price in \xe2\x82"));
  EXPECT_FALSE(checker.complete());
  EXPECT_TRUE(checker.feed("\xac"));
  EXPECT_TRUE(checker.complete());
  EXPECT_FALSE(is_utf8("price in \xe2\x82"));
}

}  // namespace
}  // namespace stratwire::transport
