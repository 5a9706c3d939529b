/// The publishing side of Redis and NATS: K publishes in one write, to a broker that this program
/// starts itself, so that both together are one server to the driver.
///
///   bench_load_broker redis|nats COMMAND OF THE BROKER...
///
/// Flat out, the next K are offered when the broker has answered the last ones (Redis answers each,
/// NATS a PING behind them), which holds a publisher to what the broker takes.
#include <algorithm>
#include <arpa/inet.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <string>
#include <string_view>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../common/message.hpp"
#include "../servers/control.hpp"

namespace stratwire::bench {
namespace {

constexpr std::size_t kTurnMax = 1024;

enum class Kind { redis, nats };

pid_t start_broker(char** command) {
  const pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int null = open("/dev/null", O_RDWR);
  dup2(null, STDIN_FILENO);
  dup2(null, STDOUT_FILENO);
  dup2(null, STDERR_FILENO);
  execvp(command[0], command);
  std::_Exit(127);
}

/// Tries until the broker listens; -1 when it ended instead.
int connect_to(std::uint16_t port, pid_t broker) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  while (waitpid(broker, nullptr, WNOHANG) == 0) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
    close(fd);
    usleep(20'000);
  }
  return -1;
}

class Publishing {
 public:
  Publishing(Kind kind, const Settings& settings, int fd)
      : kind_(kind),
        settings_(settings),
        fd_(fd),
        feed_(settings.channels, settings.message_bytes),
        payload_(feed_.bytes_max(), '\0') {
    if (kind == Kind::nats) send_all("CONNECT {\"verbose\":false}\r\n");
  }

  void append(std::int64_t time) {
    const std::string name = channel_name(feed_.channel(), settings_.channels);
    const char* const end = feed_.write(payload_.data(), time);
    const auto bytes = static_cast<std::size_t>(end - payload_.data());
    if (kind_ == Kind::redis) {
      batch_ += "*3\r\n$7\r\nPUBLISH\r\n$" + std::to_string(name.size()) + "\r\n" + name + "\r\n$";
    } else {
      batch_ += "PUB " + name + " ";
    }
    batch_ += std::to_string(bytes) + "\r\n";
    batch_.append(payload_, 0, bytes);
    batch_ += "\r\n";
    ++expected_;
  }

  void flush() {
    if (kind_ == Kind::nats) {
      batch_ += "PING\r\n";
      expected_ = 1;
    }
    send_all(batch_);
    batch_.clear();
  }

  /// One line for each publish (Redis), or one PONG (NATS), which also sends PINGs of its own.
  bool wait_for_answers(const Control& control) {
    std::string line;
    while (expected_ != 0 && !control.stopped()) {
      char buffer[4096];
      const ssize_t got = recv(fd_, buffer, sizeof buffer, 0);
      if (got <= 0) return false;
      for (const char c : std::string_view(buffer, static_cast<std::size_t>(got))) {
        line.push_back(c);
        if (c != '\n') continue;
        if (line == "PING\r\n") send_all("PONG\r\n");
        if (line == "PONG\r\n" || line[0] == ':') --expected_;
        line.clear();
      }
    }
    return true;
  }

 private:
  void send_all(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  Kind kind_;
  const Settings& settings_;
  int fd_;
  Feed feed_;
  std::string payload_;
  std::string batch_{};
  std::size_t expected_ = 0;
};

/// \return CPU time that went into publishing, not into waiting for the next due time
std::int64_t publish_all(Publishing& publishing, Schedule& schedule, const Control& control) {
  std::int64_t worked_ns = 0;
  while (!control.stopped()) {
    const std::size_t due = std::min(schedule.due(), kTurnMax);
    if (due == 0) {
      sched_yield();
      continue;
    }
    const std::int64_t begin = thread_cpu_ns();
    for (std::size_t i = 0; i < due; ++i) publishing.append(schedule.take());
    publishing.flush();
    const bool goes_on = publishing.wait_for_answers(control);
    worked_ns += thread_cpu_ns() - begin;
    if (!goes_on) break;
  }
  return worked_ns;
}

int main_of(int argc, char** argv) {
  const std::string_view name = argc > 2 ? argv[1] : "";
  if (name != "redis" && name != "nats") {
    std::fprintf(stderr, "usage: bench_load_broker redis|nats COMMAND...\n");
    return 2;
  }
  const Settings settings = Settings::from_environment();
  const pid_t broker = start_broker(argv + 2);
  const Control control;
  const int fd = connect_to(settings.port, broker);
  if (fd < 0) {
    std::fprintf(stderr, "%s did not start\n", argv[2]);
    return 1;
  }
  Publishing publishing{name == "redis" ? Kind::redis : Kind::nats, settings, fd};
  Control::ready();
  while (!control.started()) usleep(1000);
  Schedule schedule{settings};
  const std::int64_t cpu_before = thread_cpu_ns();
  const std::int64_t worked_ns = publish_all(publishing, schedule, control);
  const std::int64_t spun_ns = thread_cpu_ns() - cpu_before - worked_ns;
  schedule.report(static_cast<double>(spun_ns) / static_cast<double>(schedule.elapsed_ns()));
  kill(broker, SIGKILL);
  waitpid(broker, nullptr, 0);
  return 0;
}

}  // namespace
}  // namespace stratwire::bench

int main(int argc, char** argv) {
  return stratwire::bench::main_of(argc, argv);
}
