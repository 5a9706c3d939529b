/// The server: producers publish, every subscribed connection receives.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/describe.hpp>
#include <stratwire/message.hpp>
#include <stratwire/result.hpp>
#include <stratwire/server_config.hpp>

namespace stratwire {

/// Answer of publish(). Back-pressure is an answer, never an exception and never a wait.
enum class PublishStatus : std::uint8_t {
  ok,              ///< Taken; every subscriber gets it, or a Gap.
  back_pressured,  ///< The inbox is full (or, when paced, a reader is behind): try again later.
  refused,         ///< Not finite, not UTF-8, too large, or a channel name that is not valid.
  closed,          ///< The server is draining or gone. Said at the very moment at which a drain
                   ///< begins, it may be for a message that still goes out.
};
[[nodiscard]] std::string_view to_string(PublishStatus status) noexcept;

/// What a publisher does about slow readers.
enum class Pacing : std::uint8_t {
  /// Feeds: publishes on; a reader that falls too far behind gets a Gap.
  live,
  /// Replays: publish() says back_pressured before any reader would lose a message.
  slowest_reader,
};

/// One connection, for the operator.
struct ConnectionStats {
  std::uint64_t id = 0;
  std::string name{};      ///< From Hello.
  std::string peer{};      ///< "127.0.0.1:50312" or "unix".
  std::string protocol{};  ///< Subprotocol, or "plain".
  std::size_t channels = 0;
  std::uint64_t sent_bytes = 0;
  std::uint64_t lag_bytes = 0;  ///< Ready frames that the kernel has not taken yet.
  std::uint64_t gaps = 0;
  std::int64_t connected_at = 0;  ///< \units Unix nanoseconds
};

/// Counters since open() and gauges; one consistent look per I/O thread.
struct ServerStats {
  std::uint64_t epoch = 0;
  std::uint64_t uptime_ms = 0;
  // gauges
  std::uint64_t connections = 0;
  std::uint64_t subscribers = 0;  ///< Connections with at least one channel.
  std::uint64_t channels = 0;
  std::uint64_t lag_bytes_max = 0;
  std::uint64_t log_bytes = 0;  ///< Memory of the logs of all channels.
  // counters
  std::uint64_t accepted = 0;
  std::uint64_t accepts_refused = 0;  ///< Upgrades told to come back: too many at once.
  std::uint64_t handshakes_refused = 0;
  std::uint64_t http_requests = 0;
  std::uint64_t upgraded = 0;  ///< WebSocket connections that were opened.
  std::uint64_t disconnected = 0;
  std::uint64_t published = 0;
  std::uint64_t publish_back_pressured = 0;
  std::uint64_t publish_refused = 0;
  /// Messages that a codec had no form for: its readers got a Gap, or nothing for a broadcast.
  std::uint64_t not_encodable = 0;
  std::uint64_t delivered = 0;  ///< Frames of data messages handed to connections.
  std::uint64_t sent_bytes = 0;
  std::uint64_t received_messages = 0;
  std::uint64_t gaps = 0;          ///< Gap messages sent.
  std::uint64_t missed = 0;        ///< Messages that those Gaps stand for.
  std::uint64_t bad_messages = 0;  ///< Inbound, that could not be decoded or were of unknown type.
  std::uint64_t refused_requests = 0;  ///< Subscribe, Publish ... answered with an error.
  std::uint64_t protocol_violations = 0;
  std::uint64_t timeouts = 0;
  std::uint64_t slow_consumers = 0;  ///< Connections closed with 4101.
  std::uint64_t replays = 0;         ///< Subscribes with `since` or `snapshot`.
  std::uint64_t replayed = 0;        ///< Messages out of logs, a part of `delivered`.
  std::uint64_t log_evicted = 0;     ///< Messages that log_total_bytes_max pushed out of logs.
};

/// A producer's handle on one channel. It may outlive its server; then, and when it was never
/// given a channel, every publish() says closed.
///
/// \thread any thread, up to 512 of them per server (more are told back_pressured now and then);
///         publish() may be called from several at once, per-channel order is then
///         the order in which the calls took effect
class Publisher {
 public:
  /// Takes a copy of the message and returns; never blocks.
  ///
  /// \cost   no system call unless the server's thread sleeps; no allocation up to 128 bytes of
  ///         text, but for the first messages of a thread. On the thread of Server::poll() it is
  ///         encoded here and now
  PublishStatus publish(const PriceUpdate& message) noexcept;
  PublishStatus publish(const AccountUpdate& message) noexcept;
  PublishStatus publish(const Event& message) noexcept;
  template <Described T>
  PublishStatus publish(const T& message) noexcept {
    std::string& data = detail::data_buffer();
    if (!encode_data(Codec::msgpack, message, data)) return refuse();
    return publish(Event{described_name<T>(), RawValue{Codec::msgpack, data}});
  }

