/// The bytes of every message, and the document that promises them.
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

#include <stratwire/codec.hpp>

#include "examples.hpp"

namespace stratwire {
namespace {

struct Golden {
  std::string json{};
  std::string hex{};
};

// Blocks of three lines: name, JSON, MessagePack in hex.
std::map<std::string, Golden> read_golden() {
  std::map<std::string, Golden> all;
  std::ifstream file(STRATWIRE_TEST_DATA "/messages.golden");
  std::string name;
  while (std::getline(file, name)) {
    if (name.empty()) continue;
    Golden golden;
    std::getline(file, golden.json);
    std::getline(file, golden.hex);
    all[name] = golden;
  }
  return all;
}

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    text += kDigits[static_cast<unsigned char>(c) >> 4];
    text += kDigits[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

std::string from_hex(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

std::string protocol_document() {
  std::ifstream file(STRATWIRE_PROTOCOL_DOCUMENT);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST(Golden, EveryMessageTypeHasAnExample) {
  std::vector<bool> seen(std::variant_size_v<WsMessage>);
  for (const test::Example& example : test::examples()) seen[example.message.body.index()] = true;
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_TRUE(seen[i]) << "alternative " << i;
  EXPECT_EQ(read_golden().size(), test::examples().size());
}

TEST(Golden, MessagesEncodeToTheGoldenBytes) {
  auto golden = read_golden();
  for (const test::Example& example : test::examples()) {
    SCOPED_TRACE(example.name);
    std::string json;
    std::string packed;
    ASSERT_TRUE(encode(Codec::json, example.message, json).ok());
    ASSERT_TRUE(encode(Codec::msgpack, example.message, packed).ok());
    EXPECT_EQ(json, golden[std::string(example.name)].json);
    EXPECT_EQ(to_hex(packed), golden[std::string(example.name)].hex);
  }
}

TEST(Golden, GoldenBytesDecodeToTheMessages) {
  auto golden = read_golden();
  Decoder json(Codec::json);
  Decoder packed(Codec::msgpack);
  for (const test::Example& example : test::examples()) {
    SCOPED_TRACE(example.name);
    const Golden& bytes = golden[std::string(example.name)];
    Message from_json;
    ASSERT_TRUE(json.decode(bytes.json, from_json).ok());
    EXPECT_TRUE(from_json == example.message);

    Message from_packed;
    const std::string raw = from_hex(bytes.hex);
    ASSERT_TRUE(packed.decode(raw, from_packed).ok());
    // What an Event carries has changed its form; in JSON they are the same again.
    std::string as_json;
    ASSERT_TRUE(encode(Codec::json, from_packed, as_json).ok());
    EXPECT_EQ(as_json, bytes.json);
  }
}

TEST(Golden, TheProtocolDocumentShowsEveryExample) {
  const std::string document = protocol_document();
  ASSERT_FALSE(document.empty()) << STRATWIRE_PROTOCOL_DOCUMENT;
  for (const auto& [name, golden] : read_golden()) {
    EXPECT_NE(document.find(golden.json), std::string::npos) << name;
    EXPECT_NE(document.find(golden.hex), std::string::npos) << name;
  }
}

TEST(Golden, EveryJsonLineOfTheProtocolDocumentDecodes) {
  std::istringstream document(protocol_document());
  Decoder decoder(Codec::json);
  std::size_t lines = 0;
  bool inside = false;
  for (std::string line; std::getline(document, line);) {
    if (line.starts_with("```")) {
      inside = line == "```json";
      continue;
    }
    if (!inside) continue;
    Message message;
    const Result<void> decoded = decoder.decode(line, message);
    EXPECT_TRUE(decoded.ok()) << line << '\n' << decoded.error().message();
    ++lines;
  }
  EXPECT_GE(lines, test::examples().size());
}

TEST(Golden, TheProtocolDocumentListsEveryErrorCode) {
  const std::string document = protocol_document();
  for (int code = 1; code <= static_cast<int>(Errc::invalid_input); ++code) {
    const std::string name = "`" + std::string(to_string(static_cast<Errc>(code))) + "`";
    EXPECT_NE(document.find(name), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace stratwire
