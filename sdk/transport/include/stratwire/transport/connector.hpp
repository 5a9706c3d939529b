/// Name to address to connected socket, without blocking.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>

#include <stratwire/transport/error.hpp>
#include <stratwire/transport/socket.hpp>
#include <stratwire/transport/url.hpp>

namespace stratwire::transport {

/// Connects to one Url at a time, trying all addresses of its host in turn.
///
/// Addresses and "localhost" are used as they are; other names are looked up on a thread of their
/// own, which is left behind when the connector goes (a resolver may take half a minute). The
/// deadline for all of it is the caller's; an address that does not answer within
/// kPerAddressTimeout is given up while others are left.
///
/// \thread one thread at a time
class Connector {
 public:
  enum class Status : std::uint8_t {
    idle,       ///< start() was not called, or its result was taken.
    pending,    ///< Call wait() or poll() again.
    connected,  ///< take_socket() has it.
    failed,     ///< error() says what; start() may be called again.
  };

  Connector();
  ~Connector();
  Connector(Connector&&) noexcept;
  Connector& operator=(Connector&&) noexcept;

  /// Begins; a connect that is still under way is given up. Allocates.
  void start(const Url& url);

  /// Gets on with it as far as that is possible without waiting.
  Status poll();
  /// As poll(), but waits for something to happen, at most `timeout`.
  Status wait(std::chrono::nanoseconds timeout);
  /// As above, or until `fd`, which stays the caller's, is readable: a Poller's, for somebody who
  /// has more to wait for.
  Status wait(std::chrono::nanoseconds timeout, int fd);
  /// Gives up; the status is idle again. Never waits.
  void cancel() noexcept;

  [[nodiscard]] Status status() const noexcept;
  /// Precondition: connected. The status is idle afterwards.
  [[nodiscard]] Socket take_socket() noexcept;
  /// resolve_failed or connect_failed; names host, port or path, and each address tried.
  [[nodiscard]] const Error& error() const noexcept;

  static constexpr std::chrono::milliseconds kPerAddressTimeout{2'000};

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stratwire::transport
