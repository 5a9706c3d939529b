/// The client's half of the protocol: events in, actions out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <stratwire/client_state.hpp>
#include <stratwire/limits.hpp>
#include <stratwire/message.hpp>
#include <stratwire/resume.hpp>
#include <stratwire/session/backoff.hpp>
#include <stratwire/session/clock_offset.hpp>
#include <stratwire/session/continuity.hpp>
#include <stratwire/session/conversation.hpp>
#include <stratwire/session/send_buffer.hpp>
#include <stratwire/session/subscription_tracker.hpp>
#include <stratwire/session/targets.hpp>
#include <stratwire/session/time.hpp>

namespace stratwire::session {

/// What the owner of the sockets has to do, in this order.
namespace action {

/// Begin a try to connect; ends in opened() or try_failed(). There is no other connection then,
/// but ones that were left.
struct Connect {
  ConnectionId connection{};
  std::size_t target = 0;  ///< Index of the URL.
};
/// The same, beside the connection that goes on: a server that leaves has named another.
struct ConnectSuccessor {
  ConnectionId connection{};
  std::string url{};
};
/// Encode and put on the connection.
struct Write {
  ConnectionId connection{};
  WsMessage message{};
};
/// Put a WebSocket ping on the connection.
struct WritePing {
  ConnectionId connection{};
};
/// Put a Ping on the connection whose t1 is this host's Unix time at that very moment.
struct ProbeClock {
  ConnectionId connection{};
};
/// Put everything that next_send() has on the connection, then a close frame; ends in lost().
struct Close {
  ConnectionId connection{};
  std::uint16_t code = 1000;
};
/// Put a close frame on the connection and let it end by itself; no event of it is listened to
/// any more, and no other action will name it.
struct Leave {
  ConnectionId connection{};
  std::uint16_t code = 1000;
};
/// Cut the connection or the try; no event of it is listened to any more.
struct Drop {
  ConnectionId connection{};
};
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

using Action = std::variant<action::Connect, action::ConnectSuccessor, action::Write,
                            action::WritePing, action::ProbeClock, action::Close, action::Leave,
                            action::Drop, action::HandGap, action::HandNotice>;

struct ClientSessionConfig {
  std::string name{};       ///< For Hello; empty = no Hello.
  std::size_t targets = 1;  ///< URLs that Connect chooses from.
  TargetOrder target_order = TargetOrder::in_order;
  Resume resume = Resume::automatic;
  Duration connect_timeout = std::chrono::seconds{5};
  Duration close_timeout = limits::kCloseTimeout;
  Duration ping_interval = std::chrono::seconds{30};
  /// The clock is probed four times within a second of the Welcome, then so often; 0 = never.
  Duration clock_interval = std::chrono::seconds{10};
  BackoffPolicy backoff{};
  /// same_host only if every target is.
  Nearness nearness = Nearness::remote;
  SendBufferPolicy send_buffer{};
  RequestLimits requests{};
  std::size_t channels_max = Continuity::kChannelsMax;  ///< Names that are remembered.
  std::uint64_t seed = 1;                               ///< Of the jitter and the order.
};

/// Count up only.
struct ClientSessionCounts {
  std::uint64_t gaps = 0;
  std::uint64_t missed = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t refused = 0;  ///< Channels that the user was told are refused.
  std::uint64_t unknown_messages = 0;
  std::uint64_t connects = 0;
  std::uint64_t connect_failures = 0;
  std::uint64_t sends_dropped = 0;
  std::uint64_t stales = 0;     ///< Times that the state became `stale`.
  std::uint64_t handovers = 0;  ///< Successors that took over.
};

/// How a try failed.
struct Failure {
  Error cause{};
  Loss loss = Loss::ordinary;
  /// Of an HTTP 503: not again before; 0 = it did not say.
  Duration retry_after{0};
};

/// How a connection ended.
struct Ending {
  Error cause{};
  /// Of the peer's close frame; 0 = there was none.
  std::uint16_t close_code = 0;
};

/// When something was read.
struct Arrival {
  Instant at{};
  std::int64_t wall_ns = 0;  ///< The same moment in this host's Unix nanoseconds.
};

/// What the close codes of PROTOCOL.md mean for the next try.
[[nodiscard]] Loss loss_of(std::uint16_t close_code) noexcept;
/// What an HTTP answer other than 101 means for the next try.
[[nodiscard]] Loss loss_of_http(unsigned status) noexcept;

/// Joins back-off, targets, conversations, subscriptions, continuity and send buffer.
///
/// No I/O, no thread, no clock: the owner calls one function for each thing that happens, then
/// does what next_action() says until it says nothing. data() is the only one on the data path and
/// does not allocate unless its channel is new.
///
/// Every try and every connection has an id, which actions name and events carry. An event of one
/// that is over does nothing, whenever it comes. At most two are alive: the connection, and, after
/// a GoAway with alternatives, the successor that is about to take over. The successor's messages
/// are handed over like the connection's; what both bring comes once.
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
  void opened(ConnectionId connection, Instant now);
  void try_failed(ConnectionId connection, Instant now, Failure failure);
  void lost(ConnectionId connection, Instant now, Ending ending);
  /// Bytes came, whatever they are.
  void heard(ConnectionId connection, Instant now) {
    if (connection != reading_) return heard_elsewhere(connection, now);
    talk_.heartbeat.heard(now);
    backoff_.heard(now);
    if (state_ == ClientState::stale) [[unlikely]]
      no_longer_stale();
  }
  /// The kernel has taken so many of the bytes that were put on this connection.
  void left(ConnectionId connection, std::uint64_t bytes) noexcept;
  /// A PriceUpdate, AccountUpdate or Event came.
  [[nodiscard]] Verdict data(ConnectionId connection, const Envelope& envelope) {
    if (connection != reading_) [[unlikely]]
      return data_elsewhere(connection, envelope);
    if (envelope.channel.empty()) {
      place_ = &nowhere_;
      return Verdict::deliver;
    }
    const auto verdict = continuity_.message(talk_.line, envelope.channel, envelope.seq);
    if (verdict != Continuity::Verdict::deliver) [[unlikely]]
      return uncommon(verdict, envelope);
    place_ = &continuity_.cursor();
    return Verdict::deliver;
  }
  /// Anything else came. A Heartbeat's `times` are the owner's business.
  void control(ConnectionId connection, const Envelope& envelope, WsMessage&& message,
               Arrival arrival);
  /// A message came that can't be decoded.
  void undecodable(const Error& error);
  /// A message came of a type that this version does not know.
  void unknown_message() noexcept { ++counts_.unknown_messages; }
  /// next_tick() has come; a call before it does no harm.
  void tick(Instant now);

