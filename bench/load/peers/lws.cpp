/// libwebsockets in the run, as its own minimal servers have it: one log of messages, every
/// connection asks to be called when it can write, and writes one message per call.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <libwebsockets.h>
#include <set>
#include <string>
#include <vector>

#include "../common/message.hpp"
#include "../servers/control.hpp"

namespace stratwire::bench {
namespace {

constexpr std::size_t kLog = 4096;

struct Connection {
  lws* wsi;
  std::uint64_t next;  ///< Index of the message that it gets next.
  bool answer;         ///< The answer to its subscription is due.
  bool subscribed;
};

/// Messages of the run, each behind the room that libwebsockets writes its header into.
struct State {
  std::vector<std::string> log{kLog};
  std::uint64_t published = 0;
  std::set<Connection*> connections{};

  [[nodiscard]] std::uint64_t slowest() const {
    std::uint64_t least = published;
    for (const auto* c : connections) {
      if (c->subscribed) least = std::min(least, c->next);
    }
    return least;
  }
};

State& state() {
  static State the_state;
  return the_state;
}

int write_text(lws* wsi, std::string& with_room) {
  const std::size_t bytes = with_room.size() - LWS_PRE;
  auto* const payload = reinterpret_cast<unsigned char*>(with_room.data()) + LWS_PRE;
  return lws_write(wsi, payload, bytes, LWS_WRITE_TEXT) < 0 ? -1 : 0;
}

int on_writable(Connection& c) {
  State& s = state();
  if (c.answer) {
    c.answer = false;
    std::string text(LWS_PRE, '\0');
    text += R"({"type":"Subscribed"})";
    c.next = s.published;
    c.subscribed = true;
    return write_text(c.wsi, text);
  }
  if (!c.subscribed || c.next == s.published) return 0;
  if (write_text(c.wsi, s.log[c.next++ % kLog]) < 0) return -1;
  if (c.next != s.published) lws_callback_on_writable(c.wsi);
  return 0;
}

int on_event(lws* wsi, lws_callback_reasons reason, void* user, void*, std::size_t) {
  auto* const c = static_cast<Connection*>(user);
  switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
      *c = {wsi, 0, false, false};
      state().connections.insert(c);
      return 0;
    case LWS_CALLBACK_RECEIVE:
      c->answer = true;
      lws_callback_on_writable(wsi);
      return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE:
      return on_writable(*c);
    case LWS_CALLBACK_CLOSED:
      state().connections.erase(c);
      return 0;
    default:
      return 0;
  }
}

void publish(Feed& feed, std::int64_t time) {
  State& s = state();
  std::string& text = s.log[s.published++ % kLog];
  text.resize(LWS_PRE + feed.bytes_max());
  text.resize(static_cast<std::size_t>(feed.write(text.data() + LWS_PRE, time) - text.data()));
}

int run(const Settings& settings) {
  lws_set_log_level(LLL_ERR, nullptr);
  const Control control;
  const lws_protocols protocols[] = {{"", on_event, sizeof(Connection), 4096, 0, nullptr, 0},
                                     {nullptr, nullptr, 0, 0, 0, nullptr, 0}};
  lws_context_creation_info info{};
  info.port = settings.port;
  info.iface = "127.0.0.1";
  info.protocols = protocols;
  info.count_threads = 1;
  lws_context* const context = lws_create_context(&info);
  if (context == nullptr) return 1;
  Control::ready();
  // Negative: only what is ready, without waiting.
  while (!control.started()) lws_service(context, -1), usleep(200);
  Feed feed{settings.channels, settings.message_bytes};
  Schedule schedule{settings};
  while (!control.stopped()) {
    const State& s = state();
    if (s.published - s.slowest() + settings.k < kLog) {
      const std::size_t due = std::min(schedule.due(), kLog / 2);
      for (std::size_t i = 0; i < due; ++i) publish(feed, schedule.take());
      if (due != 0) lws_callback_on_writable_all_protocol(context, &protocols[0]);
    }
    lws_service(context, -1);
  }
  schedule.report();
  std::_Exit(0);
}

}  // namespace
}  // namespace stratwire::bench

int main() {
  return stratwire::bench::run(stratwire::bench::Settings::from_environment());
}
