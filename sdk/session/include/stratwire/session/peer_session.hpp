/// One half of a direct link between two peers: events in, actions out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <stratwire/limits.hpp>
#include <stratwire/message.hpp>
#include <stratwire/peer_state.hpp>
#include <stratwire/result.hpp>
#include <stratwire/send_status.hpp>
#include <stratwire/session/backoff.hpp>
#include <stratwire/session/client_session.hpp>
#include <stratwire/session/heartbeat.hpp>
#include <stratwire/session/message_log.hpp>
#include <stratwire/session/peer_requests.hpp>
#include <stratwire/session/time.hpp>

namespace stratwire::session {

/// `ch` of every data message between peers.
inline constexpr std::string_view kPeerChannel = "peer";
/// Why a peer closes a connection (PROTOCOL.md, "Close codes").
inline constexpr std::uint16_t kPeerBroke = 4002;
inline constexpr std::uint16_t kPeerTaken = 4003;
inline constexpr std::uint16_t kPeerReplaced = 4004;
inline constexpr std::uint16_t kPeerOverloaded = 4101;

struct PeerSessionConfig {
  enum class Role : std::uint8_t { listen, dial };
  Role role = Role::dial;
  std::string name{};
  /// The name that the other side must have; empty = whatever the first one says.
  std::string other{};
  std::uint64_t epoch = 1;  ///< Of our numbering; not 0.
  Codec codec = Codec::json;
  /// What was sent and not acknowledged. Full, it takes nothing more; only age pushes out.
  LogLimits log{};
  std::size_t requests_max = 1024;  ///< Open ones, each way.
  std::size_t message_bytes_max = limits::kClientMessageBytesMax;
  Duration connect_timeout = std::chrono::seconds{5};
  Duration close_timeout = limits::kCloseTimeout;
  Duration ping_interval = std::chrono::seconds{5};
  /// An Ack goes out after so many messages, so long after the first of them, or together with
  /// whatever else is sent.
  std::uint64_t ack_every = 64;
  Duration ack_delay = std::chrono::milliseconds{10};
  BackoffPolicy backoff{};
  Nearness nearness = Nearness::remote;
  std::uint64_t seed = 1;  ///< Of the jitter.
};

/// Count up only.
struct PeerSessionCounts {
  std::uint64_t links = 0;             ///< Connections on which both said who they are.
  std::uint64_t refused = 0;           ///< Connections of another peer, or of an old one.
  std::uint64_t connect_failures = 0;  ///< Tries that failed.
  std::uint64_t sent = 0;              ///< Messages, Requests and Replies that were taken.
  std::uint64_t resent = 0;            ///< Put on a connection again.
  std::uint64_t back_pressured = 0;    ///< Not taken, because the log was full.
  std::uint64_t received = 0;          ///< Messages, Requests and Replies that were new.
  std::uint64_t duplicates = 0;        ///< Dropped: taken from an older connection already.
  std::uint64_t gaps = 0;              ///< Gaps handed over.
  std::uint64_t missed = 0;            ///< Messages that they name, where known.
  std::uint64_t gaps_sent = 0;         ///< Ranges that could not be sent (again).
  std::uint64_t unanswered = 0;        ///< Our Requests that ended without a Reply.
  std::uint64_t late_replies = 0;      ///< Replies that nobody waited for any more.
  std::uint64_t refusals = 0;          ///< Their Requests that our user did not answer.
  std::uint64_t undecodable = 0;       ///< Messages that can't be decoded; each is reported.
  std::uint64_t unknown_messages = 0;  ///< Of a type that peers do not send each other.
};

/// What comes of a connection's PeerHello.
struct PeerMeeting {
  enum class Answer : std::uint8_t {
    linked,   ///< This connection is the link; where there was one, close that with `code`.
    refused,  ///< Close this connection with `code`.
  };
  Answer answer = Answer::refused;
  std::uint16_t code = 0;
  std::string reason{};
};

/// Joins log, cursor, requests, heartbeat and back-off.
///
/// Everything that is sent goes into a log first and from there on the connection: a new connection
/// only moves the place from which it is read. No I/O, no thread, no clock: the owner calls one
/// function for each thing that happens, then does what next_action() says, puts what next_write()
/// gives on the link, and hands over next_event().
///
/// \thread one thread at a time
/// \cost   send, receive, next_write: no allocation once log and scratch have their size
/// \source PROTOCOL.md, "Peers"
class PeerSession {
 public:
  /// Begin a try to connect; ends in meet() or try_failed().
  struct Connect {};
  /// Put an unnumbered message on the link; may be left out if the link is congested.
  struct Write {
    WsMessage message{};
  };
  /// Put a WebSocket ping on the link.
  struct WritePing {};
  /// Cut the link or the try, behind a close frame unless `code` is 0; no event comes of it.
  struct Drop {
    std::uint16_t code = 0;
    std::string reason{};
  };
  /// Put all that next_write() has on the link, then a close frame; ends in lost().
  struct Shutdown {};
  using Action = std::variant<Connect, Write, WritePing, Drop, Shutdown>;

