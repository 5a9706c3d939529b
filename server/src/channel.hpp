/// The channels of a server, shared by publishers, hub and I/O threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <stratwire/result.hpp>
#include <stratwire/session/channel_name.hpp>
#include <stratwire/session/server_session.hpp>

namespace stratwire::server {

/// One bit for each (I/O thread, codec) that wants a channel.
using InterestMask = std::uint32_t;
inline constexpr std::size_t kIoThreadsMax = 8;
inline constexpr std::size_t kInterestSlots = 2 * kIoThreadsMax;
[[nodiscard]] constexpr std::size_t interest_slot(std::size_t thread, Codec codec) noexcept {
  return 2 * thread + static_cast<std::size_t>(codec);
}

/// One channel; lives as long as the server.
class Channel {
 public:
  Channel(std::uint32_t id, const session::ChannelName& name)
      : id_(id),
        name_(name.text),
        kind_bytes_(name.kind.size()),
        conflates_(name.kind == "prices") {}

  // Immutable: any thread.

  /// Counts from 0 in the order of creation.
  [[nodiscard]] std::uint32_t id() const noexcept { return id_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::string_view kind() const noexcept {
    return std::string_view(name_).substr(0, kind_bytes_);
  }
  /// A reader that was lapped gets the latest value of this channel after the Gap.
  [[nodiscard]] bool conflates() const noexcept { return conflates_; }

  // Hub only.

  std::uint64_t head = 0;  ///< Last sequence number that was given out.
  InterestMask wanted = 0;
  /// Subscriptions that name exactly this channel, by interest_slot().
  std::uint32_t subscriptions[kInterestSlots] = {};
  bool adopted = false;  ///< The hub has added the interest of `kind:*`.

 private:
  std::uint32_t id_;
  std::string name_;
  std::size_t kind_bytes_;
  bool conflates_;
};

/// Finds and makes channels, and knows the kinds. Control plane: takes a lock.
///
/// \thread any thread
class ChannelRegistry {
 public:
  ChannelRegistry(const std::vector<std::string>& kinds, std::size_t channels_max)
      : kinds_(std::make_shared<const session::KindSet>(kinds.begin(), kinds.end())),
        channels_max_(channels_max) {}

  /// Who asks for a channel.
  enum class Asker : std::uint8_t {
    publisher,
    client,  ///< May invent names: half of the server's channels are kept for publishers.
  };

  /// The channel of that name, made if it is new.
  ///
  /// \errors  invalid_channel_name; too_many_channels when the server's limit is reached
  Result<Channel*> find_or_make(std::string_view name, Asker asker);
  /// The kinds that clients may ask for, as of now.
  [[nodiscard]] std::shared_ptr<const session::KindSet> kinds() const;
  void add_kind(std::string_view kind);
  [[nodiscard]] std::size_t size() const;

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };

  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::unique_ptr<Channel>, Hash, std::equal_to<>> channels_;
  std::shared_ptr<const session::KindSet> kinds_;
  std::size_t channels_max_;
  std::size_t made_by_clients_ = 0;
};

}  // namespace stratwire::server
