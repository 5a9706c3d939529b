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
#include "frame_encoder.hpp"
#include "hub_link.hpp"
#include "now.hpp"
#include "replayer.hpp"

namespace stratwire::server {

/// Runs on the thread of the first shard.
///
/// \thread the first shard's thread only
class Hub {
 public:
  /// \param local  shard 0, on the hub's own thread
  Hub(Core& core, Shard& local);

  /// Shard 1, then 2 ...: those on other threads. Before the first message.
  void add_link(HubLink& link) { links_.push_back(&link); }

  /// Takes up to `limit` messages from the inbox and hands them on; stops early after
  /// the limits of a turn, and when a link is full, so that nothing is ever dropped here.
  ///
  /// \return with those of try_handle() since the last drain
  std::size_t drain(std::size_t limit, Now now);
  /// Hands one message on past the inbox; false when it must not overtake what waits there, or when
  /// this turn has enough.
  [[nodiscard]] bool try_handle(const Publication& publication);
  [[nodiscard]] bool has_work() const noexcept {
    return batch_next_ != batch_end_ || core_.inbox.size_approx() != 0;
  }

  /// Makes what was handed on visible to the other shards.
  void flush_links();
  void close_all_behind_links();
  /// Call it once shard 0 has published its lag, of which paced messages are now a part.
  void settle_paced() noexcept;

  void go_away_behind_links();
  /// Applies the change, or takes its replay a piece further: then the change is applied with the
  /// last one. From here on every message of the channels added reaches the shard.
  void change_interest(InterestChange& change, Now now);

 private:
  std::size_t drain_inbox(std::size_t limit);
  void handle(const Publication& publication);
  template <class Body>
  void encode_and_deliver(Frame& frame, const Body& body);
  void deliver(const Frame& frame);
  void adopt(Channel& channel);
  void apply(InterestChange& change);
  void look_up(InterestChange& change);
  [[nodiscard]] Stand stand() const noexcept;
  void count(std::string_view name, std::size_t slot, int change);
  void count_name(const session::ChannelName& name, std::size_t slot, int change);
  void refresh(Channel& channel, std::size_t slot);
  void age_logs();
  [[nodiscard]] bool links_have_room() const noexcept;
  [[nodiscard]] bool has_enough() const noexcept;

  Core& core_;
  Shard& local_;
  std::vector<HubLink*> links_{};
  queue::Mpmc<Submission>::Consumer consumer_;
  /// Subscriptions to `kind:*`, by kind; and to names that nobody has published yet, by name.
  std::map<std::string, InterestCounts, std::less<>> kinds_{};
  std::map<std::string, InterestCounts, std::less<>> names_{};
  std::vector<Channel*> adopted_{};
  std::vector<Submission> batch_;
  std::size_t batch_next_ = 0;
  std::size_t batch_end_ = 0;
  std::size_t turn_bytes_ = 0;     ///< Of frames since the last drain ended.
  std::size_t handled_ = 0;        ///< Past the inbox, in the same time.
  std::uint64_t paced_bytes_ = 0;  ///< Handed on and not yet settled.
  std::uint64_t position_ = 0;     ///< Messages published in all channels.
  Now now_{};                      ///< Of the call that is under way.
  std::int64_t next_aging_ms_ = 0;
  FrameEncoder encoder_{};
  Replayer replayer_{};
  std::string record_{};  ///< Of the message that is handled; only ever grows.
};

}  // namespace stratwire::server
