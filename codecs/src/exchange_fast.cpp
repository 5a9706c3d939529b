#include "exchange_fast.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>

#include "body.hpp"
#include "json_anchored.hpp"
#include "json_cursor.hpp"
#include "message_types.hpp"
#include "msgpack_fast.hpp"
#include "wire_order.hpp"

namespace stratwire::detail {
namespace {

bool narrow(std::uint64_t value, std::uint32_t& out) noexcept {
  out = static_cast<std::uint32_t>(value);
  return value <= std::numeric_limits<std::uint32_t>::max();
}

/// A body of that type, which has no channel.
template <class T>
T& begin(Message& out) noexcept {
  out.envelope = Envelope{};
  return body_as<T>(out);
}

// ---- JSON

/// A data message and the brace behind it are all that is left.
bool read_data(const JsonCursor& in, DataMessage& out) noexcept {
  const std::string_view rest = in.rest();
  if (rest.size() <= JsonAnchored::kBytesMin || rest.back() != '}') return false;
  const char* const from = rest.data();
  const JsonAnchored data(from + rest.size() - 1);
  Envelope ignored;
  if (JsonAnchored::is_price(from)) {
    return data.read(from + 21, ignored, out.emplace<PriceUpdate>());
  }
  return JsonAnchored::is_account(from) &&
         data.read(from + 23, ignored, out.emplace<AccountUpdate>());
}

bool read(JsonCursor& in, Envelope&, Ping& out) noexcept {
  return in.literal("\"t1\":") && in.number(out.t1) && in.literal("}") && in.at_end();
}

bool read(JsonCursor& in, Envelope&, Pong& out) noexcept {
  return in.literal("\"t1\":") && in.number(out.t1) && in.literal(",\"t2\":") &&
         in.number(out.t2) && in.literal(",\"t3\":") && in.number(out.t3) && in.literal("}") &&
         in.at_end();
}

bool read(JsonCursor& in, Envelope&, Publish& out) noexcept {
  return in.literal("\"id\":") && in.number(out.id) && in.literal(",\"channel\":\"") &&
         in.text(out.channel) && in.literal(",\"message\":") && read_data(in, out.message);
}

bool read(JsonCursor& in, Envelope&, Published& out) noexcept {
  out.code = Errc::ok;
  out.message.clear();
  return in.literal("\"id\":") && in.number(out.id) &&
         in.literal(",\"code\":\"ok\",\"message\":\"\"}") && in.at_end();
}

bool read(JsonCursor& in, Envelope& envelope, Request& out) noexcept {
  std::uint64_t deadline_ms = 0;
  return in.literal("\"seq\":") && in.number(envelope.seq) && in.literal(",\"id\":") &&
         in.number(out.id) && in.literal(",\"deadline_ms\":") && in.number(deadline_ms) &&
         narrow(deadline_ms, out.deadline_ms) && in.literal(",\"message\":") &&
         read_data(in, out.message);
}

bool read(JsonCursor& in, Envelope& envelope, Reply& out) noexcept {
  out.code = Errc::ok;
  out.text.clear();
  return in.literal("\"seq\":") && in.number(envelope.seq) && in.literal(",\"id\":") &&
         in.number(out.id) && in.literal(",\"code\":\"ok\",\"text\":\"\",\"message\":") &&
         read_data(in, out.message);
}

// ---- MessagePack

/// A place in a message, in the general layout. Every step says whether it still holds.
class MsgpackCursor {
 public:
  explicit MsgpackCursor(std::string_view rest) noexcept : rest_(rest) {}

  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }

  bool number(std::uint64_t& out) noexcept {
    if (rest_.empty()) return false;
    switch (const auto head = static_cast<unsigned char>(rest_.front()); head) {
      case 0xcc:
        return big_endian<std::uint8_t>(out);
      case 0xcd:
        return big_endian<std::uint16_t>(out);
      case 0xce:
        return big_endian<std::uint32_t>(out);
      case 0xcf:
        return big_endian<std::uint64_t>(out);
      default:
        out = head;
        rest_.remove_prefix(1);
        return head < 0x80;
    }
  }
  bool number(std::int64_t& out) noexcept {
    std::uint64_t value = 0;
    if (!number(value)) return false;
    out = static_cast<std::int64_t>(value);
    return out >= 0;
  }
  /// In ASCII, of at most 255 bytes.
  bool text(std::string_view& out) noexcept {
    if (rest_.empty()) return false;
    const auto head = static_cast<unsigned char>(rest_.front());
    std::size_t from = 1;
    std::size_t bytes = head & 0x1fU;
    if (head == 0xd9 && rest_.size() >= 2) {
      from = 2;
      bytes = static_cast<unsigned char>(rest_[1]);
    } else if ((head & 0xe0U) != 0xa0U) {
      return false;
    }
    if (rest_.size() < from + bytes) return false;
    out = rest_.substr(from, bytes);
    rest_.remove_prefix(from + bytes);
    return is_ascii(out.data(), bytes);
  }
  bool text_is(std::string_view expected) noexcept {
    std::string_view text_here;
    return text(text_here) && text_here == expected;
  }
  /// A data message is all that is left.
  [[nodiscard]] bool data(DataMessage& out) const noexcept {
    if (rest_.size() < MsgpackFixed::kBytesMin) return false;
    const MsgpackFixed in(rest_);
    Envelope ignored;
    if (in.is_price()) return read_fixed(in, ignored, out.emplace<PriceUpdate>());
    return in.is_account() && read_fixed(in, ignored, out.emplace<AccountUpdate>());
  }

