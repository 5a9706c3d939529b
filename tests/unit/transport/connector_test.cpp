#include <array>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stratwire/transport/connector.hpp>
#include <stratwire/transport/listener.hpp>
#include <stratwire/transport/poller.hpp>

#include "../../support/silent_port.hpp"
#include "local.hpp"

namespace stratwire::transport::test {
namespace {

using stratwire::testing::SilentPort;
using ::testing::HasSubstr;
using Status = Connector::Status;

Url tcp(const std::string& host, std::uint16_t port) {
  return {.host = host, .port = port};
}

Status finish(Connector& connector) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (connector.status() == Status::pending && std::chrono::steady_clock::now() < end) {
    connector.wait(1s);
  }
  return connector.status();
}

// A port that nobody listens on: it was ours a moment ago, and bound without listening it stays so.
class DeadPort {
 public:
  DeadPort() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    socklen_t bytes = sizeof(address);
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &bytes), 0);
    port_ = ntohs(address.sin_port);
  }
  DeadPort(const DeadPort&) = delete;
  DeadPort& operator=(const DeadPort&) = delete;
  ~DeadPort() { ::close(fd_); }
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  int fd_;
  std::uint16_t port_ = 0;
};

/// A look-up that nobody waits for any more goes on in a thread of its own. The program must not
/// end before it has: the leak check of the address sanitizer would find its memory.
class LookUps : public ::testing::Environment {
 public:
  void TearDown() override {
    while (is_looking_up()) std::this_thread::yield();
  }

 private:
  static bool is_looking_up() {
    for (const auto& thread : std::filesystem::directory_iterator{"/proc/self/task"}) {
      std::string name;
      if (std::ifstream{thread.path() / "comm"} >> name && name == "stratwire-dns") return true;
    }
    return false;
  }
};
const auto* const kLookUps = ::testing::AddGlobalTestEnvironment(new LookUps);

TEST(Connector, ConnectsToAnAddress) {
  auto listener = Listener::open("127.0.0.1", 0);
  ASSERT_TRUE(listener.ok());
  Connector connector;
  EXPECT_EQ(connector.status(), Status::idle);
  connector.start(tcp("127.0.0.1", listener->local_port()));
  ASSERT_EQ(finish(connector), Status::connected);
  Socket socket = connector.take_socket();
  EXPECT_EQ(connector.status(), Status::idle);
  EXPECT_EQ(socket.peer_address(), listener->local_address());
  ASSERT_TRUE(wait_for(listener->fd(), Interest::read));
  AcceptResult accepted = listener->accept();
  ASSERT_EQ(accepted.status, AcceptStatus::ok);
  ASSERT_EQ(socket.write_some(std::string_view("x")).bytes, 1U);
  EXPECT_EQ(read_exactly(accepted.socket, 1), "x");
}

TEST(Connector, PollAloneGetsThere) {
  auto listener = Listener::open("127.0.0.1", 0);
  ASSERT_TRUE(listener.ok());
  Connector connector;
  connector.start(tcp("127.0.0.1", listener->local_port()));
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (connector.poll() == Status::pending && std::chrono::steady_clock::now() < end) continue;
  EXPECT_EQ(connector.status(), Status::connected);
}

TEST(Connector, LocalhostTriesBothFamilies) {
  auto v4 = Listener::open("127.0.0.1", 0);
  ASSERT_TRUE(v4.ok());
  Connector connector;
  connector.start(tcp("LocalHost", v4->local_port()));
  ASSERT_EQ(finish(connector), Status::connected);
  // A port that no program has at the other address: the two families share none.
  const DeadPort dead;
  auto v6 = Listener::open("::1", dead.port());
  if (!v6) GTEST_SKIP() << "no IPv6 here: " << v6.error().text;
  connector.start(tcp("localhost", v6->local_port()));
  ASSERT_EQ(finish(connector), Status::connected) << connector.error().text;
  EXPECT_THAT(connector.take_socket().peer_address(), ::testing::StartsWith("[::1]:"));
}

TEST(Connector, NobodyListensNamesUrlAddressAndCure) {
  const DeadPort dead;
  Connector connector;
  connector.start(tcp("localhost", dead.port()));
  ASSERT_EQ(finish(connector), Status::failed);
  const Error& error = connector.error();
  EXPECT_EQ(error.code, Errc::connect_failed);
  const std::string port = std::to_string(dead.port());
  EXPECT_THAT(error.text, HasSubstr("ws://localhost:" + port + "/"));
  EXPECT_THAT(error.text, HasSubstr("127.0.0.1:" + port + ": Connection refused"));
  EXPECT_THAT(error.text, HasSubstr("check the port and that the server is up"));
}

TEST(Connector, CanStartAgainAfterAFailure) {
  const DeadPort dead;
  auto listener = Listener::open("127.0.0.1", 0);
  ASSERT_TRUE(listener.ok());
  Connector connector;
  for (int i = 0; i < 3; ++i) {
    connector.start(tcp("127.0.0.1", dead.port()));
    ASSERT_EQ(finish(connector), Status::failed);
    connector.start(tcp("127.0.0.1", listener->local_port()));
    ASSERT_EQ(finish(connector), Status::connected);
    EXPECT_EQ(connector.error().code, Errc::ok);
    EXPECT_TRUE(connector.take_socket().is_open());
  }
}

TEST(Connector, UnknownHostNamesIt) {
  Connector connector;
  connector.start(tcp("no-such-host.invalid", 80));
  ASSERT_EQ(finish(connector), Status::failed);
  EXPECT_EQ(connector.error().code, Errc::resolve_failed);
  EXPECT_THAT(connector.error().text, HasSubstr("'no-such-host.invalid'"));
  EXPECT_THAT(connector.error().text, HasSubstr("check the name and the resolver"));
}

