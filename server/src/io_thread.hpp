/// One I/O thread: loop, poller, clock, listeners, tasks, and the shard that it runs.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <stratwire/transport/listener.hpp>
#include <stratwire/transport/poller.hpp>

#include "core.hpp"
#include "hub.hpp"
#include "hub_link.hpp"
#include "now.hpp"
#include "shard.hpp"
#include "shard_host.hpp"
#include "task.hpp"

namespace stratwire::server {

class IoThread final : private ShardHost {
 public:
  /// The first one (index 0) also runs the hub and accepts.
  IoThread(Core& core, std::size_t index, transport::Poller poller, transport::Wakeup wakeup);
  ~IoThread() override;

  // ---- Creating thread only

  void add_listener(transport::Listener listener);
  /// All threads are made before one of them starts. One that the caller runs only notes it.
  void start();
  /// Ends the loop and waits for it; open connections are cut.
  void stop();

  // ---- The thread that runs this one, where that is the caller (Threading::caller)

  /// As Server::poll().
  std::size_t poll(std::chrono::nanoseconds timeout);
  /// Polls until `done`, or so long. \return the last answer of `done`
  bool poll_until(const std::function<bool()>& done, std::chrono::nanoseconds timeout);
  /// As Server::poll_fd().
  [[nodiscard]] int poll_fd();
  /// Whether the calling thread may use try_hand_on().
  [[nodiscard]] bool runs_on_this_thread() const noexcept;
  /// Hands the message to the hub, past the inbox; false when it must wait in the inbox: behind
  /// others, or for the next poll().
  [[nodiscard]] bool try_hand_on(Publication& publication);

  // ---- Any thread

  /// Runs `task` on this thread, soon.
  void post(Task task);
  void wake() noexcept { wakeup_.notify(); }

  // ---- This thread only

  [[nodiscard]] Shard& shard() noexcept { return shard_; }
  /// Stops accepting and tells all connections of all threads to go away. First thread only.
  void go_away();
  /// Stops accepting, hands on what the inbox holds, then closes all connections of all threads.
  /// First thread only.
  void begin_drain();

 private:
  // The loop
  void run();
  /// \return messages that were handed on
  std::size_t turn();
  /// Waits for sockets, not at all after work, and serves them. \return how many
  std::size_t wait(bool worked, std::chrono::nanoseconds limit);
  void arm_poll_fd();
  [[nodiscard]] std::chrono::nanoseconds sleep_limit() const noexcept;
  [[nodiscard]] bool has_work() noexcept;
  void run_tasks();
  void on_ready(const transport::Ready& ready);

  // Listeners
  [[nodiscard]] bool looks_at_last_heard() noexcept;
  std::size_t look_at_last_heard();
  void accept(transport::Listener& listener);
  void hand_over(transport::Socket socket);
  void pause_accepting(const transport::AcceptResult& why);
  void resume_accepting();

  // ShardHost
  bool watch(int fd, std::uint64_t token, transport::Interest interest) override;
  void change_watch(int fd, std::uint64_t token, transport::Interest interest) override;
  void unwatch(int fd) override;
  void ask_hub(std::unique_ptr<InterestChange> change) override;
  void tell_hub(std::unique_ptr<InterestChange> change) override;
  void ask_connections(std::uint64_t token) override;

  Core& core_;
  const std::size_t index_;
  transport::Poller poller_;
  transport::Wakeup wakeup_;
  Shard shard_;
  std::unique_ptr<Hub> hub_{};       ///< First thread only.
  std::unique_ptr<HubLink> link_{};  ///< From the hub; all others.
  std::vector<transport::Listener> listeners_{};
  std::array<transport::Ready, transport::Poller::kReadyMax> ready_{};

  Now now_{};                    ///< Read once per turn, and once per connection that is ready.
  std::size_t next_thread_ = 0;  ///< Gets the next connection that is accepted here.
  std::int64_t accept_again_ms_ = 0;
  bool accept_paused_ = false;
  bool accept_fails_ = false;  ///< Since the last connection that was accepted.
  static constexpr std::uint64_t kNobody = 0;
  std::uint64_t last_heard_ = kNobody;  ///< Token of the connection that was readable last.
  std::uint32_t looks_ = 0;

  std::mutex tasks_mutex_;
  std::vector<Task> tasks_{};
  std::atomic<bool> has_tasks_{false};  // written under the mutex
  std::atomic<bool> stop_{false};       // written by stop()
  std::thread thread_{};

  // Where the caller runs it
  std::atomic<std::uint64_t> caller_{0};  // written by poll(): the thread's number
  bool polling_ = false;                  ///< Within poll(): what is published then queues up.
  bool tells_by_fd_ = false;              ///< poll_fd() was asked for.
};

}  // namespace stratwire::server
