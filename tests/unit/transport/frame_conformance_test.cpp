// Sections 1 to 7 and 10 of the Autobahn test suite as a table: what arrives, and the events it
// must become, at both ends, whole, cut at every byte and byte by byte.
#include <random>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire.hpp"

namespace stratwire::transport::test {
namespace {

using testing::ElementsAreArray;
using Events = std::vector<std::string>;

constexpr unsigned kText = 0x81;
constexpr unsigned kBinary = 0x82;
constexpr unsigned kClose = 0x88;
constexpr unsigned kPing = 0x89;
constexpr unsigned kPong = 0x8a;
constexpr unsigned kTextOpen = 0x01;
constexpr unsigned kBinaryOpen = 0x02;
constexpr unsigned kMore = 0x00;
constexpr unsigned kLast = 0x80;

struct Case {
  std::string name;
  std::vector<Part> parts;
  Events events;
};

// Long frames are cut where something can go wrong, short ones everywhere.
bool worth_cutting(std::size_t at, std::size_t bytes) {
  return bytes < 1000 || at < 20 || at + 20 > bytes || at % 4093 == 0;
}

void check(Role role, const std::string& name, std::string_view bytes, const Events& events,
           FrameLimits limits = {}) {
  SCOPED_TRACE(name + ", as " + std::string(role_name(role)));
  ASSERT_THAT(read_whole(role, bytes, limits), ElementsAreArray(events));
  for (std::size_t at = 0; at <= bytes.size(); ++at) {
    if (!worth_cutting(at, bytes.size())) continue;
    ASSERT_THAT(read_split(role, bytes, at, limits), ElementsAreArray(events)) << "cut at " << at;
  }
  if (bytes.size() < 1000) {
    ASSERT_THAT(read_bytewise(role, bytes, limits), ElementsAreArray(events));
  }
}

void check_all(const std::vector<Case>& cases, FrameLimits limits = {}) {
  for (const Role role : {Role::client, Role::server}) {
    for (const Case& one : cases) {
      check(role, one.name, frames_for(role, one.parts), one.events, limits);
    }
  }
}

std::string number_be(unsigned number) {
  return {static_cast<char>(number >> 8), static_cast<char>(number & 0xff)};
}

// ---- 1 Framing

TEST(FrameConformance, Section1Framing) {
  std::vector<Case> cases;
  for (const std::size_t bytes : {0U, 1U, 125U, 126U, 127U, 128U, 65535U, 65536U}) {
    const std::string star(bytes, '*');
    const std::string fe(bytes, '\xfe');
    cases.push_back({"1.1 text of " + std::to_string(bytes), {{kText, star}}, {"text:" + star}});
    cases.push_back({"1.2 binary of " + std::to_string(bytes), {{kBinary, fe}}, {"binary:" + fe}});
  }
  check_all(cases, {.message_bytes_max = 65536});
}

// ---- 2 Pings and pongs

TEST(FrameConformance, Section2PingsAndPongs) {
  const std::string binary("\x00\xff\xfe\xfd\xfc\xfb\x00\xff", 8);
  const std::string longest(125, '\xfe');
  std::vector<Case> cases = {
      {"2.1 empty ping", {{kPing, ""}}, {"ping:"}},
      {"2.2 ping with text", {{kPing, "Hello, world!"}}, {"ping:Hello, world!"}},
      {"2.3 ping with bytes that are not UTF-8", {{kPing, binary}}, {"ping:" + binary}},
      {"2.4 longest ping", {{kPing, longest}}, {"ping:" + longest}},
      {"2.5 ping too long", {{kPing, std::string(126, '\xfe')}}, {"violation:1002"}},
      {"2.5 pong too long", {{kPong, std::string(126, '\xfe')}}, {"violation:1002"}},
      {"2.7 unsolicited pong", {{kPong, ""}}, {"pong:"}},
      {"2.8 unsolicited pong with payload", {{kPong, "nobody asked"}}, {"pong:nobody asked"}},
      {"2.9 pong, then ping", {{kPong, "a"}, {kPing, "b"}}, {"pong:a", "ping:b"}},
  };
  Case many{"2.10 ten pings", {}, {}};
  for (int i = 0; i < 10; ++i) {
    many.parts.push_back({kPing, "payload-" + std::to_string(i)});
    many.events.push_back("ping:payload-" + std::to_string(i));
  }
  cases.push_back(many);
  check_all(cases);
}

// ---- 3 Reserved bits, 4 opcodes

TEST(FrameConformance, Section3ReservedBits) {
  std::vector<Case> cases;
  for (unsigned rsv = 1; rsv <= 7; ++rsv) {
    const unsigned bits = rsv << 4;
    const std::string name = "3." + std::to_string(rsv);
    cases.push_back({name + " alone", {{kText | bits, "x"}}, {"violation:1002"}});
    cases.push_back({name + " after a message, before a ping",
                     {{kText, "Hello"}, {kBinary | bits, "x"}, {kPing, ""}},
                     {"text:Hello", "violation:1002"}});
    cases.push_back({name + " on a ping", {{kPing | bits, ""}}, {"violation:1002"}});
    cases.push_back({name + " on a close", {{kClose | bits, ""}}, {"violation:1002"}});
    cases.push_back(
        {name + " on a continuation", {{kTextOpen, "a"}, {kLast | bits, "b"}}, {"violation:1002"}});
  }
  check_all(cases);
}

TEST(FrameConformance, Section4Opcodes) {
  std::vector<Case> cases;
  for (const unsigned opcode : {3U, 4U, 5U, 6U, 7U, 11U, 12U, 13U, 14U, 15U}) {
    const std::string name = "4 opcode " + std::to_string(opcode);
    cases.push_back({name + " empty", {{0x80U | opcode, ""}}, {"violation:1002"}});
    cases.push_back({name + " after a message",
                     {{kText, "Hello"}, {0x80U | opcode, "x"}, {kPing, ""}},
                     {"text:Hello", "violation:1002"}});
  }
  check_all(cases);
}

// ---- 5 Fragmentation

TEST(FrameConformance, Section5Fragmentation) {
  check_all({
      {"5.1 ping in fragments", {{0x09, "a"}, {kLast, "b"}}, {"violation:1002"}},
      {"5.2 pong in fragments", {{0x0a, "a"}, {kLast, "b"}}, {"violation:1002"}},
      {"5.2 close in fragments", {{0x08, ""}, {kLast, ""}}, {"violation:1002"}},
      {"5.3 text in two", {{kTextOpen, "frag1"}, {kLast, "frag2"}}, {"text:frag1frag2"}},
      {"5.6 ping between",
       {{kTextOpen, "frag1"}, {kPing, "p"}, {kLast, "frag2"}},
       {"ping:p", "text:frag1frag2"}},
      {"5.7 pong between",
       {{kBinaryOpen, "frag1"}, {kPong, "p"}, {kLast, "frag2"}},
       {"pong:p", "binary:frag1frag2"}},
      {"5.9 continuation of nothing, last", {{kLast, "x"}, {kText, "y"}}, {"violation:1002"}},
      {"5.10 continuation of nothing", {{kMore, "x"}, {kText, "y"}}, {"violation:1002"}},
      {"5.11 continuation of nothing, empty", {{kLast, ""}}, {"violation:1002"}},
      {"5.12 continuation after a whole message",
       {{kText, "whole"}, {kLast, "x"}},
       {"text:whole", "violation:1002"}},
      {"5.15 continuation after a joined message",
       {{kTextOpen, "a"}, {kLast, "b"}, {kMore, "c"}},
       {"text:ab", "violation:1002"}},
      {"5.18 text inside a fragmented text",
       {{kTextOpen, "frag1"}, {kText, "frag2"}},
       {"violation:1002"}},
      {"5.18 binary inside a fragmented text",
       {{kTextOpen, "frag1"}, {kBinaryOpen, "frag2"}},
       {"violation:1002"}},
      {"5.19 five fragments, pings between",
       {{kTextOpen, "1"},
        {kMore, "2"},
        {kPing, "a"},
        {kMore, "3"},
        {kMore, "4"},
        {kPing, "b"},
        {kLast, "5"},
        {kText, "next"}},
       {"ping:a", "ping:b", "text:12345", "text:next"}},
      {"6.1 empty fragments", {{kTextOpen, ""}, {kMore, ""}, {kLast, ""}}, {"text:"}},
      {"6.1 empty around one", {{kTextOpen, ""}, {kMore, "middle"}, {kLast, ""}}, {"text:middle"}},
      {"close inside a fragmented message",
       {{kTextOpen, "a"}, {kClose, number_be(1001)}, {kLast, "b"}},
       {"close:1001:"}},
      {"two joined messages in a row",
       {{kTextOpen, "a"}, {kLast, "b"}, {kBinaryOpen, "c"}, {kLast, "d"}},
       {"text:ab", "binary:cd"}},
  });
}

TEST(FrameConformance, Section10AutoFragmentation) {
  const std::string payload(65536, '*');
  Case one{"10.1 65536 bytes in pieces of 1300", {}, {"text:" + payload}};
  for (std::size_t at = 0; at < payload.size(); at += 1300) {
    const bool is_last = at + 1300 >= payload.size();
    one.parts.push_back({(at == 0 ? 1U : 0U) | (is_last ? 0x80U : 0U), payload.substr(at, 1300)});
  }
  check_all({one}, {.message_bytes_max = 65536});
}

// ---- 6 UTF-8

const std::vector<std::string> kValidUtf8 = {
    "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
    "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
    std::string("\x00", 1),
    "\xc2\x80",
    "\xe0\xa0\x80",
    "\xf0\x90\x80\x80",
    "\x7f",
    "\xdf\xbf",
    "\xef\xbf\xbf",
    "\xf4\x8f\xbf\xbf",
    "\xed\x9f\xbf",
    "\xee\x80\x80",
    "\xef\xbf\xbd",
    "\xef\xbf\xbe",
    "\xf0\x9f\xbf\xbe",
};

const std::vector<std::string> kInvalidUtf8 = {
    "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64",
    "\xf8\x88\x80\x80\x80",
    "\xfc\x84\x80\x80\x80\x80",
    "\xf7\xbf\xbf\xbf",
    "\xfb\xbf\xbf\xbf\xbf",
    "\xfd\xbf\xbf\xbf\xbf\xbf",
    "\xf4\x90\x80\x80",
    "\x80",
    "\xbf",
    "\x80\xbf",
    "\x80\xbf\x80\xbf\x80\xbf",
    "\xc0 \xc1 \xc2 ",
    "\xe0 \xe1 ",
    "\xf0 \xf1 ",
    "\xf8 ",
    "\xc0",
    "\xe0\x80",
    "\xf0\x80\x80",
    "\xdf",
    "\xef\xbf",
    "\xf7\xbf\xbf",
    "\xfe",
    "\xff",
    "\xc0\xaf",
    "\xe0\x80\xaf",
    "\xf0\x80\x80\xaf",
    "\xc1\xbf",
    "\xe0\x9f\xbf",
    "\xf0\x8f\xbf\xbf",
    "\xc0\x80",
    "\xed\xa0\x80",
    "\xed\xad\xbf",
    "\xed\xae\x80",
    "\xed\xbf\xbf",
    "\xed\xa0\x80\xed\xb0\x80",
    "\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41",
};

// The text in front moves the odd byte over all positions of the fast path's words.
std::vector<std::string> fronts() {
  return {"", "a", std::string(7, 'a'), std::string(31, 'a'), std::string(33, 'a')};
}

TEST(FrameConformance, Section6ValidUtf8) {
  std::vector<Case> cases;
  for (const std::string& text : kValidUtf8) {
    for (const std::string& front : fronts()) {
      const std::string whole = front + text + "end";
      cases.push_back({"6 whole", {{kText, whole}}, {"text:" + whole}});
      for (std::size_t at = 0; at <= whole.size(); ++at) {
        cases.push_back({"6.2 cut into fragments at " + std::to_string(at),
                         {{kTextOpen, whole.substr(0, at)}, {kLast, whole.substr(at)}},
                         {"text:" + whole}});
      }
    }
  }
  check_all(cases);
}

TEST(FrameConformance, Section6InvalidUtf8) {
  std::vector<Case> cases;
  for (const std::string& text : kInvalidUtf8) {
    for (const std::string& front : fronts()) {
      const std::string whole = front + text;
      cases.push_back({"6 whole", {{kText, whole}}, {"violation:1007"}});
      cases.push_back({"6 in binary", {{kBinary, whole}}, {"binary:" + whole}});
      for (std::size_t at = 0; at <= whole.size(); ++at) {
        cases.push_back({"6 cut into fragments at " + std::to_string(at),
                         {{kTextOpen, whole.substr(0, at)}, {kLast, whole.substr(at)}},
                         {"violation:1007"}});
      }
    }
  }
  check_all(cases);
}

TEST(FrameConformance, Section6InvalidUtf8FailsInItsOwnFragment) {
  // 6.4: not only when the message is complete.
  check_all({{"6.4.1", {{kTextOpen, "\xf4\x90"}}, {"violation:1007"}},
             {"6.4.2", {{kTextOpen, "ok"}, {kMore, "\xed\xa0"}}, {"violation:1007"}}});
}

// ---- 7 Close

TEST(FrameConformance, Section7Close) {
  const std::string reason123(123, '*');
  check_all({
      {"7.1.1 message, then close",
       {{kText, "a"}, {kClose, number_be(1000)}},
       {"text:a", "close:1000:"}},
      {"7.1.2 two closes", {{kClose, number_be(1000)}, {kClose, number_be(1001)}}, {"close:1000:"}},
      {"7.1.3 ping after close", {{kClose, number_be(1000)}, {kPing, ""}}, {"close:1000:"}},
      {"7.1.4 text after close", {{kClose, number_be(1000)}, {kText, "late"}}, {"close:1000:"}},
      {"7.1.4 garbage after close", {{kClose, ""}, {0xff, "garbage"}}, {"close:1005:"}},
      {"7.3.1 empty", {{kClose, ""}}, {"close:1005:"}},
      {"7.3.2 one byte", {{kClose, "\x03"}}, {"violation:1002"}},
      {"7.3.3 code", {{kClose, number_be(1000)}}, {"close:1000:"}},
      {"7.3.4 code and reason",
       {{kClose, number_be(1000) + "Hello World!"}},
       {"close:1000:Hello World!"}},
      {"7.3.5 longest reason",
       {{kClose, number_be(1000) + reason123}},
       {"close:1000:" + reason123}},
      {"7.3.6 reason too long", {{kClose, number_be(1000) + reason123 + "*"}}, {"violation:1002"}},
      {"7.5.1 reason is not UTF-8",
       {{kClose, number_be(1000) + kInvalidUtf8[0]}},
       {"violation:1007"}},
  });
}

TEST(FrameConformance, Section7CloseCodes) {
  std::vector<Case> cases;
  for (const unsigned code : {1000U, 1001U, 1002U, 1003U, 1007U, 1008U, 1009U, 1010U, 1011U, 1012U,
                              1013U, 1014U, 3000U, 3999U, 4000U, 4101U, 4999U}) {
    cases.push_back({"7.7 code " + std::to_string(code),
                     {{kClose, number_be(code) + "why"}},
                     {"close:" + std::to_string(code) + ":why"}});
  }
  for (const unsigned code :
       {0U, 1U, 999U, 1004U, 1005U, 1006U, 1015U, 1016U, 1100U, 2000U, 2999U, 5000U, 65535U}) {
    cases.push_back({"7.9 code " + std::to_string(code),
                     {{kClose, number_be(code) + "why"}},
                     {"violation:1002"}});
  }
  check_all(cases);
}

// ---- What the suite does not send

TEST(FrameConformance, MaskIsDemandedOfClientsAndRefusedOfServers) {
  check(Role::server, "unmasked to a server", frame_for(Role::client, {kText, "x"}),
        {"violation:1002"});
  check(Role::client, "masked to a client", frame_for(Role::server, {kText, "x"}),
        {"violation:1002"});
}

TEST(FrameConformance, LengthMustBeInItsShortestForm) {
  using namespace std::string_literals;
  check(Role::client, "125 in 16 bits", "\x82\x7e\x00\x7d"s, {"violation:1002"});
  check(Role::client, "0 in 16 bits", "\x82\x7e\x00\x00"s, {"violation:1002"});
  check(Role::client, "65535 in 64 bits", "\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff"s,
        {"violation:1002"});
  check(Role::client, "top bit", "\x82\x7f\x80\x00\x00\x00\x00\x00\xff\xff"s, {"violation:1002"});
  check(Role::client, "close with 16 bits", "\x88\x7e\x00\x02\x03\xe8"s, {"violation:1002"});
}

TEST(FrameConformance, DeclaredLengthIsRefusedBeforeItsBytesCome) {
  using namespace std::string_literals;
  const FrameLimits limits{.message_bytes_max = 1000};
  check(Role::client, "1001", "\x82\x7e\x03\xe9"s, {"violation:1009"}, limits);
  check(Role::client, "2^63-1", "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"s, {"violation:1009"},
        limits);
  const std::string open = frame_for(Role::client, {kBinaryOpen, std::string(600, 'x')});
  check(Role::client, "401 more than is left", open + "\x80\x7e\x01\x91"s, {"violation:1009"},
        limits);
  const std::string whole(1000, 'x');
  check_all({{"1000 of 1000", {{kBinary, whole}}, {"binary:" + whole}},
             {"600 and 400 of 1000",
              {{kBinaryOpen, whole.substr(0, 600)}, {kLast, whole.substr(600)}},
              {"binary:" + whole}}},
            limits);
}

TEST(FrameConformance, LimitOfNothingTakesEmptyMessages) {
  check_all({{"empty", {{kText, ""}}, {"text:"}}, {"one byte", {{kText, "x"}}, {"violation:1009"}}},
            {.message_bytes_max = 0});
}

TEST(FrameConformance, FragmentsAreCountedEmptyOrNot) {
  const FrameLimits limits{.fragments_max = 4};
  check_all({{"four", {{kTextOpen, ""}, {kMore, ""}, {kMore, ""}, {kLast, ""}}, {"text:"}},
             {"five",
              {{kTextOpen, ""}, {kMore, ""}, {kMore, ""}, {kMore, ""}, {kLast, "x"}},
              {"violation:1008"}},
             {"pings are none",
              {{kTextOpen, "a"}, {kPing, ""}, {kPing, ""}, {kPing, ""}, {kPing, ""}, {kLast, "b"}},
              {"ping:", "ping:", "ping:", "ping:", "text:ab"}}},
            limits);
}

TEST(FrameConformance, FragmentsOfTheNextMessageAreCountedAnew) {
  check_all({{"two of three each",
              {{kTextOpen, "a"},
               {kMore, "b"},
               {kLast, "c"},
               {kTextOpen, "d"},
               {kMore, "e"},
               {kLast, "f"}},
              {"text:abc", "text:def"}}},
            {.fragments_max = 3});
}

// ---- Any fragmentation, any cuts

struct Script {
  std::string bytes{};
  Events events{};
};

Script random_script(std::mt19937_64& random, Role receiver) {
  const auto below = [&random](std::size_t limit) {
    return static_cast<std::size_t>(random() % limit);
  };
  Script script;
  const std::size_t messages = 1 + below(6);
  for (std::size_t i = 0; i < messages; ++i) {
    const bool is_text = below(2) == 0;
    std::string payload;
    const std::size_t pieces = below(40);
    for (std::size_t j = 0; j < pieces; ++j) {
      payload += is_text ? kValidUtf8[below(kValidUtf8.size())] : std::string(below(50), '\xff');
    }
    std::size_t at = 0;
    unsigned opcode = is_text ? 1 : 2;
    while (true) {
      const std::size_t take = std::min(payload.size() - at, below(payload.size() + 2));
      const bool is_last = at + take == payload.size() && below(3) != 0;
      script.bytes +=
          frame_for(receiver, {opcode | (is_last ? 0x80U : 0U), payload.substr(at, take)});
      at += take;
      opcode = 0;
      if (is_last) break;
      if (below(4) == 0) {
        script.bytes += frame_for(receiver, {kPing, "between"});
        script.events.push_back("ping:between");
      }
    }
    script.events.push_back((is_text ? "text:" : "binary:") + payload);
  }
  return script;
}

TEST(FrameConformance, RandomFragmentsAndCutsGiveTheSameMessages) {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    const Role role = seed % 2 == 0 ? Role::client : Role::server;
    const Script script = random_script(random, role);
    Reader reader(role);
    for (std::size_t at = 0; at < script.bytes.size();) {
      const std::size_t take = 1 + random() % 300;
      reader.receive(std::string_view(script.bytes).substr(at, take));
      at += take;
    }
    ASSERT_THAT(reader.events, ElementsAreArray(script.events));
    ASSERT_EQ(reader.kept(), 0U);
  }
}

}  // namespace
}  // namespace stratwire::transport::test
