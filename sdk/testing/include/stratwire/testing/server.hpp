/// A server in the test's own process, and everything that can happen to it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include <stratwire/describe.hpp>
#include <stratwire/message.hpp>
#include <stratwire/result.hpp>
#include <stratwire/server.hpp>
#include <stratwire/testing/delivery_oracle.hpp>
#include <stratwire/testing/failure.hpp>
#include <stratwire/testing/fault.hpp>
#include <stratwire/testing/proxy.hpp>

namespace stratwire::testing {

/// The numbering of a server that is started again.
enum class Epoch : std::uint8_t {
  /// It has lost what it knew: a new epoch, every channel from 1. Clients are told by a Gap
  /// `epoch_change`.
  fresh,
  /// It knows everything that was published: the same numbers go on, and clients miss nothing that
  /// its logs hold.
  same,
};

/// A real stratwire::Server on a free port, behind a Proxy that breaks its connections when a test
/// says so. Its URL stays the same when it is stopped and started again.
///
/// For tests with a real client, threads and sockets. Where hours must pass, or every run must be
/// the same to the last event, use Simulation.
///
/// \thread one thread at a time; blocks in wait_for*(), stop() and restart() only
class Server {
 public:
  /// Defaults of open(): every heartbeat after 50 ms, so that a dead line is noticed soon.
  [[nodiscard]] static ServerConfig quick_config();

  /// \param config  host, port and unix_path are chosen here
  /// \errors        invalid_config, naming the setting; io_failed
  [[nodiscard]] static Result<Server> open(ServerConfig config = quick_config());
  Server(Server&&) noexcept;
  Server& operator=(Server&&) noexcept;
  ~Server();

  /// For ClientConfig::url; of the proxy.
  [[nodiscard]] std::string url() const;
  [[nodiscard]] std::uint64_t epoch() const noexcept;

  // ---- Publishing

  /// Publishes and writes it into ledger(); waits while the server's inbox is full.
  ///
  /// A copy is kept for restart(Epoch::same), so publish to a channel from here only.
  ///
  /// \return  ok, or refused (not finite, not UTF-8, too large, not a channel name), or closed
  ///          after stop()
  PublishStatus publish(std::string_view channel, const PriceUpdate& message);
  PublishStatus publish(std::string_view channel, const AccountUpdate& message);
  PublishStatus publish(std::string_view channel, const Event& message);
  template <Described T>
  PublishStatus publish(std::string_view channel, const T& message) {
    std::string data;
    if (!encode_data(Codec::msgpack, message, data)) return PublishStatus::refused;
    return publish(channel, Event{described_name<T>(), RawValue{Codec::msgpack, data}});
  }

  // ---- Waiting

  /// Until so many connections, or more, have a channel.
  ///
  /// \return false when `patience` was over first
  [[nodiscard]] bool wait_for_subscribers(std::size_t count,
                                          std::chrono::nanoseconds patience = kPatience) const;
  /// Until its figures say so.
  ///
  /// \return false when `patience` was over first
  [[nodiscard]] bool wait_for(const std::function<bool(const ServerStats&)>& condition,
                              std::chrono::nanoseconds patience = kPatience) const;

  // ---- What happens to it

  /// Ends every connection now, and waits until the server has noticed: wait_for_subscribers() then
  /// counts only those who came back.
  ///
  /// \param kind  FaultKind::cut or FaultKind::reset; for others, and for one connection alone, see
  ///              proxy()
  void cut(FaultKind kind = FaultKind::cut);
  /// As a process that was killed: connections are reset, and nobody listens until restart().
  void stop();
  /// Starts it again, after stop() if that was not called. Whoever connects finds it complete.
  ///
  /// \errors io_failed
  Result<void> restart(Epoch epoch);

  // ---- What is behind it

  /// Between the clients and the server; every fault can be done to it.
  [[nodiscard]] Proxy& proxy() noexcept;
  /// nullptr while it is stopped.
  [[nodiscard]] stratwire::Server* server() noexcept;
  /// All that was published, in all epochs, by content_of() (audit.hpp).
  [[nodiscard]] const PublishedLedger& ledger() const noexcept;

 private:
  struct State;
  explicit Server(std::unique_ptr<State> state) noexcept;
  std::unique_ptr<State> state_;
};

}  // namespace stratwire::testing
