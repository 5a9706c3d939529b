#include <csignal>
#include <thread>

#include <gtest/gtest.h>

#include "local.hpp"

namespace stratwire::transport::test {
namespace {

Poller open_poller() {
  auto poller = Poller::open();
  EXPECT_TRUE(poller.ok()) << poller.error().text;
  return std::move(*poller);
}

TEST(Poller, TellsWhoIsReadable) {
  Poller poller = open_poller();
  auto [near, far] = socket_pair();
  ASSERT_EQ(poller.add(near.fd(), 77, Interest::read), 0);
  std::array<Ready, 4> ready;
  EXPECT_EQ(poller.wait(ready, 0ns), 0U);
  ASSERT_EQ(far.write_some(std::string_view("x")).bytes, 1U);
  ASSERT_EQ(poller.wait(ready, kPatience), 1U);
  EXPECT_EQ(ready[0].token, 77U);
  EXPECT_TRUE(ready[0].readable);
  EXPECT_FALSE(ready[0].writable);
  EXPECT_FALSE(ready[0].broken);
  // Level-triggered: it was not read.
  EXPECT_EQ(poller.wait(ready, 0ns), 1U);
}

TEST(Poller, InterestCanBeChangedAndRemoved) {
  Poller poller = open_poller();
  auto [near, far] = socket_pair();
  ASSERT_EQ(poller.add(near.fd(), 1, Interest::none), 0);
  std::array<Ready, 4> ready;
  ASSERT_EQ(far.write_some(std::string_view("x")).bytes, 1U);
  EXPECT_EQ(poller.wait(ready, 0ns), 0U);
  ASSERT_EQ(poller.modify(near.fd(), 2, Interest::read_write), 0);
  ASSERT_EQ(poller.wait(ready, 0ns), 1U);
  EXPECT_EQ(ready[0].token, 2U);
  EXPECT_TRUE(ready[0].readable);
  EXPECT_TRUE(ready[0].writable);
  ASSERT_EQ(poller.modify(near.fd(), 3, Interest::write), 0);
  ASSERT_EQ(poller.wait(ready, 0ns), 1U);
  EXPECT_FALSE(ready[0].readable);
  poller.remove(near.fd());
  EXPECT_EQ(poller.wait(ready, 0ns), 0U);
}

TEST(Poller, HangUpIsToldWithoutInterest) {
  Poller poller = open_poller();
  auto [near, far] = socket_pair();
  ASSERT_EQ(poller.add(near.fd(), 1, Interest::none), 0);
  far.close();
  std::array<Ready, 1> ready;
  ASSERT_EQ(poller.wait(ready, kPatience), 1U);
  EXPECT_TRUE(ready[0].broken);
}

TEST(Poller, SaysWhyADescriptorIsNotTaken) {
  Poller poller = open_poller();
  auto [near, far] = socket_pair();
  EXPECT_EQ(poller.modify(near.fd(), 1, Interest::read), ENOENT);
  ASSERT_EQ(poller.add(near.fd(), 1, Interest::read), 0);
  EXPECT_EQ(poller.add(near.fd(), 1, Interest::read), EEXIST);
  EXPECT_EQ(poller.add(-1, 1, Interest::read), EBADF);
}

TEST(Poller, TellsNoMoreThanThereIsRoomFor) {
  Poller poller = open_poller();
  std::vector<std::pair<Socket, Socket>> pairs;
  for (std::uint64_t i = 0; i < 3; ++i) {
    pairs.push_back(socket_pair());
    ASSERT_EQ(poller.add(pairs.back().first.fd(), i, Interest::write), 0);
  }
  std::array<Ready, 8> ready;
  EXPECT_EQ(poller.wait(std::span(ready).first(2), 0ns), 2U);
  EXPECT_EQ(poller.wait(ready, 0ns), 3U);
  EXPECT_EQ(poller.wait({}, 0ns), 0U);
}

TEST(Poller, TimeoutFinerThanAMillisecondIsKept) {
  Poller poller = open_poller();
  std::array<Ready, 1> ready;
  // The best of many: how long the machine keeps us off its core is not asked here.
  auto best = std::chrono::nanoseconds::max();
  for (int i = 0; i < 50; ++i) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(poller.wait(ready, 200us), 0U);
    best = std::min<std::chrono::nanoseconds>(best, std::chrono::steady_clock::now() - start);
  }
  EXPECT_GE(best, 200us);
  EXPECT_LT(best, 1ms);
}

TEST(Poller, MovedPollerKeepsItsDescriptors) {
  Poller first = open_poller();
  auto [near, far] = socket_pair();
  ASSERT_EQ(first.add(near.fd(), 9, Interest::write), 0);
  Poller second = std::move(first);
  std::array<Ready, 1> ready;
  ASSERT_EQ(second.wait(ready, 0ns), 1U);
  EXPECT_EQ(ready[0].token, 9U);
}

struct Sleeper {
  Poller poller = open_poller();
  Wakeup wakeup = std::move(*Wakeup::open());

