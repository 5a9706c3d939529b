/// From the hub to a shard on another thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include <stratwire/queue/spsc_bytes.hpp>

#include "figures.hpp"
#include "frame.hpp"
#include "now.hpp"

namespace stratwire::server {

class Shard;

/// A ring of frames and, in order with them, of what else the hub has to say.
///
/// \thread one producer (the hub's), one consumer (the shard's), as marked
class HubLink {
 public:
  /// \param wake  called on the hub's thread after something became visible
  HubLink(ShardFigures& figures, std::function<void()> wake);
  /// Records that nobody read own their interest changes; they go here.
  ~HubLink();
  HubLink(const HubLink&) = delete;
  HubLink& operator=(const HubLink&) = delete;

  // ---- The hub's thread

  /// Whether one more message fits, whatever its size, in both codecs.
  [[nodiscard]] bool has_room() noexcept;
  /// Precondition: has_room() was true for this message.
  void forward(const Frame& frame);
  void forward(std::unique_ptr<InterestChange> change);
  void forward_go_away();
  void forward_close_all();
  /// Makes what was forwarded visible; wakes nobody when nothing was.
  void flush();

  // ---- The shard's thread

  /// Hands on what waits, up to so many bytes of frames, or until the shard has enough.
  void drain(Shard& shard, std::size_t limit, Now now);
  /// Call it once the shard has published its lag, of which the drained bytes are now a part.
  void settle() noexcept;
  [[nodiscard]] bool empty() noexcept { return ring_.empty(); }

 private:
  void commit_now();
  [[nodiscard]] char* reserve(std::size_t bytes);

  ShardFigures& figures_;
  std::function<void()> wake_;
  queue::SpscBytes ring_;
  bool unpublished_ = false;         // the hub's
  std::uint64_t drained_bytes_ = 0;  // the shard's
};

}  // namespace stratwire::server
