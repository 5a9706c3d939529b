// After warm-up, nothing between the socket and the handler allocates: counted, over all threads.
#include <atomic>
#include <cstdlib>
#include <new>
#include <string>

#include "strategy.hpp"

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

constexpr std::uint64_t kEpoch = 77;
constexpr std::uint64_t kMessages = 20'000;

class ClientMemory : public ClientTest {};
INSTANTIATE_TEST_SUITE_P(Modes, ClientMemory, kModes, mode_name);

TEST_P(ClientMemory, ReceivingAllocatesNothingAfterWarmUp) {
  ClientConfig config = this->config();
  config.ring_bytes = 2 * (config.message_bytes_max + 1024);
  Strategy strategy{peer, config};
  std::vector<std::string> channels;
  for (int i = 0; i < 50; ++i) channels.push_back("prices:COIN" + std::to_string(i));
  strategy.client.subscribe(channels).value();
  peer.greet_and_grant(kEpoch, 0);
  ASSERT_TRUE(strategy.hears("live #1"));
  peer.while_waiting = [] {};

  // Everything that is sent is ready before the counting starts.
  std::string frames;
  std::string payload;
  const auto opcode =
      GetParam().codec == Codec::json ? transport::Opcode::text : transport::Opcode::binary;
  for (std::uint64_t i = 0; i < kMessages; ++i) {
    payload.clear();
    const std::string mint(44, 'm');
    encode(GetParam().codec,
           Message{{channels[i % channels.size()], i / channels.size() + 1},
                   PriceUpdate{mint, mint, 1.5, i, 3}},
           payload)
        .value();
    transport::append_frame(frames, {opcode, {}, transport::FrameHead::Fin::last}, payload);
  }
  std::string_view left = frames;
  std::uint64_t received = 0;
  std::uint64_t before = 0;
  ASSERT_TRUE(eventually([&] {
    left.remove_prefix(left.empty() ? 0 : peer.try_send_bytes(left));
    strategy.client.poll([&](const Delivery& delivery) noexcept {
      if (delivery.get_if<PriceUpdate>() == nullptr) return;
      ++received;
      // relaxed: as in counted().
      if (received == kMessages / 10) before = g_allocations.load(std::memory_order_relaxed);
    });
    return received == kMessages;
  }));
  EXPECT_EQ(g_allocations.load() - before, 0u);
  EXPECT_EQ(strategy.client.metrics().gaps, 0u);
}

}  // namespace
}  // namespace stratwire::testing
