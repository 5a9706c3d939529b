/// Data messages exactly as this library writes them in MessagePack.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <variant>

#include <stratwire/message.hpp>

#include "message_types.hpp"
#include "text_scan.hpp"
#include "wire_order.hpp"

namespace stratwire::detail {

/// The fixed layout (PROTOCOL.md, "MessagePack"): array header, type, four numbers of a head and
/// eight bytes, then texts of a head, a length and so many bytes.
///
/// No text is longer than 255 bytes, and all are ASCII.
class MsgpackFixed {
 public:
  static constexpr std::size_t kFirst = 3;
  static constexpr std::size_t kSecond = kFirst + 9;
  static constexpr std::size_t kThird = kSecond + 9;
  static constexpr std::size_t kFourth = kThird + 9;
  static constexpr std::size_t kTexts = kFourth + 8;
  static constexpr std::size_t kBytesMin = kTexts + 2;

  static constexpr unsigned char kUnsigned = 0xcf;
  static constexpr unsigned char kSigned = 0xd3;
  static constexpr unsigned char kDouble = 0xcb;
  static constexpr unsigned char kText = 0xd9;

  /// Precondition: at least kBytesMin bytes
  explicit MsgpackFixed(std::string_view bytes) noexcept
      : from_(bytes.data()), end_(from_ + bytes.size()) {}

  [[nodiscard]] bool is_price() const noexcept {
    return has_heads<0x98, kTypeId<PriceUpdate>, kDouble, kUnsigned>();
  }
  [[nodiscard]] bool is_account() const noexcept {
    return has_heads<0x97, kTypeId<AccountUpdate>, kUnsigned, kUnsigned>();
  }