  // ---- What the user wants

  /// \param since  where the user stands in some of these channels, or in channels that one of
  ///               them covers; it counts for those that are not followed yet
  void subscribe(std::span<const std::string> channels, Start start = Start::live,
                 std::span<const ResumePoint> since = {});
  void unsubscribe(std::span<const std::string> channels);
  void send(Outgoing message);
  void close(Instant now);

  // ---- What to do

  [[nodiscard]] bool has_actions() const noexcept { return !actions_.empty(); }
  /// The next thing to do; nothing when there is none.
  [[nodiscard]] std::optional<Action> next_action();
  /// The next Publish to be put on connection(); nullptr when there is none, or it must wait.
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
  /// The connection, or the try to have one; none while backing off and after the end.
  [[nodiscard]] ConnectionId connection() const noexcept { return talk_.id; }
  /// The successor, or the try to have one; none most of the time.
  [[nodiscard]] ConnectionId successor() const noexcept { return successor_.talk.id; }
  /// The server's clock, as far as this connection's Pongs tell.
  [[nodiscard]] const ClockOffset& clock() const noexcept { return talk_.clock; }
  /// Most channels that this connection may have; 0 before the Welcome.
  [[nodiscard]] std::size_t server_channels_max() const noexcept {
    return talk_.server_channels_max;
  }
  /// Whether the last that was handed over of this channel is a message, and nothing newer is
  /// known.
  [[nodiscard]] bool is_at_message(std::string_view channel) noexcept {
    return continuity_.is_at_message(channel);
  }
  [[nodiscard]] const ClientSessionCounts& counts() const noexcept { return counts_; }
  [[nodiscard]] const SendBuffer& sends() const noexcept { return sends_; }

 private:
  enum class Phase : std::uint8_t { idle, trying, open, closing, ended };
  /// The connection that is to take over.
  struct Successor {
    enum class Stage : std::uint8_t { none, trying, open };
    Stage stage = Stage::none;
    Conversation talk{};
    Instant due = kNever;                ///< The end of the try.
    std::vector<std::string> urls{};     ///< To be tried after this one, the next one last.
    std::vector<std::string> settled{};  ///< Caught up; settled when it takes over.
  };

