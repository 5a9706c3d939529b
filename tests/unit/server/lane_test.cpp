#include "lane.hpp"

#include <string>

#include <gtest/gtest.h>

namespace stratwire::server {
namespace {

TEST(Lane, KeepsBytesInOrderHoweverTheyGo) {
  Lane lane;
  std::string expected;
  std::string got;
  for (int i = 0; i < 200; ++i) {
    const std::string frame(static_cast<std::size_t>(1 + i % 7), static_cast<char>('a' + i % 26));
    lane.append(frame, 1);
    expected += frame;
    if (i % 3 != 0) continue;
    const std::string_view unsent = lane.unsent();
    const std::size_t count = unsent.size() / 2 + 1;
    got += unsent.substr(0, count);
    lane.take(count);
  }
  got += lane.unsent();
  EXPECT_EQ(got, expected);
}

TEST(Lane, CountsMessagesThatAreNotAllSent) {
  Lane lane;
  lane.append("12345", 1);
  lane.append("1234567890", 3);
  lane.append_frame(transport::Opcode::pong, "x");
  EXPECT_EQ(lane.messages(), 4U);
  lane.take(4);
  EXPECT_EQ(lane.messages(), 4U);
  lane.take(1);
  EXPECT_EQ(lane.messages(), 3U);
  lane.take(9);
  EXPECT_EQ(lane.messages(), 3U);
  lane.take(1);
  EXPECT_EQ(lane.messages(), 0U);
  EXPECT_EQ(lane.unsent().size(), 3U);
}

TEST(Lane, ForgetsAllButTheRunThatWasBegun) {
  // Cut after every number of bytes: the rest of a begun run stays, nothing else.
  for (std::size_t sent = 0; sent <= 15; ++sent) {
    Lane lane;
    lane.append("aaaaa", 1);
    lane.append("bbbbb", 2);
    lane.append("ccccc", 4);
    lane.take(sent);
    lane.forget_unbegun();
    const std::size_t begun = sent % 5 == 0 ? 0 : 5 - sent % 5;
    EXPECT_EQ(lane.unsent().size(), begun) << sent;
    const std::size_t messages[] = {1, 2, 4};
    EXPECT_EQ(lane.messages(), begun == 0 ? 0 : messages[sent / 5]) << sent;
    lane.append("dd", 0);
    EXPECT_TRUE(lane.unsent().ends_with("dd"));
    EXPECT_EQ(lane.unsent().size(), begun + 2);
  }
}

TEST(Lane, TheRestOfAFrameOfTheLogIsBegun) {
  Lane lane;
  lane.append_rest("rest", 1);
  lane.append("more", 1);
  lane.forget_unbegun();
  EXPECT_EQ(lane.unsent(), "rest");
  lane.take(4);
  lane.append("more", 1);
  lane.forget_unbegun();
  EXPECT_EQ(lane.unsent(), "");
}

}  // namespace
}  // namespace stratwire::server
