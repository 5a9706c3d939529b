/// The message that every server of a run publishes: stratwire's PriceUpdate in JSON, 159 bytes
/// while `seq` has six digits; where less is asked for, an Event, the shortest there is.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace stratwire::bench {

inline constexpr std::size_t kMessageBytes = 159;
/// Of an Event, which has no time in it.
inline constexpr std::size_t kMessageBytesMin = 73;
inline constexpr char kHeadText[] = R"({"type":"PriceUpdate","ch":"prices:)";
inline constexpr char kEventHeadText[] = R"({"type":"Event","ch":"prices:)";
inline constexpr std::string_view kHead = kHeadText;
inline constexpr std::string_view kEventHead = kEventHeadText;
/// "SOL", or "000" to "999" where there are many, or "000" to "ZZZ" where there are more.
inline constexpr std::size_t kKeyBytes = 3;
inline constexpr std::size_t kChannelsMax = 36 * 36 * 36;
inline constexpr std::string_view kBehindKey = R"(-USDC","seq":)";
inline constexpr std::size_t kTimeDigits = 19;

[[nodiscard]] inline std::size_t key_base(std::size_t channels) {
  return channels > 1000 ? 36 : 10;
}
/// "SOL" for the only channel, else the index in three digits, so that all messages are as long.
[[nodiscard]] inline std::string channel_key(std::size_t index, std::size_t channels) {
  if (channels == 1) return "SOL";
  const std::size_t base = key_base(channels);
  std::string key(kKeyBytes, '0');
  for (std::size_t i = kKeyBytes; i-- > 0; index /= base)
    key[i] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[index % base];
  return key;
}
/// The way back; with one channel, any number.
[[nodiscard]] inline std::size_t channel_index(const char* key, std::size_t channels) {
  const std::size_t base = key_base(channels);
  std::size_t index = 0;
  for (std::size_t i = 0; i < kKeyBytes; ++i) {
    index =
        index * base + static_cast<std::size_t>(key[i] <= '9' ? key[i] - '0' : key[i] - 'A' + 10);
  }
  return index;
}
[[nodiscard]] inline std::string channel_name(std::size_t index, std::size_t channels) {
  return "prices:" + channel_key(index, channels) + "-USDC";
}

/// Makes messages by copying one that is ready and writing two numbers into it: what bare servers
/// can do at least.
class MessageTemplate {
 public:
  MessageTemplate(std::string_view key, std::size_t bytes) : timed_(bytes >= kMessageBytes) {
    front_ = std::string(timed_ ? kHead : kEventHead) + std::string(key) + std::string(kBehindKey);
    if (!timed_) {
      back_ = R"(,"event":"T","data":1})";
      return;
    }
    back_ = R"(,"input_mint":"USDC)";
    const std::string tail = R"(","output_mint":"SOL","price":142.3317,"volume":12,"timestamp":)";
    back_.append(padding(bytes), 'x');
    back_ += tail;
  }

  /// Filler in `input_mint` that makes messages this long.
  [[nodiscard]] static std::size_t padding(std::size_t bytes) {
    return bytes <= kMessageBytes ? 0 : bytes - kMessageBytes;
  }

  /// Most bytes that write() needs.
  [[nodiscard]] std::size_t bytes_max() const { return front_.size() + back_.size() + 48; }

  /// \return end of the message that was written to `at`
  char* write(char* at, std::uint64_t seq, std::int64_t time) const {
    at = put(at, front_);
    at = std::to_chars(at, at + 20, seq).ptr;
    at = put(at, back_);
    if (!timed_) return at;
    at = std::to_chars(at, at + 20, time).ptr;
    *at++ = '}';
    return at;
  }

 private:
  static char* put(char* at, std::string_view text) {
    std::memcpy(at, text.data(), text.size());
    return at + text.size();
  }

  bool timed_;
  std::string front_{};
  std::string back_{};
};

/// Channels in turn: message i of a run is message i / channels + 1 of channel i % channels.
class Feed {
 public:
  Feed(std::size_t channels, std::size_t bytes) {
    for (std::size_t c = 0; c < channels; ++c) {
      templates_.emplace_back(channel_key(c, channels), bytes);
    }
  }

  [[nodiscard]] std::size_t channel() const { return next_ % templates_.size(); }
  [[nodiscard]] std::uint64_t published() const { return next_; }
  [[nodiscard]] std::size_t bytes_max() const { return templates_.front().bytes_max(); }

  char* write(char* at, std::int64_t time) {
    at = templates_[channel()].write(at, next_ / templates_.size() + 1, time);
    ++next_;
    return at;
  }

 private:
  std::vector<MessageTemplate> templates_{};
  std::uint64_t next_ = 0;
};

/// Writes the header of an unmasked text frame in front of a payload that lies at `payload`.
///
/// \return where the frame begins, at most four bytes in front (payloads below 64 KiB)
inline char* seal_text_frame(char* payload, std::size_t bytes) {
  constexpr char kText = '\x81';
  if (bytes < 126) {
    payload[-2] = kText;
    payload[-1] = static_cast<char>(bytes);
    return payload - 2;
  }
  payload[-4] = kText;
  payload[-3] = 126;
  payload[-2] = static_cast<char>(bytes >> 8);
  payload[-1] = static_cast<char>(bytes & 0xff);
  return payload - 4;
}

/// Appends the next message of the feed to `out`, framed.
inline void append_frame(std::string& out, Feed& feed, std::int64_t time) {
  constexpr std::size_t kHeaderBytesMax = 4;
  const std::size_t before = out.size();
  out.resize(before + kHeaderBytesMax + feed.bytes_max());
  char* const payload = out.data() + before + kHeaderBytesMax;
  const auto bytes = static_cast<std::size_t>(feed.write(payload, time) - payload);
  const auto header =
      kHeaderBytesMax - static_cast<std::size_t>(payload - seal_text_frame(payload, bytes));
  if (header != 0) std::memmove(out.data() + before, out.data() + before + header, bytes + 2);
  out.resize(before + kHeaderBytesMax - header + bytes);
}

}  // namespace stratwire::bench
