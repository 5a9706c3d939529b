// A client, servers that lose, forget and restart, and an oracle, for many seeds:
//
//  1. A feed has three channels with logs. It publishes, forgets the oldest messages, and now and
//     then starts anew with another epoch. Every connection is to the same feed.
//  2. A connection is a queue of messages that the session has not read yet. What happens next is
//     drawn: publish, read one, lose one on the way, cut the connection, send heads, leave with an
//     alternative, let time pass.
//  3. The oracle holds the law: what is handed over of a channel is the next number, or a Gap that
//     begins with it. In the end everything is published, read and told.

#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include <stratwire/session/client_session.hpp>

namespace stratwire::session {
namespace {

using namespace std::chrono_literals;
using Names = std::vector<std::string>;

const Names kChannels = {"prices:A", "prices:B", "prices:C"};

struct Log {
  std::uint64_t head = 0;
  std::uint64_t first = 1;                 // Oldest that is kept.
  std::vector<std::uint64_t> positions{};  // Of message n at n - 1.
};

class Oracle {
 public:
  /// \param begins_with  the number before the first one; nothing = any number will do
  void begin(const std::string& channel, std::uint64_t epoch, std::uint64_t before) {
    at_.try_emplace(channel, At{epoch, before});
  }
  void message(const std::string& channel, std::uint64_t epoch, std::uint64_t seq) {
    const auto [found, fresh] = at_.try_emplace(channel, At{epoch, seq});
    if (fresh) return;
    name_epoch(found->second, epoch);
    ASSERT_EQ(found->second.epoch, epoch) << channel << " without a Gap";
    ASSERT_EQ(found->second.seq + 1, seq) << channel;
    found->second.seq = seq;
  }
  void gap(const std::string& channel, const Gap& gap) {
    const auto found = at_.find(channel);
    if (found == at_.end()) {
      at_[channel] = {gap.to == 0 ? 0 : gap.epoch, gap.to};
      return;
    }
    name_epoch(found->second, gap.epoch);
    ASSERT_EQ(found->second.epoch, gap.epoch) << channel;
    ASSERT_EQ(found->second.seq + 1, gap.from) << channel;
    if (gap.to == 0) {
      ASSERT_EQ(gap.reason, Gap::Reason::epoch_change);
      found->second = {0, 0};
      return;
    }
    ASSERT_LE(gap.from, gap.to) << channel;
    found->second.seq = gap.to;
  }
  [[nodiscard]] const auto& all() const { return at_; }

 private:
  struct At {
    std::uint64_t epoch = 0;
    std::uint64_t seq = 0;
  };
  /// Behind an epoch_change: what comes next says which.
  static void name_epoch(At& at, std::uint64_t epoch) {
    if (at.epoch == 0) at.epoch = epoch;
  }
  std::map<std::string, At> at_{};
};

class World {
 public:
  World(std::uint64_t seed, Names wishes) : random_(seed), session_(config(seed)) {
    for (const std::string& channel : kChannels) logs_[channel];
    session_.subscribe(wishes);
    session_.start(now_);
    act();
  }

  void step() {
    switch (draw(40)) {
      case 0:
        return cut(session_.connection());
      case 1:
        return cut(session_.successor());
      case 2:
        return leave();
      case 3:
        return draw(6) == 0 ? restart() : forget();
      case 4:
        return lose();
      case 5:
      case 6:
        return heads();
      case 7:
      case 8:
        return pass(100ms);
      default:
        return draw(3) == 0 ? publish(kChannels[draw(kChannels.size())]) : read();
    }
  }
  /// Nothing breaks any more; everything is read, and heads tell of what was lost last.
  void settle() {
    for (int i = 0; i < 3'000 && session_.state() != ClientState::live; ++i) {
      pass(20ms);
      while (read_one()) {
      }
    }
    ASSERT_EQ(session_.state(), ClientState::live);
    for (int i = 0; i < 3; ++i) {
      heads();
      while (read_one()) {
      }
    }
    for (const auto& [channel, at] : oracle_.all()) {
      if (at.seq != 0) {
        EXPECT_EQ(at.epoch, epoch_) << channel;
      }
      EXPECT_EQ(at.seq, logs_.at(channel).head) << channel;
    }
  }
  [[nodiscard]] const ClientSessionCounts& counts() const { return session_.counts(); }

 private:
  struct Item {
    Envelope envelope{};
    std::string channel{};
    std::optional<WsMessage> control{};
    std::uint64_t epoch = 0;
  };
  struct Pipe {
    std::deque<Item> items{};
    std::set<std::string> flowing{};
    Subscribe parts{};
  };

  static ClientSessionConfig config(std::uint64_t seed) {
    ClientSessionConfig config;
    config.seed = seed;
    config.clock_interval = 0s;
    return config;
  }
  std::uint64_t draw(std::uint64_t below) { return random_() % below; }

  // ---- The feed

