#include <array>
#include <chrono>
#include <string>
#include <sys/socket.h>
#include <utility>

#include <gtest/gtest.h>

#include <stratwire/transport/connection.hpp>

namespace stratwire::transport {
namespace {

using std::chrono::seconds;
using Kind = Incoming::Kind;

std::pair<Socket, Socket> socket_pair() {
  int fds[2] = {-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
  return {Socket(fds[0]), Socket(fds[1])};
}

struct ConnectionTest : ::testing::Test {
  Connection client{Role::client, {1 << 20, 16}};
  Connection server{Role::server, {1 << 20, 16}};

  void SetUp() override {
    auto [a, b] = socket_pair();
    client.open(std::move(a), {});
    server.open(std::move(b), {});
  }
  static std::string next_message(Connection& from, Connection& to) {
    for (;;) {
      const Incoming event = to.next();
      if (event.kind == Kind::message) return std::string{event.payload};
      if (event.kind != Kind::need_more) return "event";
      from.write();
      if (to.read() != Connection::Read::some) return "nothing";
    }
  }
};

TEST_F(ConnectionTest, EitherEndTalksToTheOther) {
  client.put(Opcode::text, "to the server");
  server.put(Opcode::text, "to the client");
  EXPECT_EQ(next_message(client, server), "to the server");
  EXPECT_EQ(next_message(server, client), "to the client");
}

TEST_F(ConnectionTest, WhatCameWithTheUpgradeIsReadFirst) {
  std::string frame;
  append_frame(frame, {Opcode::text, {}, FrameHead::Fin::last}, "early");
  auto [a, b] = socket_pair();
  client.open(std::move(a), frame);
  EXPECT_EQ(next_message(server, client), "early");
  EXPECT_EQ(client.bytes_read(), frame.size());
}

TEST_F(ConnectionTest, NothingFollowsACloseFrame) {
  client.put_close(CloseCode::normal, "bye");
  const std::uint64_t put = client.bytes_put();
  client.put(Opcode::text, "late");
  EXPECT_EQ(client.bytes_put(), put);
}

TEST_F(ConnectionTest, TheFarewellKeepsABrokenFrameWholeAndLeavesOutTheRest) {
  for (Connection* from : {&client, &server}) {
    SetUp();
    Connection& to = from == &client ? server : client;
    const std::string large(900'000, 'x');
    from->put(Opcode::binary, large);
    from->put(Opcode::binary, "never begun");
    from->write();
    ASSERT_GT(from->waiting(), 0u) << "the kernel took all of it";
    Parting parting;
    const std::string farewell = from->take_farewell(CloseCode{4002}, "enough");
    parting.begin(from->release(), farewell, std::chrono::steady_clock::now() + seconds{20});
    EXPECT_TRUE(parting.is_open());
    std::string got;
    Incoming event = to.next();
    while (event.kind != Kind::close) {
      if (event.kind == Kind::message) got += event.payload;
      if (event.kind == Kind::need_more && to.read() == Connection::Read::nothing) {
        parting.step(std::chrono::steady_clock::now());
      }
      event = to.next();
    }
    EXPECT_TRUE(got == large) << got.size();
    EXPECT_EQ(event.code, CloseCode{4002});
    EXPECT_EQ(event.payload, "enough");
    EXPECT_TRUE(parting.all_said());
  }
}

TEST_F(ConnectionTest, PartingEndsWhenThePeerHasGoneOrInTime) {
  const auto now = std::chrono::steady_clock::now();
  Parting parting;
  parting.begin(client.release(), "x", now + seconds{2});
  parting.step(now);
  EXPECT_TRUE(parting.is_open()) << "the peer is still there";
  static_cast<void>(server.release());
  parting.step(now);
  EXPECT_FALSE(parting.is_open());

  SetUp();
  parting.begin(client.release(), "x", now + seconds{2});
  parting.step(now + seconds{2});
  EXPECT_FALSE(parting.is_open());
}

TEST_F(ConnectionTest, TheEndIsTold) {
  static_cast<void>(server.release());
  EXPECT_EQ(client.read(), Connection::Read::ended);
}

}  // namespace
}  // namespace stratwire::transport
