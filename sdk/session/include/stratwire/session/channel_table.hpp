/// Channel names to cursors: one hash of the text, one look, no allocation after warm-up.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <string_view>
#include <vector>

namespace stratwire::session {

/// Where a client stands in one channel.
///
/// One cache line, so that a message touches one line of its channel beside the index.
struct alignas(64) Cursor {
  /// Stable for as long as the table lives; hand it out instead of a copy.
  std::string_view channel{};
  std::uint64_t epoch = 0;
  std::uint64_t seq = 0;  ///< The last message handed over.
  /// What the Subscribed of connection `said` promised to reach.
  std::uint64_t head_epoch = 0;
  std::uint64_t head = 0;
  std::uint32_t generation = 0;  ///< Of the connection that it was last confirmed on; 0 = unknown.
  std::uint32_t asked = 0;       ///< Of the connection that was asked to resume here.
  std::uint32_t said = 0;        ///< Of the connection that answered.
  std::uint32_t silent = 0;  ///< Low half of a `seq` to which no message led; see is_at_message().

  /// Whether a message of that connection is the one that comes next.
  [[nodiscard]] bool is_next(std::uint32_t connection, std::uint64_t number) const noexcept {
    return generation == connection && number == seq + 1;
  }
  /// Whether `seq` is a message that was handed over, and not the end of a Gap, a head or a point
  /// of the user's. The data path need not note it: it only leaves `silent` behind.
  [[nodiscard]] bool is_at_message() const noexcept {
    return generation != 0 && static_cast<std::uint32_t>(seq) != silent;
  }
  /// No message led to where it is.
  void came_silently() noexcept { silent = static_cast<std::uint32_t>(seq); }
  /// The message before was of another numbering, or is not known.
  void came_by_message() noexcept { silent = static_cast<std::uint32_t>(seq) - 1; }
};
static_assert(sizeof(Cursor) == 64);

/// Open-addressing table of interned names, linear probing, at most a quarter full.
///
/// Names are never removed: a view of one stays valid, also in messages that wait in a ring. The
/// number of names is limited; see Continuity.
///
/// \thread one thread at a time
class ChannelTable {
 public:
  ChannelTable();
  ChannelTable(const ChannelTable&) = delete;
  ChannelTable& operator=(const ChannelTable&) = delete;

  /// \return  the cursor; nullptr when the name was never interned
  /// \cost    about 5 ns for 16 bytes of name while the table is in the cache
  [[nodiscard]] Cursor* find(std::string_view channel) noexcept {
    return find(channel, hash(channel));
  }
  /// Allocates for a new name.
  Cursor& intern(std::string_view channel);
  [[nodiscard]] std::size_t size() const noexcept { return cursors_.size(); }

  template <class Visit>
  void for_each(Visit&& visit) {
    for (Cursor& cursor : cursors_) visit(cursor);
  }

  /// Names are a server's choice, not an attacker's: speed counts, not secrecy.
  ///
  /// Two multiplications for up to 16 bytes, one more for each further 16 (folded 128-bit product,
  /// as in wyhash by Wang Yi).
  [[nodiscard]] static std::uint64_t hash(std::string_view text) noexcept {
    const char* const end = text.data() + text.size();
    std::uint64_t seed = kSeed0 ^ text.size();
    std::uint64_t a = 0;
    std::uint64_t b = 0;
    // The tail overlaps what was read: names of 17 to 32 bytes all take the same branches.
    if (text.size() >= 16) {
      for (const char* at = text.data(); end - at > 16; at += 16) {
        seed = fold(load8(at) ^ kSeed1, load8(at + 8) ^ seed);
      }
      a = load8(end - 16);
      b = load8(end - 8);
    } else if (text.size() >= 8) {
      a = load8(text.data());
      b = load8(end - 8);
    } else if (text.size() >= 4) {
      a = load4(text.data());
      b = load4(end - 4);
    } else if (!text.empty()) {
      a = static_cast<unsigned char>(text.front());
      b = (std::uint64_t{static_cast<unsigned char>(text[text.size() / 2])} << 8) |
          static_cast<unsigned char>(text.back());
    }
    return fold(a ^ kSeed1, b ^ seed);
  }

  /// Whether two names are the same: the call of memcmp() costs as much as comparing them does.
  [[nodiscard]] static bool same(std::string_view a, std::string_view b) noexcept {
    const std::size_t bytes = a.size();
    if (bytes != b.size()) return false;
    if (bytes < 8) return a == b;
    std::size_t at = 0;
    for (; at + 16 < bytes; at += 16) {
      if (differ8(a, b, at) | differ8(a, b, at + 8)) return false;
    }
    if (bytes < 16) return (differ8(a, b, 0) | differ8(a, b, bytes - 8)) == 0;
    return (differ8(a, b, bytes - 16) | differ8(a, b, bytes - 8)) == 0;
  }

 private:
  struct Slot {
    std::uint64_t hash = 0;
    Cursor* cursor = nullptr;
  };
  static constexpr std::uint64_t kSeed0 = 0xa0761d6478bd642fu;
  static constexpr std::uint64_t kSeed1 = 0xe7037ed1a0b428dbu;

  __extension__ using Wide = unsigned __int128;
  static std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
  }
  static std::uint64_t load8(const char* at) noexcept {
    std::uint64_t word = 0;
    std::memcpy(&word, at, sizeof word);
    return word;
  }
  static std::uint64_t load4(const char* at) noexcept {
    std::uint32_t word = 0;
    std::memcpy(&word, at, sizeof word);
    return word;
  }

  static std::uint64_t differ8(std::string_view a, std::string_view b, std::size_t at) noexcept {
    return load8(a.data() + at) ^ load8(b.data() + at);
  }
  [[nodiscard]] Cursor* find(std::string_view channel, std::uint64_t hashed) noexcept {
    for (std::size_t at = hashed & mask_; slots_[at].cursor != nullptr; at = (at + 1) & mask_) {
      if (slots_[at].hash == hashed && same(slots_[at].cursor->channel, channel)) {
        return slots_[at].cursor;
      }
    }
    return nullptr;
  }
  void place(std::uint64_t hashed, Cursor& cursor) noexcept;
  void grow();
  std::string_view keep(std::string_view channel);

  std::vector<Slot> slots_;
  std::size_t mask_;
  /// A deque, and blocks for the names: neither moves when it grows.
  std::deque<Cursor> cursors_{};
  std::vector<std::unique_ptr<char[]>> blocks_{};
  std::size_t block_left_ = 0;
};

}  // namespace stratwire::session
