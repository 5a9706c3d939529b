#include "json_fast.hpp"

#include <bit>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>

#include <stratwire/limits.hpp>

#include "json_check.hpp"
#include "number_parse.hpp"
#include "text_scan.hpp"

namespace stratwire::detail {
namespace {

template <class T>
T& body_as(Message& out) noexcept {
  // Most messages of a connection have the type of the one before.
  if (T* const same = std::get_if<T>(&out.body)) return *same;
  return out.body.emplace<T>();
}

constexpr std::uint64_t kAsciiZeros = 0x3030'3030'3030'3030;

constexpr std::uint64_t kPowersOfTen[] = {1,       10,        100,        1'000,      10'000,
                                          100'000, 1'000'000, 10'000'000, 100'000'000};

// Powers of ten that are doubles exactly, up to the scale that divide_by_power_of_ten() takes.
constexpr double kDivisors[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,
                                1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19};
static_assert(std::size(kDivisors) == kScaleMax + 1);

// Every step says whether the layout still holds; the cursor is in range in any case.
class Cursor {
 public:
  Cursor(const char* at, const char* end) noexcept : at_(at), end_(end) {}

  [[nodiscard]] const char* at() const noexcept { return at_; }
  [[nodiscard]] bool at_end() const noexcept { return at_ == end_; }
  [[nodiscard]] std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }
  void advance_to(const char* at) noexcept { at_ = at; }

  template <std::size_t N>
  bool literal(const char (&expected)[N]) noexcept {
    if (left() < N - 1 || !equal_bytes<N - 1>(at_, expected)) return false;
    at_ += N - 1;
    return true;
  }

  // Behind the first quote. Escapes and anything but ASCII are left to the general decoder.
  bool text(std::string_view& out) noexcept {
    const char* const from = at_;
    const char* const quote = find_special(from, end_);
    if (quote == end_ || *quote != '"') return false;
    out = std::string_view(from, static_cast<std::size_t>(quote - from));
    at_ = quote + 1;
    return true;
  }

  [[gnu::always_inline]] bool number(std::uint64_t& out) noexcept {
    const char* const from = at_;
    std::uint64_t value = 0;
    const std::size_t digits = digits_into(value);
    if (digits == 0 || (*from == '0' && digits > 1)) return false;
    out = value;
    // Nineteen digits fit always, twenty perhaps: the library knows.
    return digits < 20 || std::from_chars(from, at_, out).ec == std::errc{};
  }

  [[gnu::always_inline]] bool number(std::int64_t& out) noexcept {
    const bool negative = at_ != end_ && *at_ == '-';
    if (negative) ++at_;
    std::uint64_t magnitude = 0;
    if (!number(magnitude)) return false;
    // The one number that has no positive counterpart, and -0, are for the general decoder.
    if (magnitude > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return false;
    }
    if (negative && magnitude == 0) return false;
    out = negative ? -static_cast<std::int64_t>(magnitude) : static_cast<std::int64_t>(magnitude);
    return true;
  }

  [[gnu::always_inline]] bool number(double& out) noexcept {
    const char* const from = at_;
    const bool negative = at_ != end_ && *at_ == '-';
    if (negative) ++at_;
    const char* const whole = at_;
    std::uint64_t mantissa = 0;
    const std::size_t whole_digits = digits_into(mantissa);
    if (whole_digits == 0 || (*whole == '0' && whole_digits > 1)) return false;
    std::size_t scale = 0;
    if (at_ != end_ && *at_ == '.') {
      ++at_;
      scale = digits_into(mantissa);
      if (scale == 0) return false;
    }
    const bool exponent = at_ != end_ && (*at_ == 'e' || *at_ == 'E');
    if (exponent || whole_digits + scale > 19) {
      at_ = long_number(from, end_, out);
      return at_ != nullptr;
    }
    // Exact on both sides of one division for nearly all prices.
    const double magnitude = mantissa <= 1ULL << 53
                                 ? static_cast<double>(mantissa) / kDivisors[scale]
                                 : divide_by_power_of_ten(mantissa, static_cast<unsigned>(scale));
    out = negative ? -magnitude : magnitude;
    return true;
  }

 private:
  // The next eight bytes, of which those behind the end are no digits. Precondition: the message
  // has more than eight bytes, as a type has been read.
  [[nodiscard]] std::uint64_t next_word() const noexcept {
    std::uint64_t word = 0;
    if (left() >= 8) {
      std::memcpy(&word, at_, sizeof word);
      return word;
    }
    if (left() == 0) return 0;
    std::memcpy(&word, end_ - 8, sizeof word);
    return word >> (8 * (8 - left()));
  }

  // Takes all digits at the cursor; `value` wraps beyond nineteen of them.
  // Eight at a time: one at a time, each step waits for the multiplication of the one before.
  [[gnu::always_inline]] std::size_t digits_into(std::uint64_t& value) noexcept {
    const char* const from = at_;
    std::uint64_t word = next_word() ^ kAsciiZeros;
    std::uint64_t others = not_digits(word);
    // A branch, not a count: the processor then goes on behind the eight digits before it has read
    // them, where a count would have to be waited for.
    while (others == 0) {
      value = value * kPowersOfTen[8] + eight_digits(word);
      at_ += 8;
      word = next_word() ^ kAsciiZeros;
      others = not_digits(word);
    }
    const auto count = static_cast<unsigned>(std::countr_zero(others)) / 8;
    if (count == 0) return static_cast<std::size_t>(at_ - from);
    value = value * kPowersOfTen[count] + eight_digits(word << (8 * (8 - count)));
    at_ += count;
    return static_cast<std::size_t>(at_ - from);
  }

  // The high bit of each byte that is above nine. A carry can only come from such a byte and
  // changes bytes behind it, which do not matter any more.
  [[nodiscard]] static std::uint64_t not_digits(std::uint64_t word) noexcept {
    return ((word + 0x7676'7676'7676'7676) | word) & 0x8080'8080'8080'8080;
  }

  // Of eight bytes from zero to nine, the first one lowest.
  [[nodiscard]] static std::uint64_t eight_digits(std::uint64_t word) noexcept {
    constexpr std::uint64_t kPairs = 0x0000'00ff'0000'00ff;
    word = word * 10 + (word >> 8);
    return ((word & kPairs) * 0x000f'4240'0000'0064 +
            ((word >> 16) & kPairs) * 0x0000'2710'0000'0001) >>
           32;
  }

  // Static, so that the cursor itself can stay in registers. The end of the number, or nullptr.
  [[gnu::noinline]] static const char* long_number(const char* from, const char* end,
                                                   double& out) noexcept {
    const NumberToken token = scan_number(from, end);
    if (!token.valid) return nullptr;
    out = parse_double({from, static_cast<std::size_t>(token.end - from)});
    return out - out == 0 ? token.end : nullptr;
  }

  const char* at_;
  const char* end_;
};

[[gnu::always_inline]] inline bool read_envelope(Cursor& in, Envelope& out) noexcept {
  if (!in.literal("\"ch\":\"")) {
    out = Envelope{};
    return true;
  }
  // Without a name there is no channel, and no number in it.
  return in.text(out.channel) && !out.channel.empty() && in.literal(",\"seq\":") &&
         in.number(out.seq) && in.literal(",");
}

bool read(Cursor& in, PriceUpdate& out) noexcept {
  return in.literal("\"input_mint\":\"") && in.text(out.input_mint) &&
         in.literal(",\"output_mint\":\"") && in.text(out.output_mint) &&
         in.literal(",\"price\":") && in.number(out.price) && in.literal(",\"volume\":") &&
         in.number(out.volume) && in.literal(",\"timestamp\":") && in.number(out.timestamp) &&
         in.literal("}") && in.at_end();
}

bool read(Cursor& in, AccountUpdate& out) noexcept {
  return in.literal("\"pubkey\":\"") && in.text(out.pubkey) && in.literal(",\"lamports\":") &&
         in.number(out.lamports) && in.literal(",\"slot\":") && in.number(out.slot) &&
         in.literal(",\"timestamp\":") && in.number(out.timestamp) && in.literal("}") &&
         in.at_end();
}

bool read(Cursor& in, Event& out) noexcept {
  if (!in.literal("\"event\":\"") || !in.text(out.type) || !in.literal(",\"data\":")) return false;
  std::size_t size = 0;
  if (check_json_value({in.at(), in.left()}, 0, limits::kNestingMax, size)) return false;
  out.data = RawValue{Codec::json, {in.at(), size}};
  in.advance_to(in.at() + size);
  return in.literal("}") && in.at_end();
}

}  // namespace

bool decode_json_fast(std::string_view bytes, Message& out) noexcept {
  Cursor in(bytes.data(), bytes.data() + bytes.size());
  if (in.literal("{\"type\":\"PriceUpdate\",")) {
    return read_envelope(in, out.envelope) && read(in, body_as<PriceUpdate>(out));
  }
  if (in.literal("{\"type\":\"AccountUpdate\",")) {
    return read_envelope(in, out.envelope) && read(in, body_as<AccountUpdate>(out));
  }
  if (in.literal("{\"type\":\"Event\",")) {
    return read_envelope(in, out.envelope) && read(in, body_as<Event>(out));
  }
  return false;
}

}  // namespace stratwire::detail
