/// Bounded ring of items of one type, from one thread to one other.
///
/// When to use: a fixed small type between two threads. When not: items of different lengths
/// (spsc_bytes.hpp), more than one producer or consumer (Mpmc), or no bound: there is none without.
///
/// Algorithm: Lamport's ring (Proving the Correctness of Multiprocess Programs, 1977), with each
/// side's last sight of the other's index cached, so that a side touches the other's line only when
/// the ring looks full or empty (Lee, Bu, Chandranmenon: A Lock-Free, Cache-Efficient Multi-Core
/// Synchronization Mechanism, 2009), and the index moved once per batch.
///
/// Writers: the producer writes tail_ and head_cache_, the consumer head_ and tail_cache_.
/// Progress: every call is wait-free, as far as T's own operations are.
/// Capacity: a power of two, all of it usable.
/// Death of a thread: when the producer dies, what was pushed can still be popped; when the
/// consumer dies, the ring fills up and pushes are refused.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include <stratwire/queue/assert.hpp>
#include <stratwire/queue/cache_line.hpp>
#include <stratwire/queue/machine.hpp>

namespace stratwire::queue {

/// \thread one producer, one consumer; made and destroyed while neither is at work
template <class T, class MachineT = Machine>
class Spsc {
  static_assert(std::is_nothrow_destructible_v<T>);

 public:
  using value_type = T;
  static constexpr std::size_t kCapacityMax = std::size_t{1} << 31;

  /// The ring of at least `capacity_min` items, rounded up to a power of two. Allocates.
  ///
  /// \param capacity_min  1..kCapacityMax
  explicit Spsc(std::size_t capacity_min)
      : mask_(round_capacity(capacity_min) - 1), slots_(allocate(mask_ + 1)) {}

  Spsc(const Spsc&) = delete;
  Spsc& operator=(const Spsc&) = delete;
  /// Destroys what was not popped.
  ~Spsc() {
    while (front() != nullptr) pop();
  }

  [[nodiscard]] std::size_t capacity() const noexcept { return mask_ + 1; }

  // ---- Producer

