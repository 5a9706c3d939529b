#include "json_fast.hpp"

#include <cstddef>

#include <stratwire/limits.hpp>

#include "body.hpp"
#include "json_check.hpp"
#include "json_cursor.hpp"

namespace stratwire::detail {
namespace {

[[gnu::always_inline]] inline bool read_envelope(JsonCursor& in, Envelope& out) noexcept {
  if (!in.literal("\"ch\":\"")) {
    out = Envelope{};
    return true;
  }
  // Without a name there is no channel, and no number in it.
  return in.text(out.channel) && !out.channel.empty() && in.literal(",\"seq\":") &&
         in.number(out.seq) && in.literal(",");
}

bool read(JsonCursor& in, PriceUpdate& out) noexcept {
  return in.literal("\"input_mint\":\"") && in.text(out.input_mint) &&
         in.literal(",\"output_mint\":\"") && in.text(out.output_mint) &&
         in.literal(",\"price\":") && in.number(out.price) && in.literal(",\"volume\":") &&
         in.number(out.volume) && in.literal(",\"timestamp\":") && in.number(out.timestamp) &&
         in.literal("}") && in.at_end();
}

bool read(JsonCursor& in, AccountUpdate& out) noexcept {
  return in.literal("\"pubkey\":\"") && in.text(out.pubkey) && in.literal(",\"lamports\":") &&
         in.number(out.lamports) && in.literal(",\"slot\":") && in.number(out.slot) &&
         in.literal(",\"timestamp\":") && in.number(out.timestamp) && in.literal("}") &&
         in.at_end();
}

bool read(JsonCursor& in, Event& out) noexcept {
  if (!in.literal("\"event\":\"") || !in.text(out.type) || !in.literal(",\"data\":")) return false;
  std::size_t size = 0;
  if (check_json_value(in.rest(), 0, limits::kNestingMax, size)) return false;
  out.data = RawValue{Codec::json, in.rest().substr(0, size)};
  in.skip(size);
  return in.literal("}") && in.at_end();
}

}  // namespace

bool decode_json_unanchored(std::string_view bytes, Message& out) noexcept {
  JsonCursor in(bytes);
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
