// The proxy has to do exactly what it is told: a proxy that breaks too little tests nothing.

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <netinet/in.h>
#include <poll.h>
#include <span>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/testing/failure.hpp>
#include <stratwire/testing/proxy.hpp>
#include <stratwire/transport/listener.hpp>
#include <stratwire/transport/url.hpp>

namespace stratwire::testing {
namespace {

using namespace std::chrono_literals;
using transport::IoStatus;

bool wait_for(int fd, short events) {
  pollfd waiting{fd, events, 0};
  return ::poll(&waiting, 1, std::chrono::milliseconds(kPatience).count()) > 0;
}

/// One end of a connection, blocking.
class End {
 public:
  explicit End(transport::Socket socket) : socket_(std::move(socket)) {}

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      ASSERT_TRUE(wait_for(socket_.fd(), POLLOUT)) << "nobody reads";
      const auto sent = socket_.write_some(std::span<const char>(bytes));
      if (sent.status == IoStatus::would_block) continue;
      ASSERT_EQ(sent.status, IoStatus::ok);
      bytes.remove_prefix(sent.bytes);
    }
  }
  /// Exactly so many bytes, or what came before the end.
  std::string read(std::size_t bytes) {
    std::string all;
    while (all.size() < bytes && read_more(all, bytes - all.size())) {
    }
    return all;
  }
  /// Everything up to the end, and what the end was.
  std::pair<std::string, IoStatus> read_to_end() {
    std::string all;
    while (read_more(all, 65'536)) {
    }
    return {all, last_};
  }
  /// Whether something is there now; the proxy has already done what could bring it.
  bool hears_nothing() {
    std::array<char, 1> byte;
    return socket_.read_some(byte).status == IoStatus::would_block;
  }
  void shutdown() { socket_.shutdown(); }
  void close() { socket_.close(); }
  void reset() {
    socket_.set_linger_reset();
    socket_.close();
  }

 private:
  bool read_more(std::string& all, std::size_t most) {
    std::array<char, 65'536> block;
    if (!wait_for(socket_.fd(), POLLIN)) {
      ADD_FAILURE() << "nothing came, not even an end, after " << all.size() << " bytes";
      return false;
    }
    const auto got = socket_.read_some({block.data(), std::min(most, block.size())});
    last_ = got.status;
    if (got.status == IoStatus::would_block) return true;
    if (got.status != IoStatus::ok) return false;
    all.append(block.data(), got.bytes);
    return true;
  }

  transport::Socket socket_;
  IoStatus last_ = IoStatus::ok;
};

std::string pattern(std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
  return text;
}

enum class Family { tcp, unix_socket };

class ProxyTest : public ::testing::TestWithParam<Family> {
 protected:
  void SetUp() override {
    static int count = 0;
    base_ = ::testing::TempDir() + "chaos-" + std::to_string(::getpid()) + '-' +
            std::to_string(++count);
    const bool tcp = GetParam() == Family::tcp;
    auto listener = tcp ? transport::Listener::open("127.0.0.1", 0)
                        : transport::Listener::open_unix(base_ + ".server");
    ASSERT_TRUE(listener.ok()) << listener.error().text;
    listener_ = std::make_unique<transport::Listener>(*std::move(listener));
  }
  void open(std::string_view faults = {}) {
    std::string bad_line;
    auto plan = Plan::parse(faults, bad_line);
    ASSERT_TRUE(plan) << bad_line;
    ProxyConfig config;
    config.listen = GetParam() == Family::tcp ? "127.0.0.1:0" : "unix:" + base_ + ".proxy";
    config.target = listener_->local_address();
    config.plan = *std::move(plan);
    auto proxy = Proxy::open(std::move(config));
    ASSERT_TRUE(proxy.ok()) << proxy.error().text;
    proxy_ = *std::move(proxy);
  }

