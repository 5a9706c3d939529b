/// A subscriber inside the publisher: tells it that what it published has been sent.
#pragma once

#include <arpa/inet.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <netinet/in.h>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include "../client/wire.hpp"
#include "../common/message.hpp"
#include "control.hpp"

namespace stratwire::bench {

class Tap {
 public:
  explicit Tap(const Settings& settings) : fd_(connect_to(settings)) {
    write_all(upgrade_request("stratwire.v1.json"));
    while (unread().find(kHeadEnd) == std::string_view::npos) {
      if (!receive()) refuse();
    }
    keep(unread().substr(unread().find(kHeadEnd) + kHeadEnd.size()));
    const std::string_view all = R"({"type":"Subscribe","id":1,"channels":["prices:*"]})";
    write_all(masked_frame(1, all, 0x1b2c3d4e));
    while (!subscribed_) {
      if (!receive()) refuse();
      count();
    }
  }
  ~Tap() { close(fd_); }
  Tap(const Tap&) = delete;
  Tap& operator=(const Tap&) = delete;

  /// Sleeps until so many messages have come in all; false when the connection is gone.
  bool wait_for(std::uint64_t messages) {
    while (messages_ < messages) {
      if (!receive()) return false;
      count();
    }
    return true;
  }

 private:
  struct Sink {
    Tap& tap;
    void on_message(std::string_view text) {
      if (text.starts_with(kHead)) ++tap.messages_;
      if (text.starts_with(R"({"type":"Subscribed")")) tap.subscribed_ = true;
    }
    void on_control(Control6455, std::string_view) {}
  };

  [[noreturn]] static void refuse() {
    std::fprintf(stderr, "the publisher can't subscribe to its own server\n");
    std::exit(1);
  }

  static int connect_to(const Settings& settings) {
    int fd = -1;
    int failed = 0;
    if (settings.unix_path.empty()) {
      fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(settings.port);
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      failed = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    } else {
      fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      settings.unix_path.copy(address.sun_path, sizeof address.sun_path - 1);
      failed = connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    }
    if (failed != 0) refuse();
    return fd;
  }

  void write_all(std::string_view bytes) const {
    if (send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size())) {
      refuse();
    }
  }

  [[nodiscard]] std::string_view unread() const { return {buffer_.data(), used_}; }

  bool receive() {
    const ssize_t got = recv(fd_, buffer_.data() + used_, buffer_.size() - used_, 0);
    if (got > 0) used_ += static_cast<std::size_t>(got);
    return got > 0;
  }

  /// Moves what is still needed to the front.
  void keep(std::string_view rest) {
    std::memmove(buffer_.data(), rest.data(), rest.size());
    used_ = rest.size();
  }

  void count() {
    std::string_view input = unread();
    split_frames(input, Sink{*this});
    keep(input);
  }

  static constexpr std::string_view kHeadEnd = "\r\n\r\n";
  int fd_;
  std::vector<char> buffer_ = std::vector<char>(256 * 1024);
  std::size_t used_ = 0;
  std::uint64_t messages_ = 0;
  bool subscribed_ = false;
};

}  // namespace stratwire::bench
