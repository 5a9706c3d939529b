#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/owned.hpp>

namespace stratwire {
namespace {

// Texts in memory that is overwritten before the copy is looked at.
struct Frame {
  std::string input = "So11111111111111111111111111111111111111112";
  std::string output = "USDC";
  [[nodiscard]] PriceUpdate message() const { return {input, output, 1.5, 2, 3}; }
  void overwrite() {
    input.assign(input.size(), '#');
    output.assign(output.size(), '#');
  }
};

TEST(Owned, KeepsTextsWhenTheFrameIsGone) {
  Frame frame;
  const Owned kept(frame.message());
  frame.overwrite();
  EXPECT_EQ(kept->input_mint, "So11111111111111111111111111111111111111112");
  EXPECT_EQ(kept->output_mint, "USDC");
  EXPECT_EQ((*kept).price, 1.5);
}

TEST(Owned, CopyHasTextsOfItsOwn) {
  Owned<PriceUpdate> copy;
  {
    const Owned original(Frame{}.message());
    copy = original;
    EXPECT_NE(copy->input_mint.data(), original->input_mint.data());
    EXPECT_TRUE(copy == original);
  }
  EXPECT_EQ(copy->output_mint, "USDC");
  const Owned<PriceUpdate> second(copy);
  copy = PriceUpdate{};
  EXPECT_EQ(second->output_mint, "USDC");
}

TEST(Owned, MoveLeavesAnEmptyMessage) {
  Owned original(Frame{}.message());
  const Owned<PriceUpdate> moved(std::move(original));
  EXPECT_EQ(moved->output_mint, "USDC");
  EXPECT_EQ(*original, PriceUpdate{});  // NOLINT: what is left is the point.

  Owned<PriceUpdate> assigned;
  assigned = Owned(Frame{}.message());
  EXPECT_EQ(assigned->output_mint, "USDC");
}

TEST(Owned, AssignsFromAViewOfItself) {
  Owned owned(Frame{}.message());
  PriceUpdate half = *owned;
  half.input_mint = half.output_mint;
  owned = half;
  EXPECT_EQ(owned->input_mint, "USDC");
  owned = *&owned;
  EXPECT_EQ(owned->output_mint, "USDC");
}

TEST(Owned, GrowsInAVector) {
  std::vector<Owned<Event>> all;
  for (int i = 0; i < 100; ++i) {
    const std::string type = "Type" + std::to_string(i);
    const std::string data = "[" + std::to_string(i) + "]";
    all.emplace_back(Event{type, {Codec::json, data}});
  }
  EXPECT_EQ(all[42]->type, "Type42");
  EXPECT_EQ(all[99]->data.bytes, "[99]");
}

TEST(Owned, TakesEmptyTexts) {
  const Owned<AccountUpdate> owned(AccountUpdate{"", 1, 2, 3});
  const Owned<AccountUpdate> copy = owned;
  EXPECT_EQ(copy->pubkey, "");
  EXPECT_EQ(copy->slot, 2U);
}

}  // namespace
}  // namespace stratwire
