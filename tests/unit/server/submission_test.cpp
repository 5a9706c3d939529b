#include "submission.hpp"

#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

#include <gtest/gtest.h>

namespace stratwire::server {
namespace {

using Body = std::variant<PriceUpdate, AccountUpdate, Event>;

Body body_of(const Submission& submission) {
  return submission.publication().visit([](const auto& body) { return Body(body); });
}

template <class T>
Submission submitted(const T& message) {
  return Submission(Publication(nullptr, message));
}

TEST(Submission, KeepsEveryField) {
  const PriceUpdate price{"in", "out", -0.1, ~std::uint64_t{0},
                          std::numeric_limits<std::int64_t>::min()};
  EXPECT_EQ(body_of(submitted(price)), Body(price));
  const AccountUpdate account{"key", ~std::uint64_t{0}, 7, -1};
  EXPECT_EQ(body_of(submitted(account)), Body(account));
  const Event json{"type", {Codec::json, "[1]"}};
  EXPECT_EQ(body_of(submitted(json)), Body(json));
  const Event msgpack{"type", {Codec::msgpack, "\x91\x01"}};
  EXPECT_EQ(body_of(submitted(msgpack)), Body(msgpack));
  EXPECT_EQ(body_of(submitted(Event{"", {Codec::json, ""}})), Body(Event{"", {Codec::json, ""}}));
}

TEST(Submission, OwnsItsTexts) {
  for (const std::size_t bytes : {std::size_t{1}, Submission::kInlineTextBytes / 2,
                                  Submission::kInlineTextBytes, std::size_t{200'000}}) {
    std::string first(bytes, 'a');
    std::string second(bytes, 'b');
    Submission submission = submitted(PriceUpdate{first, second, 1, 2, 3});
    first.assign(bytes, 'x');
    second.assign(bytes, 'x');
    // Also when it was moved, as the inbox does.
    Submission moved = std::move(submission);
    Submission assigned;
    assigned = std::move(moved);
    const Body body = body_of(assigned);
    const auto& price = std::get<PriceUpdate>(body);
    EXPECT_EQ(price.input_mint, std::string(bytes, 'a'));
    EXPECT_EQ(price.output_mint, std::string(bytes, 'b'));
  }
}

TEST(Submission, IsMadeForTheInbox) {
  static_assert(std::is_nothrow_move_constructible_v<Submission>);
  static_assert(std::is_nothrow_move_assignable_v<Submission>);
  static_assert(!std::is_copy_constructible_v<Submission>);
  static_assert(std::is_nothrow_constructible_v<Submission, const Publication&>);
  EXPECT_EQ(Submission().publication().channel, nullptr);
  EXPECT_EQ(Submission().publication().paced_bytes, 0U);
}

}  // namespace
}  // namespace stratwire::server
