#include "lane.hpp"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace stratwire::server {
namespace {

using transport::Opcode;

std::string unsent(const Lane& lane) {
  std::string all;
  for (const std::string_view piece : lane.unsent()) all += piece;
  EXPECT_EQ(all.size(), lane.unsent_bytes());
  return all;
}

TEST(Lane, KeepsBytesInOrderHoweverTheyGo) {
  Lane lane;
  std::string expected;
  std::string got;
  for (int i = 0; i < 200; ++i) {
    const std::string frame(static_cast<std::size_t>(1 + i % 7), static_cast<char>('a' + i % 26));
    lane.append(frame, 1, Cause::feed);
    expected += frame;
    if (i % 3 != 0) continue;
    const std::string waiting = unsent(lane);
    const std::size_t count = waiting.size() / 2 + 1;
    got += waiting.substr(0, count);
    lane.take(count);
  }
  got += unsent(lane);
  EXPECT_EQ(got, expected);
}

TEST(Lane, CountsMessagesThatAreNotAllSent) {
  Lane lane;
  lane.append("12345", 1, Cause::feed);
  lane.append("1234567890", 3, Cause::feed);
  lane.append_frame(Opcode::pong, "x", Cause::reply);
  EXPECT_EQ(lane.messages(), 4U);
  lane.take(4);
  EXPECT_EQ(lane.messages(), 4U);
  lane.take(1);
  EXPECT_EQ(lane.messages(), 3U);
  lane.take(9);
  EXPECT_EQ(lane.messages(), 3U);
  lane.take(1);
  EXPECT_EQ(lane.messages(), 0U);
  EXPECT_EQ(lane.unsent_bytes(), 3U);
}

TEST(Lane, ForgetsAllButTheRunThatWasBegun) {
  // Cut after every number of bytes: the rest of a begun run stays, nothing else.
  for (std::size_t sent = 0; sent <= 15; ++sent) {
    Lane lane;
    lane.append("aaaaa", 1, Cause::feed);
    lane.append("bbbbb", 2, Cause::feed);
    lane.append("ccccc", 4, Cause::feed);
    lane.take(sent);
    lane.forget_unbegun();
    const std::size_t begun = sent % 5 == 0 ? 0 : 5 - sent % 5;
    EXPECT_EQ(lane.unsent_bytes(), begun) << sent;
    const std::size_t messages[] = {1, 2, 4};
    EXPECT_EQ(lane.messages(), begun == 0 ? 0 : messages[sent / 5]) << sent;
    lane.append("dd", 0, Cause::feed);
    EXPECT_TRUE(unsent(lane).ends_with("dd"));
    EXPECT_EQ(lane.unsent_bytes(), begun + 2);
  }
}

TEST(Lane, TheRestOfAFrameOfTheLogIsBegun) {
  Lane lane;
  lane.append_rest("rest", 1);
  lane.append("more", 1, Cause::feed);
  lane.forget_unbegun();
  EXPECT_EQ(unsent(lane), "rest");
  lane.take(4);
  lane.append("more", 1, Cause::feed);
  lane.forget_unbegun();
  EXPECT_EQ(unsent(lane), "");
}

TEST(Lane, UrgentFramesGoBeforeAllThatWasNotBegun) {
  // Wherever sending stopped: behind the run that was begun, else in front.
  for (std::size_t sent = 0; sent <= 15; ++sent) {
    Lane lane;
    lane.append("aaaaa", 1, Cause::feed);
    lane.append("bbbbb", 1, Cause::feed);
    lane.append("ccccc", 1, Cause::feed);
    lane.take(sent);
    lane.append_urgent(Opcode::pong, "x");
    lane.append_urgent(Opcode::pong, "y");
    const std::string_view pongs("\x8a\x01x\x8a\x01y");
    const std::size_t begun = (5 - sent % 5) % 5;
    const std::string rest = std::string("aaaaabbbbbccccc").substr(sent);
    EXPECT_EQ(unsent(lane), rest.substr(0, begun) + std::string(pongs) + rest.substr(begun))
        << sent;
    EXPECT_EQ(lane.messages(), 3 - sent / 5) << sent;
  }
}

TEST(Lane, KeepsFramesWholeWithUrgentOnesInBetween) {
  // Each frame is a letter in brackets of its own: a torn one shows.
  Lane lane;
  std::string got;
  std::string usual;
  std::string urgent;
  const auto take = [&](std::size_t count) {
    got += unsent(lane).substr(0, count);
    lane.take(count);
  };
  for (int i = 0; i < 300; ++i) {
    const std::string frame = "(" + std::string(static_cast<std::size_t>(1 + i % 7), 'd') + ")";
    lane.append(frame, 1, i % 2 == 0 ? Cause::feed : Cause::change);
    usual += frame;
    if (i % 5 == 0) {
      const std::string payload(static_cast<std::size_t>(i % 11), 'u');
      lane.append_urgent(Opcode::pong, payload);
      urgent += "\x8a" + std::string(1, static_cast<char>(payload.size())) + payload;
    }
    take(static_cast<std::size_t>(i * 7 % 13) % (lane.unsent_bytes() + 1));
  }
  take(lane.unsent_bytes());
  EXPECT_EQ(lane.messages(), 0U);
  for (const Cause cause : {Cause::feed, Cause::reply, Cause::change}) {
    EXPECT_EQ(lane.bytes_of(cause), 0U);
  }
  std::string got_usual;
  std::string got_urgent;
  for (std::size_t at = 0; at < got.size();) {
    const bool is_pong = got[at] == '\x8a';
    const std::size_t end =
        is_pong ? at + 2 + static_cast<std::size_t>(got[at + 1]) : got.find(')', at) + 1;
    ASSERT_TRUE(is_pong || got[at] == '(') << "torn at " << at;
    (is_pong ? got_urgent : got_usual) += got.substr(at, end - at);
    at = end;
  }
  EXPECT_EQ(got_usual, usual);
  EXPECT_EQ(got_urgent, urgent);
}

TEST(Lane, ForgetsUrgentFramesButOneThatWasBegun) {
  for (std::size_t sent = 0; sent <= 6; ++sent) {
    Lane lane;
    lane.append_urgent(Opcode::pong, "x");
    lane.append_urgent(Opcode::pong, "y");
    lane.append("aaaaa", 1, Cause::feed);
    lane.take(sent);
    lane.forget_unbegun();
    EXPECT_EQ(lane.unsent_bytes(), (3 - sent % 3) % 3) << sent;
    EXPECT_EQ(lane.messages(), 0U) << sent;
    EXPECT_EQ(lane.bytes_of(Cause::feed), 0U) << sent;
    EXPECT_EQ(lane.bytes_of(Cause::reply), sent % 3 == 0 ? 0U : 3U) << sent;
  }
}

TEST(Lane, CountsBytesByCauseUntilTheirRunIsSent) {
  Lane lane;
  lane.append("12345", 1, Cause::feed);
  lane.append("1234567", 1, Cause::change);
  lane.append_frame(Opcode::text, "x", Cause::reply);
  lane.append_urgent(Opcode::pong, "x");
  EXPECT_EQ(lane.bytes_of(Cause::feed), 5U);
  EXPECT_EQ(lane.bytes_of(Cause::change), 7U);
  EXPECT_EQ(lane.bytes_of(Cause::reply), 6U);
  lane.take(3 + 5 + 1);
  EXPECT_EQ(lane.bytes_of(Cause::feed), 0U);
  EXPECT_EQ(lane.bytes_of(Cause::change), 7U);
  EXPECT_EQ(lane.bytes_of(Cause::reply), 3U);
  lane.take(6);
  EXPECT_EQ(lane.bytes_of(Cause::change), 0U);
}

}  // namespace
}  // namespace stratwire::server
