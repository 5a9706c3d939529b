/// The least that a server must do before it can send: listen, answer the upgrade, read what is
/// subscribed. No limits, no errors, only for the generator of this folder, which always sends the
/// sample key of RFC 6455.
#pragma once

#include <algorithm>
#include <arpa/inet.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string>
#include <string_view>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include "../client/wire.hpp"
#include "../common/message.hpp"
#include "control.hpp"

namespace stratwire::bench {

inline int listen_as_told(const Settings& settings) {
  constexpr int kBacklog = 1024;
  int fd = -1;
  if (settings.unix_path.empty()) {
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(settings.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fd = -1;
  } else {
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    settings.unix_path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fd = -1;
  }
  if (fd < 0 || listen(fd, kBacklog) != 0) {
    std::perror("can't listen");
    std::exit(1);
  }
  return fd;
}

/// Channel indices in a subscription, found by the prefix that all names have, in rising order.
[[nodiscard]] inline std::vector<std::size_t> read_channels(std::string_view text,
                                                            std::size_t channels) {
  constexpr std::string_view kPrefix = "prices:";
  std::vector<std::size_t> wanted;
  for (std::size_t at = text.find(kPrefix); at != std::string_view::npos;
       at = text.find(kPrefix, at + 1)) {
    if (at + kPrefix.size() + kKeyBytes > text.size()) break;
    const std::size_t index = channel_index(text.data() + at + kPrefix.size(), channels);
    if (index < channels) wanted.push_back(index);
  }
  std::sort(wanted.begin(), wanted.end());
  return wanted;
}

/// A client's frame, unmasked in place, taken off the front; empty as long as it is not whole.
inline std::string_view take_masked(std::string& input) {
  if (input.size() < 6) return {};
  std::size_t header = 2;
  std::size_t bytes = static_cast<std::uint8_t>(input[1]) & 0x7f;
  if (bytes == 126) {
    bytes = static_cast<std::size_t>(static_cast<std::uint8_t>(input[2])) << 8 |
            static_cast<std::uint8_t>(input[3]);
    header = 4;
  }
  if (input.size() < header + 4 + bytes) return {};
  char* const payload = input.data() + header + 4;
  for (std::size_t i = 0; i < bytes; ++i) payload[i] ^= input[header + i % 4];
  return {payload, bytes};
}

/// Connections of a bare server.
class BareServer {
 public:
  struct Connection {
    int fd = -1;
    bool open = false;
    std::size_t cursor = 0;             ///< Into a log that connections share.
    std::vector<std::size_t> wanted{};  ///< Channels; empty where there is one.
    std::string input{};
  };

  explicit BareServer(const Settings& settings)
      : settings_(settings), listener_(listen_as_told(settings)), epoll_(epoll_create1(0)) {
    watch(listener_, nullptr);
  }

  [[nodiscard]] std::vector<Connection*>& subscribers() { return subscribers_; }

  /// Accepts, answers upgrades and subscriptions, for at most so long.
  void serve(int timeout_ms) {
    epoll_event events[64];
    const int ready = epoll_wait(epoll_, events, 64, timeout_ms);
    for (int i = 0; i < ready; ++i) {
      if (events[i].data.ptr == nullptr) {
        accept_one();
      } else {
        read(*static_cast<Connection*>(events[i].data.ptr));
      }
    }
  }

  /// All of it, waiting where the socket is full: what the reader does not take, nobody sends.
  static bool send_all(int fd, const char* bytes, std::size_t size) {
    return send(fd, bytes, size, MSG_NOSIGNAL) == static_cast<ssize_t>(size);
  }

 private:
  void watch(int fd, Connection* connection) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = connection;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
  }

  void accept_one() {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) return;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    // For the whole run: a bare server takes connections, and none away.
    auto* const connection = new Connection;
    connection->fd = fd;
    watch(fd, connection);
  }

  void read(Connection& c) {
    char buffer[4096];
    const ssize_t got = recv(c.fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (got <= 0) {
      epoll_ctl(epoll_, EPOLL_CTL_DEL, c.fd, nullptr);
      return;
    }
    c.input.append(buffer, static_cast<std::size_t>(got));
    if (!c.open) upgrade(c);
    while (c.open) {
      const std::string_view text = take_masked(c.input);
      if (text.empty()) break;
      subscribe(c, text);
      c.input.erase(0, static_cast<std::size_t>(text.data() + text.size() - c.input.data()));
    }
    if (c.input.empty()) c.input.shrink_to_fit();
  }

  void upgrade(Connection& c) {
    const std::size_t end = c.input.find("\r\n\r\n");
    if (end == std::string::npos) return;
    const std::string answer =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: " +
        std::string(kSampleAccept) + "\r\n\r\n";
    c.open = send_all(c.fd, answer.data(), answer.size());
    c.input.erase(0, end + 4);
  }

  void subscribe(Connection& c, std::string_view text) {
    if (settings_.channels > 1) c.wanted = read_channels(text, settings_.channels);
    std::string answer = "    {\"type\":\"Subscribed\"}";
    char* const payload = answer.data() + 4;
    const char* const frame = seal(payload, answer.size() - 4);
    send_all(c.fd, frame, static_cast<std::size_t>(answer.data() + answer.size() - frame));
    subscribers_.push_back(&c);
  }
  static char* seal(char* payload, std::size_t bytes) {
    payload[-2] = '\x81';
    payload[-1] = static_cast<char>(bytes);
    return payload - 2;
  }

  const Settings& settings_;
  int listener_;
  int epoll_;
  std::vector<Connection*> subscribers_{};
};

}  // namespace stratwire::bench
