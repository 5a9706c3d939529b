/// Data messages in JSON whose end is where it nearly always is.
///
/// The last 33 bytes are looked at first. With `,"timestamp":`, nineteen digits and a brace there,
/// everything in front of them is read without looking for the end of the input:
///
/// - A text ends at the quote in them at the latest, a number at the comma.
/// - What stands in front of a text or a number can't begin inside of them, so that neither can
///   the text or the number.
/// - So sixteen bytes from any place that is looked at are part of the input.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>

#include <stratwire/message.hpp>

#include "body.hpp"
#include "digits.hpp"
#include "json_number.hpp"
#include "text_scan.hpp"

namespace stratwire::detail {

/// See decode_json_anchored().
class JsonAnchored {
 public:
  explicit JsonAnchored(const char* end) noexcept : end_(end), tail_(end - kTailBytes) {}

  static constexpr std::size_t kTailBytes = 33;
  /// So far in front of the tail is looked at before anything is known: for a number, a name, a
  /// price and a name again, of 16, 10, 16 and 9 bytes.
  static constexpr std::size_t kBytesMin = 51 + kTailBytes;

  // Each place is that behind the type.

  [[gnu::always_inline]] bool read(const char* at, Envelope& envelope,
                                   PriceUpdate& out) const noexcept {
    if (!read_tail(out.timestamp)) return false;
    const char* const price_end = number_before(",\"volume\":", tail_, out.volume);
    if (price_end == nullptr) return false;
    const Price price = price_before(price_end);
    at = read_envelope(at, envelope);
    if (at == nullptr || !is_at(at, ",\"input_mint\":\"")) return false;
    at = read_text(at + 15, out.input_mint);
    if (at == nullptr || !is_at(at, ",\"output_mint\":\"")) return false;
    at = read_text(at + 16, out.output_mint);
    if (at == nullptr) return false;
    if (price.from != nullptr) [[likely]] {
      out.price = value_of(price, price_end);
      return at + 9 == price.from;
    }
    return is_at(at, ",\"price\":") && read_any_number(at + 9, end_, out.price) == price_end;
  }

  [[gnu::always_inline]] bool read(const char* at, Envelope& envelope,
                                   AccountUpdate& out) const noexcept {
    if (!read_tail(out.timestamp)) return false;
    const char* const lamports_end = number_before(",\"slot\":", tail_, out.slot);
    if (lamports_end == nullptr) return false;
    at = read_envelope(at, envelope);
    if (at == nullptr || !is_at(at, ",\"pubkey\":\"")) return false;
    at = read_text(at + 11, out.pubkey);
    if (at == nullptr || !is_at(at, ",\"lamports\":")) return false;
    return read_number(at + 12, out.lamports) == lamports_end;
  }

  [[nodiscard]] static bool is_price(const char* at) noexcept {
    return is_at(at, "{\"type\":\"PriceUpdate\"");
  }
  [[nodiscard]] static bool is_account(const char* at) noexcept {
    return is_at(at, "{\"type\":\"AccountUpdate\"");
  }

 private:
  template <std::size_t N>
  [[nodiscard, gnu::always_inline]] static bool is_at(const char* at,
                                                      const char (&expected)[N]) noexcept {
    return equal_bytes<N - 1>(at, expected);
  }

  // Each of these takes a place and returns the one behind what it has read, or nullptr.

  [[gnu::always_inline]] static const char* read_text(const char* from,
                                                      std::string_view& out) noexcept {
    const char* at = from;
#if defined(__SSE2__)
    unsigned special = special_mask(load16(at));
    while (special == 0) special = special_mask(load16(at += 16));
    at += static_cast<unsigned>(std::countr_zero(special));
#else
    while (is_plain(*at)) ++at;
#endif
    out = std::string_view(from, static_cast<std::size_t>(at - from));
    return *at == '"' ? at + 1 : nullptr;
  }

  [[gnu::always_inline]] const char* read_number(const char* from,
                                                 std::uint64_t& out) const noexcept {
    const auto count = static_cast<unsigned>(std::countr_zero(others_in_sixteen(from) | 1U << 16));
    if (count > 15 || (*from == '0' && count != 1)) return read_any_number(from, end_, out);
    out = value_before(from + count, count);
    return count == 0 ? nullptr : from + count;
  }

  // ---- Backwards, so that what is behind the texts need not wait for their lengths
  //
  // Of the sixteen bytes before the end of a number, those that are no digits begin with the end
  // of its name. Where they begin further in front, the first few are taken for no digits, too.

