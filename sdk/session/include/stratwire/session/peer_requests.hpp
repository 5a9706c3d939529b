/// The open Requests of a link: ours that wait for a Reply, and the other side's that wait for
/// ours.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <stratwire/error.hpp>
#include <stratwire/session/time.hpp>

namespace stratwire::session {

/// Requests that we asked and that nobody has answered yet.
///
/// \thread one thread at a time
/// \cost   no allocation after construction; O(log open) to find one
class AskedRequests {
 public:
  explicit AskedRequests(std::size_t max) : max_(max) { open_.reserve(max); }

  [[nodiscard]] bool full() const noexcept { return open_.size() == max_; }
  [[nodiscard]] std::size_t size() const noexcept { return open_.size(); }

  /// Precondition: not full(), and `id` is greater than every one before it.
  void add(std::uint64_t id, Instant due) {
    open_.push_back({id, due, false});
    next_due_ = std::min(next_due_, due);
  }
  [[nodiscard]] bool is_open(std::uint64_t id) const noexcept { return find(id) != nullptr; }
  /// It was put on a connection: from here on the other side may have it.
  void written(std::uint64_t id) noexcept {
    if (const Asked* const asked = find(id)) open_[index_of(*asked)].written = true;
  }
  /// A Reply came. \return whether somebody waits for it
  [[nodiscard]] bool answered(std::uint64_t id) noexcept {
    const Asked* const asked = find(id);
    if (asked == nullptr) return false;
    open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(index_of(*asked)));
    return true;
  }

  enum class Which : std::uint8_t { all, written };
  /// Gives up those that the other side may have, or all; calls `tell` with each id.
  template <class Tell>
  void give_up(Which which, Tell&& tell) {
    give_up_if([which](const Asked& asked) { return which == Which::all || asked.written; }, tell);
  }
  /// Gives up those whose deadline has passed; calls `tell` with each id.
  template <class Tell>
  void expire(Instant now, Tell&& tell) {
    if (now < next_due_) return;
    give_up_if([now](const Asked& asked) { return asked.due <= now; }, tell);
    next_due_ = kNever;
    for (const Asked& asked : open_) next_due_ = std::min(next_due_, asked.due);
  }
  /// Not later than the first deadline; kNever when there is none.
  [[nodiscard]] Instant next_due() const noexcept { return open_.empty() ? kNever : next_due_; }

 private:
  struct Asked {
    std::uint64_t id = 0;
    Instant due{};
    bool written = false;
  };
  [[nodiscard]] const Asked* find(std::uint64_t id) const noexcept {
    const auto at = std::lower_bound(
        open_.begin(), open_.end(), id,
        [](const Asked& asked, std::uint64_t wanted) { return asked.id < wanted; });
    return at != open_.end() && at->id == id ? &*at : nullptr;
  }
  [[nodiscard]] std::size_t index_of(const Asked& asked) const noexcept {
    return static_cast<std::size_t>(&asked - open_.data());
  }
  template <class Give, class Tell>
  void give_up_if(Give&& give, Tell&& tell) {
    std::erase_if(open_, [&](const Asked& asked) {
      if (!give(asked)) return false;
      tell(asked.id);
      return true;
    });
  }

  std::size_t max_;
  std::vector<Asked> open_{};  // Ids rise.
  Instant next_due_ = kNever;
};

/// Requests that were handed over to our user and have no Reply yet.
///
/// Each gets exactly one: the user's, or one that is **owed** because the user has none (nobody
/// answers such a Request, its deadline has passed) and that waits for room to be sent.
///
/// \thread one thread at a time
/// \cost   no allocation after construction; O(open) to find one
class HeardRequests {
 public:
  explicit HeardRequests(std::size_t max) : max_(max) { open_.reserve(max); }

  [[nodiscard]] bool full() const noexcept { return open_.size() == max_; }
  [[nodiscard]] std::size_t size() const noexcept { return open_.size(); }

  /// Precondition: not full(), and knows(id) is false.
  void add(std::uint64_t id, Instant due) {
    open_.push_back({id, due, Errc::ok});
    next_due_ = std::min(next_due_, due);
  }
  [[nodiscard]] bool knows(std::uint64_t id) const noexcept { return find(id) != open_.size(); }
  /// Whether the user may still reply.
  [[nodiscard]] bool waits(std::uint64_t id) const noexcept {
    const std::size_t at = find(id);
    return at != open_.size() && open_[at].owed == Errc::ok;
  }
  /// Its Reply was sent.
  void replied(std::uint64_t id) noexcept {
    const std::size_t at = find(id);
    if (at == open_.size()) return;
    if (open_[at].owed != Errc::ok) --owed_;
    open_.erase(open_.begin() + static_cast<std::ptrdiff_t>(at));
  }
  /// The user has no Reply for it. Precondition: waits(id).
  void owe(std::uint64_t id, Errc code) noexcept { owe(open_[find(id)], code); }
  /// The deadline of some has passed: nobody waits for what the user would reply.
  void expire(Instant now) noexcept {
    if (now < next_due_) return;
    next_due_ = kNever;
    for (Heard& heard : open_) {
      if (heard.owed != Errc::ok) continue;
      if (heard.due <= now) {
        owe(heard, Errc::deadline_exceeded);
      } else {
        next_due_ = std::min(next_due_, heard.due);
      }
    }
  }
  struct Owed {
    std::uint64_t id = 0;
    Errc code = Errc::ok;
  };
  /// The oldest Reply that is owed.
  [[nodiscard]] std::optional<Owed> next_owed() const noexcept {
    if (owed_ == 0) return std::nullopt;
    const auto at = std::find_if(open_.begin(), open_.end(),
                                 [](const Heard& heard) { return heard.owed != Errc::ok; });
    return Owed{at->id, at->owed};
  }
  /// Not later than the first deadline; kNever when there is none.
  [[nodiscard]] Instant next_due() const noexcept { return open_.empty() ? kNever : next_due_; }
  /// The asker is gone.
  void clear() noexcept {
    open_.clear();
    owed_ = 0;
    next_due_ = kNever;
  }

 private:
  struct Heard {
    std::uint64_t id = 0;
    Instant due{};
    Errc owed = Errc::ok;
  };
  [[nodiscard]] std::size_t find(std::uint64_t id) const noexcept {
    std::size_t at = 0;
    while (at != open_.size() && open_[at].id != id) ++at;
    return at;
  }
  void owe(Heard& heard, Errc code) noexcept {
    heard.owed = code;
    ++owed_;
  }

  std::size_t max_;
  std::vector<Heard> open_{};
  std::size_t owed_ = 0;
  Instant next_due_ = kNever;
};

}  // namespace stratwire::session
