/// The on<T>() handlers of a Client, an Arbiter or a Peer.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <stratwire/detail/deliver.hpp>

namespace stratwire::detail {

/// One for each slot, and for the described structs one for each name.
///
/// \thread one, that of the strategy
template <class Delivery>
class Handlers {
 public:
  using Handler = std::function<bool(const Delivery&)>;

  /// \param event_type  only for the slot of described structs
  void set(std::size_t slot, std::string_view event_type, Handler handler) {
    Handler& place = slot < fixed_.size() ? fixed_[slot] : described_[std::string{event_type}];
    // A handler may replace itself: what runs is kept until it has returned.
    if (running_) replaced_.push_back(std::move(place));
    place = std::move(handler);
  }

  /// False when nobody took it.
  bool run(const Delivery& delivery) {
    running_ = true;
    const bool taken = dispatch(delivery);
    running_ = false;
    replaced_.clear();
    return taken;
  }

 private:
  bool dispatch(const Delivery& delivery) {
    const auto* const event = delivery.template get_if<Event>();
    if (event != nullptr && !described_.empty()) {
      const auto found = described_.find(event->type);
      if (found != described_.end() && found->second && found->second(delivery)) return true;
    }
    const Handler& handler = fixed_[slot_of(delivery)];
    return handler && handler(delivery);
  }

  std::array<Handler, kSlots<Delivery>> fixed_{};
  std::map<std::string, Handler, std::less<>> described_{};
  std::vector<Handler> replaced_{};
  bool running_ = false;
};

}  // namespace stratwire::detail
