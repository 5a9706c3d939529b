/// The arbiter: several servers, one stream of messages.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <stratwire/arbiter_config.hpp>
#include <stratwire/client.hpp>
#include <stratwire/client_state.hpp>
#include <stratwire/describe.hpp>
#include <stratwire/detail/deliver.hpp>
#include <stratwire/message.hpp>
#include <stratwire/result.hpp>

namespace stratwire {

/// The line of what no line has brought: a Gap that the arbiter tells of.
inline constexpr std::size_t kNoLine = std::numeric_limits<std::size_t>::max();

/// Two lines have different messages under one number. Told once for each number; the message of
/// `first` was or will be handed over, no other one is.
///
/// \lifetime the names live as long as the arbiter
struct Divergence {
  std::string_view channel{};
  std::uint64_t epoch = 0;
  std::uint64_t seq = 0;
  std::size_t first = 0;
  std::size_t other = 0;
  std::string_view first_name{};
  std::string_view other_name{};
};

/// One thing that an arbiter hands over, in order.
///
/// \lifetime valid, with all texts in it, until the handler returns, or until the next call that
///           takes messages from the same arbiter
struct LineDelivery {
  Envelope envelope{};
  std::uint64_t epoch = 0;
  /// When it was read from the socket. \units Unix nanoseconds
  std::int64_t received_at = 0;
  /// Index in ArbiterConfig::lines; or kNoLine.
  std::size_t line = kNoLine;
  std::string_view line_name{};
  std::variant<PriceUpdate, AccountUpdate, Event, Gap, Divergence, const Notice*> body{};

  /// The body if it is a T (any alternative of `body` or of Notice), else nullptr.
  template <class T>
  [[nodiscard]] const T* get_if() const noexcept {
    if constexpr (std::same_as<T, PriceUpdate> || std::same_as<T, AccountUpdate> ||
                  std::same_as<T, Event> || std::same_as<T, Gap> || std::same_as<T, Divergence>) {
      return std::get_if<T>(&body);
    } else {
      const auto* notice = std::get_if<const Notice*>(&body);
      return notice == nullptr ? nullptr : std::get_if<T>(*notice);
    }
  }
};

/// What receive() returns: a T, where it belongs and which line brought it; empty when there is
/// none.
///
/// \thread the one that takes messages from the arbiter
template <class T>
class LineReceived : public Received<T> {
 public:
  LineReceived() noexcept = default;
  LineReceived(T value, const LineDelivery& from)
      : Received<T>(std::move(value), from), line_(from.line), line_name_(from.line_name) {}

  [[nodiscard]] std::size_t line() const noexcept { return line_; }
  [[nodiscard]] std::string_view line_name() const noexcept { return line_name_; }

 private:
  std::size_t line_ = kNoLine;
  std::string_view line_name_{};
};

/// How good a line is. Counters since open(); each counts up only.
struct LineStatistics {
  std::string name{};
  ClientState state = ClientState::connecting;
  std::uint64_t copies = 0;  ///< Data messages that came on it; replays are not among them.
  std::uint64_t wins = 0;    ///< Of those, handed over: they were the first.
  std::uint64_t late = 0;    ///< Of those, copies of what another line had won.
  /// How far the late ones were behind the winner, by the clock of this host.
  std::chrono::nanoseconds lag_mean{0};
  std::chrono::nanoseconds lag_max{0};
  std::uint64_t holes = 0;        ///< Gaps that it told of.
  std::uint64_t missed = 0;       ///< Messages in these, where known.
  std::uint64_t divergences = 0;  ///< Copies that said something else than the first one.
  std::uint64_t foreign = 0;      ///< Dropped: of an epoch that the other lines are not in.
  std::uint64_t replays = 0;      ///< Replays that its server was asked for.
};

/// Counters since open(); each counts up only.
struct ArbiterStatistics {
  std::vector<LineStatistics> lines{};
  std::uint64_t messages = 0;    ///< Data messages handed over.
  std::uint64_t duplicates = 0;  ///< Later copies that said the same.
  std::uint64_t unchecked = 0;   ///< Later copies that came after ArbiterConfig::window messages.
  std::uint64_t held = 0;        ///< Messages that had to wait behind a hole.
  std::uint64_t filled = 0;      ///< Messages that closed one.
  std::uint64_t gaps = 0;        ///< Gaps handed over.
  std::uint64_t missed = 0;      ///< Messages in these, where known.
  std::uint64_t divergences = 0;
  std::uint64_t overflows = 0;  ///< Gaps for want of room behind holes.
  /// Messages and Gaps that receive<T>() or poll() took, neither a T nor with a handler.
  std::uint64_t unhandled = 0;
};

/// Several connections that bring one stream, as exchanges publish each feed on two lines.
///
/// With Merge::one_log a message is handed over once, in the order of its channel, whichever line
/// is first. What one line loses, another fills in, or a server's replay does; a Gap says only what
/// none of them has. With Merge::by_arrival everything is handed over, with its line.
///
/// Notices (StateEvent, Subscribed ...) are those of the lines, each with its line. Callbacks run
/// as those of a Client do.
///
/// \thread one thread at a time (the strategy's)
/// \source PROTOCOL.md, "Delivery order"
class Arbiter {
 public:
  /// Starts to connect every line and returns at once.
  ///
  /// \errors invalid_url, unsupported_scheme, invalid_config; each names the setting and the cure
  [[nodiscard]] static Result<Arbiter> open(ArbiterConfig config);

