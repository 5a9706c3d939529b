/// A direct, typed link between two strategies, with no server between.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include <stratwire/describe.hpp>
#include <stratwire/detail/deliver.hpp>
#include <stratwire/message.hpp>
#include <stratwire/peer_config.hpp>
#include <stratwire/peer_state.hpp>
#include <stratwire/result.hpp>
#include <stratwire/send_status.hpp>
#include <stratwire/session/peer_session.hpp>

namespace stratwire {

/// The other side asks; answer with Peer::reply() or Peer::refuse(), now or later.
struct PeerRequest {
  PeerRequestId id{};
  /// How long the asker waits, from when this was sent; zero = for ever. When it has passed a reply
  /// is refused: the asker was told deadline_exceeded.
  std::chrono::milliseconds deadline{0};
  DataMessage message{};

  /// The message if it is a T: PriceUpdate, AccountUpdate, Event, or a described struct.
  template <class T>
  [[nodiscard]] std::optional<T> as() const;
};

/// What became of a Request of ours.
struct PeerReply {
  std::uint64_t id = 0;  ///< As request() returned it.
  /// ok; request_refused (the other side does not answer it), deadline_exceeded, connection_lost
  /// (the other side started anew, so that nobody knows whether it was carried out), closed.
  Errc code = Errc::ok;
  std::string_view text{};  ///< What to do about it; empty when ok.
  DataMessage message{};    ///< Only when ok.

  template <class T>
  [[nodiscard]] std::optional<T> as() const;
};

/// One thing that the peer hands over, in order.
///
/// \lifetime valid, with all texts in it, until the handler returns, or until the next call that
///           takes messages from the same peer
struct PeerDelivery {
  PeerIdentity from{};    ///< Whoever sent it, or was at the other end when it happened.
  std::uint64_t seq = 0;  ///< Of messages, Requests and Replies that came; 0 for everything else.
  /// When it was read from the socket. \units Unix nanoseconds
  std::int64_t received_at = 0;
  std::variant<PriceUpdate, AccountUpdate, Event, Gap, PeerRequest, PeerReply, PeerStateEvent,
               ErrorReply>
      body{};

  /// The body if it is a T, else nullptr.
  template <class T>
  [[nodiscard]] const T* get_if() const noexcept {
    return std::get_if<T>(&body);
  }
};

/// What receive() returns: a T and who sent it; empty when there is none.
///
/// \thread the one that takes messages from the peer
template <class T>
class FromPeer {
 public:
  FromPeer() noexcept = default;
  FromPeer(T value, const PeerDelivery& delivery)
      : value_(std::move(value)),
        from_(delivery.from),
        seq_(delivery.seq),
        received_at_(delivery.received_at) {}

  explicit operator bool() const noexcept { return value_.has_value(); }
  [[nodiscard]] const T& operator*() const noexcept { return *value_; }
  [[nodiscard]] const T* operator->() const noexcept { return &*value_; }
  [[nodiscard]] const PeerIdentity& from() const noexcept { return from_; }
  [[nodiscard]] std::uint64_t seq() const noexcept { return seq_; }
  [[nodiscard]] std::int64_t received_at() const noexcept { return received_at_; }

 private:
  std::optional<T> value_{};
  PeerIdentity from_{};
  std::uint64_t seq_ = 0;
  std::int64_t received_at_ = 0;
};

/// Counters since open(), which count up only, and how things are now.
struct PeerMetrics : session::PeerSessionCounts {
  std::uint64_t bytes = 0;  ///< Read from links.
  /// Messages, Requests and Replies that were taken and found neither a receive<T>() nor a handler.
  std::uint64_t unhandled = 0;
  std::uint64_t unacknowledged = 0;        ///< Now: messages that wait to be acknowledged.
  std::uint64_t unacknowledged_bytes = 0;  ///< Now.
  std::uint64_t requests_open = 0;         ///< Now: of ours.
};

/// One side of a link that keeps itself alive.
///
/// Between two calls of poll() or receive*() nothing is read, and nobody over there hears of us but
/// through send(), request() and reply(), which write at once. Handlers run inside poll() and
/// receive*() and must be noexcept (checked when compiled); send, request, reply, refuse and close
/// may be called from them, poll and receive* may not.
///
/// What send() took reaches the other side once and in order, across reconnects, or the other side
/// is told by one Gap what does not: only what grew too old here, and what was on its way when
/// either program started anew.
///
/// \thread one thread at a time
class Peer {
 public:
  /// Starts to listen or to connect and returns at once; what happens then is told by state events.
  ///
  /// \errors invalid_config, invalid_url, unsupported_scheme, resolve_failed, io_failed (can't be
  ///         listened on); each names the setting and the cure
  [[nodiscard]] static Result<Peer> open(PeerConfig config);

  Peer(Peer&&) noexcept;
  Peer& operator=(Peer&&) noexcept;
  /// close(), then waits for the close handshake, at most limits::kCloseTimeout.
  ~Peer();

  // ---- Sending

  /// Never blocks. Allocates nothing once log and buffers have their size, but for described
  /// structs.
  ///
  /// \param message  PriceUpdate, AccountUpdate, Event, or a described struct
  template <class T>
  SendStatus send(const T& message);

