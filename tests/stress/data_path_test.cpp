// After warm-up nothing between publish() and the handler allocates or takes a lock: counted, in
// every thread of a real server and of real clients, over a million messages.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/client.hpp>
#include <stratwire/server.hpp>

#include "../support/counted_calls.hpp"

namespace stratwire::test {

/// Travels as an Event in MessagePack.
struct Fill {
  double price = 0;
  std::uint64_t size = 0;
  std::string_view venue{};
};
STRATWIRE_DESCRIBE(Fill, price, size, venue)

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::uint64_t kMessages = 20'000;
/// Of each channel; so that they are full after the warm-up.
constexpr std::size_t kLogMessages = 64;
#else
constexpr std::uint64_t kMessages = 1'000'000;
constexpr std::size_t kLogMessages = ChannelLogConfig{}.messages_max;
#endif
/// Enough that every log and buffer has its final size, channels fell quiet and heartbeats told.
constexpr std::uint64_t kWarmUp = std::max<std::uint64_t>(kMessages / 5, 20'000);
/// Of each shape of message, and of each policy for slow readers.
constexpr std::size_t kChannelsOfKind = 12;
/// So far the publisher may be ahead of the slowest strategy: nobody is lapped, nothing is lost. In
/// the warm-up it is further ahead, so that logs and buffers are as large as they will ever be.
constexpr std::uint64_t kAheadMax = 500;
constexpr std::uint64_t kAheadMaxAtFirst = 8'000;
/// Where the scheduler made a pile of messages that was higher than all before, memory grew once
/// more, for good. What costs by the message is there in every try.
constexpr int kTries = 3;
constexpr std::chrono::seconds kPatience{100};
constexpr std::chrono::hours kNever{1};
constexpr std::chrono::milliseconds kBeat{50};
using Clock = std::chrono::steady_clock;

/// Publishes to a part of the channels at a time, so that the others fall quiet, which heartbeats
/// tell.
class Producer {
 public:
  explicit Producer(Server& server) {
    for (const char* const kind : {"prices:", "accounts:", "trades:", "fills:"}) {
      for (std::size_t i = 0; i < kChannelsOfKind; ++i) {
        publishers_.push_back(server.publisher(kind + std::to_string(i)));
      }
    }
  }

  /// False when the server has no room.
  bool publish(std::uint64_t number) {
    const std::size_t half = publishers_.size() / 2;
    const std::size_t quiet_part = number / (kWarmUp / 4) % 2;
    Publisher& publisher = publishers_[number % half * 2 + quiet_part];
    const std::string_view kind = publisher.channel().substr(0, publisher.channel().find(':'));
    if (kind == "prices") return ok(publisher.publish(PriceUpdate{kMint, kMint, 1.5, number, 99}));
    if (kind == "accounts") return ok(publisher.publish(AccountUpdate{kMint, number, 7, 99}));
    if (kind == "fills") return ok(publisher.publish(Fill{1.5, number, kMint}));
    return ok(publisher.publish(Event{"Trade", {Codec::json, R"({"side":"buy","size":17})"}}));
  }

 private:
  static constexpr std::string_view kMint = "9xQeWvG816bUx9EPjHmaT23yvVM2ZWbrrpZb9PusVFin";
  static bool ok(PublishStatus status) {
    EXPECT_TRUE(status == PublishStatus::ok || status == PublishStatus::back_pressured);
    return status == PublishStatus::ok;
  }

  std::vector<Publisher> publishers_{};
};

/// A client, and the thread that takes from it.
class Strategy {
 public:
  Strategy(ClientConfig config, const std::atomic<bool>& over)
      : client_(Client::open(std::move(config)).value()),
        gate_(client_.gate("prices:1").value()),
        over_(over) {
    const auto count = [this](const auto&, const Delivery&) noexcept { add(); };
    client_.on<PriceUpdate>(count);
    client_.on<AccountUpdate>(count);
    client_.on<Event>(count);
    client_.on<Fill>(count);
    client_.on<Gap>([](const Gap& gap, const Delivery& delivery) noexcept {
      ADD_FAILURE() << delivery.envelope.channel << ' ' << gap.from << ".." << gap.to;
    });
    client_.on<Subscribed>([this](const Subscribed&) noexcept {
      // release: pairs with the acquire in is_subscribed().
      subscribed_.store(true, std::memory_order_release);
    });
    client_.subscribe({"prices:*", "accounts:*", "trades:*", "fills:*"}).value();
    thread_ = std::thread([this] { run(); });
  }
  Strategy(const Strategy&) = delete;
  Strategy& operator=(const Strategy&) = delete;
  ~Strategy() { thread_.join(); }

  [[nodiscard]] bool is_subscribed() const noexcept {
    // acquire: pairs with the release in the constructor's handler.
    return subscribed_.load(std::memory_order_acquire);
  }
  [[nodiscard]] std::uint64_t received() const noexcept {
    // relaxed: a figure, for pacing.
    return received_.load(std::memory_order_relaxed);
  }

 private:
  void add() noexcept {
    // relaxed: a figure.
    received_.store(++count_, std::memory_order_relaxed);
  }
  void run() {
    pthread_setname_np(pthread_self(), "strategy");
    // relaxed: nothing hangs on when it is seen.
    while (!over_.load(std::memory_order_relaxed)) {
      // Nobody unsubscribes: everything goes to the handlers.
      (void)client_.receive_for<Unsubscribed>(std::chrono::milliseconds(20));
      (void)gate_.open();
    }
  }

  Client client_;
  ChannelGate gate_;
  const std::atomic<bool>& over_;
  std::uint64_t count_ = 0;
  std::atomic<std::uint64_t> received_{0};
  std::atomic<bool> subscribed_{false};
  std::thread thread_{};
};

struct Shape {
  Codec codec;
  Threading threading;
  Threading server = Threading::own_thread;
};

/// A server and two clients; what they and the producer do is counted while so many messages pass,
/// after the warm-up. With own_thread the server has two I/O threads and a client behind each, with
/// caller the producer serves the sockets.
class DataPath : public ::testing::TestWithParam<Shape> {
 protected:
  struct Outcome {
    std::vector<CountedCalls> calls{};
    std::chrono::nanoseconds taken{};
  };
  /// \param tries  it is counted again so often, until nothing is found
  Outcome count(std::uint64_t messages, int tries, std::chrono::milliseconds heartbeat_interval,
                std::chrono::milliseconds clock_interval) {
    ServerConfig server_config;
    server_config.port = 0;
    const bool served_by_producer = GetParam().server == Threading::caller;
    server_config.threading = GetParam().server;
    // One client behind the hub, one behind a ring.
    server_config.io_threads = served_by_producer ? 1 : 2;
    server_config.heartbeat_interval = heartbeat_interval;
    server_config.channel_log.messages_max = kLogMessages;
    server_config.kinds = {"prices", "accounts", "trades", "fills"};
    Server server = Server::open(server_config).value();
    ClientConfig config;
    config.url = "ws://" + server.local_addr();
    config.codec = GetParam().codec;
    config.threading = GetParam().threading;
    config.clock_interval = clock_interval;
    std::atomic<bool> over{false};
    std::array<Strategy, 2> strategies{Strategy{config, over}, Strategy{config, over}};
    // Some heartbeats, if any are wanted.
    const auto least = heartbeat_interval < kNever ? 2 * heartbeat_interval : decltype(kBeat){0};
    Outcome outcome = count(messages, tries, least, server, strategies);
    // While its clients are there to answer: later nobody would poll it for their close.
    if (served_by_producer) {
      EXPECT_TRUE(server.drain(kPatience).ok());
    }
    over = true;
    return outcome;
  }

 private:
  /// \param least  it is counted for so long, however quickly the messages pass
  static Outcome count(std::uint64_t messages, int tries, std::chrono::nanoseconds least,
                       Server& server, const std::array<Strategy, 2>& strategies) {
    Producer producer{server};
    const auto end = Clock::now() + kPatience;
    bool in_time = true;
    const auto until_all_have = [&](std::uint64_t count) {
      for (const Strategy& one : strategies) {
        while (in_time && !(one.is_subscribed() && one.received() >= count)) {
          in_time = Clock::now() < end;
          // Says 0 where the server has threads of its own.
          if (server.poll() == 0) std::this_thread::yield();
        }
      }
    };
    until_all_have(0);
    std::uint64_t published = 0;
    const auto publish_up_to = [&](std::uint64_t count, std::uint64_t ahead_max) {
      while (in_time && published < count) {
        until_all_have(published - std::min(published, ahead_max));
        if (producer.publish(published)) ++published;
      }
      until_all_have(count);
    };
    // In piles, each from nothing.
    while (in_time && published < kWarmUp) {
      publish_up_to(published + kAheadMaxAtFirst, kAheadMaxAtFirst);
    }
    Outcome outcome;
    for (; tries > 0 && in_time; --tries) {
      const auto begin = Clock::now();
      start_counting();
      do {
        publish_up_to(published + messages, kAheadMax);
      } while (in_time && Clock::now() - begin < least);
      outcome = {stop_counting(), Clock::now() - begin};
      if (outcome.calls.empty()) break;
    }
    EXPECT_TRUE(in_time) << "received " << strategies[0].received() << " and "
                         << strategies[1].received() << " of " << published;
    return outcome;
  }
};

INSTANTIATE_TEST_SUITE_P(
    Shapes, DataPath,
    ::testing::Values(Shape{Codec::json, Threading::own_thread},
                      Shape{Codec::json, Threading::caller},
                      Shape{Codec::msgpack, Threading::own_thread},
                      Shape{Codec::msgpack, Threading::caller},
                      Shape{Codec::json, Threading::own_thread, Threading::caller},
                      Shape{Codec::msgpack, Threading::caller, Threading::caller}),
    [](const auto& shape) {
      return std::string(shape.param.codec == Codec::json ? "Json" : "Msgpack") +
             (shape.param.threading == Threading::caller ? "Caller" : "OwnThread") +
             (shape.param.server == Threading::caller ? "ServedByProducer" : "");
    });

TEST_P(DataPath, AllocatesNothingAndTakesNoLockAfterWarmUp) {
  // No heartbeat and no question for the clock falls into the count: what they may do is below.
  const Outcome outcome = count(kMessages, kTries, kNever, std::chrono::milliseconds(0));
  EXPECT_EQ(to_string(outcome.calls), "");
}

// The control plane may allocate, by the heartbeat and not by the message: a Heartbeat with up to
// 256 times and with the heads of the channels that fell quiet is built, read and compared; and the
// clock that a Pong set is shown to other threads under a mutex.
TEST_P(DataPath, HeartbeatsAndPongsAreAllThatAllocatesOrLocks) {
  constexpr std::chrono::milliseconds kClock{100};
  const Outcome outcome = count(kMessages / 4, 1, kBeat, kClock);
  // Four Pongs more at the start of a connection.
  const auto beats = static_cast<std::uint64_t>(outcome.taken / kBeat) + 2;
  const auto pongs = static_cast<std::uint64_t>(outcome.taken / kClock) + 6;
  EXPECT_FALSE(outcome.calls.empty()) << "heartbeats were not counted: nothing was";
  for (const CountedCalls& one : outcome.calls) {
    EXPECT_LE(one.allocations, 128 * beats + 8 * pongs) << to_string(outcome.calls);
    EXPECT_LE(one.locks, pongs) << to_string(outcome.calls);
  }
}

}  // namespace
}  // namespace stratwire::test
