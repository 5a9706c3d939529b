/// Counts what the data path must not do: every allocation and every lock of every thread.
///
/// counted_calls.cpp defines malloc and its kin and the lock functions of pthread for the whole
/// program, the C++ library included, and hands on to the C library's. Under a sanitizer, which has
/// defined them already, only operator new is counted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace stratwire::test {

struct CountedCalls {
  std::string thread{};  ///< As the system names it.
  std::uint64_t allocations = 0;
  std::uint64_t locks = 0;
};

/// From now on; begins at zero. Not in several threads at a time.
void start_counting();
/// Those of each thread that did any since start_counting(), and counts no longer.
///
/// Every first call of a thread is printed to stderr with the addresses that it came by.
[[nodiscard]] std::vector<CountedCalls> stop_counting();

/// Those of all threads together.
[[nodiscard]] std::uint64_t allocations_in(const std::vector<CountedCalls>& calls) noexcept;

/// One line for each thread, for the message of a failure; empty when there was nothing.
[[nodiscard]] std::string to_string(const std::vector<CountedCalls>& calls);

}  // namespace stratwire::test
