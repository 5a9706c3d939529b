#include "io_thread.hpp"

#include <algorithm>
#include <chrono>
#include <pthread.h>
#include <sched.h>
#include <utility>

#include <stratwire/telemetry/clock.hpp>

#include "stats_page.hpp"

namespace stratwire::server {
namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t kWakeupToken = ~std::uint64_t{0};
/// Looks of one that spins, of which the last is at every descriptor.
constexpr std::uint32_t kLooksPerWait = 4;
constexpr std::size_t kAcceptsPerTurn = 256;
/// Connections beyond connections_max that may ask for a page, or be told that the server is full.
constexpr std::size_t kSurplusMax = 1024;

/// Tokens of listeners count down from below the wake-up's; connections never reach them.
constexpr std::uint64_t listener_token(std::size_t index) noexcept {
  return kWakeupToken - 1 - index;
}

/// Of two limits, of which either may be none.
std::chrono::nanoseconds shorter(std::chrono::nanoseconds a, std::chrono::nanoseconds b) noexcept {
  if (a.count() < 0) return b;
  return b.count() < 0 ? a : std::min(a, b);
}

Now look_at_clocks() {
  return {telemetry::monotonic_ns() / 1'000'000, telemetry::wall_ns()};
}

/// A number for each thread that asks; never used again, unlike the system's.
std::uint64_t number_of_this_thread() noexcept {
  static std::atomic<std::uint64_t> last{0};
  thread_local std::uint64_t mine = 0;
  // relaxed: only that no two get the same matters.
  if (mine == 0) mine = 1 + last.fetch_add(1, std::memory_order_relaxed);
  return mine;
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
      shard_(core, index, *this) {
  if (index == 0) {
    hub_ = std::make_unique<Hub>(core, shard_);
  } else {
    link_ = std::make_unique<HubLink>(core.figures[index], [this] { wake(); });
    core.threads.front()->hub_->add_link(*link_);
  }
  (void)poller_.add(wakeup_.fd(), kWakeupToken, transport::Interest::read);
}

IoThread::~IoThread() {
  if (thread_.joinable()) stop();
}

void IoThread::add_listener(transport::Listener listener) {
  (void)poller_.add(listener.fd(), listener_token(listeners_.size()), transport::Interest::read);
  listeners_.push_back(std::move(listener));
}

void IoThread::start() {
  if (index_ == 0 && core_.config.threading == Threading::caller) return;
  thread_ = std::thread([this] { run(); });
}

void IoThread::stop() {
  if (!thread_.joinable()) {
    shard_.drop_all();
    return;
  }
  // release: pairs with the acquire in run(); nothing else hangs on it.
  stop_.store(true, std::memory_order_release);
  wake();
  thread_.join();
}

void IoThread::post(Task task) {
  {
    const std::lock_guard lock(tasks_mutex_);
    tasks_.push_back(std::move(task));
  }
  // release: pairs with the acquire in has_work(); the task itself is guarded by the mutex.
  has_tasks_.store(true, std::memory_order_release);
  wake();
}

// ---- The loop

void IoThread::run() {
  if (core_.config.io_cpu >= 0) pin_to(core_.config.io_cpu + static_cast<int>(index_));
  pthread_setname_np(pthread_self(), ("stratwire-io" + std::to_string(index_)).c_str());
  // acquire: pairs with the release in stop().
  while (!stop_.load(std::memory_order_acquire)) {
    now_ = look_at_clocks();
    wait(turn() != 0, transport::Poller::kNoTimeout);
  }
  shard_.drop_all();
}

std::size_t IoThread::turn() {
  run_tasks();
  std::size_t handed_on = 0;
  if (hub_) {
    handed_on = hub_->drain(core_.turn.messages, now_);
    hub_->flush_links();
  } else {
    link_->drain(shard_, core_.turn.bytes, now_);
  }
  // Once more: what was just published is written now, not before. Not where nothing was, for who
  // spins would do little else.
  if (handed_on != 0 || link_) now_ = look_at_clocks();
  shard_.turn(now_);
  if (hub_) {
    hub_->settle_paced();
  } else {
    link_->settle();
  }
  if (accept_paused_ && now_.ms >= accept_again_ms_) resume_accepting();
  return handed_on;
}

std::size_t IoThread::wait(bool worked, std::chrono::nanoseconds limit) {
  // After work only a look: what came meanwhile is taken with the next batch, which waits already.
  std::chrono::nanoseconds timeout{0};
  const bool may_sleep = !worked && limit != timeout && core_.config.waiting == Waiting::park;
  if (may_sleep) {
    wakeup_.prepare_sleep();
    if (!has_work()) timeout = shorter(sleep_limit(), limit);
  } else if (looks_at_last_heard()) {
    return look_at_last_heard();
  }
  const std::size_t ready = poller_.wait(ready_, timeout);
  if (may_sleep) wakeup_.end_sleep();
  if (ready == 0 && !worked && core_.config.waiting == Waiting::yield) sched_yield();
  for (std::size_t i = 0; i < ready; ++i) on_ready(ready_[i]);
  return ready;
}

/// Who spins looks at the connection that spoke last more often than at all: the first costs a
/// third, and finds the bytes themselves.
bool IoThread::looks_at_last_heard() noexcept {
  return core_.config.waiting == Waiting::spin && last_heard_ != kNobody &&
         ++looks_ % kLooksPerWait != 0;
}

std::size_t IoThread::look_at_last_heard() {
  switch (shard_.look_at(last_heard_, now_)) {
    case Shard::Look::something:
      return 1;
    case Shard::Look::gone:
      last_heard_ = kNobody;
      break;
    case Shard::Look::nothing:
      break;
  }
  return 0;
}

std::chrono::nanoseconds IoThread::sleep_limit() const noexcept {
  if (shard_.open_connections() == 0 && !accept_paused_) return transport::Poller::kNoTimeout;
  return milliseconds(std::max<std::int64_t>(0, shard_.next_tick_ms() - now_.ms));
}

bool IoThread::has_work() noexcept {
  // acquire: pairs with the release in post().
  if (has_tasks_.load(std::memory_order_acquire) || shard_.has_work()) return true;
  // acquire: pairs with the release in stop().
  if (stop_.load(std::memory_order_acquire)) return true;
  return hub_ ? hub_->has_work() : !link_->empty();
}

// ---- On the caller's thread

std::size_t IoThread::poll(std::chrono::nanoseconds timeout) {
  // relaxed: a thread only looks for its own number, which it wrote itself.
  caller_.store(number_of_this_thread(), std::memory_order_relaxed);
  polling_ = true;
  wakeup_.end_sleep();
  const std::int64_t begun_ns = timeout.count() > 0 ? telemetry::monotonic_ns() : 0;
  std::chrono::nanoseconds left = timeout;
  std::size_t done = 0;
  now_ = look_at_clocks();
  // What was published past the inbox goes first, as if it had been handed on in a turn of its own:
  // tasks find the logs sent.
  shard_.write(now_);
  for (;;) {
    // What waits, then the sockets, then what those brought.
    done = turn();
    const std::size_t ready = wait(done != 0, left);
    if (ready != 0) done += ready + turn();
    if (timeout.count() > 0) {
      const std::chrono::nanoseconds passed(telemetry::monotonic_ns() - begun_ns);
      left = std::max(timeout - passed, std::chrono::nanoseconds{0});
    }
    if (done != 0 || left.count() == 0) break;
    now_ = look_at_clocks();
  }
  polling_ = false;
  if (tells_by_fd_) arm_poll_fd();
  return done;
}

bool IoThread::poll_until(const std::function<bool()>& done, std::chrono::nanoseconds timeout) {
  const std::int64_t deadline_ns = telemetry::monotonic_ns() + timeout.count();
  while (!done()) {
    const std::chrono::nanoseconds left(deadline_ns - telemetry::monotonic_ns());
    if (left.count() <= 0) return false;
    poll(std::min<std::chrono::nanoseconds>(left, milliseconds(Shard::kTickMs)));
  }
  return true;
}

int IoThread::poll_fd() {
  tells_by_fd_ = true;
  arm_poll_fd();
  return poller_.fd();
}

/// The caller may sleep from here on, in a poller of its own.
void IoThread::arm_poll_fd() {
  wakeup_.prepare_sleep();
  if (has_work()) wake();
}

bool IoThread::runs_on_this_thread() const noexcept {
  // relaxed: as in poll().
  return caller_.load(std::memory_order_relaxed) == number_of_this_thread();
}

bool IoThread::try_hand_on(Publication& publication) {
  // Within poll() the shard is in the middle of something.
  if (polling_) return false;
  // Reading the clock costs a quarter of all this: only where the time will be told.
  const Channel* const channel = publication.channel;
  if (channel != nullptr && (channel->log.head() + 1) % kHopSampleEvery == 0) {
    publication.published_ns = telemetry::wall_ns();
  }
  return hub_->try_handle(publication);
}

void IoThread::run_tasks() {
  // acquire: pairs with the release in post().
  if (!has_tasks_.load(std::memory_order_acquire)) return;
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(tasks_mutex_);
    tasks.swap(tasks_);
    // relaxed: written under the mutex that post() takes before it sets the flag again.
    has_tasks_.store(false, std::memory_order_relaxed);
  }
  for (Task& task : tasks) task();
}

void IoThread::on_ready(const transport::Ready& ready) {
  if (ready.token == kWakeupToken) {
    wakeup_.drain();
    return;
  }
  // A Pong tells when its Ping came: the time of this connection, not of all that were ready.
  now_ = look_at_clocks();
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    if (ready.token == listener_token(i)) {
      accept(listeners_[i]);
      return;
    }
  }
  shard_.on_ready(ready, now_);
  last_heard_ = ready.token;
}

