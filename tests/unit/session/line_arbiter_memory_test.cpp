/// The data path of a LineArbiter allocates nothing after warm-up, counted by an operator new of
/// this program.
#include <cstdint>
#include <cstdlib>
#include <new>

#include <gtest/gtest.h>

#include <stratwire/session/line_arbiter.hpp>

namespace {

std::uint64_t allocations = 0;

}  // namespace

void* operator new(std::size_t bytes) {
  ++allocations;
  if (void* const memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc{};
}
// noinline: g++ sees free() meet new, and not that new is malloc() here, when it inlines only one.
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

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
  const std::uint64_t before = allocations;
  EXPECT_EQ(traffic(arbiter, 5'000, 50'000), 45'000u);
  EXPECT_EQ(allocations, before);
  EXPECT_GT(arbiter.counts().held, 4'000u);
}

TEST(LineArbiterMemory, ANewChannelAllocates) {
  LineArbiter arbiter{{}};
  const std::uint64_t before = allocations;
  static_cast<void>(give(arbiter, 0, 1));
  EXPECT_GT(allocations, before) << "what counts does count";
}

}  // namespace
}  // namespace stratwire::session
