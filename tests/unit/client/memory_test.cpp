// After warm-up, nothing between the socket and the handler allocates: counted, over all threads.
#include <cstdint>
#include <string>
#include <vector>

#include "../../support/counted_calls.hpp"
#include "strategy.hpp"

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
  ASSERT_TRUE(eventually([&] {
    left.remove_prefix(left.empty() ? 0 : peer.try_send_bytes(left));
    strategy.client.poll([&](const Delivery& delivery) noexcept {
      if (delivery.get_if<PriceUpdate>() == nullptr) return;
      if (++received == kMessages / 10) test::start_counting();
    });
    return received == kMessages;
  }));
  const auto calls = test::stop_counting();
  EXPECT_EQ(test::allocations_in(calls), 0u) << test::to_string(calls);
  EXPECT_EQ(strategy.client.metrics().gaps, 0u);
}

}  // namespace
}  // namespace stratwire::testing
