/// One I/O thread: its sockets, cohorts and logs. Nothing in it is touched by another thread but
/// what is marked so.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include <stratwire/codec.hpp>
#include <stratwire/queue/spsc_bytes.hpp>
#include <stratwire/telemetry/counter.hpp>
#include <stratwire/transport/listener.hpp>
#include <stratwire/transport/poller.hpp>

#include "cohort.hpp"
#include "connection.hpp"
#include "core.hpp"
#include "hub.hpp"

namespace stratwire::server {

/// Written by its I/O thread, read by anybody.
struct IoCounters {
  telemetry::Counter accepted;
  telemetry::Counter handshakes_refused;
  telemetry::Counter http_requests;
  telemetry::Counter upgraded;
  telemetry::Counter disconnected;
  telemetry::Counter delivered;
  telemetry::Counter sent_bytes;
  telemetry::Counter received_messages;
  telemetry::Counter gaps;
  telemetry::Counter missed;
  telemetry::Counter bad_messages;
  telemetry::Counter refused_requests;
  telemetry::Counter protocol_violations;
  telemetry::Counter timeouts;
  telemetry::Gauge subscribers;
};

class IoThread {
 public:
  /// The first one (index 0) also runs the hub and accepts.
  IoThread(Core& core, std::size_t index, transport::Poller poller, transport::Wakeup wakeup);
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  // ---- Creating thread only

  void add_listener(transport::Listener listener);
  void start();
  /// Ends the loop and waits for it; open connections are cut.
  void stop();

  // ---- Any thread

  /// Runs `task` on this thread, soon.
  void post(std::function<void()> task);
  void wake() noexcept { wakeup_.notify(); }
  [[nodiscard]] const IoCounters& counters() const noexcept { return counters_; }
  /// How far the slowest reader of this thread is behind, with what waits in the ring.
  [[nodiscard]] std::uint64_t lag_bytes() const noexcept;

  // ---- Hub only (the first I/O thread)

  [[nodiscard]] bool ring_has_room() noexcept;
  void forward_frame(const Frame& frame);
  void forward_interest(std::unique_ptr<InterestChange> change);
  void forward_close_all();
  /// Makes what was forwarded visible.
  void flush_ring() noexcept;
  void note_paced(std::uint32_t bytes) noexcept { paced_bytes_in_turn_ += bytes; }

  // ---- This thread only

  void on_frame(const Frame& frame);
  void on_interest(InterestChange& change);
  /// Says goodbye to every connection: GoAway, close 1001.
  void close_all();
  /// Stops accepting, hands on what the inbox holds, then close_all() on every thread.
  void begin_drain();
  [[nodiscard]] std::vector<ConnectionStats> connection_stats() const;

 private:
  struct Route {
    Channel* channel = nullptr;
    std::vector<Cohort*> cohorts[2];  ///< By codec.
  };
  struct Lapped {
    Channel const* channel = nullptr;
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    std::size_t last_mark = 0;
  };
  using Slot = std::unique_ptr<Connection>;

  // io_thread.cpp: the loop
  void run();
  bool turn();
  void wait(bool worked);
  [[nodiscard]] bool has_work() noexcept;
  void run_tasks();
  void drain_ring();
  [[nodiscard]] char* reserve_in_ring(std::size_t bytes);
  void on_ready(const transport::Ready& ready);
  void tick();
  void sweep_connections();
  void send_heartbeats();
  void publish_lag();

  // io_accept.cpp: from a listener to an upgraded connection
  void accept(transport::Listener& listener);
  void adopt(transport::Socket socket);
  void read_handshake(Connection& c, std::span<char> input);
  void upgrade(Connection& c);
  void answer_http(Connection& c);
  void respond(Connection& c, std::string response);
  void answer_stats(Connection& c);