  void publish(const std::string& channel) {
    Log& log = logs_.at(channel);
    ++log.head;
    log.positions.push_back(++position_);
    for (auto& [id, pipe] : pipes_) {
      if (pipe.flowing.contains(channel)) put(pipe, channel, log.head);
    }
  }
  void forget() {
    Log& log = logs_.at(kChannels[draw(kChannels.size())]);
    if (log.first <= log.head) log.first += draw(log.head - log.first + 2);
  }
  void restart() {
    // Everybody is cut; numbers begin anew.
    std::vector<ConnectionId> ids;
    for (const auto& [id, pipe] : pipes_) ids.push_back(id);
    ++epoch_;
    position_ = 0;
    for (auto& [channel, log] : logs_) log = {};
    for (std::uint64_t i = draw(5); i > 0; --i) publish(kChannels[draw(kChannels.size())]);
    pipes_.clear();
    for (const ConnectionId id : ids) cut(id);
  }
  void heads() {
    stratwire::Heartbeat beat;
    for (const auto& [channel, log] : logs_) beat.heads.push_back({channel, log.head});
    for (auto& [id, pipe] : pipes_) {
      stratwire::Heartbeat mine;
      for (const ChannelHead& head : beat.heads) {
        if (pipe.flowing.contains(head.channel) && head.seq != 0) mine.heads.push_back(head);
      }
      pipe.items.push_back({{}, {}, WsMessage{mine}, epoch_});
    }
  }
  void put(Pipe& pipe, const std::string& channel, std::uint64_t seq) {
    pipe.items.push_back({{{}, seq}, channel, std::nullopt, epoch_});
  }
  void put(Pipe& pipe, WsMessage message, const std::string& channel = {}) {
    pipe.items.push_back({{}, channel, std::move(message), epoch_});
  }

  void serve(Pipe& pipe, const Subscribe& part) {
    pipe.parts.channels.insert(pipe.parts.channels.end(), part.channels.begin(),
                               part.channels.end());
    pipe.parts.since.insert(pipe.parts.since.end(), part.since.begin(), part.since.end());
    if (part.more) return;
    const Subscribe request = std::exchange(pipe.parts, Subscribe{});
    Subscribed answer{part.id, {}};
    for (const std::string& channel : request.channels) {
      const bool wild = channel == "prices:*";
      const std::uint64_t head = wild ? position_ : logs_.at(channel).head;
      answer.results.push_back({channel, Errc::ok, "", epoch_, head, recovers(request, channel)});
    }
    put(pipe, answer);
    for (const std::string& channel : kChannels) replay(pipe, request, channel);
    if (!request.since.empty()) put(pipe, CaughtUp{part.id});
    for (const std::string& channel : request.channels) {
      if (channel != "prices:*") pipe.flowing.insert(channel);
    }
    const auto& asked = request.channels;
    if (std::find(asked.begin(), asked.end(), "prices:*") != asked.end()) {
      pipe.flowing.insert(kChannels.begin(), kChannels.end());
    }
  }
  static const ResumePoint* point(const Subscribe& request, const std::string& channel) {
    for (const ResumePoint& point : request.since) {
      if (point.channel == channel) return &point;
    }
    return nullptr;
  }
  bool recovers(const Subscribe& request, const std::string& channel) {
    const ResumePoint* const since = point(request, channel);
    if (since == nullptr || since->epoch != epoch_) return false;
    return channel == "prices:*" || since->seq + 1 >= logs_.at(channel).first;
  }
  void replay(Pipe& pipe, const Subscribe& request, const std::string& channel) {
    const Log& log = logs_.at(channel);
    const ResumePoint* const since = point(request, channel);
    const ResumePoint* const wild = point(request, "prices:*");
    if (since == nullptr && wild == nullptr) return;
    std::uint64_t next = 1;
    if (since != nullptr && since->epoch == epoch_) {
      next = since->seq + 1;
    } else if (since != nullptr) {
      put(pipe, Gap{since->epoch, since->seq + 1, 0, Gap::Reason::epoch_change}, channel);
    } else if (wild->epoch == epoch_) {
      while (next <= log.head && log.positions[next - 1] <= wild->seq) ++next;
    }
    if (next < log.first && next <= log.head) {
      put(pipe, Gap{epoch_, next, log.first - 1, Gap::Reason::retention}, channel);
      next = log.first;
    }
    for (; next <= log.head; ++next) put(pipe, channel, next);
  }

  // ---- The way

