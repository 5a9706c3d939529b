/// Deliveries from the I/O thread to the strategy.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include <stratwire/client.hpp>
#include <stratwire/queue/sleep_flag.hpp>
#include <stratwire/queue/spsc_bytes.hpp>

namespace stratwire::client {

/// A ring of records, each a Delivery with the texts that it views behind it.
///
/// Channel names are not copied: they are the session's and live as long as the client. Notices are
/// on the heap and belong to their record.
///
/// \thread one producer (the I/O thread), one consumer (the strategy)
class DeliveryRing {
 public:
  /// \param bytes  twice the largest message and some; ClientConfig's validation sees to it
  explicit DeliveryRing(std::size_t bytes) : ring_(bytes) {}
  DeliveryRing(const DeliveryRing&) = delete;
  DeliveryRing& operator=(const DeliveryRing&) = delete;
  ~DeliveryRing();

  // ---- I/O thread

  /// Copies one delivery; the strategy sees it after publish(). False when full: try again when the
  /// strategy made room.
  [[nodiscard]] bool try_push(const Delivery& delivery);
  void publish() noexcept { ring_.publish(); }
  /// Asks the strategy to say when it makes room; look at try_push() once more after it.
  void ask_for_room() noexcept { starved_.announce(); }
  void stop_asking() noexcept { starved_.withdraw(); }
  /// The strategy has made room since ask_for_room().
  [[nodiscard]] bool room_was_made() const noexcept {
    // acquire: pairs with the release in SleepFlag::take(); the room is seen by try_push().
    return starved_.word().load(std::memory_order_acquire) == queue::SleepFlag::kAwake;
  }

  // ---- Strategy

  /// The oldest delivery, stepping over the one of the last call; nullptr when none waits.
  [[nodiscard]] const Delivery* next() noexcept;
  [[nodiscard]] bool empty() noexcept;
  /// Whether the I/O thread waits for room and some was made: wake it.
  [[nodiscard]] bool made_room() noexcept;

 private:
  void step_over() noexcept;
  void release() noexcept;

  queue::SpscBytes ring_;
  queue::SleepFlag starved_{};
  // Strategy only.
  alignas(queue::kIsolationBytes) const Delivery* current_ = nullptr;
  std::size_t held_bytes_ = 0;
  bool released_ = false;
};

}  // namespace stratwire::client
