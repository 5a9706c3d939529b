#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <pthread.h>
#include <sched.h>
#include <system_error>
#include <thread>
#include <utility>

#include <stratwire/client.hpp>
#include <stratwire/codec.hpp>
#include <stratwire/detail/handlers.hpp>
#include <stratwire/queue/wait.hpp>
#include <stratwire/session/channel_name.hpp>
#include <stratwire/telemetry/clock.hpp>
#include <stratwire/telemetry/histogram.hpp>

#include "client_loop.hpp"
#include "ring.hpp"

namespace stratwire {
namespace {

using client::ClientLoop;
using client::DeliveryRing;
using client::Instant;
using Clock = std::chrono::steady_clock;
using Handlers = detail::Handlers<Delivery>;

/// Of a socket that is not empty, one after the other.
constexpr std::uint32_t kReadsBeforeTimers = 8;

/// What to do when there is nothing to do.
void idle(Waiting waiting) noexcept {
  if (waiting == Waiting::yield) {
    sched_yield();
  } else {
    queue::Machine::relax();
  }
}

/// Notes that a handler runs, which may not take messages itself: what it was given lies where the
/// next one would be put.
class HandlerScope {
 public:
  explicit HandlerScope(bool& in_handler) noexcept
      : in_handler_(in_handler), outer_(std::exchange(in_handler, true)) {}
  HandlerScope(const HandlerScope&) = delete;
  HandlerScope& operator=(const HandlerScope&) = delete;
  ~HandlerScope() { in_handler_ = outer_; }

 private:
  bool& in_handler_;
  const bool outer_;
};

}  // namespace

/// The strategy's half of both modes of Threading.
class Client::Impl {
 public:
  Impl(const ClientConfig& config, std::unique_ptr<ClientLoop> loop,
       std::shared_ptr<queue::Wait> wait)
      : loop_(std::move(loop)),
        codec_(config.codec),
        waiting_(config.waiting),
        io_cpu_(config.io_cpu),
        wait_(std::move(wait)),
        gate_words_(loop_->gate_words()) {
    if (config.threading == Threading::own_thread) {
      ring_ = std::make_unique<DeliveryRing>(config.ring_bytes);
    }
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();

  Result<void> start();
  std::size_t drain(std::size_t limit, Sink sink, void* context);
  const Delivery* next(Deadline deadline);
  void dispatch(const Delivery& delivery) {
    const HandlerScope scope{in_handler_};
    if (handlers_.run(delivery)) return;
    if (!std::holds_alternative<const Notice*>(delivery.body)) unhandled_.add();
  }
  void set_handler(std::size_t slot, std::string_view event_type, Handlers::Handler handler) {
    handlers_.set(slot, event_type, std::move(handler));
  }

  template <class T>
  SendStatus send(std::string_view channel, const T& message, std::uint64_t id);
  template <class Do>
  Result<void> change(Do&& change_wishes) {
    Result<void> done = change_wishes(loop_->mailbox());
    loop_->notify();
    return done;
  }
  Result<void> subscribe(client::Wish wish) {
    return change([&](client::Mailbox& mailbox) { return mailbox.subscribe(std::move(wish)); });
  }
  void close() noexcept {
    loop_->mailbox().close();
    loop_->notify();
  }

  [[nodiscard]] Result<ChannelGate> gate(std::string_view channel, GateLimits limits) {
    if (limits.silence_max.count() < 0 || limits.data_age_max.count() < 0) {
      return Error{Errc::invalid_config, 0, "a limit of a gate is negative; 0 means no limit"};
    }
    auto words = loop_->mailbox().gate(channel);
    if (!words.ok()) return words.error();
    loop_->notify();
    return ChannelGate{gate_words_, *std::move(words), limits};
  }

  [[nodiscard]] bool may_have_next() const noexcept { return ring_ == nullptr || !ring_->empty(); }
  [[nodiscard]] bool has_ended() const noexcept {
    // acquire: pairs with the release in run(); the last deliveries are seen by a look after this.
    return ring_ != nullptr ? ended_.load(std::memory_order_acquire) : loop_->done();
  }
  [[nodiscard]] ClientState state() const noexcept { return loop_->state(); }
  [[nodiscard]] Error error() const { return loop_->error(); }
  [[nodiscard]] Codec codec() const noexcept { return codec_; }
  [[nodiscard]] std::optional<ClockEstimate> clock() const { return loop_->clock(); }
  [[nodiscard]] ClientLatencies latencies() const {
    ClientLatencies latencies = loop_->latencies();
    latencies.strategy = in_hands_.snapshot();
    return latencies;
  }
  [[nodiscard]] ClientMetrics metrics() const noexcept {
    ClientMetrics metrics = loop_->metrics();
    metrics.unhandled = unhandled_.value();
    metrics.ring_full = ring_full_.value();
    return metrics;
  }

 private:
  // The I/O thread.
  void run() noexcept;
  bool hand_over();
  void wait_for_work(bool full);
  void linger();
  // The strategy.
  /// Ends the program: messages would come out of order, and lie where others are still read.
  void refuse_handlers() const noexcept {
    if (!in_handler_) return;
    std::fputs("stratwire: poll() or receive() of a Client was called by one of its own handlers\n",
               stderr);
    std::abort();
  }
  /// Whatever is handed out is counted, for the gates.
  const Delivery* took(const Delivery* delivery) noexcept {
    if (delivery == nullptr) return nullptr;
    // release: pairs with the acquire in ChannelGate::verdict(); what the strategy did with earlier
    // ones is seen by whoever sees that it has this one.
    gate_words_->taken.store(++taken_, std::memory_order_release);
    if (client::Hops::is_sample(*delivery)) [[unlikely]]
      in_hands_.record(telemetry::wall_ns() - delivery->received_at);
    return delivery;
  }
  const Delivery* next_in_ring(Deadline deadline);
  const Delivery* next_in_ring_now() noexcept;
  const Delivery* next_of_loop(Deadline deadline);
  const Delivery* next_of_loop_now();

  const std::unique_ptr<ClientLoop> loop_;
  const Codec codec_;
  const Waiting waiting_;
  const int io_cpu_;
  std::unique_ptr<DeliveryRing> ring_{};  // Only with a thread of its own.
  const std::shared_ptr<queue::Wait> wait_;
  // Written by the I/O thread: nothing more comes.
  std::atomic<bool> ended_{false};
  // Written by the destructor: nobody takes anything any more.
  std::atomic<bool> abandoned_{false};
  // I/O thread only.
  const Delivery* stuck_ = nullptr;
  telemetry::Counter ring_full_{};
  // Strategy only, but for what gates read of its words.
  const std::shared_ptr<detail::GateClientWords> gate_words_;
  std::uint64_t taken_ = 0;
  telemetry::Histogram in_hands_{};
  Handlers handlers_{};
  bool in_handler_ = false;
  std::uint32_t reads_ = 0;  // Since the socket was empty, or the timers were looked at.
  telemetry::Counter unhandled_{};
  std::atomic<std::uint64_t> last_wire_id_{0};
  std::thread thread_{};
};

// ---- The I/O thread

Result<void> Client::Impl::start() {
  if (ring_ == nullptr) {
    loop_->start();
    return {};
  }
  if (io_cpu_ >= 0) {
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 ||
        !CPU_ISSET(static_cast<std::size_t>(io_cpu_), &allowed)) {
      return Error{Errc::invalid_config, 0,
                   "io_cpu = " + std::to_string(io_cpu_) +
                       " is no core that this process may run on; see taskset -p"};
    }
  }
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    return Error{Errc::io_failed, 0, std::string{"no thread could be started: "} + error.what()};
  }
  return {};
}

