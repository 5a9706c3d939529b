/// A place in a JSON message that is expected to have a certain layout.
#pragma once

#include <cstddef>
#include <string_view>

#include "json_number.hpp"
#include "text_scan.hpp"

namespace stratwire::detail {

/// Every step says whether the layout still holds; the place is in the message in any case.
class JsonCursor {
 public:
  explicit JsonCursor(std::string_view bytes) noexcept
      : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  [[nodiscard]] std::string_view rest() const noexcept {
    return {at_, static_cast<std::size_t>(end_ - at_)};
  }
  [[nodiscard]] bool at_end() const noexcept { return at_ == end_; }
  /// Precondition: so many are left.
  void skip(std::size_t bytes) noexcept { at_ += bytes; }

  template <std::size_t N>
  bool literal(const char (&expected)[N]) noexcept {
    if (rest().size() < N - 1 || !equal_bytes<N - 1>(at_, expected)) return false;
    at_ += N - 1;
    return true;
  }

  /// Behind the first quote. Escapes and anything but ASCII are left to the general decoder.
  bool text(std::string_view& out) noexcept {
    const char* const from = at_;
    const char* const quote = find_special(from, end_);
    if (quote == end_ || *quote != '"') return false;
    out = std::string_view(from, static_cast<std::size_t>(quote - from));
    at_ = quote + 1;
    return true;
  }

  template <class Number>
  bool number(Number& out) noexcept {
    const char* const behind = read_any_number(at_, end_, out);
    if (behind == nullptr) return false;
    at_ = behind;
    return true;
  }

 private:
  const char* at_;
  const char* end_;
};

}  // namespace stratwire::detail
