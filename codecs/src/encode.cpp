/// The two data messages with a fixed layout, into a span.
#include <array>
#include <bit>
#include <cstring>

#include <stratwire/codec.hpp>

#include "json_encode.hpp"
#include "message_types.hpp"
#include "number_format.hpp"
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

Error refused_text(const char* member) {
  return Error{Errc::invalid_utf8, 0, {}, member};
}

Result<std::size_t> encode_json(const Envelope& envelope, const PriceUpdate& message, char* begin) {
  char* out = put_json_head(begin, "{\"type\":\"PriceUpdate\"", envelope);
  if (out == nullptr) return refused_text("channel");
  out = format_json_string(put(out, ",\"input_mint\":"), message.input_mint);
  if (out == nullptr) return refused_text("input_mint");
  out = format_json_string(put(out, ",\"output_mint\":"), message.output_mint);
  if (out == nullptr) return refused_text("output_mint");
  out = format_double(put(out, ",\"price\":"), message.price);
  out = format_unsigned(put(out, ",\"volume\":"), message.volume);
  out = format_signed(put(out, ",\"timestamp\":"), message.timestamp);
  *out++ = '}';
  return static_cast<std::size_t>(out - begin);
}

Result<std::size_t> encode_json(const Envelope& envelope, const AccountUpdate& message,
                                char* begin) {
  char* out = put_json_head(begin, "{\"type\":\"AccountUpdate\"", envelope);
  if (out == nullptr) return refused_text("channel");
  out = format_json_string(put(out, ",\"pubkey\":"), message.pubkey);
  if (out == nullptr) return refused_text("pubkey");
  out = format_unsigned(put(out, ",\"lamports\":"), message.lamports);
  out = format_unsigned(put(out, ",\"slot\":"), message.slot);
  out = format_signed(put(out, ",\"timestamp\":"), message.timestamp);
  *out++ = '}';
  return static_cast<std::size_t>(out - begin);
}

// ---- MessagePack

// Header, type, four numbers of nine bytes.
constexpr std::size_t kMsgpackFixedBytes = 2 + 4 * 9;
constexpr std::size_t kMsgpackTextHeadBytes = 5;

template <class Number>
char* put_number(char* out, unsigned char head, Number value) noexcept {
  *out = static_cast<char>(head);
  store_big_endian(out + 1, std::bit_cast<std::uint64_t>(value));
  return out + 9;
}

[[gnu::noinline]] char* put_long_text(char* out, std::string_view text) noexcept {
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
  std::memcpy(out, text.data(), bytes);
  return out + bytes;
}

[[gnu::always_inline]] inline char* put_text(char* out, std::string_view text) noexcept {
  const std::size_t bytes = text.size();
  const char* const from = text.data();
#if defined(__SSE2__)
  // The lengths that addresses have: looked at and copied in one go, without a loop.
  if (bytes >= 16 && bytes <= 64) {
    const std::size_t last = bytes - 16;
    const std::size_t second = last < 16 ? last : 16;
    const std::size_t third = last < 32 ? last : 32;
    const __m128i parts[] = {load16(from), load16(from + second), load16(from + third),
                             load16(from + last)};
    const __m128i all =
        _mm_or_si128(_mm_or_si128(parts[0], parts[1]), _mm_or_si128(parts[2], parts[3]));
    if (_mm_movemask_epi8(all) != 0) return put_long_text(out, text);
    *out++ = '\xd9';
    *out++ = static_cast<char>(bytes);
    store16(out, parts[0]);
    store16(out + second, parts[1]);
    store16(out + third, parts[2]);
    store16(out + last, parts[3]);
    return out + bytes;
  }
#endif
  if (bytes > 0xff || !is_ascii(from, bytes)) return put_long_text(out, text);
  *out++ = '\xd9';
  *out++ = static_cast<char>(bytes);
  if (bytes != 0) std::memcpy(out, from, bytes);
  return out + bytes;
}

// A sequence number belongs to a channel; without one there is none.
std::uint64_t sequence_of(const Envelope& envelope) noexcept {
  return envelope.channel.empty() ? 0 : envelope.seq;
}

Result<std::size_t> encode_msgpack(const Envelope& envelope, const PriceUpdate& message,
                                   char* begin) {
  char* out = begin;
  *out++ = '\x98';
  *out++ = kTypeId<PriceUpdate>;
  out = put_number(out, 0xcf, sequence_of(envelope));
  out = put_number(out, 0xcb, message.price);
  out = put_number(out, 0xcf, message.volume);
  out = put_number(out, 0xd3, message.timestamp);
  out = put_text(out, envelope.channel);
  if (out == nullptr) return refused_text("channel");
  out = put_text(out, message.input_mint);
  if (out == nullptr) return refused_text("input_mint");
  out = put_text(out, message.output_mint);
  if (out == nullptr) return refused_text("output_mint");
  return static_cast<std::size_t>(out - begin);
}

Result<std::size_t> encode_msgpack(const Envelope& envelope, const AccountUpdate& message,
                                   char* begin) {
  char* out = begin;
  *out++ = '\x97';
  *out++ = kTypeId<AccountUpdate>;
  out = put_number(out, 0xcf, sequence_of(envelope));
  out = put_number(out, 0xcf, message.lamports);
  out = put_number(out, 0xcf, message.slot);
  out = put_number(out, 0xd3, message.timestamp);
  out = put_text(out, envelope.channel);
  if (out == nullptr) return refused_text("channel");
  out = put_text(out, message.pubkey);
  if (out == nullptr) return refused_text("pubkey");
  return static_cast<std::size_t>(out - begin);
}

std::size_t bytes_max(Codec codec, std::size_t texts, std::size_t text_bytes) noexcept {
  if (codec == Codec::json) return kJsonFixedBytes + 6 * text_bytes;
  return kMsgpackFixedBytes + texts * kMsgpackTextHeadBytes + text_bytes;
}

}  // namespace

std::size_t encoded_bytes_max(Codec codec, const Envelope& envelope,
                              const PriceUpdate& message) noexcept {
  return bytes_max(
      codec, 3, envelope.channel.size() + message.input_mint.size() + message.output_mint.size());
}

std::size_t encoded_bytes_max(Codec codec, const Envelope& envelope,
                              const AccountUpdate& message) noexcept {
  return bytes_max(codec, 2, envelope.channel.size() + message.pubkey.size());
}

Result<std::size_t> encode(Codec codec, const Envelope& envelope, const PriceUpdate& message,
                           std::span<char> out) noexcept {
  if (message.price - message.price != 0) return Error{Errc::not_finite, 0, {}, "price"};
  if (out.size() < encoded_bytes_max(codec, envelope, message)) return Errc::buffer_too_small;
  return codec == Codec::json ? encode_json(envelope, message, out.data())
                              : encode_msgpack(envelope, message, out.data());
}

Result<std::size_t> encode(Codec codec, const Envelope& envelope, const AccountUpdate& message,
                           std::span<char> out) noexcept {
  if (out.size() < encoded_bytes_max(codec, envelope, message)) return Errc::buffer_too_small;
  return codec == Codec::json ? encode_json(envelope, message, out.data())
                              : encode_msgpack(envelope, message, out.data());
}

}  // namespace stratwire
