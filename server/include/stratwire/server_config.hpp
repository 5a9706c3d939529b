/// Settings of a Server.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/limits.hpp>
#include <stratwire/message.hpp>
#include <stratwire/result.hpp>
#include <stratwire/threading.hpp>
#include <stratwire/waiting.hpp>

namespace stratwire {

/// May connections publish? Only on networks that you trust.
enum class NetworkPublish : std::uint8_t { refused, allowed };

/// What a channel does for a reader that is behind its soft limit (PROTOCOL.md 5.1).
enum class Overflow : std::uint8_t {
  drop_oldest,  ///< The reader is moved to the head and told by a Gap.
  conflate,     ///< The same, and it gets the latest message; for values that replace each other.
  lossless,     ///< Kept for the reader, up to the hard limits; then close 4101: it resumes.
};

/// How the channels of one kind are served.
struct ChannelPolicy {
  Overflow overflow = Overflow::drop_oldest;
  friend bool operator==(const ChannelPolicy&, const ChannelPolicy&) = default;
};

/// What each channel keeps for readers that come back (PROTOCOL.md 5.2).
struct ChannelLogConfig {
  /// Messages, 0..1'048'576; 0 = nothing is kept, and every resume is a Gap.
  std::size_t messages_max = 4096;
  /// Bytes of messages, as they were published, 4 KiB..1 GiB. Memory grows as it is needed.
  std::size_t bytes_max = 1 << 20;
  /// Age, 1 s..24 h. A conflating channel keeps its latest message for longer.
  std::chrono::milliseconds age_max{120'000};
};

/// How a server leaves.
struct DrainConfig {
  /// From the GoAway to the close, up to 1 h; while it lasts the server goes on publishing, so that
  /// clients with somewhere else to go change over without a hole. At most half of drain()'s own
  /// deadline. 0 = closes at once. With Threading::caller drain() keeps the thread that polls for
  /// so long: a producer on that thread is silent meanwhile, only what other threads publish comes.
  std::chrono::milliseconds go_away_deadline{0};
  /// Over how long the reconnects are spread, up to 1 h; more where accepts_per_second asks for it.
  std::chrono::milliseconds reconnect_spread{0};
  /// URLs of servers with the same channels, at most 16, for the GoAway.
  std::vector<std::string> alternatives{};
};

enum class LogLevel : std::uint8_t { debug, info, warning, error };

struct ServerConfig {
  /// Address to listen on, or a name that resolves to one. Environment: WS_HOST.
  std::string host = "127.0.0.1";
  /// 0 = any free port, see Server::local_addr(). Environment: WS_PORT, PORT.
  std::uint16_t port = 8080;
  /// Also listen on this AF_UNIX path (ws+unix://); empty = no.
  std::string unix_path{};
  /// Threads that read and write sockets, 1..8. The hub runs on the first.
  std::size_t io_threads = 1;
  /// Who runs the first of them. With `caller` there is no such thread, but Server::poll(): what is
  /// published on the thread that calls it goes to the sockets without a hand-over.
  Threading threading = Threading::own_thread;
  /// How I/O threads wait, and poll(); `spin` costs one core each.
  Waiting waiting = Waiting::park;
  /// What goes to many connections at once goes in one system call for 64 of them, where the kernel
  /// has io_uring (5.7 or later) and lets this process use it. false: one send() each, always.
  bool io_uring = true;
  /// Core of the first I/O thread, the others follow, all on cores of this machine; -1 = wherever
  /// the system puts them. A thread that calls poll() stays where it is.
  int io_cpu = -1;

  /// Messages that may wait between publishers and the hub, 64..32'768; about 200 bytes each, and
  /// 6 MiB for those of 512 publishing threads, all in memory from the start.
  std::size_t inbox_messages = 16'384;
  /// The soft limit: how far a reader may fall behind, in bytes of ready frames beside what the
  /// kernel holds, before the policies of its channels apply; 64 KiB..1 GiB.
  std::size_t lane_bytes_max = 4 << 20;
  /// The same in messages, 16..2^30.
  std::size_t lane_messages_max = 65'536;
  /// The hard limit: what may wait for one connection beyond the soft limit, lossless messages and
  /// Gaps, before it is closed with 4101; at least lane_bytes_max, up to 4 GiB; 0 = four times
  /// lane_bytes_max.
  std::size_t lane_hard_bytes_max = 0;
  /// The same in messages; at least lane_messages_max, up to 2^32; 0 = four times
  /// lane_messages_max.
  std::size_t lane_hard_messages_max = 0;
  /// A connection whose kernel took nothing for so long, while something waits, is closed with
  /// 4101; 10 ms..1 h.
  std::chrono::milliseconds stall_max{10'000};
  /// By kind of channel; a kind that is not named has ChannelPolicy{}.
  std::map<std::string, ChannelPolicy, std::less<>> policies = default_policies();

  ChannelLogConfig channel_log{};
  /// Memory of the logs of all channels together, 64 KiB..1 TiB; what it pushes out is counted
  /// (`log_evicted`).
  std::size_t log_total_bytes_max = 256 << 20;

  /// Open connections; further ones are answered with HTTP 503.
  std::size_t connections_max = 16'384;
  /// Upgrades per second in the long run, 1..1'000'000; further ones are answered with HTTP 503 and
  /// each with its own time to come back.
  std::size_t accepts_per_second = 5'000;
  /// Upgrades at once after a quiet time, 1..1'000'000.
  std::size_t accepts_burst = 16'384;
  std::size_t channels_per_connection_max = limits::kChannelsPerConnectionMax;
  std::size_t inbound_message_bytes_max = limits::kInboundMessageBytesMax;
  std::chrono::milliseconds handshake_timeout = limits::kHandshakeTimeout;
  /// A Heartbeat goes to every native connection so often.
  std::chrono::milliseconds heartbeat_interval = limits::kHeartbeatInterval;
  /// WebSocket ping to a peer that was silent for so long; it is given up after twice as long. One
  /// that is behind and takes what waits for it is not silent. Up to 24 h; 0 = never asked, never
  /// given up for its silence. Environment: WS_PING_INTERVAL, in seconds.
  std::chrono::milliseconds ping_interval{30'000};

  /// Channels that are published, or were, since the server opened. A subscription to a name that
  /// nobody publishes takes none.
  std::size_t channels_max = 65'536;
  /// Of all numbers of this server, up to 2^53; 0 = the time of the start. Give several servers the
  /// same one only if they publish the same messages in the same order from the start on, so that
  /// clients may take a message of one for that of another (stratwire::Arbiter); and after any
  /// restart another one than before.
  std::uint64_t epoch = 0;
  /// Channel kinds that clients may subscribe to, beside those of this server's publishers.
  std::vector<std::string> kinds = default_kinds();
  NetworkPublish network_publish = NetworkPublish::refused;

  DrainConfig drain{};

  /// Called for every line of the log: what the server refuses, and what an operator should know.
  /// Empty = no log.
  ///
  /// \thread any, I/O threads included: it must be quick, must not throw, and must not call the
  ///         server
  std::function<void(LogLevel, std::string_view)> log{};

  [[nodiscard]] static std::vector<std::string> default_kinds();
  /// prices: conflate; accounts, agent, vault: lossless.
  [[nodiscard]] static std::map<std::string, ChannelPolicy, std::less<>> default_policies();
  /// \errors invalid_config, naming the setting, its value and its range
  [[nodiscard]] Result<void> validate() const;
};

}  // namespace stratwire
