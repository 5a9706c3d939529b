/// Several lines of one log: which copy of a message is handed over, and what fills a hole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include <stratwire/client_state.hpp>
#include <stratwire/message.hpp>
#include <stratwire/session/channel_table.hpp>
#include <stratwire/session/time.hpp>

namespace stratwire::session {

struct LineArbiterConfig {
  std::size_t lines = 2;  ///< 1 to LineArbiter::kLinesMax.
  /// Latest messages of each channel that later copies are compared with; a power of two. Each
  /// costs 16 bytes once the channel has had so many.
  std::size_t window = 1'024;
  /// Most messages that wait behind holes, in all channels, and most of their bytes. The message
  /// that goes beyond makes its channel give up its first hole.
  std::size_t held_messages_max = 65'536;
  std::size_t held_bytes_max = std::size_t{16} << 20;
  /// For so long a hole waits for another line to bring what is missing.
  Duration hold_max = std::chrono::milliseconds{20};
  /// For so long a replay may take, and a line that is down may take to come back to be asked.
  Duration replay_max = std::chrono::seconds{1};
};

/// Where a copy comes from: what a line is sent as it is published, or what it was asked for.
enum class CopySource : std::uint8_t { live, replay };

/// One line's copy of a message.
struct LineCopy {
  std::size_t line = 0;
  CopySource source = CopySource::live;
  std::string_view channel{};
  std::uint64_t epoch = 0;
  std::uint64_t seq = 0;      ///< 0: the server does not number this channel.
  std::uint64_t content = 0;  ///< Hash of all that the message says.
  std::size_t bytes = 0;      ///< What it costs to hold it.
  std::int64_t received_at = 0;
};

/// Two lines have different messages under one number.
struct LineDivergence {
  std::string_view channel{};  ///< Lives as long as the arbiter.
  std::uint64_t epoch = 0;
  std::uint64_t seq = 0;
  std::size_t first = 0;  ///< The line whose message is handed over.
  std::size_t other = 0;  ///< The line whose message is not.
};

/// Counts up only.
struct LineCounts {
  std::uint64_t copies = 0;       ///< Messages that came live on this line.
  std::uint64_t wins = 0;         ///< Of those, handed over: they were the first.
  std::uint64_t late = 0;         ///< Copies of what another line has won, with a known lag.
  std::uint64_t holes = 0;        ///< Gaps that this line told of, and numbers that it skipped.
  std::uint64_t missed = 0;       ///< Messages in these holes.
  std::uint64_t divergences = 0;  ///< Copies that said something else than the first one.
  std::uint64_t foreign = 0;      ///< Dropped: of a numbering that the other lines are not in.
  std::uint64_t replays = 0;      ///< Times that it was asked for what no line has brought.
  std::int64_t lag_ns_sum = 0;    ///< Of the late ones, behind the winner.
  std::int64_t lag_ns_max = 0;
};

struct LineArbiterCounts {
  std::uint64_t handed = 0;      ///< Messages, each once.
  std::uint64_t duplicates = 0;  ///< Later copies that said the same.
  std::uint64_t unchecked = 0;   ///< Later copies that came after the window had gone on.
  std::uint64_t held = 0;        ///< Messages that had to wait behind a hole.
  std::uint64_t filled = 0;      ///< Messages that closed a hole.
  std::uint64_t gaps = 0;        ///< Holes that nobody could fill, and changes of epoch.
  std::uint64_t missed = 0;      ///< Messages in them, where known.
  std::uint64_t divergences = 0;
  std::uint64_t overflows = 0;  ///< Holes that were given up for want of room.
};

/// What the owner has to do, in this order.
namespace arbiter_action {

/// Hand over what was held in this slot; the slot is free then.
struct Release {
  std::uint32_t slot = 0;
};
/// Forget what was held in this slot; nobody wants it any more.
struct Discard {
  std::uint32_t slot = 0;
};
/// Hand over a Gap.
struct HandGap {
  std::string_view channel{};  ///< Lives as long as the arbiter.
  Gap gap{};
};
/// Ask this line for all after a point, beside what it is sent live. What comes is given to
/// message() and gap() as CopySource::replay; ends in replay_ended(). For `kind:*` the number is a
/// position, and channels of the kind that are known are asked for from where they are: cursors().
struct AskReplay {
  std::size_t line = 0;
  std::string_view channel{};
  std::uint64_t epoch = 0;
  std::uint64_t seq = 0;
};
struct HandDivergence {
  LineDivergence divergence{};
};

}  // namespace arbiter_action

using ArbiterAction =
    std::variant<arbiter_action::Release, arbiter_action::Discard, arbiter_action::HandGap,
                 arbiter_action::AskReplay, arbiter_action::HandDivergence>;

/// Joins copies of one log into one stream: in order, each message once, the first copy wins.
///
/// What arrives behind a hole is held in numbered slots, whose contents are the owner's. A hole is
/// filled by another line; where none can or does within hold_max, lines are asked for a replay,
/// one after the other; where none has it, one Gap names exactly what is missing. A channel ends
/// its epoch when no line that is up is in it any more: one Gap epoch_change, then the new one
/// from its first message.
///
/// A channel of `kind:*` begins with its first message behind the position at which the first line
/// followed that. A line that follows later, or again, is asked for what is behind that position;
/// until it has said so, what it brings of a channel that nobody knows waits. A first message whose
/// number is not 1 waits for the other lines, at most hold_max: one of them may have lost the
/// message before it.
///
/// No I/O, no thread, no clock: call one function for each thing that happens, do what the verdict
/// says, then what next_action() says until it says nothing.
///
/// When to use: lines whose servers number alike. When not: independent sources, whose numbers
/// mean nothing to each other.
///
/// \thread one thread at a time
/// \cost   a first or later copy is one look-up and allocates nothing, unless its channel is new or
///         its window still grows
class LineArbiter {
 public:
  enum class Verdict : std::uint8_t {
    deliver,     ///< Hand it over now.
    duplicate,   ///< Drop it: another copy was first.
    hold,        ///< Keep it in the slot until an action names that.
    divergence,  ///< Drop it: another copy was first and says something else.
    foreign,     ///< Drop it: of a numbering that is not this channel's now.
  };
  struct Decision {
    Verdict verdict = Verdict::deliver;
    std::uint32_t slot = 0;  ///< Only for hold; a small number that is free.
  };
  /// Whether a line can bring anything.
  enum class Link : std::uint8_t {
    down,
    up,
    over,  ///< It never comes back.
  };
  /// What the state of a line's client means for it.
  [[nodiscard]] static Link link_of(ClientState state) noexcept;

