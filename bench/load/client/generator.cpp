#include "generator.hpp"

#include <arpa/inet.h>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <numeric>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../common/clock.hpp"
#include "watch.hpp"

namespace stratwire::bench {
namespace {

constexpr std::size_t kReceiveBytes = 256 * 1024;
/// In front of what is received, for the rest of a message.
constexpr std::size_t kRestBytesMax = 256 * 1024;
constexpr int kEvents = 512;
/// Upgrades that are under way at once: fewer than any server's backlog.
constexpr std::size_t kOpening = 64;
constexpr double kPatienceS = 60;
/// What Redis and NATS answer with a PONG: the connection has been accepted.
constexpr const char* kPing = "PING\r\n";
constexpr std::string_view kPong = "PONG\r\n";

[[noreturn]] void die(const std::string& text) {
  std::fprintf(stderr, "bench_load_client: %s\n", text.c_str());
  std::exit(1);
}

double seconds(std::int64_t ns) {
  return static_cast<double>(ns) / 1e9;
}
std::int64_t nanoseconds(double s) {
  return static_cast<std::int64_t>(s * 1e9);
}

int connect_tcp(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return -1;
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  // A reset at the end: ten thousand connections must not stay behind in TIME_WAIT.
  const linger hard{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  return fd;
}

int connect_unix(const std::string& path) {
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return -1;
  return fd;
}

}  // namespace

/// What split_x() calls; decided once per recv(), not per message.
struct Generator::Sink {
  Generator& generator;
  Connection& connection;
  bool timed;

  void on_message(std::string_view text) {
    const std::uint64_t before = generator.tally_.messages;
    connection.checker.on_message(text, generator.tally_);
    if (generator.tally_.messages == before) {
      // What else comes, a Heartbeat, is no answer to a Ping.
      if (text == generator.options_.ping || text.starts_with(R"({"type":"Pong")")) {
        ++generator.pongs_;
      }
      return;
    }
    connection.served = true;
    if (timed) generator.report_->latency.add(generator.received_at_ - time_of(text));
  }
  void on_control(Control6455 opcode, std::string_view payload) {
    if (opcode == Control6455::close) generator.drop(connection);
    if (opcode == Control6455::ping) {
      generator.send_all(connection, masked_frame(0xa, payload, 0x5a17c3e9));
    }
  }
  void on_answer() { ++generator.tally_.answers; }
  void on_ping() { generator.send_all(connection, "PONG\r\n"); }
};

Generator::Generator(const Options& options)
    : options_(options),
      report_(std::make_unique<Report>()),
      events_(kEvents),
      buffer_(kRestBytesMax + kReceiveBytes),
      epoll_(epoll_create1(EPOLL_CLOEXEC)),
      random_(options.seed * 0x9e3779b97f4a7c15ULL + 1) {
  report_->memory_before = memory_of(options.watched);
}

Generator::~Generator() {
  for (const auto& connection : connections_) drop(*connection);
  close(epoll_);
}

void Generator::connect_all() {
  const std::int64_t begin = bench_now();
  wait_for("upgrades", kPatienceS, [this] {
    while (connections_.size() < options_.connections && connections_.size() - opened_ < kOpening) {
      open_one();
    }
    return opened_ == options_.connections;
  });
  report_->upgrade_s = seconds(bench_now() - begin);
}

void Generator::open_one() {
  const int fd =
      options_.unix_path.empty() ? connect_tcp(options_.port) : connect_unix(options_.unix_path);
  if (fd < 0) die(std::string("can't connect: ") + std::strerror(errno));
  connections_.push_back(std::make_unique<Connection>(fd, options_.channels));
  Connection& connection = *connections_.back();
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = &connection;
  epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  switch (options_.protocol) {
    case Protocol::websocket:
      send_all(connection, upgrade_request(options_.subprotocol));
      break;
    case Protocol::resp:
      send_all(connection, kPing);
      break;
    case Protocol::nats:
      send_all(connection, std::string("CONNECT {\"verbose\":false}\r\n") + kPing);
      break;
  }
}

void Generator::subscribe_all() {
  const std::int64_t begin = bench_now();
  const std::size_t answers = options_.protocol == Protocol::resp
                                  ? options_.connections * options_.per_connection
                                  : options_.connections;
  std::size_t asked = 0;
  wait_for("answers to subscriptions", kPatienceS, [&] {
    // A few at a time, so that a server that answers at once is never stuck on full sockets.
    for (std::size_t i = 0; i < kOpening && asked < connections_.size(); ++i) {
      subscribe(*connections_[asked++]);
    }
    if (tally_.refusals != 0) die("the server refused a subscription");
    return asked == connections_.size() && tally_.answers >= answers;
  });
  report_->subscribe_s = seconds(bench_now() - begin);
}

std::string Generator::subscription(Connection& connection) {
  std::vector<std::size_t> channels(options_.channels);
  std::iota(channels.begin(), channels.end(), 0);
  std::string quoted;
  std::string bare;
  for (std::size_t i = 0; i < options_.per_connection; ++i) {
    // The front of a random permutation, by xorshift.
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    std::swap(channels[i], channels[i + random_ % (channels.size() - i)]);
    connection.checker.ask(channels[i]);
    const std::string name = channel_name(channels[i], options_.channels);
    quoted += (i == 0 ? "\"" : ",\"") + name + "\"";
    bare += (i == 0 ? "" : " ") + name;
  }
  std::string text = options_.subscribe;
  if (const auto at = text.find("{channels}"); at != std::string::npos)
    text.replace(at, 10, quoted);
  if (const auto at = text.find("{names}"); at != std::string::npos) text.replace(at, 7, bare);
  return text;
}

void Generator::subscribe(Connection& connection) {
  const std::string text = subscription(connection);
  switch (options_.protocol) {
    case Protocol::websocket:
      send_text(connection, text);
      break;
    case Protocol::resp:
      send_all(connection, text + "\r\n");
      break;
    case Protocol::nats: {
      std::string lines;
      std::size_t id = 0;
      for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find(' ', at), text.size());
        lines += "SUB " + text.substr(at, end - at) + " " + std::to_string(++id) + "\r\n";
        at = end + 1;
      }
      send_all(connection, lines + "PING\r\n");
      break;
    }
  }
}