void IoThread::go_away() {
  listeners_.clear();
  accept_paused_ = false;
  hub_->go_away_behind_links();
  shard_.go_away(now_);
}

void IoThread::begin_drain() {
  listeners_.clear();
  accept_paused_ = false;
  // seq_cst: pairs with the fence in Wakeup::notify(); see Core::submit(). `closed` was set before
  // this task was posted.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  while (hub_->has_work()) {
    if (hub_->drain(~std::size_t{0}, now_) == 0) sched_yield();
    hub_->flush_links();
    shard_.write(now_);
  }
  hub_->close_all_behind_links();
  shard_.close_all(now_);
}

// ---- Listeners

void IoThread::accept(transport::Listener& listener) {
  for (std::size_t i = 0; i < kAcceptsPerTurn; ++i) {
    transport::AcceptResult accepted = listener.accept();
    if (accepted.status == transport::AcceptStatus::would_block) return;
    if (accepted.status != transport::AcceptStatus::ok) {
      pause_accepting(accepted);
      return;
    }
    accept_fails_ = false;
    ShardCounters& counters = core_.figures[index_].counters;
    counters.accepted.add();
    // relaxed: only this thread adds, and one more or less for a moment does no harm.
    if (core_.connections.load(std::memory_order_relaxed) >= core_.config.connections_max) {
      // Beyond that many it is not even told.
      if (shard_.surplus_connections() < kSurplusMax) {
        shard_.adopt_surplus(std::move(accepted.socket), now_);
      } else {
        counters.handshakes_refused.add();
      }
      continue;
    }
    hand_over(std::move(accepted.socket));
  }
}

