/// Bounded ring of records of any length, from one thread to one other.
///
/// When to use: messages of different sizes, whole batches handed over with one store, data that is
/// used in place by the reader (views into the record stay valid). When not: more than one producer
/// or consumer (mpmc), or items of one small fixed type (spsc.hpp needs no header per item).
///
/// Algorithm: Lamport's ring (Proving the Correctness of Multiprocess Programs, 1977) over bytes,
/// with each side's last sight of the other's index cached (Lee, Bu, Chandranmenon: A
/// Lock-Free, Cache-Efficient Multi-Core Synchronization Mechanism, 2009). A record is never
/// split: where it does not fit before the end of the memory, a padding record fills the end.
///
/// Writers: the producer writes tail_, head_cache_ and the staged position; the consumer writes
/// head_, tail_cache_ and the read position. Nothing else is shared but the records.
/// Progress: every call is wait-free.
/// Capacity: a power of two of bytes, 64 at least. Each record takes 8 bytes and its own, rounded
/// up to 8. The largest record is capacity / 2 - 8 bytes: such a record fits into an empty ring
/// wherever the indices stand; a larger one might wait for ever and is refused.
/// Death of a thread: when the producer dies, what was published can still be read, what was only
/// staged is lost; when the consumer dies, the ring fills up and try_reserve() refuses.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>

#include <stratwire/queue/assert.hpp>
#include <stratwire/queue/cache_line.hpp>
#include <stratwire/queue/machine.hpp>

namespace stratwire::queue {

/// Use it by its alias SpscBytes, below.
///
/// \thread one producer, one consumer; made and destroyed while neither is at work
template <class MachineT>
class BasicSpscBytes {
 public:
  /// Every record starts at a multiple of this.
  static constexpr std::size_t kRecordAlignment = 8;
  static constexpr std::size_t kHeaderBytes = 8;
  static constexpr std::size_t kCapacityMin = 64;
  static constexpr std::size_t kCapacityMax = std::size_t{1} << 31;

  /// The ring of at least `capacity_bytes_min` bytes, rounded up to a power of two.
  ///
  /// Allocates; the memory is not touched before it is used.
  ///
  /// \param capacity_bytes_min  up to kCapacityMax
  explicit BasicSpscBytes(std::size_t capacity_bytes_min)
      : capacity_(round_capacity(capacity_bytes_min)), memory_(allocate(capacity_)) {}

  BasicSpscBytes(const BasicSpscBytes&) = delete;
  BasicSpscBytes& operator=(const BasicSpscBytes&) = delete;
  ~BasicSpscBytes() = default;

  [[nodiscard]] std::size_t capacity_bytes() const noexcept { return capacity_; }
  /// Largest record that try_reserve() grants.
  [[nodiscard]] std::size_t record_bytes_max() const noexcept {
    return capacity_ / 2 - kHeaderBytes;
  }

  // ---- Producer

  /// Memory for one record, to be filled and then committed. Never blocks, never allocates.
  ///
  /// A reservation that is followed by another one instead of commit() is forgotten.
  ///
  /// \param bytes  1..record_bytes_max()
  /// \return       `bytes` bytes at a multiple of 8; nullptr when full, or for a size out of range
  [[nodiscard]] char* try_reserve(std::size_t bytes) noexcept {
    reserved_bytes_ = 0;
    if (bytes == 0 || bytes > record_bytes_max()) return nullptr;
    const std::size_t need = record_size(bytes);
    const std::size_t to_end = capacity_ - offset(staged_);
    const std::uint64_t start = need <= to_end ? staged_ : staged_ + to_end;
    const std::uint64_t end = start + need;
    if (end - head_cache_ > capacity_) {
      // acquire: pairs with the release in release(); the bytes have been read before they are
      // written again.
      head_cache_ = head_.load(std::memory_order_acquire);
      if (end - head_cache_ > capacity_) return nullptr;
    }
    reserved_at_ = start;
    reserved_bytes_ = bytes;
    return payload(start);
  }

  /// Stages the reserved record; the consumer sees it after publish().
  void commit() noexcept { commit(reserved_bytes_); }

  /// Stages the first `bytes` bytes of the reserved record and gives back the rest.
  ///
  /// \param bytes  0..what was reserved; 0 forgets the reservation
  void commit(std::size_t bytes) noexcept {
    STRATWIRE_QUEUE_DCHECK(bytes <= reserved_bytes_);
    reserved_bytes_ = 0;
    if (bytes == 0) return;
    if (reserved_at_ != staged_) {
      const std::uint64_t fill = reserved_at_ - staged_;
      MachineT::write(header(staged_), Header{static_cast<std::uint32_t>(fill), Kind::padding});
    }
    MachineT::write(header(reserved_at_), Header{static_cast<std::uint32_t>(bytes), Kind::record});
    staged_ = reserved_at_ + record_size(bytes);
  }

  /// Hands every staged record to the consumer: one store, however many there are.
  void publish() noexcept {
    // release: pairs with the acquire in front(); publishes the staged records.
    tail_.store(staged_, std::memory_order_release);
  }

