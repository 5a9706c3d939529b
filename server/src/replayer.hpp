/// What a connection missed, out of the channels' logs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "channel.hpp"
#include "frame.hpp"
#include "frame_encoder.hpp"

namespace stratwire::server {

/// The hub's state that a replay is measured against.
struct Stand {
  session::Instant now{};
  std::uint64_t epoch = 0;
  std::uint64_t position = 0;           ///< Messages published in all channels.
  std::span<Channel* const> adopted{};  ///< Channels that have or had messages or subscriptions.
};

/// Plans replays and makes their pieces.
///
/// A piece holds messages of one channel after the other, each in the order of its numbers. The
/// one that finds every cursor at its head is the last: between it and the subscription that
/// follows within the same call of the hub no message can come.
///
/// \thread the hub's thread only
/// \source PROTOCOL.md 5.2
class Replayer {
 public:
  /// A piece ends with the message that reaches it.
  static constexpr std::size_t kPieceBytes = 64 * 1024;

  /// Sets `change.replay` and `change.granted` from what was asked for.
  ///
  /// \param find  the channel of a name, adopted; nullptr when nobody publishes it
  void plan(InterestChange& change, const Stand& stand,
            const std::function<Channel*(std::string_view)>& find);
  /// Fills `change.piece` with what comes next. \return whether that was all
  [[nodiscard]] bool next_piece(InterestChange& change, const Stand& stand);

 private:
  using Find = std::function<Channel*(std::string_view)>;

  void plan_name(InterestChange& change, std::size_t i, const Stand& stand, const Find& find);
  void plan_wildcard(InterestChange& change, std::size_t i, const Stand& stand, const Find& find);
  void plan_points(InterestChange& change, std::string_view kind, const Stand& stand,
                   const Find& find);
  bool plan_channel(Replay& replay, Channel& channel, const ResumePoint* point,
                    const ResumePoint* wildcard, const InterestChange& change, const Stand& stand);
  static void take_new_channels(Replay& replay, const InterestChange& change, const Stand& stand);
  void tell_voided(InterestChange& change);
  void replay_channel(InterestChange& change, Replay::Cursor& cursor, std::uint64_t epoch);
  void add_message(InterestChange& change, Channel& channel, std::uint64_t seq,
                   std::uint64_t epoch);
  void add_gap(InterestChange& change, std::string_view channel, const Gap& gap);

  FrameEncoder encoder_{};
  [[nodiscard]] const ResumePoint* point_of(std::string_view name) const;
  [[nodiscard]] const ResumePoint* point_of_kind(const InterestChange& change,
                                                 std::string_view kind) const;

  // Of the change that is planned.
  std::unordered_map<std::string_view, const ResumePoint*> points_{};
  std::unordered_map<std::string_view, std::size_t> seen_{};  ///< Where a name stands first.
  std::unordered_set<const Channel*> planned_{};
};

}  // namespace stratwire::server
