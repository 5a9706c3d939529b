/// The virtual clock: what happens next, and when.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "trace.hpp"

namespace stratwire::sim {

class Scheduler;

/// Something that things happen to. Events of one that is gone are passed over.
class Actor {
 public:
  explicit Actor(Scheduler& scheduler);
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;
  virtual ~Actor();

  virtual void on_event() = 0;

 protected:
  [[nodiscard]] TimeNs now() const noexcept;
  /// on_event() is called then, or before; a time in the past means at once.
  void wake_at(TimeNs when);

 private:
  friend class Scheduler;
  Scheduler& scheduler_;
  std::uint32_t id_;
  TimeNs due_ = kForever;  ///< Of the event that counts; earlier ones replace later ones.
};

/// A heap of events, taken in the order of time and, at the same time, in the order in which they
/// were put in.
class Scheduler {
 public:
  explicit Scheduler(Trace& trace) noexcept : trace_(trace) {}

  [[nodiscard]] TimeNs now() const noexcept { return now_; }
  /// Lets the next event happen, if it is not after `until`; else it becomes `until`.
  bool step(TimeNs until) {
    if (heap_.empty() || heap_.front().when > until) {
      now_ = until;
      return false;
    }
    std::pop_heap(heap_.begin(), heap_.end(), later);
    const Event event = heap_.back();
    heap_.pop_back();
    now_ = event.when;
    trace_.at(now_);
    Actor* const actor = actors_[event.actor];
    if (actor == nullptr || actor->due_ != event.when) return true;
    actor->due_ = kForever;
    trace_.mix(static_cast<std::uint64_t>(event.when) ^ event.actor);
    actor->on_event();
    return true;
  }

 private:
  friend class Actor;
  struct Event {
    TimeNs when;
    std::uint64_t order;
    std::uint32_t actor;
  };
  static bool later(const Event& a, const Event& b) noexcept {
    return a.when != b.when ? a.when > b.when : a.order > b.order;
  }

  Trace& trace_;
  TimeNs now_ = kStart;
  std::uint64_t orders_ = 0;
  std::vector<Event> heap_{};
  std::vector<Actor*> actors_{};
};

inline Actor::Actor(Scheduler& scheduler)
    : scheduler_(scheduler), id_(static_cast<std::uint32_t>(scheduler.actors_.size())) {
  scheduler.actors_.push_back(this);
}
inline Actor::~Actor() {
  scheduler_.actors_[id_] = nullptr;
}
inline TimeNs Actor::now() const noexcept {
  return scheduler_.now_;
}
inline void Actor::wake_at(TimeNs when) {
  when = std::max(when, scheduler_.now_);
  if (when >= due_ || when == kForever) return;
  due_ = when;
  scheduler_.heap_.push_back({when, scheduler_.orders_++, id_});
  std::push_heap(scheduler_.heap_.begin(), scheduler_.heap_.end(), Scheduler::later);
}

/// An actor that calls.
class Timer final : public Actor {
 public:
  Timer(Scheduler& scheduler, std::function<void()> call)
      : Actor(scheduler), call_(std::move(call)) {}
  void set(TimeNs when) { wake_at(when); }

 private:
  void on_event() override { call_(); }
  std::function<void()> call_;
};

}  // namespace stratwire::sim
