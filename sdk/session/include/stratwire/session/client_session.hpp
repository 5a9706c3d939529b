/// The client's half of the protocol: events in, actions out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <stratwire/client_state.hpp>
#include <stratwire/limits.hpp>
#include <stratwire/message.hpp>
#include <stratwire/session/backoff.hpp>
#include <stratwire/session/continuity.hpp>
#include <stratwire/session/heartbeat.hpp>
#include <stratwire/session/send_buffer.hpp>
#include <stratwire/session/subscription_tracker.hpp>
#include <stratwire/session/time.hpp>

namespace stratwire::session {

/// What the owner of the socket has to do, in this order.
namespace action {

/// Begin a try to connect; ends in opened() or try_failed().
struct Connect {};
/// Encode and put on the connection.
struct Write {
  WsMessage message{};
};
/// Put a WebSocket ping on the connection.
struct WritePing {};
/// Put everything that next_send() has on the connection, then a close frame; ends in lost().
struct Close {
  std::uint16_t code = 1000;
};
/// Cut the connection or the try; no event comes of it.
struct Drop {};
/// Hand over a Gap.
struct HandGap {
  std::string_view channel{};  ///< Lives as long as the session.
  Gap gap{};
};
/// Hand over a notice.
struct HandNotice {
  Notice notice{};
};

}  // namespace action

using Action = std::variant<action::Connect, action::Write, action::WritePing, action::Close,
                            action::Drop, action::HandGap, action::HandNotice>;

struct ClientSessionConfig {
  std::string name{};  ///< For Hello; empty = no Hello.
  Duration connect_timeout = std::chrono::seconds{5};
  Duration close_timeout = limits::kCloseTimeout;
  Duration ping_interval = std::chrono::seconds{30};
  BackoffPolicy backoff{};
  Nearness nearness = Nearness::remote;
  SendBufferPolicy send_buffer{};
  RequestLimits requests{};
  std::size_t channels_max = Continuity::kChannelsMax;  ///< Names that are remembered.
  std::uint64_t seed = 1;                               ///< Of the jitter.
};

/// Count up only.
struct ClientSessionCounts {
  std::uint64_t gaps = 0;
  std::uint64_t missed = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t unknown_messages = 0;
  std::uint64_t connects = 0;
  std::uint64_t connect_failures = 0;
  std::uint64_t sends_dropped = 0;
};

/// How a connection ended.
struct Ending {
  Error cause{};
  /// Of the peer's close frame; 0 = there was none.
  std::uint16_t close_code = 0;
};

/// What the close codes of PROTOCOL.md mean for the next try.
[[nodiscard]] Loss loss_of(std::uint16_t close_code) noexcept;
/// What an HTTP answer other than 101 means for the next try.
[[nodiscard]] Loss loss_of_http(unsigned status) noexcept;

/// Joins back-off, heartbeat, subscriptions, continuity and send buffer.
///
/// No I/O, no thread, no clock: the owner calls one function for each thing that happens, then
/// does what next_action() says until it says nothing. data() is the only one on the data path and
/// does not allocate unless its channel is new.
///
/// \thread one thread at a time
class ClientSession {
 public:
  enum class Verdict : std::uint8_t {
    deliver,
    deliver_after_gap,  ///< gap() first.
    drop,               ///< A duplicate, or nobody wants it any more.
  };
  explicit ClientSession(ClientSessionConfig config);
  ClientSession(const ClientSession&) = delete;
  ClientSession& operator=(const ClientSession&) = delete;

  // ---- What happens

  void start(Instant now);
  void opened(Instant now);
  void try_failed(Instant now, Error cause, Loss loss);
  void lost(Instant now, Ending ending);
  /// Bytes came, whatever they are.
  void heard(Instant now) noexcept {
    heartbeat_.heard(now);
    backoff_.heard(now);
  }
  /// The kernel has taken so many of the bytes that were put on this connection.
  void left(std::uint64_t bytes) noexcept { bytes_left_ = bytes; }
  /// A PriceUpdate, AccountUpdate or Event came.
  [[nodiscard]] Verdict data(const Envelope& envelope) {
    if (phase_ != Phase::open) return Verdict::drop;
    if (envelope.channel.empty()) {
      place_ = &nowhere_;
      return Verdict::deliver;
    }
    const auto verdict = continuity_.message(envelope.channel, envelope.seq);
    if (verdict != Continuity::Verdict::deliver) [[unlikely]]
      return uncommon(verdict, envelope);
    place_ = &continuity_.cursor();
    return Verdict::deliver;
  }
  /// Anything else came.
  void control(const Envelope& envelope, WsMessage&& message, Instant now);
  /// A message came that can't be decoded.
  void undecodable(const Error& error);
  /// A message came of a type that this version does not know.
  void unknown_message() noexcept { ++counts_.unknown_messages; }
  /// next_tick() has come; a call before it does no harm.
  void tick(Instant now);

