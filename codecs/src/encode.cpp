/// The two data messages with a fixed layout, into a span.
#include <bit>
#include <cstdint>
#include <cstring>

#include <stratwire/codec.hpp>

#include "json_encode.hpp"
#include "message_types.hpp"
#include "number_format.hpp"
#include "text_scan.hpp"
#include "utf8.hpp"
#include "wire_order.hpp"

namespace stratwire {
namespace {

using namespace detail;

// ---- JSON

template <std::size_t N>
char* put(char* out, const char (&literal)[N]) noexcept {
  std::memcpy(out, literal, N - 1);
  return out + N - 1;
}

// Everything that is not a text: names, punctuation and numbers of the longer one of the messages.
constexpr std::size_t kJsonFixedBytes = 256;

// The start of a message up to the comma before its own members; nullptr when refused.
template <std::size_t N>
char* put_json_head(char* out, const char (&type)[N], const Envelope& envelope) noexcept {
  out = put(out, type);
  if (envelope.channel.empty()) return out;
  out = put(out, ",\"ch\":");
  out = format_json_string(out, envelope.channel);
  if (out == nullptr) return nullptr;
  return format_unsigned(put(out, ",\"seq\":"), envelope.seq);
}

/// The end of a message, or the text that is not UTF-8.
struct Written {
  char* end = nullptr;  ///< nullptr: refused.
  const char* refused = nullptr;
};

Written write_json(const Envelope& envelope, const PriceUpdate& message, char* out) noexcept {
  out = put_json_head(out, "{\"type\":\"PriceUpdate\"", envelope);
  if (out == nullptr) return {nullptr, "channel"};
  out = format_json_string(put(out, ",\"input_mint\":"), message.input_mint);
  if (out == nullptr) return {nullptr, "input_mint"};
  out = format_json_string(put(out, ",\"output_mint\":"), message.output_mint);
  if (out == nullptr) return {nullptr, "output_mint"};
  out = format_double(put(out, ",\"price\":"), message.price);
  out = format_unsigned(put(out, ",\"volume\":"), message.volume);
  out = format_signed(put(out, ",\"timestamp\":"), message.timestamp);
  *out++ = '}';
  return {out};
}

Written write_json(const Envelope& envelope, const AccountUpdate& message, char* out) noexcept {
  out = put_json_head(out, "{\"type\":\"AccountUpdate\"", envelope);
  if (out == nullptr) return {nullptr, "channel"};
  out = format_json_string(put(out, ",\"pubkey\":"), message.pubkey);
  if (out == nullptr) return {nullptr, "pubkey"};
  out = format_unsigned(put(out, ",\"lamports\":"), message.lamports);
  out = format_unsigned(put(out, ",\"slot\":"), message.slot);
  out = format_signed(put(out, ",\"timestamp\":"), message.timestamp);
  *out++ = '}';
  return {out};
}

// ---- MessagePack

// Header, type, four numbers of nine bytes.
constexpr std::size_t kMsgpackFixedBytes = 2 + 4 * 9;
constexpr std::size_t kMsgpackTextHeadBytes = 5;

// A sequence number belongs to a channel; without one there is none.
std::uint64_t sequence_of(const Envelope& envelope) noexcept {
  return envelope.channel.empty() ? 0 : envelope.seq;
}

// The heads of all numbers; a number is put over the byte behind the first of them.
template <unsigned char Array, unsigned char Type, unsigned char Second>
void put_heads(char* out) noexcept {
  constexpr std::uint32_t kFront = Array | Type << 8 | 0xcf << 16;
  std::memcpy(out, &kFront, sizeof kFront);
  out[11] = static_cast<char>(Second);
  out[20] = '\xcf';
  out[29] = '\xd3';
}

char* put_numbers(char* out, const Envelope& envelope, const PriceUpdate& message) noexcept {
  const std::uint64_t seq = sequence_of(envelope);
  put_heads<0x98, kTypeId<PriceUpdate>, 0xcb>(out);
  store_big_endian(out + 3, seq);
  store_big_endian(out + 12, std::bit_cast<std::uint64_t>(message.price));
  store_big_endian(out + 21, message.volume);
  store_big_endian(out + 30, static_cast<std::uint64_t>(message.timestamp));
  return out + kMsgpackFixedBytes;
}

char* put_numbers(char* out, const Envelope& envelope, const AccountUpdate& message) noexcept {
  const std::uint64_t seq = sequence_of(envelope);
  put_heads<0x97, kTypeId<AccountUpdate>, 0xcf>(out);
  store_big_endian(out + 3, seq);
  store_big_endian(out + 12, message.lamports);
  store_big_endian(out + 21, message.slot);
  store_big_endian(out + 30, static_cast<std::uint64_t>(message.timestamp));
  return out + kMsgpackFixedBytes;
}

char* put_text(char* out, std::string_view text) noexcept {
  const std::size_t bytes = text.size();
  if (utf8_valid_prefix(text) != bytes) return nullptr;
  if (bytes <= 0xff) {
    *out = '\xd9';
    out[1] = static_cast<char>(bytes);
    out += 2;
  } else if (bytes <= 0xffff) {
    *out = '\xda';
    store_big_endian(out + 1, static_cast<std::uint16_t>(bytes));
    out += 3;
  } else {
    *out = '\xdb';
    store_big_endian(out + 1, static_cast<std::uint32_t>(bytes));
    out += 5;
  }
  if (bytes != 0) std::memcpy(out, text.data(), bytes);
  return out + bytes;
}

Written write_msgpack(const Envelope& envelope, const PriceUpdate& message, char* out) noexcept {
  out = put_text(put_numbers(out, envelope, message), envelope.channel);
  if (out == nullptr) return {nullptr, "channel"};
  out = put_text(out, message.input_mint);
  if (out == nullptr) return {nullptr, "input_mint"};
  out = put_text(out, message.output_mint);
  if (out == nullptr) return {nullptr, "output_mint"};
  return {out};
}

Written write_msgpack(const Envelope& envelope, const AccountUpdate& message, char* out) noexcept {
  out = put_text(put_numbers(out, envelope, message), envelope.channel);
  if (out == nullptr) return {nullptr, "channel"};
  out = put_text(out, message.pubkey);
  if (out == nullptr) return {nullptr, "pubkey"};
  return {out};
}

// ---- MessagePack with short texts in ASCII, which is looked for only when all is written

#if defined(__SSE2__)

class HighBits {
 public:
  void add(__m128i bytes) noexcept { all_ = _mm_or_si128(all_, bytes); }
  void add(std::uint64_t bytes) noexcept { add(_mm_cvtsi64_si128(static_cast<long long>(bytes))); }
  [[nodiscard]] bool none() const noexcept { return _mm_movemask_epi8(all_) == 0; }

