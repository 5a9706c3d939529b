#include "counted_calls.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <dlfcn.h>
#include <execinfo.h>
#include <fstream>
#include <new>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace stratwire::test {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRATWIRE_TEST_SANITIZED 1
#endif

constexpr std::size_t kThreadsMax = 64;
constexpr int kFramesMax = 24;

struct Slot {
  // Written by one thread; read once it has nothing to do any more.
  std::atomic<long> tid{0};
  std::atomic<std::uint64_t> allocations{0};
  std::atomic<std::uint64_t> locks{0};
  std::array<void*, kFramesMax> first{};
  int first_frames = 0;
};

std::array<Slot, kThreadsMax> g_slots{};
std::atomic<std::size_t> g_taken{0};
std::atomic<bool> g_counting{false};
// The slot of this thread, and in which count it was taken.
thread_local Slot* t_slot = nullptr;
thread_local std::uint64_t t_count = 0;
thread_local bool t_inside = false;
std::atomic<std::uint64_t> g_count{0};

void note(std::atomic<std::uint64_t> Slot::*counter) noexcept {
  // relaxed, all: figures; start_counting() and stop_counting() stand between phases of the test.
  if (!g_counting.load(std::memory_order_relaxed) || t_inside) return;
  t_inside = true;
  const std::uint64_t count = g_count.load(std::memory_order_relaxed);  // relaxed: as above.
  if (t_slot == nullptr || t_count != count) {
    const std::size_t taken =
        g_taken.fetch_add(1, std::memory_order_relaxed);  // relaxed: as above.
    if (taken >= kThreadsMax) std::abort();
    t_slot = &g_slots[taken];
    t_count = count;
    t_slot->first_frames = backtrace(t_slot->first.data(), kFramesMax);
    // release: pairs with the acquire in stop_counting(); the addresses were written above.
    t_slot->tid.store(syscall(SYS_gettid), std::memory_order_release);
  }
  (t_slot->*counter).fetch_add(1, std::memory_order_relaxed);  // relaxed: as above.
  t_inside = false;
}

std::string name_of(long tid) {
  std::ifstream file("/proc/self/task/" + std::to_string(tid) + "/comm");
  std::string name;
  std::getline(file, name);
  return name.empty() ? "(ended)" : name;
}

}  // namespace

void start_counting() {
  // The first one loads a library.
  std::array<void*, 1> frame{};
  (void)backtrace(frame.data(), 1);
  for (Slot& slot : g_slots) {
    slot.tid = 0;
    slot.allocations = 0;
    slot.locks = 0;
  }
  g_taken = 0;
  ++g_count;
  g_counting = true;
}

std::vector<CountedCalls> stop_counting() {
  g_counting = false;
  std::vector<CountedCalls> calls;
  for (std::size_t i = 0; i < g_taken; ++i) {
    const Slot& slot = g_slots[i];
    // acquire: pairs with the release in note().
    const long tid = slot.tid.load(std::memory_order_acquire);
    calls.push_back({name_of(tid), slot.allocations, slot.locks});
    // 0: it is about to write them.
    if (tid != 0) backtrace_symbols_fd(slot.first.data(), slot.first_frames, STDERR_FILENO);
  }
  return calls;
}

std::uint64_t allocations_in(const std::vector<CountedCalls>& calls) noexcept {
  std::uint64_t sum = 0;
  for (const CountedCalls& one : calls) sum += one.allocations;
  return sum;
}

std::string to_string(const std::vector<CountedCalls>& calls) {
  std::string text;
  for (const CountedCalls& one : calls) {
    text += one.thread + ": " + std::to_string(one.allocations) + " allocations, " +
            std::to_string(one.locks) + " locks\n";
  }
  return text;
}

namespace {

[[maybe_unused]] void note_allocation() noexcept {
  note(&Slot::allocations);
}
[[maybe_unused]] void note_lock() noexcept {
  note(&Slot::locks);
}

}  // namespace
}  // namespace stratwire::test

#ifdef STRATWIRE_TEST_SANITIZED

namespace {

void* counted(std::size_t bytes) {
  stratwire::test::note_allocation();
  void* const memory = std::malloc(bytes);
  if (memory == nullptr) throw std::bad_alloc{};
  return memory;
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  return counted(bytes);
}
[[gnu::noinline]] void* operator new[](std::size_t bytes) {
  return counted(bytes);
}
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  stratwire::test::note_allocation();
  return std::malloc(bytes);
}
[[gnu::noinline]] void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  stratwire::test::note_allocation();
  return std::malloc(bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete[](void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}

#else

extern "C" {

// What glibc calls its own.
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* memory, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
void __libc_free(void* memory);

void* malloc(std::size_t bytes) {
  stratwire::test::note_allocation();
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  stratwire::test::note_allocation();
  return __libc_calloc(count, bytes);
}
void* realloc(void* memory, std::size_t bytes) {
  stratwire::test::note_allocation();
  return __libc_realloc(memory, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  stratwire::test::note_allocation();
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  stratwire::test::note_allocation();
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** memory, std::size_t alignment, std::size_t bytes) {
  stratwire::test::note_allocation();
  *memory = __libc_memalign(alignment, bytes);
  return *memory == nullptr ? ENOMEM : 0;
}
void free(void* memory) {
  __libc_free(memory);
}

}  // extern "C"

namespace {

/// The C library's function of this name.
template <class Function>
class Real {
 public:
  explicit constexpr Real(const char* name) noexcept : name_(name) {}

  template <class... Arguments>
  int operator()(Arguments... arguments) noexcept {
    // relaxed: whoever looks it up finds the same.
    Function* function = function_.load(std::memory_order_relaxed);
    if (function == nullptr) {
      function = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name_));
      function_.store(function, std::memory_order_relaxed);  // relaxed: as above.
    }
    return function(arguments...);
  }

 private:
  const char* name_;
  std::atomic<Function*> function_{nullptr};
};

constinit Real<int(pthread_mutex_t*)> g_mutex_lock{"pthread_mutex_lock"};
constinit Real<int(pthread_mutex_t*)> g_mutex_trylock{"pthread_mutex_trylock"};
constinit Real<int(pthread_rwlock_t*)> g_rwlock_rdlock{"pthread_rwlock_rdlock"};
constinit Real<int(pthread_rwlock_t*)> g_rwlock_wrlock{"pthread_rwlock_wrlock"};
constinit Real<int(pthread_spinlock_t*)> g_spin_lock{"pthread_spin_lock"};

}  // namespace

extern "C" {

int pthread_mutex_lock(pthread_mutex_t* mutex) noexcept {
  stratwire::test::note_lock();
  return g_mutex_lock(mutex);
}
int pthread_mutex_trylock(pthread_mutex_t* mutex) noexcept {
  stratwire::test::note_lock();
  return g_mutex_trylock(mutex);
}
int pthread_rwlock_rdlock(pthread_rwlock_t* lock) noexcept {
  stratwire::test::note_lock();
  return g_rwlock_rdlock(lock);
}
int pthread_rwlock_wrlock(pthread_rwlock_t* lock) noexcept {
  stratwire::test::note_lock();
  return g_rwlock_wrlock(lock);
}
int pthread_spin_lock(pthread_spinlock_t* lock) noexcept {
  stratwire::test::note_lock();
  return g_spin_lock(lock);
}

}  // extern "C"

#endif
