/// What the inside of the codecs returns: a code and an offset, without the text of an Error.
#pragma once

#include <cstddef>
#include <cstdint>

#include <stratwire/error.hpp>

namespace stratwire::detail {

/// \lifetime  trivially copyable, in contrast to Error, so that hot functions return it in
/// registers
struct Fault {
  Errc code = Errc::ok;
  std::uint32_t offset = 0;

  explicit operator bool() const noexcept { return code != Errc::ok; }
  [[nodiscard]] Error error() const { return Error{code, offset, {}}; }

  friend bool operator==(const Fault&, const Fault&) = default;
};

/// Offsets are 32 bits wide; a longer input is refused before it is looked at.
inline constexpr std::size_t kInputBytesMax = 0x7fff'ffff;

[[nodiscard]] inline Fault fault(Errc code, std::size_t offset) noexcept {
  return Fault{code, static_cast<std::uint32_t>(offset)};
}

}  // namespace stratwire::detail
