/// In order, no duplicate, no silent loss: what may be handed over, and which Gap comes before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/message.hpp>
#include <stratwire/session/channel_table.hpp>

namespace stratwire::session {

/// A cursor for each channel, across connections.
///
/// A cursor that an earlier connection left is settled once on a new one. Where the connection was
/// asked to resume from it, it stays where it is until replayed messages and Gaps move it, and what
/// the server promised and did not send by CaughtUp is one Gap. Where nothing was asked, it is
/// settled by the Subscribed result of the channel, or, for a channel reached through `kind:*`, by
/// its first message. A cursor never moves but over what was handed over, Gaps included: so a range
/// that can't be had is never asked for twice, and none is left out.
///
/// Two connections may be followed at a time, while one takes over from the other. Whichever is
/// ahead moves the cursors, what comes again is a duplicate; a hole in one of them is nothing as
/// long as the other may fill it.
///
/// \thread one thread at a time
/// \source PROTOCOL.md, "Delivery order", "Resume"
class Continuity {
 public:
  enum class Verdict : std::uint8_t {
    deliver,
    deliver_after_gap,  ///< Hand over gap() first.
    duplicate,          ///< At or before the cursor, or it will come again: drop it.
    refused,            ///< A new name that is too long, or one too many.
  };
  enum class Role : std::uint8_t {
    sole,
    successor,  ///< Another connection is alive: what this one lacks is not lost.
  };
  /// One connection, as far as its numbers are concerned.
  struct Line {
    std::uint32_t generation = 0;  ///< Rises from one to the next.
    /// Of every channel of this connection, unless its Subscribed says otherwise; 0 = not known.
    std::uint64_t epoch = 0;
    Role role = Role::sole;
  };
  /// A granted subscription.
  struct Granted {
    std::string_view channel{};
    std::uint64_t epoch = 0;
    std::uint64_t head = 0;
    bool recovered = false;
    bool from_latest = false;  ///< The subscription was to begin with the latest message.
  };
  using HandGap = std::function<void(std::string_view channel, const Gap& gap)>;

  /// \param channels_max  most names that are remembered; one costs about 130 bytes
  explicit Continuity(std::size_t channels_max = kChannelsMax) noexcept
      : channels_max_(channels_max) {}

  /// A new connection. Cursors stay, to be settled on it.
  [[nodiscard]] Line connected(Role role = Role::sole) noexcept { return {++generation_, 0, role}; }
  /// `failed`, a successor, is gone and `still_there` goes on alone.
  void abandoned(const Line& failed, const Line& still_there) noexcept;

  // ---- The data path

  /// A data message came. Nothing allocates unless the channel is new.
  ///
  /// \param seq  0: the server does not number this channel; delivered unchecked
  [[nodiscard]] Verdict message(const Line& line, std::string_view channel, std::uint64_t seq) {
    // Most messages are of the channel of the one before, and comparing a name costs less than half
    // of what finding it does.
    if (cursor_ != nullptr && ChannelTable::same(cursor_->channel, channel) &&
        cursor_->is_next(line.generation, seq)) [[likely]] {
      cursor_->seq = seq;
      return Verdict::deliver;
    }
    return message_elsewhere(line, channel, seq);
  }
  /// A Gap of the server came: deliver (maybe with other ends, see gap()) or duplicate.
  [[nodiscard]] Verdict gap_message(const Line& line, std::string_view channel, const Gap& gap);

  // ---- Resuming

  /// Where the user says that it stands, for a channel or a `kind:*` that is not followed yet.
  void seed(const ResumePoint& point);
  enum class Which : std::uint8_t { every, seeded };
  /// Where to resume on `line`, and a note that it was asked; nothing for what flows already, or
  /// was never followed.
  ///
  /// \param which  seeded: only where seed() said so and no connection has confirmed it yet
  [[nodiscard]] std::optional<ResumePoint> ask(const Line& line, std::string_view channel,
                                               Which which = Which::every);
  /// The same for every known channel that a `kind:*` covers, at most `points_max`.
  [[nodiscard]] std::vector<ResumePoint> ask_covered(const Line& line, std::string_view wildcard,
                                                     std::size_t points_max,
                                                     Which which = Which::every);
  enum class Replay : std::uint8_t { none, follows };
  /// A granted subscription; the Gap that is clear from it, if any.
  ///
  /// \param replay  follows: CaughtUp will come
  [[nodiscard]] std::optional<Gap> subscribed(const Line& line, const Granted& granted,
                                              Replay replay);
  /// A granted `kind:*` that nobody wants any more: what it replays of channels that are followed
  /// by name, too, is theirs.
  void answered(const Line& line, std::string_view wildcard, std::uint64_t epoch);
  /// A refused subscription: nothing will be replayed.
  void not_granted(const Line& line, std::string_view channel);
  /// All that was asked of this channel, or `kind:*`, has come; what has not is lost.
  void caught_up(const Line& line, std::string_view channel, const HandGap& hand);
  /// The last message of a channel that fell quiet. Precondition: nothing is being replayed.
  [[nodiscard]] std::optional<Gap> head(const Line& line, std::string_view channel,
                                        std::uint64_t seq);

