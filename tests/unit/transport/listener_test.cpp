#include <cstring>
#include <fstream>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stratwire/transport/connector.hpp>
#include <stratwire/transport/listener.hpp>

#include "local.hpp"

namespace stratwire::transport::test {
namespace {

using testing::HasSubstr;

Socket connect_to(const std::string& text) {
  const auto url = Url::parse(text);
  EXPECT_TRUE(url.ok()) << url.error().text;
  Connector connector;
  connector.start(*url);
  while (connector.wait(kPatience) == Connector::Status::pending) continue;
  EXPECT_EQ(connector.status(), Connector::Status::connected) << connector.error().text;
  return connector.take_socket();
}

Socket accept_one(Listener& listener) {
  EXPECT_TRUE(wait_for(listener.fd(), Interest::read));
  AcceptResult result = listener.accept();
  EXPECT_EQ(result.status, AcceptStatus::ok) << std::strerror(result.error);
  return std::move(result.socket);
}

bool exists(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

// What a process that was killed leaves behind.
void leave_stale_file(const std::string& path) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  ::close(fd);
}

TEST(Listener, AcceptsOverTcp) {
  auto listener = Listener::open("127.0.0.1", 0);
  ASSERT_TRUE(listener.ok()) << listener.error().text;
  EXPECT_NE(listener->local_port(), 0);
  EXPECT_EQ(listener->local_address(), "127.0.0.1:" + std::to_string(listener->local_port()));
  EXPECT_EQ(listener->accept().status, AcceptStatus::would_block);
  Socket near = connect_to("ws://127.0.0.1:" + std::to_string(listener->local_port()));
  Socket far = accept_one(*listener);
  EXPECT_EQ(listener->accept().status, AcceptStatus::would_block);
  ASSERT_EQ(near.write_some(std::string_view("hello")).bytes, 5U);
  EXPECT_EQ(read_exactly(far, 5), "hello");
}

TEST(Listener, HostsAndTheirAddresses) {
  struct Case {
    std::string host;
    std::string prefix;
  };
  for (const Case& one : {Case{"", "0.0.0.0:"}, Case{"0.0.0.0", "0.0.0.0:"},
                          Case{"localhost", "127.0.0.1:"}, Case{"127.0.0.2", "127.0.0.2:"}}) {
    auto listener = Listener::open(one.host, 0);
    ASSERT_TRUE(listener.ok()) << listener.error().text;
    EXPECT_THAT(listener->local_address(), testing::StartsWith(one.prefix));
  }
}

TEST(Listener, IPv6TakesIPv6AndUnspecifiedTakesBoth) {
  auto only_v6 = Listener::open("::1", 0);
  if (!only_v6) GTEST_SKIP() << "no IPv6 here: " << only_v6.error().text;
  Socket near = connect_to("ws://[::1]:" + std::to_string(only_v6->local_port()));
  EXPECT_TRUE(accept_one(*only_v6).is_open());
  EXPECT_THAT(near.peer_address(), testing::StartsWith("[::1]:"));

  auto both = Listener::open("::", 0);
  ASSERT_TRUE(both.ok()) << both.error().text;
  near = connect_to("ws://127.0.0.1:" + std::to_string(both->local_port()));
  EXPECT_TRUE(accept_one(*both).is_open());
}

TEST(Listener, AddressInUseNamesTheAddressAndTheCure) {
  auto first = Listener::open("127.0.0.1", 0);
  ASSERT_TRUE(first.ok());
  auto second = Listener::open("127.0.0.1", first->local_port());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Errc::address_in_use);
  EXPECT_THAT(second.error().text, HasSubstr(first->local_address() + " is in use"));
  EXPECT_THAT(second.error().text, HasSubstr("take another port"));
}

TEST(Listener, PortIsFreeAtOnceAfterAConnection) {
  auto first = Listener::open("127.0.0.1", 0);
  ASSERT_TRUE(first.ok());
  const std::uint16_t port = first->local_port();
  Socket near = connect_to("ws://127.0.0.1:" + std::to_string(port));
  Socket far = accept_one(*first);
  // The server closes first: its end stays in TIME_WAIT.
  far.close();
  std::array<char, 1> block;
  ASSERT_TRUE(wait_for(near.fd(), Interest::read));
  EXPECT_EQ(near.read_some(block).status, IoStatus::closed);
  near.close();
  first->close();
  EXPECT_EQ(first->fd(), -1);
  auto second = Listener::open("127.0.0.1", port);
  EXPECT_TRUE(second.ok()) << second.error().text;
}

TEST(Listener, ForeignAddressAndUnknownHostAreErrors) {
  const auto foreign = Listener::open("192.0.2.1", 0);
  ASSERT_FALSE(foreign.ok());
  EXPECT_EQ(foreign.error().code, Errc::listen_failed);
  EXPECT_THAT(foreign.error().text, HasSubstr("192.0.2.1:0"));
  EXPECT_THAT(foreign.error().text, HasSubstr("address of this machine"));
  const auto unknown = Listener::open("no-such-host.invalid", 0);
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.error().code, Errc::resolve_failed);
  EXPECT_THAT(unknown.error().text, HasSubstr("'no-such-host.invalid'"));
}

TEST(Listener, AcceptsOverASocketFileAndRemovesIt) {
  const TemporaryFolder folder;
  const std::string path = folder.file("feed.sock");
  {
    auto listener = Listener::open_unix(path);
    ASSERT_TRUE(listener.ok()) << listener.error().text;
    EXPECT_EQ(listener->local_address(), "unix:" + path);
    EXPECT_EQ(listener->local_port(), 0);
    Socket near = connect_to("ws+unix://" + path);
    Socket far = accept_one(*listener);
    ASSERT_EQ(far.write_some(std::string_view("hello")).bytes, 5U);
    EXPECT_EQ(read_exactly(near, 5), "hello");
    EXPECT_TRUE(exists(path));
  }
  EXPECT_FALSE(exists(path));
}

