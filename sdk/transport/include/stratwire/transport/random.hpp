/// Random bytes that nobody else can predict, from the kernel.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include <stratwire/transport/frame.hpp>

namespace stratwire::transport {

/// Fills `out` from getrandom(). Aborts where the kernel has no random source at all, since a
/// predictable key would be a hole that nobody sees.
///
/// \thread any thread
void random_bytes(std::span<char> out) noexcept;

/// Mask keys for a client's frames.
///
/// RFC 6455 10.3 wants keys that a script behind the client can't guess, so that they come from the
/// kernel, 64 in one call.
///
/// \thread one thread at a time
/// \cost   one getrandom() per 64 keys
class MaskKeys {
 public:
  [[nodiscard]] MaskKey next() noexcept {
    if (used_ == kKeys) refill();
    return keys_[used_++];
  }

 private:
  static constexpr std::size_t kKeys = 64;
  void refill() noexcept;

  std::array<MaskKey, kKeys> keys_{};
  std::size_t used_ = kKeys;
};

}  // namespace stratwire::transport
