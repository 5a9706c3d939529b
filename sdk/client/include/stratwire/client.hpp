/// The client: typed messages of a server on the strategy's own thread.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include <stratwire/client_config.hpp>
#include <stratwire/client_metrics.hpp>
#include <stratwire/client_state.hpp>
#include <stratwire/describe.hpp>
#include <stratwire/detail/deliver.hpp>
#include <stratwire/gate.hpp>
#include <stratwire/message.hpp>
#include <stratwire/result.hpp>
#include <stratwire/send_status.hpp>

namespace stratwire {

namespace detail {
struct ClientAccess;
}  // namespace detail
namespace queue {
class Wait;
}  // namespace queue

/// One thing that the client hands over, in order.
///
/// \lifetime valid, with all texts in it, until the handler returns, or until the next call that
///           takes messages from the same client
struct Delivery {
  Envelope envelope{};
  std::uint64_t epoch = 0;
  /// When it was read from the socket. \units Unix nanoseconds
  std::int64_t received_at = 0;
  std::variant<PriceUpdate, AccountUpdate, Event, Gap, const Notice*> body{};

  /// The body if it is a T (any alternative of `body` or of Notice), else nullptr.
  template <class T>
  [[nodiscard]] const T* get_if() const noexcept {
    if constexpr (std::same_as<T, PriceUpdate> || std::same_as<T, AccountUpdate> ||
                  std::same_as<T, Event> || std::same_as<T, Gap>) {
      return std::get_if<T>(&body);
    } else {
      const auto* notice = std::get_if<const Notice*>(&body);
      return notice == nullptr ? nullptr : std::get_if<T>(*notice);
    }
  }
};

/// What receive() returns: a T and where it belongs; empty when there is none.
///
/// \thread the one that takes messages from the client
template <class T>
class Received {
 public:
  Received() noexcept = default;
  /// \param from  a Delivery, or what has as much
  template <class From>
  Received(T value, const From& from)
      : value_(std::move(value)),
        envelope_(from.envelope),
        epoch_(from.epoch),
        received_at_(from.received_at) {}

  explicit operator bool() const noexcept { return value_.has_value(); }
  [[nodiscard]] const T& operator*() const noexcept { return *value_; }
  [[nodiscard]] const T* operator->() const noexcept { return &*value_; }
  [[nodiscard]] std::string_view channel() const noexcept { return envelope_.channel; }
  [[nodiscard]] std::uint64_t seq() const noexcept { return envelope_.seq; }
  [[nodiscard]] std::uint64_t epoch() const noexcept { return epoch_; }
  [[nodiscard]] std::int64_t received_at() const noexcept { return received_at_; }

 private:
  std::optional<T> value_{};
  Envelope envelope_{};
  std::uint64_t epoch_ = 0;
  std::int64_t received_at_ = 0;
};

/// A connection to one server that keeps itself alive.
///
/// Subscriptions are wishes: they are sent on every connect by the client itself. Callbacks run
/// inside poll() and receive*(), on the thread that calls them, in the order of the messages, and
/// must be noexcept (checked when compiled); subscribe(), unsubscribe(), send() and close() may be
/// called from them. poll() and receive*() may not: that ends the program with a message.
///
/// \thread  poll, receive*, on*: one thread at a time (the strategy's). subscribe, unsubscribe,
///          send, gate, close, state, error, metrics, clock, latencies: any thread.
class Client {
 public:
  /// Starts connecting and returns at once; what happens then is told by state events.
  ///
  /// \errors invalid_url, unsupported_scheme, invalid_config; each names the setting and the cure
  [[nodiscard]] static Result<Client> open(ClientConfig config);

  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  /// close(), then waits for the close handshake, at most limits::kCloseTimeout.
  ~Client();

  /// Wishes for channels, `kind:key` or `kind:*`. Subscribing again is a success.
  ///
  /// What the server says of each comes as a Subscribed notice; look there for channels that it
  /// refuses, which are also counted in metrics().refused. One whose kind the server does not know
  /// yet is asked for again, every 100 ms to 5 s: its producer may be about to start. After a
  /// reconnect the client asks for all of them again by itself, from where it stands in each
  /// (ClientConfig::resume).
  ///
  /// \param start  where a channel begins that has no resume point
  /// \errors invalid_channel_name, too_many_channels; then nothing was changed
  Result<void> subscribe(std::initializer_list<std::string_view> channels,
                         Start start = Start::live);
  Result<void> subscribe(std::span<const std::string> channels, Start start = Start::live);
  /// As above, for a strategy that remembers where it was: what was published after these points
  /// comes first, or a Gap that says which part of it is gone.
  ///
  /// \param since   channel, Delivery::epoch and Envelope::seq of the last message handled; a point
  ///                counts for a channel that is wished for and not followed yet. For `kind:*`
  ///                epoch and head of its Subscribed result
  /// \errors also too_large: more than limits::kResumePointsMax points
  Result<void> subscribe(std::span<const std::string> channels, std::span<const ResumePoint> since,
                         Start start = Start::live);
  Result<void> unsubscribe(std::initializer_list<std::string_view> channels);
  Result<void> unsubscribe(std::span<const std::string> channels);

