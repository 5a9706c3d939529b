// After warm-up nothing between send() and the other side's handler allocates: counted, both ways.
#include <atomic>
#include <cstdlib>
#include <new>
#include <string>

#include "strategies.hpp"

namespace {

std::atomic<std::uint64_t> g_allocations{0};

// Not inlined below: the compiler would warn of a free() that it does not see the malloc() of.
void* counted(std::size_t bytes) {
  g_allocations.fetch_add(1, std::memory_order_relaxed);  // relaxed: a figure orders nothing.
  void* const memory = std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc{};
  return memory;
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return counted(bytes);
}
[[gnu::noinline]] void* operator new[](std::size_t bytes) {
  return counted(bytes);
}
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return counted(bytes);
}
[[gnu::noinline]] void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return counted(bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete[](void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace stratwire::testing {
namespace {

TEST(PeerMemory, SendingAndReceivingAllocateNothingAfterWarmUp) {
  for (const Codec codec : {Codec::json, Codec::msgpack}) {
    Strategy a{{.listen = socket_url(), .name = "alpha", .codec = codec}};
    Strategy b{{.dial = a.peer.url(), .name = "beta", .codec = codec}};
    ASSERT_TRUE(until([&] { return a.has("linked beta #1") && b.has("linked alpha #1"); }, a, b));
    std::uint64_t got_a = 0;
    std::uint64_t got_b = 0;
    std::uint64_t sent = 0;
    const auto exchange = [&](std::uint64_t messages) {
      const std::uint64_t end = sent + messages;
      return until([&] {
        for (int i = 0; i < 50 && sent < end; ++i) {
          if (a.peer.send(price(sent)) != SendStatus::ok) break;
          if (b.peer.send(price(sent)) != SendStatus::ok) ADD_FAILURE();
          ++sent;
        }
        const auto count = [](std::uint64_t& got) {
          return [&got](const PeerDelivery& d) noexcept { got += d.seq != 0 ? 1 : 0; };
        };
        a.peer.poll(count(got_a));
        b.peer.poll(count(got_b));
        return got_a == end && got_b == end;
      });
    };
    ASSERT_TRUE(exchange(20'000));
    // relaxed: a figure orders nothing.
    const std::uint64_t before = g_allocations.load(std::memory_order_relaxed);
    ASSERT_TRUE(exchange(20'000));
    // relaxed: as above.
    const std::uint64_t allocations = g_allocations.load(std::memory_order_relaxed) - before;
    EXPECT_EQ(allocations, 0u);
    close(a, b);
  }
}

}  // namespace
}  // namespace stratwire::testing
