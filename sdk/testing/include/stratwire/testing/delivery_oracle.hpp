/// The promise of a channel as a judge: what one subscriber was handed, against what was published.
///
/// Pure: no I/O, no thread, no clock, no test framework. Works like this:
///  1. Whoever publishes writes every message into a PublishedLedger: channel, epoch, content.
///  2. Whoever is handed messages tells a DeliveryOracle: start(), handed(), gap(), generation().
///     It notices at once what the order alone shows (duplicate, hole, a Gap that does not fit
///     ...).
///  3. finish(ledger) at the end notices the rest: altered contents, messages that nobody
///     published, and the last ones of a channel that never came.
/// Content is one number that stands for all of a message; 0 is a number like any other.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <stratwire/message.hpp>

namespace stratwire::testing {

/// What was published, by channel and epoch, from seq 1.
///
/// \thread one thread at a time
class PublishedLedger {
 public:
  /// \return the seq that this message has
  std::uint64_t append(std::string_view channel, std::uint64_t epoch, std::uint64_t content) {
    auto found = channels_.find(channel);
    if (found == channels_.end()) found = channels_.try_emplace(std::string{channel}).first;
    std::vector<Numbering>& numberings = found->second;
    if (numberings.empty() || numberings.back().epoch != epoch) numberings.push_back({epoch, {}});
    numberings.back().contents.push_back(content);
    ++total_;
    return numberings.back().contents.size();
  }
  /// The last seq of an epoch; 0 when it has none.
  [[nodiscard]] std::uint64_t head(std::string_view channel, std::uint64_t epoch) const {
    const std::vector<std::uint64_t>* const contents = find(channel, epoch);
    return contents == nullptr ? 0 : contents->size();
  }
  [[nodiscard]] std::optional<std::uint64_t> content(std::string_view channel, std::uint64_t epoch,
                                                     std::uint64_t seq) const {
    const std::vector<std::uint64_t>* const contents = find(channel, epoch);
    if (contents == nullptr || seq == 0 || seq > contents->size()) return std::nullopt;
    return (*contents)[seq - 1];
  }
  /// The epoch in which the channel was published last; nothing when it never was.
  [[nodiscard]] std::optional<std::uint64_t> last_epoch(std::string_view channel) const {
    const auto found = channels_.find(channel);
    if (found == channels_.end()) return std::nullopt;
    return found->second.back().epoch;
  }
  /// Messages of all channels and epochs.
  [[nodiscard]] std::uint64_t total() const noexcept { return total_; }

 private:
  struct Numbering {
    std::uint64_t epoch = 0;
    std::vector<std::uint64_t> contents{};
  };
  [[nodiscard]] const std::vector<std::uint64_t>* find(std::string_view channel,
                                                       std::uint64_t epoch) const {
    const auto found = channels_.find(channel);
    if (found == channels_.end()) return nullptr;
    for (const Numbering& numbering : found->second) {
      if (numbering.epoch == epoch) return &numbering.contents;
    }
    return nullptr;
  }

  std::map<std::string, std::vector<Numbering>, std::less<>> channels_{};
  std::uint64_t total_ = 0;
};

/// Every way to break the promise.
enum class DeliveryFault : std::uint8_t {
  duplicate,          ///< Handed over twice.
  reorder,            ///< Came after a later one, having been skipped in silence.
  silent_loss,        ///< Skipped, and no Gap said so.
  gap_untrue,         ///< A Gap named it as missing, but it came.
  gap_overlap,        ///< A Gap names what was handed over, or what another Gap has named.
  gap_malformed,      ///< Empty, backwards, or open although its end is known.
  epoch_unannounced,  ///< Another epoch without a Gap that ends the old one, or one that was over.
  not_subscribed,     ///< Of a channel that nobody asked for.
  generation_fell,    ///< Something of an older connection after a newer one was announced.
  altered,            ///< Came with another content than it was published with.
  never_published,    ///< Came, or is named by a Gap, but nobody published it.
  tail_lost,          ///< At the end, the last ones have neither come nor been named by a Gap.
};
inline constexpr std::size_t kDeliveryFaults = 12;

inline std::string_view to_string(DeliveryFault fault) {
  constexpr std::array<std::string_view, kDeliveryFaults> kNames{
      "duplicate",       "reorder",       "silent_loss",       "gap_untrue",
      "gap_overlap",     "gap_malformed", "epoch_unannounced", "not_subscribed",
      "generation_fell", "altered",       "never_published",   "tail_lost"};
  return kNames[static_cast<std::size_t>(fault)];
}

/// Judges what one subscriber is handed.
///
/// After a fault it goes on from what came, so that one fault is counted once.
///
/// \thread one thread at a time
class DeliveryOracle {
 public:
  // ---- What happens to the subscriber

  /// The channel is subscribed to; what came up to `head` was before.
  void start(std::string_view channel, std::uint64_t head) {
    auto& track = channels_.try_emplace(std::string{channel}).first->second;
    if (!track.expected) track.expected = head + 1;
  }
  /// As above, where nobody can know the head (`kind:*`): the first message or Gap tells.
  void start_anywhere(std::string_view channel) { channels_.try_emplace(std::string{channel}); }

