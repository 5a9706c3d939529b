/// What is published, by one source to every server: the same messages in the same order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <stratwire/codec.hpp>
#include <stratwire/message.hpp>
#include <stratwire/testing/delivery_oracle.hpp>

#include "random.hpp"
#include "trace.hpp"

namespace stratwire::sim {

struct Published {
  std::size_t channel = 0;  ///< Index in the feed's names, `kind:key`.
  std::uint64_t seq = 0;
  std::uint64_t content = 0;
  TimeNs at = 0;
};

/// One epoch's messages, and the ledger of all epochs.
///
/// \thread one thread: the simulation's
class Feed {
 public:
  explicit Feed(std::vector<std::string> channels) : names_(std::move(channels)) {}

  /// The numbering begins anew.
  void begin_epoch(std::uint64_t epoch) {
    epoch_ = epoch;
    messages_.clear();
  }
  const Published& publish(std::size_t channel, std::uint64_t content, TimeNs at) {
    const std::uint64_t seq = ledger_.append(names_[channel], epoch_, content);
    messages_.push_back({channel, seq, content, at});
    return messages_.back();
  }

  [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }
  [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }
  [[nodiscard]] const std::vector<Published>& messages() const noexcept { return messages_; }
  [[nodiscard]] const testing::PublishedLedger& ledger() const noexcept { return ledger_; }
  /// How many messages the channel had when `position` messages of all channels were published.
  [[nodiscard]] std::uint64_t head_at(std::string_view channel, std::uint64_t position) const {
    const std::size_t count = std::min<std::size_t>(position, messages_.size());
    for (std::size_t i = count; i-- > 0;) {
      if (names_[messages_[i].channel] == channel) return messages_[i].seq;
    }
    return 0;
  }

 private:
  std::vector<std::string> names_;
  std::uint64_t epoch_ = 0;
  std::vector<Published> messages_{};
  testing::PublishedLedger ledger_{};
};

// ---- Contents

/// A message whose every member follows from its content, so that one that was altered shows.
struct Body {
  explicit Body(std::string_view channel, std::uint64_t content);
  std::string text{};
  DataMessage message{};
};

[[nodiscard]] inline double price_of(std::uint64_t content) noexcept {
  return static_cast<double>(content % 1'000'003) / 64.0;
}
/// JSON text of an Event's value; some are large.
[[nodiscard]] inline std::string value_of(std::uint64_t content) {
  const std::size_t padding = content % 7 == 0 ? content % 1500 : content % 40;
  return "{\"n\":" + std::to_string(content) + ",\"pad\":\"" + std::string(padding, 'x') + "\"}";
}

inline Body::Body(std::string_view channel, std::uint64_t content) {
  if (channel.starts_with("prices:")) {
    message = PriceUpdate{"USDC", channel, price_of(content), content,
                          static_cast<std::int64_t>(content >> 3)};
  } else if (channel.starts_with("accounts:")) {
    message =
        AccountUpdate{channel, content, content >> 2, static_cast<std::int64_t>(content >> 3)};
  } else {
    text = value_of(content);
    message = Event{"Trade", {Codec::json, text}};
  }
}

/// The content of a message; 0, which no message has, when its members do not belong together.
template <class T>
[[nodiscard]] std::uint64_t content_of(std::string_view channel, const T& body) {
  if constexpr (std::is_same_v<T, PriceUpdate>) {
    const Body expected(channel, body.volume);
    return DataMessage{body} == expected.message ? body.volume : 0;
  } else if constexpr (std::is_same_v<T, AccountUpdate>) {
    const Body expected(channel, body.lamports);
    return DataMessage{body} == expected.message ? body.lamports : 0;
  } else {
    // In the client's codec, whatever it was published in.
    constexpr std::string_view kBegin = "{\"n\":";
    std::string text;
    if (!transcode(body.data, Codec::json, text).ok() || !text.starts_with(kBegin)) return 0;
    const std::uint64_t content = std::strtoull(text.c_str() + kBegin.size(), nullptr, 10);
    return body.type == "Trade" && text == value_of(content) ? content : 0;
  }
}

}  // namespace stratwire::sim