  /// Asks, and is answered by a PeerReply with the id that this returns: exactly one, whatever
  /// happens.
  ///
  /// \param timeout  zero = for ever
  /// \errors  back_pressured (log full, or requests_max open), closed, too_large, not_finite,
  ///          invalid_utf8
  template <class T>
  Result<std::uint64_t> request(const T& message, std::chrono::nanoseconds timeout);
  /// As above; the reply goes to a handler of its own instead.
  ///
  /// \param handler  void(const PeerReply&) or void(const PeerReply&, const PeerDelivery&), whose
  ///                 `from` is who answered, or was the other side when nobody did; noexcept
  template <class T, class Handler>
  Result<std::uint64_t> request(const T& message, std::chrono::nanoseconds timeout,
                                Handler handler);

  /// Answers a Request that was handed over. refused when it has its reply already, its deadline
  /// has passed, or its asker has started anew since.
  template <class T>
  SendStatus reply(PeerRequestId to, const T& message);
  /// Says that it will not be answered; never back_pressured.
  SendStatus refuse(PeerRequestId to, std::string_view text);

  // ---- Receiving

  /// Hands over what waits, at most `limit`, and returns how many; never blocks.
  ///
  /// \param handler  void(const PeerDelivery&) noexcept; called for everything but the replies that
  ///                 have a handler of their own. A PeerRequest is the handler's to answer.
  template <class Handler>
  requires std::invocable<Handler&, const PeerDelivery&> std::size_t poll(
      Handler&& handler, std::size_t limit = kPollBatchMax);
  /// As above, to the handlers set by on<T>().
  std::size_t poll(std::size_t limit = kPollBatchMax);

  /// Sets the handler for one type: any of PeerDelivery::body, or a described struct.
  ///
  /// \param handler  void(const T&) or void(const T&, const PeerDelivery&); replaces an earlier one
  template <class T, class Handler>
  void on(Handler handler);
  /// The handler for Requests. Without one they are refused, unless poll(handler) or
  /// receive<PeerRequest>() takes them.
  ///
  /// \param handler  void(const PeerRequest&) or void(const PeerRequest&, const PeerDelivery&),
  /// whose
  ///                 `from` is who asks
  template <class Handler>
  void on_request(Handler handler) {
    on<PeerRequest>(std::move(handler));
  }

  /// Waits for the next T. Everything else that comes before it goes to its on<T>() handler, or is
  /// counted in metrics().unhandled.
  ///
  /// \return    empty when the peer is closed or failed and nothing is left; see error()
  /// \lifetime  texts are valid until the next call that takes messages
  template <class T>
  [[nodiscard]] FromPeer<T> receive() {
    return receive_until<T>(std::nullopt);
  }
  template <class T>
  [[nodiscard]] FromPeer<T> receive_for(std::chrono::nanoseconds timeout) {
    return receive_until<T>(std::chrono::steady_clock::now() + timeout);
  }
  /// As receive(), but never blocks.
  template <class T>
  [[nodiscard]] FromPeer<T> try_receive() {
    return receive_until<T>(std::chrono::steady_clock::time_point::min());
  }

  /// Begins to close; returns at once. What was sent before leaves first, as far as the other side
  /// takes it within limits::kCloseTimeout; metrics().unacknowledged says what it did not confirm.
  void close() noexcept;

  [[nodiscard]] PeerState state() const noexcept;
  /// Why the peer failed or is backing off; code ok otherwise.
  [[nodiscard]] const Error& error() const noexcept;
  /// The other side; see PeerIdentity for what is known before the first link.
  [[nodiscard]] PeerIdentity other() const noexcept;
  [[nodiscard]] PeerMetrics metrics() const noexcept;
  [[nodiscard]] Codec codec() const noexcept;
  /// What the other side dials, with the port that is really listened on; of a side that dials,
  /// what it dials itself.
  [[nodiscard]] const std::string& url() const noexcept;

  /// Most messages of one poll().
  static constexpr std::size_t kPollBatchMax = 256;

 private:
  using Sink = detail::Sink<PeerDelivery>;
  using Deadline = detail::Deadline;
  using ReplyHandler = std::function<void(const PeerReply&, const PeerDelivery&)>;
  class Impl;

  explicit Peer(std::unique_ptr<Impl> impl) noexcept;
  SendStatus send_data(const DataMessage& message);
  Result<std::uint64_t> request_data(const DataMessage& message, std::chrono::nanoseconds timeout,
                                     ReplyHandler handler);
  SendStatus reply_data(PeerRequestId to, const DataMessage& message);
  std::size_t drain(std::size_t limit, Sink sink, void* context);
  /// The next delivery, waiting until the deadline; nullptr when none came.
  const PeerDelivery* next(Deadline deadline);
  /// To the on<T>() handlers; counts it when there is none.
  void dispatch(const PeerDelivery& delivery);
  void set_handler(std::size_t slot, std::string_view event_type,
                   std::function<bool(const PeerDelivery&)> handler);
  template <class T>
  FromPeer<T> receive_until(Deadline deadline);

  std::unique_ptr<Impl> impl_;
};

}  // namespace stratwire

#include <stratwire/detail/peer_inline.hpp>
