/// Error codes, their texts and their conditions.
///
/// One list for both ends and the wire: `to_string(Errc)` is what stands in `Error.code` and in
/// `Subscribed` results (PROTOCOL.md, "Errors").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace stratwire {

/// What went wrong. The comment says what to do about it.
enum class Errc : std::uint8_t {
  ok = 0,

  // Bytes that can't be decoded: the sender is wrong; `Error::offset` says where.
  truncated,             ///< The input ends inside a value.
  syntax,                ///< Not valid JSON or MessagePack at the offset.
  invalid_utf8,          ///< A string is not UTF-8.
  wrong_type,            ///< A member has another type than the protocol gives it.
  missing_member,        ///< A member that the protocol requires is not there.
  out_of_range,          ///< A number does not fit its type.
  too_deep,              ///< Nested deeper than kNestingMax.
  too_large,             ///< Larger than a limit of limits.hpp or of the configuration.
  trailing_bytes,        ///< Something follows the message in its frame.
  unknown_message_type,  ///< `type` is none of PROTOCOL.md, "Messages".

  // Values that can't be encoded: mend the value.
  not_finite,        ///< NaN and infinity have no form in JSON; refused in both codecs.
  buffer_too_small,  ///< Give encoded_bytes_max() bytes.

  // Requests that are refused.
  invalid_channel_name,  ///< Empty, too long, or with a character that is not allowed.
  unknown_channel_kind,  ///< The server has no such kind; its list is in the message.
  too_many_channels,     ///< Subscribe to fewer, or ask the operator to raise the limit.
  publish_not_allowed,   ///< Start the server with --allow-publish, if you trust its network.
  not_subscribed,        ///< Unsubscribe names a channel that was not subscribed.

  // Connections.
  invalid_url,          ///< Write ws://host:port/path or ws+unix:///path.
  unsupported_scheme,   ///< Only ws:// and ws+unix:// are spoken.
  resolve_failed,       ///< The host has no address; check the name and the resolver.
  connect_failed,       ///< Nobody listens there; check the port and that the server is up.
  not_websocket,        ///< The peer answered, but not with a WebSocket upgrade.
  subprotocol_refused,  ///< No subprotocol in common; offer one that the server speaks.
  handshake_timeout,    ///< The upgrade was not done within its deadline.
  invalid_handshake,    ///< The upgrade breaks RFC 6455 section 4.
  protocol_violation,   ///< A frame or message breaks RFC 6455 or PROTOCOL.md.
  peer_timeout,         ///< The peer was silent for longer than the heartbeat allows.
  connection_lost,      ///< The peer closed or the network failed; reconnects by itself.
  attempts_exhausted,   ///< ReconnectPolicy::attempts_max tries failed in a row.
  back_pressured,       ///< A queue is full; try again later.
  expired,              ///< Waited in the offline buffer for longer than its age limit.
  closed,               ///< close() was called.
  slow_consumer,        ///< The reader fell behind its hard limit, or took nothing for too long.

  // Requests between peers.
  deadline_exceeded,  ///< No Reply came in time.
  request_refused,    ///< The other side has no handler for it, or refused.

  // Several lines of one feed.
  divergence,  ///< Two lines have different messages under one number.

  // Files and settings.
  invalid_config,  ///< A setting is out of its range; the text names it.
  io_failed,       ///< The operating system refused; the text has its reason.
  invalid_input,   ///< A line of a file can't be used; the text names it.
};

/// The code's name as it stands on the wire, "unknown_channel_kind".
[[nodiscard]] std::string_view to_string(Errc code) noexcept;
/// One sentence that says what happened and what to do about it.
[[nodiscard]] std::string_view describe(Errc code) noexcept;
/// The code with that name; `Errc::protocol_violation` for a name this version does not know.
[[nodiscard]] Errc errc_from_string(std::string_view name) noexcept;

/// The same request can succeed later without a change: wait and try again.
[[nodiscard]] bool retryable(Errc code) noexcept;
/// Trying again can't help; somebody must change something.
[[nodiscard]] bool fatal(Errc code) noexcept;
/// The calling program passed something that it should not have.
[[nodiscard]] bool caller_bug(Errc code) noexcept;

/// A code, the byte offset it belongs to, and what it was about.
///
/// \lifetime  trivial for `member`: it names a constant of this library
struct Error {
  Errc code = Errc::ok;
  /// Offset in the input, in bytes; 0 where there is no input.
  std::uint32_t offset = 0;
  /// Names the input and the cure; empty for errors of decoders, which do not allocate.
  std::string context{};
  /// The member that is missing or wrong, "channels"; empty where there is none. Costs nothing to
  /// set, so that decoders and encoders name it too.
  std::string_view member{};

  /// "invalid_url: 'localhost:80' has no scheme; write ws://localhost:80";
  /// "missing_member: 'channels': A member that the protocol requires is not there; ...".
  [[nodiscard]] std::string message() const;
};

}  // namespace stratwire
