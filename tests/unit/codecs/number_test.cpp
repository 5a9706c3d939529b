#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <limits>
#include <random>
#include <string>

#include <gtest/gtest.h>

#include "digits.hpp"
#include "number_format.hpp"
#include "number_parse.hpp"

namespace stratwire::detail {
namespace {

constexpr std::uint64_t kSeed = 20240607;

std::string ours(double value) {
  std::array<char, kDoubleTextBytesMax + kFormatSlack> text;
  return {text.data(), format_double(text.data(), value)};
}

std::string theirs(double value) {
  std::array<char, 64> text;
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

TEST(FormatDouble, IsTheTextOfTheLibrary) {
  std::mt19937_64 random(kSeed);
  for (int i = 0; i < 200'000; ++i) {
    const double scale = std::pow(10.0, static_cast<double>(random() % 12));
    const auto digits = static_cast<double>(random() % 100'000'000'000'000 >> (random() % 46));
    for (const double value : {digits / scale, -digits / scale, digits * 1e-9}) {
      ASSERT_EQ(ours(value), theirs(value));
    }
    const double any = std::bit_cast<double>(random());
    if (!std::isfinite(any)) continue;
    ASSERT_EQ(ours(any), theirs(any));
  }
}

TEST(FormatDouble, IsTheTextOfTheLibraryAroundEveryEdge) {
  for (const double edge : {0.0,         1e-3,
                            1e-4,        0.1,
                            0.5,         1.0,
                            9.99999999,  99'999.0,
                            100'000.0,   1e5 + 1,
                            200'000.0,   123'000'000.0,
                            9'999'999.0, 1e7,
                            1e15,        1e16,
                            1.5e-8,      0.00000001,
                            0.99999999,  9'999'999.99999999,
                            5e-324,      std::numeric_limits<double>::max()}) {
    double below = edge;
    double above = edge;
    for (int i = 0; i < 50; ++i) {
      for (const double value : {below, above, -below, -above}) {
        if (!std::isfinite(value)) continue;
        ASSERT_EQ(ours(value), theirs(value));
      }
      below = std::nextafter(below, -1e308);
      above = std::nextafter(above, 1e308);
    }
  }
}

TEST(FormatIntegers, AreTheTextsOfTheLibrary) {
  std::mt19937_64 random(kSeed);
  const auto check = [](std::uint64_t value) {
    std::array<char, kIntegerTextBytesMax + kFormatSlack> text;
    const std::string natural(text.data(), format_unsigned(text.data(), value));
    ASSERT_EQ(natural, std::to_string(value));
    const auto signed_value = static_cast<std::int64_t>(value);
    const std::string integer(text.data(), format_signed(text.data(), signed_value));
    ASSERT_EQ(integer, std::to_string(signed_value));
  };
  check(0);
  check(~0ULL);
  check(1ULL << 63);
  for (std::uint64_t power = 1; power < 10'000'000'000'000'000'000ULL; power *= 10) {
    check(power - 1);
    check(power);
    check(power + 1);
    if (power > ~0ULL / 10) break;
  }
  for (int i = 0; i < 100'000; ++i) check(random() >> (random() % 64));
}

TEST(Digits, AreReadAsTheLibraryReadsThem) {
  std::mt19937_64 random(kSeed);
  for (int i = 0; i < 20'000; ++i) {
    std::string text(40, ' ');
    for (char& c : text) c = static_cast<char>('0' + random() % 10);
    const char* const from = text.data() + 17;
    const auto value_of = [&](std::size_t digits) {
      std::uint64_t value = 0;
      std::from_chars(from, from + digits, value);
      return value;
    };
    ASSERT_EQ(value_of_eight(load_eight(from)), value_of(8)) << text;
    for (std::size_t digits = 1; digits <= 16; ++digits) {
      ASSERT_EQ(value_before(from + digits, digits), value_of(digits)) << text;
      for (std::size_t scale = 0; scale <= digits; ++scale) {
        std::string with_point = text;
        with_point.insert(17 + digits - scale, 1, '.');
        ASSERT_EQ(value_before(with_point.data() + 18 + digits, digits - scale, scale),
                  value_of(digits))
            << with_point;
      }
    }
  }
}

TEST(Digits, EveryOtherByteIsSeenAtEveryPlace) {
  for (std::size_t place = 0; place < 16; ++place) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string text(16, '5');
      text[place] = static_cast<char>(byte);
      const bool digit = byte >= '0' && byte <= '9';
      ASSERT_EQ(others_in_sixteen(text.data()), digit ? 0U : 1U << place) << byte;
      if (place >= 8) continue;
      const std::uint64_t others = not_digits(load_eight(text.data()));
      ASSERT_EQ(others == 0, digit) << byte;
      if (!digit) {
        ASSERT_EQ(static_cast<std::size_t>(std::countr_zero(others)) / 8, place) << byte;
      }
    }
  }
}

TEST(DivideByPowerOfTen, IsRoundedAsTheLibraryRounds) {
  std::mt19937_64 random(kSeed);
  for (int i = 0; i < 300'000; ++i) {
    const std::uint64_t mantissa = random() >> (random() % 64);
    const auto scale = static_cast<unsigned>(random() % (kScaleMax + 1));
    const std::string text = std::to_string(mantissa) + "e-" + std::to_string(scale);
    double expected = 0;
    std::from_chars(text.data(), text.data() + text.size(), expected);
    ASSERT_EQ(divide_by_power_of_ten(mantissa, scale), expected) << text;
  }
}

TEST(DivideByPowerOfTen, RoundsTiesToEven) {
  // Halfway between two doubles, and one step to each side.
  for (const std::uint64_t base :
       {(1ULL << 53) + 1, (1ULL << 54) + 2, (1ULL << 60) + (1ULL << 7)}) {
    for (const std::uint64_t mantissa : {base - 1, base, base + 1}) {
      for (unsigned scale = 0; scale <= kScaleMax; ++scale) {
        const std::string text = std::to_string(mantissa) + "e-" + std::to_string(scale);
        double expected = 0;
        std::from_chars(text.data(), text.data() + text.size(), expected);
        ASSERT_EQ(divide_by_power_of_ten(mantissa, scale), expected) << text;
      }
    }
  }
}

TEST(ParseDouble, EndsOfTheRange) {
  EXPECT_EQ(parse_double("5e-324"), std::numeric_limits<double>::denorm_min());
  EXPECT_EQ(parse_double("2.2250738585072011e-308"), 2.2250738585072011e-308);
  EXPECT_EQ(parse_double("1e-400"), 0.0);
  EXPECT_TRUE(std::signbit(parse_double("-1e-400")));
  EXPECT_TRUE(std::signbit(parse_double("-0")));
  EXPECT_TRUE(std::isinf(parse_double("1e400")));
  EXPECT_EQ(parse_double("-1e400"), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(parse_double("0e99999999999999999999"), 0.0);
  EXPECT_TRUE(std::isinf(parse_double("1e99999999999999999999")));
  EXPECT_EQ(parse_double("1e-99999999999999999999"), 0.0);
  EXPECT_EQ(parse_double("0." + std::string(400, '0') + "1e400"), 0.1 * 1.0);
  EXPECT_EQ(parse_double("1" + std::string(400, '0') + "e-400"), 1.0);
}

TEST(ParseNumber, KindsAreThoseOfTheText) {
  const auto kind = [](std::string_view text) {
    const NumberToken token = scan_number(text.data(), text.data() + text.size());
    EXPECT_TRUE(token.valid);
    Node node;
    parse_number(text, token.integer, node);
    return node.kind;
  };
  EXPECT_EQ(kind("18446744073709551615"), Kind::unsigned_integer);
  EXPECT_EQ(kind("18446744073709551616"), Kind::floating);
  EXPECT_EQ(kind("-9223372036854775808"), Kind::signed_integer);
  EXPECT_EQ(kind("-9223372036854775809"), Kind::floating);
  EXPECT_EQ(kind("-0"), Kind::floating);
  EXPECT_EQ(kind("1.0"), Kind::floating);
  EXPECT_EQ(kind("1e400"), Kind::huge);
  EXPECT_EQ(kind(std::string(400, '9')), Kind::huge);
}

}  // namespace
}  // namespace stratwire::detail