TEST(Listener, StaleSocketFileIsReplaced) {
  const TemporaryFolder folder;
  const std::string path = folder.file("feed.sock");
  leave_stale_file(path);
  auto listener = Listener::open_unix(path);
  ASSERT_TRUE(listener.ok()) << listener.error().text;
  connect_to("ws+unix://" + path);
  EXPECT_TRUE(accept_one(*listener).is_open());
}

TEST(Listener, LiveSocketFileIsLeftAlone) {
  const TemporaryFolder folder;
  const std::string path = folder.file("feed.sock");
  auto first = Listener::open_unix(path);
  ASSERT_TRUE(first.ok());
  const auto second = Listener::open_unix(path);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Errc::address_in_use);
  EXPECT_THAT(second.error().text, HasSubstr("'" + path + "' is in use"));
  // The probe is the first that waits; it has gone again.
  EXPECT_EQ(first->accept().status, AcceptStatus::ok);
  connect_to("ws+unix://" + path);
  EXPECT_TRUE(accept_one(*first).is_open());
}

TEST(Listener, OrdinaryFileIsLeftAlone) {
  const TemporaryFolder folder;
  const std::string path = folder.file("feed.sock");
  std::ofstream(path) << "precious";
  const auto listener = Listener::open_unix(path);
  ASSERT_FALSE(listener.ok());
  EXPECT_EQ(listener.error().code, Errc::listen_failed);
  EXPECT_THAT(listener.error().text, HasSubstr("is no socket file"));
  EXPECT_TRUE(exists(path));
}

TEST(Listener, SocketFileOfSomebodyElseIsNotRemovedOnClose) {
  const TemporaryFolder folder;
  const std::string path = folder.file("feed.sock");
  auto listener = Listener::open_unix(path);
  ASSERT_TRUE(listener.ok());
  // Somebody moved ours away and put theirs there; both exist at once, so they differ.
  const std::string aside = folder.file("aside.sock");
  ASSERT_EQ(::rename(path.c_str(), aside.c_str()), 0);
  leave_stale_file(path);
  listener->close();
  EXPECT_TRUE(exists(path));
  ::unlink(aside.c_str());
}

TEST(Listener, SocketPathsThatCanNotBe) {
  for (const std::string& path : {std::string(), std::string(108, 'p'), std::string("a\0b", 3)}) {
    const auto listener = Listener::open_unix(path);
    ASSERT_FALSE(listener.ok());
    EXPECT_EQ(listener.error().code, Errc::listen_failed);
    EXPECT_THAT(listener.error().text, HasSubstr("1 to 107"));
  }
  const auto nowhere = Listener::open_unix("/no/such/folder/feed.sock");
  ASSERT_FALSE(nowhere.ok());
  EXPECT_EQ(nowhere.error().code, Errc::listen_failed);
  EXPECT_THAT(nowhere.error().text, HasSubstr("unix:/no/such/folder/feed.sock"));
}

TEST(Listener, OutOfDescriptorsHangsUpInsteadOfSpinning) {
  auto listener = Listener::open("127.0.0.1", 0);
  ASSERT_TRUE(listener.ok());
  Socket near = connect_to("ws://127.0.0.1:" + std::to_string(listener->local_port()));
  ASSERT_TRUE(wait_for(listener->fd(), Interest::read));
  // Descriptors from the next free one on are forbidden.
  const int next = ::dup(0);
  ASSERT_GE(next, 0);
  ::close(next);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(next);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const AcceptResult refused = listener->accept();
  const AcceptStatus after = listener->accept().status;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(refused.status, AcceptStatus::out_of_descriptors);
  EXPECT_EQ(refused.error, EMFILE);
  EXPECT_EQ(after, AcceptStatus::would_block);
  ASSERT_TRUE(wait_for(near.fd(), Interest::read));
  std::array<char, 1> block;
  EXPECT_EQ(near.read_some(block).status, IoStatus::closed);
  // It goes on when there is room again.
  near = connect_to("ws://127.0.0.1:" + std::to_string(listener->local_port()));
  EXPECT_TRUE(accept_one(*listener).is_open());
}

TEST(Listener, OneThatCanNotEvenBeHungUpOnIsToldAndWaits) {
  auto listener = Listener::open("127.0.0.1", 0);
  ASSERT_TRUE(listener.ok());
  const Socket near = connect_to("ws://127.0.0.1:" + std::to_string(listener->local_port()));
  ASSERT_TRUE(wait_for(listener->fd(), Interest::read));
  // Every descriptor is forbidden, the listener's spare one as well.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 3;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const AcceptStatus first = listener->accept().status;
  const AcceptStatus second = listener->accept().status;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(first, AcceptStatus::out_of_descriptors);
  EXPECT_EQ(second, AcceptStatus::out_of_descriptors) << "would_block is an invitation to spin";
  EXPECT_EQ(listener->accept().status, AcceptStatus::ok);
}

TEST(Listener, ClosedListenerAcceptsNobody) {
  auto listener = Listener::open("127.0.0.1", 0);
  ASSERT_TRUE(listener.ok());
  listener->close();
  listener->close();
  EXPECT_EQ(listener->fd(), -1);
  EXPECT_EQ(listener->accept().status, AcceptStatus::failed);
}

}  // namespace
}  // namespace stratwire::transport::test
