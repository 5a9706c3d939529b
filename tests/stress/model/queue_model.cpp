/// Model check of the lock-free algorithms with Relacy: every interleaving that a random scheduler
/// finds in a bounded number of executions, every value that the C++ memory model lets a load see.
///
/// How it works:
/// 1. Each model below runs the real header on two or three modelled threads.
/// 2. As it stands it must survive all executions.
/// 3. Every operation whose memory order matters must have been reached: what the model saw is
///    compared with the text of the header.
/// 4. Each of them is weakened alone, and Relacy must find a fault. An order that could be weakened
///    unnoticed is either not needed or not checked.
///
/// Executions are numbered and seeded by their number: every run is the same.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <ostream>
#include <set>
#include <span>
#include <stratwire_internal/queue/budget.hpp>
#include <streambuf>
#include <string>
#include <string_view>

#include <stratwire/queue/sleep_flag.hpp>
#include <stratwire/queue/spsc.hpp>
#include <stratwire/queue/spsc_bytes.hpp>
#include <stratwire/queue/wait.hpp>

#include "machine.hpp"

namespace stratwire::model {
namespace {

/// An item whose every use is checked for data races.
class Item {
 public:
  explicit Item(int value) noexcept : value_(value) { shadows->on_write(this); }
  Item(const Item& other) noexcept : value_(other.value()) { shadows->on_write(this); }
  Item& operator=(const Item&) = delete;
  ~Item() { shadows->on_write(this); }

  [[nodiscard]] int value() const noexcept {
    shadows->on_read(this);
    return value_;
  }

 private:
  int value_;
};

/// Single pushes, single and batched pops.
struct SpscModel : Model<SpscModel> {
  static constexpr const char* kName = "SpscModel";
  static constexpr int kItems = 4;
  queue::Spsc<Item, Machine> ring{2};

  void thread(unsigned index) {
    if (index == 0) {
      for (int i = 0; i < kItems; ++i) {
        while (!ring.try_emplace(i)) Machine::relax();
      }
    } else {
      int expected = 0;
      while (expected < kItems) {
        const int before = expected;
        if (const Item* const item = ring.front()) {
          RL_ASSERT(item->value() == expected);
          ++expected;
          ring.pop();
        }
        ring.pop_batch(
            [&expected](const Item& item) noexcept {
              RL_ASSERT(item.value() == expected);
              ++expected;
            },
            1);
        if (expected == before) Machine::relax();
      }
    }
  }
};

/// Batched pushes.
struct SpscBatchModel : Model<SpscBatchModel> {
  static constexpr const char* kName = "SpscBatchModel";
  static constexpr int kItems = 5;
  queue::Spsc<Item, Machine> ring{2};

  void thread(unsigned index) {
    if (index == 0) {
      std::array<int, kItems> items{0, 1, 2, 3, 4};
      for (std::size_t done = 0; done < items.size();) {
        const std::size_t pushed = ring.try_push_batch(&items[done], items.size() - done);
        if (pushed == 0) Machine::relax();
        done += pushed;
      }
    } else {
      int expected = 0;
      while (expected < kItems) {
        const std::size_t popped = ring.pop_batch(
            [&expected](const Item& item) noexcept {
              RL_ASSERT(item.value() == expected);
              ++expected;
            },
            2);
        if (popped == 0) Machine::relax();
      }
    }
  }
};

/// Records of two sizes with padding in between, published one by one or in pairs.
struct SpscBytesModel : Model<SpscBytesModel> {
  static constexpr const char* kName = "SpscBytesModel";
  static constexpr int kRecords = 6;
  queue::BasicSpscBytes<Machine> ring{64};

  static std::size_t size_of(int i) noexcept { return i % 2 == 0 ? 24 : 8; }

  void thread(unsigned index) {
    if (index == 0) {
      for (int i = 0; i < kRecords; ++i) {
        char* memory = nullptr;
        while ((memory = ring.try_reserve(size_of(i))) == nullptr) {
          ring.publish();
          Machine::relax();
        }
        Machine::write(*memory, static_cast<char>(i));
        ring.commit();
        if (i % 3 != 1) ring.publish();
      }
    } else {
      for (int i = 0; i < kRecords; ++i) {
        std::span<char> record = ring.front();
        while (record.empty()) {
          ring.release();
          Machine::relax();
          record = ring.front();
        }
        RL_ASSERT(record.size() == size_of(i));
        RL_ASSERT(Machine::read(record[0]) == i);
        ring.pop();
        if (i % 2 == 1) ring.release();
      }
    }
  }
};

/// A consumer that sleeps whenever it finds nothing: a lost wake-up is a deadlock.
struct ParkModel : Model<ParkModel> {
  static constexpr const char* kName = "ParkModel";
  static constexpr int kItems = 3;
  queue::Spsc<Item, Machine> ring{4};
  queue::BasicParkWait<Machine> wait{0};