  void cut(ConnectionId id) {
    if (id == ConnectionId::none) return;
    pipes_.erase(id);
    session_.lost(id, now_, {{Errc::connection_lost}, 0});
    session_.try_failed(id, now_, {{Errc::connect_failed}, Loss::ordinary, {}});
    act();
  }
  void leave() {
    const auto found = pipes_.find(session_.connection());
    if (found != pipes_.end()) put(found->second, GoAway{100, 0, {"ws://b", "ws://c"}});
  }
  /// A data message vanishes.
  void lose() {
    for (auto& [id, pipe] : pipes_) {
      if (pipe.items.empty()) continue;
      const auto at = pipe.items.begin() + static_cast<std::ptrdiff_t>(draw(pipe.items.size()));
      if (!at->control) pipe.items.erase(at);
      return;
    }
  }
  void pass(Duration time) {
    const Instant until = now_ + time;
    while (session_.next_tick() <= until) {
      now_ = std::max(now_, session_.next_tick());
      for (const auto& [id, pipe] : pipes_) session_.heard(id, now_);
      session_.tick(now_);
      act();
    }
    now_ = until;
    for (const auto& [id, pipe] : pipes_) session_.heard(id, now_);
  }
  void read() { static_cast<void>(read_one()); }
  bool read_one() {
    std::vector<ConnectionId> ready;
    for (const auto& [id, pipe] : pipes_) {
      if (!pipe.items.empty()) ready.push_back(id);
    }
    if (ready.empty()) return false;
    const ConnectionId id = ready[draw(ready.size())];
    Pipe& pipe = pipes_.at(id);
    const Item item = std::move(pipe.items.front());
    pipe.items.pop_front();
    session_.heard(id, now_);
    const Envelope envelope{item.channel, item.envelope.seq};
    if (item.control) {
      session_.control(id, envelope, WsMessage{*item.control}, {now_, 0});
      act();
      return true;
    }
    const auto verdict = session_.data(id, envelope);
    if (verdict == ClientSession::Verdict::drop) return true;
    if (verdict == ClientSession::Verdict::deliver_after_gap) {
      oracle_.gap(item.channel, session_.gap());
    }
    oracle_.message(item.channel, session_.place().epoch, item.envelope.seq);
    return true;
  }
  void connect(ConnectionId id) {
    if (draw(4) == 0) {
      session_.try_failed(id, now_, {{Errc::connect_failed}, Loss::ordinary, {}});
      return;
    }
    pipes_[id];
    session_.opened(id, now_);
    put(pipes_.at(id), Welcome{1, epoch_, 0, 0, 0, 0});
  }
  void act() {
    while (auto action = session_.next_action()) {
      if (const auto* go = std::get_if<action::Connect>(&*action)) connect(go->connection);
      if (const auto* go = std::get_if<action::ConnectSuccessor>(&*action)) {
        connect(go->connection);
      }
      if (const auto* gone = std::get_if<action::Drop>(&*action)) pipes_.erase(gone->connection);
      if (const auto* gone = std::get_if<action::Leave>(&*action)) pipes_.erase(gone->connection);
      if (const auto* write = std::get_if<action::Write>(&*action)) {
        const auto found = pipes_.find(write->connection);
        const auto* const ask = std::get_if<Subscribe>(&write->message);
        if (found != pipes_.end() && ask != nullptr) serve(found->second, *ask);
      }
      if (const auto* gap = std::get_if<action::HandGap>(&*action)) {
        oracle_.gap(std::string{gap->channel}, gap->gap);
      }
      if (const auto* notice = std::get_if<action::HandNotice>(&*action)) take(notice->notice);
    }
  }
  void take(const Notice& notice) {
    if (const auto* event = std::get_if<StateEvent>(&notice)) {
      EXPECT_GE(event->generation, generation_) << "an older one behind a newer one";
      generation_ = event->generation;
    }
    const auto* const granted = std::get_if<Subscribed>(&notice);
    if (granted == nullptr) return;
    for (const ChannelResult& result : granted->results) {
      if (result.channel != "prices:*") oracle_.begin(result.channel, result.epoch, result.head);
    }
  }

  std::mt19937_64 random_;
  Instant now_{1h};
  ClientSession session_;
  Oracle oracle_{};
  std::map<std::string, Log> logs_{};
  std::uint64_t epoch_ = 1'000;
  std::uint64_t position_ = 0;
  std::map<ConnectionId, Pipe> pipes_{};
  std::uint64_t generation_ = 0;
};

ClientSessionCounts run(const Names& wishes) {
  ClientSessionCounts sum;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world{seed, wishes};
    for (int i = 0; i < 600 && !::testing::Test::HasFailure(); ++i) world.step();
    if (!::testing::Test::HasFailure()) world.settle();
    if (::testing::Test::HasFailure()) break;
    sum.gaps += world.counts().gaps;
    sum.duplicates += world.counts().duplicates;
    sum.handovers += world.counts().handovers;
    sum.connects += world.counts().connects;
  }
  return sum;
}

TEST(ClientSessionRandom, ChannelsByName) {
  const auto counts = run({"prices:A", "prices:B"});
  // Else the draw tests nothing.
  EXPECT_GT(counts.gaps, 500u);
  EXPECT_GT(counts.duplicates, 500u);
  EXPECT_GT(counts.handovers, 300u);
  EXPECT_GT(counts.connects, 3'000u);
}

TEST(ClientSessionRandom, ChannelsByWildcard) {
  EXPECT_GT(run({"prices:*"}).handovers, 300u);
}

TEST(ClientSessionRandom, ChannelsByBoth) {
  EXPECT_GT(run({"prices:*", "prices:B"}).handovers, 300u);
}

}  // namespace
}  // namespace stratwire::session
