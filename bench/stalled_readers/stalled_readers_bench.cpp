/// What readers that do not read cost those that do: latency from publish() to a reader, with and
/// without a tenth of all readers stalled.
///
/// 1. The server's I/O thread is on core 0; on core 1 one thread reads for all light clients
///    (socket, parser, decoder, cursor), and another one publishes on a fixed schedule.
/// 2. The stalled ones have the smallest receive buffers there are. Before the time is taken, all
///    are flooded until each stalled one was lapped, so that kernel buffers hide nothing.
/// 3. A sample is the time from publish() to the message being decoded, of every message at every
///    reader that reads; with N readers the last one of a message waits for N sends and N reads.
/// 4. The two rows take turns; each percentile is the median of the rounds'. No samples are left
///    out. A row in which a reader lost a message is no result: the program says so and ends
///    with 1.
#include <atomic>
#include <chrono>
#include <cstring>

#include <stratwire/server.hpp>
#include <stratwire/testing/crowd.hpp>

#include "../support/rig.hpp"

namespace stratwire::bench {
namespace {

using Clock = std::chrono::steady_clock;
using testing::Crowd;

constexpr const char* kChannel = "prices:SOL-USDC";
constexpr int kSmallBuffer = 2'048;
constexpr std::chrono::seconds kPatience{60};

struct Load {
  std::size_t readers = 900;
  std::size_t stalled = 100;
  double per_second = 100;
  Clock::duration time{};
};

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch())
      .count();
}

void publish(Publisher& publisher) {
  if (publisher.publish(PriceUpdate{"USDC", "SOL", 142.33, 12, now_ns()}) != PublishStatus::ok) {
    die("publish() did not take the message");
  }
}

void subscribe(Crowd& crowd) {
  const auto end = Clock::now() + kPatience;
  while (crowd.subscribed() < crowd.size()) {
    if (Clock::now() > end) die("not all could subscribe; are there enough descriptors?");
    crowd.poll(std::chrono::milliseconds{10});
  }
}

void catch_up(Crowd& crowd, std::uint64_t head) {
  const auto end = Clock::now() + kPatience;
  for (std::size_t i = 0; i < crowd.size();) {
    if (crowd.member(i).cursor >= head) {
      ++i;
    } else if (Clock::now() > end || crowd.member(i).has_ended) {
      die("a reader did not get everything");
    } else {
      crowd.poll(std::chrono::milliseconds{10});
    }
  }
}

/// Until nothing more can hide in the kernel: each stalled one was lapped. \return the head
std::uint64_t flood(Server& server, Publisher& publisher, Crowd& crowd, std::size_t stalled) {
  std::uint64_t head = 0;
  while (server.stats().gaps < stalled) {
    for (int i = 0; i < 50; ++i, ++head) publish(publisher);
    catch_up(crowd, head);
  }
  return head;
}

std::vector<double> run(const Load& load) {
  ServerConfig config;
  config.port = 0;
  config.io_cpu = 0;
  config.lane_bytes_max = 64 * 1024;
  Server server = Server::open(config).value();
  Crowd readers({server.local_port(), load.readers, kChannel, Codec::msgpack, 0});
  Crowd stalled({server.local_port(), load.stalled, kChannel, Codec::msgpack, kSmallBuffer});
  subscribe(readers);
  subscribe(stalled);
  for (std::size_t i = 0; i < stalled.size(); ++i) stalled.stall(i);
  Publisher publisher = server.publisher(kChannel);
  std::uint64_t head = flood(server, publisher, readers, load.stalled);

  const auto messages = static_cast<std::uint64_t>(
      std::chrono::duration<double>(load.time).count() * load.per_second);
  std::vector<double> samples;
  samples.reserve(messages * load.readers);
  std::thread publishing([&] {
    pin(1);
    const auto start = Clock::now();
    const std::chrono::duration<double> interval(1 / load.per_second);
    for (std::uint64_t i = 0; i < messages; ++i) {
      std::this_thread::sleep_until(
          start + std::chrono::duration_cast<Clock::duration>(static_cast<double>(i) * interval));
      publish(publisher);
    }
  });
  const std::uint64_t wanted = messages * load.readers;
  const auto end = Clock::now() + load.time + kPatience;
  while (samples.size() < wanted && Clock::now() < end) {
    readers.poll(std::chrono::milliseconds{10}, [&](std::size_t, const Message& message) {
      const auto* const price = std::get_if<PriceUpdate>(&message.body);
      if (price != nullptr) {
        samples.push_back(static_cast<double>(now_ns() - price->timestamp) / 1'000);
      }
    });
  }
  publishing.join();
  head += messages;
  for (std::size_t i = 0; i < readers.size(); ++i) {
    if (readers.member(i).received != head) die("a reader that reads has lost messages");
  }
  return samples;
}

constexpr std::size_t kP99 = 2;

int main_of(int argc, char** argv) {
  Load load;
  const double seconds = option(argc, argv, "--seconds", 18);
  const auto rounds = static_cast<std::size_t>(option(argc, argv, "--rounds", 3));
  load.readers = static_cast<std::size_t>(option(argc, argv, "--readers", 900));
  const auto stalled = static_cast<std::size_t>(option(argc, argv, "--stalled", 100));
  load.per_second = option(argc, argv, "--rate", 100);
  load.time = std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(seconds / static_cast<double>(rounds) / 2));
  testing::raise_descriptor_limit();
  pin(1);
  const std::string nobody = "nobody stalled";
  const std::string some = std::to_string(stalled) + " stalled";
  std::printf(
      "from publish() to each of %zu readers, %g messages/s; medians of %zu rounds of %.2f s\n",
      load.readers, load.per_second, rounds, std::chrono::duration<double>(load.time).count());
  Table table{"us"};
  for (std::size_t round = 0; round < rounds; ++round) {
    load.stalled = 0;
    table.add_samples({nobody}, run(load));
    load.stalled = stalled;
    table.add_samples({some, nobody}, run(load));
  }
  table.finish(argc, argv);
  std::printf("p99 with them / without them: %.2f\n",
              table.middle(some, kP99) / table.middle(nobody, kP99));
  return 0;
}

}  // namespace
}  // namespace stratwire::bench

int main(int argc, char** argv) {
  return stratwire::bench::main_of(argc, argv);
}
