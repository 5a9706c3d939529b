#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stratwire/codec.hpp>
#include <stratwire/testing/audit.hpp>

namespace stratwire::testing {
namespace {

using ::testing::HasSubstr;

constexpr std::uint64_t kEpoch = 7;

DataMessage price(std::uint64_t volume) {
  return PriceUpdate{"USDC", "SOL", 142.25, volume, 99};
}

class AuditTest : public ::testing::Test {
 protected:
  void publish(std::string_view channel, std::uint64_t volume) {
    ledger.append(channel, kEpoch, content_of(price(volume)));
  }
  void hand(std::string_view channel, std::uint64_t seq, std::uint64_t volume) {
    Delivery delivery;
    delivery.envelope = {channel, seq};
    delivery.epoch = kEpoch;
    delivery.body = std::get<PriceUpdate>(price(volume));
    audit.take(delivery);
  }
  void hand(const Notice& notice) {
    Delivery delivery;
    delivery.body = &notice;
    audit.take(delivery);
  }
  void subscribed(const std::string& channel, std::uint64_t head) {
    hand(Subscribed{1, {{channel, Errc::ok, "", kEpoch, head}}});
  }

  Audit audit{};
  PublishedLedger ledger{};
};

TEST_F(AuditTest, BeginsBehindTheHeadThatIsSaid) {
  publish("prices:A", 1);
  subscribed("prices:A", 1);
  publish("prices:A", 2);
  hand("prices:A", 2, 2);
  EXPECT_EQ(audit.verdict(ledger), "");
}

TEST_F(AuditTest, NoticesWhatWasLostAlteredAndNeverCame) {
  subscribed("prices:A", 0);
  for (std::uint64_t seq = 1; seq <= 4; ++seq) publish("prices:A", seq);
  hand("prices:A", 1, 1);
  hand("prices:A", 3, 33);
  const std::string verdict = audit.verdict(ledger);
  EXPECT_THAT(verdict, HasSubstr("silent_loss: prices:A 2"));
  EXPECT_THAT(verdict, HasSubstr("altered: prices:A 3"));
  EXPECT_THAT(verdict, HasSubstr("tail_lost: prices:A 4"));
  EXPECT_EQ(audit.verdict(ledger), verdict) << "asking changes nothing";
}

TEST_F(AuditTest, ASecondAnswerAfterAReconnectMovesNothing) {
  subscribed("prices:A", 0);
  publish("prices:A", 1);
  publish("prices:A", 2);
  hand("prices:A", 1, 1);
  subscribed("prices:A", 2);
  EXPECT_THAT(audit.verdict(ledger), HasSubstr("tail_lost: prices:A 2"));
  hand("prices:A", 2, 2);
  EXPECT_EQ(audit.verdict(ledger), "");
}

TEST_F(AuditTest, AChannelOfAWildcardBeginsWhereItBegins) {
  subscribed("prices:*", 0);
  publish("prices:A", 1);
  publish("prices:A", 2);
  hand("prices:A", 2, 2);
  EXPECT_EQ(audit.verdict(ledger), "");
  hand("trades:A", 1, 1);
  EXPECT_THAT(audit.verdict(ledger), HasSubstr("not_subscribed: trades:A"));
}

TEST_F(AuditTest, AStoredPointAndTheLatestMessageAreBeginnings) {
  for (std::uint64_t seq = 1; seq <= 3; ++seq) {
    publish("prices:A", seq);
    publish("prices:B", seq);
  }
  audit.begins_after("prices:A", 1);
  audit.begins_anywhere("prices:B");
  subscribed("prices:A", 3);
  subscribed("prices:B", 3);
  hand("prices:A", 2, 2);
  hand("prices:A", 3, 3);
  hand("prices:B", 3, 3);
  EXPECT_EQ(audit.verdict(ledger), "");
}

TEST_F(AuditTest, AfterAnUnsubscribeNothingIsOwed) {
  subscribed("prices:A", 0);
  hand(Unsubscribed{1, {{"prices:A", Errc::ok, "", kEpoch, 0}}});
  publish("prices:A", 1);
  EXPECT_EQ(audit.verdict(ledger), "");
}

TEST_F(AuditTest, AnOlderConnectionAfterANewerOneIsNoticed) {
  hand(StateEvent{ClientState::live, 2, {}});
  hand(StateEvent{ClientState::live, 1, {}});
  EXPECT_THAT(audit.verdict(ledger), HasSubstr("generation_fell"));
}

TEST(Content, IsTheSameInBothCodecsAndAnotherForEachMember) {
  const DataMessage messages[] = {PriceUpdate{"USDC", "SOL", 142.25, 12, 99},
                                  PriceUpdate{"USDC", "SOL", 142.25, 12, 98},
                                  PriceUpdate{"USDC", "SOL", 142.25, 13, 99},
                                  PriceUpdate{"USDC", "SOL", 142.5, 12, 99},
                                  PriceUpdate{"USDCS", "OL", 142.25, 12, 99},
                                  AccountUpdate{"pubkey", 1, 2, 3},
                                  AccountUpdate{"pubkey", 2, 1, 3},
                                  Event{"Trade", {Codec::json, "{ \"a\" : 1 }"}},
                                  Event{"Trade", {Codec::json, "{ \"a\": 2}"}},
                                  Event{"Trades", {Codec::json, "{\"a\":1}"}}};
  for (const DataMessage& message : messages) {
    for (const Codec codec : {Codec::json, Codec::msgpack}) {
      std::string bytes;
      const Message whole = std::visit(
          [](const auto& body) {
            return Message{{"kind:key", 1}, body};
          },
          message);
      ASSERT_TRUE(encode(codec, whole, bytes).ok());
      Decoder decoder(codec);
      Message back;
      ASSERT_TRUE(decoder.decode(bytes, back).ok());
      const std::uint64_t content = std::visit(
          [](const auto& body) -> std::uint64_t {
            if constexpr (std::is_constructible_v<DataMessage, decltype(body)>) {
              return content_of(DataMessage{body});
            }
            return 0;
          },
          back.body);
      EXPECT_EQ(content, content_of(message)) << bytes;
    }
    for (const DataMessage& other : messages) {
      EXPECT_EQ(content_of(message) == content_of(other), &message == &other);
    }
  }
}

}  // namespace
}  // namespace stratwire::testing
