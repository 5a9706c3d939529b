#include "msgpack_fast.hpp"

#include <bit>
#include <cstdint>

#include "message_types.hpp"
#include "text_scan.hpp"
#include "wire_order.hpp"

namespace stratwire::detail {
namespace {

// PROTOCOL.md, "MessagePack": array header, type, then four numbers of a head and eight bytes.
constexpr std::size_t kFirst = 3;
constexpr std::size_t kSecond = kFirst + 9;
constexpr std::size_t kThird = kSecond + 9;
constexpr std::size_t kFourth = kThird + 9;
constexpr std::size_t kTexts = kFourth + 8;

constexpr unsigned char kUnsigned = 0xcf;
constexpr unsigned char kSigned = 0xd3;
constexpr unsigned char kDouble = 0xcb;

template <class T>
T& body_as(Message& out) noexcept {
  // Most messages of a connection have the type of the one before.
  if (T* const same = std::get_if<T>(&out.body)) return *same;
  return out.body.emplace<T>();
}

std::uint64_t byte_at(const char* from, std::size_t at) noexcept {
  return static_cast<unsigned char>(from[at]);
}

std::uint64_t number_at(const char* from, std::size_t at) noexcept {
  return load_big_endian<std::uint64_t>(from + at);
}

// All that is not a value, in one comparison. Precondition: kTexts readable bytes.
template <unsigned char Array, unsigned char Type, unsigned char Second, unsigned char Third>
bool has_layout(const char* from) noexcept {
  const std::uint64_t difference =
      (byte_at(from, 0) ^ Array) | (byte_at(from, 1) ^ Type) | (byte_at(from, 2) ^ kUnsigned) |
      (byte_at(from, kFirst + 8) ^ Second) | (byte_at(from, kSecond + 8) ^ Third) |
      (byte_at(from, kThird + 8) ^ kSigned);
  return difference == 0;
}

// str 8 in ASCII; others are for the general decoder.
//
// Precondition: kTexts readable bytes before `from`.
[[gnu::always_inline]] inline const char* read_text(const char* from, const char* end,
                                                    std::string_view& out) noexcept {
  if (end - from < 2 || byte_at(from, 0) != 0xd9) return nullptr;
  const auto bytes = static_cast<std::size_t>(byte_at(from, 1));
  from += 2;
  if (static_cast<std::size_t>(end - from) < bytes) return nullptr;
#if defined(__SSE2__)
  if (bytes <= 16) {
    // Sixteen bytes up to the end of the text: what is before it is part of the message.
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(load16(from + bytes - 16)));
    if (mask >> (16 - bytes) != 0) return nullptr;
    out = std::string_view(from, bytes);
    return from + bytes;
  }
#endif
  if (!is_ascii(from, bytes)) return nullptr;
  out = std::string_view(from, bytes);
  return from + bytes;
}

[[gnu::always_inline]] inline const char* read_envelope(const char* from, const char* end,
                                                        Envelope& out) noexcept {
  const std::uint64_t seq = number_at(from, kFirst);
  const char* const next = read_text(from + kTexts, end, out.channel);
  // Without a name there is no channel, and no number in it.
  out.seq = out.channel.empty() ? 0 : seq;
  return next;
}

bool read_price(const char* from, const char* end, Message& out) noexcept {
  PriceUpdate& message = body_as<PriceUpdate>(out);
  message.price = std::bit_cast<double>(number_at(from, kSecond));
  message.volume = number_at(from, kThird);
  message.timestamp = static_cast<std::int64_t>(number_at(from, kFourth));
  const char* at = read_envelope(from, end, out.envelope);
  if (at == nullptr) return false;
  at = read_text(at, end, message.input_mint);
  if (at == nullptr) return false;
  at = read_text(at, end, message.output_mint);
  return at == end && message.price - message.price == 0;
}

bool read_account(const char* from, const char* end, Message& out) noexcept {
  AccountUpdate& message = body_as<AccountUpdate>(out);
  message.lamports = number_at(from, kSecond);
  message.slot = number_at(from, kThird);
  message.timestamp = static_cast<std::int64_t>(number_at(from, kFourth));
  const char* at = read_envelope(from, end, out.envelope);
  if (at == nullptr) return false;
  at = read_text(at, end, message.pubkey);
  return at == end;
}

}  // namespace

bool decode_msgpack_fast(std::string_view bytes, Message& out) noexcept {
  if (bytes.size() < kTexts) return false;
  const char* const from = bytes.data();
  const char* const end = from + bytes.size();
  if (has_layout<0x98, kTypeId<PriceUpdate>, kDouble, kUnsigned>(from)) {
    return read_price(from, end, out);
  }
  if (has_layout<0x97, kTypeId<AccountUpdate>, kUnsigned, kUnsigned>(from)) {
    return read_account(from, end, out);
  }
  return false;
}

}  // namespace stratwire::detail