  /// Whether all that is no value is as it has to be.
  template <unsigned char Array, unsigned char Type, unsigned char Second, unsigned char Third>
  [[nodiscard]] bool has_heads() const noexcept {
    constexpr std::uint32_t kFront = Array | Type << 8 | kUnsigned << 16;
    std::uint32_t front = 0;
    std::memcpy(&front, from_, sizeof front);
    return (front & 0xff'ffff) == kFront && byte_at(kFirst + 8) == Second &&
           byte_at(kSecond + 8) == Third && byte_at(kThird + 8) == kSigned;
  }
  [[nodiscard]] std::uint64_t number_at(std::size_t place) const noexcept {
    return load_big_endian<std::uint64_t>(from_ + place);
  }

  /// Reads texts, and nothing may be behind them.
  template <class... Texts>
  [[nodiscard, gnu::always_inline]] bool read(Texts&... texts) const noexcept {
    const char* at = from_ + kTexts;
    HighBits bits;
    std::size_t left = sizeof...(Texts);
    return (take(at, texts, --left, bits) && ...) && bits.none();
  }

 private:
  [[nodiscard]] unsigned char byte_at(std::size_t place) const noexcept {
    return static_cast<unsigned char>(from_[place]);
  }

  // Of texts. What is before one is part of the message, too.
  class HighBits {
   public:
#if defined(__SSE2__)
    [[gnu::always_inline]] void add(const char* from, std::size_t bytes) noexcept {
      const __m128i last = load16(from + bytes - 16);
      if (bytes <= 16) return add(_mm_and_si128(last, last_bytes(bytes)));
      add(_mm_or_si128(last, load16(from)));
      if (bytes <= 32) return;
      add(load16(from + 16));
      for (std::size_t at = 32; at + 16 < bytes; at += 16) add(load16(from + at));
    }
    [[nodiscard]] bool none() const noexcept {
      return _mm_movemask_epi8(all_) == 0;
    }

   private:
    void add(__m128i bytes) noexcept {
      all_ = _mm_or_si128(all_, bytes);
    }
    __m128i all_ = _mm_setzero_si128();
#else
    void add(const char* from, std::size_t bytes) noexcept {
      none_ &= is_ascii(from, bytes);
    }
    [[nodiscard]] bool none() const noexcept {
      return none_;
    }

   private:
    bool none_ = true;
#endif
  };

  // The head of a text can be read; where others follow, `at` is then moved to one that can.
  [[gnu::always_inline]] bool take(const char*& at, std::string_view& text, std::size_t others,
                                   HighBits& bits) const noexcept {
    if (static_cast<unsigned char>(*at) != kText) return false;
    const std::size_t bytes = static_cast<unsigned char>(at[1]);
    text = {at + 2, bytes};
    at += 2 + bytes;
    if (others == 0 ? at != end_ : at > end_ - 2) return false;
    bits.add(at - bytes, bytes);
    return true;
  }

  const char* from_;
  const char* end_;
};

[[nodiscard]] inline bool read_fixed(const MsgpackFixed& in, Envelope& envelope,
                                     PriceUpdate& out) noexcept {
  using Fixed = MsgpackFixed;
  const std::uint64_t price = in.number_at(Fixed::kSecond);
  if (!is_finite(price) || !in.read(envelope.channel, out.input_mint, out.output_mint))
    return false;
  out.price = std::bit_cast<double>(price);
  out.volume = in.number_at(Fixed::kThird);
  out.timestamp = static_cast<std::int64_t>(in.number_at(Fixed::kFourth));
  // Without a name there is no channel, and no number in it.
  envelope.seq = envelope.channel.empty() ? 0 : in.number_at(Fixed::kFirst);
  return true;
}

[[nodiscard]] inline bool read_fixed(const MsgpackFixed& in, Envelope& envelope,
                                     AccountUpdate& out) noexcept {
  using Fixed = MsgpackFixed;
  if (!in.read(envelope.channel, out.pubkey)) return false;
  out.lamports = in.number_at(Fixed::kSecond);
  out.slot = in.number_at(Fixed::kThird);
  out.timestamp = static_cast<std::int64_t>(in.number_at(Fixed::kFourth));
  envelope.seq = envelope.channel.empty() ? 0 : in.number_at(Fixed::kFirst);
  return true;
}

/// For a body that is of another type. Out of line, and nothing to be done after it, so that the
/// others need no room on the stack.
template <class T>
[[nodiscard, gnu::noinline]] bool read_fixed_anew(std::string_view bytes, Message& out) noexcept {
  return read_fixed(MsgpackFixed(bytes), out.envelope, out.body.emplace<T>());
}

template <class T>
[[nodiscard, gnu::always_inline]] inline bool read_fixed(const MsgpackFixed& in,
                                                         std::string_view bytes,
                                                         Message& out) noexcept {
  // Most messages of a connection have the type of the one before.
  T* const body = std::get_if<T>(&out.body);
  return body != nullptr ? read_fixed(in, out.envelope, *body) : read_fixed_anew<T>(bytes, out);
}

/// Decodes a PriceUpdate or AccountUpdate in the fixed layout.
///
/// Takes only what the general decoder answers the same to; anything else is left to that one.
///
/// \return  false when it is something else, or something wrong; `out` is then undefined
[[nodiscard, gnu::always_inline]] inline bool decode_msgpack_fast(std::string_view bytes,
                                                                  Message& out) noexcept {
  using Fixed = MsgpackFixed;
  if (bytes.size() < Fixed::kBytesMin) return false;
  const Fixed in(bytes);
  if (in.is_price()) {
    return read_fixed<PriceUpdate>(in, bytes, out);
  }
  if (in.is_account()) {
    return read_fixed<AccountUpdate>(in, bytes, out);
  }
  return false;
}

[[nodiscard, gnu::always_inline]] inline bool decode_msgpack_fast(std::string_view bytes,
                                                                  Envelope& envelope,
                                                                  PriceUpdate& out) noexcept {
  if (bytes.size() < MsgpackFixed::kBytesMin) return false;
  const MsgpackFixed in(bytes);
  return in.is_price() && read_fixed(in, envelope, out);
}

}  // namespace stratwire::detail
