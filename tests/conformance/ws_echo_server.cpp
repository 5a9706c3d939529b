/// An echo server of stratwire's transport library, for conformance suites (README.md).

#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/signalfd.h>
#include <utility>
#include <vector>

#include <stratwire/transport/handshake.hpp>
#include <stratwire/transport/listener.hpp>
#include <stratwire/transport/poller.hpp>

#include "echo_line.hpp"

namespace stratwire::conformance {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kHeadReadBytes = 16U << 10;
/// How late a deadline may be noticed.
constexpr std::chrono::milliseconds kLookAround{50};
constexpr std::uint64_t kStopToken = ~std::uint64_t{0};

/// SIGTERM and SIGINT as a descriptor. A handler would set a flag that is looked at before waiting,
/// and the thread sanitizer runs handlers in the calls that it knows only, which may never come.
int open_stop_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigprocmask(SIG_BLOCK, &set, nullptr);
  return ::signalfd(-1, &set, SFD_CLOEXEC);
}

struct Options {
  std::uint16_t port = 0;
  std::string unix_path{};
  std::chrono::milliseconds handshake{5'000};
};

/// One that has connected: a handshake, then an EchoLine.
class Guest {
 public:
  Guest(transport::Socket socket, Clock::time_point deadline)
      : socket_(std::move(socket)), deadline_(deadline) {}

  void work() {
    if (line_) {
      line_->work();
    } else {
      read_handshake();
    }
  }
  [[nodiscard]] bool is_open() const noexcept { return line_ ? line_->is_open() : is_waiting(); }
  [[nodiscard]] bool overdue() const noexcept {
    return line_ ? line_->overdue() : Clock::now() > deadline_;
  }
  [[nodiscard]] int fd() const noexcept { return line_ ? line_->fd() : socket_.fd(); }
  [[nodiscard]] transport::Interest interest() const noexcept {
    return line_ ? line_->interest() : transport::Interest::read;
  }

 private:
  using Step = transport::ServerHandshake::Step;

  [[nodiscard]] bool is_waiting() const noexcept { return socket_.is_open(); }
  void read_handshake();
  void say_goodbye(std::string_view response) {
    line_ = EchoLine::farewell(std::move(socket_), response);
    line_->work();
  }

  transport::Socket socket_;
  transport::ServerHandshake handshake_{};
  std::optional<EchoLine> line_{};
  Clock::time_point deadline_;
};

void Guest::read_handshake() {
  std::array<char, kHeadReadBytes> buffer;
  const transport::IoResult result = socket_.read_some(buffer);
  if (result.status == transport::IoStatus::would_block) return;
  if (result.status != transport::IoStatus::ok) {
    socket_.close();
    return;
  }
  std::span<const char> rest{buffer.data(), result.bytes};
  switch (handshake_.feed(rest)) {
    case Step::need_more:
      return;
    case Step::upgrade:
      line_.emplace(std::move(socket_), transport::Role::server, handshake_.accept({}), rest);
      line_->work();
      return;
    case Step::http_request:
      say_goodbye(handshake_.respond(404, "text/plain", "an echo server; open a WebSocket\n"));
      return;
    case Step::refused:
      say_goodbye(handshake_.refusal());
      return;
  }
}

class EchoServer {
 public:
  EchoServer(const Options& options, transport::Poller poller, int stop)
      : options_(options), poller_(std::move(poller)), stop_(stop) {}

  bool listen(transport::Outcome<transport::Listener> listener) {
    if (!listener) {
      std::fprintf(stderr, "ws_echo_server: %s\n", listener.error().text.c_str());
      return false;
    }
    (void)poller_.add(listener->fd(), listeners_.size(), transport::Interest::read);
    listeners_.push_back(std::move(*listener));
    return true;
  }

  [[nodiscard]] std::uint16_t port() const noexcept { return listeners_.front().local_port(); }

  void run() {
    std::vector<transport::Ready> ready(transport::Poller::kReadyMax);
    (void)poller_.add(stop_, kStopToken, transport::Interest::read);
    for (bool stop = false; !stop;) {
      const std::size_t count = poller_.wait(ready, kLookAround);
      for (std::size_t i = 0; i < count; ++i) {
        stop = stop || ready[i].token == kStopToken;
        serve(ready[i].token);
      }
      drop_overdue();
    }
  }

 private:
  struct Seat {
    Guest guest;
    transport::Interest interest = transport::Interest::read;
  };

  void serve(std::uint64_t token) {
    if (token < listeners_.size()) {
      accept(listeners_[token]);
      return;
    }
    const auto seat = seats_.find(token);
    if (seat == seats_.end()) return;
    Guest& guest = seat->second.guest;
    const int fd = guest.fd();
    guest.work();
    if (!guest.is_open()) {
      // Closing the descriptor has taken it out of the poller.
      seats_.erase(seat);
    } else if (guest.interest() != seat->second.interest) {
      seat->second.interest = guest.interest();
      (void)poller_.modify(fd, token, seat->second.interest);
    }
  }

  void accept(transport::Listener& listener) {
    while (true) {
      transport::AcceptResult accepted = listener.accept();
      if (accepted.status != transport::AcceptStatus::ok) return;
      const int fd = accepted.socket.fd();
      const std::uint64_t token = next_token_++;
      seats_.emplace(token,
                     Seat{Guest(std::move(accepted.socket), Clock::now() + options_.handshake)});
      (void)poller_.add(fd, token, transport::Interest::read);
    }
  }

  void drop_overdue() {
    std::erase_if(seats_, [](const auto& seat) { return seat.second.guest.overdue(); });
  }

  const Options& options_;
  transport::Poller poller_;
  int stop_;
  std::vector<transport::Listener> listeners_{};
  std::map<std::uint64_t, Seat> seats_{};
  std::uint64_t next_token_ = 2;  // Behind those of the listeners.
};

template <class Number>
bool read_number(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

bool read_options(int argc, char** argv, Options& out) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    const std::string_view value = argv[i + 1];
    std::int64_t handshake_ms = 0;
    if (name == "--port" && read_number(value, out.port)) continue;
    if (name == "--handshake-ms" && read_number(value, handshake_ms)) {
      out.handshake = std::chrono::milliseconds(handshake_ms);
      continue;
    }
    if (name != "--unix") return false;
    out.unix_path = value;
  }
  return argc % 2 == 1;
}

int serve(const Options& options) {
  auto poller = transport::Poller::open();
  if (!poller) return EXIT_FAILURE;
  EchoServer server(options, std::move(*poller), open_stop_signals());
  if (!server.listen(transport::Listener::open("127.0.0.1", options.port))) return EXIT_FAILURE;
  if (!options.unix_path.empty() &&
      !server.listen(transport::Listener::open_unix(options.unix_path))) {
    return EXIT_FAILURE;
  }
  std::printf("%u\n", static_cast<unsigned>(server.port()));
  std::fflush(stdout);
  server.run();
  return EXIT_SUCCESS;
}

}  // namespace
}  // namespace stratwire::conformance

int main(int argc, char** argv) {
  stratwire::conformance::Options options;
  if (!stratwire::conformance::read_options(argc, argv, options)) {
    std::fputs(
        "usage: ws_echo_server [--port N] [--unix PATH] [--handshake-ms N]\n"
        "prints the port that it listens on; ends with SIGTERM\n",
        stderr);
    return 2;
  }
  return stratwire::conformance::serve(options);
}
