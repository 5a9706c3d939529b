/// A port or a socket file that takes connections.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <stratwire/transport/error.hpp>
#include <stratwire/transport/socket.hpp>

namespace stratwire::transport {

/// What accept() came to.
enum class AcceptStatus : std::uint8_t {
  ok,
  would_block,  ///< Nobody waits.
  /// This process or the system is full. Somebody waited and was hung up on, or, where not even
  /// that was possible, waits on: pause, or a level-triggered poller spins.
  out_of_descriptors,
  failed,  ///< `error` says why; the listener goes on.
};

struct [[nodiscard]] AcceptResult {
  AcceptStatus status = AcceptStatus::would_block;
  int error = 0;
  Socket socket{};
};

/// Listens on TCP or on a socket file; never blocks after open.
///
/// \thread one thread at a time
class Listener {
 public:
  /// Listens on `host`:`port` with SO_REUSEADDR and a backlog of kBacklog.
  ///
  /// \param host  an address, "localhost" (127.0.0.1), "" or "0.0.0.0" (all IPv4), "::" (all IPv4
  ///              and IPv6), or a name, which is looked up and may block
  /// \param port  0: the system chooses, local_port() tells
  /// \errors      resolve_failed, address_in_use, listen_failed
  static Outcome<Listener> open(std::string_view host, std::uint16_t port);

  /// Listens on a socket file. A file that is left over from a process that is gone (nobody
  /// answers) is removed first; anything else that is there is left alone and is an error. The file
  /// is removed by close().
  ///
  /// \errors  address_in_use, listen_failed
  static Outcome<Listener> open_unix(std::string_view path);

  ~Listener();
  Listener(Listener&&) noexcept;
  Listener& operator=(Listener&&) noexcept;

  /// Takes one waiting connection; non-blocking, TCP_NODELAY set. Call until would_block.
  [[nodiscard]] AcceptResult accept() noexcept;

  /// The descriptor, for a Poller (readable = somebody waits); -1 when closed.
  [[nodiscard]] int fd() const noexcept;
  /// The port that is listened on; 0 for a socket file.
  [[nodiscard]] std::uint16_t local_port() const noexcept;
  /// "127.0.0.1:8080", "[::]:8080" or "unix:/path/to.sock".
  [[nodiscard]] std::string local_address() const;
  /// Closes, and removes the socket file; a second call does nothing.
  void close() noexcept;

  static constexpr int kBacklog = 4096;

 private:
  struct State;
  explicit Listener(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace stratwire::transport
