#include "../../../sdk/arbiter/src/kept.hpp"

#include <cstdint>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace stratwire::arbiter {
namespace {

constexpr PriceUpdate kPrice{"USDC", "SOL", 142.25, 7, 1'732'094'400'123'456'789};
constexpr AccountUpdate kAccount{"9xQeWvG816bUx9EP", 5, 6, 7};
const Event kEvent{"trade", {Codec::json, R"({"side":"buy"})"}};

template <class T>
Delivery delivery(const T& body) {
  Delivery delivery;
  delivery.envelope = {"prices:SOL", 3};
  delivery.body = body;
  return delivery;
}

TEST(ContentOf, IsTheSameForTheSameMessageWhereverItsTextsAre) {
  const std::string elsewhere = "USDC";
  PriceUpdate copy = kPrice;
  copy.input_mint = elsewhere;
  EXPECT_EQ(content_of(delivery(copy)), content_of(delivery(kPrice)));
}

TEST(ContentOf, DiffersInItsUpperBitsWhateverDiffers) {
  std::set<std::uint64_t> seen;
  const auto insert = [&](const Delivery& each) {
    return seen.insert(content_of(each) >> 8).second;
  };
  EXPECT_TRUE(insert(delivery(kPrice)));
  PriceUpdate price = kPrice;
  EXPECT_TRUE((price.price = 142.26, insert(delivery(price))));
  EXPECT_TRUE((price.volume += 1, insert(delivery(price))));
  EXPECT_TRUE((price.timestamp += 1, insert(delivery(price))));
  EXPECT_TRUE((price.output_mint = "ETH", insert(delivery(price))));
  EXPECT_TRUE((std::swap(price.input_mint, price.output_mint), insert(delivery(price))));
  AccountUpdate account = kAccount;
  EXPECT_TRUE(insert(delivery(account)));
  EXPECT_TRUE((account.lamports += 1, insert(delivery(account))));
  EXPECT_TRUE((account.slot += 1, insert(delivery(account))));
  EXPECT_TRUE((account.timestamp += 1, insert(delivery(account))));
  EXPECT_TRUE((account.pubkey = "other", insert(delivery(account))));
  Event event = kEvent;
  EXPECT_TRUE(insert(delivery(event)));
  EXPECT_TRUE((event.type = "alert", insert(delivery(event))));
  EXPECT_TRUE((event.data.bytes = "{}", insert(delivery(event))));
}

TEST(Kept, OwnsEveryTextAndUsesItsMemoryAgain) {
  Kept kept;
  for (const std::size_t bytes : {3u, 10'000u, 40u}) {
    std::string channel(bytes, 'c');
    std::string type(bytes, 't');
    std::string data(bytes, '1');
    LineDelivery given;
    given.envelope = {channel, 9};
    given.line = 1;
    given.body = Event{type, {Codec::json, data}};
    kept.keep(given);
    channel.assign(bytes, '-');
    type.assign(bytes, '-');
    data.assign(bytes, '-');
    EXPECT_EQ(kept.delivery().envelope.channel, std::string(bytes, 'c'));
    EXPECT_EQ(kept.delivery().envelope.seq, 9u);
    EXPECT_EQ(kept.delivery().line, 1u);
    const auto* const event = kept.delivery().get_if<Event>();
    ASSERT_NE(event, nullptr);
    EXPECT_EQ(event->type, std::string(bytes, 't'));
    EXPECT_EQ(event->data.bytes, std::string(bytes, '1'));
  }
}

TEST(BytesOf, CountsTheTexts) {
  Event larger = kEvent;
  larger.type = "trade-with-a-longer-name";
  EXPECT_EQ(bytes_of(delivery(larger)) - bytes_of(delivery(kEvent)),
            larger.type.size() - kEvent.type.size());
}

}  // namespace
}  // namespace stratwire::arbiter
