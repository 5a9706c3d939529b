// Sends of many sockets in one system call. Where the system has no io_uring there is nothing to
// test.
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/transport/send_batch.hpp>

namespace stratwire::transport {
namespace {

struct Pair {
  Socket ours{};
  Socket theirs{};
};

Pair make_pair() {
  std::array<int, 2> fds{-1, -1};
  EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds.data()), 0);
  return {Socket(fds[0]), Socket(fds[1])};
}

/// All that waits.
std::string read_all(Socket& socket) {
  std::string text;
  std::array<char, 65'536> buffer{};
  for (;;) {
    const IoResult got = socket.read_some(buffer);
    if (got.status != IoStatus::ok) return text;
    text.append(buffer.data(), got.bytes);
  }
}

class SendBatchTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = SendBatch::open();
    if (!opened.ok()) GTEST_SKIP() << opened.error().text;
    batch = *std::move(opened);
  }
  std::optional<SendBatch> batch{};
};

TEST_F(SendBatchTest, EverySocketGetsItsOwnInOrder) {
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < SendBatch::kMax; ++i) pairs.push_back(make_pair());
  // Often enough that the rings go round many times.
  for (std::size_t round = 0; round < 500; ++round) {
    const std::size_t count = 1 + round % SendBatch::kMax;
    std::vector<std::string> texts;
    for (std::size_t i = 0; i < count; ++i) {
      texts.push_back(std::to_string(round) + ":" + std::to_string(i) + " ");
    }
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_EQ(batch->size(), i);
      batch->add(pairs[i].ours, texts[i]);
    }
    const auto results = batch->run();
    ASSERT_EQ(results.size(), count);
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_EQ(results[i].status, IoStatus::ok);
      ASSERT_EQ(results[i].bytes, texts[i].size());
      ASSERT_EQ(read_all(pairs[i].theirs), texts[i]);
    }
  }
  EXPECT_TRUE(batch->usable());
}

TEST_F(SendBatchTest, AFullSocketNeitherWaitsNorHindersTheOthers) {
  Pair full = make_pair();
  Pair free = make_pair();
  const std::string much(1 << 20, 'x');
  std::size_t taken = 0;
  for (IoResult sent; sent.status == IoStatus::ok; taken += sent.bytes) {
    batch->add(full.ours, much);
    sent = batch->run()[0];
    ASSERT_LE(sent.bytes, much.size());
  }
  batch->add(full.ours, much);
  batch->add(free.ours, std::string_view("hello"));
  const auto results = batch->run();
  EXPECT_EQ(results[0].status, IoStatus::would_block);
  EXPECT_EQ(results[1].status, IoStatus::ok);
  EXPECT_EQ(read_all(free.theirs), "hello");
  EXPECT_EQ(read_all(full.theirs).size(), taken);
}

TEST_F(SendBatchTest, OneWhosePeerHasGoneIsClosedAndTheOthersGoOn) {
  Pair gone = make_pair();
  Pair there = make_pair();
  gone.theirs.close();
  batch->add(gone.ours, std::string_view("a"));
  batch->add(there.ours, std::string_view("b"));
  const auto results = batch->run();
  EXPECT_EQ(results[0].status, IoStatus::closed);
  EXPECT_NE(results[0].error, 0);
  EXPECT_EQ(results[1].status, IoStatus::ok);
  EXPECT_EQ(read_all(there.theirs), "b");
}

TEST_F(SendBatchTest, NothingIsNothing) {
  EXPECT_TRUE(batch->run().empty());
  EXPECT_EQ(batch->size(), 0u);
}

}  // namespace
}  // namespace stratwire::transport
