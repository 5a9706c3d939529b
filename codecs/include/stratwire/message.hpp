/// The messages: what producers publish and strategies receive, and the native control messages.
///
/// Texts are views: a message that is passed to a handler or returned by `receive` points into
/// memory of the client and is valid until the handler returns, or until the next call that takes
/// messages from the same client. `Owned<T>` keeps one for longer. Wire forms: PROTOCOL.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <stratwire/error.hpp>

namespace stratwire {

/// The two forms that a message has on the wire.
enum class Codec : std::uint8_t { json, msgpack };

// ---- Data

/// A price of an instrument.
///
/// \units price in units of input per unit of output, finite; volume as the feed counts it;
///        timestamp in Unix nanoseconds
struct PriceUpdate {
  std::string_view input_mint{};
  std::string_view output_mint{};
  double price = 0;
  std::uint64_t volume = 0;
  std::int64_t timestamp = 0;

  friend bool operator==(const PriceUpdate&, const PriceUpdate&) = default;
};

/// The state of an account.
///
/// \units lamports as the chain counts them; timestamp in Unix nanoseconds
struct AccountUpdate {
  std::string_view pubkey{};
  std::uint64_t lamports = 0;
  std::uint64_t slot = 0;
  std::int64_t timestamp = 0;

  friend bool operator==(const AccountUpdate&, const AccountUpdate&) = default;
};

/// One JSON or MessagePack value, carried as it came.
struct RawValue {
  Codec codec = Codec::json;
  /// One complete value; UTF-8 text or MessagePack bytes.
  std::string_view bytes = "null";

  friend bool operator==(const RawValue&, const RawValue&) = default;
};

/// Everything else: a trade, a new token, an alert. A user's own struct travels as one too
/// (describe.hpp).
struct Event {
  std::string_view type{};
  RawValue data{};

  friend bool operator==(const Event&, const Event&) = default;
};

/// What servers publish, and peers send each other.
using DataMessage = std::variant<PriceUpdate, AccountUpdate, Event>;

/// A range of a channel that will not come.
///
/// Handed over in order, before the next message of that channel (PROTOCOL.md, "Delivery order").
struct Gap {
  enum class Reason : std::uint8_t {
    slow_consumer,  ///< This reader fell behind its limit.
    conflated,      ///< As slow_consumer; the latest value follows at once.
    retention,      ///< Older than what the server keeps.
    upstream,       ///< The server's own source lost it.
    epoch_change,   ///< The channel's numbering started anew; `from` and `to` are of the old one.
    disconnected,   ///< Published while this client was not connected.
  };
  std::uint64_t epoch = 0;
  std::uint64_t from = 0;  ///< First sequence number that is missing.
  std::uint64_t to = 0;    ///< Last one, inclusive; 0 when nobody can know it.
  Reason reason = Reason::slow_consumer;