  /// Why every publish() is refused: the channel's name is not valid. Code ok otherwise.
  [[nodiscard]] const Error& error() const noexcept;
  [[nodiscard]] std::string_view channel() const noexcept;

 private:
  friend class Server;
  struct State;
  PublishStatus refuse() noexcept;

  std::shared_ptr<State> state_;
};

/// A listening server with its I/O threads.
///
/// \thread any thread for every call; the destructor and drain() block. With Threading::caller one
///         thread at a time for poll(), connections(), drain() and the destructor, and a thread
///         that has called one of them does not publish while another thread does
class Server {
 public:
  /// Listens, then starts the I/O threads.
  ///
  /// \errors invalid_config, io_failed (address in use, no permission); each names the address or
  ///         setting and the cure
  [[nodiscard]] static Result<Server> open(ServerConfig config);

  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;
  /// drain() with a deadline of one second.
  ~Server();

  /// A handle for one channel, `kind:key`. The kind becomes known to subscribers.
  ///
  /// A name that is not valid gives a publisher that refuses everything; see Publisher::error().
  [[nodiscard]] Publisher publisher(std::string_view channel, Pacing pacing = Pacing::live);

  /// As publisher(channel).publish(message), for when the channel changes from call to call.
  template <class T>
  PublishStatus publish(std::string_view channel, const T& message) {
    return publisher(channel).publish(message);
  }

  /// To every connection, whatever it is subscribed to; outside any channel, without `seq`.
  PublishStatus broadcast(const PriceUpdate& message) noexcept;
  PublishStatus broadcast(const AccountUpdate& message) noexcept;
  PublishStatus broadcast(const Event& message) noexcept;
  template <Described T>
  PublishStatus broadcast(const T& message) noexcept {
    std::string& data = detail::data_buffer();
    if (!encode_data(Codec::msgpack, message, data)) return PublishStatus::refused;
    return broadcast(Event{described_name<T>(), RawValue{Codec::msgpack, data}});
  }

  [[nodiscard]] ServerStats stats() const;
  /// At most `limit` connections, those furthest behind first.
  [[nodiscard]] std::vector<ConnectionStats> connections(std::size_t limit) const;

  /// "127.0.0.1:8080", with the port that was given out for port 0.
  [[nodiscard]] std::string local_addr() const;
  [[nodiscard]] std::uint16_t local_port() const noexcept;

  /// With Threading::caller: sends what was published, then serves the sockets, waiting at most
  /// `timeout` until there is something to do.
  ///
  /// What this thread publishes between two calls is encoded at once and sent by the next call, one
  /// send() for each connection: publish all that you have, then poll. Beyond 1 MiB, or less where
  /// lane_bytes_max is below 4 MiB, it waits in the inbox, as what other threads publish does. Call
  /// it at least every 50 ms: nothing is accepted, sent or told alive in between.
  ///
  /// \param timeout  0: only look; below 0: no limit
  /// \return         messages that were handed on and sockets that were served; 0 when there was
  ///                 nothing to do, and always with Threading::own_thread
  /// \cost           one system call when nothing waits, and one per connection that gets something
  std::size_t poll(std::chrono::nanoseconds timeout = std::chrono::nanoseconds{0});
  /// With Threading::caller, for a poller of your own (epoll, poll, an event loop): readable while
  /// poll() has something to do, whatever the thread that it came from; -1 with
  /// Threading::own_thread.
  ///
  /// Call poll(0) when it is readable, after you published, and every 50 ms.
  ///
  /// \lifetime  until drain(); stays the server's
  [[nodiscard]] int poll_fd();

  /// Stops accepting and publishing, sends what waits, closes every connection with 1001.
  ///
  /// Every message that publish() said ok for is sent first. A second call, also from another
  /// thread, waits for the first one and says the same.
  ///
  /// \errors expired when connections were still open at the deadline and were cut
  Result<void> drain(std::chrono::milliseconds deadline);

 private:
  class Impl;
  explicit Server(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stratwire
