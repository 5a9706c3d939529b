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
#include "frame.hpp"
#include "hub_link.hpp"

namespace stratwire::server {

/// Runs on the thread of the first shard.
///
/// \thread the first shard's thread only
class Hub {
 public:
  /// Frames of one drain(): more would fall out of the cache before they are sent.
  static constexpr std::size_t kTurnBytesMax = 256 * 1024;

  /// \param local  shard 0, on the hub's own thread
  Hub(Core& core, Shard& local);

  /// Shard 1, then 2 ...: those on other threads. Before the first message.
  void add_link(HubLink& link) { links_.push_back(&link); }

  /// Takes up to `limit` messages from the inbox and hands them on; stops early after
  /// kTurnBytesMax, and when a link is full, so that nothing is ever dropped here.
  std::size_t drain(std::size_t limit);
  [[nodiscard]] bool has_work() const noexcept {
    return batch_next_ != batch_end_ || core_.inbox.size_approx() != 0;
  }

  /// Makes what was handed on visible to the other shards.
  void flush_links();
  void close_all_behind_links();
  /// Call it once shard 0 has published its lag, of which paced messages are now a part.
  void settle_paced() noexcept;

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
  [[nodiscard]] bool links_have_room() const noexcept;

  Core& core_;
  Shard& local_;
  std::vector<HubLink*> links_{};
  queue::Mpmc<Submission>::Consumer consumer_;
  std::map<std::string, Kind, std::less<>> kinds_;
  std::vector<Channel*> adopted_;
  std::vector<Submission> batch_;
  std::size_t batch_next_ = 0;
  std::size_t batch_end_ = 0;
  std::size_t turn_bytes_ = 0;
  std::uint64_t paced_bytes_ = 0;  ///< Handed on and not yet settled.
  std::string frame_;              ///< Room for a header, then the payload; only ever grows.
};

}  // namespace stratwire::server