  // Connections.
  void try_now(Instant now);
  void greet(Conversation& talk);
  void end_round(Instant now, Failure failure);
  /// Where the next try goes, if there is one.
  enum class Next : std::uint8_t { same_server, next_server };
  void count_loss(Instant now, Error cause, Loss loss, Next where);
  void lose_contact();
  void end(ClientState state, Error cause);
  void tick_open(Instant now);
  void probe_clock(Conversation& talk, Instant now);
  void ask_again(Instant now);

  // The successor.
  [[nodiscard]] bool is_successor(const Conversation& talk) const noexcept {
    return &talk == &successor_.talk;
  }
  void try_successor(Instant now);
  void successor_opened(Instant now);
  void successor_failed(Instant now);
  void refuse_successor(Instant now);
  void drop_successor();
  void tick_successor(Instant now);
  void maybe_take_over(Instant now);
  void take_over_now(Instant now, Error cause);
  void take_over(Instant now, Error cause);
  [[nodiscard]] bool successor_is_ready() const noexcept;

  // Messages.
  [[nodiscard]] Conversation* find(ConnectionId connection) noexcept;
  void heard_elsewhere(ConnectionId connection, Instant now) noexcept;
  [[nodiscard]] Verdict data_elsewhere(ConnectionId connection, const Envelope& envelope);
  [[nodiscard]] Verdict uncommon(Continuity::Verdict verdict, const Envelope& envelope);
  void dispatch(Conversation& talk, const Envelope& envelope, WsMessage&& message, Arrival arrival);
  void on(Conversation& talk, const Welcome& welcome, Instant now);
  void on(Conversation& talk, Subscribed&& answer, Instant now);
  void on(Conversation& talk, Unsubscribed&& answer);
  void on(Conversation& talk, const CaughtUp& done);
  void on(Conversation& talk, const stratwire::Heartbeat& beat);
  void on(Conversation& talk, const Pong& pong, Arrival arrival);
  void on(Published&& answer);
  void on(Conversation& talk, const GoAway& notice, Instant now);
  void on(Conversation& talk, ErrorReply&& reply, Instant now);
  void on(Conversation& talk, const Envelope& envelope, const Gap& gap);
  [[nodiscard]] bool is_news(const ChannelResult& result, Instant now);
  void grant(Conversation& talk, const ChannelResult& result, const Conversation::Request& request);
  void settle(const std::vector<std::string>& channels);
  void take_heads();
  void wait_for(const ErrorReply& reply, Instant now) noexcept;

  // State and hand-over.
  void progress();
  void no_longer_stale();
  /// What is left to be done before it is live.
  [[nodiscard]] static ClientState rest_of(const Conversation& talk) noexcept;
  void announce(ClientState state, Error cause = {}, Duration retry_in = Duration{0});
  void ask(Conversation& talk, std::vector<Subscribe> requests);
  void hand_gap(std::string_view channel, const Gap& gap);
  void hand(Notice notice);
  void report_fates();
  void fail_for_channel(std::string_view channel);
  void forget(std::string_view channel);
  [[nodiscard]] SubscriptionTracker::Asker asker(Conversation& talk) noexcept;

  ClientSessionConfig config_;
  Phase phase_ = Phase::idle;
  ClientState state_ = ClientState::connecting;
  ConnectionId reading_ = ConnectionId::none;  // talk_.id while its data is wanted.
  Conversation talk_{};
  Cursor nowhere_{};  // Of messages outside a channel.
  const Cursor* place_ = &nowhere_;
  Continuity continuity_;
  Backoff backoff_;
  Targets targets_;
  SubscriptionTracker subscriptions_;
  SendBuffer sends_;
  Successor successor_{};
  std::uint64_t last_connection_ = 0;
  std::uint64_t generation_ = 0;
  bool quiet_try_ = false;     // The try is a knock: nobody was told of it.
  bool is_of_targets_ = true;  // The connection, or try, is with one of the targets.
  std::size_t refused_ = 0;    // Targets of this round that no retry cures.
  Instant due_ = kNever;       // Of the next try, the end of a try, the end of closing.
  Error cause_{};
  std::uint16_t close_code_ = 0;  // Of the ending that is being announced.
  ClientSessionCounts counts_{};
  std::vector<Fate> fates_{};
  std::vector<Action> actions_{};
  std::size_t actions_taken_ = 0;
};

}  // namespace stratwire::session
