#include "io_thread.hpp"

#include <algorithm>
#include <chrono>
#include <pthread.h>
#include <sched.h>
#include <utility>

#include <stratwire/telemetry/clock.hpp>

namespace stratwire::server {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kWakeupToken = ~std::uint64_t{0};
/// Tokens of listeners count down from here; connections never reach them.
constexpr std::uint64_t kListenerToken = kWakeupToken - 1;
constexpr std::size_t kReceiveBytes = 256 * 1024;
constexpr std::size_t kRingBytes = 8 << 20;
constexpr std::size_t kFrameBytesMax = limits::kClientMessageBytesMax + 1024;
/// Messages that the hub takes between two rounds of writing: enough that a frame costs little of
/// a send(), few enough that they are still in the cache when they are sent.
constexpr std::size_t kMessagesPerTurn = 1024;
constexpr std::int64_t kTickMs = 50;
constexpr std::int64_t kSweepMs = 500;

/// What lies in the ring; a frame's bytes follow it.
struct RingRecord {
  enum class Kind : std::uint8_t { frame, interest, close_all };
  Kind kind = Kind::frame;
  Frame frame{};
  InterestChange* interest = nullptr;  ///< Owned by the record.
};

std::int64_t monotonic_ms() {
  return telemetry::monotonic_ns() / 1'000'000;
}

void pin_to(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(cpu), &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

}  // namespace

IoThread::IoThread(Core& core, std::size_t index, transport::Poller poller,
                   transport::Wakeup wakeup)
    : core_(core),
      index_(index),
      poller_(std::move(poller)),
      wakeup_(std::move(wakeup)),
      ring_(index == 0 ? queue::SpscBytes::kCapacityMin : kRingBytes),
      receive_buffer_(kReceiveBytes + kFrameBytesMax) {
  if (index == 0) hub_ = std::make_unique<Hub>(core);
  (void)poller_.add(wakeup_.fd(), kWakeupToken, transport::Interest::read);
}

IoThread::~IoThread() {
  stop();
}

void IoThread::add_listener(transport::Listener listener) {
  (void)poller_.add(listener.fd(), kListenerToken - listeners_.size(), transport::Interest::read);
  listeners_.push_back(std::move(listener));
}

void IoThread::start() {
  thread_ = std::thread([this] { run(); });
}

void IoThread::stop() {
  if (!thread_.joinable()) return;
  // release: pairs with the acquire in run(); nothing else hangs on it.
  stop_.store(true, std::memory_order_release);
  wake();
  thread_.join();
}

void IoThread::post(std::function<void()> task) {
  {
    const std::lock_guard lock(tasks_mutex_);
    tasks_.push_back(std::move(task));
  }
  // release: pairs with the acquire in has_work(); the task itself is guarded by the mutex.
  has_tasks_.store(true, std::memory_order_release);
  wake();
}

std::uint64_t IoThread::lag_bytes() const noexcept {
  // acquire: pairs with the release in forward_frame() and publish_lag(); bytes that left the ring
  // are already part of the lag.
  const std::uint64_t in_ring = ring_bytes_.load(std::memory_order_acquire);
  // acquire: pairs with the release in publish_lag().
  return in_ring + lag_bytes_.load(std::memory_order_acquire);
}

void IoThread::run() {
  if (core_.config.io_cpu >= 0) pin_to(core_.config.io_cpu + static_cast<int>(index_));
  pthread_setname_np(pthread_self(), ("stratwire-io" + std::to_string(index_)).c_str());
  // acquire: pairs with the release in stop().
  while (!stop_.load(std::memory_order_acquire)) {
    now_ms_ = monotonic_ms();
    wait(turn());
  }
  for (auto& slot : slots_) {
    if (slot) drop(*slot);
  }
  sweep_dropped();
  // Records that nobody will read own their interest changes.
  while (!ring_.empty()) drain_ring();
}

bool IoThread::turn() {
  run_tasks();
  std::size_t worked = 0;
  if (hub_) {
    worked = hub_->drain(kMessagesPerTurn);
    for (std::size_t t = 1; t < core_.threads.size(); ++t) core_.threads[t]->flush_ring();
  } else {
    drain_ring();
  }
  write_dirty();
  for (const std::uint64_t token : answered_) {
    if (Connection* const c = find(token)) flush(*c);
  }
  answered_.clear();
  publish_lag();
  if (now_ms_ >= next_tick_ms_) tick();
  for (const std::uint64_t token : std::exchange(resumed_, {})) {
    if (Connection* const c = find(token)) resume(*c);
  }
  sweep_dropped();
  return worked != 0;
}

void IoThread::wait(bool worked) {
  // After work only a look: what came meanwhile is taken with the next batch, which waits already.
  std::chrono::nanoseconds timeout{0};
  const bool may_sleep = !worked && core_.config.waiting == Waiting::park;
  if (may_sleep) {
    wakeup_.prepare_sleep();
    if (!has_work()) {
      timeout = open_connections_ == 0 && !accept_paused_
                    ? transport::Poller::kNoTimeout
                    : std::chrono::nanoseconds(
                          milliseconds(std::max<std::int64_t>(0, next_tick_ms_ - now_ms_)));
    }
  }
  const std::size_t ready = poller_.wait(ready_, timeout);
  if (may_sleep) wakeup_.end_sleep();
  if (ready == 0) {
    if (!worked && core_.config.waiting == Waiting::yield) sched_yield();
    return;
  }
  now_ms_ = monotonic_ms();
  for (std::size_t i = 0; i < ready; ++i) on_ready(ready_[i]);
}

bool IoThread::has_work() noexcept {
  // acquire: pairs with the release in post().
  if (has_tasks_.load(std::memory_order_acquire) || !resumed_.empty()) return true;
  // acquire: pairs with the release in stop().
  if (stop_.load(std::memory_order_acquire)) return true;
  return hub_ ? hub_->has_work() : !ring_.empty();
}

void IoThread::run_tasks() {
  // acquire: pairs with the release in post().
  if (!has_tasks_.load(std::memory_order_acquire)) return;
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(tasks_mutex_);
    tasks.swap(tasks_);
    // relaxed: written under the mutex that post() takes before it sets the flag again.
    has_tasks_.store(false, std::memory_order_relaxed);
  }
  for (auto& task : tasks) task();
}