  // ---- What the user wants

  void subscribe(std::span<const std::string> channels);
  void unsubscribe(std::span<const std::string> channels);
  void send(Outgoing message);
  void close(Instant now);

  // ---- What to do

  [[nodiscard]] bool has_actions() const noexcept { return actions_taken_ != actions_.size(); }
  /// The next thing to do; nothing when there is none.
  [[nodiscard]] std::optional<Action> next_action();
  /// The next Publish to be put on the connection; nullptr when there is none or no connection.
  [[nodiscard]] const Outgoing* next_send();
  /// next_send() was put there, behind so many other bytes.
  void send_written(std::uint64_t begins_at) { sends_.written(begins_at); }
  [[nodiscard]] Instant next_tick() const noexcept;
  /// Channel and epoch of the last data() that was not dropped; the name lives as long as this.
  [[nodiscard]] const Cursor& place() const noexcept { return *place_; }
  /// Of the last data() that said deliver_after_gap.
  [[nodiscard]] const Gap& gap() const noexcept { return continuity_.gap(); }

  // ---- How things are

  [[nodiscard]] ClientState state() const noexcept { return state_; }
  [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }
  [[nodiscard]] const Error& cause() const noexcept { return cause_; }
  [[nodiscard]] bool ended() const noexcept { return phase_ == Phase::ended; }
  /// Most channels that this connection may have; 0 before the Welcome.
  [[nodiscard]] std::size_t server_channels_max() const noexcept { return server_channels_max_; }
  [[nodiscard]] const ClientSessionCounts& counts() const noexcept { return counts_; }
  [[nodiscard]] const SendBuffer& sends() const noexcept { return sends_; }

 private:
  enum class Phase : std::uint8_t { idle, trying, open, closing, ended };

  [[nodiscard]] Verdict uncommon(Continuity::Verdict verdict, const Envelope& envelope);
  void on(const Welcome& welcome);
  void on(Subscribed&& answer, Instant now);
  void on(Unsubscribed&& answer);
  void on(Published&& answer);
  void on(const GoAway& notice);
  void on(ErrorReply&& reply, Instant now);
  void on(const Envelope& envelope, const Gap& gap);

  [[nodiscard]] bool is_news(const ChannelResult& result, Instant now);
  void ask_again(Instant now);
  void try_now(Instant now);
  void count_loss(Instant now, Error cause, Loss loss);
  void end(ClientState state, Error cause);
  void announce(ClientState state, Error cause = {}, Duration retry_in = Duration{0});
  void maybe_live();
  void hand_gap(std::string_view channel, const Gap& gap);
  void hand(Notice notice);
  void report_fates();
  void fail_for_channel(std::string_view channel);
  [[nodiscard]] bool wanted(std::string_view channel) const;
  void forget(std::string_view channel);

  ClientSessionConfig config_;
  Phase phase_ = Phase::idle;
  ClientState state_ = ClientState::connecting;
  std::uint64_t epoch_ = 0;
  Cursor nowhere_{};  // Of messages outside a channel.
  const Cursor* place_ = &nowhere_;
  Continuity continuity_;
  Heartbeat heartbeat_;
  Backoff backoff_;
  SubscriptionTracker subscriptions_;
  SendBuffer sends_;
  std::uint64_t generation_ = 0;
  std::size_t server_message_bytes_max_ = 0;
  std::size_t server_channels_max_ = 0;
  std::uint64_t bytes_left_ = 0;
  bool quiet_try_ = false;  // The try is a knock: nobody was told of it.
  Instant due_ = kNever;    // Of the next try, the end of a try, the end of closing.
  // Wishes of kinds that this connection's server does not know, and when to ask again.
  std::set<std::string, std::less<>> unknown_{};
  Duration ask_delay_{};
  Instant ask_at_ = kNever;
  Error cause_{};
  std::uint16_t close_code_ = 0;  // Of the ending that is being announced.
  ClientSessionCounts counts_{};
  std::vector<Fate> fates_{};
  std::vector<Action> actions_{};
  std::size_t actions_taken_ = 0;
};

}  // namespace stratwire::session
