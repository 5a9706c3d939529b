/// Every queue that is measured, behind one interface: push and pop of 64-byte messages, one at a
/// time or in batches, each queue used as its own documentation recommends for speed.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <mutex>
#include <readerwriterqueue/readerwriterqueue.h>
#include <span>
#include <stratwire_internal/queue/mpmc.hpp>
#include <vector>

#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>
#include <concurrentqueue/concurrentqueue.h>

#include <stratwire/queue/spsc.hpp>
#include <stratwire/queue/spsc_bytes.hpp>

namespace stratwire::bench {

struct Item {
  std::array<std::uint64_t, 8> words{};
};
static_assert(sizeof(Item) == 64);

inline constexpr std::size_t kCapacity = 4096;
inline constexpr std::size_t kBatch = 32;

/// Lamport's ring and nothing else: what the machine allows with the two indices (and the two
/// cached ones beside them) so many bytes apart.
template <std::size_t kApart>
class BareRing {
 public:
  bool push(const Item& item) {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_cache_ == kCapacity) {
      head_cache_ = head_.load(std::memory_order_acquire);
      if (tail - head_cache_ == kCapacity) return false;
    }
    slots_[tail % kCapacity] = item;
    tail_.store(tail + 1, std::memory_order_release);
    return true;
  }
  bool pop(Item& item) {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    if (head == tail_cache_) {
      tail_cache_ = tail_.load(std::memory_order_acquire);
      if (head == tail_cache_) return false;
    }
    item = slots_[head % kCapacity];
    head_.store(head + 1, std::memory_order_release);
    return true;
  }
  /// The indices move once for a batch.
  std::size_t push_batch(std::span<const Item> items) {
    const std::uint64_t tail = tail_.load(std::memory_order_relaxed);
    if (tail - head_cache_ + items.size() > kCapacity) {
      head_cache_ = head_.load(std::memory_order_acquire);
      if (tail - head_cache_ + items.size() > kCapacity) return 0;
    }
    for (std::size_t i = 0; i < items.size(); ++i) slots_[(tail + i) % kCapacity] = items[i];
    tail_.store(tail + items.size(), std::memory_order_release);
    return items.size();
  }
  std::size_t pop_batch(std::span<Item> items) {
    const std::uint64_t head = head_.load(std::memory_order_relaxed);
    if (tail_cache_ - head < items.size()) tail_cache_ = tail_.load(std::memory_order_acquire);
    const std::size_t count = std::min<std::size_t>(items.size(), tail_cache_ - head);
    for (std::size_t i = 0; i < count; ++i) items[i] = slots_[(head + i) % kCapacity];
    if (count != 0) head_.store(head + count, std::memory_order_release);
    return count;
  }

 private:
  alignas(128) std::array<Item, kCapacity> slots_{};
  alignas(kApart) std::atomic<std::uint64_t> tail_{0};
  std::uint64_t head_cache_ = 0;
  alignas(kApart) std::atomic<std::uint64_t> head_{0};
  std::uint64_t tail_cache_ = 0;
};

class SpscRig {
 public:
  bool push(const Item& item) { return queue_.try_push(item); }
  bool pop(Item& item) { return queue_.try_pop(item); }
  std::size_t push_batch(std::span<const Item> items) { return queue_.try_push_batch(items); }
  std::size_t pop_batch(std::span<Item> items) {
    Item* out = items.data();
    return queue_.pop_batch([&out](const Item& item) noexcept { *out++ = item; }, items.size());
  }

 private:
  queue::Spsc<Item> queue_{kCapacity};
};

class SpscBytesRig {
 public:
  bool push(const Item& item) {
    if (!stage(item)) return false;
    queue_.publish();
    return true;
  }
  bool pop(Item& item) { return pop_batch({&item, 1}) == 1; }
  std::size_t push_batch(std::span<const Item> items) {
    std::size_t count = 0;
    while (count < items.size() && stage(items[count])) ++count;
    if (count != 0) queue_.publish();
    return count;
  }
  std::size_t pop_batch(std::span<Item> items) {
    Item* out = items.data();
    return queue_.pop_batch(
        [&out](std::span<char> record) noexcept {
          std::memcpy(out++, record.data(), sizeof(Item));
        },
        items.size());
  }