  /// To be handed over before anything that is read later.
  struct Event {
    PeerIdentity from{};
    /// A Reply here is one that will not come: its code is not ok.
    std::variant<PeerStateEvent, Gap, Reply, ErrorReply> what{};
  };

  enum class Verdict : std::uint8_t {
    deliver,            ///< Hand it over.
    deliver_after_gap,  ///< gap() first.
    gap,                ///< gap() only.
    drop,               ///< Nothing for the user.
  };

  explicit PeerSession(PeerSessionConfig config);
  PeerSession(const PeerSession&) = delete;
  PeerSession& operator=(const PeerSession&) = delete;

  // ---- What happens

  void start(Instant now);
  void try_failed(Instant now, Error cause, Loss loss);
  /// First message of every connection.
  [[nodiscard]] PeerHello hello() const;
  /// A connection's PeerHello came.
  ///
  /// \param connection  rises with each connection that is accepted or opened: one that is older
  ///                    than the link can't replace it
  [[nodiscard]] PeerMeeting meet(Instant now, std::uint64_t connection, const PeerHello& hello);
  /// The link is gone.
  void lost(Instant now, Ending ending);
  /// Bytes came on the link, whatever they are.
  void heard(Instant now) noexcept {
    heartbeat_.heard(now);
    backoff_.heard(now);
  }
  /// A message came on the link. Ping is the owner's, as it knows the wall clock.
  [[nodiscard]] Verdict receive(Instant now, const Message& message);
  /// A message came on the link that can't be decoded.
  void undecodable(const Error& error);
  /// next_tick() has come; a call before it does no harm.
  void tick(Instant now);

  // ---- What the user wants

  SendStatus send(Instant now, const DataMessage& message);
  /// \param timeout  from now; zero or less = for ever
  /// \return  the id, which its Reply carries
  /// \errors  back_pressured (log full, or too many open), not_finite, invalid_utf8, too_large,
  ///          closed
  [[nodiscard]] Result<std::uint64_t> request(Instant now, const DataMessage& message,
                                              Duration timeout);
  SendStatus reply(Instant now, PeerRequestId to, const DataMessage& message);
  /// Our user does not answer this one; never back_pressured: a Reply that says so is sent as soon
  /// as there is room for it.
  SendStatus refuse(Instant now, PeerRequestId to, std::string_view text);
  void close(Instant now);

  // ---- What to do

  [[nodiscard]] std::optional<Action> next_action();
  /// The next payload to be put on the link; empty when there is none.
  ///
  /// \lifetime  until the next call that is not const
  [[nodiscard]] std::string_view next_write(Instant now);
  [[nodiscard]] bool has_events() const noexcept { return events_taken_ != events_.size(); }
  /// Precondition: has_events().
  [[nodiscard]] Event next_event();
  [[nodiscard]] Instant next_tick() const noexcept;
  /// Of the last receive() that said so.
  [[nodiscard]] const Gap& gap() const noexcept { return gap_; }

  // ---- How things are

