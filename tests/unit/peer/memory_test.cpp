// After warm-up nothing between send() and the other side's handler allocates: counted, both ways.
#include <cstdint>

#include "../../support/counted_calls.hpp"
#include "strategies.hpp"

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
    test::start_counting();
    ASSERT_TRUE(exchange(20'000));
    const auto calls = test::stop_counting();
    EXPECT_EQ(test::allocations_in(calls), 0u) << test::to_string(calls);
    close(a, b);
  }
}

}  // namespace
}  // namespace stratwire::testing
