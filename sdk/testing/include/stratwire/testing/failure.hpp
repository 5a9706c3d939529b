/// What happens when something that a test waits for does not come, and how long it waits.
#pragma once

#include <chrono>
#include <functional>
#include <sched.h>
#include <stdexcept>
#include <string>

namespace stratwire::testing {

/// Long enough that only a failure ever waits for it, under a sanitizer on a busy machine too.
inline constexpr std::chrono::seconds kPatience{30};

/// Thrown by the parts of this library when a test has failed and no handler is set.
///
/// \thread immutable
class Failed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Takes what has failed, as a sentence. It may throw what its test framework throws; when it
/// returns the step that failed is over, and has done nothing more.
using FailureHandler = std::function<void(const std::string&)>;

/// Sets what is done about failures in this process; an empty one throws Failed, as the default.
///
/// For GoogleTest: `set_failure_handler([](const std::string& what) { ADD_FAILURE() << what; });`
///
/// \return  the handler before it
/// \thread  any thread, while no other one uses this library
FailureHandler set_failure_handler(FailureHandler handler);

/// Tells the handler, or throws Failed.
void fail(const std::string& what);

/// Calls `done` until it says true or `patience` is over, and lends the core in between.
///
/// \return whether it ever said true
template <class Done>
[[nodiscard]] bool eventually(Done&& done, std::chrono::nanoseconds patience = kPatience) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    sched_yield();
  }
  return true;
}

}  // namespace stratwire::testing