  /// A gate that says whether a channel can be traded on right now; see gate.hpp.
  ///
  /// Make it when you like: one that is made late opens when the strategy has been handed all that
  /// came before. With GateLimits::data_age_max it waits for the next message, because when the
  /// last one was read is noted from here on only; so it does where the server numbers no messages.
  ///
  /// \param channel  one `kind:key`; it may be covered by a `kind:*` that is subscribed
  /// \errors invalid_channel_name; invalid_config (a negative limit); too_many_channels beyond
  ///         limits::kGatesMax
  [[nodiscard]] Result<ChannelGate> gate(std::string_view channel, GateLimits limits = {});

  /// Publishes to a channel of the server, if it trusts this client.
  ///
  /// Never blocks. What became of it comes as a Published notice with the same id.
  ///
  /// \param id  the caller's own; echoed. 0 = no notice when all is well
  SendStatus send(std::string_view channel, const PriceUpdate& message, std::uint64_t id = 0);
  SendStatus send(std::string_view channel, const AccountUpdate& message, std::uint64_t id = 0);
  SendStatus send(std::string_view channel, const Event& message, std::uint64_t id = 0);
  template <Described T>
  SendStatus send(std::string_view channel, const T& message, std::uint64_t id = 0) {
    std::string& data = detail::data_buffer();
    if (!encode_data(codec(), message, data)) return SendStatus::refused;
    return send(channel, Event{described_name<T>(), RawValue{codec(), data}}, id);
  }

  /// Hands over what waits, at most `limit`, and returns how many; never blocks.
  ///
  /// \param handler  void(const Delivery&) noexcept; called for everything, on<T>() handlers are
  /// not
  template <class Handler>
  requires std::invocable<Handler&, const Delivery&> std::size_t poll(
      Handler&& handler, std::size_t limit = kPollBatchMax);
  /// As above, to the handlers set by on<T>().
  std::size_t poll(std::size_t limit = kPollBatchMax);

  /// Sets the handler for one type: a message, a Gap, a notice, StateEvent, or a described struct.
  ///
  /// A described struct's handler comes before that for Event, which gets the others and those of
  /// its name that do not decode.
  ///
  /// \param handler  void(const T&) or void(const T&, const Delivery&); replaces an earlier one
  template <class T, class Handler>
  void on(Handler handler);

  /// Waits for the next T. Everything else that comes before it goes to its on<T>() handler, or is
  /// counted in metrics().unhandled; `T = WsMessage` takes every message and every Gap.
  ///
  /// \return    empty when the client is closed or failed and nothing is left; see error()
  /// \lifetime  texts are valid until the next call that takes messages
  template <class T>
  [[nodiscard]] Received<T> receive() {
    return receive_until<T>(std::nullopt);
  }
  template <class T>
  [[nodiscard]] Received<T> receive_for(std::chrono::nanoseconds timeout) {
    return receive_until<T>(std::chrono::steady_clock::now() + timeout);
  }
  /// As receive(), but never blocks.
  template <class T>
  [[nodiscard]] Received<T> try_receive() {
    return receive_until<T>(std::chrono::steady_clock::time_point::min());
  }

  /// Begins to close; returns at once. Everything that was received can still be taken.
  void close() noexcept;

  [[nodiscard]] ClientState state() const noexcept;
  /// Why the client failed or is backing off; code ok otherwise.
  [[nodiscard]] Error error() const;
  [[nodiscard]] ClientMetrics metrics() const noexcept;
  /// The server's clock; nothing before it has answered a first Ping on this connection.
  [[nodiscard]] std::optional<ClockEstimate> clock() const;
  /// \cost a few microseconds, 60 KB
  [[nodiscard]] ClientLatencies latencies() const;
  [[nodiscard]] Codec codec() const noexcept;

  /// Most messages of one poll().
  static constexpr std::size_t kPollBatchMax = 256;

 private:
  // An Arbiter's lines: it waits for several clients at once.
  friend struct detail::ClientAccess;
  using Sink = detail::Sink<Delivery>;
  using Deadline = detail::Deadline;
  class Impl;

  explicit Client(std::unique_ptr<Impl> impl) noexcept;
  /// \param wait  notified when something waits, or the client has ended
  static Result<Client> open(ClientConfig config, std::shared_ptr<queue::Wait> wait);
  /// A look at the ring; true without one.
  [[nodiscard]] bool may_have_next() const noexcept;
  /// Nothing comes but what waits.
  [[nodiscard]] bool has_ended() const noexcept;
  std::size_t drain(std::size_t limit, Sink sink, void* context);
  /// The next delivery, waiting until the deadline; nullptr when none came.
  const Delivery* next(Deadline deadline);
  /// To the on<T>() handlers; counts it when there is none.
  void dispatch(const Delivery& delivery);
  void set_handler(std::size_t slot, std::string_view event_type,
                   std::function<bool(const Delivery&)> handler);
  template <class T>
  Received<T> receive_until(Deadline deadline);

  std::unique_ptr<Impl> impl_;
};

}  // namespace stratwire

#include <stratwire/detail/client_inline.hpp>
