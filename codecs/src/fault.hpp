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
  /// The member that it is about, a constant; nullptr for none. No string_view: with one, a Fault
  /// would no longer fit into two registers.
  const char* member = nullptr;

  explicit operator bool() const noexcept { return code != Errc::ok; }
  [[nodiscard]] Error error() const {
    return Error{code, offset, {}, member == nullptr ? std::string_view{} : member};
  }

  friend bool operator==(const Fault&, const Fault&) = default;
};
static_assert(sizeof(Fault) == 16);

/// Offsets are 32 bits wide; a longer input is refused before it is looked at.
inline constexpr std::size_t kInputBytesMax = 0x7fff'ffff;

[[nodiscard]] inline Fault fault(Errc code, std::size_t offset,
                                 const char* member = nullptr) noexcept {
  return Fault{code, static_cast<std::uint32_t>(offset), member};
}

}  // namespace stratwire::detail