void Client::Impl::run() noexcept {
  pthread_setname_np(pthread_self(), "stratwire-io");
  if (io_cpu_ >= 0) {
    cpu_set_t core;
    CPU_ZERO(&core);
    CPU_SET(static_cast<std::size_t>(io_cpu_), &core);
    pthread_setaffinity_np(pthread_self(), sizeof core, &core);
  }
  loop_->start();
  while (!loop_->done() || stuck_ != nullptr) {
    // acquire: pairs with the release in ~Impl().
    if (abandoned_.load(std::memory_order_acquire)) {
      loop_->abandon();
      stuck_ = nullptr;
    }
    bool busy = false;
    bool full = !hand_over();
    if (!full && loop_->read()) {
      busy = true;
      full = !hand_over();
    }
    if (full) loop_->excuse_silence();
    // Timers after reading: a thread that did not run for a while finds what came meanwhile before
    // it calls the peer dead.
    busy |= loop_->turn();
    // What ended the session may have been handed over just now: then nothing would wake us.
    if (!busy && (!loop_->done() || stuck_ != nullptr)) wait_for_work(full);
  }
  // release: pairs with the acquire in next_in_ring(); everything was published before.
  ended_.store(true, std::memory_order_release);
  wait_->notify();
  linger();
}

/// The strategy is told of the end without waiting for it.
void Client::Impl::linger() {
  while (loop_->is_parting()) {
    loop_->turn();
    loop_->wait(session::kNever, ClientLoop::Listen::no, [] { return false; });
  }
}