  /// Every line is down.
  explicit LineArbiter(LineArbiterConfig config);
  LineArbiter(const LineArbiter&) = delete;
  LineArbiter& operator=(const LineArbiter&) = delete;

  // ---- What happens

  /// A line came or went. What it brought before it went says nothing about what it brings next.
  /// When the last one is over, all that waits is handed over at once, behind the Gaps that it
  /// waited for.
  void link(std::size_t line, Link link, Instant now);
  /// A subscription of a line was granted: it brings what is after `head`, for `kind:*` a position.
  void started(std::size_t line, std::string_view channel, std::uint64_t epoch, std::uint64_t head,
               Instant now);
  [[nodiscard]] Decision message(const LineCopy& copy, Instant now);
  /// A Gap of a line, or of a replay.
  void gap(std::size_t line, CopySource source, std::string_view channel, const Gap& gap,
           Instant now);
  /// Whether a replay has brought all that the server has.
  enum class Replayed : std::uint8_t { all, not_all };
  /// A replay is over, well or not.
  void replay_ended(std::size_t line, std::string_view channel, Replayed replayed, Instant now);
  /// Nobody wants this channel, or `kind:*`, any more; its next message is a first one.
  void forget(std::string_view channel);
  /// As above, for every channel that `unwanted` is true for.
  template <class Unwanted>
  void forget_if(Unwanted&& unwanted) {
    for (auto& [name, channel] : channels_) {
      if (unwanted(std::string_view{name})) forget(channel);
    }
  }
  /// next_tick() has come; a call before it does no harm.
  void tick(Instant now);

  // ---- What to do

  [[nodiscard]] bool has_actions() const noexcept { return actions_taken_ != actions_.size(); }
  [[nodiscard]] std::optional<ArbiterAction> next_action();
  [[nodiscard]] Instant next_tick() const noexcept { return next_tick_; }

  // ---- How things are