  // io_fanout.cpp: cohorts, logs, writing
  Route& route_of(Channel& channel);
  Cohort& cohort_of(Dialect dialect, std::vector<std::string> channels);
  void route_to(Cohort& cohort, Channel& channel);
  void join(Connection& c, Cohort& cohort);
  void leave(Connection& c);
  void append(Cohort& cohort, std::span<const char> frame, FrameMark mark);
  void write_dirty();
  void write_cohort(Cohort& cohort);
  void flush(Connection& c);
  [[nodiscard]] transport::IoResult send_waiting(Connection& c);
  void finish_frame(Connection& c);
  void lane_append_frame(Connection& c, transport::Opcode opcode, std::string_view payload);
  void hold_requests_if_unread(Connection& c);
  void reply(Connection& c, const WsMessage& message);
  void relieve(Cohort& cohort);
  void lap(Connection& c);
  void begin_lagging(Connection& c);
  void end_lagging(Connection& c);
  void update_interest(Connection& c);

  // io_requests.cpp: what clients ask
  void read(Connection& c);
  void take(Connection& c, std::span<char> input);
  void resume(Connection& c);
  void parse(Connection& c, std::span<char> input);
  void on_message(Connection& c, transport::Opcode opcode, std::string_view payload);
  void on_subscribe(Connection& c, const Subscribe& request);
  void on_unsubscribe(Connection& c, const Unsubscribe& request);
  void on_publish(Connection& c, const Publish& request);
  void request_interest(Connection& c, std::unique_ptr<InterestChange> change);
  void refuse(Connection& c, std::uint64_t id, Error error);
  void forget_interest(Connection& c);
  void tell_hub(std::unique_ptr<InterestChange> change);
  void finish_log(Connection& c);
  void close(Connection& c, transport::CloseCode code, std::string_view reason);
  void drop(Connection& c);

  [[nodiscard]] Connection* find(std::uint64_t token) noexcept;
  void sweep_dropped();

  Core& core_;
  const std::size_t index_;
  transport::Poller poller_;
  transport::Wakeup wakeup_;
  std::unique_ptr<Hub> hub_{};
  queue::SpscBytes ring_;  ///< From the hub; unused by the first thread.
  std::vector<transport::Listener> listeners_{};
  IoCounters counters_{};

  std::vector<Slot> slots_{};
  std::vector<std::uint32_t> generations_{};
  std::vector<std::uint32_t> free_slots_{};
  std::vector<Connection*> dropped_{};
  std::vector<std::uint64_t> answered_{};  ///< Tokens of those whose answers wait for the hub.
  std::vector<std::uint64_t> resumed_{};   ///< Tokens of those that may be read again.

  std::unordered_map<std::string, std::unique_ptr<Cohort>> cohorts_{};
  std::vector<Cohort*> dirty_{};
  std::vector<Route> routes_{};  ///< By channel id.
  LogBufferPool pool_{};
  std::vector<Cohort*> lagging_cohorts_{};  ///< Those with lagging members.
  std::vector<Lapped> lapped_{};
  std::vector<std::uint32_t> lapped_by_channel_{};

  /// A subscription that waits for the hub, by connection token.
  struct PendingReply {
    enum class Kind : std::uint8_t { subscribed, unsubscribed };
    std::vector<std::string> channels{};  ///< What the connection has if all is granted.
    std::vector<ChannelResult> results{};
    std::uint64_t id = 0;
    Kind kind = Kind::subscribed;
  };
  std::unordered_map<std::uint64_t, PendingReply> pending_replies_{};

  Decoder json_decoder_{Codec::json};
  Decoder msgpack_decoder_{Codec::msgpack};
  Message message_{};
  std::string encoded_{};
  std::vector<char> receive_buffer_;
  std::array<transport::Ready, transport::Poller::kReadyMax> ready_{};

  std::int64_t now_ms_ = 0;  ///< Monotonic, read once per turn.
  std::int64_t next_tick_ms_ = 0;
  std::int64_t next_sweep_ms_ = 0;
  std::size_t open_connections_ = 0;
  std::size_t next_thread_ = 0;  ///< Gets the next connection that is accepted here.
  std::uint64_t ring_bytes_in_turn_ = 0;
  std::uint64_t paced_bytes_in_turn_ = 0;
  bool accept_paused_ = false;
  bool closing_all_ = false;

  std::mutex tasks_mutex_;
  std::vector<std::function<void()>> tasks_{};
  std::atomic<bool> has_tasks_{false};
  std::atomic<bool> stop_{false};
  std::atomic<std::uint64_t> lag_bytes_{0};
  std::atomic<std::uint64_t> ring_bytes_{0};
  std::thread thread_{};
};

}  // namespace stratwire::server