/// Everything that was read goes into the ring; false when it is full.
bool Client::Impl::hand_over() {
  bool pushed = false;
  if (stuck_ == nullptr) stuck_ = loop_->next();
  while (stuck_ != nullptr && ring_->try_push(*stuck_)) {
    pushed = true;
    stuck_ = loop_->next();
  }
  if (pushed) {
    ring_->publish();
    wait_->notify();
  }
  return stuck_ == nullptr;
}

void Client::Impl::wait_for_work(bool full) {
  if (full) ring_full_.add();
  if (waiting_ != Waiting::park) {
    idle(waiting_);
    return;
  }
  if (!full) {
    loop_->wait(session::kNever, ClientLoop::Listen::yes, [] { return false; });
    return;
  }
  ring_->ask_for_room();
  // Once more: room that was made before the question is not told of.
  if (!ring_->try_push(*stuck_)) {
    loop_->wait(session::kNever, ClientLoop::Listen::no, [this] {
      // acquire: as in run().
      return ring_->room_was_made() || abandoned_.load(std::memory_order_acquire);
    });
  } else {
    ring_->publish();
    wait_->notify();
    stuck_ = nullptr;
  }
  ring_->stop_asking();
}

// ---- The strategy

const Delivery* Client::Impl::next_in_ring_now() noexcept {
  const Delivery* const delivery = ring_->next();
  if (ring_->made_room()) loop_->wake();
  return took(delivery);
}

const Delivery* Client::Impl::next_in_ring(Deadline deadline) {
  for (;;) {
    if (const Delivery* const delivery = next_in_ring_now()) return delivery;
    // acquire: pairs with the release in run(); the last deliveries are seen by the look below.
    if (ended_.load(std::memory_order_acquire)) return next_in_ring_now();
    if (deadline && *deadline == Deadline::value_type::min()) return nullptr;
    const bool something = wait_->wait_until(
        // acquire: as above.
        [this] { return !ring_->empty() || ended_.load(std::memory_order_acquire); },
        deadline.value_or(queue::kNoDeadline));
    if (!something) return nullptr;
  }
}

const Delivery* Client::Impl::next_of_loop_now() {
  // Commands only: a timer that is due must not speak before what waits in the socket was read.
  loop_->take_commands();
  if (const Delivery* const delivery = loop_->next()) return delivery;
  // Timers after reading, as in run(): when the socket is empty. To a strategy that is slower than
  // its feed it never is; then they wait for a few reads, and what we have to say does not.
  if (reads_ != 0) loop_->get_on();
  if (loop_->read() && ++reads_ < kReadsBeforeTimers) {
    if (const Delivery* const delivery = loop_->next()) return delivery;
  }
  reads_ = 0;
  loop_->turn();
  return loop_->next();
}

const Delivery* Client::Impl::next_of_loop(Deadline deadline) {
  for (;;) {
    if (const Delivery* const delivery = next_of_loop_now()) return took(delivery);
    if (loop_->done()) return nullptr;
    if (deadline && Clock::now() >= *deadline) return nullptr;
    if (waiting_ == Waiting::park) {
      loop_->wait(deadline.value_or(session::kNever), ClientLoop::Listen::yes,
                  [] { return false; });
    } else {
      idle(waiting_);
    }
  }
}

const Delivery* Client::Impl::next(Deadline deadline) {
  refuse_handlers();
  return ring_ != nullptr ? next_in_ring(deadline) : next_of_loop(deadline);
}

std::size_t Client::Impl::drain(std::size_t limit, Sink sink, void* context) {
  refuse_handlers();
  const HandlerScope scope{in_handler_};
  std::size_t count = 0;
  if (ring_ != nullptr) {
    while (count < limit) {
      const Delivery* const delivery = next_in_ring_now();
      if (delivery == nullptr) break;
      sink(context, *delivery);
      ++count;
    }
    return count;
  }
  // One read() at most, so that the call is bounded by what one recv() brings.
  const Delivery* delivery = limit == 0 ? nullptr : next_of_loop_now();
  while (took(delivery) != nullptr) {
    sink(context, *delivery);
    if (++count >= limit) break;
    delivery = loop_->next();
  }
  return count;
}

template <class T>
SendStatus Client::Impl::send(std::string_view channel, const T& message, std::uint64_t id) {
  const ClientState state = this->state();
  if (state == ClientState::closing || state == ClientState::closed ||
      state == ClientState::failed) {
    return SendStatus::closed;
  }
  if (!session::parse_channel_name(channel, session::Wildcards::refused).ok()) {
    return SendStatus::refused;
  }
  session::Outgoing outgoing;
  // relaxed: only has to be another one each time. Even: the odd ones are the session's.
  outgoing.wire_id = last_wire_id_.fetch_add(2, std::memory_order_relaxed) + 2;
  outgoing.user_id = id;
  outgoing.sent_at = Clock::now();
  const Message publish{{}, Publish{outgoing.wire_id, channel, message}};
  if (!encode(codec_, publish, outgoing.payload).ok()) return SendStatus::refused;
  const SendStatus status = loop_->mailbox().send(std::move(outgoing), state);
  if (status == SendStatus::ok) {
    loop_->count_sent();
    loop_->notify();
  }
  return status;
}

