// The judge has to notice each kind of fault, name it rightly, and stay silent otherwise.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/testing/delivery_oracle.hpp>

namespace stratwire::testing {
namespace {

constexpr std::uint64_t kEpoch = 7;
const std::string kChannel = "prices:A";

constexpr std::uint64_t content_of(std::uint64_t seq) {
  return seq * 1'000 + 1;
}

PublishedLedger ledger_of(std::uint64_t messages) {
  PublishedLedger ledger;
  for (std::uint64_t seq = 1; seq <= messages; ++seq) {
    EXPECT_EQ(ledger.append(kChannel, kEpoch, content_of(seq)), seq);
  }
  return ledger;
}

class Subscriber {
 public:
  Subscriber() { oracle.start(kChannel, 0); }

  Subscriber& gets(std::uint64_t from, std::uint64_t to, std::uint64_t epoch = kEpoch) {
    for (std::uint64_t seq = from; seq <= to; ++seq) {
      oracle.handed(kChannel, epoch, seq, content_of(seq));
    }
    return *this;
  }
  Subscriber& hears(std::uint64_t from, std::uint64_t to,
                    Gap::Reason reason = Gap::Reason::slow_consumer, std::uint64_t epoch = kEpoch) {
    oracle.gap(kChannel, {epoch, from, to, reason});
    return *this;
  }
  /// The one fault that it has, and nothing else.
  ::testing::AssertionResult has_only(DeliveryFault fault, std::uint64_t times = 1) {
    if (oracle.fault_count(fault) == times && oracle.fault_count() == times) {
      return ::testing::AssertionSuccess();
    }
    return ::testing::AssertionFailure()
           << "not " << times << " x " << to_string(fault) << ": " << oracle.report();
  }