  // ---- Consumer

  /// The oldest record that was not popped, to be used in place; empty when none waits.
  ///
  /// \lifetime  the bytes stay as they are, where they are, until release()
  [[nodiscard]] std::span<char> front() noexcept {
    for (;;) {
      if (read_ == tail_cache_) {
        // acquire: pairs with the release in publish(); the records up to it can be read.
        tail_cache_ = tail_.load(std::memory_order_acquire);
        if (read_ == tail_cache_) return {};
      }
      const Header head = MachineT::read(header(read_));
      if (head.kind == Kind::record) {
        front_bytes_ = head.bytes;
        return {payload(read_), head.bytes};
      }
      read_ += head.bytes;
    }
  }

  /// Whether front() would be empty.
  [[nodiscard]] bool empty() noexcept { return front().empty(); }

  /// Steps over the record that front() returned; its bytes stay until release().
  ///
  /// Precondition: front() was not empty.
  void pop() noexcept {
    STRATWIRE_QUEUE_DCHECK(front_bytes_ != 0);
    read_ += record_size(front_bytes_);
    front_bytes_ = 0;
  }

  /// Gives the memory of every popped record back to the producer: one store for all of them.
  void release() noexcept {
    // release: pairs with the acquire in try_reserve(); every popped record has been read.
    head_.store(read_, std::memory_order_release);
  }

  /// Calls `handler(std::span<char>)` for up to `limit` records, then pops and releases them.
  ///
  /// \return    records handed over
  /// \lifetime  a record is valid until the call returns
  template <class Handler>
  std::size_t pop_batch(Handler&& handler, std::size_t limit) noexcept {
    static_assert(noexcept(handler(std::span<char>{})), "the handler must be noexcept");
    std::size_t count = 0;
    while (count < limit) {
      const std::span<char> record = front();
      if (record.empty()) break;
      handler(record);
      pop();
      ++count;
    }
    if (count != 0) release();
    return count;
  }

  // ---- Any thread

  /// Bytes between the two indices at some moment in the recent past, headers included.
  [[nodiscard]] std::size_t used_bytes_approx() const noexcept {
    // relaxed: a figure for people; head first, so that it is never ahead of tail for long.
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    // relaxed: as above.
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    return tail > head ? static_cast<std::size_t>(tail - head) : 0;
  }

 private:
  enum class Kind : std::uint32_t { record, padding };
  /// Before each record. `bytes` of a record is its own length, of a padding the way to the end.
  struct Header {
    std::uint32_t bytes;
    Kind kind;
  };
  static_assert(sizeof(Header) == kHeaderBytes && alignof(Header) <= kRecordAlignment);

  struct Free {
    void operator()(char* memory) const noexcept {
      ::operator delete (memory, std::align_val_t{kIsolationBytes});
    }
  };

  static std::size_t round_capacity(std::size_t bytes) noexcept {
    STRATWIRE_QUEUE_ASSERT(bytes <= kCapacityMax);
    return std::bit_ceil(bytes < kCapacityMin ? kCapacityMin : bytes);
  }
  static std::unique_ptr<char, Free> allocate(std::size_t bytes) {
    return std::unique_ptr<char, Free>(
        static_cast<char*>(::operator new (bytes, std::align_val_t{kIsolationBytes})));
  }
  static constexpr std::size_t record_size(std::size_t bytes) noexcept {
    return kHeaderBytes + ((bytes + kRecordAlignment - 1) & ~(kRecordAlignment - 1));
  }
  [[nodiscard]] std::size_t offset(std::uint64_t position) const noexcept {
    return static_cast<std::size_t>(position) & (capacity_ - 1);
  }
  [[nodiscard]] Header& header(std::uint64_t position) noexcept {
    return *reinterpret_cast<Header*>(memory_.get() + offset(position));
  }
  [[nodiscard]] char* payload(std::uint64_t position) noexcept {
    return memory_.get() + offset(position) + kHeaderBytes;
  }

  // Read by both, written by nobody after construction. Positions count bytes from the start of
  // time and are taken modulo the capacity where memory is touched.
  const std::size_t capacity_;
  const std::unique_ptr<char, Free> memory_;

  // Written by the producer. tail_ is what the consumer may read up to.
  alignas(kIsolationBytes) typename MachineT::template Atomic<std::uint64_t> tail_{0};
  std::uint64_t staged_ = 0;
  std::uint64_t head_cache_ = 0;
  std::uint64_t reserved_at_ = 0;
  std::size_t reserved_bytes_ = 0;

  // Written by the consumer. head_ is what the producer may write up to, one lap later.
  alignas(kIsolationBytes) typename MachineT::template Atomic<std::uint64_t> head_{0};
  std::uint64_t read_ = 0;
  std::uint64_t tail_cache_ = 0;
  std::size_t front_bytes_ = 0;
};

using SpscBytes = BasicSpscBytes<Machine>;

static_assert(sizeof(SpscBytes) == 3 * kIsolationBytes);

}  // namespace stratwire::queue
