#include "json_check.hpp"

#include <string>

#include <gtest/gtest.h>

#include "json_tree.hpp"

namespace stratwire::detail {
namespace {

TEST(JsonCheck, AgreesWithSimdjsonOnEveryPrefixAndEveryChangedByte) {
  const std::string text =
      R"({"a":[1,-2.5e+3,true,false,null,"x\n\u00e4\ud83d\ude00",{}],"b":{"c":[[]]}} )";
  JsonTreeParser parser;
  Tree tree;
  const auto agree = [&](const std::string& input) {
    const Fault parsed = parser.parse(input, 8, tree);
    const Fault checked = check_json(input, 8);
    EXPECT_EQ(parsed, checked) << input << " " << to_string(parsed.code) << " "
                               << to_string(checked.code);
  };
  agree(text);
  for (std::size_t size = 0; size < text.size(); ++size) agree(text.substr(0, size));
  for (std::size_t place = 0; place < text.size(); ++place) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string changed = text;
      changed[place] = static_cast<char>(byte);
      agree(changed);
    }
  }
}

TEST(JsonCheck, ValueEndsWhereItEnds) {
  std::size_t end = 0;
  EXPECT_FALSE(check_json_value("[1,2] ,3", 0, 4, end));
  EXPECT_EQ(end, 5U);
  EXPECT_FALSE(check_json_value("x12,3", 1, 4, end));
  EXPECT_EQ(end, 3U);
}

TEST(JsonTree, NodesKnowTheirPlaceInTheInput) {
  JsonTreeParser parser;
  Tree tree;
  const std::string text = R"( { "k" : [ 1 , "a\tb" , { } ] , "l" : -7 } )";
  ASSERT_FALSE(parser.parse(text, 8, tree));
  std::string places;
  for (const Node& node : tree.nodes) places += "<" + std::string(tree.bytes_of(node)) + ">";
  EXPECT_EQ(
      places,
      R"(<{ "k" : [ 1 , "a\tb" , { } ] , "l" : -7 }><"k"><[ 1 , "a\tb" , { } ]><1><"a\tb"><{ }><"l"><-7>)");
  EXPECT_EQ(tree.nodes[0].size, 2U);
  EXPECT_EQ(tree.nodes[0].next, tree.nodes.size());
  EXPECT_EQ(tree.nodes[4].text(), "a\tb");
  EXPECT_EQ(tree.nodes[7].signed_value, -7);
}

}  // namespace
}  // namespace stratwire::detail
