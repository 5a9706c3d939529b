#include "json_check.hpp"

#include "number_parse.hpp"
#include "text_scan.hpp"
#include "utf8.hpp"

namespace stratwire::detail {
namespace {

int hex_digit(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

class Checker {
 public:
  Checker(std::string_view text, std::size_t from, std::size_t depth_max) noexcept
      : begin_(text.data()),
        at_(begin_ + from),
        end_(begin_ + text.size()),
        depth_left_(depth_max) {}

  [[nodiscard]] std::size_t offset() const noexcept {
    return static_cast<std::size_t>(at_ - begin_);
  }
  [[nodiscard]] bool at_end() const noexcept { return at_ == end_; }
  void skip_space() noexcept {
    while (at_ != end_ && is_json_space(*at_)) ++at_;
  }

  Fault value() noexcept {
    if (at_ == end_) return fault(Errc::truncated, offset());
    switch (*at_) {
      case '{':
        return container('}');
      case '[':
        return container(']');
      case '"':
        return string();
      case 't':
        return literal("true");
      case 'f':
        return literal("false");
      case 'n':
        return literal("null");
      default:
        return number();
    }
  }

 private:
  // What is missing where the input ends, or what is wrong where it does not.
  [[nodiscard]] Fault unexpected() const noexcept {
    return fault(at_ == end_ ? Errc::truncated : Errc::syntax, offset());
  }

  Fault literal(std::string_view word) noexcept {
    for (const char c : word) {
      if (at_ == end_ || *at_ != c) return unexpected();
      ++at_;
    }
    return {};
  }

  Fault number() noexcept {
    const NumberToken token = scan_number(at_, end_);
    at_ = token.end;
    return token.valid ? Fault{} : unexpected();
  }

  Fault container(char close) noexcept {
    if (depth_left_ == 0) return fault(Errc::too_deep, offset());
    --depth_left_;
    ++at_;
    skip_space();
    if (at_ != end_ && *at_ == close) return leave();
    for (;;) {
      if (const Fault wrong = item(close)) return wrong;
      skip_space();
      if (at_ == end_ || (*at_ != ',' && *at_ != close)) return unexpected();
      if (*at_ == close) return leave();
      ++at_;
      skip_space();
    }
  }

  Fault leave() noexcept {
    ++at_;
    ++depth_left_;
    return {};
  }

  // An element of an array, or a member of an object.
  Fault item(char close) noexcept {
    if (close == '}') {
      if (at_ == end_ || *at_ != '"') return unexpected();
      if (const Fault wrong = string()) return wrong;
      skip_space();
      if (at_ == end_ || *at_ != ':') return unexpected();
      ++at_;
      skip_space();
    }
    return value();
  }

  Fault string() noexcept {
    ++at_;
    for (;;) {
      at_ = find_special(at_, end_);
      if (at_ == end_) return unexpected();
      const auto c = static_cast<unsigned char>(*at_);
      if (c == '"') return ++at_, Fault{};
      if (c == '\\') {
        if (const Fault wrong = escape()) return wrong;
      } else if (c < 0x20) {
        return unexpected();
      } else if (const Fault wrong = sequence()) {
        return wrong;
      }
    }
  }

  Fault sequence() noexcept {
    const std::string_view rest(at_, static_cast<std::size_t>(end_ - at_));
    const std::size_t bytes = utf8_sequence_bytes(rest);
    if (bytes == 0) return fault(Errc::invalid_utf8, offset());
    at_ += bytes;
    return {};
  }

  Fault escape() noexcept {
    const std::size_t start = offset();
    ++at_;
    if (at_ == end_) return unexpected();
    if (*at_ != 'u') {
      constexpr std::string_view kSimple = "\"\\/bfnrt";
      if (kSimple.find(*at_) == std::string_view::npos) return unexpected();
      ++at_;
      return {};
    }
    unsigned unit = 0;
    if (const Fault wrong = hex4(unit)) return wrong;
    if (unit < 0xd800 || unit > 0xdfff) return {};
    // A surrogate is half a character: the high half first, the low half at once behind it.
    if (unit >= 0xdc00) return fault(Errc::invalid_utf8, start);
    for (const char c : {'\\', 'u'}) {
      if (at_ == end_) return unexpected();
      if (*at_ != c) return fault(Errc::invalid_utf8, start);
      if (c == '\\') ++at_;
    }
    if (const Fault wrong = hex4(unit)) return wrong;
    if (unit < 0xdc00 || unit > 0xdfff) return fault(Errc::invalid_utf8, start);
    return {};
  }

  // The four digits behind the 'u' at the cursor.
  Fault hex4(unsigned& unit) noexcept {
    ++at_;
    unit = 0;
    for (int i = 0; i < 4; ++i, ++at_) {
      const int digit = at_ == end_ ? -1 : hex_digit(*at_);
      if (digit < 0) return unexpected();
      unit = unit * 16 + static_cast<unsigned>(digit);
    }
    return {};
  }

  const char* begin_;
  const char* at_;
  const char* end_;
  std::size_t depth_left_;
};

}  // namespace

Fault check_json_value(std::string_view text, std::size_t from, std::size_t depth_max,
                       std::size_t& end) noexcept {
  Checker checker(text, from, depth_max);
  const Fault wrong = checker.value();
  end = checker.offset();
  return wrong;
}

Fault check_json(std::string_view text, std::size_t depth_max) noexcept {
  Checker checker(text, 0, depth_max);
  checker.skip_space();
  if (const Fault wrong = checker.value()) return wrong;
  checker.skip_space();
  return checker.at_end() ? Fault{} : fault(Errc::trailing_bytes, checker.offset());
}

}  // namespace stratwire::detail
