/// A message that owns its texts.
#pragma once

#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include <stratwire/message.hpp>

namespace stratwire {

namespace detail {

/// Calls `visit` with every text of a data message, always in the same order.
template <class Visit>
constexpr void for_each_text(PriceUpdate& message, Visit&& visit) {
  visit(message.input_mint);
  visit(message.output_mint);
}
template <class Visit>
constexpr void for_each_text(AccountUpdate& message, Visit&& visit) {
  visit(message.pubkey);
}
template <class Visit>
constexpr void for_each_text(Event& message, Visit&& visit) {
  visit(message.type);
  visit(message.data.bytes);
}

template <class T>
concept HasTexts = requires(T& message) {
  for_each_text(message, [](std::string_view&) {});
};

}  // namespace detail

/// Keeps a PriceUpdate, an AccountUpdate or an Event for longer than the call that delivered it.
///
/// One buffer holds all texts; the message's views point into it, also after a copy or a move.
/// Use it to put messages into a container; where a message is only looked at, use it as it came.
///
/// \lifetime  views taken from it are valid until it is assigned to, moved from or destroyed
/// \thread    one thread at a time
/// \cost      one allocation for each copy, none for a move
template <detail::HasTexts T>
class Owned {
 public:
  Owned() = default;
  explicit Owned(const T& message) { assign(message); }
  Owned(const Owned& other) { assign(other.message_); }
  Owned(Owned&& other) noexcept
      : buffer_(std::move(other.buffer_)), message_(std::exchange(other.message_, T{})) {}
  Owned& operator=(const Owned& other) {
    if (this != &other) assign(other.message_);
    return *this;
  }
  Owned& operator=(Owned&& other) noexcept {
    if (this != &other) {
      // The views stay right: moving a vector hands over its storage. Cleared, so that the
      // moved-from object does not keep views into it.
      buffer_ = std::move(other.buffer_);
      other.buffer_.clear();
      message_ = std::exchange(other.message_, T{});
    }
    return *this;
  }
  /// `message` may be a view of this very object.
  Owned& operator=(const T& message) {
    assign(message);
    return *this;
  }
  ~Owned() = default;

  [[nodiscard]] const T& operator*() const noexcept { return message_; }
  [[nodiscard]] const T* operator->() const noexcept { return &message_; }

  friend bool operator==(const Owned& a, const Owned& b) { return a.message_ == b.message_; }

 private:
  void assign(const T& message) {
    T copy = message;
    std::size_t bytes = 0;
    detail::for_each_text(copy, [&](std::string_view& text) { bytes += text.size(); });
    std::vector<char> buffer;
    buffer.reserve(bytes);  // No growth below: the views would be left behind.
    detail::for_each_text(copy, [&](std::string_view& text) {
      const std::size_t start = buffer.size();
      buffer.insert(buffer.end(), text.begin(), text.end());
      text = std::string_view(buffer.data() + start, text.size());
    });
    buffer_ = std::move(buffer);
    message_ = copy;
  }

  std::vector<char> buffer_{};
  T message_{};
};

template <class T>
Owned(T) -> Owned<T>;

}  // namespace stratwire
