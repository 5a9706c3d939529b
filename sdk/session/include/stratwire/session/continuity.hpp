/// In order, no duplicate, no silent loss: what may be handed over, and which Gap comes before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include <stratwire/message.hpp>
#include <stratwire/session/channel_table.hpp>

namespace stratwire::session {

/// A cursor for each channel, across connections.
///
/// A cursor that an earlier connection left is settled once on a new one: by the Subscribed result
/// of the channel, or, for a channel reached through `kind:*`, by its first message. Nothing was
/// missed, or one Gap says what.
///
/// \thread one thread at a time
/// \source PROTOCOL.md, "Delivery order"
class Continuity {
 public:
  enum class Verdict : std::uint8_t {
    deliver,
    deliver_after_gap,  ///< Hand over gap() first.
    duplicate,          ///< At or before the cursor: drop it.
    refused,            ///< A new name that is too long, or one too many.
  };

  /// \param channels_max  most names that are remembered; one costs about 130 bytes
  explicit Continuity(std::size_t channels_max = kChannelsMax) noexcept
      : channels_max_(channels_max) {}

  /// A new connection. Cursors stay, to be settled.
  void connected() noexcept {
    ++generation_;
    epoch_ = 0;
  }
  /// The epoch of every channel of this connection, unless something says otherwise.
  void welcomed(std::uint64_t epoch) noexcept { epoch_ = epoch; }

  /// A data message came. Nothing allocates unless the channel is new.
  ///
  /// \param seq  0: the server does not number this channel; delivered unchecked
  [[nodiscard]] Verdict message(std::string_view channel, std::uint64_t seq) {
    cursor_ = table_.find(channel);
    if (cursor_ != nullptr && cursor_->generation == generation_ && seq == cursor_->seq + 1)
        [[likely]] {
      cursor_->seq = seq;
      return Verdict::deliver;
    }
    return uncommon(channel, seq);
  }
  /// A Gap of the server came: deliver (maybe with other ends, see gap()) or duplicate.
  [[nodiscard]] Verdict gap_message(std::string_view channel, const Gap& gap);
  /// A granted subscription; the Gap that a reconnect left, if any.
  [[nodiscard]] std::optional<Gap> subscribed(std::string_view channel, std::uint64_t epoch,
                                              std::uint64_t head);
  /// No longer wanted: what comes later starts anew, without a Gap.
  void forget(std::string_view channel) noexcept {
    if (Cursor* const cursor = table_.find(channel)) cursor->generation = 0;
  }
  /// As above, for every channel that `unwanted` is true for.
  template <class Unwanted>
  void forget_if(Unwanted&& unwanted) {
    table_.for_each([&](Cursor& cursor) {
      if (unwanted(cursor.channel)) cursor.generation = 0;
    });
  }

  // Of the last call, until the next one.

  /// Precondition: the verdict was deliver or deliver_after_gap. Lives as long as this.
  [[nodiscard]] const Cursor& cursor() const noexcept { return *cursor_; }
  [[nodiscard]] const Gap& gap() const noexcept { return gap_; }

  [[nodiscard]] std::size_t channels() const noexcept { return table_.size(); }

  static constexpr std::size_t kChannelsMax = 1'000'000;

 private:
  [[nodiscard]] Verdict uncommon(std::string_view channel, std::uint64_t seq);
  [[nodiscard]] bool find_or_intern(std::string_view channel);
  [[nodiscard]] Verdict start_anew(std::uint64_t epoch, std::uint64_t seq) noexcept;

  ChannelTable table_{};
  std::size_t channels_max_;
  std::uint32_t generation_ = 0;
  std::uint64_t epoch_ = 0;
  Cursor* cursor_ = nullptr;
  Gap gap_{};
};

}  // namespace stratwire::session
