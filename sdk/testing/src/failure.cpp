#include <utility>

#include <stratwire/testing/failure.hpp>

namespace stratwire::testing {
namespace {

FailureHandler& handler() {
  static FailureHandler set{};
  return set;
}

}  // namespace

FailureHandler set_failure_handler(FailureHandler next) {
  return std::exchange(handler(), std::move(next));
}

void fail(const std::string& what) {
  if (!handler()) throw Failed(what);
  handler()(what);
}

}  // namespace stratwire::testing
