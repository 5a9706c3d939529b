/// The one place where messages get their order: stamps `seq`, encodes once, hands on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core.hpp"

namespace stratwire::server {

/// One channel or wildcard of a subscription, as the hub answers it.
struct Subscription {
  Channel* channel = nullptr;  ///< nullptr for a wildcard, or when refused.
  std::uint64_t head = 0;
  Error error{};
};

/// A connection's request to change what its thread is told of. Travels to the hub and back.
struct InterestChange {
  std::size_t thread = 0;
  std::uint64_t connection_token = 0;
  Codec codec = Codec::json;
  std::vector<std::string> added{};
  std::vector<std::string> removed{};
  /// Names whose state is wanted; an empty one is passed over.
  std::vector<std::string> asked{};
  std::vector<Subscription> granted{};  ///< One for each of `asked`; filled in by the hub.
};

/// One ready frame on its way to the cohorts that want it.
struct Frame {
  enum class Audience : std::uint8_t {
    everybody,
    native,  ///< Not for plain connections, which know data messages only.
  };
  Channel* channel = nullptr;  ///< nullptr: a broadcast.
  std::uint64_t seq = 0;
  Codec codec = Codec::json;
  Audience audience = Audience::everybody;
  std::span<const char> bytes{};  ///< Header and payload.
};

/// Runs on the first I/O thread.
///
/// \thread I/O thread only
class Hub {
 public:
  /// Frames of one drain(): more would fall out of the cache before they are sent.
  static constexpr std::size_t kTurnBytesMax = 256 * 1024;

  explicit Hub(Core& core);

  /// Takes up to `limit` messages from the inbox and hands them on; stops early after
  /// kTurnBytesMax, and when another thread's ring is full, so that nothing is ever dropped here.
  std::size_t drain(std::size_t limit);
  [[nodiscard]] bool has_work() const noexcept {
    return batch_next_ != batch_end_ || core_.inbox.size_approx() != 0;
  }

  /// Applies the change. From here on every message of the channels added reaches the thread.
  void change_interest(InterestChange& change);

 private:
  struct Kind {
    std::uint32_t subscriptions[kInterestSlots] = {};
  };

  void handle(const Submission& submission);
  template <class Body>
  void encode_and_deliver(Frame frame, const Body& body);
  /// Appends the body to the header's room in frame_. \return payload bytes
  template <class Body>
  Result<std::size_t> encode_body(const Frame& frame, const Body& body);
  void deliver(const Frame& frame);
  void adopt(Channel& channel);
  void count(std::string_view name, std::size_t slot, int change);
  [[nodiscard]] Subscription look_up(std::string_view name);
  [[nodiscard]] bool rings_have_room() const noexcept;

  Core& core_;
  queue::Mpmc<Submission>::Consumer consumer_;
  std::map<std::string, Kind, std::less<>> kinds_;
  std::vector<Channel*> adopted_;
  std::vector<Submission> batch_;
  std::size_t batch_next_ = 0;
  std::size_t batch_end_ = 0;
  std::size_t turn_bytes_ = 0;
  std::string frame_;  ///< Room for a header, then the payload; only ever grows.
};

}  // namespace stratwire::server
