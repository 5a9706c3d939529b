/// Looks at the number of every message of one connection: nothing lost in silence, from the first
/// one of a channel on, nothing twice, nothing out of order.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "../common/histogram.hpp"
#include "../common/message.hpp"

namespace stratwire::bench {

/// Sums of all connections.
struct Tally {
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;  ///< Of payloads.
  std::uint64_t lost = 0;   ///< Jumps in `seq` that no Gap named; the first is 1.
  std::uint64_t told = 0;   ///< Messages that Gaps named.
  std::uint64_t gaps = 0;
  std::uint64_t disordered = 0;  ///< A number not above the one before it; a Gap out of place.
  std::uint64_t answers = 0;     ///< Subscribed, and whatever else is no data.
  std::uint64_t refusals = 0;    ///< Error.
  std::uint64_t not_ours = 0;    ///< Messages in channels that were not asked for.
};

/// Whether `text`, which is long enough, begins so; in words, because compilers call memcmp.
template <std::size_t N>
[[nodiscard]] inline bool begins_with(const char* text, const char (&head)[N]) {
  constexpr std::size_t kBytes = N - 1;
  static_assert(kBytes >= 8);
  const auto difference_at = [&](std::size_t at) {
    std::uint64_t there = 0;
    std::uint64_t expected = 0;
    std::memcpy(&there, text + at, sizeof there);
    std::memcpy(&expected, head + at, sizeof expected);
    return there ^ expected;
  };
  std::uint64_t difference = difference_at(kBytes - 8);
  for (std::size_t at = 0; at + 8 < kBytes; at += 8) difference |= difference_at(at);
  return difference == 0;
}

/// The last number of each channel of one connection. One number where there is one channel.
class Checker {
 public:
  explicit Checker(std::size_t channels) : last_(channels == 1 ? 0 : channels, kNotAsked) {}

  void ask(std::size_t channel) {
    if (!last_.empty()) last_[channel] = 0;
  }

  /// Every text that comes; `seq` and key are read where our own layout has them.
  void on_message(std::string_view text, Tally& tally) {
    const char* key = nullptr;
    if (text.size() >= kMessageBytesMin - 8) [[likely]] {
      if (begins_with(text.data(), kHeadText)) {
        key = text.data() + kHead.size();
      } else if (begins_with(text.data(), kEventHeadText)) {
        key = text.data() + kEventHead.size();
      }
    }
    if (key == nullptr) [[unlikely]] {
      on_other(text, tally);
      return;
    }
    const char* at = key + kKeyBytes + kBehindKey.size();
    std::uint64_t seq = 0;
    for (; *at >= '0' && *at <= '9'; ++at) seq = seq * 10 + static_cast<std::uint64_t>(*at - '0');
    ++tally.messages;
    tally.bytes += text.size();
    std::uint64_t& last = last_.empty() ? only_ : last_[key_of(key)];
    if (seq == last + 1) [[likely]] {
      last = seq;
      return;
    }
    on_jump(last, seq, tally);
  }

 private:
  static constexpr std::uint64_t kNotAsked = ~std::uint64_t{0} - 1;

  [[nodiscard]] std::size_t key_of(const char* at) const {
    const std::size_t key = channel_index(at, last_.size());
    return key < last_.size() ? key : 0;
  }

  static void on_jump(std::uint64_t& last, std::uint64_t seq, Tally& tally) {
    if (last == kNotAsked) {
      ++tally.not_ours;
      return;
    }
    if (seq <= last) {
      ++tally.disordered;
      return;
    }
    // Nothing was published before all were subscribed: the first one of a channel is 1.
    tally.lost += seq - last - 1;
    last = seq;
  }

  void on_other(std::string_view text, Tally& tally) {
    if (text.starts_with(R"({"type":"Gap")")) {
      ++tally.gaps;
      const std::uint64_t from = member(text, R"("from":)");
      const std::uint64_t to = member(text, R"("to":)");
      const std::size_t name = text.find(R"("ch":"prices:)");
      if (name == std::string_view::npos) return;
      std::uint64_t& last = last_.empty() ? only_ : last_[key_of(text.data() + name + 13)];
      if (from != last + 1 || to < from) {
        ++tally.disordered;
        return;
      }
      tally.told += to - from + 1;
      last = to;
    } else if (text.starts_with(R"({"type":"Error")")) {
      ++tally.refusals;
    } else if (text.starts_with(R"({"type":"Subscribed")") ||
               text.starts_with(R"({"type":"Pong")")) {
      ++tally.answers;
    }
  }

  static std::uint64_t member(std::string_view text, std::string_view name) {
    const std::size_t at = text.find(name);
    std::uint64_t value = 0;
    if (at == std::string_view::npos) return value;
    for (std::size_t i = at + name.size(); i < text.size() && text[i] >= '0' && text[i] <= '9';
         ++i) {
      value = value * 10 + static_cast<std::uint64_t>(text[i] - '0');
    }
    return value;
  }

  std::uint64_t only_ = 0;
  std::vector<std::uint64_t> last_;
};

/// The intended time of a message, at its end, or 0.
inline std::int64_t time_of(std::string_view text) {
  if (text.size() < kTimeDigits + 1) return 0;
  const char* at = text.data() + text.size() - 1 - kTimeDigits;
  std::int64_t time = 0;
  for (std::size_t i = 0; i < kTimeDigits; ++i) time = time * 10 + (at[i] - '0');
  return time;
}

}  // namespace stratwire::bench
