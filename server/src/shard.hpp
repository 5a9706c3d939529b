/// One I/O thread's share of the server, without thread, poller and clock: connections, what they
/// ask for, and their fan-out. An I/O thread runs it, or a simulation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <stratwire/codec.hpp>
#include <stratwire/transport/poller.hpp>

#include "connection.hpp"
#include "core.hpp"
#include "fanout.hpp"
#include "frame.hpp"
#include "now.hpp"
#include "shard_host.hpp"

namespace stratwire::server {

/// Sockets come in by adopt(), their readiness by on_ready(), frames by on_frame(), answers of the
/// hub by on_interest(); turn() sends what came of it. Time only passes by what is given to these.
///
/// \thread one thread: the shard's
class Shard {
 public:
  /// How often turn() must be called when nothing else happens.
  static constexpr std::int64_t kTickMs = 50;

  /// \param index  0: the hub's, on whose thread it lives; or behind a HubLink
  Shard(Core& core, std::size_t index, ShardHost& host);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  /// A connection that was accepted, and counted in Core::connections.
  void adopt(transport::Socket socket, Now now);
  /// One too many, not counted: it may ask for a page; an upgrade is told that the server is full.
  void adopt_surplus(transport::Socket socket, Now now);
  /// Something can be done with the connection of that token; one that is gone is passed over.
  void on_ready(const transport::Ready& ready, Now now);
  enum class Look : std::uint8_t { nothing, something, gone };
  /// Reads from the connection of that token without being told that it could.
  Look look_at(std::uint64_t token, Now now);

  // ---- From the hub

  void on_frame(const Frame& frame) { fanout_.on_frame(frame); }
  void on_interest(std::unique_ptr<InterestChange> change, Now now);
  /// Tells every connection to go elsewhere, or when to come back; they stay open.
  void go_away(Now now);
  /// Closes every connection with 1001, behind a GoAway for those that had none.
  void close_all(Now now);

  // ---- From the host

  /// Sends what the frames since the last turn brought, and does what is due.
  void turn(Now now);
  /// Sends what was appended, and nothing else: for a drain that hands on more than one turn's.
  void write(Now now);
  /// Whether a turn has something to do that nothing else will tell of.
  [[nodiscard]] bool has_work() const noexcept { return !fanout_.drained.empty(); }
  /// Whether frames should be sent before more of them come.
  [[nodiscard]] bool has_enough() const noexcept { return fanout_.has_enough(); }
  /// When something is due: turn() does it then.
  [[nodiscard]] std::int64_t next_tick_ms() const noexcept { return next_tick_ms_; }
  /// The answer to ShardHost::ask_connections().
  void on_connections(std::uint64_t token, const std::vector<ConnectionStats>& all, Now now);
  /// Cuts every connection.
  void drop_all();
  [[nodiscard]] std::size_t open_connections() const noexcept { return open_connections_; }
  /// Those of adopt_surplus() that have not gone yet.
  [[nodiscard]] std::size_t surplus_connections() const noexcept { return surplus_connections_; }
  [[nodiscard]] std::vector<ConnectionStats> connection_stats() const;

 private:
  /// A subscription that waits for the hub, or for the end of its replay.
  struct Pending {
    enum class Kind : std::uint8_t { subscribed, unsubscribed };
    std::vector<std::string> channels{};  ///< What the connection has afterwards.
    std::vector<ChannelResult> results{};
    std::uint64_t id = 0;
    Kind kind = Kind::subscribed;
    bool answered = false;
    /// Between two pieces of the replay.
    std::unique_ptr<InterestChange> change{};
    /// A Subscribe or Unsubscribe that came meanwhile.
    std::optional<WsMessage> held{};
  };
  /// A Subscribe whose last part has not come yet.
  struct Parts {
    Subscribe request{};
    bool refused = false;  ///< The rest is swallowed.
    bool expired = false;  ///< As above, and another request may take its place.
    std::int64_t until_ms = 0;
  };