  /// No longer subscribed to: what comes, or does not, means nothing until the next start().
  void stop(std::string_view channel) {
    if (const auto found = channels_.find(channel); found != channels_.end()) {
      channels_.erase(found);
    }
  }

  /// A connection was announced, or something of it came.
  void generation(std::uint64_t generation) {
    if (generation < generation_) {
      note(DeliveryFault::generation_fell, "", generation_,
           "generation " + std::to_string(generation));
    }
    generation_ = std::max(generation_, generation);
  }

  /// A message was handed over.
  ///
  /// \param content  as the ledger has it; see content_of() in audit.hpp
  void handed(std::string_view channel, std::uint64_t epoch, std::uint64_t seq,
              std::uint64_t content) {
    ++handed_;
    Track* const track = track_of(channel, seq);
    if (track == nullptr) return;
    enter_epoch(channel, *track, epoch, seq);
    Cell& cell = track->cell(seq);
    if (seq < *track->expected) {
      note(cell.fate == Fate::handed  ? DeliveryFault::duplicate
           : cell.fate == Fate::named ? DeliveryFault::gap_untrue
                                      : DeliveryFault::reorder,
           channel, seq, "expected " + std::to_string(*track->expected));
    } else if (seq > *track->expected) {
      note(DeliveryFault::silent_loss, channel, *track->expected, "came " + std::to_string(seq));
    }
    cell = {content, Fate::handed};
    track->expected = std::max(*track->expected, seq + 1);
  }

  /// A Gap was handed over.
  void gap(std::string_view channel, const Gap& gap) {
    ++gaps_;
    Track* const track = track_of(channel, gap.from);
    if (track == nullptr) return;
    enter_epoch(channel, *track, gap.epoch, gap.from);
    const bool ends_epoch = gap.reason == Gap::Reason::epoch_change;
    const bool open_end = gap.to == 0 && ends_epoch;
    if (gap.from == 0 || (gap.to < gap.from && !open_end)) {
      note(DeliveryFault::gap_malformed, channel, gap.from, text_of(gap));
      return;
    }
    if (gap.from < *track->expected) {
      note(DeliveryFault::gap_overlap, channel, gap.from,
           text_of(gap) + ", expected " + std::to_string(*track->expected));
    } else if (gap.from > *track->expected) {
      note(DeliveryFault::silent_loss, channel, *track->expected, text_of(gap));
    }
    if (!open_end) name_range(*track, gap);
    if (ends_epoch) track->end_epoch();
  }

  /// Nothing more comes. Compares with what was published.
  ///
  /// \param running  the epoch at the end, where that is known: a channel that was not published in
  ///                 it is complete once the epoch before is over
  void finish(const PublishedLedger& ledger, std::optional<std::uint64_t> running = std::nullopt) {
    for (auto& [channel, track] : channels_) {
      for (const auto& [epoch, cells] : track.epochs) compare(ledger, channel, epoch, cells);
      const bool is_over = running && ledger.last_epoch(channel) != running;
      if (is_over && (track.between_epochs || !track.epoch)) continue;
      find_lost_tail(ledger, channel, track);
    }
  }

  // ---- The verdict

  /// Nothing was broken so far; after finish(), nothing at all.
  [[nodiscard]] bool clean() const noexcept { return fault_count() == 0; }
  [[nodiscard]] std::uint64_t fault_count() const noexcept {
    std::uint64_t sum = 0;
    for (const std::uint64_t count : counts_) sum += count;
    return sum;
  }
  [[nodiscard]] std::uint64_t fault_count(DeliveryFault fault) const noexcept {
    return counts_[static_cast<std::size_t>(fault)];
  }
  /// The first kReportMax faults, a line each, and how many there are.
  [[nodiscard]] std::string report() const {
    std::string text = std::to_string(fault_count()) + " faults; " + std::to_string(handed_) +
                       " handed over, " + std::to_string(gaps_) + " gaps for " +
                       std::to_string(missed_) + " missed\n";
    for (const std::string& line : lines_) text += "  " + line + '\n';
    return text;
  }

  /// Messages handed over.
  [[nodiscard]] std::uint64_t handed() const noexcept { return handed_; }
  /// Gaps handed over.
  [[nodiscard]] std::uint64_t gaps() const noexcept { return gaps_; }
  /// Messages that Gaps have named; open ends not counted.
  [[nodiscard]] std::uint64_t missed() const noexcept { return missed_; }
  /// The last seq of the running epoch that was handed over or named; 0 for none.
  [[nodiscard]] std::uint64_t cursor(std::string_view channel) const {
    const auto found = channels_.find(channel);
    if (found == channels_.end() || !found->second.expected) return 0;
    return *found->second.expected - 1;
  }

  static constexpr std::size_t kReportMax = 20;