  Sleeper() { EXPECT_EQ(poller.add(wakeup.fd(), 1, Interest::read), 0); }
  std::size_t wait(std::chrono::nanoseconds timeout) {
    std::array<Ready, 1> ready;
    return poller.wait(ready, timeout);
  }
};

TEST(Wakeup, CostsNoSystemCallWhileNobodySleeps) {
  Sleeper sleeper;
  sleeper.wakeup.notify();
  EXPECT_EQ(sleeper.wait(0ns), 0U);
  sleeper.wakeup.prepare_sleep();
  sleeper.wakeup.end_sleep();
  sleeper.wakeup.notify();
  EXPECT_EQ(sleeper.wait(0ns), 0U);
}

TEST(Wakeup, WakesWhoIsAboutToSleep) {
  Sleeper sleeper;
  sleeper.wakeup.prepare_sleep();
  sleeper.wakeup.notify();
  sleeper.wakeup.notify();
  EXPECT_EQ(sleeper.wait(kPatience), 1U);
  sleeper.wakeup.end_sleep();
  sleeper.wakeup.drain();
  EXPECT_EQ(sleeper.wait(0ns), 0U);
}

TEST(Wakeup, NoWakeUpIsLost) {
  // The other thread hands over one thing at a time and waits until it is taken; the sleeper sleeps
  // without a timeout, so that one lost wake-up stands still for ever.
  constexpr std::uint32_t kRounds = 20'000;
  Sleeper sleeper;
  std::atomic<std::uint32_t> offered{0};
  std::atomic<std::uint32_t> taken{0};
  std::thread other([&] {
    for (std::uint32_t i = 1; i <= kRounds; ++i) {
      // release: pairs with the acquire of the sleeper's look for work.
      offered.store(i, std::memory_order_release);
      sleeper.wakeup.notify();
      // acquire: pairs with the release of taken.
      while (taken.load(std::memory_order_acquire) != i) std::this_thread::yield();
    }
  });
  std::uint32_t seen = 0;
  const auto look = [&] {
    // acquire: pairs with the release of offered.
    const std::uint32_t now = offered.load(std::memory_order_acquire);
    const bool is_new = now != seen;
    seen = now;
    // release: pairs with the acquire of the other thread.
    if (is_new) taken.store(now, std::memory_order_release);
    return is_new;
  };
  while (seen != kRounds) {
    sleeper.wakeup.prepare_sleep();
    bool woken = false;
    if (!look()) woken = sleeper.wait(Poller::kNoTimeout) == 1;
    sleeper.wakeup.end_sleep();
    if (woken) sleeper.wakeup.drain();
  }
  other.join();
  EXPECT_EQ(taken.load(), kRounds);
}

Wakeup* signalled = nullptr;

TEST(Wakeup, SignalHandlerMayNotify) {
  Sleeper sleeper;
  signalled = &sleeper.wakeup;
  const auto before = std::signal(SIGUSR1, [](int) { signalled->notify(); });
  sleeper.wakeup.prepare_sleep();
  errno = 12345;
  ASSERT_EQ(std::raise(SIGUSR1), 0);
  EXPECT_EQ(errno, 12345);
  EXPECT_EQ(sleeper.wait(kPatience), 1U);
  std::signal(SIGUSR1, before);
}

}  // namespace
}  // namespace stratwire::transport::test
