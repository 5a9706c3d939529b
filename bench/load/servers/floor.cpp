/// What the machine can do at most: servers without protocol logic, for the same generator.
///
///   bench_load_floor send   one send() per message and connection
///   bench_load_floor log    one log of ready frames that all share, a connection is a cursor: one
///                           send() per turn; with many channels, one gathered buffer per turn
///   bench_load_floor echo   one connection; what comes goes back, both ends spinning
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
  return c.wanted.empty() || c.wanted[frame.channel] != 0;
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

bool send_log(BareServer& server, const Turn& turn, std::string& gathered) {
  for (const auto* c : server.subscribers()) {
    const std::string* bytes = &turn.log;
    if (!c->wanted.empty()) {
      gathered.clear();
      for (const auto& frame : turn.frames) {
        if (wants(*c, frame)) gathered.append(turn.log, frame.begin, frame.end - frame.begin);
      }
      if (gathered.empty()) continue;
      bytes = &gathered;
    }
    if (!BareServer::send_all(c->fd, bytes->data(), bytes->size())) return false;
  }
  return true;
}

void fan_out(const Settings& settings, bool log) {
  const Control control;
  BareServer server{settings};
  Control::ready();
  while (!control.started()) server.serve(10);
  Feed feed{settings.channels, settings.message_bytes};
  Schedule schedule{settings};
  Turn turn;
  std::string gathered;
  while (!control.stopped()) {
    const std::size_t due = std::min(schedule.due(), kTurnMax);
    if (due == 0) continue;
    turn.fill(feed, schedule, due);
    // The generator is gone: the run is over.
    if (!(log ? send_log(server, turn, gathered) : send_each(server, turn))) break;
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
    BareServer::send_all(c.fd, begin, static_cast<std::size_t>(frame.data() + frame.size() - begin));
    c.input.clear();
  }
}

int main_of(int argc, char** argv) {
  const std::string_view kind = argc == 2 ? argv[1] : "";
  const Settings settings = Settings::from_environment();
  if (kind == "send" || kind == "log") {
    fan_out(settings, kind == "log");
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