  void thread(unsigned index) {
    if (index == 0) {
      for (int i = 0; i < kItems; ++i) {
        RL_ASSERT(ring.try_emplace(i));
        wait.notify();
      }
    } else {
      for (int i = 0; i < kItems; ++i) {
        RL_ASSERT(wait.wait_until([this] { return !ring.empty(); }));
        RL_ASSERT(ring.front()->value() == i);
        ring.pop();
      }
    }
  }
};

/// Permits stand for a slot: who holds the permit may write to it. Three threads: one gives back,
/// one sees it, and one learns of it from that one.
struct BudgetModel : Model<BudgetModel, 3> {
  static constexpr const char* kName = "BudgetModel";
  queue::BasicBudget<Machine> budget{1};
  int slot = 0;

  void thread(unsigned index) {
    while (!budget.try_take(1)) Machine::relax();
    Machine::write(slot, static_cast<int>(index));
    RL_ASSERT(Machine::read(slot) == static_cast<int>(index));
    budget.give_back(1);
  }
};

/// Who was told of a held permit never reads that none is held: it would sleep on an item.
struct LookModel : Model<LookModel, 3> {
  static constexpr const char* kName = "LookModel";
  queue::BasicBudget<Machine> budget{2};
  rl::atomic<int> told{0};  // The test's own: not one of the orders that are checked.

  void thread(unsigned index) {
    if (index == 0) {
      RL_ASSERT(budget.try_take(1));
      told.store(1, rl::mo_release, RL_INFO);
    } else if (index == 1) {
      // A push that was refused for another reason.
      RL_ASSERT(budget.try_take(1));
      budget.give_back(1);
    } else {
      while (told.load(rl::mo_acquire, RL_INFO) == 0) Machine::relax();
      const std::size_t taken = budget.taken_approx();
      RL_ASSERT(taken != 0 && taken <= 2);
    }
  }
};

/// Swallows what Relacy prints. A string stream would not do: it would grow within an execution, in
/// memory that Relacy takes back.
class NoOutput : public std::streambuf {
 protected:
  int_type overflow(int_type c) override { return traits_type::not_eof(c); }
};

constexpr rl::iteration_t kExecutions = 40'000;

/// Runs one model; what Relacy found, in words, or an empty text.
template <class M>
std::string fault() {
  NoOutput nothing;
  std::ostream log(&nothing);
  rl::test_params params;
  params.iteration_count = kExecutions;
  params.output_stream = &log;
  params.progress_stream = &log;
  if (rl::simulate<M>(params)) return {};
  return std::string(rl::test_result_str(params.test_result)) + " in execution " +
         std::to_string(params.stop_iteration);
}

/// Every model must survive; sites() knows all operations afterwards.
template <class... M>
bool all_survive() {
  bool good = true;
  const auto check = [&good](const char* name, const std::string& found) {
    std::printf("%-16s %s\n", name, found.empty() ? "no fault" : found.c_str());
    good = good && found.empty();
  };
  (check(M::kName, fault<M>()), ...);
  return good;
}

/// What Relacy finds in the first model that notices the active mutation.
template <class... M>
std::string first_fault() {
  std::string found;
  static_cast<void>(((found = fault<M>(), !found.empty()) || ...));
  return found;
}

std::string base_name(const char* path) {
  const std::string_view text(path);
  return std::string(text.substr(text.find_last_of('/') + 1));
}

/// Operations of `file` whose order is not relaxed, as the text has them.
int orders_in_text(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  int count = 0;
  while (std::getline(in, line)) {
    const std::string code = line.substr(0, line.find("//"));
    for (const char* order : {"memory_order_acquire", "memory_order_release",
                              "memory_order_acq_rel", "memory_order_seq_cst"}) {
      for (auto at = code.find(order); at != std::string::npos; at = code.find(order, at + 1)) {
        ++count;
      }
    }
  }
  return count;
}

bool every_order_was_reached() {
  std::set<std::string> files;
  for (int i = 0; i < sites().count; ++i) {
    files.insert(sites().list[static_cast<std::size_t>(i)].where.file);
  }
  bool good = !files.empty();
  for (const std::string& file : files) {
    int reached = 0;
    for (int i = 0; i < sites().count; ++i) {
      const Site& site = sites().list[static_cast<std::size_t>(i)];
      if (!site.is_relaxed_rmw && site.where.file == file) ++reached;
    }
    const int written = orders_in_text(file);
    std::printf("%-16s %d of %d orders reached\n", base_name(file.c_str()).c_str(), reached,
                written);
    good = good && reached == written;
  }
  return good;
}

template <class... M>
bool every_mutation_is_noticed() {
  bool good = true;
  for (int i = 0; i < sites().count; ++i) {
    const Site& site = sites().list[static_cast<std::size_t>(i)];
    active_mutation = i;
    const std::string found = first_fault<M...>();
    active_mutation = kNoMutation;
    std::printf("%s:%d %s: %s\n", base_name(site.where.file).c_str(), site.where.line,
                site.is_relaxed_rmw ? "split" : "relaxed",
                found.empty() ? "NOT NOTICED" : found.c_str());
    good = good && !found.empty();
  }
  return good;
}

template <class... M>
int check() {
  if (!all_survive<M...>()) return EXIT_FAILURE;
  const bool reached = every_order_was_reached();
  const bool noticed = every_mutation_is_noticed<M...>();
  return reached && noticed ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace
}  // namespace stratwire::model

int main() {
  using namespace stratwire::model;
  return check<SpscModel, SpscBatchModel, SpscBytesModel, ParkModel, BudgetModel, LookModel>();
}
