#include <algorithm>
#include <numeric>
#include <random>
#include <utility>

#include <stratwire/session/targets.hpp>

namespace stratwire::session {

Targets::Targets(std::size_t count, TargetOrder order, std::uint64_t seed)
    : order_(std::max<std::size_t>(count, 1)), not_before_(order_.size()) {
  std::iota(order_.begin(), order_.end(), std::size_t{0});
  if (order == TargetOrder::in_order) return;
  // Fisher-Yates by hand: std::shuffle is another order with each standard library.
  std::mt19937_64 random{seed};
  for (std::size_t left = order_.size(); left > 1; --left) {
    std::swap(order_[left - 1], order_[random() % left]);
  }
}

void Targets::opened() noexcept {
  begin_round();
  if (std::exchange(opened_, at_) != at_) returns_ = 0;
}

Instant Targets::come_back(Instant due) noexcept {
  if (returns_ == kReturnsMax || not_before_[order_[at_]] > due) return move_on(due);
  ++returns_;
  return due;
}

Instant Targets::move_on(Instant due) noexcept {
  std::size_t best = at_;
  Instant earliest = kNever;
  for (std::size_t step = 1; step <= order_.size(); ++step) {
    const std::size_t at = (at_ + step) % order_.size();
    const Instant possible = std::max(due, not_before_[order_[at]]);
    if (possible < earliest) {
      best = at;
      earliest = possible;
    }
  }
  at_ = best;
  return earliest;
}

}  // namespace stratwire::session
