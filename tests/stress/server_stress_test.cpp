// Publishers flat out, subscribers that join, leave, subscribe again, stall and are killed at
// random; each checks what it was promised.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "../support/seed.hpp"
#include "../unit/server/harness.hpp"

namespace stratwire::test {
namespace {

constexpr int kSlowConsumer = 4101;

const std::vector<std::string> kChannels = {"prices:A", "prices:B", "trades:A",
                                            "trades:B", "global",   "token-x"};
const std::vector<std::string> kWildcards = {"prices:*", "trades:*", "token:*"};

std::string wildcard_of(std::string_view channel) {
  if (channel.starts_with("token-")) return "token:*";
  return std::string(channel.substr(0, channel.find(':'))) + ":*";
}

/// What is on its way to all subscribers, for stalls that end without a clock.
struct Traffic {
  std::atomic<std::uint64_t> published{0};
  std::atomic<int> publishers{0};

  // relaxed, both: figures; the messages themselves go through the server.
  [[nodiscard]] bool over() const { return publishers.load(std::memory_order_relaxed) == 0; }
  [[nodiscard]] std::uint64_t count() const { return published.load(std::memory_order_relaxed); }
};

struct Tally {
  std::uint64_t received = 0;
  std::uint64_t gaps = 0;
  std::uint64_t connects = 0;
  std::uint64_t dropped = 0;
  std::uint64_t stalls = 0;
};

/// One reader with moods.
class Subscriber {
 public:
  Subscriber(const Server& server, const Traffic& traffic, std::uint64_t seed)
      : server_(server), traffic_(traffic), random_(seed) {}

  void run() {
    connect();
    while (!traffic_.over() && !::testing::Test::HasFailure()) step();
    finish();
  }
  [[nodiscard]] const Tally& tally() const { return tally_; }