void IoThread::on_ready(const transport::Ready& ready) {
  if (ready.token == kWakeupToken) {
    wakeup_.drain();
    return;
  }
  if (ready.token > kListenerToken - listeners_.size()) {
    accept(listeners_[kListenerToken - ready.token]);
    return;
  }
  Connection* c = find(ready.token);
  if (c == nullptr) return;
  if (ready.writable) flush(*c);
  if ((ready.readable || ready.broken) && c->phase != Connection::Phase::closed) {
    // A broken connection is told again and again: it must be read even where reading is paused.
    if (c->read_paused || c->awaits_hub) {
      if (ready.broken) drop(*c);
      return;
    }
    read(*c);
  }
}

// ---- The ring from the hub

bool IoThread::ring_has_room() noexcept {
  // One message is a frame in each codec.
  return ring_.try_reserve(2 * (sizeof(RingRecord) + kFrameBytesMax)) != nullptr;
}

void IoThread::forward_frame(const Frame& frame) {
  char* const at = ring_.try_reserve(sizeof(RingRecord) + frame.bytes.size());
  if (at == nullptr) std::abort();  // the hub asks ring_has_room() before every message
  new (at) RingRecord{RingRecord::Kind::frame, frame, nullptr};
  std::ranges::copy(frame.bytes, at + sizeof(RingRecord));
  ring_.commit();
  // release: pairs with the acquire in lag_bytes().
  ring_bytes_.fetch_add(frame.bytes.size(), std::memory_order_release);
}

void IoThread::forward_interest(std::unique_ptr<InterestChange> change) {
  char* const at = reserve_in_ring(sizeof(RingRecord));
  new (at) RingRecord{RingRecord::Kind::interest, {}, change.release()};
  ring_.commit();
  flush_ring();
}

void IoThread::forward_close_all() {
  char* const at = reserve_in_ring(sizeof(RingRecord));
  new (at) RingRecord{RingRecord::Kind::close_all, {}, nullptr};
  ring_.commit();
  flush_ring();
}

char* IoThread::reserve_in_ring(std::size_t bytes) {
  for (;;) {
    if (char* const at = ring_.try_reserve(bytes)) return at;
    // Control plane: waits for room. The other thread never waits for this one, so it comes.
    flush_ring();
    sched_yield();
  }
}

void IoThread::flush_ring() noexcept {
  ring_.publish();
  wake();
}

void IoThread::drain_ring() {
  for (;;) {
    const std::span<char> bytes = ring_.front();
    if (bytes.empty()) break;
    const auto& record = *std::launder(reinterpret_cast<const RingRecord*>(bytes.data()));
    switch (record.kind) {
      case RingRecord::Kind::frame: {
        Frame frame = record.frame;
        frame.bytes = bytes.subspan(sizeof(RingRecord));
        ring_bytes_in_turn_ += frame.bytes.size();
        on_frame(frame);
        break;
      }
      case RingRecord::Kind::interest: {
        const std::unique_ptr<InterestChange> change(record.interest);
        on_interest(*change);
        break;
      }
      case RingRecord::Kind::close_all:
        close_all();
        break;
    }
    ring_.pop();
    if (ring_bytes_in_turn_ > kReceiveBytes) break;
  }
  ring_.release();
}

// ---- Time

