/// Boost.Beast in the run, as its own examples have it: websocket::stream, one async_write per
/// message, a queue of shared messages per connection.
///
/// Publishing is part of the loop: K publishes, then the handlers that are ready. A connection
/// whose queue is long holds publishing back, so that nothing is dropped.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <deque>
#include <memory>
#include <string>
#include <unordered_set>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>

#include "../common/message.hpp"
#include "../servers/control.hpp"

namespace stratwire::bench {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using asio::ip::tcp;
using Text = std::shared_ptr<const std::string>;

constexpr std::size_t kQueueMax = 1024;

class Session;
struct Sessions {
  std::unordered_set<std::shared_ptr<Session>> subscribed{};
  /// Connections with a full queue: publishing waits while there are any.
  std::size_t full = 0;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(tcp::socket socket, Sessions& sessions)
      : stream_(std::move(socket)), sessions_(sessions) {}

  void run() {
    stream_.next_layer().socket().set_option(tcp::no_delay(true));
    stream_.text(true);
    stream_.async_accept([self = shared_from_this()](beast::error_code error) {
      if (!error) self->read();
    });
  }

  void send(const Text& text) {
    queue_.push_back(text);
    if (queue_.size() == kQueueMax) ++sessions_.full;
    if (queue_.size() == 1) write();
  }

 private:
  void read() {
    stream_.async_read(input_, [self = shared_from_this()](beast::error_code error, std::size_t) {
      if (error) return self->leave();
      const std::string text = beast::buffers_to_string(self->input_.data());
      self->input_.consume(self->input_.size());
      if (text.find("Subscribe") != std::string::npos) {
        self->send(std::make_shared<const std::string>(R"({"type":"Subscribed"})"));
        self->sessions_.subscribed.insert(self);
      } else {
        self->send(std::make_shared<const std::string>(text));
      }
      self->read();
    });
  }

  void write() {
    stream_.async_write(asio::buffer(*queue_.front()),
                        [self = shared_from_this()](beast::error_code error, std::size_t) {
                          if (error) return self->leave();
                          if (self->queue_.size() == kQueueMax) --self->sessions_.full;
                          self->queue_.pop_front();
                          if (!self->queue_.empty()) self->write();
                        });
  }

  void leave() {
    if (queue_.size() >= kQueueMax) --sessions_.full;
    queue_.clear();
    sessions_.subscribed.erase(shared_from_this());
  }

  beast::websocket::stream<beast::tcp_stream> stream_;
  Sessions& sessions_;
  beast::flat_buffer input_{};
  std::deque<Text> queue_{};
};

void accept(tcp::acceptor& acceptor, Sessions& sessions) {
  acceptor.async_accept([&](beast::error_code error, tcp::socket socket) {
    if (!error) std::make_shared<Session>(std::move(socket), sessions)->run();
    accept(acceptor, sessions);
  });
}

void publish(Sessions& sessions, Feed& feed, std::int64_t time) {
  auto text = std::make_shared<std::string>(feed.bytes_max(), '\0');
  text->resize(static_cast<std::size_t>(feed.write(text->data(), time) - text->data()));
  for (const auto& session : sessions.subscribed) session->send(text);
}

void run(const Settings& settings) {
  const Control control;
  asio::io_context context{1};
  Sessions sessions;
  tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), settings.port}};
  accept(acceptor, sessions);
  Control::ready();
  while (!control.started()) context.run_one_for(std::chrono::milliseconds{10});
  Feed feed{settings.channels, settings.message_bytes};
  Schedule schedule{settings};
  while (!control.stopped()) {
    if (sessions.full == 0) {
      const std::size_t due = std::min(schedule.due(), kQueueMax);
      for (std::size_t i = 0; i < due; ++i) publish(sessions, feed, schedule.take());
    }
    context.poll();
  }
  schedule.report();
  std::fflush(stdout);
  // Not through the destructors of handlers that still wait.
  std::_Exit(0);
}

}  // namespace
}  // namespace stratwire::bench

int main() {
  stratwire::bench::run(stratwire::bench::Settings::from_environment());
}