  // The number that ends at `end`, and its name in front of it. Returns where the name begins;
  // nullptr when it is not so, or the number has more than sixteen digits.
  template <std::size_t N>
  [[gnu::always_inline]] static const char* number_before(const char (&name)[N], const char* end,
                                                          std::uint64_t& out) noexcept {
    constexpr unsigned kFar = 16 - N;
    unsigned others = others_in_sixteen(end - 16);
    if (others >> kFar != 0) others |= (1U << kFar) - 1;
    const auto before = static_cast<unsigned>(std::countr_one(others));
    if (before == 16 || (others & (others + 1)) != 0) return nullptr;
    out = value_before(end, 16 - before);
    const char* const from = end - 16 + before;
    if (!is_at(from - (N - 1), name) || (*from == '0' && before != 15)) return nullptr;
    return from - (N - 1);
  }

  /// Digits on both sides of a point.
  struct Price {
    const char* from = nullptr;  ///< nullptr: it is not of that kind.
    unsigned whole = 0;
    unsigned scale = 0;
  };

  // The same for a price of at most sixteen bytes with a point; its value is left to value_of(),
  // because that takes long and is better begun when nothing waits for what comes after it.
  [[gnu::always_inline]] static Price price_before(const char* end) noexcept {
    unsigned others = others_in_sixteen(end - 16);
    // A price that fills the last nine bytes has only its point there.
    const unsigned near = others >> 7;
    if ((near & (near - 1)) != 0) others |= 0x7f;
    const auto before = static_cast<unsigned>(std::countr_one(others));
    const unsigned point = others & (others + 1);
    if (point == 0 || (point & (point - 1)) != 0) return {};
    const auto place = static_cast<unsigned>(std::countr_zero(point));
    const char* const from = end - 16 + before;
    if (from[place - before] != '.' || place == 15 || !is_at(from - 9, ",\"price\":") ||
        (*from == '0' && place != before + 1)) {
      return {};
    }
    return {from, place - before, 15 - place};
  }

  [[gnu::always_inline]] static double value_of(const Price& price, const char* end) noexcept {
    // At most fifteen digits: exact on both sides of one division.
    const auto mantissa = static_cast<std::int64_t>(value_before(end, price.whole, price.scale));
    return static_cast<double>(mantissa) / kDivisors[price.scale];
  }

  [[gnu::always_inline]] bool read_tail(std::int64_t& timestamp) const noexcept {
    if (!is_at(tail_, ",\"timestamp\":") || tail_[13] == '0') return false;
    std::uint32_t last = 0;
    std::memcpy(&last, tail_ + 29, sizeof last);
    // Three digits, each zero to nine, and the brace, zero.
    last ^= 0x7d30'3030;
    const std::uint32_t wrong = ((last + 0x0076'7676) | last) & 0xff80'8080;
    if ((wrong | others_in_sixteen(tail_ + 13)) != 0) return false;
    const std::uint64_t value = value_before(tail_ + 29, 16) * 1000 + (last & 0xff) * 100 +
                                ((last >> 8) & 0xff) * 10 + (last >> 16);
    timestamp = static_cast<std::int64_t>(value);
    return value <= static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  }

  [[gnu::always_inline]] const char* read_envelope(const char* at, Envelope& out) const noexcept {
    if (!is_at(at, ",\"ch\":\"")) {
      out = Envelope{};
      return at;
    }
    at = read_text(at + 7, out.channel);
    // Without a name there is no channel, and no number in it.
    if (at == nullptr || out.channel.empty() || !is_at(at, ",\"seq\":")) return nullptr;
    return read_number(at + 7, out.seq);
  }

  const char* end_;
  const char* tail_;
};

/// Decodes a PriceUpdate or AccountUpdate in the fixed layout with a timestamp of nineteen digits
/// (2001 to 2262): what feeds are made of.
///
/// Takes only what the general decoder answers the same to.
///
/// \return  false when it is something else, or something wrong; `out` is then undefined
[[nodiscard, gnu::always_inline]] inline bool decode_json_anchored(std::string_view bytes,
                                                                   Message& out) noexcept {
  if (bytes.size() < JsonAnchored::kBytesMin) return false;
  const char* const from = bytes.data();
  const JsonAnchored in(from + bytes.size());
  if (JsonAnchored::is_price(from)) {
    return in.read(from + 21, out.envelope, body_as<PriceUpdate>(out));
  }
  if (JsonAnchored::is_account(from)) {
    return in.read(from + 23, out.envelope, body_as<AccountUpdate>(out));
  }
  return false;
}

[[nodiscard, gnu::always_inline]] inline bool decode_json_anchored(std::string_view bytes,
                                                                   Envelope& envelope,
                                                                   PriceUpdate& out) noexcept {
  if (bytes.size() < JsonAnchored::kBytesMin || !JsonAnchored::is_price(bytes.data())) return false;
  const JsonAnchored in(bytes.data() + bytes.size());
  return in.read(bytes.data() + 21, envelope, out);
}

}  // namespace stratwire::detail
