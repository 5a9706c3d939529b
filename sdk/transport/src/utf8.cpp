#include <cstddef>
#include <cstring>

#include <stratwire/transport/utf8.hpp>

namespace stratwire::transport {
namespace {

constexpr std::uint64_t kHighBits = 0x8080808080808080ULL;

std::uint64_t load8(const char* at) noexcept {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

unsigned byte_at(const char* at) noexcept {
  return static_cast<unsigned char>(*at);
}

bool continues(const char* at) noexcept {
  return (byte_at(at) & 0xc0U) == 0x80U;
}

// Sixteen bytes at once: every machine that this is built for has registers of that size.
using Vector [[gnu::vector_size(16)]] = std::uint64_t;

Vector load16(const char* at) noexcept {
  Vector bytes;
  std::memcpy(&bytes, at, sizeof(bytes));
  return bytes;
}

bool has_high_bit(Vector bytes) noexcept {
  return ((bytes[0] | bytes[1]) & kHighBits) != 0;
}

// No byte is above 0x7f. What most messages are, so that it looks at all of them without a branch
// for each word; the last words overlap those before instead of being taken byte by byte.
bool is_ascii(std::string_view text) noexcept {
  const char* at = text.data();
  const char* const end = at + text.size();
  if (text.size() > 32) {
    Vector left = load16(end - 32);
    Vector right = load16(end - 16);
    for (; end - at > 32; at += 32) {
      left |= load16(at);
      right |= load16(at + 16);
    }
    return !has_high_bit(left | right);
  }
  if (text.size() >= 16) return !has_high_bit(load16(at) | load16(end - 16));
  if (text.size() >= 8) return ((load8(at) | load8(end - 8)) & kHighBits) == 0;
  unsigned high_bits = 0;
  switch (text.size()) {
    case 7:
      high_bits |= byte_at(at + 6);
      [[fallthrough]];
    case 6:
      high_bits |= byte_at(at + 5);
      [[fallthrough]];
    case 5:
      high_bits |= byte_at(at + 4);
      [[fallthrough]];
    case 4:
      high_bits |= byte_at(at + 3);
      [[fallthrough]];
    case 3:
      high_bits |= byte_at(at + 2);
      [[fallthrough]];
    case 2:
      high_bits |= byte_at(at + 1);
      [[fallthrough]];
    case 1:
      high_bits |= byte_at(at);
      [[fallthrough]];
    default:
      return (high_bits & 0x80U) == 0;
  }
}

// The first byte that is not ASCII.
const char* skip_ascii(const char* at, const char* end) noexcept {
  while (end - at >= 8 && (load8(at) & kHighBits) == 0) at += 8;
  while (at != end && byte_at(at) < 0x80) ++at;
  return at;
}

// Length of the whole, valid code point of more than one byte at `at`; 0 where there is none.
std::size_t code_point_bytes(const char* at, const char* end) noexcept {
  const unsigned first = byte_at(at);
  const std::ptrdiff_t room = end - at;
  if (first < 0xe0) {
    return first >= 0xc2 && room >= 2 && continues(at + 1) ? 2 : 0;
  }
  if (room < 3) return 0;
  const unsigned second = byte_at(at + 1);
  if (first < 0xf0) {
    // Not overlong (E0 80..9F), no surrogate (ED A0..BF).
    const unsigned low = first == 0xe0 ? 0xa0 : 0x80;
    const unsigned high = first == 0xed ? 0x9f : 0xbf;
    return second >= low && second <= high && continues(at + 2) ? 3 : 0;
  }
  if (room < 4 || first > 0xf4) return 0;
  // Not overlong (F0 80..8F), not above U+10FFFF (F4 90..).
  const unsigned low = first == 0xf0 ? 0x90 : 0x80;
  const unsigned high = first == 0xf4 ? 0x8f : 0xbf;
  return second >= low && second <= high && continues(at + 2) && continues(at + 3) ? 4 : 0;
}

// Goes over whole, valid code points; stops at the end, or at one that is wrong or cut off.
const char* skip_valid(const char* at, const char* end) noexcept {
  while (true) {
    at = skip_ascii(at, end);
    while (at != end && byte_at(at) >= 0x80) {
      const std::size_t bytes = code_point_bytes(at, end);
      if (bytes == 0) return at;
      at += bytes;
    }
    if (at == end) return at;
  }
}

// What may come next, byte by byte; the numbers are those of Utf8Checker::state_.
enum State : std::uint8_t {
  accept = 0,
  one_more,
  two_more,
  three_more,
  after_e0,  // A0..BF, then one more
  after_ed,  // 80..9F, then one more
  after_f0,  // 90..BF, then two more
  after_f4,  // 80..8F, then two more
  reject,
};

State first_byte(unsigned byte) noexcept {
  if (byte < 0x80) return accept;
  if (byte < 0xc2) return reject;
  if (byte < 0xe0) return one_more;
  if (byte == 0xe0) return after_e0;
  if (byte == 0xed) return after_ed;
  if (byte < 0xf0) return two_more;
  if (byte == 0xf0) return after_f0;
  if (byte < 0xf4) return three_more;
  return byte == 0xf4 ? after_f4 : reject;
}

State step(std::uint8_t state, unsigned byte) noexcept {
  const auto within = [byte](unsigned low, unsigned high, State next) {
    return byte >= low && byte <= high ? next : reject;
  };
  switch (state) {
    case accept:
      return first_byte(byte);
    case one_more:
      return within(0x80, 0xbf, accept);
    case two_more:
      return within(0x80, 0xbf, one_more);
    case three_more:
      return within(0x80, 0xbf, two_more);
    case after_e0:
      return within(0xa0, 0xbf, one_more);
    case after_ed:
      return within(0x80, 0x9f, one_more);
    case after_f0:
      return within(0x90, 0xbf, two_more);
    case after_f4:
      return within(0x80, 0x8f, two_more);
    default:
      return reject;
  }
}

}  // namespace

bool Utf8Checker::feed(std::string_view piece) noexcept {
  const char* at = piece.data();
  const char* const end = at + piece.size();
  while (at != end) {
    if (state_ == accept) {
      at = skip_valid(at, end);
      if (at == end) break;
    }
    // At most three bytes of a code point that was, or is, cut off.
    state_ = step(state_, byte_at(at++));
    if (state_ == reject) return false;
  }
  return state_ != reject;
}

bool is_utf8(std::string_view text) noexcept {
  if (is_ascii(text)) return true;
  const char* const end = text.data() + text.size();
  return skip_valid(text.data(), end) == end;
}

}  // namespace stratwire::transport
