#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <linux/io_uring.h>
#include <string>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

#include <stratwire/transport/send_batch.hpp>

#include "io_result.hpp"

namespace stratwire::transport {
namespace {

/// One send() takes no more at once.
constexpr std::size_t kSendBytesMax = std::size_t{1} << 30;

int set_up(unsigned entries, io_uring_params& parameters) noexcept {
  return static_cast<int>(::syscall(SYS_io_uring_setup, entries, &parameters));
}

int enter(int fd, unsigned submit, unsigned complete) noexcept {
  return static_cast<int>(
      ::syscall(SYS_io_uring_enter, fd, submit, complete, IORING_ENTER_GETEVENTS, nullptr, 0));
}

/// Memory that the kernel shares.
class Mapping {
 public:
  Mapping() noexcept = default;
  Mapping(int fd, off_t offset, std::size_t bytes) noexcept
      : begin_(
            ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset)),
        bytes_(bytes) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (is_there()) ::munmap(begin_, bytes_);
  }
  [[nodiscard]] bool is_there() const noexcept { return begin_ != MAP_FAILED; }
  template <class T>
  [[nodiscard]] T* at(std::size_t offset) const noexcept {
    return reinterpret_cast<T*>(static_cast<char*>(begin_) + offset);
  }

 private:
  void* begin_ = MAP_FAILED;
  std::size_t bytes_ = 0;
};

}  // namespace

/// Two rings in memory that the kernel shares: what is asked for, and what came of it.
class SendBatch::Ring {
 public:
  Ring(int fd, const io_uring_params& parameters) noexcept
      : fd_(fd),
        rings_(fd, IORING_OFF_SQ_RING,
               std::max(parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned),
                        parameters.cq_off.cqes + parameters.cq_entries * sizeof(io_uring_cqe))),
        requests_(fd, IORING_OFF_SQES, parameters.sq_entries * sizeof(io_uring_sqe)) {
    if (!is_there()) return;
    request_tail_ = rings_.at<unsigned>(parameters.sq_off.tail);
    request_mask_ = *rings_.at<unsigned>(parameters.sq_off.ring_mask);
    result_head_ = rings_.at<unsigned>(parameters.cq_off.head);
    result_tail_ = rings_.at<unsigned>(parameters.cq_off.tail);
    result_mask_ = *rings_.at<unsigned>(parameters.cq_off.ring_mask);
    completions_ = rings_.at<io_uring_cqe>(parameters.cq_off.cqes);
    // The nth place always names the nth request.
    auto* const places = rings_.at<unsigned>(parameters.sq_off.array);
    for (unsigned i = 0; i <= request_mask_; ++i) places[i] = i;
    tail_ = *request_tail_;
  }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;
  ~Ring() { ::close(fd_); }

  [[nodiscard]] bool is_there() const noexcept { return rings_.is_there() && requests_.is_there(); }
  [[nodiscard]] bool usable() const noexcept { return usable_; }
  [[nodiscard]] std::size_t size() const noexcept { return count_; }

  void add(int fd, std::span<const char> bytes) noexcept {
    io_uring_sqe& request = requests_.at<io_uring_sqe>(0)[tail_++ & request_mask_];
    std::memset(&request, 0, sizeof request);
    request.opcode = IORING_OP_SEND;
    request.fd = fd;
    request.addr = reinterpret_cast<std::uintptr_t>(bytes.data());
    request.len = static_cast<std::uint32_t>(std::min(bytes.size(), kSendBytesMax));
    request.msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    request.user_data = count_++;
  }

  std::span<const IoResult> run() noexcept {
    const std::size_t count = std::exchange(count_, 0);
    // Of what is not told of: it waits until the socket is writable.
    std::fill_n(results_.begin(), count, IoResult{0, 0, IoStatus::would_block});
    // release: pairs with the kernel's acquire of the tail; the requests were written before.
    std::atomic_ref(*request_tail_).store(tail_, std::memory_order_release);
    std::size_t submitted = 0;
    std::size_t told = 0;
    while (told < count) {
      const int entered =
          enter(fd_, static_cast<unsigned>(count - submitted), static_cast<unsigned>(count - told));
      if (entered >= 0) {
        submitted += static_cast<std::size_t>(entered);
      } else if (errno != EINTR) {
        // What the kernel did not take stays in the ring, which nobody uses any more.
        usable_ = false;
        told += reap();
        break;
      }
      told += reap();
    }
    return {results_.data(), count};
  }

 private:
  /// \return how many were told of
  std::size_t reap() noexcept {
    // acquire: pairs with the kernel's release of the tail; the completions were written before.
    const unsigned tail = std::atomic_ref(*result_tail_).load(std::memory_order_acquire);
    const unsigned begin = *result_head_;
    for (unsigned head = begin; head != tail; ++head) {
      const io_uring_cqe& one = completions_[head & result_mask_];
      results_[one.user_data] = one.res >= 0        ? moved(static_cast<std::size_t>(one.res))
                                : one.res == -EINTR ? write_error(EAGAIN)
                                                    : write_error(-one.res);
    }
    // release: pairs with the kernel's acquire of the head; the completions were read before.
    std::atomic_ref(*result_head_).store(tail, std::memory_order_release);
    return tail - begin;
  }

  const int fd_;
  const Mapping rings_;
  const Mapping requests_;
  unsigned* request_tail_ = nullptr;
  unsigned* result_head_ = nullptr;
  unsigned* result_tail_ = nullptr;
  io_uring_cqe* completions_ = nullptr;
  unsigned request_mask_ = 0;
  unsigned result_mask_ = 0;
  unsigned tail_ = 0;
  std::size_t count_ = 0;
  bool usable_ = true;
  std::array<IoResult, kMax> results_{};
};

Outcome<SendBatch> SendBatch::open() {
  io_uring_params parameters{};
  const int fd = set_up(kMax, parameters);
  if (fd < 0) {
    const int number = errno;
    return Error{Errc::io_failed, number,
                 std::string("no io_uring: ") + std::strerror(number) + "; send one by one"};
  }
  auto ring = std::make_unique<Ring>(fd, parameters);
  // 5.4, and 5.7: since then a send that may not wait is done, or fails, within the call.
  constexpr std::uint32_t kNeeded = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_FAST_POLL;
  if (!ring->is_there() || (parameters.features & kNeeded) != kNeeded) {
    return Error{Errc::io_failed, ENOSYS, "this kernel's io_uring is too old; send one by one"};
  }
  return SendBatch{std::move(ring)};
}

SendBatch::SendBatch(std::unique_ptr<Ring> ring) noexcept : ring_(std::move(ring)) {}
SendBatch::SendBatch(SendBatch&&) noexcept = default;
SendBatch& SendBatch::operator=(SendBatch&&) noexcept = default;
SendBatch::~SendBatch() = default;

void SendBatch::add(const Socket& socket, std::span<const char> bytes) noexcept {
  ring_->add(socket.fd(), bytes);
}
std::size_t SendBatch::size() const noexcept {
  return ring_->size();
}
std::span<const IoResult> SendBatch::run() noexcept {
  return ring_->run();
}
bool SendBatch::usable() const noexcept {
  return ring_->usable();
}

}  // namespace stratwire::transport
