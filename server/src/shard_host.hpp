/// What a shard asks of whoever runs it: an I/O thread, or a simulation.
#pragma once

#include <cstdint>
#include <memory>

#include <stratwire/transport/poller.hpp>

namespace stratwire::server {

struct InterestChange;

/// Called for changes only, never for a message.
///
/// \thread the shard's thread only
class ShardHost {
 public:
  ShardHost() = default;
  ShardHost(const ShardHost&) = delete;
  ShardHost& operator=(const ShardHost&) = delete;
  virtual ~ShardHost() = default;

  /// Tells Shard::on_ready() with this token from now on. \return false when it can't
  [[nodiscard]] virtual bool watch(int fd, std::uint64_t token, transport::Interest interest) = 0;
  virtual void change_watch(int fd, std::uint64_t token, transport::Interest interest) = 0;
  virtual void unwatch(int fd) = 0;

  /// Has the hub apply the change, then gives it to Shard::on_interest(): at once, within this
  /// call, or later; in order with the frames that the hub hands on.
  virtual void ask_hub(std::unique_ptr<InterestChange> change) = 0;
  /// As ask_hub(), for one that nobody waits for: it does not come back.
  virtual void tell_hub(std::unique_ptr<InterestChange> change) = 0;
  /// Gathers the connections of every shard for Shard::on_connections() with this token.
  virtual void ask_connections(std::uint64_t token) = 0;
};

}  // namespace stratwire::server