 private:
  enum class Fate : std::uint8_t { unseen, handed, named };
  struct Cell {
    std::uint64_t content = 0;
    Fate fate = Fate::unseen;
  };
  /// Sparse at its front: a subscriber may come late.
  struct Cells {
    std::uint64_t first = 0;
    std::vector<Cell> cells{};
  };
  struct Track {
    std::optional<std::uint64_t> expected{};
    std::optional<std::uint64_t> epoch{};
    /// A Gap has ended an epoch and no other has begun.
    bool between_epochs = false;
    std::map<std::uint64_t, Cells> epochs{};

    Cell& cell(std::uint64_t seq) {
      Cells& known = epochs[epoch.value_or(0)];
      if (known.cells.empty()) known.first = seq;
      if (seq < known.first) {
        known.cells.insert(known.cells.begin(), known.first - seq, Cell{});
        known.first = seq;
      }
      if (seq - known.first >= known.cells.size()) known.cells.resize(seq - known.first + 1);
      return known.cells[seq - known.first];
    }
    void end_epoch() {
      between_epochs = true;
      expected = 1;
    }
  };

  static std::string text_of(const Gap& gap) {
    return "gap " + std::to_string(gap.from) + '-' + std::to_string(gap.to) + ' ' +
           std::string{to_string(gap.reason)} + " of epoch " + std::to_string(gap.epoch);
  }

  Track* track_of(std::string_view channel, std::uint64_t seq) {
    const auto found = channels_.find(channel);
    if (found == channels_.end()) {
      note(DeliveryFault::not_subscribed, channel, seq, "");
      return nullptr;
    }
    if (!found->second.expected) found->second.expected = seq;
    return &found->second;
  }

  void enter_epoch(std::string_view channel, Track& track, std::uint64_t epoch, std::uint64_t seq) {
    if (track.epoch == epoch && !track.between_epochs) return;
    const bool is_first = !track.epoch;
    const bool is_over = track.epochs.contains(epoch) || track.epoch == epoch;
    if ((!is_first && !track.between_epochs) || is_over) {
      note(DeliveryFault::epoch_unannounced, channel, seq, "epoch " + std::to_string(epoch));
      track.expected = seq;
    }
    track.epoch = epoch;
    track.between_epochs = false;
    track.epochs.try_emplace(epoch);
  }

  void name_range(Track& track, const Gap& gap) {
    // A range that is not true may be huge; what nobody published needs no cell to be told.
    const std::uint64_t to = std::min(gap.to, gap.from + kRangeMax);
    for (std::uint64_t seq = gap.from; seq <= to; ++seq) {
      Cell& cell = track.cell(seq);
      if (cell.fate == Fate::unseen) cell.fate = Fate::named;
    }
    missed_ += gap.to - gap.from + 1;
    track.expected = std::max(*track.expected, gap.to + 1);
  }

  void compare(const PublishedLedger& ledger, std::string_view channel, std::uint64_t epoch,
               const Cells& known) {
    for (std::size_t i = 0; i < known.cells.size(); ++i) {
      const Cell& cell = known.cells[i];
      const std::uint64_t seq = known.first + i;
      if (cell.fate == Fate::unseen) continue;
      const auto published = ledger.content(channel, epoch, seq);
      if (!published) {
        note(DeliveryFault::never_published, channel, seq, "epoch " + std::to_string(epoch));
        return;  // the others of this epoch say the same
      }
      if (cell.fate == Fate::handed && *published != cell.content) {
        note(DeliveryFault::altered, channel, seq,
             std::to_string(*published) + " became " + std::to_string(cell.content));
      }
    }
  }

  void find_lost_tail(const PublishedLedger& ledger, std::string_view channel, const Track& track) {
    const auto last = ledger.last_epoch(channel);
    if (!last || !track.expected) return;
    const bool arrived = !track.epoch || (track.epoch == *last && !track.between_epochs);
    const std::uint64_t next = arrived ? *track.expected : 1;
    const std::uint64_t head = ledger.head(channel, *last);
    if (next > head) return;
    note(DeliveryFault::tail_lost, channel, next,
         "up to " + std::to_string(head) + " of epoch " + std::to_string(*last));
  }

  void note(DeliveryFault fault, std::string_view channel, std::uint64_t seq,
            const std::string& detail) {
    ++counts_[static_cast<std::size_t>(fault)];
    if (lines_.size() >= kReportMax) return;
    lines_.push_back(std::string{to_string(fault)} + ": " + std::string{channel} + ' ' +
                     std::to_string(seq) + (detail.empty() ? "" : ", " + detail));
  }

  static constexpr std::uint64_t kRangeMax = 10'000'000;

  std::map<std::string, Track, std::less<>> channels_{};
  std::array<std::uint64_t, kDeliveryFaults> counts_{};
  std::vector<std::string> lines_{};
  std::uint64_t generation_ = 0;
  std::uint64_t handed_ = 0;
  std::uint64_t gaps_ = 0;
  std::uint64_t missed_ = 0;
};

}  // namespace stratwire::testing
