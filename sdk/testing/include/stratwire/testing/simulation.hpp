/// A strategy, its client, a server and the line between them, in one thread on a virtual clock.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <stratwire/client.hpp>
#include <stratwire/client_config.hpp>
#include <stratwire/describe.hpp>
#include <stratwire/message.hpp>
#include <stratwire/result.hpp>
#include <stratwire/server.hpp>
#include <stratwire/server_config.hpp>
#include <stratwire/testing/audit.hpp>
#include <stratwire/testing/delivery_oracle.hpp>
#include <stratwire/testing/server.hpp>

namespace stratwire::testing {

/// How the line behaves, in each direction.
struct LineShape {
  std::chrono::nanoseconds latency = std::chrono::microseconds{50};
  /// At most so much more, for each write.
  std::chrono::nanoseconds jitter{0};
  /// 0 = no limit.
  std::uint64_t bytes_per_second = 0;
  /// A write arrives in pieces of at most so many bytes; 0 = in one, 1 = byte by byte.
  std::size_t segment_bytes_max = 0;
};

struct SimulationConfig {
  /// Of everything that is left to chance: jitter of the line and of reconnects, cuts within a
  /// message. The same seed and the same calls give the same run, to the last event.
  std::uint64_t seed = 1;
  /// Addresses, threads' cores and waiting are of no meaning.
  ServerConfig server{};
  /// `url` may be left out; threading, waiting and the ring are of no meaning.
  ClientConfig client{};
  LineShape line{};
};

/// The client's and the server's real rules without their threads and sockets: hours pass in
/// milliseconds, and everything that can go wrong with the line can be made to.
///
/// The strategy is what would be given to Client::poll(): a function that takes each Delivery. It
/// is called within advance() and its kin. It may call everything here but those.
///
/// Every message is judged beside: see verdict(). An exception of the strategy comes out of
/// advance(); the simulation is over then.
///
/// Not simulated: Client::send(), gates, the ring between threads. For those use testing::Server.
///
/// \thread one thread at a time
class Simulation {
 public:
  using Strategy = std::function<void(const Delivery&)>;

  /// The server is up and the client begins to connect as soon as time passes.
  ///
  /// \errors invalid_config, invalid_url; each names the setting
  [[nodiscard]] static Result<Simulation> open(Strategy strategy, SimulationConfig config = {});
  Simulation(Simulation&&) noexcept;
  Simulation& operator=(Simulation&&) noexcept;
  ~Simulation();

  // ---- The strategy's side; as in Client

  /// \errors invalid_channel_name
  Result<void> subscribe(std::initializer_list<std::string_view> channels,
                         Start start = Start::live);
  Result<void> subscribe(std::span<const std::string> channels, Start start = Start::live);
  Result<void> subscribe(std::span<const std::string> channels, std::span<const ResumePoint> since,
                         Start start = Start::live);
  Result<void> unsubscribe(std::initializer_list<std::string_view> channels);
  [[nodiscard]] ClientState state() const noexcept;
  /// What a client without a ring can count.
  [[nodiscard]] ClientMetrics metrics() const noexcept;

  // ---- The producer's side

  /// Publishes now; it reaches the strategy as time passes.
  ///
  /// \return  ok; refused; closed while the server is stopped; back_pressured when as many messages
  ///          as ServerConfig::inbox_messages were published at the same moment
  PublishStatus publish(std::string_view channel, const PriceUpdate& message);
  PublishStatus publish(std::string_view channel, const AccountUpdate& message);
  PublishStatus publish(std::string_view channel, const Event& message);
  template <Described T>
  PublishStatus publish(std::string_view channel, const T& message) {
    std::string data;
    if (!encode_data(Codec::msgpack, message, data)) return PublishStatus::refused;
    return publish(channel, Event{described_name<T>(), RawValue{Codec::msgpack, data}});
  }
  [[nodiscard]] std::uint64_t epoch() const noexcept;
  [[nodiscard]] ServerStats server_stats() const;

  // ---- Time

  /// Since open().
  [[nodiscard]] std::chrono::nanoseconds now() const noexcept;
  /// The same moment for timestamps. \units Unix nanoseconds
  [[nodiscard]] std::int64_t unix_ns() const noexcept;
  /// Lets so much time pass, with all that happens in it.
  void advance(std::chrono::nanoseconds time);
  /// Lets time pass until the condition holds, which is looked at after each event.
  ///
  /// \return false when `patience` of virtual time was over first
  [[nodiscard]] bool advance_until(const std::function<bool()>& condition,
                                   std::chrono::nanoseconds patience = std::chrono::minutes{1});
  [[nodiscard]] bool advance_until_live() {
    return advance_until([this] { return state() == ClientState::live; });
  }

  // ---- What goes wrong with the line

  /// The connection ends, at any byte of what is on its way; both ends are told.
  void cut();
  /// The same by a reset: what is on its way is lost.
  void reset();
  /// The client reads the end, the server does not know.
  void half_close();
  /// Half-open: nothing arrives on this connection any more, and nobody is told.
  void black_hole();
  /// Nothing arrives and nobody can connect for so long; then what was held up comes.
  void outage(std::chrono::nanoseconds time);
  /// From now on, for this connection and the next ones.
  void set_line(const LineShape& shape);

  // ---- What goes wrong at the ends

  /// The strategy takes nothing for so long, and nothing is read.
  void stall_strategy(std::chrono::nanoseconds time);
  /// As a process that was killed: connections end, nobody listens until start_server().
  void stop_server();
  /// Both, when the strategy asks for them, happen when its call has returned, one after the other;
  /// what goes wrong then is told to fail().
  ///
  /// \errors invalid_config, when it is running
  Result<void> start_server(Epoch epoch);
  /// The server's process stands still for so long.
  void pause_server(std::chrono::nanoseconds time);

  // ---- The verdict

  /// What was broken, a line each; empty when the promise of every channel was kept. Ask when the
  /// client is live and has had the time to take everything.
  [[nodiscard]] std::string verdict() const;
  [[nodiscard]] const Audit& audit() const noexcept;
  [[nodiscard]] const PublishedLedger& ledger() const noexcept;

 private:
  class World;
  explicit Simulation(std::unique_ptr<World> world) noexcept;
  std::unique_ptr<World> world_;
};

}  // namespace stratwire::testing