 private:
  template <class T>
  bool big_endian(std::uint64_t& out) noexcept {
    if (rest_.size() < 1 + sizeof(T)) return false;
    out = load_big_endian<T>(rest_.data() + 1);
    rest_.remove_prefix(1 + sizeof(T));
    return true;
  }

  std::string_view rest_;
};

bool read(MsgpackCursor& in, Envelope&, Ping& out) noexcept {
  return in.number(out.t1) && in.at_end();
}

bool read(MsgpackCursor& in, Envelope&, Pong& out) noexcept {
  return in.number(out.t1) && in.number(out.t2) && in.number(out.t3) && in.at_end();
}

bool read(MsgpackCursor& in, Envelope&, Publish& out) noexcept {
  return in.number(out.id) && in.text(out.channel) && in.data(out.message);
}

bool read(MsgpackCursor& in, Envelope&, Published& out) noexcept {
  out.code = Errc::ok;
  out.message.clear();
  return in.number(out.id) && in.text_is("ok") && in.text_is("") && in.at_end();
}

bool read(MsgpackCursor& in, Envelope& envelope, Request& out) noexcept {
  std::uint64_t deadline_ms = 0;
  return in.number(envelope.seq) && in.number(out.id) && in.number(deadline_ms) &&
         narrow(deadline_ms, out.deadline_ms) && in.data(out.message);
}

bool read(MsgpackCursor& in, Envelope& envelope, Reply& out) noexcept {
  out.code = Errc::ok;
  out.text.clear();
  return in.number(envelope.seq) && in.number(out.id) && in.text_is("ok") && in.text_is("") &&
         in.data(out.message);
}

/// An array of so many elements, of which the first is the number of the type.
constexpr std::uint16_t front(unsigned elements, std::uint8_t type) noexcept {
  return static_cast<std::uint16_t>((0x90U | elements) << 8 | type);
}

}  // namespace

bool decode_json_exchange(std::string_view bytes, Message& out) noexcept {
  JsonCursor in(bytes);
  if (!in.literal("{\"type\":\"")) return false;
  if (in.literal("Publish\",")) return read(in, out.envelope, begin<Publish>(out));
  if (in.literal("Published\",")) return read(in, out.envelope, begin<Published>(out));
  if (in.literal("Request\",")) return read(in, out.envelope, begin<Request>(out));
  if (in.literal("Reply\",")) return read(in, out.envelope, begin<Reply>(out));
  if (in.literal("Ping\",")) return read(in, out.envelope, begin<Ping>(out));
  if (in.literal("Pong\",")) return read(in, out.envelope, begin<Pong>(out));
  return false;
}

bool decode_msgpack_exchange(std::string_view bytes, Message& out) noexcept {
  if (bytes.size() < 2) return false;
  MsgpackCursor in(bytes.substr(2));
  switch (load_big_endian<std::uint16_t>(bytes.data())) {
    case front(4, kTypeId<Publish>):
      return read(in, out.envelope, begin<Publish>(out));
    case front(4, kTypeId<Published>):
      return read(in, out.envelope, begin<Published>(out));
    case front(5, kTypeId<Request>):
      return read(in, out.envelope, begin<Request>(out));
    case front(6, kTypeId<Reply>):
      return read(in, out.envelope, begin<Reply>(out));
    case front(2, kTypeId<Ping>):
      return read(in, out.envelope, begin<Ping>(out));
    case front(4, kTypeId<Pong>):
      return read(in, out.envelope, begin<Pong>(out));
    default:
      return false;
  }
}

}  // namespace stratwire::detail