  DeliveryOracle oracle{};
};

TEST(DeliveryOracle, FaithfulDeliveryIsClean) {
  Subscriber subscriber;
  subscriber.gets(1, 4).hears(5, 7).gets(8, 8).hears(9, 9).hears(10, 11).gets(12, 20);
  subscriber.oracle.finish(ledger_of(20));
  EXPECT_TRUE(subscriber.oracle.clean()) << subscriber.oracle.report();
  EXPECT_EQ(subscriber.oracle.handed(), 14u);
  EXPECT_EQ(subscriber.oracle.gaps(), 3u);
  EXPECT_EQ(subscriber.oracle.missed(), 6u);
  EXPECT_EQ(subscriber.oracle.cursor(kChannel), 20u);
}

TEST(DeliveryOracle, NothingPublishedNothingHandedIsClean) {
  Subscriber subscriber;
  subscriber.oracle.finish(PublishedLedger{});
  EXPECT_TRUE(subscriber.oracle.clean()) << subscriber.oracle.report();
}

TEST(DeliveryOracle, NoticesADuplicate) {
  EXPECT_TRUE(Subscriber{}.gets(1, 5).gets(5, 5).gets(6, 6).has_only(DeliveryFault::duplicate));
  EXPECT_TRUE(Subscriber{}.gets(1, 5).gets(2, 4).has_only(DeliveryFault::duplicate, 3));
}

TEST(DeliveryOracle, NoticesAHoleThatNoGapNames) {
  EXPECT_TRUE(Subscriber{}.gets(1, 5).gets(7, 9).has_only(DeliveryFault::silent_loss));
  EXPECT_TRUE(Subscriber{}.gets(2, 9).has_only(DeliveryFault::silent_loss));
}

TEST(DeliveryOracle, NoticesAReorder) {
  Subscriber subscriber;
  subscriber.gets(1, 1).gets(3, 3).gets(2, 2).gets(4, 4);
  EXPECT_EQ(subscriber.oracle.fault_count(DeliveryFault::silent_loss), 1u);
  EXPECT_EQ(subscriber.oracle.fault_count(DeliveryFault::reorder), 1u);
  EXPECT_EQ(subscriber.oracle.fault_count(), 2u) << subscriber.oracle.report();
}

TEST(DeliveryOracle, NoticesAGapThatNamesTooFew) {
  EXPECT_TRUE(Subscriber{}.gets(1, 1).hears(2, 4).gets(6, 6).has_only(DeliveryFault::silent_loss));
  EXPECT_TRUE(Subscriber{}.gets(1, 1).hears(3, 5).gets(6, 6).has_only(DeliveryFault::silent_loss));
}

TEST(DeliveryOracle, NoticesAGapThatNamesTooMuch) {
  EXPECT_TRUE(Subscriber{}.gets(1, 1).hears(2, 5).gets(5, 6).has_only(DeliveryFault::gap_untrue));
  EXPECT_TRUE(Subscriber{}.gets(1, 3).hears(3, 5).gets(6, 6).has_only(DeliveryFault::gap_overlap));
}

TEST(DeliveryOracle, NoticesARangeThatTwoGapsName) {
  EXPECT_TRUE(Subscriber{}.gets(1, 1).hears(2, 4).hears(2, 4).gets(5, 5).has_only(
      DeliveryFault::gap_overlap));
}

TEST(DeliveryOracle, NoticesGapsThatMakeNoSense) {
  EXPECT_TRUE(Subscriber{}.gets(1, 1).hears(2, 1).has_only(DeliveryFault::gap_malformed));
  EXPECT_TRUE(Subscriber{}.hears(0, 3).has_only(DeliveryFault::gap_malformed));
  EXPECT_TRUE(Subscriber{}.gets(1, 1).hears(2, 0).has_only(DeliveryFault::gap_malformed))
      << "only the end of an epoch may be open";
}

TEST(DeliveryOracle, AnAnnouncedEpochIsClean) {
  for (const std::uint64_t to : {0u, 6u}) {
    Subscriber subscriber;
    subscriber.gets(1, 4).hears(5, to, Gap::Reason::epoch_change);
    subscriber.hears(1, 2, Gap::Reason::retention, kEpoch + 1).gets(3, 3, kEpoch + 1);
    auto ledger = ledger_of(6);
    for (const std::uint64_t seq : {1u, 2u, 3u})
      ledger.append(kChannel, kEpoch + 1, content_of(seq));
    subscriber.oracle.finish(ledger);
    EXPECT_TRUE(subscriber.oracle.clean()) << subscriber.oracle.report();
  }
}

TEST(DeliveryOracle, NoticesAnEpochThatNobodyAnnounced) {
  EXPECT_TRUE(
      Subscriber{}.gets(1, 4).gets(1, 2, kEpoch + 1).has_only(DeliveryFault::epoch_unannounced));
}

TEST(DeliveryOracle, NoticesAnEpochThatWasOver) {
  EXPECT_TRUE(Subscriber{}
                  .gets(1, 4)
                  .hears(5, 0, Gap::Reason::epoch_change)
                  .gets(1, 2, kEpoch + 1)
                  .hears(3, 0, Gap::Reason::epoch_change, kEpoch + 1)
                  .gets(5, 5)
                  .has_only(DeliveryFault::epoch_unannounced));
  EXPECT_TRUE(Subscriber{}
                  .gets(1, 4)
                  .hears(5, 0, Gap::Reason::epoch_change)
                  .gets(5, 5)
                  .has_only(DeliveryFault::epoch_unannounced));
}

TEST(DeliveryOracle, NoticesANewEpochThatDoesNotBeginWithOne) {
  EXPECT_TRUE(Subscriber{}
                  .gets(1, 4)
                  .hears(5, 0, Gap::Reason::epoch_change)
                  .gets(3, 4, kEpoch + 1)
                  .has_only(DeliveryFault::silent_loss));
}

TEST(DeliveryOracle, NoticesAChannelThatNobodyAskedFor) {
  Subscriber subscriber;
  subscriber.oracle.handed("prices:B", kEpoch, 1, 1);
  EXPECT_TRUE(subscriber.has_only(DeliveryFault::not_subscribed));
}

TEST(DeliveryOracle, NoticesAnOlderGeneration) {
  Subscriber subscriber;
  for (const std::uint64_t generation : {1u, 1u, 2u, 4u, 4u}) {
    subscriber.oracle.generation(generation);
  }
  EXPECT_TRUE(subscriber.oracle.clean());
  subscriber.oracle.generation(3);
  EXPECT_TRUE(subscriber.has_only(DeliveryFault::generation_fell));
}

TEST(DeliveryOracle, NoticesAnAlteredMessage) {
  Subscriber subscriber;
  subscriber.gets(1, 4);
  subscriber.oracle.handed(kChannel, kEpoch, 5, content_of(4));
  subscriber.oracle.finish(ledger_of(5));
  EXPECT_TRUE(subscriber.has_only(DeliveryFault::altered));
}

TEST(DeliveryOracle, NoticesWhatNobodyPublished) {
  Subscriber invented;
  invented.gets(1, 6);
  invented.oracle.finish(ledger_of(5));
  EXPECT_TRUE(invented.has_only(DeliveryFault::never_published));

  Subscriber exaggerated;
  exaggerated.gets(1, 3).hears(4, 6);
  exaggerated.oracle.finish(ledger_of(5));
  EXPECT_TRUE(exaggerated.has_only(DeliveryFault::never_published));
}

TEST(DeliveryOracle, NoticesTheLastMessagesMissing) {
  Subscriber subscriber;
  subscriber.gets(1, 4);
  subscriber.oracle.finish(ledger_of(5));
  EXPECT_TRUE(subscriber.has_only(DeliveryFault::tail_lost));

  Subscriber nothing_at_all;
  nothing_at_all.oracle.finish(ledger_of(1));
  EXPECT_TRUE(nothing_at_all.has_only(DeliveryFault::tail_lost));
}

TEST(DeliveryOracle, NoticesThatANewEpochNeverCame) {
  Subscriber subscriber;
  subscriber.gets(1, 5);
  auto ledger = ledger_of(5);
  ledger.append(kChannel, kEpoch + 1, 1);
  subscriber.oracle.finish(ledger);
  EXPECT_TRUE(subscriber.has_only(DeliveryFault::tail_lost));
}

TEST(DeliveryOracle, ALateSubscriberOwesNothingBeforeItsStart) {
  DeliveryOracle known;
  known.start(kChannel, 3);
  known.handed(kChannel, kEpoch, 4, content_of(4));
  known.handed(kChannel, kEpoch, 5, content_of(5));
  known.finish(ledger_of(5));
  EXPECT_TRUE(known.clean()) << known.report();

  DeliveryOracle anywhere;
  anywhere.start_anywhere(kChannel);
  anywhere.gap(kChannel, {kEpoch, 3, 4, Gap::Reason::slow_consumer});
  anywhere.handed(kChannel, kEpoch, 5, content_of(5));
  anywhere.finish(ledger_of(5));
  EXPECT_TRUE(anywhere.clean()) << anywhere.report();
}

TEST(DeliveryOracle, AChannelThatIsQuietInTheRunningEpochIsCompleteOnceTheOneBeforeIsOver) {
  DeliveryOracle told;
  told.start(kChannel, 0);
  told.handed(kChannel, kEpoch, 1, content_of(1));
  told.gap(kChannel, {kEpoch, 2, 0, Gap::Reason::epoch_change});
  told.finish(ledger_of(5), kEpoch + 1);
  EXPECT_TRUE(told.clean()) << told.report();

  DeliveryOracle untold;
  untold.start(kChannel, 0);
  untold.handed(kChannel, kEpoch, 1, content_of(1));
  untold.finish(ledger_of(5), kEpoch + 1);
  EXPECT_EQ(untold.fault_count(DeliveryFault::tail_lost), 1u);
}

TEST(DeliveryOracle, ReportsTheFirstFaultsAndCountsAll) {
  Subscriber subscriber;
  subscriber.gets(1, 100).gets(1, 100);
  EXPECT_TRUE(subscriber.has_only(DeliveryFault::duplicate, 100));
  const std::string report = subscriber.oracle.report();
  EXPECT_NE(report.find("100 faults"), std::string::npos);
  EXPECT_NE(report.find("duplicate: prices:A 20,"), std::string::npos) << report;
  EXPECT_EQ(report.find("duplicate: prices:A 21,"), std::string::npos) << report;
}

}  // namespace
}  // namespace stratwire::testing