  /// Calls `use(channel, seq)` for each channel that is in this epoch: up to there it was handed
  /// over.
  template <class Use>
  void cursors(std::uint64_t epoch, Use&& use) const {
    for (const auto& [name, channel] : channels_) {
      if (channel.phase == Phase::running && channel.epoch == epoch) {
        use(channel.name, channel.seq);
      }
    }
  }
  [[nodiscard]] Link link(std::size_t line) const noexcept { return lines_[line].link; }
  [[nodiscard]] const LineCounts& counts(std::size_t line) const noexcept {
    return lines_[line].counts;
  }
  [[nodiscard]] const LineArbiterCounts& counts() const noexcept { return counts_; }
  /// Messages that wait behind holes now.
  [[nodiscard]] std::size_t held() const noexcept { return held_; }
  [[nodiscard]] std::size_t held_bytes() const noexcept { return held_bytes_; }

  static constexpr std::size_t kLinesMax = 16;

 private:
  static constexpr std::size_t kNoLine = kLinesMax;
  // The epoch of a line that has left one and not said which one it is in now.
  static constexpr std::uint64_t kLeft = std::numeric_limits<std::uint64_t>::max();

  struct Line {
    Link link = Link::down;
    std::uint32_t generation = 1;  // Counts the times that it went down.
    LineCounts counts{};
  };
  // Where a line is in a channel; says nothing when the generation is not the line's.
  struct Place {
    std::uint64_t epoch = 0;
    std::uint64_t seq = 0;  // It brings nothing up to this any more.
    std::uint32_t generation = 0;
  };
  // What is remembered of a message that was handed over.
  struct Seen {
    std::uint64_t tagged = 0;  // Its content but for the lowest byte, which is the tag; 0 = none.
    std::int64_t received_at = 0;
  };
  struct Held {
    std::uint64_t seq = 0;
    Seen seen{};
    std::uint32_t slot = 0;
    std::size_t bytes = 0;
    Instant at{};
  };
  enum class Phase : std::uint8_t {
    idle,  // Nothing is known, or nobody wants it.
    // Lines have brought of it, but none of those that tell with what it begins.
    finding,
    running,
    between_epochs,  // The last one was ended, and no other has begun.
  };
  struct Channel {
    std::string_view name{};
    Phase phase = Phase::idle;
    std::uint64_t epoch = 0;
    std::uint64_t seq = 0;   // Everything up to it was handed over, or named by a Gap.
    std::uint64_t head = 0;  // The last one that some line is known to have.
    Instant head_at{};
    std::vector<Place> places{};
    std::vector<Seen> window{};
    std::vector<Held> held{};  // By seq; what is before held_begin has gone.
    std::size_t held_begin = 0;
    Gap::Reason reason = Gap::Reason::upstream;  // What a line said of its hole.
    std::uint32_t asked = 0;                     // Lines that could not fill this hole; bits.
    std::size_t asking = kNoLine;
    Instant asked_until{};
    Instant due = kNever;
    bool troubled = false;  // In troubled_.
    std::vector<std::uint64_t> past{};
    // While finding: the first number of each line, and the lowest of lines that bring all; 0 =
    // none.
    std::vector<std::uint64_t> firsts{};
    std::uint64_t first = 0;
  };
  // How a line follows a wildcard; says nothing when the generation is not the line's.
  struct Cover {
    std::uint32_t generation = 0;
    std::uint64_t epoch = 0;
    std::uint64_t position = 0;
    bool whole = false;   // It brings, or has brought, all behind the wildcard's position.
    bool asking = false;  // For what it does not bring.
    Instant ask_at{};     // Not before.
  };
  struct Wildcard {
    std::uint64_t epoch = 0;
    std::uint64_t position = 0;  // Of the first line that followed it.
    std::vector<Cover> covers{};
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return static_cast<std::size_t>(ChannelTable::hash(text));
    }
  };

  [[nodiscard]] Channel& channel_of(std::string_view name);
  [[nodiscard]] Channel* find(std::string_view name);
  [[nodiscard]] Place* here(Channel& channel, std::size_t line) noexcept;
  void note_place(Channel& channel, std::size_t line, std::uint64_t epoch, std::uint64_t seq);
  void note_skip(Channel& channel, const LineCopy& copy);
  void note_head(Channel& channel, std::uint64_t head, Instant now) noexcept;
  void begin(Channel& channel, std::uint64_t epoch, std::uint64_t seq);
  void forget(Channel& channel);