  [[nodiscard]] int unconnected() const {
    return ::socket(is_tcp() ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  }
  [[nodiscard]] End connect() const { return connect(unconnected()); }
  [[nodiscard]] End connect(int fd) const {
    const auto url = transport::Url::parse(proxy_->url());
    EXPECT_TRUE(url.ok());
    if (is_tcp()) {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(url->port);
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    } else {
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      const std::string path = base_ + ".proxy";
      std::memcpy(address.sun_path, path.data(), path.size());
      EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    }
    return End{transport::Socket(fd)};
  }
  [[nodiscard]] End accept() const {
    EXPECT_TRUE(wait_for(listener_->fd(), POLLIN)) << "the proxy does not connect";
    auto accepted = listener_->accept();
    EXPECT_EQ(accepted.status, transport::AcceptStatus::ok);
    return End{std::move(accepted.socket)};
  }
  [[nodiscard]] bool is_tcp() const { return GetParam() == Family::tcp; }

  std::string base_{};
  std::unique_ptr<transport::Listener> listener_{};
  std::unique_ptr<Proxy> proxy_{};
};
INSTANTIATE_TEST_SUITE_P(Families, ProxyTest, ::testing::Values(Family::tcp, Family::unix_socket),
                         [](const auto& each) {
                           return each.param == Family::tcp ? std::string{"tcp"}
                                                            : std::string{"unix"};
                         });

TEST_P(ProxyTest, ForwardsEverythingAndTheEnds) {
  open();
  End client = connect();
  End server = accept();
  const std::string text = pattern(3'000'000);
  std::thread sender([&] {
    server.send(text);
    server.shutdown();
  });
  const auto [got, end] = client.read_to_end();
  sender.join();
  EXPECT_TRUE(got == text) << got.size();
  EXPECT_EQ(end, IoStatus::closed);
  client.send("still open upwards");
  EXPECT_EQ(server.read(18), "still open upwards");
  client.shutdown();
  EXPECT_EQ(server.read_to_end().second, IoStatus::closed);
  EXPECT_TRUE(proxy_->wait([](const ProxyStats& stats) { return stats.ended == 1; }));
  EXPECT_EQ(proxy_->stats().forwarded_bytes[1], text.size());
}

TEST_P(ProxyTest, PassesAResetOn) {
  open();
  End client = connect();
  End server = accept();
  client.send("x");
  EXPECT_EQ(server.read(1), "x");
  server.reset();
  // Between processes of one machine a reset without unread bytes is an end.
  EXPECT_EQ(client.read_to_end().second, is_tcp() ? IoStatus::failed : IoStatus::closed);
  client.close();
  EXPECT_TRUE(proxy_->wait([](const ProxyStats& stats) { return stats.open == 0; }));
}

TEST_P(ProxyTest, CutsAtTheByteWithAFinToBoth) {
  open("1 down 1000 cut");
  End client = connect();
  End server = accept();
  server.send(pattern(5'000));
  const auto [got, end] = client.read_to_end();
  EXPECT_EQ(got, pattern(1'000));
  EXPECT_EQ(end, IoStatus::closed) << "an end, not a reset";
  EXPECT_EQ(server.read_to_end().second, IoStatus::closed);
  client.close();
  server.close();
  EXPECT_TRUE(proxy_->wait([](const ProxyStats& stats) { return stats.ended == 1; }));
  EXPECT_EQ(proxy_->stats().count(FaultKind::cut), 1u);
  EXPECT_EQ(proxy_->stats().forwarded_bytes[1], 1'000u);
}

TEST_P(ProxyTest, ResetsAtTheByte) {
  open("1 up 10 reset");
  End client = connect();
  End server = accept();
  client.send(pattern(11));
  // What was forwarded before a reset may be thrown away by the receiving kernel.
  EXPECT_TRUE(pattern(10).starts_with(server.read_to_end().first));
  const auto end = client.read_to_end().second;
  EXPECT_EQ(end, is_tcp() ? IoStatus::failed : IoStatus::closed);
  EXPECT_TRUE(
      proxy_->wait([](const ProxyStats& stats) { return stats.count(FaultKind::reset) == 1; }));
  EXPECT_EQ(proxy_->stats().forwarded_bytes[0], 10u);
}

TEST_P(ProxyTest, HalfClosesOneDirectionOnly) {
  open("1 down 4 half_close\n2 up 4 half_close");
  End client = connect();
  End server = accept();
  server.send("12345678");
  EXPECT_EQ(client.read_to_end().first, "1234");
  client.send("upwards");
  EXPECT_EQ(server.read(7), "upwards");
  client.close();
  EXPECT_EQ(server.read_to_end().second, IoStatus::closed);
  server.close();

  End other_client = connect();
  End other_server = accept();
  other_client.send("12345678");
  EXPECT_EQ(other_server.read_to_end().first, "1234");
  other_server.send("downwards");
  EXPECT_EQ(other_client.read(9), "downwards");
}

TEST_P(ProxyTest, ABlackHoleTakesEverythingAndSaysNothing) {
  open();
  End client = connect();
  End server = accept();
  server.send("before");
  EXPECT_EQ(client.read(6), "before");
  EXPECT_EQ(proxy_->apply({.connection = 1, .kind = FaultKind::black_hole}), 1u);
  // Far more than sockets hold: it is read, or these would wait for ever.
  server.send(pattern(20'000'000));
  client.send(pattern(20'000'000));
  server.shutdown();
  EXPECT_EQ(proxy_->stats().open, 1u);
  EXPECT_EQ(proxy_->stats().forwarded_bytes[1], 6u);
  EXPECT_TRUE(client.hears_nothing());
  client.close();
  server.close();
  EXPECT_TRUE(proxy_->wait([](const ProxyStats& stats) { return stats.ended == 1; }));
}

TEST_P(ProxyTest, SplitsEveryByteIntoAWriteOfItsOwn) {
  open("* down 10 split 3000\n* up 0 split 0");
  End client = connect();
  End server = accept();
  const std::string text = pattern(10'000);
  server.send(text);
  EXPECT_EQ(client.read(text.size()), text);
  client.send(text);
  EXPECT_EQ(server.read(text.size()), text);
}

TEST_P(ProxyTest, AStallReadsNothingUntilItIsOver) {
  open("1 down 3 stall 0\n2 down 3 stall 30");
  End client = connect();
  End server = accept();
  server.send("abcdef");
  EXPECT_EQ(client.read(3), "abc");
  ASSERT_TRUE(
      proxy_->wait([](const ProxyStats& stats) { return stats.count(FaultKind::stall) == 1; }));
  EXPECT_TRUE(client.hears_nothing());
  client.send("up");
  EXPECT_EQ(server.read(2), "up") << "the other direction goes on";
  EXPECT_TRUE(client.hears_nothing());
  proxy_->apply({.kind = FaultKind::stall, .amount = 1});
  EXPECT_EQ(client.read(3), "def") << "stalled for ever became stalled for a moment";

  const auto start = std::chrono::steady_clock::now();
  End other_client = connect();
  End other_server = accept();
  other_server.send("abcdef");
  EXPECT_EQ(other_client.read(6), "abcdef");
  EXPECT_GE(std::chrono::steady_clock::now() - start, 30ms);
}

TEST_P(ProxyTest, ThrottlesToItsRate) {
  open("1 down 0 throttle 100000\n1 down 10000 throttle 0");
  End client = connect();
  End server = accept();
  const auto start = std::chrono::steady_clock::now();
  std::thread sender([&] { server.send(pattern(1'000'000)); });
  EXPECT_EQ(client.read(10'000), pattern(10'000));
  // The first piece and what the last one earns are free.
  EXPECT_GE(std::chrono::steady_clock::now() - start, 80ms);
  EXPECT_EQ(client.read(990'000).size(), 990'000u);
  sender.join();
}

TEST_P(ProxyTest, DelaysEverythingAndKeepsTheOrder) {
  open("1 down 0 delay 40");
  End client = connect();
  End server = accept();
  const auto start = std::chrono::steady_clock::now();
  const std::string text = pattern(300'000);
  std::thread sender([&] { server.send(text); });
  EXPECT_EQ(client.read(text.size()), text);
  sender.join();
  EXPECT_GE(std::chrono::steady_clock::now() - start, 40ms);
}

TEST_P(ProxyTest, RefusesAndTakesAgain) {
  open();
  proxy_->set_admission(Admission::refuse);
  End refused = connect();
  EXPECT_NE(refused.read_to_end().second, IoStatus::ok);
  proxy_->set_admission(Admission::open);
  End client = connect();
  End server = accept();
  client.send("hello");
  EXPECT_EQ(server.read(5), "hello");
  EXPECT_EQ(proxy_->stats().refused, 1u);
}

TEST_P(ProxyTest, AServerThatIsAwayIsAReset) {
  open();
  listener_->close();
  End client = connect();
  EXPECT_NE(client.read_to_end().second, IoStatus::ok);
  EXPECT_TRUE(proxy_->wait([](const ProxyStats& stats) { return stats.open == 0; }));
}

TEST_P(ProxyTest, DoesItToOneOrToAll) {
  open();
  std::vector<End> clients;
  std::vector<End> servers;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(connect());
    servers.push_back(accept());
  }
  EXPECT_EQ(proxy_->apply({.connection = 7, .kind = FaultKind::reset}), 1u);
  EXPECT_NE(clients[6].read_to_end().second, IoStatus::ok);
  EXPECT_EQ(proxy_->apply({.connection = 7, .kind = FaultKind::reset}), 0u);
  EXPECT_EQ(proxy_->apply({.kind = FaultKind::reset}), 19u);
  for (End& client : clients) EXPECT_TRUE(client.read_to_end().first.empty());
  EXPECT_EQ(proxy_->stats().open, 0u);
}

TEST_P(ProxyTest, OutOfDescriptorsItPausesAndTakesThemLater) {
  open();
  const int fd = unconnected();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 3;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto start = std::chrono::steady_clock::now();
  End client = connect(fd);
  const bool failed = proxy_->wait([](const auto& stats) { return stats.accept_failures >= 3; });
  const auto passed = std::chrono::steady_clock::now() - start;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_TRUE(failed);
  EXPECT_GE(passed, 2 * ProxyStats::kAcceptPause) << "it spins";
  End server = accept();
  client.send("late");
  EXPECT_EQ(server.read(4), "late");
}

TEST(Proxy, NamesAnAddressThatIsNone) {
  for (const std::string target : {"", "127.0.0.1", "127.0.0.1:99999", "example:80", "unix:"}) {
    ProxyConfig config;
    config.target = target;
    const auto proxy = Proxy::open(std::move(config));
    ASSERT_FALSE(proxy.ok()) << target;
    EXPECT_NE(proxy.error().text.find('\'' + target + '\''), std::string::npos);
  }
}

}  // namespace
}  // namespace stratwire::testing
