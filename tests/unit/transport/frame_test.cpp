#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire.hpp"

namespace stratwire::transport::test {
namespace {

using testing::ElementsAre;
using namespace std::string_literals;

TEST(FrameParser, ExamplesOfTheRfc) {
  // RFC 6455 5.7.
  EXPECT_THAT(read_whole(Role::client, "\x81\x05\x48\x65\x6c\x6c\x6f"), ElementsAre("text:Hello"));
  EXPECT_THAT(read_whole(Role::server, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
              ElementsAre("text:Hello"));
  EXPECT_THAT(read_whole(Role::client, "\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f"),
              ElementsAre("text:Hello"));
  EXPECT_THAT(read_whole(Role::server, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"),
              ElementsAre("pong:Hello"));
}

TEST(FrameParser, WholeMessageIsAViewOfTheInput) {
  std::string bytes = frame_for(Role::server, {0x82, "in place"});
  std::span<char> input = bytes;
  FrameParser parser(Role::server);
  const Incoming event = parser.next(input);
  EXPECT_EQ(event.payload, "in place");
  EXPECT_EQ(event.payload.data(), bytes.data() + 6);
  EXPECT_TRUE(input.empty());
}

TEST(FrameParser, SaysHowManyBytesItNeeds) {
  Reader reader(Role::client);
  const std::string frame = frame_for(Role::client, {0x82, std::string(300, 'x')});
  reader.receive("");
  EXPECT_EQ(reader.needed, 2U);
  reader.receive(frame.substr(0, 1));
  EXPECT_EQ(reader.needed, 2U);
  reader.receive(frame.substr(1, 1));
  EXPECT_EQ(reader.needed, 4U);
  reader.receive(frame.substr(2, 2));
  EXPECT_EQ(reader.needed, 304U);
  reader.receive(frame.substr(4, 299));
  EXPECT_EQ(reader.needed, 304U);
  EXPECT_EQ(reader.kept(), 303U);
  reader.receive(frame.substr(303));
  EXPECT_EQ(reader.events.size(), 1U);
}

TEST(FrameParser, IncompleteFrameIsLeftAsItCame) {
  const std::string frame = frame_for(Role::server, {0x81, "masked text"});
  std::string part = frame.substr(0, frame.size() - 1);
  const std::string before = part;
  std::span<char> input = part;
  FrameParser parser(Role::server);
  EXPECT_EQ(parser.next(input).kind, Incoming::Kind::need_more);
  EXPECT_EQ(input.size(), part.size());
  EXPECT_EQ(part, before);
}

TEST(FrameParser, SwallowsEverythingAfterClose) {
  Reader reader(Role::client);
  reader.receive(frame_for(Role::client, {0x88, ""}));
  EXPECT_TRUE(reader.parser().finished());
  reader.receive("\xff\xff\xff\xff");
  EXPECT_THAT(reader.events, ElementsAre("close:1005:"));
  EXPECT_EQ(reader.kept(), 0U);
}

TEST(FrameParser, TellsAViolationOnce) {
  Reader reader(Role::client);
  reader.receive("\xf1\x00");
  reader.receive("\xf1\x00");
  EXPECT_THAT(reader.events, ElementsAre("violation:1002"));
  EXPECT_TRUE(reader.parser().finished());
}

TEST(FrameParser, ViolationSaysWhy) {
  std::string bytes = "\xf1\x00"s;
  std::span<char> input = bytes;
  FrameParser parser(Role::client);
  EXPECT_EQ(parser.next(input).payload, "reserved bit is set");
}

TEST(FrameParser, TellsWhetherAMessageIsOpen) {
  FrameParser parser(Role::client);
  std::string bytes = frame_for(Role::client, {0x01, "a"});
  std::span<char> input = bytes;
  EXPECT_FALSE(parser.mid_message());
  EXPECT_EQ(parser.next(input).kind, Incoming::Kind::need_more);
  EXPECT_TRUE(parser.mid_message());
  bytes = frame_for(Role::client, {0x80, "b"});
  input = bytes;
  EXPECT_EQ(parser.next(input).payload, "ab");
  EXPECT_FALSE(parser.mid_message());
}

TEST(FrameParser, MovesWithItsOpenMessage) {
  FrameParser first(Role::client);
  std::string bytes = frame_for(Role::client, {0x01, "a"});
  std::span<char> input = bytes;
  EXPECT_EQ(first.next(input).kind, Incoming::Kind::need_more);
  FrameParser second = std::move(first);
  bytes = frame_for(Role::client, {0x80, "b"});
  input = bytes;
  EXPECT_EQ(second.next(input).payload, "ab");
}

TEST(FrameWriter, HeaderHasTheShortestLength) {
  for (const std::size_t bytes : {0U, 125U, 126U, 65535U, 65536U, 70000U}) {
    for (const bool masked : {false, true}) {
      FrameHead head{.opcode = Opcode::binary};
      if (masked) head.mask = kKey;
      std::string out;
      const std::string payload(bytes, 'x');
      append_frame(out, head, payload);
      EXPECT_EQ(out.size(), header_bytes(head, bytes) + bytes);
      EXPECT_LE(header_bytes(head, bytes), masked ? kFrameHeaderBytesMax : kServerHeaderBytesMax);
      EXPECT_THAT(
          read_whole(masked ? Role::server : Role::client, out, {.message_bytes_max = 100'000}),
          ElementsAre("binary:" + payload));
    }
  }
}

TEST(FrameWriter, HeaderOfEachLengthIsWhatTheRfcSays) {
  std::string out;
  append_frame(out, {.opcode = Opcode::text}, "Hello");
  EXPECT_EQ(out, "\x81\x05Hello");
  out.clear();
  append_frame(out, {.opcode = Opcode::text, .mask = kKey}, "Hello");
  EXPECT_EQ(out, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
  char header[kFrameHeaderBytesMax];
  EXPECT_EQ(write_header({.opcode = Opcode::binary}, 256, header), 4U);
  EXPECT_EQ(std::string(header, 4), "\x82\x7e\x01\x00"s);
  EXPECT_EQ(write_header({.opcode = Opcode::binary}, 65536, header), 10U);
  EXPECT_EQ(std::string(header, 10), "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"s);
  EXPECT_EQ(write_header({.opcode = Opcode::text, .fin = FrameHead::Fin::more}, 1, header), 2U);
  EXPECT_EQ(std::string(header, 2), "\x01\x01"s);
}

TEST(FrameWriter, SealPutsTheHeaderBeforeThePayload) {
  for (const std::size_t bytes : {0U, 5U, 125U, 126U, 65536U}) {
    const std::string payload(bytes, 'p');
    for (const bool masked : {false, true}) {
      FrameHead head{.opcode = Opcode::text};
      if (masked) head.mask = kKey;
      std::string block = std::string(kFrameHeaderBytesMax, '#') + payload;
      const auto frame = seal_frame(head, std::span<char>{block}.subspan(kFrameHeaderBytesMax));
      std::string expected;
      append_frame(expected, head, payload);
      EXPECT_EQ(std::string_view(frame.data(), frame.size()), expected);
      EXPECT_EQ(frame.data() + frame.size(), block.data() + block.size());
      EXPECT_EQ(block.find_first_not_of('#'),
                static_cast<std::size_t>(frame.data() - block.data()));
    }
  }
}

TEST(FrameWriter, MaskIsTheSameAtEveryLengthAndOffset) {
  std::mt19937_64 random(7);
  for (std::size_t bytes = 0; bytes < 100; ++bytes) {
    for (std::size_t offset = 0; offset < 9; ++offset) {
      std::string text(bytes, '\0');
      for (char& c : text) c = static_cast<char>(random());
      std::string expected = text;
      for (std::size_t i = 0; i < bytes; ++i) {
        expected[i] = static_cast<char>(expected[i] ^ kKey[(i + offset) % 4]);
      }
      mask(text, kKey, offset);
      ASSERT_EQ(text, expected) << bytes << " bytes at offset " << offset;
    }
  }
}

TEST(FrameWriter, CloseCarriesCodeAndReason) {
  std::string out;
  append_close(out, CloseCode{4101}, "too slow");
  EXPECT_THAT(read_whole(Role::client, out), ElementsAre("close:4101:too slow"));
  out.clear();
  append_close(out, CloseCode::no_status, "is not sent");
  EXPECT_THAT(read_whole(Role::client, out), ElementsAre("close:1005:"));
  out.clear();
  append_close(out, CloseCode::normal, "bye", kKey);
  EXPECT_THAT(read_whole(Role::server, out), ElementsAre("close:1000:bye"));
}

TEST(FrameWriter, LongReasonIsCutAtACodePoint) {
  std::string out;
  append_close(out, CloseCode::normal, std::string(200, 'x'));
  EXPECT_THAT(read_whole(Role::client, out), ElementsAre("close:1000:" + std::string(123, 'x')));
  out.clear();
  append_close(out, CloseCode::normal, std::string(121, 'x') + "\xe2\x82\xac and more");
  EXPECT_THAT(read_whole(Role::client, out), ElementsAre("close:1000:" + std::string(121, 'x')));
}

}  // namespace
}  // namespace stratwire::transport::test