  // Copies.
  [[nodiscard]] bool enter(Channel& channel, const LineCopy& copy, Instant now);
  [[nodiscard]] Decision accept(Channel& channel, const LineCopy& copy);
  [[nodiscard]] Verdict later_copy(Channel& channel, const LineCopy& copy);
  [[nodiscard]] Decision hold(Channel& channel, const LineCopy& copy, Instant now);
  [[nodiscard]] Verdict compare(const Channel& channel, Seen& seen, const LineCopy& copy);
  [[nodiscard]] static Seen seen_of(const LineCopy& copy) noexcept;
  [[nodiscard]] Seen& seen_at(Channel& channel, std::uint64_t seq) noexcept {
    return channel.window[seq & (channel.window.size() - 1)];
  }
  void remember(Channel& channel, const Seen& seen);
  void grow_window(Channel& channel);

  // Holes.
  void settle(Channel& channel, Instant now);
  [[nodiscard]] bool wait_or_ask(Channel& channel, Instant now);
  void give_up_hole(Channel& channel);
  void release_run(Channel& channel);
  void release_front(Channel& channel);
  [[nodiscard]] std::uint32_t take_slot();
  [[nodiscard]] bool is_over_full() const noexcept {
    return held_ > config_.held_messages_max || held_bytes_ > config_.held_bytes_max;
  }
  [[nodiscard]] static std::size_t held_size(const Channel& channel) noexcept {
    return channel.held.size() - channel.held_begin;
  }
  [[nodiscard]] bool may_still_come(Channel& channel);
  [[nodiscard]] bool is_asked_with_its_kind(const Channel& channel);
  [[nodiscard]] bool may_come_back(const Channel& channel) const noexcept;
  [[nodiscard]] bool is_over() const noexcept;
  [[nodiscard]] std::size_t line_to_ask(Channel& channel) noexcept;
  void wait_until(Channel& channel, Instant due);
  void replay_gap(Channel& channel, std::size_t line, const Gap& gap, Instant now);
  void begin_with_gap(Channel& channel, std::size_t line, CopySource source, const Gap& gap,
                      Instant now);

  // Wildcards.
  void wildcard_started(std::size_t line, std::string_view name, std::uint64_t epoch,
                        std::uint64_t position, Instant now);
  void wildcard_replayed(std::size_t line, std::string_view name, Replayed replayed, Instant now);
  void reconsider_wildcards(Instant now);
  void reconsider(Wildcard& wildcard, Instant now);
  void end_with_wildcard(Channel& channel, Wildcard& wildcard, Instant now);
  void ask_wildcards(Instant now);
  [[nodiscard]] Cover* cover(Wildcard& wildcard, std::size_t line) noexcept;
  [[nodiscard]] Wildcard* wildcard_of(std::string_view channel);
  enum class Beginning : std::uint8_t { here, unknown };
  [[nodiscard]] Beginning beginning(std::string_view channel, const LineCopy& copy);
  [[nodiscard]] bool find_beginning(Channel& channel, const LineCopy& copy, Instant now);
  void begin_found(Channel& channel, std::uint64_t epoch, std::uint64_t seq, Instant now);
  void give_up_finding(Channel& channel, Instant now);
  [[nodiscard]] bool have_all_told(const Channel& channel);
  [[nodiscard]] bool has_begun(Channel& channel, Instant now);

  // Epochs.
  void reconsider_epoch(Channel& channel, Instant now);
  void end_epoch(Channel& channel);
  [[nodiscard]] static bool is_past(const Channel& channel, std::uint64_t epoch) noexcept;

  LineArbiterConfig config_;
  std::vector<Line> lines_;
  std::unordered_map<std::string, Channel, Hash, std::equal_to<>> channels_{};
  std::map<std::string, Wildcard, std::less<>> wildcards_{};
  std::vector<Channel*> troubled_{};  // They have a hole, or wait for their beginning.
  Instant next_tick_ = kNever;
  std::vector<std::uint32_t> free_slots_{};
  std::uint32_t slots_ = 0;  // That were ever used.
  std::size_t held_ = 0;
  std::size_t held_bytes_ = 0;
  LineArbiterCounts counts_{};
  std::vector<ArbiterAction> actions_{};
  std::size_t actions_taken_ = 0;
};

}  // namespace stratwire::session
