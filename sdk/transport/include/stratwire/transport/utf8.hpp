/// Is it UTF-8? Whole texts, and texts that come in pieces cut anywhere.
#pragma once

#include <cstdint>
#include <string_view>

namespace stratwire::transport {

/// Checks a text that comes in pieces; a piece may end inside a code point.
///
/// Overlong forms, surrogates and values above U+10FFFF are refused at the first byte that makes
/// them certain (RFC 3629 section 4).
///
/// \thread one thread at a time
/// \cost   ASCII 32 bytes at a time; other text one code point at a time
class Utf8Checker {
 public:
  /// \return false as soon as no continuation could make the text valid; stays false
  [[nodiscard]] bool feed(std::string_view piece) noexcept;
  /// Nothing is open: the text so far ends at a code point.
  [[nodiscard]] bool complete() const noexcept { return state_ == kAccept; }
  void reset() noexcept { state_ = kAccept; }

 private:
  static constexpr std::uint8_t kAccept = 0;
  std::uint8_t state_ = kAccept;
};

/// The whole text is UTF-8 (RFC 3629).
///
/// \thread any thread
[[nodiscard]] bool is_utf8(std::string_view text) noexcept;

}  // namespace stratwire::transport
