/// A client of stratwire's transport library that a fuzzing server leads through its cases, as
/// Autobahn's does: asks /getCaseCount, echoes in /runCase?case=N&agent=X, ends with
/// /updateReports?agent=X.

#include <array>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <stratwire/transport/connector.hpp>
#include <stratwire/transport/handshake.hpp>
#include <stratwire/transport/poller.hpp>
#include <stratwire/transport/url.hpp>

#include "echo_line.hpp"

namespace stratwire::conformance {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kHeadReadBytes = 16U << 10;
constexpr std::chrono::seconds kConnectTimeout{10};
/// A server that says nothing for so long has forgotten this client.
constexpr std::chrono::seconds kSilenceMax{60};

/// Waits until the descriptor can be used in that way. False: the time is over.
class Waiter {
 public:
  explicit Waiter(transport::Poller poller) : poller_(std::move(poller)) {}

  bool wait(int fd, transport::Interest interest, Clock::time_point deadline) {
    if (poller_.add(fd, 0, interest) != 0) return false;
    std::array<transport::Ready, 1> ready{};
    std::size_t count = 0;
    while (count == 0 && Clock::now() < deadline) {
      count = poller_.wait(ready, deadline - Clock::now());
    }
    poller_.remove(fd);
    return count != 0;
  }

 private:
  transport::Poller poller_;
};

/// Goes through one connection after the other.
class EchoClient {
 public:
  EchoClient(const transport::Url& server, std::string agent, transport::Poller poller)
      : server_(server), agent_(std::move(agent)), waiter_(std::move(poller)) {}

  /// \return 0, or the exit code; what went wrong was said
  int run();

 private:
  using Task = EchoLine::Task;

  /// \return the last message; nothing when the connection could not be made
  std::optional<std::string> visit(const std::string& target, Task task);
  std::optional<transport::Socket> connect(const transport::Url& url);
  std::optional<EchoLine> upgrade(transport::Socket socket, const transport::Url& url, Task task);

  transport::Url server_;
  std::string agent_;
  Waiter waiter_;
};

std::optional<transport::Socket> EchoClient::connect(const transport::Url& url) {
  transport::Connector connector;
  connector.start(url);
  const auto deadline = Clock::now() + kConnectTimeout;
  using Status = transport::Connector::Status;
  while (connector.status() == Status::pending && Clock::now() < deadline) {
    connector.wait(deadline - Clock::now());
  }
  if (connector.status() == Status::connected) return connector.take_socket();
  std::fprintf(stderr, "ws_echo_client: %s\n",
               connector.status() == Status::failed ? connector.error().text.c_str()
                                                    : "no answer to connect");
  return std::nullopt;
}

std::optional<EchoLine> EchoClient::upgrade(transport::Socket socket, const transport::Url& url,
                                            Task task) {
  using Step = transport::ClientHandshake::Step;
  transport::ClientHandshake handshake(url, {});
  const std::string_view request = handshake.request();
  const auto deadline = Clock::now() + kConnectTimeout;
  // The request is far smaller than the buffer of a new socket.
  Step step = Step::need_more;
  if (socket.write_some(std::span(request)).bytes != request.size()) {
    step = handshake.end_of_stream();
  }
  std::array<char, kHeadReadBytes> buffer;
  std::span<const char> rest;
  while (step == Step::need_more) {
    if (!waiter_.wait(socket.fd(), transport::Interest::read, deadline)) break;
    const transport::IoResult result = socket.read_some(buffer);
    if (result.status == transport::IoStatus::would_block) continue;
    rest = {buffer.data(), result.bytes};
    step =
        result.status == transport::IoStatus::ok ? handshake.feed(rest) : handshake.end_of_stream();
  }
  if (step == Step::upgraded) {
    return EchoLine(std::move(socket), transport::Role::client, {}, rest, task);
  }
  std::fprintf(stderr, "ws_echo_client: %s\n",
               step == Step::failed ? handshake.error().text.c_str() : "no answer to the upgrade");
  return std::nullopt;
}

std::optional<std::string> EchoClient::visit(const std::string& target, Task task) {
  transport::Url url = server_;
  url.target = target;
  auto socket = connect(url);
  if (!socket) return std::nullopt;
  auto line = upgrade(std::move(*socket), url, task);
  if (!line) return std::nullopt;
  line->work();
  auto silent_until = Clock::now() + kSilenceMax;
  while (line->is_open() && !line->overdue()) {
    const auto step_end = Clock::now() + std::chrono::milliseconds(100);
    if (waiter_.wait(line->fd(), line->interest(), step_end)) {
      line->work();
      silent_until = Clock::now() + kSilenceMax;
    } else if (Clock::now() > silent_until) {
      std::fprintf(stderr, "ws_echo_client: %s: the server says nothing\n", target.c_str());
      break;
    }
  }
  return line->last_message();
}

int EchoClient::run() {
  const auto answer = visit("/getCaseCount", Task::collect);
  if (!answer) return EXIT_FAILURE;
  unsigned count = 0;
  const auto [end, error] = std::from_chars(answer->data(), answer->data() + answer->size(), count);
  if (error != std::errc{} || end != answer->data() + answer->size()) {
    std::fprintf(stderr, "ws_echo_client: the case count is \"%s\", not a number\n",
                 answer->c_str());
    return EXIT_FAILURE;
  }
  for (unsigned i = 1; i <= count; ++i) {
    // A case may be about the upgrade itself: its failure is said, and the next one is asked for.
    (void)visit("/runCase?case=" + std::to_string(i) + "&agent=" + agent_, Task::echo);
  }
  return visit("/updateReports?agent=" + agent_, Task::collect) ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace stratwire::conformance

int main(int argc, char** argv) {
  if (argc != 2 && argc != 3) {
    std::fputs(
        "usage: ws_echo_client URL [AGENT]\n"
        "URL is ws://host:port or ws+unix:///path.sock of a fuzzing server\n",
        stderr);
    return 2;
  }
  const auto url = stratwire::transport::Url::parse(argv[1]);
  if (!url) {
    std::fprintf(stderr, "ws_echo_client: %s\n", url.error().text.c_str());
    return 2;
  }
  auto poller = stratwire::transport::Poller::open();
  if (!poller) {
    std::fprintf(stderr, "ws_echo_client: %s\n", poller.error().text.c_str());
    return 1;
  }
  stratwire::conformance::EchoClient client(*url, argc == 3 ? argv[2] : "stratwire",
                                            std::move(*poller));
  return client.run();
}
