/// The data path of a LineArbiter allocates nothing after warm-up: counted.
#include <cstdint>

#include <gtest/gtest.h>

#include <stratwire/session/line_arbiter.hpp>

#include "../../support/counted_calls.hpp"

namespace stratwire::session {
namespace {

const Instant t0{std::chrono::seconds{1000}};

std::uint64_t give(LineArbiter& arbiter, std::size_t line, std::uint64_t seq) {
  const LineCopy copy{line, CopySource::live, "prices:SOL-USDC", 7, seq, seq << 8, 100, 0};
  std::uint64_t handed = 0;
  handed += arbiter.message(copy, t0).verdict == LineArbiter::Verdict::deliver;
  while (const auto action = arbiter.next_action()) {
    handed += std::holds_alternative<arbiter_action::Release>(*action);
  }
  return handed;
}

/// Both lines bring all, and every 10th message of one comes behind a hole of two.
std::uint64_t traffic(LineArbiter& arbiter, std::uint64_t from, std::uint64_t to) {
  std::uint64_t handed = 0;
  for (std::uint64_t seq = from; seq < to; ++seq) {
    if (seq % 10 > 1) handed += give(arbiter, 0, seq);
    handed += give(arbiter, 1, seq - 3);
  }
  return handed;
}

TEST(LineArbiterMemory, CopiesAndHolesAllocateNothingAfterWarmUp) {
  LineArbiter arbiter{{}};
  arbiter.link(0, LineArbiter::Link::up, t0);
  arbiter.link(1, LineArbiter::Link::up, t0);
  static_cast<void>(traffic(arbiter, 10, 5'000));
  test::start_counting();
  const std::uint64_t handed = traffic(arbiter, 5'000, 50'000);
  const auto calls = test::stop_counting();
  EXPECT_EQ(test::allocations_in(calls), 0u) << test::to_string(calls);
  EXPECT_EQ(handed, 45'000u);
  EXPECT_GT(arbiter.counts().held, 4'000u);
}

TEST(LineArbiterMemory, ANewChannelAllocates) {
  LineArbiter arbiter{{}};
  test::start_counting();
  static_cast<void>(give(arbiter, 0, 1));
  EXPECT_GT(test::allocations_in(test::stop_counting()), 0u) << "what counts does count";
}

}  // namespace
}  // namespace stratwire::session
