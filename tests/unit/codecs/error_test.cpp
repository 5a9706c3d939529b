#include <set>
#include <string>

#include <gtest/gtest.h>

#include <stratwire/error.hpp>
#include <stratwire/message.hpp>
#include <stratwire/result.hpp>

namespace stratwire {
namespace {

constexpr int kLast = static_cast<int>(Errc::invalid_input);

TEST(Error, EveryCodeHasItsOwnNameAndText) {
  std::set<std::string_view> names;
  std::set<std::string_view> texts;
  for (int i = 0; i <= kLast; ++i) {
    const auto code = static_cast<Errc>(i);
    EXPECT_TRUE(names.insert(to_string(code)).second) << to_string(code);
    EXPECT_TRUE(texts.insert(describe(code)).second) << to_string(code);
    EXPECT_EQ(errc_from_string(to_string(code)), code);
  }
}

TEST(Error, UnknownNamesAndCodesAreProtocolViolations) {
  EXPECT_EQ(errc_from_string("from_the_future"), Errc::protocol_violation);
  EXPECT_EQ(errc_from_string(""), Errc::protocol_violation);
  EXPECT_EQ(to_string(static_cast<Errc>(250)), "protocol_violation");
}

TEST(Error, ConditionsSayWhatToDo) {
  EXPECT_TRUE(retryable(Errc::back_pressured));
  EXPECT_TRUE(retryable(Errc::connect_failed));
  EXPECT_FALSE(retryable(Errc::invalid_url));
  EXPECT_TRUE(caller_bug(Errc::invalid_url));
  EXPECT_TRUE(caller_bug(Errc::not_finite));
  EXPECT_FALSE(caller_bug(Errc::truncated));
  EXPECT_TRUE(fatal(Errc::publish_not_allowed));
  EXPECT_TRUE(retryable(Errc::slow_consumer));
  EXPECT_TRUE(retryable(Errc::deadline_exceeded));
  EXPECT_TRUE(fatal(Errc::request_refused));
  EXPECT_TRUE(fatal(Errc::divergence));
  for (int i = 0; i <= kLast; ++i) {
    const auto code = static_cast<Errc>(i);
    EXPECT_FALSE(retryable(code) && fatal(code)) << to_string(code);
    EXPECT_FALSE(caller_bug(code) && !fatal(code)) << to_string(code);
  }
  EXPECT_FALSE(retryable(Errc::ok) || fatal(Errc::ok) || caller_bug(Errc::ok));
}

TEST(Error, MessageNamesCodeContextAndOffset) {
  EXPECT_EQ((Error{Errc::invalid_url, 0, "'x' has no scheme"}).message(),
            "invalid_url: 'x' has no scheme");
  const std::string text = Error{Errc::syntax, 17, {}}.message();
  EXPECT_TRUE(text.starts_with("syntax: ")) << text;
  EXPECT_TRUE(text.ends_with("(at byte 17)")) << text;
  EXPECT_TRUE((Error{Errc::missing_member, 0, {}, "channels"})
                  .message()
                  .starts_with("missing_member: 'channels': "));
}

TEST(GapReason, HasNames) {
  std::set<std::string_view> names;
  for (auto reason :
       {Gap::Reason::slow_consumer, Gap::Reason::conflated, Gap::Reason::retention,
        Gap::Reason::upstream, Gap::Reason::epoch_change, Gap::Reason::disconnected}) {
    EXPECT_TRUE(names.insert(to_string(reason)).second);
  }
}

TEST(Result, HoldsAValueOrAnError) {
  Result<int> good = 7;
  EXPECT_TRUE(good.ok());
  EXPECT_EQ(*good, 7);
  EXPECT_EQ(good.value(), 7);
  EXPECT_EQ(good.error().code, Errc::ok);

  Result<int> bad = Errc::closed;
  EXPECT_FALSE(bad);
  EXPECT_EQ(bad.error().code, Errc::closed);
  try {
    static_cast<void>(bad.value());
    FAIL() << "value() of an error must throw";
  } catch (const BadResult& thrown) {
    EXPECT_EQ(thrown.error().code, Errc::closed);
    EXPECT_STREQ(thrown.what(), bad.error().message().c_str());
  }
}

TEST(Result, OfVoidHoldsAnErrorOrNothing) {
  EXPECT_TRUE(Result<void>{}.ok());
  EXPECT_NO_THROW(Result<void>{}.value());
  const Result<void> bad = Error{Errc::syntax, 3, "here"};
  EXPECT_EQ(bad.error().offset, 3U);
  EXPECT_THROW(bad.value(), BadResult);
}

}  // namespace
}  // namespace stratwire
