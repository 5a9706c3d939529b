/// The channels of a server, shared by publishers, hub and I/O threads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <stratwire/result.hpp>
#include <stratwire/server_config.hpp>
#include <stratwire/session/channel_name.hpp>
#include <stratwire/session/log_budget.hpp>
#include <stratwire/session/message_log.hpp>
#include <stratwire/session/server_session.hpp>

namespace stratwire::server {

/// One bit for each (I/O thread, codec) that wants a channel.
using InterestMask = std::uint32_t;
inline constexpr std::size_t kIoThreadsMax = 8;
inline constexpr std::size_t kInterestSlots = 2 * kIoThreadsMax;
/// Subscriptions by interest_slot().
using InterestCounts = std::array<std::uint32_t, kInterestSlots>;
[[nodiscard]] constexpr std::size_t interest_slot(std::size_t thread, Codec codec) noexcept {
  return 2 * thread + static_cast<std::size_t>(codec);
}

/// What a channel is made with.
struct ChannelRules {
  Overflow overflow = Overflow::drop_oldest;
  session::LogLimits log{};
  session::LogBudget* budget = nullptr;
};

/// One channel that is published, or was; lives as long as the server.
class Channel {
 public:
  Channel(std::uint32_t id, const session::ChannelName& name, const ChannelRules& rules)
      : log(rules.log,
            rules.overflow == Overflow::conflate ? session::KeepLatest::yes
                                                 : session::KeepLatest::no,
            rules.budget),
        id_(id),
        overflow_(rules.overflow),
        name_(name.text),
        kind_bytes_(name.kind.size()) {}

  // Immutable: any thread.

  /// Counts from 0 in the order of creation.
  [[nodiscard]] std::uint32_t id() const noexcept { return id_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::string_view kind() const noexcept {
    return std::string_view(name_).substr(0, kind_bytes_);
  }
  [[nodiscard]] Overflow overflow() const noexcept { return overflow_; }

  // Hub only.

  /// Its messages, as Publication::record(); its head is the channel's.
  session::MessageLog log;
  std::uint64_t head_position = 0;  ///< Of the last message, among those of all channels.
  InterestMask wanted = 0;
  /// Subscriptions that name exactly this channel.
  InterestCounts subscriptions{};
  bool adopted = false;  ///< The hub has added the interest that waited for it.

 private:
  std::uint32_t id_;
  Overflow overflow_;
  std::string name_;
  std::size_t kind_bytes_;
};

/// Finds and makes channels, and knows the kinds. Control plane: takes a lock.
///
/// \thread any thread
class ChannelRegistry {
 public:
  /// \param budget  of the logs of all channels; outlives this
  ChannelRegistry(const ServerConfig& config, session::LogBudget& budget);

  /// The channel of that name; nullptr when nobody has published it yet.
  [[nodiscard]] Channel* find(std::string_view name) const;
  /// The channel of that name, made if it is new.
  ///
  /// \errors  invalid_channel_name; too_many_channels when the server's limit is reached
  Result<Channel*> find_or_make(std::string_view name);
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
  std::map<std::string, ChannelPolicy, std::less<>> policies_;
  ChannelRules rules_{};
};

}  // namespace stratwire::server