  Arbiter(Arbiter&&) noexcept;
  Arbiter& operator=(Arbiter&&) noexcept;
  /// close(), then waits for the close handshakes, at most limits::kCloseTimeout each.
  ~Arbiter();

  /// As Client::subscribe(), on every line.
  ///
  /// \errors invalid_channel_name, too_many_channels; then nothing was changed
  Result<void> subscribe(std::initializer_list<std::string_view> channels);
  Result<void> subscribe(std::span<const std::string> channels);
  Result<void> unsubscribe(std::initializer_list<std::string_view> channels);
  Result<void> unsubscribe(std::span<const std::string> channels);

  /// Hands over what waits, at most `limit`, and returns how many; never blocks.
  ///
  /// \param handler  void(const LineDelivery&) noexcept; called for everything, on<T>() handlers
  ///                 are not
  template <class Handler>
  requires std::invocable<Handler&, const LineDelivery&> std::size_t poll(
      Handler&& handler, std::size_t limit = kPollBatchMax);
  /// As above, to the handlers set by on<T>().
  std::size_t poll(std::size_t limit = kPollBatchMax);

  /// As Client::on(); a T may be a Divergence too.
  ///
  /// \param handler  void(const T&) or void(const T&, const LineDelivery&); replaces an earlier one
  template <class T, class Handler>
  void on(Handler handler);

  /// As Client::receive(); empty when every line is closed or failed and nothing is left.
  template <class T>
  [[nodiscard]] LineReceived<T> receive() {
    return receive_until<T>(std::nullopt);
  }
  template <class T>
  [[nodiscard]] LineReceived<T> receive_for(std::chrono::nanoseconds timeout) {
    return receive_until<T>(std::chrono::steady_clock::now() + timeout);
  }
  /// As receive(), but never blocks.
  template <class T>
  [[nodiscard]] LineReceived<T> try_receive() {
    return receive_until<T>(std::chrono::steady_clock::time_point::min());
  }

  /// Begins to close every line; returns at once. What was received can still be taken.
  void close() noexcept;

  [[nodiscard]] std::size_t lines() const noexcept;
  [[nodiscard]] std::string_view line_name(std::size_t line) const noexcept;
  [[nodiscard]] ClientState state(std::size_t line) const noexcept;
  /// Why the line failed or is backing off; code ok otherwise.
  [[nodiscard]] Error error(std::size_t line) const;
  [[nodiscard]] ArbiterStatistics statistics() const;

  /// Most messages of one poll().
  static constexpr std::size_t kPollBatchMax = 256;

 private:
  using Sink = detail::Sink<LineDelivery>;
  using Deadline = detail::Deadline;
  class Impl;

  explicit Arbiter(std::unique_ptr<Impl> impl) noexcept;
  std::size_t drain(std::size_t limit, Sink sink, void* context);
  const LineDelivery* next(Deadline deadline);
  void dispatch(const LineDelivery& delivery);
  void set_handler(std::size_t slot, std::string_view event_type,
                   std::function<bool(const LineDelivery&)> handler);
  template <class T>
  LineReceived<T> receive_until(Deadline deadline);

  std::unique_ptr<Impl> impl_;
};

}  // namespace stratwire

#include <stratwire/detail/arbiter_inline.hpp>
