#include <algorithm>
#include <array>
#include <cerrno>
#include <ctime>
#include <string>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <system_error>
#include <unistd.h>

#include <stratwire/transport/poller.hpp>

namespace stratwire::transport {
namespace {

Error system_error(std::string_view call, int number) {
  return {Errc::io_failed, number,
          std::string(call) + " failed: " + std::generic_category().message(number) +
              "; raise the limit of open files (ulimit -n) if it is one of those"};
}

epoll_event event_for(std::uint64_t token, Interest interest) noexcept {
  const auto wanted = static_cast<unsigned>(interest);
  epoll_event event{};
  // EPOLLRDHUP is left out: a read tells the end, after everything that came before it.
  event.events = ((wanted & 1U) != 0 ? static_cast<unsigned>(EPOLLIN) : 0U) |
                 ((wanted & 2U) != 0 ? static_cast<unsigned>(EPOLLOUT) : 0U);
  event.data.u64 = token;
  return event;
}

int wait_for_events(int fd, epoll_event* events, int room,
                    std::chrono::nanoseconds timeout) noexcept {
  if (timeout.count() <= 0) return ::epoll_wait(fd, events, room, timeout.count() < 0 ? -1 : 0);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  const timespec limit{static_cast<std::time_t>(seconds.count()),
                       static_cast<long>((timeout - seconds).count())};
  const int count = ::epoll_pwait2(fd, events, room, &limit, nullptr);
  if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return count;
  // Kernels before 5.11 and some sandboxes do not have it: up to the next millisecond then.
  const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  return ::epoll_wait(fd, events, room,
                      static_cast<int>(std::min<std::int64_t>(rounded, 1'000'000'000)));
}

}  // namespace

Outcome<Poller> Poller::open() {
  const int fd = ::epoll_create1(EPOLL_CLOEXEC);
  if (fd < 0) return system_error("epoll_create1", errno);
  return Poller(fd);
}

void Poller::close() noexcept {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

int Poller::add(int fd, std::uint64_t token, Interest interest) noexcept {
  epoll_event event = event_for(token, interest);
  return ::epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

int Poller::modify(int fd, std::uint64_t token, Interest interest) noexcept {
  epoll_event event = event_for(token, interest);
  return ::epoll_ctl(fd_, EPOLL_CTL_MOD, fd, &event) == 0 ? 0 : errno;
}

void Poller::remove(int fd) noexcept {
  epoll_event unused{};
  ::epoll_ctl(fd_, EPOLL_CTL_DEL, fd, &unused);
}

std::size_t Poller::wait(std::span<Ready> out, std::chrono::nanoseconds timeout) noexcept {
  std::array<epoll_event, kReadyMax> events;
  const int room = static_cast<int>(std::min(out.size(), kReadyMax));
  if (room == 0) return 0;
  const int count = wait_for_events(fd_, events.data(), room, timeout);
  if (count <= 0) return 0;
  for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
    const unsigned told = events[i].events;
    out[i] = {events[i].data.u64, (told & EPOLLIN) != 0, (told & EPOLLOUT) != 0,
              (told & (EPOLLERR | EPOLLHUP)) != 0};
  }
  return static_cast<std::size_t>(count);
}

Outcome<Wakeup> Wakeup::open() {
  const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) return system_error("eventfd", errno);
  return Wakeup(fd);
}

void Wakeup::close() noexcept {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void Wakeup::wake() noexcept {
  // relaxed: only picks the one of several notifiers that pays for the system call.
  if (asleep_.exchange(0, std::memory_order_relaxed) == 0) return;
  // A signal handler must leave errno as it was. A full counter (EAGAIN) is readable already.
  const int saved = errno;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(fd_, &one, sizeof(one));
  errno = saved;
}

void Wakeup::drain() noexcept {
  std::uint64_t count;
  [[maybe_unused]] const ssize_t got = ::read(fd_, &count, sizeof(count));
}

}  // namespace stratwire::transport
