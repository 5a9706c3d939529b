/// Bounded queue from any number of threads to any number, on moodycamel::ConcurrentQueue.
///
/// Not installed: for the libraries of this project, by the target stratwire_queue_internal and
/// <stratwire_internal/queue/mpmc.hpp>. moodycamel is named nowhere else.
///
/// When to use: many producers, one consumer that drains in batches (the inbox of the hub). When
/// not: one producer and one consumer (spsc.hpp is quicker and keeps the order of everything).
///
/// Algorithm: a queue per producer, joined by the consumer (Desrochers, A Fast General Purpose
/// Lock-Free Queue for C++, 2014). The order of one producer is kept; between producers there is
/// none.
///
/// Writers: moodycamel's own; the permits are written by both sides, which makes the bound exact.
/// Progress: lock-free; a push and a pop can each be made to look again by the other side.
/// Capacity: exactly what was asked for, counted in permits. moodycamel itself bounds blocks of 32
/// items only, which a producer token never gives back, so the pool is made large enough for
/// `producers` and `threads`. With more of them than promised, or with several consumers of which
/// one was interrupted in the middle of a pop, a push may be refused before the bound is reached.
/// Nothing allocates then either.
/// Death of a thread: what it had pushed can still be popped; a consumer that dies in the middle of
/// a pop keeps the items of that pop and one block.
#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <new>
#include <span>
#include <stratwire_internal/queue/budget.hpp>
#include <type_traits>
#include <utility>

#include <concurrentqueue/concurrentqueue.h>

#include <stratwire/queue/assert.hpp>

namespace stratwire::queue {

/// Settings of an Mpmc.
struct MpmcConfig {
  /// Most items in the queue; 1..kMpmcCapacityMax.
  std::size_t capacity = 4096;
  /// Most Mpmc::Producer objects at a time, 0 for none. Each costs room for `capacity` items.
  std::size_t producers = 4;
  /// Most threads that push without one. Each costs room for 64 items.
  std::size_t threads = 16;
};

namespace detail {

struct MpmcTraits : moodycamel::ConcurrentQueueDefaultTraits {
  static const std::size_t BLOCK_SIZE = 32;
  // A try_ call fails when the index of a producer's blocks is full: large enough from the start.
  static const std::size_t EXPLICIT_INITIAL_INDEX_SIZE = 2048;
  static const std::size_t IMPLICIT_INITIAL_INDEX_SIZE = 2048;
};

/// An input iterator over one item, of whatever T can be made from.
template <class Source>
class One {
 public:
  explicit One(const Source& source) noexcept : source_(&source) {}
  const Source& operator*() const noexcept { return *source_; }
  One& operator++() noexcept { return *this; }
  One operator++(int) noexcept { return *this; }

 private:
  const Source* source_;
};

/// An input iterator over any number of items with nothing in them.
template <class T>
struct Empty {
  T operator*() const noexcept { return T(); }
  Empty& operator++() noexcept { return *this; }
  Empty operator++(int) noexcept { return *this; }
};

/// An output iterator that hands each item over instead of storing it.
template <class T, class Handler>
class HandOver {
 public:
  explicit HandOver(Handler& handler) noexcept : handler_(&handler) {}
  HandOver& operator*() noexcept { return *this; }
  HandOver& operator++() noexcept { return *this; }
  HandOver operator++(int) noexcept { return *this; }
  HandOver& operator=(T&& item) noexcept {
    (*handler_)(std::move(item));
    return *this;
  }

 private:
  Handler* handler_;
};

}  // namespace detail

/// The index of a producer's blocks holds so many, and two blocks may be partly filled.
inline constexpr std::size_t kMpmcCapacityMax =
    (detail::MpmcTraits::EXPLICIT_INITIAL_INDEX_SIZE - 2) * detail::MpmcTraits::BLOCK_SIZE;

/// \thread any thread; made and destroyed while nobody is at work
template <class T>
class Mpmc {
  static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                "a push or pop that throws half-way would lose count of the items");
  using Queue = moodycamel::ConcurrentQueue<T, detail::MpmcTraits>;

 public:
  /// A producer with a name: quicker than pushing without, and nothing is allocated by its first
  /// push. Making one allocates. It must not outlive the queue.
  ///
  /// \thread one thread at a time
  class Producer {
   public:
    explicit Producer(Mpmc& queue) : token_(queue.queue_) {
      if (!token_.valid()) throw std::bad_alloc();
    }

   private:
    friend class Mpmc;
    [[nodiscard]] const moodycamel::ProducerToken& token() const noexcept {
      // Known since construction; without it g++ 12 warns of a null token in release builds.
      if (!token_.valid()) __builtin_unreachable();
      return token_;
    }
    moodycamel::ProducerToken token_;
  };

  /// A consumer with a name: it takes turns between producers. It must not outlive the queue.
  ///
  /// \thread one thread at a time
  class Consumer {
   public:
    explicit Consumer(Mpmc& queue) : token_(queue.queue_) {}

   private:
    friend class Mpmc;
    moodycamel::ConsumerToken token_;
  };