void Generator::send_text(Connection& connection, std::string_view text) {
  send_all(connection, masked_frame(1, text, 0x37fa213d));
}

void Generator::send_all(const Connection& connection, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(connection.fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0) return;  // The read that follows says why.
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

void Generator::turn(int timeout_ms) {
  int ready = epoll_wait(epoll_, events_.data(), kEvents, 0);
  if (ready == 0 && timeout_ms != 0) {
    const std::int64_t begin = bench_now();
    ready = epoll_wait(epoll_, events_.data(), kEvents, timeout_ms);
    asleep_ns_ += bench_now() - begin;
  }
  for (int i = 0; i < ready; ++i) {
    read(*static_cast<Connection*>(events_[static_cast<std::size_t>(i)].data.ptr));
  }
}

void Generator::turn_until(std::int64_t time) {
  while (bench_now() < time) turn(options_.spin ? 0 : 20);
}

template <class Done>
void Generator::wait_for(const char* what, double seconds_max, Done done) {
  const std::int64_t deadline = bench_now() + nanoseconds(seconds_max);
  while (!done()) {
    turn(1);
    if (bench_now() > deadline) die(std::string("waited in vain for ") + what);
    if (report_->disconnected != 0) die("the server closed a connection");
  }
}

void Generator::read(Connection& connection) {
  if (connection.phase == Connection::Phase::closed) return;
  char* const received = buffer_.data() + kRestBytesMax;
  const ssize_t got = recv(connection.fd, received, kReceiveBytes, MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) {
    drop(connection);
    return;
  }
  received_at_ = options_.latency && in_window_ ? bench_now() : 0;
  ++recv_calls_;
  const std::size_t kept = connection.rest.size();
  if (kept > kRestBytesMax) die("a message is too large");
  std::memcpy(received - kept, connection.rest.data(), kept);
  std::string_view input(received - kept, kept + static_cast<std::size_t>(got));
  if (connection.phase == Connection::Phase::upgrading) read_upgrade(connection, input);
  if (connection.phase == Connection::Phase::open && split(connection, input) == Split::broken) {
    die("what the server sent can't be parsed");
  }
  connection.rest.assign(input);
}

Split Generator::split(Connection& connection, std::string_view& input) {
  Sink sink{*this, connection, received_at_ != 0};
  switch (options_.protocol) {
    case Protocol::resp:
      return split_resp(input, sink);
    case Protocol::nats:
      return split_nats(input, sink);
    default:
      return split_frames(input, sink);
  }
}

void Generator::read_upgrade(Connection& connection, std::string_view& input) {
  const bool http = options_.protocol == Protocol::websocket;
  const std::size_t end = input.find(http ? "\r\n\r\n" : kPong);
  if (end == std::string_view::npos) return;
  if (!http) {
    input.remove_prefix(end + kPong.size());
    connection.phase = Connection::Phase::open;
    ++opened_;
    return;
  }
  const std::string_view head = input.substr(0, end);
  if (!head.starts_with("HTTP/1.1 101") || head.find(kSampleAccept) == std::string_view::npos) {
    die("the upgrade was answered with: " + std::string(head.substr(0, head.find('\r'))));
  }
  input.remove_prefix(end + 4);
  connection.phase = Connection::Phase::open;
  ++opened_;
}

void Generator::drop(Connection& connection) {
  if (connection.phase == Connection::Phase::closed) return;
  connection.phase = Connection::Phase::closed;
  close(connection.fd);
  ++report_->disconnected;
}

void Generator::measure() {
  std::puts("subscribed");
  std::fflush(stdout);
  wait_for("the first message", kPatienceS, [this] { return tally_.messages != 0; });
  turn_until(bench_now() + nanoseconds(options_.warmup_s));

  const Tally before = tally_;
  const std::uint64_t recv_before = recv_calls_;
  const std::uint64_t server_before = cpu_ns_of(options_.watched);
  const std::int64_t cpu_before = thread_cpu_ns();
  const std::int64_t begin = bench_now();
  asleep_ns_ = 0;
  for (const auto& connection : connections_) connection->served = false;
  in_window_ = true;
  turn_until(begin + nanoseconds(options_.window_s));
  const std::int64_t took = bench_now() - begin;
  report_->server_cpu_s = static_cast<double>(cpu_ns_of(options_.watched) - server_before) / 1e9;
  report_->window_s = seconds(took);
  report_->cpu_share = seconds(thread_cpu_ns() - cpu_before) / seconds(took);
  report_->busy_share = 1 - seconds(asleep_ns_) / seconds(took);
  report_->recv_calls = recv_calls_ - recv_before;
  report_->memory_after = memory_of(options_.watched);
  report_->window.messages = tally_.messages - before.messages;
  report_->window.bytes = tally_.bytes - before.bytes;
  report_->all = tally_;
  for (const auto& connection : connections_) report_->starved += connection->served ? 0U : 1U;
}

void Generator::measure_idle() {
  // Buffers of the subscription that are free again are freed.
  turn_until(bench_now() + nanoseconds(options_.warmup_s));
  report_->memory_after = memory_of(options_.watched);
  const std::uint64_t server_before = cpu_ns_of(options_.watched);
  const std::int64_t begin = bench_now();
  turn_until(begin + nanoseconds(options_.window_s));
  report_->server_cpu_s = static_cast<double>(cpu_ns_of(options_.watched) - server_before) / 1e9;
  report_->window_s = seconds(bench_now() - begin);
  report_->all = tally_;
}

void Generator::measure_round_trips() {
  std::puts("subscribed");
  std::fflush(stdout);
  Connection& connection = *connections_.front();
  const std::int64_t warm = bench_now() + nanoseconds(options_.warmup_s);
  const std::int64_t end = warm + nanoseconds(options_.window_s);
  const std::int64_t cpu_before = static_cast<std::int64_t>(cpu_ns_of(options_.watched));
  for (std::int64_t sent_at = bench_now(); sent_at < end; sent_at = bench_now()) {
    const std::uint64_t expected = pongs_ + 1;
    send_text(connection, options_.ping);
    while (pongs_ < expected) {
      turn(options_.spin ? 0 : 20);
      if (connection.phase == Connection::Phase::closed) die("the server closed the connection");
    }
    if (sent_at >= warm) report_->latency.add(bench_now() - sent_at);
  }
  report_->server_cpu_s =
      seconds(static_cast<std::int64_t>(cpu_ns_of(options_.watched)) - cpu_before);
  report_->window_s = options_.window_s;
}

}  // namespace stratwire::bench
