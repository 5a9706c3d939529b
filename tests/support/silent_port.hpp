/// A port at which nobody ever answers.
#pragma once

#include <cstdint>
#include <netinet/in.h>
#include <sys/socket.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/transport/listener.hpp>
#include <stratwire/transport/socket.hpp>

namespace stratwire::testing {

/// Its queue is full: the kernel drops what else comes, so that a connect stays pending.
class SilentPort {
 public:
  SilentPort() : listener_(std::move(*transport::Listener::open("127.0.0.1", 0))) {
    EXPECT_EQ(::listen(listener_.fd(), 0), 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port());
    // The queue takes one more than its length; the second fills it, the third is to spare.
    for (int i = 0; i < 3; ++i) {
      waiting_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      ::connect(waiting_.back().fd(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    }
  }
  [[nodiscard]] std::uint16_t port() const { return listener_.local_port(); }

 private:
  transport::Listener listener_;
  std::vector<transport::Socket> waiting_{};
};

}  // namespace stratwire::testing