 private:
  __m128i all_ = _mm_setzero_si128();
};

template <class Word>
void copy_word(char* out, const char* from, HighBits& bits) noexcept {
  Word word;
  std::memcpy(&word, from, sizeof word);
  std::memcpy(out, &word, sizeof word);
  bits.add(word);
}

// In words that overlap, so that only the number of them depends on the length.
[[gnu::always_inline]] inline void copy_text(char* out, const char* from, std::size_t bytes,
                                             HighBits& bits) noexcept {
  if (bytes > 32) {
    copy_word<__m128i>(out, from, bits);
    copy_word<__m128i>(out + 16, from + 16, bits);
    copy_word<__m128i>(out + bytes - 16, from + bytes - 16, bits);
    for (std::size_t at = 32; at + 16 < bytes; at += 16) {
      copy_word<__m128i>(out + at, from + at, bits);
    }
  } else if (bytes >= 16) {
    copy_word<__m128i>(out, from, bits);
    copy_word<__m128i>(out + bytes - 16, from + bytes - 16, bits);
  } else if (bytes >= 8) {
    copy_word<std::uint64_t>(out, from, bits);
    copy_word<std::uint64_t>(out + bytes - 8, from + bytes - 8, bits);
  } else if (bytes >= 4) {
    copy_word<std::uint32_t>(out, from, bits);
    copy_word<std::uint32_t>(out + bytes - 4, from + bytes - 4, bits);
  } else if (bytes != 0) {
    copy_word<unsigned char>(out, from, bits);
    copy_word<unsigned char>(out + bytes / 2, from + bytes / 2, bits);
    copy_word<unsigned char>(out + bytes - 1, from + bytes - 1, bits);
  }
}

// The end of the message; nullptr when a text is longer or not ASCII.
template <class T, class... Texts>
[[gnu::always_inline]] inline char* write_short(const Envelope& envelope, const T& message,
                                                char* out, Texts... texts) noexcept {
  if ((texts.size() | ...) > 0xff) return nullptr;
  out = put_numbers(out, envelope, message);
  HighBits bits;
  const auto put_one = [&](std::string_view text) {
    *out++ = '\xd9';
    *out++ = static_cast<char>(text.size());
    copy_text(out, text.data(), text.size(), bits);
    out += text.size();
  };
  (put_one(texts), ...);
  return bits.none() ? out : nullptr;
}

#else

template <class T, class... Texts>
char* write_short(const Envelope&, const T&, char*, Texts...) noexcept {
  return nullptr;
}

#endif

char* write_short_msgpack(const Envelope& envelope, const PriceUpdate& message,
                          char* out) noexcept {
  return write_short(envelope, message, out, envelope.channel, message.input_mint,
                     message.output_mint);
}

char* write_short_msgpack(const Envelope& envelope, const AccountUpdate& message,
                          char* out) noexcept {
  return write_short(envelope, message, out, envelope.channel, message.pubkey);
}

// ---- Both

std::size_t bytes_max(Codec codec, std::size_t texts, std::size_t text_bytes) noexcept {
  if (codec == Codec::json) return kJsonFixedBytes + 6 * text_bytes;
  return kMsgpackFixedBytes + texts * kMsgpackTextHeadBytes + text_bytes;
}

[[gnu::always_inline]] inline std::size_t room_for(Codec codec, const Envelope& envelope,
                                                   const PriceUpdate& message) noexcept {
  return bytes_max(
      codec, 3, envelope.channel.size() + message.input_mint.size() + message.output_mint.size());
}
[[gnu::always_inline]] inline std::size_t room_for(Codec codec, const Envelope& envelope,
                                                   const AccountUpdate& message) noexcept {
  return bytes_max(codec, 2, envelope.channel.size() + message.pubkey.size());
}

bool is_finite(const PriceUpdate& message) noexcept {
  return detail::is_finite(std::bit_cast<std::uint64_t>(message.price));
}
bool is_finite(const AccountUpdate&) noexcept {
  return true;
}

template <class T>
[[gnu::noinline]] std::size_t encode_json(const Envelope& envelope, const T& message,
                                          std::span<char> out) noexcept {
  if (!is_finite(message) || out.size() < room_for(Codec::json, envelope, message)) return 0;
  const Written written = write_json(envelope, message, out.data());
  return written.end == nullptr ? 0 : static_cast<std::size_t>(written.end - out.data());
}

template <class T>
[[gnu::always_inline]] inline std::size_t encode_quick(Codec codec, const Envelope& envelope,
                                                       const T& message,
                                                       std::span<char> out) noexcept {
  if (codec == Codec::json) return encode_json(envelope, message, out);
  if (!is_finite(message) || out.size() < room_for(Codec::msgpack, envelope, message)) return 0;
  const char* const end = write_short_msgpack(envelope, message, out.data());
  return end == nullptr ? 0 : static_cast<std::size_t>(end - out.data());
}

template <class T>
Result<std::size_t> encode_or_refuse(Codec codec, const Envelope& envelope, const T& message,
                                     std::span<char> out) noexcept {
  if (!is_finite(message)) return Error{Errc::not_finite, 0, {}, "price"};
  if (out.size() < room_for(codec, envelope, message)) return Errc::buffer_too_small;
  const Written written = codec == Codec::json ? write_json(envelope, message, out.data())
                                               : write_msgpack(envelope, message, out.data());
  if (written.end == nullptr) return Error{Errc::invalid_utf8, 0, {}, written.refused};
  return static_cast<std::size_t>(written.end - out.data());
}

}  // namespace

namespace detail {

std::size_t encode_fast(Codec codec, const Envelope& envelope, const PriceUpdate& message,
                        std::span<char> out) noexcept {
  return encode_quick(codec, envelope, message, out);
}
std::size_t encode_fast(Codec codec, const Envelope& envelope, const AccountUpdate& message,
                        std::span<char> out) noexcept {
  return encode_quick(codec, envelope, message, out);
}
Result<std::size_t> encode_any(Codec codec, const Envelope& envelope, const PriceUpdate& message,
                               std::span<char> out) noexcept {
  return encode_or_refuse(codec, envelope, message, out);
}
Result<std::size_t> encode_any(Codec codec, const Envelope& envelope, const AccountUpdate& message,
                               std::span<char> out) noexcept {
  return encode_or_refuse(codec, envelope, message, out);
}

}  // namespace detail

std::size_t encoded_bytes_max(Codec codec, const Envelope& envelope,
                              const PriceUpdate& message) noexcept {
  return room_for(codec, envelope, message);
}
std::size_t encoded_bytes_max(Codec codec, const Envelope& envelope,
                              const AccountUpdate& message) noexcept {
  return room_for(codec, envelope, message);
}

}  // namespace stratwire
