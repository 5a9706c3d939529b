/// uWebSockets in the run: publish to topics, K per iteration of its loop. Not part of the build:
/// the driver compiles it for `--uws CHECKOUT` (bench/README.md).
#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_set>

#include "../common/message.hpp"
#include "../servers/control.hpp"
#include "App.h"

namespace stratwire::bench {
namespace {

/// A connection with so much unsent holds publishing back; the server's own limit lies far above.
constexpr unsigned kBehind = 1 << 20;
constexpr unsigned kBackPressureMax = 16 * kBehind;
constexpr std::size_t kTurnMax = 1024;

struct Nothing {};
using Socket = uWS::WebSocket<false, true, Nothing>;

class Producer {
 public:
  Producer(const Settings& settings, const Control& control, uWS::App& app)
      : settings_(settings),
        control_(control),
        app_(app),
        feed_(settings.channels, settings.message_bytes),
        text_(feed_.bytes_max(), '\0') {}

  void turn() {
    if (control_.stopped()) {
      if (schedule_) schedule_->report();
      std::_Exit(0);
    }
    if (!control_.started()) return;
    if (!schedule_) schedule_.emplace(settings_);
    if (is_behind()) return;
    const std::size_t due = std::min(schedule_->due(), kTurnMax);
    for (std::size_t i = 0; i < due; ++i) {
      const std::string topic = channel_name(feed_.channel(), settings_.channels);
      const char* const end = feed_.write(text_.data(), schedule_->take());
      const std::string_view text(text_.data(), static_cast<std::size_t>(end - text_.data()));
      app_.publish(topic, text, uWS::OpCode::TEXT);
    }
  }

  void subscribe(Socket* socket, std::string_view text) {
    constexpr std::string_view kPrefix = "\"prices:";
    for (std::size_t at = text.find(kPrefix); at != std::string_view::npos;
         at = text.find(kPrefix, at + 1)) {
      socket->subscribe(text.substr(at + 1, text.find('"', at + 1) - at - 1));
    }
    socket->send(R"({"type":"Subscribed"})", uWS::OpCode::TEXT);
    sockets_.insert(socket);
  }
  void forget(Socket* socket) { sockets_.erase(socket); }

 private:
  [[nodiscard]] bool is_behind() const {
    return std::ranges::any_of(sockets_,
                               [](Socket* s) { return s->getBufferedAmount() > kBehind; });
  }

  const Settings& settings_;
  const Control& control_;
  uWS::App& app_;
  Feed feed_;
  std::string text_;
  std::optional<Schedule> schedule_{};
  std::unordered_set<Socket*> sockets_{};
};

void again(uWS::Loop* loop, Producer& producer) {
  loop->defer([loop, &producer] {
    producer.turn();
    again(loop, producer);
  });
}

void run(const Settings& settings) {
  const Control control;
  uWS::App app;
  Producer producer{settings, control, app};
  uWS::App::WebSocketBehavior<Nothing> behavior;
  behavior.maxBackpressure = kBackPressureMax;
  behavior.idleTimeout = 0;
  behavior.message = [&producer](Socket* socket, std::string_view text, uWS::OpCode opcode) {
    if (text.find("Subscribe") != std::string_view::npos) return producer.subscribe(socket, text);
    socket->send(text, opcode);
  };
  behavior.close = [&producer](Socket* socket, int, std::string_view) { producer.forget(socket); };
  app.ws<Nothing>("/*", std::move(behavior));
  const auto listening = [](us_listen_socket_t* socket) {
    if (socket != nullptr) Control::ready();
  };
  if (settings.unix_path.empty()) {
    app.listen("127.0.0.1", settings.port, listening);
  } else {
    app.listen(listening, settings.unix_path);
  }
  again(uWS::Loop::get(), producer);
  app.run();
}

}  // namespace
}  // namespace stratwire::bench

int main() {
  stratwire::bench::run(stratwire::bench::Settings::from_environment());
}