  friend bool operator==(const Gap&, const Gap&) = default;
};
[[nodiscard]] std::string_view to_string(Gap::Reason reason) noexcept;

// ---- Control, client to server

/// Where a reader stands in a channel: the last message that user code was handed.
struct ResumePoint {
  /// For `kind:*`: `seq` is the head of its Subscribed result.
  std::string channel{};
  std::uint64_t epoch = 0;
  std::uint64_t seq = 0;
  friend bool operator==(const ResumePoint&, const ResumePoint&) = default;
};

/// First message of a client; optional.
struct Hello {
  std::string name{};  ///< Shown to the operator beside the connection.
  friend bool operator==(const Hello&, const Hello&) = default;
};

struct Subscribe {
  std::vector<std::string> channels{};
  std::uint64_t id = 0;  ///< Echoed in Subscribed and CaughtUp; 0 for none.
  /// What was missed after these points is replayed before anything live (PROTOCOL.md, "Resume").
  std::vector<ResumePoint> since{};
  /// Channels without a point in `since` begin with their latest message, if there is one.
  bool snapshot = false;
  /// The next Subscribe, with the same id, goes on with this one; only the last is answered.
  bool more = false;
  friend bool operator==(const Subscribe&, const Subscribe&) = default;
};

struct Unsubscribe {
  std::vector<std::string> channels{};
  std::uint64_t id = 0;
  friend bool operator==(const Unsubscribe&, const Unsubscribe&) = default;
};

/// Asks the server to publish; for connections that it was told to trust.
struct Publish {
  std::uint64_t id = 0;
  std::string_view channel{};
  DataMessage message{};
  friend bool operator==(const Publish&, const Publish&) = default;
};

/// \units t1: the sender's Unix nanoseconds, echoed; 0 when it does not care
struct Ping {
  std::int64_t t1 = 0;
  friend bool operator==(const Ping&, const Ping&) = default;
};

// ---- Control, server to client

/// \units t2 and t3: Unix nanoseconds at which the answering side received and answered
struct Pong {
  std::int64_t t1 = 0;
  std::int64_t t2 = 0;
  std::int64_t t3 = 0;
  friend bool operator==(const Pong&, const Pong&) = default;
};

/// First message of a server.
struct Welcome {
  std::uint64_t client_id = 0;
  /// Of every channel of this server, unless a Subscribed result or a Gap says otherwise.
  std::uint64_t epoch = 0;
  std::uint32_t heartbeat_ms = 0;
  std::uint32_t message_bytes_max = 0;  ///< Largest message that this server takes.
  std::uint32_t channels_max = 0;       ///< Most channels for this connection.
  std::int64_t timestamp = 0;           ///< Unix nanoseconds.
  friend bool operator==(const Welcome&, const Welcome&) = default;
};

/// What became of one channel of a Subscribe or Unsubscribe.
struct ChannelResult {
  std::string channel{};
  Errc code = Errc::ok;
  std::string message{};  ///< Names the cure; empty when ok.
  std::uint64_t epoch = 0;
  /// The last sequence number before this subscription; for `kind:*` the number of messages that
  /// the server had published in all channels, for a later ResumePoint.
  std::uint64_t head = 0;
  bool recovered = false;  ///< All that was missed since the ResumePoint follows.
  friend bool operator==(const ChannelResult&, const ChannelResult&) = default;
};

struct Subscribed {
  std::uint64_t id = 0;
  std::vector<ChannelResult> results{};
  friend bool operator==(const Subscribed&, const Subscribed&) = default;
};

struct Unsubscribed {
  std::uint64_t id = 0;
  std::vector<ChannelResult> results{};
  friend bool operator==(const Unsubscribed&, const Unsubscribed&) = default;
};

struct Published {
  std::uint64_t id = 0;
  Errc code = Errc::ok;
  std::string message{};  ///< Names the cure; empty when ok.
  friend bool operator==(const Published&, const Published&) = default;
};

/// All that a Subscribe with `since` or `snapshot` asked for was sent; what follows is live.
struct CaughtUp {
  std::uint64_t id = 0;  ///< Of the Subscribe.
  friend bool operator==(const CaughtUp&, const CaughtUp&) = default;
};

/// How far a channel is.
struct ChannelHead {
  std::string channel{};
  std::uint64_t seq = 0;  ///< Of its last message.
  friend bool operator==(const ChannelHead&, const ChannelHead&) = default;
};

/// Messages whose `seq` is a multiple of it are timed.
inline constexpr std::uint64_t kHopSampleEvery = 64;

/// When a sampled message passed the server.
///
/// \units Unix nanoseconds of the server
struct HopTimes {
  std::string channel{};
  std::uint64_t seq = 0;
  std::int64_t published = 0;  ///< publish() was called.
  std::int64_t written = 0;    ///< It was given to the kernel, or was about to be.
  friend bool operator==(const HopTimes&, const HopTimes&) = default;
};

/// Sent at every heartbeat interval.
struct Heartbeat {
  std::int64_t timestamp = 0;  ///< Unix nanoseconds.
  /// Of subscribed channels that fell quiet since the last one: a reader that is not there yet has
  /// lost their last messages. At most limits::kHeartbeatEntriesMax, as `times`.
  std::vector<ChannelHead> heads{};
  std::vector<HopTimes> times{};
  friend bool operator==(const Heartbeat&, const Heartbeat&) = default;
};

/// The server will close this connection soon.
struct GoAway {
  std::uint32_t deadline_ms = 0;  ///< Until the close.
  /// Earliest reconnect, each client's own; wins over its back-off.
  std::uint32_t reconnect_after_ms = 0;
  /// URLs of servers with the same channels: connect there first, then leave.
  std::vector<std::string> alternatives{};
  friend bool operator==(const GoAway&, const GoAway&) = default;
};

/// A request or a message was refused; the connection goes on unless a close frame follows.
struct ErrorReply {
  std::uint64_t id = 0;  ///< Of the request; 0 for none.
  Errc code = Errc::protocol_violation;
  std::string message{};
  bool temporary = false;
  std::uint32_t retry_after_ms = 0;
  friend bool operator==(const ErrorReply&, const ErrorReply&) = default;
};

// ---- Between peers (PROTOCOL.md, "Peers")

/// First message of either peer on every connection.
struct PeerHello {
  std::string name{};
  std::uint64_t epoch = 0;  ///< Of the sender's own numbering: changes when it starts anew.
  /// The last message of the receiver's that the sender has handed to its user; 0 and 0 for none.
  std::uint64_t received_epoch = 0;
  std::uint64_t received_seq = 0;
  friend bool operator==(const PeerHello&, const PeerHello&) = default;
};

/// Everything up to `seq` was handed to the user; the sender may forget it.
struct Ack {
  std::uint64_t seq = 0;
  friend bool operator==(const Ack&, const Ack&) = default;
};

/// Asks for a Reply. Numbered like a data message of a peer.
struct Request {
  std::uint64_t id = 0;
  std::uint32_t deadline_ms = 0;  ///< The asker waits so long from now; 0 = for ever.
  DataMessage message{};
  friend bool operator==(const Request&, const Request&) = default;
};

/// Answers a Request. Numbered like a data message of a peer.
struct Reply {
  std::uint64_t id = 0;
  Errc code = Errc::ok;
  std::string text{};     ///< Names the cure; empty when ok.
  DataMessage message{};  ///< Only when ok.
  friend bool operator==(const Reply&, const Reply&) = default;
};

using WsMessage =
    std::variant<PriceUpdate, AccountUpdate, Event, Gap, Subscribe, Unsubscribe, Ping, Pong, Hello,
                 Welcome, Subscribed, Unsubscribed, Publish, Published, Heartbeat, GoAway,
                 ErrorReply, CaughtUp, PeerHello, Ack, Request, Reply>;

/// Where a message belongs. Control messages have none of it, but for the number of a Request and
/// of a Reply.
struct Envelope {
  std::string_view channel{};
  /// From 1, per channel and epoch; 0 outside a channel. Between peers: per sender and epoch.
  std::uint64_t seq = 0;

  friend bool operator==(const Envelope&, const Envelope&) = default;
};

struct Message {
  Envelope envelope{};
  WsMessage body{};

  friend bool operator==(const Message&, const Message&) = default;
};

}  // namespace stratwire
