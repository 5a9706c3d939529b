/// Servers without protocol logic, for the same generator: what plain system calls can do at most.
///
///   bench_load_floor send   one send() per message and connection
///   bench_load_floor log    one log of ready frames that all share, a connection is a cursor: one
///                           send() per turn; with many channels, one gathered buffer per turn
///   bench_load_floor echo   one connection; what comes goes back, both ends spinning
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <string_view>

#include "../common/message.hpp"
#include "bare.hpp"
#include "control.hpp"

namespace stratwire::bench {
namespace {

/// At a rate, messages that are due at once and go out in one turn.
constexpr std::size_t kTurnMax = 1024;

/// The frames of one turn, one behind the other.
struct Turn {
  struct Frame {
    std::size_t begin;
    std::size_t end;
    std::size_t channel;
  };
  std::string log{};
  std::vector<Frame> frames{};

  void fill(Feed& feed, Schedule& schedule, std::size_t count) {
    log.clear();
    frames.clear();
    for (std::size_t i = 0; i < count; ++i) {
      const Frame frame{log.size(), 0, feed.channel()};
      append_frame(log, feed, schedule.take());
      frames.push_back({frame.begin, log.size(), frame.channel});
    }
  }
};

bool wants(const BareServer::Connection& c, const Turn::Frame& frame) {
  return c.wanted.empty() || std::binary_search(c.wanted.begin(), c.wanted.end(), frame.channel);
}

bool send_each(BareServer& server, const Turn& turn) {
  for (const auto& frame : turn.frames) {
    for (const auto* c : server.subscribers()) {
      if (!wants(*c, frame)) continue;
      if (!BareServer::send_all(c->fd, turn.log.data() + frame.begin, frame.end - frame.begin)) {
        return false;
      }
    }
  }
  return true;
}

/// One log of ready frames for all; once everybody has all of it, it begins anew.
class SharedLog {
 public:
  explicit SharedLog(BareServer& server) : server_(server) {}

  /// The backlog of the slowest reader is long: what comes next would only wait.
  [[nodiscard]] bool is_full() const { return log_.size() > kBacklogMax && !all_at_head_; }
  void append(const Turn& turn) { log_ += turn.log; }

  /// One send() for each connection that lacks something; false when a reader is gone.
  bool send() {
    all_at_head_ = true;
    for (auto* c : server_.subscribers()) {
      if (c->cursor == log_.size()) continue;
      const ssize_t sent = ::send(c->fd, log_.data() + c->cursor, log_.size() - c->cursor,
                                  MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent < 0 && errno != EAGAIN) return false;
      if (sent > 0) c->cursor += static_cast<std::size_t>(sent);
      if (c->cursor != log_.size()) all_at_head_ = false;
    }
    if (all_at_head_) begin_anew();
    return true;
  }

 private:
  static constexpr std::size_t kBacklogMax = 1 << 20;

  void begin_anew() {
    log_.clear();
    for (auto* c : server_.subscribers()) c->cursor = 0;
  }

  BareServer& server_;
  std::string log_{};
  bool all_at_head_ = true;
};

/// Where sets of channels differ: the wanted frames of a turn, copied together, in one send(). As
/// channels are published in turn, their frames are found by counting.
bool send_gathered(BareServer& server, const Turn& turn, std::size_t channels,
                   std::string& gathered) {
  const std::size_t first = turn.frames.empty() ? 0 : turn.frames.front().channel;
  for (const auto* c : server.subscribers()) {
    gathered.clear();
    for (const std::size_t channel : c->wanted) {
      for (std::size_t i = (channel + channels - first) % channels; i < turn.frames.size();
           i += channels) {
        const auto& frame = turn.frames[i];
        gathered.append(turn.log, frame.begin, frame.end - frame.begin);
      }
    }
    if (!gathered.empty() && !BareServer::send_all(c->fd, gathered.data(), gathered.size())) {
      return false;
    }
  }
  return true;
}

enum class Kind { send, log };

void fan_out(const Settings& settings, Kind kind) {
  const Control control;
  BareServer server{settings};
  Control::ready();
  while (!control.started()) server.serve(10);
  Feed feed{settings.channels, settings.message_bytes};
  Schedule schedule{settings};
  SharedLog log{server};
  Turn turn;
  std::string gathered;
  // Ends too when the generator is gone: the run is over.
  for (bool open = true; open && !control.stopped();) {
    if (log.is_full()) {
      open = log.send();
      continue;
    }
    const std::size_t due = schedule.due();
    turn.fill(feed, schedule, settings.rate == 0 ? due : std::min(due, kTurnMax));
    if (kind == Kind::send) {
      open = send_each(server, turn);
    } else if (settings.channels > 1) {
      open = send_gathered(server, turn, settings.channels, gathered);
    } else {
      log.append(turn);
      open = log.send();
    }
  }
  schedule.report();
}

void echo(const Settings& settings) {
  const Control control;
  BareServer server{settings};
  Control::ready();
  // The first text is the subscription that makes the connection one to be echoed.
  while (server.subscribers().empty() && !control.stopped()) server.serve(10);
  if (control.stopped()) return;
  BareServer::Connection& c = *server.subscribers().front();
  char buffer[4096];
  while (!control.stopped()) {
    const ssize_t got = recv(c.fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) continue;
    if (got <= 0) break;
    c.input.append(buffer, static_cast<std::size_t>(got));
    const std::string_view text = take_masked(c.input);
    if (text.empty()) continue;
    std::string frame = "    " + std::string(text);
    const char* const begin = seal_text_frame(frame.data() + 4, text.size());
    BareServer::send_all(c.fd, begin,
                         static_cast<std::size_t>(frame.data() + frame.size() - begin));
    c.input.clear();
  }
}

int main_of(int argc, char** argv) {
  const std::string_view kind = argc == 2 ? argv[1] : "";
  const Settings settings = Settings::from_environment();
  if (kind == "send" || kind == "log") {
    fan_out(settings, kind == "log" ? Kind::log : Kind::send);
  } else if (kind == "echo") {
    echo(settings);
  } else {
    std::fprintf(stderr, "usage: bench_load_floor send|log|echo (settings: bench/README.md)\n");
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace stratwire::bench

int main(int argc, char** argv) {
  return stratwire::bench::main_of(argc, argv);
}