  /// Allocates all that will ever be needed, apart from producers and the first push of a thread.
  /// All of it is in memory when this returns: no push waits for a page.
  explicit Mpmc(const MpmcConfig& config)
      : budget_(checked(config.capacity)), queue_(pool_items(config)) {
    touch(pool_items(config));
  }
  Mpmc(const Mpmc&) = delete;
  Mpmc& operator=(const Mpmc&) = delete;
  ~Mpmc() = default;

  [[nodiscard]] std::size_t capacity() const noexcept { return budget_.capacity(); }

  /// Adds one item, at the end of this producer's. Never blocks, never allocates.
  ///
  /// \return  false when full; the item was not moved from
  [[nodiscard]] bool try_push(Producer& producer, T&& item) noexcept {
    if (!budget_.try_take(1)) return false;
    if (queue_.try_enqueue(producer.token(), std::move(item))) return true;
    budget_.give_back(1);
    return false;
  }
  [[nodiscard]] bool try_push(Producer& producer, const T& item) noexcept {
    T copy(item);
    return try_push(producer, std::move(copy));
  }

  /// The same without a token: the first push of each thread allocates its producer.
  [[nodiscard]] bool try_push(T&& item) noexcept {
    if (!budget_.try_take(1)) return false;
    if (queue_.try_enqueue(std::move(item))) return true;
    budget_.give_back(1);
    return false;
  }
  [[nodiscard]] bool try_push(const T& item) noexcept {
    T copy(item);
    return try_push(std::move(copy));
  }

  /// Adds one item, made from `source` where it will lie: for what is dear to move.
  template <class Source>
  [[nodiscard]] bool try_emplace(const Source& source) noexcept {
    static_assert(std::is_nothrow_constructible_v<T, const Source&>);
    if (!budget_.try_take(1)) return false;
    if (queue_.try_enqueue_bulk(detail::One<Source>(source), 1)) return true;
    budget_.give_back(1);
    return false;
  }

  /// Adds all of them or none; they are moved from when the answer is true.
  [[nodiscard]] bool try_push_batch(Producer& producer, std::span<T> items) noexcept {
    if (items.empty()) return true;
    if (!budget_.try_take(items.size())) return false;
    if (queue_.try_enqueue_bulk(producer.token(), std::make_move_iterator(items.begin()),
                                items.size())) {
      return true;
    }
    budget_.give_back(items.size());
    return false;
  }

  /// Hands up to `limit` items to `handler(T&&)`, oldest of each producer first.
  ///
  /// \param handler  noexcept; an item is gone when it returns
  /// \return         items handed over; 0 when the queue looked empty
  template <class Handler>
  std::size_t pop_batch(Consumer& consumer, Handler&& handler, std::size_t limit) noexcept {
    static_assert(std::is_nothrow_invocable_v<Handler&, T&&>, "the handler must be noexcept");
    if (limit == 0) return 0;
    const std::size_t count = queue_.try_dequeue_bulk(
        consumer.token_, detail::HandOver<T, std::remove_reference_t<Handler>>(handler), limit);
    if (count != 0) budget_.give_back(count);
    return count;
  }

  /// Moves up to out.size() items to the start of `out`.
  ///
  /// \return  items moved; 0 when the queue looked empty
  std::size_t pop_batch(Consumer& consumer, std::span<T> out) noexcept {
    T* next = out.data();
    return pop_batch(
        consumer, [&next](T&& item) noexcept { *next++ = std::move(item); }, out.size());
  }

  /// Items in the queue at some moment in the recent past; never more than capacity().
  [[nodiscard]] std::size_t size_approx() const noexcept { return budget_.taken_approx(); }

 private:
  static std::size_t checked(std::size_t capacity) noexcept {
    STRATWIRE_QUEUE_ASSERT(capacity >= 1 && capacity <= kMpmcCapacityMax);
    return capacity;
  }

  /// Items in the pool of blocks. `n` items that lie behind one another touch at most n / block + 2
  /// blocks. A token keeps every block it ever had; threads without one share theirs.
  static std::size_t pool_items(const MpmcConfig& config) noexcept {
    constexpr std::size_t block = detail::MpmcTraits::BLOCK_SIZE;
    const std::size_t full = config.capacity / block;
    const std::size_t blocks = config.producers * (full + 2) + full + config.threads * 2;
    return blocks * block;
  }

  /// Fills every block of the pool once and empties it. New blocks come before those that are free
  /// again, so that no block is filled twice.
  void touch(std::size_t pool_items) {
    constexpr std::size_t kAtOnce =
        (detail::MpmcTraits::IMPLICIT_INITIAL_INDEX_SIZE / 2) * detail::MpmcTraits::BLOCK_SIZE;
    const auto forget = [](T&&) noexcept {};
    while (pool_items != 0) {
      const std::size_t count = std::min(pool_items, kAtOnce);
      static_cast<void>(queue_.try_enqueue_bulk(detail::Empty<T>{}, count));
      static_cast<void>(
          queue_.try_dequeue_bulk(detail::HandOver<T, decltype(forget)>(forget), count));
      pool_items -= count;
    }
  }

  // Of items; when a block may be used again is moodycamel's own.
  Budget budget_;
  Queue queue_;
};

}  // namespace stratwire::queue