  /// Makes one item at the end. Never blocks, never allocates by itself.
  ///
  /// \return  false when full; the arguments were not used
  template <class... Args>
  [[nodiscard]] bool try_emplace(Args&&... args) noexcept(
      std::is_nothrow_constructible_v<T, Args&&...>) {
    // relaxed: only this thread writes tail_.
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    if (room(tail, 1) == 0) return false;
    std::construct_at(slot(tail), std::forward<Args>(args)...);
    // release: pairs with the acquire in waiting(); publishes the item made above.
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  /// As try_emplace; a refused item was not moved from.
  [[nodiscard]] bool try_push(T&& item) noexcept(std::is_nothrow_move_constructible_v<T>) {
    return try_emplace(std::move(item));
  }
  [[nodiscard]] bool try_push(const T& item) noexcept(std::is_nothrow_copy_constructible_v<T>) {
    return try_emplace(item);
  }

  /// Adds the first items of `first`, as many of `count` as there is room for, with one store.
  ///
  /// Where making an item throws, those before it are in the ring. Items that can't be copied are
  /// passed with std::move_iterator.
  ///
  /// \return  items added
  template <std::input_iterator Iterator>
  [[nodiscard]] std::size_t try_push_batch(Iterator first, std::size_t count) noexcept(
      std::is_nothrow_constructible_v<T, std::iter_reference_t<Iterator>>) {
    // relaxed: only this thread writes tail_.
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    const std::size_t accepted = room(tail, count);
    if (accepted == 0) return 0;
    Publication publication{*this, tail};
    for (; publication.end != tail + accepted; ++publication.end, ++first) {
      std::construct_at(slot(publication.end), *first);
    }
    return accepted;
  }
  [[nodiscard]] std::size_t try_push_batch(std::span<const T> items) noexcept(
      std::is_nothrow_copy_constructible_v<T>) {
    return try_push_batch(items.begin(), items.size());
  }

  // ---- Consumer

  /// The oldest item, to be used in place; nullptr when none waits.
  ///
  /// \lifetime  until pop()
  [[nodiscard]] T* front() noexcept {
    // relaxed: only this thread writes head_.
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    return waiting(head, 1) == 0 ? nullptr : slot(head);
  }

  /// Whether front() would be nullptr.
  [[nodiscard]] bool empty() noexcept { return front() == nullptr; }

  /// Destroys the oldest item. Precondition: front() was not nullptr.
  void pop() noexcept {
    // relaxed: only this thread writes head_.
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    STRATWIRE_QUEUE_DCHECK(head != tail_cache_);
    std::destroy_at(slot(head));
    // release: pairs with the acquire in room(); the slot is done with before it is used again.
    head_.store(head + 1, std::memory_order_release);
  }

  /// Moves the oldest item to `out`.
  ///
  /// \return  false when none waits
  [[nodiscard]] bool try_pop(T& out) noexcept(std::is_nothrow_move_assignable_v<T>) {
    T* const item = front();
    if (item == nullptr) return false;
    out = std::move(*item);
    pop();
    return true;
  }

  /// Hands up to `limit` items to `handler(T&)` and gives their slots back with one store.
  ///
  /// \param handler  noexcept; an item is valid until it returns
  /// \return         items handed over
  template <class Handler>
  std::size_t pop_batch(Handler&& handler, std::size_t limit) noexcept {
    static_assert(std::is_nothrow_invocable_v<Handler&, T&>, "the handler must be noexcept");
    // relaxed: only this thread writes head_.
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    const std::size_t count = waiting(head, limit);
    if (count == 0) return 0;
    for (std::uint64_t at = head; at != head + count; ++at) {
      T* const item = slot(at);
      handler(*item);
      std::destroy_at(item);
    }
    // release: pairs with the acquire in room(); the slots are done with before they are used
    // again.
    head_.store(head + count, std::memory_order_release);
    return count;
  }

  // ---- Any thread

  /// Items in the ring at some moment in the recent past.
  [[nodiscard]] std::size_t size_approx() const noexcept {
    // relaxed: a figure for people.
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    // relaxed: as above; it may be a little newer than head.
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    const std::uint64_t size = tail > head ? tail - head : 0;
    return size > capacity() ? capacity() : static_cast<std::size_t>(size);
  }

 private:
  struct Slot {
    alignas(T) std::byte bytes[sizeof(T)];
  };
  static constexpr std::align_val_t kSlotAlignment{alignof(T) > kIsolationBytes ? alignof(T)
                                                                                : kIsolationBytes};
  struct Free {
    void operator()(Slot* slots) const noexcept { ::operator delete(slots, kSlotAlignment); }
  };

  /// Publishes on the way out, whether the last item could be made or not.
  struct Publication {
    Spsc& ring;
    std::uint64_t end;
    ~Publication() {
      // release: pairs with the acquire in waiting(); publishes the items made so far.
      ring.tail_.store(end, std::memory_order_release);
    }
  };

  static std::size_t round_capacity(std::size_t items) noexcept {
    STRATWIRE_QUEUE_ASSERT(items >= 1 && items <= kCapacityMax);
    return std::bit_ceil(items);
  }
  static std::unique_ptr<Slot[], Free> allocate(std::size_t items) {
    return std::unique_ptr<Slot[], Free>(
        static_cast<Slot*>(::operator new(items * sizeof(Slot), kSlotAlignment)));
  }
  [[nodiscard]] T* slot(std::uint64_t position) noexcept {
    return std::launder(
        reinterpret_cast<T*>(slots_[static_cast<std::size_t>(position) & mask_].bytes));
  }

  /// Free slots behind `tail`, at most `wanted`.
  [[nodiscard]] std::size_t room(std::uint64_t tail, std::size_t wanted) noexcept {
    std::uint64_t free = capacity() - (tail - head_cache_);
    if (free < wanted) {
      // acquire: pairs with the release in pop() and pop_batch(); the slots are done with.
      head_cache_ = head_.load(std::memory_order_acquire);
      free = capacity() - (tail - head_cache_);
    }
    return free < wanted ? static_cast<std::size_t>(free) : wanted;
  }
  /// Items from `head` on, at most `wanted`.
  [[nodiscard]] std::size_t waiting(std::uint64_t head, std::size_t wanted) noexcept {
    // Batches take what is known to wait before they look again: a look costs a cache miss.
    if (tail_cache_ == head) {
      // acquire: pairs with the release in try_emplace() and Publication; the items can be read.
      tail_cache_ = tail_.load(std::memory_order_acquire);
    }
    const std::uint64_t items = tail_cache_ - head;
    return items < wanted ? static_cast<std::size_t>(items) : wanted;
  }

  // Read by both, written by nobody after construction. Positions count items from the start of
  // time and are taken modulo the capacity where a slot is touched.
  const std::size_t mask_;
  const std::unique_ptr<Slot[], Free> slots_;

  // Written by the producer.
  alignas(kIsolationBytes) typename MachineT::template Atomic<std::uint64_t> tail_{0};
  std::uint64_t head_cache_ = 0;

  // Written by the consumer.
  alignas(kIsolationBytes) typename MachineT::template Atomic<std::uint64_t> head_{0};
  std::uint64_t tail_cache_ = 0;
};

static_assert(sizeof(Spsc<int>) == 3 * kIsolationBytes);

}  // namespace stratwire::queue
