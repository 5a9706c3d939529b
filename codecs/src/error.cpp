#include <array>

#include <stratwire/error.hpp>
#include <stratwire/message.hpp>

namespace stratwire {
namespace {

enum class Condition : std::uint8_t { none, temporary, permanent, misuse };

struct Entry {
  Errc code;
  std::string_view name;
  Condition condition;
  std::string_view text;
};

using enum Condition;

// In the order of Errc, so that a code is its own index (asserted below).
constexpr std::array kEntries{
    Entry{Errc::ok, "ok", none, "Nothing is wrong."},
    Entry{Errc::truncated, "truncated", permanent,
          "The input ends inside a value; send the whole message."},
    Entry{Errc::syntax, "syntax", permanent,
          "Not valid JSON or MessagePack at this offset; look at the bytes there."},
    Entry{Errc::invalid_utf8, "invalid_utf8", permanent,
          "A string is not UTF-8; encode the text as UTF-8."},
    Entry{Errc::wrong_type, "wrong_type", permanent,
          "A value has another type than the protocol gives it; see PROTOCOL.md."},
    Entry{Errc::missing_member, "missing_member", permanent,
          "A member that the protocol requires is not there; see PROTOCOL.md."},
    Entry{Errc::out_of_range, "out_of_range", permanent,
          "A number does not fit the type that the protocol gives it."},
    Entry{Errc::too_deep, "too_deep", permanent, "Nested too deeply; flatten the value."},
    Entry{Errc::too_large, "too_large", permanent,
          "Larger than the limit; send less, or raise the limit."},
    Entry{Errc::trailing_bytes, "trailing_bytes", permanent,
          "Something follows the message; send one message per frame."},
    Entry{Errc::unknown_message_type, "unknown_message_type", permanent,
          "No message has this type; PROTOCOL.md has the list."},
    Entry{Errc::not_finite, "not_finite", misuse,
          "NaN and infinity can't be sent; leave the value out or send null."},
    Entry{Errc::buffer_too_small, "buffer_too_small", misuse,
          "The buffer is too small; give encoded_bytes_max() bytes."},
    Entry{
        Errc::invalid_channel_name, "invalid_channel_name", misuse,
        "A channel name is 1 to 128 printable ASCII characters without quote, backslash and star."},
    Entry{Errc::unknown_channel_kind, "unknown_channel_kind", permanent,
          "The server has no channels of this kind; its message lists those it has."},
    Entry{Errc::too_many_channels, "too_many_channels", permanent,
          "Subscribe to fewer channels, or ask the operator to raise the limit."},
    Entry{Errc::publish_not_allowed, "publish_not_allowed", permanent,
          "The server takes no messages from this connection; start it with --allow-publish if you "
          "trust its network."},
    Entry{Errc::not_subscribed, "not_subscribed", misuse, "The channel was not subscribed to."},
    Entry{Errc::invalid_url, "invalid_url", misuse,
          "Write ws://host:port/path or ws+unix:///path."},
    Entry{Errc::unsupported_scheme, "unsupported_scheme", misuse,
          "Only ws:// and ws+unix:// are spoken."},
    Entry{Errc::resolve_failed, "resolve_failed", temporary,
          "The host has no address; check its name and the resolver."},
    Entry{Errc::connect_failed, "connect_failed", temporary,
          "Nobody listens there; check the port and that the server is up."},
    Entry{Errc::not_websocket, "not_websocket", permanent,
          "The peer answered, but not with a WebSocket upgrade; check port and path."},
    Entry{Errc::subprotocol_refused, "subprotocol_refused", permanent,
          "No subprotocol in common; offer stratwire.v1.json or stratwire.v1.msgpack."},
    Entry{Errc::handshake_timeout, "handshake_timeout", temporary,
          "The upgrade was not done within its deadline."},
    Entry{Errc::invalid_handshake, "invalid_handshake", permanent,
          "The upgrade breaks RFC 6455 section 4."},
    Entry{Errc::protocol_violation, "protocol_violation", permanent,
          "A frame or a message breaks RFC 6455 or PROTOCOL.md."},
    Entry{Errc::peer_timeout, "peer_timeout", temporary,
          "The peer was silent for longer than the heartbeat allows."},
    Entry{Errc::connection_lost, "connection_lost", temporary,
          "The connection closed or failed; it is opened again by itself."},
    Entry{Errc::attempts_exhausted, "attempts_exhausted", permanent,
          "As many attempts to connect failed as are allowed; open a new client, or allow more."},
    Entry{Errc::back_pressured, "back_pressured", temporary, "A queue is full; try again later."},
    Entry{Errc::expired, "expired", none,
          "Waited in the offline buffer for longer than its age limit; publish it anew."},
    Entry{Errc::closed, "closed", misuse, "It was closed; open a new one."},
    Entry{Errc::slow_consumer, "slow_consumer", temporary,
          "The reader fell behind its hard limit, or took nothing for too long; read faster, or "
          "subscribe to less."},
    Entry{Errc::deadline_exceeded, "deadline_exceeded", temporary,
          "No Reply came in time; ask again, or allow more time."},
    Entry{Errc::request_refused, "request_refused", permanent,
          "The other side has no handler for this Request, or refused it."},
    Entry{Errc::divergence, "divergence", permanent,
          "Two lines of one feed have different messages under one number; find out which source "
          "is wrong."},
    Entry{Errc::invalid_config, "invalid_config", misuse, "A setting is out of its range."},
    Entry{Errc::io_failed, "io_failed", permanent, "The operating system refused."},
    Entry{Errc::invalid_input, "invalid_input", permanent, "A line of the file can't be used."},
};

constexpr bool in_order() {
  for (std::size_t i = 0; i < kEntries.size(); ++i) {
    if (static_cast<std::size_t>(kEntries[i].code) != i) return false;
  }
  return true;
}
static_assert(in_order());

const Entry& entry(Errc code) noexcept {
  const auto index = static_cast<std::size_t>(code);
  // A code of a newer version that came through a cast.
  return kEntries[index < kEntries.size() ? index
                                          : static_cast<std::size_t>(Errc::protocol_violation)];
}

}  // namespace

std::string_view to_string(Errc code) noexcept {
  return entry(code).name;
}

std::string_view describe(Errc code) noexcept {
  return entry(code).text;
}

Errc errc_from_string(std::string_view name) noexcept {
  for (const Entry& candidate : kEntries) {
    if (candidate.name == name) return candidate.code;
  }
  return Errc::protocol_violation;
}

bool retryable(Errc code) noexcept {
  return entry(code).condition == Condition::temporary;
}

bool fatal(Errc code) noexcept {
  const Condition condition = entry(code).condition;
  return condition == Condition::permanent || condition == Condition::misuse;
}

bool caller_bug(Errc code) noexcept {
  return entry(code).condition == Condition::misuse;
}

std::string Error::message() const {
  std::string text{to_string(code)};
  text += ": ";
  if (!member.empty()) text.append("'").append(member).append("': ");
  text += context.empty() ? describe(code) : std::string_view(context);
  if (offset != 0) {
    text += " (at byte ";
    text += std::to_string(offset);
    text += ')';
  }
  return text;
}

std::string_view to_string(Gap::Reason reason) noexcept {
  switch (reason) {
    case Gap::Reason::slow_consumer:
      return "slow_consumer";
    case Gap::Reason::conflated:
      return "conflated";
    case Gap::Reason::retention:
      return "retention";
    case Gap::Reason::upstream:
      return "upstream";
    case Gap::Reason::epoch_change:
      return "epoch_change";
    case Gap::Reason::disconnected:
      return "disconnected";
  }
  return "upstream";
}

}  // namespace stratwire