  [[nodiscard]] PeerState state() const noexcept { return state_; }
  [[nodiscard]] const Error& cause() const noexcept { return cause_; }
  [[nodiscard]] bool linked() const noexcept {
    return phase_ == Phase::linked || phase_ == Phase::closing;
  }
  [[nodiscard]] bool ended() const noexcept { return phase_ == Phase::ended; }
  /// Who sent what receive() was called with last.
  [[nodiscard]] PeerIdentity other() const noexcept { return {name_, cursor_.epoch, generation_}; }
  /// Messages that the other side has not acknowledged, and their bytes.
  [[nodiscard]] const MessageLog& log() const noexcept { return log_; }
  [[nodiscard]] std::size_t requests_open() const noexcept { return asked_.size(); }
  [[nodiscard]] const PeerSessionCounts& counts() const noexcept { return counts_; }

 private:
  enum class Phase : std::uint8_t { idle, trying, listening, linked, closing, ended };
  enum class Kind : std::uint8_t { data, request, reply };
  /// What stands before each payload in the log.
  struct RecordHead {
    std::uint64_t id = 0;
    Kind kind = Kind::data;
  };
  struct Cursor {
    std::uint64_t epoch = 0;
    std::uint64_t seq = 0;
  };

  [[nodiscard]] std::optional<PeerMeeting> refusal(std::uint64_t connection,
                                                   const PeerHello& hello) const;
  void enter_epoch(std::uint64_t epoch);
  void place_writer(Instant now, const PeerHello& hello);

  [[nodiscard]] Verdict take_number(Instant now, std::uint64_t seq);
  [[nodiscard]] Verdict take_gap(Instant now, const Message& message);
  [[nodiscard]] Verdict take_request(Instant now, std::uint64_t seq, const Request& request);
  [[nodiscard]] Verdict take_one_too_many(Instant now, std::uint64_t seq, const Request& request);
  [[nodiscard]] Verdict take_reply(Instant now, std::uint64_t seq, const Reply& reply);
  [[nodiscard]] Verdict without_body(Verdict verdict) noexcept;
  void take_ack(Instant now, std::uint64_t seq);
  Verdict break_off(Instant now, std::uint16_t code, std::string reason);
  void owe_ack(Instant now) noexcept;
  void count_gap(const Gap& gap) noexcept;

  [[nodiscard]] Errc append(Instant now, RecordHead head, const Message& message);
  [[nodiscard]] SendStatus status_of(Errc code) const noexcept;
  [[nodiscard]] bool is_void(std::uint64_t seq) const noexcept;
  void pay_owed(Instant now);
  [[nodiscard]] bool ack_is_due(Instant now) const noexcept;
  [[nodiscard]] std::string_view write_ack();
  [[nodiscard]] std::string_view write_numbered();

  void try_now(Instant now);
  void count_loss(Instant now, Error cause, Loss loss);
  void end(PeerState state, Error cause);
  void announce(PeerState state, Error cause = {}, Duration retry_in = Duration{0});
  void unanswered(std::uint64_t id, Errc code);

  PeerSessionConfig config_;
  Phase phase_ = Phase::idle;
  PeerState state_ = PeerState::connecting;
  Error cause_{};
  std::string name_{};  // Of the other side; stays once it is known.
  std::uint64_t connection_ = 0;
  std::uint64_t generation_ = 0;
  Instant due_ = kNever;    // Of the next try, the end of a try, the end of closing.
  bool quiet_try_ = false;  // The try is a knock: nobody was told of it.
  Heartbeat heartbeat_;
  Backoff backoff_;

  // Sending.
  MessageLog log_;
  std::uint64_t write_next_ = 1;       // Number of the next record to put on the link.
  std::uint64_t written_ = 0;          // The last one that any connection had.
  std::uint64_t void_replies_to_ = 0;  // Replies up to here are for an asker that is gone.
  bool wrote_ = false;                 // In this batch: an Ack rides along.
  std::uint64_t last_id_;              // Of our Requests.
  AskedRequests asked_;
  HeardRequests heard_;
  std::string scratch_{};

  // Receiving.
  Cursor cursor_{};
  std::uint64_t acked_ = 0;
  Instant ack_at_ = kNever;
  Gap gap_{};

  PeerSessionCounts counts_{};
  std::vector<Action> actions_{};
  std::size_t actions_taken_ = 0;
  std::vector<Event> events_{};
  std::size_t events_taken_ = 0;
};

}  // namespace stratwire::session