  /// No longer wanted: what comes later starts anew, without a Gap.
  void forget(std::string_view channel) noexcept {
    if (Cursor* const cursor = table_.find(channel)) drop(*cursor);
    if (const auto found = positions_.find(channel); found != positions_.end()) {
      positions_.erase(found);
    }
  }
  /// As above, for every channel that `unwanted` is true for.
  template <class Unwanted>
  void forget_if(Unwanted&& unwanted) {
    table_.for_each([&](Cursor& cursor) {
      if (unwanted(cursor.channel)) drop(cursor);
    });
  }

  /// Whether the last that was handed over of this channel is a message; false for one that is not
  /// numbered.
  [[nodiscard]] bool is_at_message(std::string_view channel) noexcept {
    const Cursor* const cursor = table_.find(channel);
    return cursor != nullptr && cursor->is_at_message();
  }

  // ---- Of the last call, until the next one

  /// Precondition: the verdict was deliver or deliver_after_gap. Lives as long as this.
  [[nodiscard]] const Cursor& cursor() const noexcept { return *cursor_; }
  [[nodiscard]] const Gap& gap() const noexcept { return gap_; }

  [[nodiscard]] std::size_t channels() const noexcept { return table_.size(); }

  static constexpr std::size_t kChannelsMax = 1'000'000;

 private:
  /// Of a `kind:*`: messages of all channels that had been published when it was subscribed.
  struct Position {
    std::uint64_t epoch = 0;
    std::uint64_t seq = 0;
    bool known = false;
    bool seeded = false;
    // Said by the connection `said`; counts when its replay is done.
    std::uint64_t next_epoch = 0;
    std::uint64_t next_seq = 0;
    std::uint32_t said = 0;
    std::uint32_t asked = 0;  // Of the connection that is replaying since then.
  };
  /// Cursors that seed() made: of no connection.
  static constexpr std::uint32_t kSeeded = 1;

  static void drop(Cursor& cursor) noexcept {
    cursor.generation = 0;
    cursor.asked = 0;
    cursor.said = 0;
  }
  [[nodiscard]] Verdict message_elsewhere(const Line& line, std::string_view channel,
                                          std::uint64_t seq);
  [[nodiscard]] Verdict uncommon(const Line& line, std::string_view channel, std::uint64_t seq);
  [[nodiscard]] Verdict behind_successor(const Line& line, std::uint64_t seq) noexcept;
  [[nodiscard]] Verdict unsettled(const Line& line, std::uint64_t seq) noexcept;
  [[nodiscard]] Verdict epoch_gap(const Line& line, const Gap& gap) noexcept;
  [[nodiscard]] bool covered_by_replay(const Line& line, std::string_view channel) const;
  void replay_ended(const Line& line, std::string_view wildcard);
  [[nodiscard]] bool find_or_intern(std::string_view channel);
  [[nodiscard]] Verdict start_anew(const Line& line, std::uint64_t epoch,
                                   std::uint64_t seq) noexcept;
  [[nodiscard]] Verdict advance(std::uint64_t seq, Gap::Reason reason) noexcept;
  static void commit(Position& position) noexcept;
  void settle(const Line& line, std::string_view channel, const HandGap& hand);
  void settle_covered(const Line& line, std::string_view wildcard, const HandGap& hand);

  ChannelTable table_{};
  std::map<std::string, Position, std::less<>> positions_{};
  std::size_t channels_max_;
  std::uint32_t generation_ = kSeeded;
  Cursor* cursor_ = nullptr;
  Gap gap_{};
};

}  // namespace stratwire::session
