#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stratwire/transport/listener.hpp>

#include "local.hpp"

namespace stratwire::transport::test {
namespace {

// A connected pair over loopback.
std::pair<Socket, Socket> tcp_pair() {
  auto listener = Listener::open("127.0.0.1", 0);
  EXPECT_TRUE(listener.ok()) << listener.error().text;
  EXPECT_NE(::fcntl(listener->fd(), F_GETFD) & FD_CLOEXEC, 0);
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(listener->local_port());
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
  Socket near(fd);
  EXPECT_TRUE(wait_for(listener->fd(), Interest::read));
  AcceptResult far = listener->accept();
  EXPECT_EQ(far.status, AcceptStatus::ok);
  return {std::move(near), std::move(far.socket)};
}

TEST(Socket, MovesBytesBothWays) {
  auto [near, far] = tcp_pair();
  EXPECT_EQ(near.write_some(std::string_view("question")).bytes, 8U);
  EXPECT_EQ(read_exactly(far, 8), "question");
  EXPECT_EQ(far.write_some(std::string_view("answer")).bytes, 6U);
  EXPECT_EQ(read_exactly(near, 6), "answer");
}

TEST(Socket, TakesOverADescriptorAndSetsItUp) {
  auto [near, far] = tcp_pair();
  for (const Socket* one : {&near, &far}) {
    EXPECT_NE(::fcntl(one->fd(), F_GETFL) & O_NONBLOCK, 0);
    EXPECT_NE(::fcntl(one->fd(), F_GETFD) & FD_CLOEXEC, 0);
    int on = 0;
    socklen_t bytes = sizeof(on);
    EXPECT_EQ(::getsockopt(one->fd(), IPPROTO_TCP, TCP_NODELAY, &on, &bytes), 0);
    EXPECT_EQ(on, 1);
  }
}

TEST(Socket, NothingToReadWouldBlock) {
  auto [near, far] = socket_pair();
  std::array<char, 8> block;
  EXPECT_EQ(near.read_some(block).status, IoStatus::would_block);
}

TEST(Socket, FullBufferWouldBlock) {
  auto [near, far] = socket_pair();
  const std::string block(65536, 'x');
  IoResult result;
  std::size_t sent = 0;
  while ((result = near.write_some(block)).status == IoStatus::ok) sent += result.bytes;
  EXPECT_EQ(result.status, IoStatus::would_block);
  EXPECT_EQ(read_exactly(far, sent).size(), sent);
  EXPECT_EQ(near.write_some(block).status, IoStatus::ok);
}

TEST(Socket, PiecesAreSentInOrder) {
  auto [near, far] = socket_pair();
  std::string a = "one ";
  std::string b = "two ";
  std::string c = "three";
  const std::array<iovec, 4> pieces = {
      {{a.data(), a.size()}, {b.data(), b.size()}, {nullptr, 0}, {c.data(), c.size()}}};
  const IoResult result = near.write_some(std::span<const iovec>(pieces));
  EXPECT_EQ(result.status, IoStatus::ok);
  EXPECT_EQ(result.bytes, 13U);
  EXPECT_EQ(read_exactly(far, 13), "one two three");
}

TEST(Socket, NoMorePiecesThanTheLimitAreLookedAt) {
  auto [near, far] = socket_pair();
  std::string x = "x";
  const std::vector<iovec> pieces(Socket::kGatherMax + 10, iovec{x.data(), 1});
  EXPECT_EQ(near.write_some(std::span<const iovec>(pieces)).bytes, Socket::kGatherMax);
}

TEST(Socket, EmptyBuffersMoveNothing) {
  auto [near, far] = socket_pair();
  EXPECT_EQ(near.read_some({}).status, IoStatus::ok);
  EXPECT_EQ(near.write_some(std::span<const char>{}).status, IoStatus::ok);
  EXPECT_EQ(near.write_some(std::span<const iovec>{}).status, IoStatus::ok);
}

TEST(Socket, ShutdownIsReadAsClosedAfterWhatWasSent) {
  auto [near, far] = socket_pair();
  EXPECT_EQ(near.write_some(std::string_view("last")).bytes, 4U);
  near.shutdown();
  EXPECT_EQ(read_exactly(far, 4), "last");
  std::array<char, 8> block;
  EXPECT_EQ(far.read_some(block).status, IoStatus::closed);
  EXPECT_EQ(far.write_some(std::string_view("still")).bytes, 5U);
  EXPECT_EQ(read_exactly(near, 5), "still");
}

TEST(Socket, WritingToAPeerThatIsGoneIsClosedAndNoSignal) {
  auto [near, far] = socket_pair();
  far.close();
  const IoResult plain = near.write_some(std::string_view("x"));
  EXPECT_EQ(plain.status, IoStatus::closed);
  EXPECT_EQ(plain.error, EPIPE);
  std::string x = "x";
  const std::array<iovec, 1> pieces = {{{x.data(), 1}}};
  EXPECT_EQ(near.write_some(std::span<const iovec>(pieces)).status, IoStatus::closed);
}

TEST(Socket, LingerResetIsReadAsFailed) {
  auto [near, far] = tcp_pair();
  near.set_linger_reset();
  near.close();
  ASSERT_TRUE(wait_for(far.fd(), Interest::read));
  std::array<char, 8> block;
  const IoResult result = far.read_some(block);
  EXPECT_EQ(result.status, IoStatus::failed);
  EXPECT_EQ(result.error, ECONNRESET);
}

TEST(Socket, CloseTwiceClosesOnce) {
  auto [near, far] = socket_pair();
  const int fd = near.fd();
  near.close();
  EXPECT_FALSE(near.is_open());
  // The number is taken by the next descriptor; a second close() must not touch it.
  const int reused = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_EQ(reused, fd);
  near.close();
  EXPECT_NE(::fcntl(reused, F_GETFD), -1);
  ::close(reused);
}

TEST(Socket, MovedFromIsClosed) {
  auto [near, far] = socket_pair();
  const int fd = near.fd();
  Socket other = std::move(near);
  EXPECT_EQ(other.fd(), fd);
  EXPECT_EQ(near.fd(), -1);  // NOLINT(bugprone-use-after-move): that is what is asked
  far = std::move(other);
  EXPECT_EQ(far.fd(), fd);
}

TEST(Socket, PeerAddressIsText) {
  auto [near, far] = tcp_pair();
  EXPECT_THAT(near.peer_address(), testing::MatchesRegex("127\\.0\\.0\\.1:[0-9]+"));
  auto [one, two] = socket_pair();
  EXPECT_EQ(one.peer_address(), "unix");
  EXPECT_EQ(Socket().peer_address(), "unknown");
}

// A layer that turns every byte round, as TLS would in its way.
class TurningLayer final : public StreamLayer {
 public:
  IoResult read_some(int fd, std::span<char> into) noexcept override {
    const ssize_t got = ::recv(fd, into.data(), into.size(), 0);
    if (got <= 0) return {0, errno, IoStatus::would_block};
    for (char& c : into.first(static_cast<std::size_t>(got))) c = static_cast<char>(~c);
    return {static_cast<std::size_t>(got), 0, IoStatus::ok};
  }
  IoResult write_some(int fd, std::span<const char> from) noexcept override {
    if (from.empty()) return {};
    const char turned = static_cast<char>(~from[0]);
    const ssize_t sent = ::send(fd, &turned, 1, MSG_NOSIGNAL);
    return {static_cast<std::size_t>(sent), 0, IoStatus::ok};
  }
  void shutdown(int fd) noexcept override { ::send(fd, "bye", 3, MSG_NOSIGNAL); }
};

TEST(Socket, LayerSeesEveryByte) {
  std::array<int, 2> ends{-1, -1};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  Socket near(ends[0], std::make_unique<TurningLayer>());
  Socket far(ends[1]);
  EXPECT_EQ(near.write_some(std::string_view("a")).bytes, 1U);
  std::string b = "b";
  const std::array<iovec, 2> pieces = {{{nullptr, 0}, {b.data(), 1}}};
  EXPECT_EQ(near.write_some(std::span<const iovec>(pieces)).bytes, 1U);
  EXPECT_EQ(read_exactly(far, 2), std::string({static_cast<char>(~'a'), static_cast<char>(~'b')}));
  EXPECT_EQ(far.write_some(std::string_view("c")).bytes, 1U);
  std::array<char, 1> block;
  EXPECT_EQ(near.read_some(block).bytes, 1U);
  EXPECT_EQ(block[0], static_cast<char>(~'c'));
  near.shutdown();
  EXPECT_EQ(read_exactly(far, 9), "bye");
}

}  // namespace
}  // namespace stratwire::transport::test
