/// A proxy that breaks connections on purpose: between a real server and a real client.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/testing/fault.hpp>
#include <stratwire/transport/error.hpp>

namespace stratwire::testing {

/// Something that a proxy has done, for those who watch it.
struct ProxyEvent {
  enum class Kind : std::uint8_t {
    opened,   ///< A client has connected and is being connected to the target.
    refused,  ///< A client was reset at once: by Admission, or because the target was away.
    fault,    ///< See `fault`.
    ended,    ///< Both ends of a connection are closed.
  };
  Kind kind = Kind::opened;
  /// In the order in which they were accepted, from 1.
  std::uint64_t connection = 0;
  /// Of Kind::fault: what happened, with the offset at which it did.
  Fault fault{};
  /// Bytes of this connection that were forwarded so far, by Direction.
  std::array<std::uint64_t, kDirections> forwarded{};
};

struct ProxyConfig {
  /// "127.0.0.1:0" (any port), a name and port, or "unix:" and a path.
  std::string listen = "127.0.0.1:0";
  /// The server: its URL (ws:// or ws+unix://), "host:port", or "unix:" and a path. A name is
  /// looked up once, when the proxy opens.
  std::string target{};
  /// What happens to connections by itself.
  Plan plan{};
  /// Called for each event on the proxy's thread; must not call the proxy. Empty = nobody watches.
  std::function<void(const ProxyEvent&)> on_event{};
};

/// What becomes of those who connect.
enum class Admission : std::uint8_t {
  open,
  refuse,  ///< Accepted and reset at once.
  away,  ///< Nobody listens: the system refuses. The address stays the proxy's if nobody takes it.
};

/// What has happened so far.
struct ProxyStats {
  std::uint64_t accepted = 0;  ///< Connections taken, those that were refused included.
  std::uint64_t refused = 0;   ///< Of those, reset at once: by Admission, or the server was away.
  /// Times that nobody could be taken, for want of descriptors, say; a pause of kAcceptPause
  /// follows each.
  std::uint64_t accept_failures = 0;
  std::uint64_t ended = 0;                          ///< Links that are over.
  std::uint64_t open = 0;                           ///< Links that are not; a gauge.
  std::array<std::uint64_t, kFaultKinds> faults{};  ///< By FaultKind.
  /// Of one direction, all links.
  std::array<std::uint64_t, kDirections> forwarded_bytes{};
  /// When each of the first kAcceptedAtMax connections was accepted, by its number - 1.
  std::vector<std::chrono::steady_clock::time_point> accepted_at{};

  static constexpr std::size_t kAcceptedAtMax = 100'000;
  static constexpr std::chrono::milliseconds kAcceptPause{50};

  [[nodiscard]] std::uint64_t count(FaultKind kind) const {
    return faults[static_cast<std::size_t>(kind)];
  }
  /// Faults after which a connection delivers nothing more.
  [[nodiscard]] std::uint64_t disconnects() const {
    return count(FaultKind::cut) + count(FaultKind::reset) + count(FaultKind::half_close) +
           count(FaultKind::black_hole);
  }
};

/// Takes connections, connects each to the target and forwards, on a thread of its own.
///
/// Calls return when their thread has done it, so that a test knows what it has caused.
///
/// \thread any thread; the destructor ends every link with a reset
class Proxy {
 public:
  /// \errors  invalid_url (the text names the setting and the cure), resolve_failed,
  ///          address_in_use, listen_failed, io_failed
  static transport::Outcome<std::unique_ptr<Proxy>> open(ProxyConfig config);
  ~Proxy();
  Proxy(const Proxy&) = delete;
  Proxy& operator=(const Proxy&) = delete;

  /// "ws://127.0.0.1:1234" or "ws+unix:///path", for a client.
  [[nodiscard]] std::string url() const;

  /// Does this now to the links that are there; Fault::connection says to which.
  ///
  /// \return links that it was done to
  std::size_t apply(const Fault& fault);
  /// For the connections that come from now on; they are numbered on.
  void set_plan(Plan plan);
  /// \return false when Admission::away ends and the address can't be listened on any more
  bool set_admission(Admission admission);
  /// As ProxyConfig::target; for the connections that come from now on. One that is not valid
  /// refuses all of them.
  void set_target(std::string target);

  [[nodiscard]] ProxyStats stats() const;
  /// Waits for something to happen.
  ///
  /// \return false when `condition` never held until `patience` was over
  [[nodiscard]] bool wait(const std::function<bool(const ProxyStats&)>& condition,
                          std::chrono::milliseconds patience = std::chrono::seconds(30)) const;

 private:
  class Core;
  explicit Proxy(std::unique_ptr<Core> core);
  std::unique_ptr<Core> core_;
};

}  // namespace stratwire::testing