void IoThread::publish_lag() {
  std::uint64_t lag = 0;
  for (const Cohort* cohort : lagging_cohorts_) {
    for (const Connection* c : cohort->lagging) {
      const std::size_t frames = cohort->log.marks_from(c->cursor).size();
      const std::uint64_t bytes = cohort->log.head() - c->cursor + c->lane_unsent().size();
      lag = std::max<std::uint64_t>({lag, bytes, frames * core_.paced_bytes(0)});
    }
  }
  // release: pairs with the acquire in lag_bytes(), and comes before the subtractions below, so
  // that no byte is ever missing from the sum.
  lag_bytes_.store(lag, std::memory_order_release);
  if (ring_bytes_in_turn_ != 0) {
    // release: as above.
    ring_bytes_.fetch_sub(std::exchange(ring_bytes_in_turn_, 0), std::memory_order_release);
  }
  if (paced_bytes_in_turn_ != 0) {
    core_.paced_bytes_in_flight.fetch_sub(
        static_cast<std::int64_t>(std::exchange(paced_bytes_in_turn_, 0)),
        // release: pairs with the acquire in Core::pressure_bytes().
        std::memory_order_release);
  }
}

void IoThread::tick() {
  next_tick_ms_ = now_ms_ + kTickMs;
  if (accept_paused_) {
    accept_paused_ = false;
    for (std::size_t i = 0; i < listeners_.size(); ++i) {
      (void)poller_.modify(listeners_[i].fd(), kListenerToken - i, transport::Interest::read);
    }
  }
  if (now_ms_ >= next_sweep_ms_) {
    next_sweep_ms_ = now_ms_ + kSweepMs;
    sweep_connections();
  }
  send_heartbeats();
}

void IoThread::sweep_connections() {
  const std::int64_t ping_after = core_.config.ping_interval.count();
  for (const auto& slot : slots_) {
    if (!slot) continue;
    Connection& c = *slot;
    switch (c.phase) {
      case Connection::Phase::handshake:
      case Connection::Phase::closing:
        if (now_ms_ < c.deadline_ms) break;
        // A drain has a deadline of its own, and what was published before it is owed.
        if (closing_all_ && !c.lane_unsent().empty()) break;
        if (c.phase == Connection::Phase::handshake) counters_.timeouts.add();
        drop(c);
        break;
      case Connection::Phase::open:
        // Never without a ping first, however late this sweep is.
        if (c.ping_sent && now_ms_ - c.heard_at_ms >= 2 * ping_after) {
          counters_.timeouts.add();
          core_.log(LogLevel::info,
                    "connection " + std::to_string(c.id) + " gave no sign of life and was dropped");
          drop(c);
        } else if (ping_after != 0 && !c.ping_sent && now_ms_ - c.heard_at_ms >= ping_after) {
          c.ping_sent = true;
          lane_append_frame(c, transport::Opcode::ping, {});
          flush(c);
        }
        break;
      case Connection::Phase::closed:
        break;
    }
  }
}

void IoThread::send_heartbeats() {
  const std::int64_t interval = core_.config.heartbeat_interval.count();
  for (const auto& [key, cohort] : cohorts_) {
    if (cohort->dialect == Dialect::plain || cohort->members.empty() ||
        now_ms_ - cohort->appended_at_ms < interval) {
      continue;
    }
    const Codec codec = codec_of(cohort->dialect);
    encoded_.clear();
    if (!encode(codec, {{}, Heartbeat{telemetry::wall_ns()}}, encoded_)) continue;
    std::string frame;
    transport::append_frame(
        frame, {codec == Codec::json ? transport::Opcode::text : transport::Opcode::binary},
        encoded_);
    append(*cohort, frame, {.keep = FrameMark::Keep::never});
  }
  write_dirty();
}

// ---- Connections by slot

Connection* IoThread::find(std::uint64_t token) noexcept {
  const auto slot = static_cast<std::uint32_t>(token);
  if (slot >= slots_.size() || !slots_[slot] || slots_[slot]->token != token) return nullptr;
  return slots_[slot]->phase == Connection::Phase::closed ? nullptr : slots_[slot].get();
}

void IoThread::sweep_dropped() {
  for (Connection* c : dropped_) {
    const auto slot = static_cast<std::uint32_t>(c->token);
    slots_[slot].reset();
    free_slots_.push_back(slot);
  }
  dropped_.clear();
}

std::vector<ConnectionStats> IoThread::connection_stats() const {
  std::vector<ConnectionStats> all;
  for (const auto& slot : slots_) {
    if (!slot || slot->phase != Connection::Phase::open || slot->cohort == nullptr) continue;
    const Connection& c = *slot;
    ConnectionStats stats;
    stats.id = c.id;
    if (c.name) stats.name = *c.name;
    stats.peer = c.socket.peer_address();
    stats.protocol = c.dialect == Dialect::plain  ? "plain"
                     : c.dialect == Dialect::json ? "stratwire.v1.json"
                                                  : "stratwire.v1.msgpack";
    stats.channels = c.cohort->channels.size();
    stats.sent_bytes = c.sent_bytes;
    stats.lag_bytes = c.cohort->log.head() - c.cursor + c.lane_unsent().size();
    stats.gaps = c.gaps;
    stats.connected_at = c.connected_at;
    all.push_back(std::move(stats));
  }
  return all;
}

}  // namespace stratwire::server
