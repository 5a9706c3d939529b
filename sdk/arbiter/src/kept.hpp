/// Messages that wait behind a hole, and what they say.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include <stratwire/arbiter.hpp>

namespace stratwire::arbiter {

/// One number for all that a data message says; the same for the same message on every line.
[[nodiscard]] std::uint64_t content_of(const Delivery& delivery) noexcept;
/// What it costs to keep a data message.
[[nodiscard]] std::size_t bytes_of(const Delivery& delivery) noexcept;

/// A delivery of a data message with texts of its own; its memory is used again for the next one.
///
/// \thread one thread at a time
class Kept {
 public:
  Kept() = default;
  // The delivery views the texts.
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

  void keep(const LineDelivery& delivery);
  [[nodiscard]] const LineDelivery& delivery() const noexcept { return delivery_; }

 private:
  std::string texts_{};
  LineDelivery delivery_{};
};

}  // namespace stratwire::arbiter
