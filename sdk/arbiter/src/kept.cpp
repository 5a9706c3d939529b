#include "kept.hpp"

#include <bit>
#include <string_view>
#include <type_traits>
#include <variant>

#include <stratwire/owned.hpp>
#include <stratwire/session/channel_table.hpp>

namespace stratwire::arbiter {
namespace {

// A slot that once held a huge message gives its memory back with the next one.
constexpr std::size_t kTextsKeptMax = 4'096;

/// Multiply and fold, as the hash of texts does.
class Content {
 public:
  void add(std::uint64_t word) noexcept {
    state_ = (state_ ^ word) * 0x9e3779b97f4a7c15u;
    state_ ^= state_ >> 29;
  }
  void add(std::int64_t word) noexcept { add(static_cast<std::uint64_t>(word)); }
  void add(double number) noexcept { add(std::bit_cast<std::uint64_t>(number)); }
  void add(std::string_view text) noexcept { add(session::ChannelTable::hash(text)); }
  /// The highest bits are the best ones.
  [[nodiscard]] std::uint64_t value() const noexcept { return state_ * 0xe7037ed1a0b428dbu; }

 private:
  std::uint64_t state_ = 0x2545f4914f6cdd1du;
};

void add(Content& content, const PriceUpdate& message) noexcept {
  content.add(message.input_mint);
  content.add(message.output_mint);
  content.add(message.price);
  content.add(message.volume);
  content.add(message.timestamp);
}
void add(Content& content, const AccountUpdate& message) noexcept {
  content.add(message.pubkey);
  content.add(message.lamports);
  content.add(message.slot);
  content.add(message.timestamp);
}
void add(Content& content, const Event& message) noexcept {
  content.add(message.type);
  content.add(static_cast<std::uint64_t>(message.data.codec));
  content.add(message.data.bytes);
}

template <class Body, class Visit>
void with_data(Body& body, Visit&& visit) {
  std::visit(
      [&](auto& message) {
        if constexpr (detail::HasTexts<std::remove_cvref_t<decltype(message)>>) visit(message);
      },
      body);
}

}  // namespace

std::uint64_t content_of(const Delivery& delivery) noexcept {
  Content content;
  content.add(static_cast<std::uint64_t>(delivery.body.index()));
  with_data(delivery.body, [&](const auto& message) { add(content, message); });
  return content.value();
}

std::size_t bytes_of(const Delivery& delivery) noexcept {
  std::size_t bytes = sizeof(Kept) + delivery.envelope.channel.size();
  with_data(delivery.body, [&](auto message) {
    detail::for_each_text(message, [&](std::string_view& text) { bytes += text.size(); });
  });
  return bytes;
}

void Kept::keep(const LineDelivery& delivery) {
  delivery_ = delivery;
  std::size_t bytes = delivery.envelope.channel.size();
  with_data(delivery_.body, [&](auto& message) {
    detail::for_each_text(message, [&](std::string_view& text) { bytes += text.size(); });
  });
  if (texts_.capacity() > kTextsKeptMax) texts_ = std::string{};
  texts_.clear();
  texts_.reserve(bytes);  // No growth below: the views would be left behind.
  const auto move_here = [&](std::string_view& text) {
    const std::size_t begin = texts_.size();
    texts_.append(text);
    text = std::string_view{texts_}.substr(begin);
  };
  move_here(delivery_.envelope.channel);
  with_data(delivery_.body, [&](auto& message) { detail::for_each_text(message, move_here); });
}

}  // namespace stratwire::arbiter