void IoThread::hand_over(transport::Socket socket) {
  // relaxed: a figure; the socket itself is handed over by post().
  core_.connections.fetch_add(1, std::memory_order_relaxed);
  // In turn. By the number of connections, one that comes and goes would always meet the same.
  IoThread& thread = *core_.threads[next_thread_++ % core_.threads.size()];
  if (&thread == this) {
    shard_.adopt(std::move(socket), now_);
  } else {
    thread.post([&thread, moved = std::move(socket)]() mutable {
      thread.shard_.adopt(std::move(moved), thread.now_);
    });
  }
}

void IoThread::pause_accepting(const transport::AcceptResult& why) {
  // Once, however long it lasts.
  if (!std::exchange(accept_fails_, true)) {
    core_.log(LogLevel::error,
              why.status == transport::AcceptStatus::out_of_descriptors
                  ? "out of descriptors: raise 'ulimit -n' or lower connections_max"
                  : "accept failed, errno " + std::to_string(why.error));
  }
  // Level-triggered: without a pause the loop would spin on the same connection.
  accept_paused_ = true;
  accept_again_ms_ = now_.ms + Shard::kTickMs;
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    (void)poller_.modify(listeners_[i].fd(), listener_token(i), transport::Interest::none);
  }
}

void IoThread::resume_accepting() {
  accept_paused_ = false;
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    (void)poller_.modify(listeners_[i].fd(), listener_token(i), transport::Interest::read);
  }
}

// ---- What the shard asks

bool IoThread::watch(int fd, std::uint64_t token, transport::Interest interest) {
  return poller_.add(fd, token, interest) == 0;
}

void IoThread::change_watch(int fd, std::uint64_t token, transport::Interest interest) {
  (void)poller_.modify(fd, token, interest);
}

void IoThread::unwatch(int fd) {
  poller_.remove(fd);
}

void IoThread::ask_hub(std::unique_ptr<InterestChange> change) {
  if (hub_) {
    hub_->change_interest(*change, now_);
    shard_.on_interest(std::move(change), now_);
    return;
  }
  IoThread& first = *core_.threads.front();
  first.post([this, &first, moved = std::move(change)]() mutable {
    first.hub_->change_interest(*moved, first.now_);
    link_->forward(std::move(moved));
  });
}

void IoThread::tell_hub(std::unique_ptr<InterestChange> change) {
  if (hub_) {
    hub_->change_interest(*change, now_);
    return;
  }
  IoThread& first = *core_.threads.front();
  first.post(
      [&first, moved = std::move(change)] { first.hub_->change_interest(*moved, first.now_); });
}

void IoThread::ask_connections(std::uint64_t token) {
  gather_connections(core_, [this, token](std::vector<ConnectionStats> all) {
    post([this, token, moved = std::move(all)] { shard_.on_connections(token, moved, now_); });
  });
}

}  // namespace stratwire::server