 private:
  void connect() {
    const Speaks speaks = chance(2) ? Speaks::json : Speaks::msgpack;
    client_.emplace(server_, speaks, chance(2) ? 2'048 : 0);
    wanted_.clear();
    cursors_.clear();
    ++tally_.connects;
  }

  void step() {
    switch (random_() % 12) {
      case 0:
      case 1:
        return subscribe(some_channels());
      case 2:
        return unsubscribe(some_channels());
      case 3:
        return stall();
      case 4:
        if (chance(2)) return go();
        [[fallthrough]];
      default:
        for (std::uint64_t i = random_() % 200; i > 0 && !wanted_.empty(); --i) {
          if (!read_one()) return;
        }
    }
  }

  /// Without a word, or with one, or in the middle of a request.
  void go() {
    switch (random_() % 4) {
      case 0:
        client_->raw().reset();
        break;
      case 1:
        client_->raw().send_close(transport::CloseCode::normal);
        break;
      case 2:
        client_->send(Subscribe{kChannels, 1});
        break;
      default:
        client_->raw().send_bytes("\x81");
    }
    client_->raw().close();
    connect();
  }

  void stall() {
    ++tally_.stalls;
    const std::uint64_t until = traffic_.count() + random_() % 3'000;
    while (traffic_.count() < until && !traffic_.over()) std::this_thread::yield();
  }

  void subscribe(std::vector<std::string> channels) {
    if (!client_->send(Subscribe{channels, ++id_})) return lost();
    const auto answer = await<Subscribed>();
    if (!answer) return;
    ASSERT_EQ(answer->results.size(), channels.size());
    for (const ChannelResult& result : answer->results) {
      ASSERT_EQ(result.code, Errc::ok) << result.channel << ": " << result.message;
      const bool flowed = flows(result.channel);
      wanted_.insert(result.channel);
      if (result.channel.ends_with(":*")) continue;
      const auto [cursor, is_new] = cursors_.try_emplace(result.channel, result.head);
      if (is_new) continue;
      ASSERT_TRUE(flowed);
      EXPECT_EQ(cursor->second, result.head) << result.channel << ": the head is somewhere else";
    }
  }

  void unsubscribe(const std::vector<std::string>& channels) {
    if (!client_->send(Unsubscribe{channels, ++id_})) return lost();
    if (!await<Unsubscribed>()) return;
    for (const std::string& channel : channels) wanted_.erase(channel);
    std::erase_if(cursors_, [this](const auto& each) { return !flows(each.first); });
  }

  /// Everything up to the answer of the last request; nothing when the connection was lost.
  template <class Answer>
  std::optional<Answer> await() {
    while (const Message* const message = next()) {
      if (const auto* const answer = std::get_if<Answer>(&message->body)) {
        EXPECT_EQ(answer->id, id_);
        return *answer;
      }
      check(*message);
      if (::testing::Test::HasFailure()) return std::nullopt;
    }
    return std::nullopt;
  }

  bool read_one() {
    // A short look only: nothing may come while everybody stalls.
    const Message* const message = client_->next(std::chrono::milliseconds(20));
    if (message == nullptr) {
      if (client_->raw().last_read() != Read::timed_out) lost();
      return false;
    }
    check(*message);
    return !::testing::Test::HasFailure();
  }

  const Message* next() {
    const Message* const message = client_->next();
    if (message == nullptr) {
      EXPECT_NE(client_->raw().last_read(), Read::timed_out) << "an answer never came";
      lost();
    }
    return message;
  }

  /// Dropped as one that does not read, which is allowed, and told if it read so far: it starts
  /// anew.
  void lost() {
    if (const auto& close = client_->closed_by(); close) {
      ASSERT_EQ(static_cast<int>(close->code), kSlowConsumer) << close->payload;
    }
    ++tally_.dropped;
    connect();
  }

  void check(const Message& message) {
    const std::string channel(message.envelope.channel);
    ASSERT_TRUE(flows(channel)) << channel << " was not asked for: " << client_->payload();
    std::uint64_t from = message.envelope.seq;
    std::uint64_t to = from;
    if (const auto* const gap = std::get_if<Gap>(&message.body)) {
      from = gap->from;
      to = gap->to;
      ++tally_.gaps;
    } else {
      ++tally_.received;
    }
    ASSERT_LE(from, to);
    const auto [cursor, is_new] = cursors_.try_emplace(channel, from - 1);
    ASSERT_EQ(from, cursor->second + 1) << channel << ": hole, repeat or reorder";
    cursor->second = to;
  }

  /// Everything was published: with all that is subscribed once more, every cursor is at its head.
  void finish() {
    if (::testing::Test::HasFailure()) return;
    subscribe(kChannels);
    if (!wanted_.contains(kChannels.front())) subscribe(kChannels);
    subscribe(kChannels);
  }

  [[nodiscard]] bool flows(const std::string& channel) const {
    return wanted_.contains(channel) || wanted_.contains(wildcard_of(channel));
  }
  std::vector<std::string> some_channels() {
    std::vector<std::string> channels;
    for (const auto* const list : {&kChannels, &kWildcards}) {
      std::ranges::copy_if(*list, std::back_inserter(channels),
                           [this](auto&) { return chance(4); });
    }
    if (channels.empty()) channels.push_back(kChannels[random_() % kChannels.size()]);
    return channels;
  }
  bool chance(std::uint64_t in) { return random_() % in == 0; }

  const Server& server_;
  const Traffic& traffic_;
  std::mt19937_64 random_;
  std::optional<TestClient> client_{};
  std::set<std::string> wanted_{};
  std::map<std::string, std::uint64_t> cursors_{};
  Tally tally_{};
  std::uint64_t id_ = 0;
};

class ServerStress : public ::testing::TestWithParam<std::size_t> {};
INSTANTIATE_TEST_SUITE_P(IoThreads, ServerStress, ::testing::Values(1, 2, 3));

TEST_P(ServerStress, EverybodyGetsWhatWasPromised) {
  const std::uint64_t seed_of_all = seed();
  ServerConfig config = quiet_config();
  config.io_threads = GetParam();
  config.io_uring = GetParam() != 2;
  config.lane_bytes_max = 64 * 1024;
  config.lane_messages_max = 64;
  config.inbox_messages = 1'024;
  Server server = open_server(config);

  constexpr int kPublishers = 3;
  constexpr std::size_t kSubscribers = 6;
  constexpr std::uint64_t kEach = 30'000;
  Traffic traffic;
  traffic.publishers = kPublishers;
  std::vector<std::thread> threads;
  for (int p = 0; p < kPublishers; ++p) {
    threads.emplace_back(
        [&, random = std::mt19937_64(seed_of_all + 100 + static_cast<unsigned>(p))]() mutable {
          std::vector<Publisher> publishers;
          for (const std::string& channel : kChannels)
            publishers.push_back(server.publisher(channel));
          const std::string text(400, 'x');
          for (std::uint64_t i = 0; i < kEach && !::testing::Test::HasFailure();) {
            const AccountUpdate message{std::string_view(text).substr(random() % 400), i};
            if (publishers[random() % publishers.size()].publish(message) == PublishStatus::ok) {
              ++i;
              // relaxed: a figure.
              traffic.published.fetch_add(1, std::memory_order_relaxed);
            } else {
              std::this_thread::yield();
            }
          }
          // relaxed: a figure; the last publish() is before it in the server's inbox.
          traffic.publishers.fetch_sub(1, std::memory_order_relaxed);
        });
  }
  std::vector<std::unique_ptr<Subscriber>> subscribers;
  for (std::size_t s = 0; s < kSubscribers; ++s) {
    subscribers.push_back(std::make_unique<Subscriber>(server, traffic, seed_of_all + s));
    threads.emplace_back([&subscriber = *subscribers.back()] { subscriber.run(); });
  }
  for (std::thread& thread : threads) thread.join();

  Tally all;
  for (const auto& subscriber : subscribers) {
    all.received += subscriber->tally().received;
    all.gaps += subscriber->tally().gaps;
    all.connects += subscriber->tally().connects;
    all.dropped += subscriber->tally().dropped;
    all.stalls += subscriber->tally().stalls;
  }
  std::cout << all.received << " received, " << all.gaps << " gaps, " << all.connects
            << " connects, " << all.dropped << " dropped, " << all.stalls << " stalls\n";
  EXPECT_EQ(server.stats().published, kPublishers * kEach);
  EXPECT_EQ(server.stats().bad_messages, 0U);
  EXPECT_GT(all.received, 0U);
  subscribers.clear();
  eventually([&] { return server.stats().connections == 0; }, "all are gone");
  EXPECT_EQ(server.stats().subscribers, 0U);
  EXPECT_EQ(server.stats().accepted, server.stats().disconnected);
}

}  // namespace
}  // namespace stratwire::test
