/// Sockets and files of this machine, for tests.
#pragma once

#include <array>
#include <chrono>
#include <cstdlib>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include <gtest/gtest.h>

#include <stratwire/transport/poller.hpp>
#include <stratwire/transport/socket.hpp>

namespace stratwire::transport::test {

using namespace std::chrono_literals;

/// Long enough that only a failure ever waits for it.
inline constexpr std::chrono::seconds kPatience{20};

/// A folder that goes with its content's names known to the test.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    char name[] = "/tmp/stratwire-test-XXXXXX";
    if (::mkdtemp(name) != nullptr) path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    ::unlink(file("feed.sock").c_str());
    ::rmdir(path_.c_str());
  }
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + '/' + name; }

 private:
  std::string path_{};
};

/// Two ends of a stream, of AF_UNIX.
inline std::pair<Socket, Socket> socket_pair() {
  std::array<int, 2> ends{-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  return {Socket(ends[0]), Socket(ends[1])};
}

/// Waits until the descriptor is ready for that.
inline bool wait_for(int fd, Interest interest) {
  auto poller = Poller::open();
  if (!poller || poller->add(fd, 1, interest) != 0) return false;
  std::array<Ready, 1> ready;
  return poller->wait(ready, kPatience) == 1;
}

/// Reads until so many bytes are there, or the end.
inline std::string read_exactly(Socket& socket, std::size_t bytes) {
  std::string text;
  std::array<char, 4096> block;
  while (text.size() < bytes) {
    const std::size_t room = std::min(block.size(), bytes - text.size());
    const IoResult got = socket.read_some(std::span(block).first(room));
    if (got.status == IoStatus::would_block) {
      if (!wait_for(socket.fd(), Interest::read)) break;
      continue;
    }
    if (got.status != IoStatus::ok) break;
    text.append(block.data(), got.bytes);
  }
  return text;
}

}  // namespace stratwire::transport::test
