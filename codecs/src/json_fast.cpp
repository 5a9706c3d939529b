#include "json_fast.hpp"

#include <cstddef>

#include <stratwire/limits.hpp>

#include "body.hpp"
#include "json_check.hpp"
#include "json_number.hpp"
#include "text_scan.hpp"

namespace stratwire::detail {
namespace {

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

  template <class Number>
  bool number(Number& out) noexcept {
    const char* const behind = read_any_number(at_, end_, out);
    if (behind == nullptr) return false;
    at_ = behind;
    return true;
  }

 private:
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

bool decode_json_unanchored(std::string_view bytes, Message& out) noexcept {
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
