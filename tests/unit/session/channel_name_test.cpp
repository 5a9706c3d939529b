#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include <stratwire/limits.hpp>
#include <stratwire/session/channel_name.hpp>

namespace stratwire::session {
namespace {

TEST(ChannelName, TakesNamesApart) {
  struct Good {
    std::string_view text;
    std::string_view kind;
    bool wildcard;
  };
  for (const Good& good :
       {Good{"prices:SOL-USDC", "prices", false}, Good{"prices:*", "prices", true},
        Good{"token-So11111111111111111111111111111111111111112", "token", false},
        Good{"token:*", "token", true}, Good{"token-", "token-", false},
        Good{"global", "global", false}, Good{"agent:a:b", "agent", false},
        Good{"token-a:b", "token-a", false}, Good{"x", "x", false},
        Good{"~!#$%&'()+,-./;<=>?@[]^_`{|}:~", "~!#$%&'()+,-./;<=>?@[]^_`{|}", false}}) {
    const auto name = parse_channel_name(good.text, Wildcards::allowed);
    ASSERT_TRUE(name) << good.text << ": " << name.error().message();
    EXPECT_EQ(name->text, good.text);
    EXPECT_EQ(name->kind, good.kind);
    EXPECT_EQ(name->wildcard, good.wildcard) << good.text;
  }
}

TEST(ChannelName, RefusesWhatWouldNeedAnEscapeOrMeansNothing) {
  for (const std::string_view text :
       {std::string_view(""), std::string_view(":"), std::string_view("prices:"),
        std::string_view(":SOL"), std::string_view("*"), std::string_view("prices:*x"),
        std::string_view("prices:x*"), std::string_view("prices:**"), std::string_view("*:*"),
        std::string_view("pri*es:x"), std::string_view("token-*"), std::string_view("a:b:*"),
        std::string_view("prices:a b"), std::string_view("prices:\""),
        std::string_view("prices:\\"), std::string_view("prices:\n"),
        std::string_view("prices:\x7f"), std::string_view("prices:\xc3\xa9"),
        std::string_view("prices:\0", 8)}) {
    const auto name = parse_channel_name(text, Wildcards::allowed);
    ASSERT_FALSE(name) << text;
    EXPECT_EQ(name.error().code, Errc::invalid_channel_name) << text;
    EXPECT_NE(name.error().context.find(quoted(text)), std::string::npos) << name.error().context;
    EXPECT_NE(name.error().context.find(';'), std::string::npos)
        << "names no cure: " << name.error().context;
  }
}

TEST(ChannelName, LengthLimitIsExact) {
  const std::string longest(limits::kChannelNameBytesMax, 'x');
  EXPECT_TRUE(parse_channel_name(longest, Wildcards::refused));
  const auto longer = parse_channel_name(longest + "x", Wildcards::refused);
  ASSERT_FALSE(longer);
  EXPECT_NE(longer.error().context.find("128 bytes"), std::string::npos) << longer.error().context;
  EXPECT_LT(parse_channel_name(std::string(10'000, 'x'), Wildcards::refused).error().context.size(),
            200U);
}

TEST(ChannelName, WildcardsOnlyWhereTheyAreAllowed) {
  const auto name = parse_channel_name("prices:*", Wildcards::refused);
  ASSERT_FALSE(name);
  EXPECT_NE(name.error().context.find("wildcard"), std::string::npos) << name.error().context;
  EXPECT_TRUE(parse_channel_name("prices:x", Wildcards::refused));
}

TEST(ChannelName, Covers) {
  const auto covers = [](std::string_view pattern, std::string_view name) {
    return parse_channel_name(pattern, Wildcards::allowed)
        ->covers(*parse_channel_name(name, Wildcards::refused));
  };
  EXPECT_TRUE(covers("prices:*", "prices:A"));
  EXPECT_TRUE(covers("prices:A", "prices:A"));
  EXPECT_TRUE(covers("token:*", "token-mint"));
  EXPECT_TRUE(covers("global:*", "global"));
  EXPECT_FALSE(covers("prices:*", "trades:A"));
  EXPECT_FALSE(covers("prices:*", "prices2:A"));
  EXPECT_FALSE(covers("prices:A", "prices:AB"));
  EXPECT_FALSE(covers("token:*", "tokens:x"));
}

TEST(ChannelName, QuotesForPeople) {
  EXPECT_EQ(quoted("plain"), "'plain'");
  EXPECT_EQ(quoted(std::string_view("a\0\n\xff", 4)), "'a\\x00\\x0a\\xff'");
  EXPECT_EQ(session::quoted(std::string(48, 'x')), "'" + std::string(48, 'x') + "'");
  EXPECT_EQ(session::quoted(std::string(49, 'x')), "'" + std::string(48, 'x') + "'... (49 bytes)");
}

}  // namespace
}  // namespace stratwire::session