  // shard.cpp: connections, time, ends
  [[nodiscard]] Connection* find(std::uint64_t token) noexcept;
  [[nodiscard]] Connection& make_connection(transport::Socket socket);
  void begin(Connection& c, Now now);
  void publish_lag() noexcept;
  void tick();
  void beat();
  void sweep_connections();
  void sweep_parts();
  void sweep_open(Connection& c);
  void close_slow(Connection& c, std::string_view why);
  void settle();
  void forget_dropped();
  void close(Connection& c, transport::CloseCode code, std::string_view reason);
  void drop(Connection& c);

  // shard_handshake.cpp: up to an upgraded connection, and the HTTP pages
  void read_handshake(Connection& c, std::span<char> input);
  void upgrade(Connection& c);
  void welcome(Connection& c);
  void answer_http(Connection& c);
  void respond(Connection& c, std::string_view response);

  // shard_requests.cpp: what clients ask
  /// False when nothing was there.
  bool read(Connection& c);
  void take(Connection& c, std::span<char> input);
  void resume(Connection& c);
  void parse(Connection& c, std::span<char> input);
  void on_close_frame(Connection& c, transport::CloseCode code);
  void on_violation(Connection& c, const transport::Incoming& violation);
  void keep_unparsed(Connection& c, std::span<const char> input);
  void on_message(Connection& c, transport::Opcode opcode, std::string_view payload);
  void on_request(Connection& c, const WsMessage& body);
  void on_publish(Connection& c, const Publish& request);
  void answer_publish(Connection& c, std::uint64_t id, Errc code, std::string text);
  void publish(Connection& c, std::uint64_t id, Publication publication);

  // shard_subscriptions.cpp: requests and their parts, answers of the hub, replays
  [[nodiscard]] bool hold(Connection& c, const WsMessage& request);
  void on_subscribe(Connection& c, const Subscribe& request);
  void on_unsubscribe(Connection& c, const Unsubscribe& request);
  void add_part(Connection& c, const Subscribe& part);
  enum class Part : std::uint8_t { maybe, never };
  [[nodiscard]] bool refuse_between_parts(Connection& c, std::uint64_t id, Part part = Part::maybe);
  void refuse_request(Connection& c, std::uint64_t id, Error error);
  [[nodiscard]] std::optional<Error> check_size(const Subscribe& request) const;
  void subscribe(Connection& c, const Subscribe& request);
  void request_interest(Connection& c, std::unique_ptr<InterestChange> change);
  void answer(Connection& c, Pending& pending, const InterestChange& change);
  void change_channels(Connection& c, Pending& pending);
  void take_piece(Connection& c, const InterestChange& change);
  void end_replay(Connection& c, std::optional<WsMessage> held);
  void pull(Connection& c);
  void refuse(Connection& c, std::uint64_t id, Error error);
  void forget_interest(Connection& c);

  Core& core_;
  const std::size_t index_;
  ShardFigures& figures_;
  ShardCounters& counters_;
  ShardHost& host_;
  Fanout fanout_;

  std::vector<std::unique_ptr<Connection>> slots_{};
  std::vector<std::uint32_t> generations_{};
  std::vector<std::uint32_t> free_slots_{};
  std::vector<Connection*> dropped_{};
  std::vector<std::uint64_t> tokens_{};    ///< Scratch: a list while it is worked through.
  Connection* asking_ = nullptr;           ///< Within ShardHost::ask_hub().
  std::vector<std::uint64_t> answered_{};  ///< Their answers wait for what the hub brings.
  std::unordered_map<std::uint64_t, Pending> pending_{};  ///< By connection token.
  std::unordered_map<std::uint64_t, Parts> parts_{};      ///< By connection token.

  Decoder json_decoder_{Codec::json};
  Decoder msgpack_decoder_{Codec::msgpack};
  Message message_{};
  std::vector<char> receive_buffer_;

  Now now_{};  ///< Of the call that is under way.
  std::int64_t next_tick_ms_ = 0;
  std::int64_t next_sweep_ms_ = 0;
  std::int64_t next_beat_ms_ = 0;
  std::size_t open_connections_ = 0;
  std::size_t surplus_connections_ = 0;
  bool published_ = false;  ///< A request brought a message to the hub on this thread.
  bool gone_away_ = false;
  bool closing_all_ = false;
};

}  // namespace stratwire::server
