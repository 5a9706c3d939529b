/// One simulated world: servers, clients, the network between them, and what goes wrong.
///
/// How it works:
///  1. One seed draws everything: the settings of the servers and clients, who subscribes to what,
///     the channels' rates, which faults this world may have (its menu) and how often. Every part
///     has its own stream of chance, forked from the seed.
///  2. The servers are the real Core, Hub, Shard and HubLink (SimServer); the clients are the real
///     ClientSession, FrameParser, Decoder and ClientHandshake (SimClient). Between them are Pipes.
///     Nothing else of the product is replaced but the loops around them.
///  3. There is one thread and one clock, the Scheduler's, which jumps from event to event. Nobody
///     sleeps, nobody looks at the time of this machine, nobody asks it for random bytes.
///  4. One Feed publishes to all servers, so that they have the same messages under the same
///     numbers, and all have the same epoch: a client may go from one to another.
///  5. For a while the world injects faults from its menu. Each is counted when it takes effect.
///  6. Then it heals: nothing new goes wrong, servers that are down come back, whatever was held up
///     goes on. Connections that are dead without anybody knowing it stay dead: to notice is the
///     clients' and servers' work. Within a bound that follows from the settings every client must
///     be live.
///  7. Publishing ends, some heartbeats pass, and the judges compare what was handed over with what
///     was published. The world has failed if one finds anything, or if a limit was broken.
///  8. Everything that happens is mixed into the hash of a Trace: the same seed gives the same
///  hash,
///     with or without lines.
///
/// What merges several clients into one line joins here: make_clients() gives each client a
/// Strategy, which is a Judge now.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "fault.hpp"
#include "judge.hpp"
#include "saboteur.hpp"
#include "settings.hpp"
#include "sim_client.hpp"
#include "sim_server.hpp"

namespace stratwire::sim {

struct Options {
  std::uint64_t seed = 1;
  Trace::Lines lines = Trace::Lines::none;
  Sabotage sabotage = Sabotage::none;
};

/// What became of a world.
struct Outcome {
  std::string report{};  ///< Empty: nothing was found.
  std::uint64_t hash = 0;
  double seconds = 0;  ///< Simulated.
  FaultCounts faults{};
  std::uint64_t published = 0;
  std::uint64_t handed = 0;
  std::uint64_t gaps = 0;
  std::uint64_t replayed = 0;
  [[nodiscard]] bool ok() const noexcept { return report.empty(); }
};

[[nodiscard]] Outcome run_world(const Options& options);

/// \thread one thread: the simulation's
class World final : public Network {
 public:
  explicit World(const Options& options);
  ~World() override;

  [[nodiscard]] Outcome run();

 private:
  /// One address, and the server that is there, if there is one.
  struct Site {
    enum class State : std::uint8_t { up, leaving, closing, down };
    std::size_t index = 0;
    std::unique_ptr<SimServer> server{};
    State state = State::down;
    TimeNs lag = 0;  ///< By which the feed reaches it late.
    std::unique_ptr<Timer> next_state{};
    std::unique_ptr<Timer> next_message{};
  };
  struct Client {
    std::unique_ptr<Judge> judge{};
    std::unique_ptr<Saboteur> saboteur{};
    std::unique_ptr<SimClient> client{};
    SimClientConfig config{};
    std::vector<std::string> unwished{};
    TimeNs wish_again_at = 0;
    std::unique_ptr<Timer> churns{};  ///< In the middle of a replay.
  };
  struct Link {
    std::shared_ptr<Pipe> pipe{};
    std::size_t site = 0;
  };
  struct Channel {
    TimeNs interval = 0;  ///< Mean, between two messages.
    TimeNs born = 0;      ///< Nothing before.
    TimeNs quiet_until = 0;
    TimeNs next_at = 0;
  };

  // world.cpp: phases, publishing, sites
  void make_channels();
  void make_clients();
  void run_until(TimeNs when);
  [[nodiscard]] bool all_live() const;
  void heal();
  void settle();
  void look();
  void publish_due();
  void publish(std::size_t channel);
  void note_appearance(std::size_t channel);
  void feed(Site& site);
  void start(Site& site);
  void stop(Site& site);
  void advance(Site& site);
  void harvest(const SimServer& server);
  void fail(std::string text);
  [[nodiscard]] Outcome outcome();

  // Network
  [[nodiscard]] TimeNs dial(const SimClient& client) override;
  [[nodiscard]] std::shared_ptr<Pipe> arrive(const SimClient& client, std::size_t site) override;
  [[nodiscard]] std::optional<std::size_t> site_of(std::string_view url) const override;
  void opened(const SimClient& client, std::size_t site) override;
  [[nodiscard]] Afterlife dropped(const SimClient& client, Pipe& pipe) override;
  void told_late(const SimClient& client) override;
  void old_came_late(const SimClient& client) override;

  // world_faults.cpp: what goes wrong
  void inject();
  void inject(Fault fault);
  void break_connection(Fault fault, Pipe& pipe);
  void slow_connection(Fault fault, Pipe& pipe);
  void slow_client(Fault fault, Client& client);
  void meddle(Fault fault, Client& client);
  void churn(Client& client);
  void wish_again();
  void restart_client(Client& client);
  void burst();
  void jump_clock(Fault fault);
  void restart_site(Fault fault);
  void restart_all();
  void drain_site(Fault fault);
  [[nodiscard]] bool on_menu(Fault fault) const noexcept;
  [[nodiscard]] std::uint64_t& counter(Fault fault) noexcept {
    return faults_[static_cast<std::size_t>(fault)];
  }
  void count(Fault fault) noexcept { ++counter(fault); }
  [[nodiscard]] TimeNs soon(TimeNs least, TimeNs most) {
    return scheduler_.now() + random_.between(least, most);
  }

  Options options_;
  Trace trace_;
  Random random_;
  Scheduler scheduler_{trace_};
  Settings settings_;
  FaultCounts faults_{};
  Feed feed_;
  std::vector<Channel> channels_{};
  std::vector<Site> sites_{};
  std::vector<Link> links_{};
  std::vector<Client> clients_{};
  std::vector<Fault> menu_{};
  Timer inject_;
  Timer publish_;
  Timer look_;
  std::uint64_t contents_ = 0;
  std::uint64_t pipe_ids_ = 0;
  std::uint64_t replayed_ = 0;
  bool injecting_ = true;
  bool publishing_ = true;
  std::vector<std::string> failures_{};
};

}  // namespace stratwire::sim
