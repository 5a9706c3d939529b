#include "../../../sdk/client/src/ring.hpp"

#include <memory>
#include <string>
#include <thread>

#include <gtest/gtest.h>

namespace stratwire::client {
namespace {

Delivery price(std::string_view mint, std::uint64_t seq) {
  Delivery delivery;
  delivery.envelope = {"prices:A", seq};
  delivery.epoch = 7;
  delivery.received_at = 9;
  delivery.body = PriceUpdate{mint, "SOL", 1.5, 2, 3};
  return delivery;
}

TEST(DeliveryRing, TextsAreTheRecordsOwnAndChannelNamesAreNot) {
  DeliveryRing ring{4096};
  std::string mint = "a mint that goes away";
  const Delivery pushed = price(mint, 1);
  ASSERT_TRUE(ring.try_push(pushed));
  mint.assign(mint.size(), '?');
  ring.publish();
  const Delivery* const taken = ring.next();
  ASSERT_NE(taken, nullptr);
  EXPECT_EQ(taken->get_if<PriceUpdate>()->input_mint, "a mint that goes away");
  EXPECT_EQ(taken->get_if<PriceUpdate>()->output_mint, "SOL");
  EXPECT_EQ(taken->envelope.channel.data(), pushed.envelope.channel.data());
  EXPECT_EQ(taken->envelope.seq, 1u);
  EXPECT_EQ(taken->epoch, 7u);
  EXPECT_EQ(taken->received_at, 9);
  EXPECT_EQ(ring.next(), nullptr);
}

TEST(DeliveryRing, NothingIsSeenBeforePublish) {
  DeliveryRing ring{4096};
  ASSERT_TRUE(ring.try_push(price("a", 1)));
  EXPECT_EQ(ring.next(), nullptr);
  EXPECT_TRUE(ring.empty());
  ring.publish();
  EXPECT_FALSE(ring.empty());
  EXPECT_NE(ring.next(), nullptr);
}

TEST(DeliveryRing, EveryKindOfBodyGoesThrough) {
  DeliveryRing ring{4096};
  Delivery delivery;
  delivery.body = AccountUpdate{"key", 1, 2, 3};
  ASSERT_TRUE(ring.try_push(delivery));
  delivery.body = Event{"Trade", {Codec::json, "[1,2]"}};
  ASSERT_TRUE(ring.try_push(delivery));
  delivery.body = Gap{7, 1, 2, Gap::Reason::upstream};
  ASSERT_TRUE(ring.try_push(delivery));
  {
    const Notice notice = Published{5, Errc::ok, std::string(100, 'x')};
    delivery.body = &notice;
    ASSERT_TRUE(ring.try_push(delivery));
  }
  ring.publish();
  EXPECT_EQ(ring.next()->get_if<AccountUpdate>()->pubkey, "key");
  EXPECT_EQ(ring.next()->get_if<Event>()->data.bytes, "[1,2]");
  EXPECT_EQ(ring.next()->get_if<Gap>()->to, 2u);
  EXPECT_EQ(ring.next()->get_if<Published>()->message, std::string(100, 'x'));
}

TEST(DeliveryRing, ARecordStaysUntilTheNextCall) {
  DeliveryRing ring{1024};
  ASSERT_TRUE(ring.try_push(price("first", 1)));
  ring.publish();
  const Delivery* const taken = ring.next();
  // The producer fills whatever it can get meanwhile.
  std::uint64_t seq = 1;
  while (ring.try_push(price("later", ++seq))) ring.publish();
  EXPECT_EQ(taken->get_if<PriceUpdate>()->input_mint, "first");
}

TEST(DeliveryRing, FullRefusesAndGoesOnWhereItStopped) {
  DeliveryRing ring{1024};
  std::uint64_t pushed = 0;
  std::uint64_t taken = 0;
  for (int lap = 0; lap < 100; ++lap) {
    while (ring.try_push(price(std::string(pushed % 60, 'm'), pushed + 1))) {
      ++pushed;
      ring.publish();
    }
    ASSERT_GT(pushed, taken);
    while (const Delivery* const delivery = ring.next()) {
      ASSERT_EQ(delivery->envelope.seq, taken + 1);
      ASSERT_EQ(delivery->get_if<PriceUpdate>()->input_mint.size(), taken % 60);
      ++taken;
    }
    ASSERT_EQ(pushed, taken);
  }
}

TEST(DeliveryRing, WhoeverAskedForRoomIsToldOnce) {
  DeliveryRing ring{1024};
  while (ring.try_push(price("x", 1))) ring.publish();
  ring.ask_for_room();
  EXPECT_FALSE(ring.room_was_made());
  EXPECT_FALSE(ring.made_room());
  while (ring.next() != nullptr) {
  }
  EXPECT_TRUE(ring.made_room());
  EXPECT_TRUE(ring.room_was_made());
  EXPECT_FALSE(ring.made_room());
  EXPECT_TRUE(ring.try_push(price("x", 1)));
}

TEST(DeliveryRing, NobodyAskedNobodyIsTold) {
  DeliveryRing ring{1024};
  ASSERT_TRUE(ring.try_push(price("x", 1)));
  ring.publish();
  while (ring.next() != nullptr) {
  }
  EXPECT_FALSE(ring.made_room());
}

TEST(DeliveryRing, NoticesThatNobodyTookAreFreed) {
  auto ring = std::make_unique<DeliveryRing>(4096);
  const Notice notice = ErrorReply{0, Errc::syntax, std::string(100, 'x'), false, 0};
  Delivery delivery;
  delivery.body = &notice;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(ring->try_push(delivery));
  ring->publish();
  ASSERT_NE(ring->next(), nullptr);
  ring.reset();  // The leak sanitizer looks.
}

TEST(DeliveryRing, TwoThreadsMoveEverythingInOrder) {
  DeliveryRing ring{2048};
  constexpr std::uint64_t kCount = 20'000;
  std::thread producer([&] {
    for (std::uint64_t seq = 1; seq <= kCount; ++seq) {
      const std::string mint(seq % 50, 'm');
      while (!ring.try_push(price(mint, seq))) std::this_thread::yield();
      ring.publish();
    }
  });
  std::uint64_t expected = 1;
  bool in_order = true;
  while (expected <= kCount) {
    const Delivery* const delivery = ring.next();
    if (delivery == nullptr) {
      std::this_thread::yield();
      continue;
    }
    in_order = in_order && delivery->envelope.seq == expected &&
               delivery->get_if<PriceUpdate>()->input_mint.size() == expected % 50;
    ++expected;
  }
  producer.join();
  EXPECT_TRUE(in_order);
}

}  // namespace
}  // namespace stratwire::client
