/// What the tool counts when it is handed what no client of ours would hand over.
#include "tally.hpp"

#include <cstdint>
#include <string>

#include <gtest/gtest.h>

namespace stratwire::cli {
namespace {

constexpr std::uint64_t kEpoch = 7;

class TallyTest : public testing::Test {
 protected:
  void message(std::uint64_t seq, std::uint64_t epoch = kEpoch) {
    tally_.message({"prices:X", seq}, epoch, ++now_, 0);
  }
  void gap(std::uint64_t from, std::uint64_t to, std::uint64_t epoch = kEpoch) {
    tally_.gap({"prices:X", 0}, {epoch, from, to, Gap::Reason::slow_consumer});
  }
  void expect(const std::string& figures) const {
    EXPECT_NE(tally_.summary(metrics_, {}).find(figures), std::string::npos)
        << figures << " is not in " << tally_.summary(metrics_, {});
  }

  Tally tally_;
  ClientMetrics metrics_{};
  std::int64_t now_ = 1'000;
};

TEST_F(TallyTest, InOrderIsClean) {
  for (std::uint64_t seq = 40; seq < 50; ++seq) message(seq);
  expect(R"("received":10,"channels":1,"gaps":0,"missed":0,"unannounced":0,"duplicates":0)");
  EXPECT_TRUE(tally_.clean(metrics_));
}

TEST_F(TallyTest, HoleWithoutGapIsNotClean) {
  message(1);
  message(4);
  expect(R"("unannounced":2,)");
  EXPECT_FALSE(tally_.clean(metrics_));
}

TEST_F(TallyTest, GapExplainsHole) {
  message(1);
  gap(2, 3);
  message(4);
  expect(R"("gaps":1,"missed":2,"unannounced":0,)");
  EXPECT_FALSE(tally_.clean(metrics_));
}

TEST_F(TallyTest, GapThatIsTooShortLeavesHole) {
  message(1);
  gap(2, 3);
  message(6);
  expect(R"("missed":2,"unannounced":2,)");
}

TEST_F(TallyTest, GapWithoutEndExplainsWhateverComesNext) {
  message(1);
  gap(2, 0);
  message(100);
  expect(R"("gaps":1,"missed":0,"unannounced":0,)");
}

TEST_F(TallyTest, SameNumberIsDuplicateAndSmallerOneOutOfOrder) {
  message(5);
  message(5);
  message(3);
  expect(R"("duplicates":1,"out_of_order":1,)");
  EXPECT_FALSE(tally_.clean(metrics_));
}

TEST_F(TallyTest, NewEpochBeginsAnew) {
  message(5);
  message(1, kEpoch + 1);
  message(2, kEpoch + 1);
  expect(R"("unannounced":0,"duplicates":0,"out_of_order":0,)");
}

TEST_F(TallyTest, GapOfOldEpochDoesNotMoveNewOne) {
  message(1, kEpoch + 1);
  gap(2, 90, kEpoch);
  message(2, kEpoch + 1);
  expect(R"("missed":89,"unannounced":0,"duplicates":0,"out_of_order":0,)");
}

TEST_F(TallyTest, DuplicatesThatTheClientDroppedAreShownAndHarmless) {
  message(1);
  metrics_.duplicates = 3;
  expect(R"("duplicates":3,)");
  EXPECT_TRUE(tally_.clean(metrics_));
}

TEST_F(TallyTest, DecodeErrorIsNotClean) {
  message(1);
  metrics_.decode_errors = 1;
  EXPECT_FALSE(tally_.clean(metrics_));
}

TEST_F(TallyTest, MessagesOutsideChannelsHaveNoNumbers) {
  for (int i = 0; i < 3; ++i) tally_.message({}, kEpoch, ++now_, 0);
  expect(R"("received":3,"channels":0,)");
  EXPECT_TRUE(tally_.clean(metrics_));
}

TEST_F(TallyTest, LatencyIsReceivedMinusTimestampAndNegativeOnesAreClockSkew) {
  tally_.message({"prices:X", 1}, kEpoch, 1'000, 990);
  tally_.message({"prices:X", 2}, kEpoch, 1'000, 1'005);
  tally_.message({"prices:X", 3}, kEpoch, 1'000, 0);
  expect(R"("latency_ns":{"count":1,"p50":10,)");
  expect(R"("max":10,"clock_skew":1})");
}

}  // namespace
}  // namespace stratwire::cli