 private:
  bool stage(const Item& item) {
    char* const memory = queue_.try_reserve(sizeof(Item));
    if (memory == nullptr) return false;
    std::memcpy(memory, &item, sizeof(Item));
    queue_.commit();
    return true;
  }
  queue::SpscBytes queue_{kCapacity * (sizeof(Item) + queue::SpscBytes::kHeaderBytes)};
};

class MpmcRig {
 public:
  bool push(const Item& item) { return queue_.try_push(producer_, item); }
  bool pop(Item& item) { return queue_.pop_batch(consumer_, std::span<Item>(&item, 1)) == 1; }
  std::size_t push_batch(std::span<const Item> items) {
    std::array<Item, kBatch> copy{};
    std::memcpy(copy.data(), items.data(), items.size_bytes());
    return queue_.try_push_batch(producer_, std::span<Item>(copy).first(items.size()))
               ? items.size()
               : 0;
  }
  std::size_t pop_batch(std::span<Item> items) { return queue_.pop_batch(consumer_, items); }

 private:
  queue::Mpmc<Item> queue_{{.capacity = kCapacity, .producers = 1, .threads = 1}};
  queue::Mpmc<Item>::Producer producer_{queue_};
  queue::Mpmc<Item>::Consumer consumer_{queue_};
};

class ConcurrentQueueRig {
 public:
  bool push(const Item& item) { return queue_.try_enqueue(producer_, item); }
  bool pop(Item& item) { return queue_.try_dequeue(consumer_, item); }
  std::size_t push_batch(std::span<const Item> items) {
    return queue_.try_enqueue_bulk(producer_, items.data(), items.size()) ? items.size() : 0;
  }
  std::size_t pop_batch(std::span<Item> items) {
    return queue_.try_dequeue_bulk(consumer_, items.data(), items.size());
  }

 private:
  moodycamel::ConcurrentQueue<Item> queue_{kCapacity};
  moodycamel::ProducerToken producer_{queue_};
  moodycamel::ConsumerToken consumer_{queue_};
};

class ReaderWriterQueueRig {
 public:
  bool push(const Item& item) { return queue_.try_enqueue(item); }
  bool pop(Item& item) { return queue_.try_dequeue(item); }

 private:
  moodycamel::ReaderWriterQueue<Item> queue_{kCapacity};
};

class BoostSpscRig {
 public:
  bool push(const Item& item) { return queue_.push(item); }
  bool pop(Item& item) { return queue_.pop(item); }
  std::size_t push_batch(std::span<const Item> items) {
    return queue_.push(items.data(), items.size());
  }
  std::size_t pop_batch(std::span<Item> items) { return queue_.pop(items.data(), items.size()); }

 private:
  boost::lockfree::spsc_queue<Item, boost::lockfree::capacity<kCapacity>> queue_;
};

class BoostQueueRig {
 public:
  bool push(const Item& item) { return queue_.bounded_push(item); }
  bool pop(Item& item) { return queue_.pop(item); }

 private:
  boost::lockfree::queue<Item, boost::lockfree::capacity<kCapacity>> queue_;
};

class DequeMutexRig {
 public:
  bool push(const Item& item) {
    const std::lock_guard lock(mutex_);
    if (items_.size() == kCapacity) return false;
    items_.push_back(item);
    return true;
  }
  bool pop(Item& item) {
    const std::lock_guard lock(mutex_);
    if (items_.empty()) return false;
    item = items_.front();
    items_.pop_front();
    return true;
  }

 private:
  std::mutex mutex_;
  std::deque<Item> items_;
};

}  // namespace stratwire::bench