TEST(Connector, SocketFiles) {
  const TemporaryFolder folder;
  const Url url{.kind = Url::Kind::unix_socket, .socket_path = folder.file("feed.sock")};
  Connector connector;
  connector.start(url);
  ASSERT_EQ(finish(connector), Status::failed);
  EXPECT_EQ(connector.error().code, Errc::connect_failed);
  EXPECT_THAT(connector.error().text, HasSubstr("ws+unix://" + url.socket_path));
  EXPECT_THAT(connector.error().text, HasSubstr("No such file or directory"));
  EXPECT_THAT(connector.error().text, HasSubstr("check the path"));
  auto listener = Listener::open_unix(url.socket_path);
  ASSERT_TRUE(listener.ok());
  connector.start(url);
  EXPECT_EQ(finish(connector), Status::connected);
}

TEST(Connector, FullSocketFileIsAFailureAndNoFalseSuccess) {
  const TemporaryFolder folder;
  const std::string path = folder.file("feed.sock");
  auto listener = Listener::open_unix(path);
  ASSERT_TRUE(listener.ok());
  // A shorter queue, which one connection fills.
  ASSERT_EQ(::listen(listener->fd(), 0), 0);
  const Url url{.kind = Url::Kind::unix_socket, .socket_path = path};
  std::vector<Socket> waiting;
  Connector connector;
  for (int i = 0; i < 8; ++i) {
    connector.start(url);
    if (finish(connector) != Status::connected) break;
    waiting.push_back(connector.take_socket());
    EXPECT_EQ(waiting.back().peer_address(), "unix");
  }
  ASSERT_EQ(connector.status(), Status::failed);
  EXPECT_EQ(connector.error().code, Errc::connect_failed);
  EXPECT_EQ(connector.error().system, EAGAIN);
}

TEST(Connector, WhatElseIsWaitedForEndsAWait) {
  const SilentPort silent;
  auto poller = Poller::open();
  ASSERT_TRUE(poller.ok());
  auto wakeup = Wakeup::open();
  ASSERT_TRUE(wakeup.ok());
  ASSERT_EQ(poller->add(wakeup->fd(), 1, Interest::read), 0);
  Connector connector;
  connector.start(tcp("127.0.0.1", silent.port()));
  ASSERT_EQ(connector.poll(), Status::pending);
  wakeup->prepare_sleep();
  const auto start = std::chrono::steady_clock::now();
  std::thread other([&wakeup] { wakeup->notify(); });
  EXPECT_EQ(connector.wait(kPatience, poller->fd()), Status::pending);
  other.join();
  // It is told until it was taken, and the descriptor is still the caller's.
  EXPECT_EQ(connector.wait(kPatience, poller->fd()), Status::pending);
  EXPECT_LT(std::chrono::steady_clock::now() - start, kPatience);
  std::array<Ready, 2> ready{};
  EXPECT_EQ(poller->wait(ready, 0ns), 1u);
  wakeup->drain();
  EXPECT_EQ(connector.wait(1ms, poller->fd()), Status::pending);
}

TEST(Connector, ConnectsWhileItWaitsForSomethingElseToo) {
  auto listener = Listener::open("127.0.0.1", 0);
  ASSERT_TRUE(listener.ok());
  auto poller = Poller::open();
  ASSERT_TRUE(poller.ok());
  Connector connector;
  connector.start(tcp("127.0.0.1", listener->local_port()));
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (connector.status() == Status::pending && std::chrono::steady_clock::now() < end) {
    connector.wait(kPatience, poller->fd());
  }
  EXPECT_EQ(connector.status(), Status::connected) << connector.error().text;
}

TEST(Connector, CancelAndDestructionDoNotWait) {
  const SilentPort silent;
  const auto start = std::chrono::steady_clock::now();
  {
    Connector connector;
    connector.start(tcp("127.0.0.1", silent.port()));
    ASSERT_EQ(connector.poll(), Status::pending);
    connector.cancel();
    EXPECT_EQ(connector.status(), Status::idle);
    // A look-up that takes as long as it likes.
    connector.start(tcp("no-such-host.invalid", 80));
    connector.poll();
    Connector moved = std::move(connector);
    EXPECT_NE(moved.status(), Status::connected);
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, kPatience / 4);
}

TEST(Connector, AddressThatDoesNotAnswerIsGivenUpWhileOthersAreLeft) {
  const SilentPort silent;
  auto listener = Listener::open("::1", silent.port());
  if (!listener) GTEST_SKIP() << "no IPv6 here: " << listener.error().text;
  Connector connector;
  connector.start(tcp("localhost", silent.port()));
  ASSERT_EQ(finish(connector), Status::connected) << connector.error().text;
  EXPECT_EQ(connector.take_socket().peer_address(), listener->local_address());
}

TEST(Connector, EarlierAttemptDoesNotDisturbTheNext) {
  auto listener = Listener::open("127.0.0.1", 0);
  ASSERT_TRUE(listener.ok());
  const DeadPort dead;
  Connector connector;
  for (int i = 0; i < 10; ++i) {
    connector.start(tcp("127.0.0.1", dead.port()));
    connector.start(tcp("no-such-host.invalid", 80));
    connector.start(tcp("127.0.0.1", listener->local_port()));
    ASSERT_EQ(finish(connector), Status::connected) << connector.error().text;
    EXPECT_EQ(connector.take_socket().peer_address(), listener->local_address());
  }
}

}  // namespace
}  // namespace stratwire::transport::test
