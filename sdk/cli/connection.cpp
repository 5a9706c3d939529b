#include "connection.hpp"

#include <csignal>
#include <cstdio>
#include <utility>

namespace stratwire::cli {
namespace {

volatile std::sig_atomic_t g_interrupted = 0;

extern "C" void on_interrupt(int) {
  g_interrupted = 1;
}

constexpr std::uint32_t kFirstTriesMax = 3;

}  // namespace

void catch_signals() {
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  // A second Ctrl-C ends the program at once, whatever it waits for.
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

bool interrupted() noexcept {
  return g_interrupted != 0;
}

void say(const std::string& text) {
  std::fprintf(stderr, "stratwire: %s\n", text.c_str());
}

ClientConfig client_config(const ConnectionOptions& options, const char* name) {
  ClientConfig config;
  config.url = options.url;
  config.urls = options.also;
  config.codec = options.codec;
  config.name = name;
  return config;
}

ConnectionWatch::ConnectionWatch(ConnectionOptions options) : options_{std::move(options)} {
  where_ = options_.url;
  const auto others = options_.also.size();
  if (others == 1) where_ += " and " + options_.also[0];
  if (others > 1) where_ += " and " + std::to_string(others) + " others";
}

ConnectionWatch::Verdict ConnectionWatch::on_backing_off(const StateEvent& event) {
  const bool lost = std::exchange(up_, false);
  recovering_ = false;
  stale_ = false;
  const auto tries_max = options_.retry.value_or(connected_ ? 0 : kFirstTriesMax);
  const auto cause = event.cause.message();
  if (lost) {
    say("connection lost: " + cause);
    return Verdict::lost;
  }
  if (tries_max != 0 && event.attempt >= tries_max) {
    say("could not connect to " + where_ + " in " + std::to_string(event.attempt) +
        (event.attempt == 1 ? " try: " : " tries: ") + cause);
    return Verdict::give_up;
  }
  // After the first few, a line for each power of two: a server that is away for an hour does not
  // fill the screen. While others of the list are left to be tried, nothing counts as a try.
  if (event.attempt <= kFirstTriesMax || (event.attempt & (event.attempt - 1)) == 0) {
    const std::string tried =
        event.attempt == 0 ? "a server" : "try " + std::to_string(event.attempt);
    say(tried + " failed: " + cause + "; next one in " + std::to_string(event.retry_in.count()) +
        " ms");
  }
  return Verdict::go_on;
}

/// The server has answered; what was missed may still be on its way.
void ConnectionWatch::on_answered(const StateEvent& event) {
  const bool another = std::exchange(generation_, event.generation) != event.generation;
  const bool was_stale = std::exchange(stale_, false);
  if (!std::exchange(up_, true)) {
    if (std::exchange(connected_, true)) ++reconnects_;
    say((reconnects_ == 0 ? "connected to " : "connected again to ") + where_);
    return;
  }
  if (was_stale) say("the server is heard again");
  // Without a loss: a server that left has handed over.
  if (another) say("moved to the server that the other one named");
}

ConnectionWatch::Verdict ConnectionWatch::on_state(const StateEvent& event) {
  switch (event.state) {
    case ClientState::live:
      on_answered(event);
      if (std::exchange(recovering_, false)) say("everything that could be recovered has come");
      return Verdict::go_on;
    case ClientState::backing_off:
      return on_backing_off(event);
    case ClientState::failed:
      say("could not connect to " + where_ + ": " + event.cause.message());
      return Verdict::give_up;
    case ClientState::recovering:
      on_answered(event);
      if (!std::exchange(recovering_, true)) say("recovering what was missed");
      return Verdict::go_on;
    case ClientState::stale:
      stale_ = true;
      say("the server is silent: what is known may be old");
      return Verdict::go_on;
    case ClientState::connecting:
    case ClientState::authenticating:
    case ClientState::subscribing:
    case ClientState::closing:
    case ClientState::closed:
      return Verdict::go_on;
  }
  return Verdict::go_on;
}

}  // namespace stratwire::cli
