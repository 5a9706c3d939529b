/// The real server without its threads: Core, Hub, Shards and HubLinks, run by the scheduler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core.hpp"
#include "hub.hpp"
#include "hub_link.hpp"
#include "pipe.hpp"
#include "shard.hpp"
#include "shard_host.hpp"

namespace stratwire::sim {

/// One process at one address. What IoThread does in its loop, a Lane does here in an event: tasks,
/// hub or link, turn, then what is ready.
///
/// \thread one thread: the simulation's
class SimServer {
 public:
  SimServer(Scheduler& scheduler, Random random, std::string name, ServerConfig config,
            std::uint64_t epoch);
  /// The process is killed: every socket is closed by the kernel.
  ~SimServer();
  SimServer(const SimServer&) = delete;
  SimServer& operator=(const SimServer&) = delete;

  /// One message of the log of a process that is gone, as it was published at that time.
  ///
  /// \return false when it was not taken
  [[nodiscard]] bool restore(const std::string& channel, const DataMessage& message, TimeNs at);
  [[nodiscard]] PublishStatus publish(const std::string& channel, const DataMessage& message);
  /// Messages that were taken, those of restore() included.
  [[nodiscard]] std::size_t published() const noexcept { return published_; }

  /// A client's connection has come. Precondition: listening().
  void accept(std::shared_ptr<Pipe> pipe);
  [[nodiscard]] bool listening() const noexcept { return listening_; }

  // ---- As Server::drain() does it

  void go_away(std::chrono::milliseconds grace);
  void close_all();
  [[nodiscard]] bool empty() const noexcept;

  // ---- Faults

  void pause(TimeNs until);
  void jump_wall_clock(TimeNs by) noexcept { wall_offset_ += by; }

  // ---- How things are

  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] std::uint64_t epoch() const noexcept { return core_.epoch; }
  [[nodiscard]] server::Core& core() noexcept { return core_; }
  [[nodiscard]] std::vector<ConnectionStats> connections() const;
  /// Open connections that carry this client's name.
  [[nodiscard]] std::size_t connections_of(const std::string& client) const;
  /// What is beyond a limit; empty when all is well.
  ///
  /// \param channels  whose logs are looked at
  [[nodiscard]] std::string broken_limit(std::span<const std::string> channels) const;

 private:
  /// An I/O thread.
  class Lane final : public Actor, public server::ShardHost, public PipeUser {
   public:
    Lane(SimServer& server, Scheduler& scheduler, std::size_t index);
    ~Lane() override;

    void wake();
    void pipe_changed() override { wake(); }

    server::Shard shard;
    std::unique_ptr<server::Hub> hub{};
    std::unique_ptr<server::HubLink> link{};

   private:
    friend class SimServer;
    struct Watch {
      int fd = -1;
      std::uint64_t token = 0;
      transport::Interest interest = transport::Interest::none;
      Pipe* pipe = nullptr;
    };
    /// To the hub's lane: a change of interest that lane `from` asks for or tells of.
    struct Task {
      std::unique_ptr<server::InterestChange> change{};
      std::size_t from = 0;
      bool told = false;
    };

    void on_event() override;
    void run_tasks();
    void accept_all();
    void adopt(std::shared_ptr<Pipe> pipe);
    [[nodiscard]] bool poll();
    void sleep(bool worked);
    [[nodiscard]] bool watch(int fd, std::uint64_t token, transport::Interest interest) override;
    void change_watch(int fd, std::uint64_t token, transport::Interest interest) override;
    void unwatch(int fd) override;
    void ask_hub(std::unique_ptr<server::InterestChange> change) override;
    void tell_hub(std::unique_ptr<server::InterestChange> change) override;
    void ask_connections(std::uint64_t token) override;

    SimServer& server_;
    std::size_t index_;
    std::deque<Task> tasks_{};
    std::vector<std::shared_ptr<Pipe>> backlog_{};   ///< Of the listener; first lane only.
    std::vector<std::shared_ptr<Pipe>> accepted_{};  ///< Handed to this lane.
    std::vector<Watch> watches_{};
    std::vector<transport::Ready> ready_{};
  };

  [[nodiscard]] server::Now look_at_clocks(TimeNs at) const noexcept;
  [[nodiscard]] server::Now look_at_clocks() const noexcept;
  [[nodiscard]] server::Channel* channel_of(const std::string& name);
  [[nodiscard]] PublishStatus submit(const std::string& channel, const DataMessage& message);

  Scheduler& scheduler_;
  Random random_;
  std::string name_;
  server::Core core_;
  std::vector<std::unique_ptr<Lane>> lanes_{};
  std::size_t next_lane_ = 0;
  std::size_t published_ = 0;
  TimeNs paused_until_ = 0;
  TimeNs wall_offset_ = 0;
  bool listening_ = true;
};

}  // namespace stratwire::sim
