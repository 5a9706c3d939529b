/// A call for another thread.
#pragma once

#include <memory>
#include <utility>

namespace stratwire::server {

/// Moved, never copied, so that it may own what it hands over. Control plane: allocates.
///
/// \thread one thread at a time
class Task {
 public:
  template <class Call>
  Task(Call call) : held_(std::make_unique<Held<Call>>(std::move(call))) {}

  void operator()() { held_->run(); }

 private:
  struct Base {
    Base() = default;
    Base(const Base&) = delete;
    Base& operator=(const Base&) = delete;
    virtual ~Base() = default;
    virtual void run() = 0;
  };
  template <class Call>
  struct Held final : Base {
    explicit Held(Call moved) : call(std::move(moved)) {}
    void run() override { call(); }
    Call call;
  };

  std::unique_ptr<Base> held_;
};

}  // namespace stratwire::server
