/// Settings of a Client.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <stratwire/limits.hpp>
#include <stratwire/message.hpp>
#include <stratwire/result.hpp>
#include <stratwire/resume.hpp>
#include <stratwire/threading.hpp>
#include <stratwire/waiting.hpp>

namespace stratwire {

/// When and how often to try again after a connection was lost.
///
/// The first try comes within `first_delay_max`, further ones after a random time between 0 and
/// base * 2^n, at most `delay_max` (full jitter). A delay that the server asks for wins.
///
/// A server on the same host (loopback, `localhost`, ws+unix) that refuses is tried every 25 to
/// 50 ms in between, so that it is met within 50 ms of being back; these tries cost some 20 us
/// each, are not told of, and do not count for `attempts_max`.
struct ReconnectPolicy {
  std::chrono::milliseconds first_delay_max{100};
  std::chrono::milliseconds delay_base{100};
  /// Environment: WS_RECONNECT_INTERVAL, in seconds.
  std::chrono::milliseconds delay_max{5'000};
  /// Failed tries in a row before the client gives up (state `failed`); 0 = never.
  /// Environment: WS_MAX_RECONNECT_ATTEMPTS.
  std::uint32_t attempts_max = 0;
  /// A connection counts as good, and the tries start anew, after so long of healthy traffic.
  std::chrono::milliseconds healthy_after{10'000};
};

/// Messages sent while there is no connection wait here; what does not fit or grows too old is
/// reported through on<Published>(), never dropped in silence. Zero in any of them: no buffer.
struct SendBufferLimits {
  std::size_t messages_max = 1'000;  ///< Environment: WS_MESSAGE_BUFFER_SIZE.
  std::size_t bytes_max = 1 << 20;
  std::chrono::milliseconds age_max{30'000};
};

/// Which of several servers is tried first.
enum class UrlOrder : std::uint8_t {
  as_listed,  ///< The first one is preferred when the client starts.
  shuffled,   ///< Another order for each client, so that clients with one list spread.
};

struct ClientConfig {
  /// ws://host:port/path or ws+unix:///path/to.sock. Required, unless `urls` has one.
  std::string url{};
  /// Further servers with the same channels, at most limits::kUrlsMax. When a try fails the next
  /// one is tried at once; only when all have failed does the client back off. A connection that
  /// was cut is tried where it was first: only that server has the log that goes on there.
  std::vector<std::string> urls{};
  UrlOrder url_order = UrlOrder::as_listed;
  Codec codec = Codec::json;
  /// Shown to the operator beside this connection; at most 64 bytes.
  std::string name{};
  /// Who reads the socket.
  Threading threading = Threading::own_thread;
  /// How receive() waits (and, with own_thread, how the I/O thread waits).
  Waiting waiting = Waiting::park;
  /// Core for the I/O thread; -1 = wherever the system puts it.
  int io_cpu = -1;
  /// Ring between I/O thread and strategy, in bytes; rounded up to a power of two. When it is
  /// full the client stops reading the socket: nothing is dropped here.
  std::size_t ring_bytes = 4 << 20;
  /// Largest message taken from the server; a larger one ends the connection.
  std::size_t message_bytes_max = limits::kClientMessageBytesMax;
  /// From the start of a try to the end of the upgrade.
  std::chrono::milliseconds connect_timeout{5'000};
  /// WebSocket ping when the server was silent for so long, for servers that send no heartbeats;
  /// the peer is given up after twice as long. With heartbeats: after two of them and 500 ms.
  /// Environment: WS_PING_INTERVAL, in seconds.
  std::chrono::milliseconds ping_interval{30'000};
  ReconnectPolicy reconnect{};
  /// What is asked for after a loss.
  Resume resume = Resume::automatic;
  /// How often the server's clock is asked for (four times within the first second of a connection
  /// beside that); 0 = never, and no network latency is measured.
  std::chrono::milliseconds clock_interval{10'000};
  SendBufferLimits send_buffer{};

  /// Defaults, changed by the environment variables named above, if they are set.
  ///
  /// \errors invalid_config, naming the variable and what it accepts
  [[nodiscard]] static Result<ClientConfig> from_environment(std::string url);
};

}  // namespace stratwire