Client::Impl::~Impl() {
  close();
  // release: pairs with the acquire in run().
  abandoned_.store(true, std::memory_order_release);
  if (thread_.joinable()) {
    loop_->wake();
    thread_.join();
    return;
  }
  if (ring_ != nullptr) return;  // The thread never started.
  loop_->abandon();
  while (!loop_->done()) {
    const bool busy = loop_->turn();
    static_cast<void>(loop_->next());
    // What was read may have been the peer's close: then nothing would wake us.
    if (!loop_->done() && !loop_->read() && !busy) {
      loop_->wait(session::kNever, ClientLoop::Listen::yes, [] { return false; });
    }
  }
  linger();
}

// ---- Client

Result<Client> Client::open(ClientConfig config) {
  auto wait = std::make_shared<queue::Wait>(config.waiting);
  return open(std::move(config), std::move(wait));
}

Result<Client> Client::open(ClientConfig config, std::shared_ptr<queue::Wait> wait) {
  auto loop = ClientLoop::open(config);
  if (!loop.ok()) return loop.error();
  auto impl = std::make_unique<Impl>(config, std::move(*loop), std::move(wait));
  if (auto started = impl->start(); !started.ok()) return started.error();
  return Client{std::move(impl)};
}

Client::Client(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<void> Client::subscribe(std::initializer_list<std::string_view> channels, Start start) {
  return impl_->subscribe({{channels.begin(), channels.end()}, start, {}});
}
Result<void> Client::subscribe(std::span<const std::string> channels, Start start) {
  return impl_->subscribe({{channels.begin(), channels.end()}, start, {}});
}
Result<void> Client::subscribe(std::span<const std::string> channels,
                               std::span<const ResumePoint> since, Start start) {
  return impl_->subscribe(
      {{channels.begin(), channels.end()}, start, {since.begin(), since.end()}});
}
Result<void> Client::unsubscribe(std::initializer_list<std::string_view> channels) {
  return impl_->change([&](client::Mailbox& mailbox) {
    return mailbox.unsubscribe({channels.begin(), channels.end()});
  });
}
Result<void> Client::unsubscribe(std::span<const std::string> channels) {
  return impl_->change([&](client::Mailbox& mailbox) {
    return mailbox.unsubscribe({channels.begin(), channels.end()});
  });
}

Result<ChannelGate> Client::gate(std::string_view channel, GateLimits limits) {
  return impl_->gate(channel, limits);
}

SendStatus Client::send(std::string_view channel, const PriceUpdate& message, std::uint64_t id) {
  return impl_->send(channel, message, id);
}
SendStatus Client::send(std::string_view channel, const AccountUpdate& message, std::uint64_t id) {
  return impl_->send(channel, message, id);
}
SendStatus Client::send(std::string_view channel, const Event& message, std::uint64_t id) {
  return impl_->send(channel, message, id);
}

std::size_t Client::poll(std::size_t limit) {
  return drain(
      limit,
      [](void* impl, const Delivery& delivery) { static_cast<Impl*>(impl)->dispatch(delivery); },
      impl_.get());
}
std::size_t Client::drain(std::size_t limit, Sink sink, void* context) {
  return impl_->drain(limit, sink, context);
}
const Delivery* Client::next(Deadline deadline) {
  return impl_->next(deadline);
}
void Client::dispatch(const Delivery& delivery) {
  impl_->dispatch(delivery);
}
void Client::set_handler(std::size_t slot, std::string_view event_type,
                         std::function<bool(const Delivery&)> handler) {
  impl_->set_handler(slot, event_type, std::move(handler));
}

bool Client::may_have_next() const noexcept {
  return impl_->may_have_next();
}
bool Client::has_ended() const noexcept {
  return impl_->has_ended();
}
void Client::close() noexcept {
  impl_->close();
}
std::optional<ClockEstimate> Client::clock() const {
  return impl_->clock();
}
ClientLatencies Client::latencies() const {
  return impl_->latencies();
}
ClientState Client::state() const noexcept {
  return impl_->state();
}
Error Client::error() const {
  return impl_->error();
}
ClientMetrics Client::metrics() const noexcept {
  return impl_->metrics();
}
Codec Client::codec() const noexcept {
  return impl_->codec();
}

}  // namespace stratwire
