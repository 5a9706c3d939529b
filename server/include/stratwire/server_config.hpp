/// Settings of a Server.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/limits.hpp>
#include <stratwire/message.hpp>
#include <stratwire/result.hpp>
#include <stratwire/waiting.hpp>

namespace stratwire {

/// May connections publish? Only on networks that you trust.
enum class NetworkPublish : std::uint8_t { refused, allowed };

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
  /// How I/O threads wait; `spin` costs one core each.
  Waiting waiting = Waiting::park;
  /// Core of the first I/O thread, the others follow, all on cores of this machine; -1 = wherever
  /// the system puts them.
  int io_cpu = -1;

  /// Messages that may wait between publishers and the hub, 64..32'768; about 200 bytes each.
  std::size_t inbox_messages = 16'384;
  /// How far a reader may fall behind, in bytes of ready frames beside what the kernel holds,
  /// before it is moved to the head and told by a Gap; at least 64 KiB.
  std::size_t lane_bytes_max = 4 << 20;
  /// The same in messages, at least 16.
  std::size_t lane_messages_max = 65'536;

  /// Open connections; further ones are answered with HTTP 503.
  std::size_t connections_max = 16'384;
  std::size_t channels_per_connection_max = limits::kChannelsPerConnectionMax;
  std::size_t inbound_message_bytes_max = limits::kInboundMessageBytesMax;
  std::chrono::milliseconds handshake_timeout = limits::kHandshakeTimeout;
  /// A Heartbeat goes out when nothing else was sent for so long.
  std::chrono::milliseconds heartbeat_interval = limits::kHeartbeatInterval;
  /// WebSocket ping to a peer that was silent for so long; it is given up after twice as long.
  /// Environment: WS_PING_INTERVAL, in seconds.
  std::chrono::milliseconds ping_interval{30'000};

  /// Channels that this server holds at most, subscribed or published; names that only clients ask
  /// for get half of them, so that publishers always find room.
  std::size_t channels_max = 65'536;
  /// Channel kinds that clients may subscribe to, beside those of this server's publishers.
  std::vector<std::string> kinds = default_kinds();
  NetworkPublish network_publish = NetworkPublish::refused;

  /// Called for every line of the log, from any thread; empty = no log.
  std::function<void(LogLevel, std::string_view)> log{};

  [[nodiscard]] static std::vector<std::string> default_kinds();
  /// \errors invalid_config, naming the setting, its value and its range
  [[nodiscard]] Result<void> validate() const;
};

}  // namespace stratwire
