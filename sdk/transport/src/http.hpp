/// HTTP heads: found in a stream of bytes, then parsed by Beast. Only http.cpp includes Beast,
/// which takes its time to compile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace stratwire::transport {

/// A request's or a response's head.
struct HttpHead {
  std::string method{};  // of a request
  std::string target{};  // of a request
  unsigned status = 0;   // of a response
  std::string reason{};  // of a response
  unsigned version = 0;  // 10 or 11
  std::vector<std::pair<std::string, std::string>> fields{};

  [[nodiscard]] std::size_t count(std::string_view name) const noexcept;
  /// The first value; empty without.
  [[nodiscard]] std::string_view first(std::string_view name) const noexcept;
  /// Some field of that name has this element in its list, in any case.
  [[nodiscard]] bool has_token(std::string_view name, std::string_view token) const noexcept;
};

/// \param text  the whole head, empty line included
/// \return      empty, or what is wrong with it
[[nodiscard]] std::string parse_request(std::string_view text, HttpHead& out);
[[nodiscard]] std::string parse_response(std::string_view text, HttpHead& out);

/// RFC 7230 3.2.6, not empty.
[[nodiscard]] bool is_token(std::string_view text) noexcept;

/// Calls `use(element)` for each element of a comma-separated list, blanks removed.
template <class Use>
void for_each_element(std::string_view list, Use use) {
  while (true) {
    const std::size_t comma = list.find(',');
    std::string_view element = list.substr(0, comma);
    const std::size_t start = element.find_first_not_of(" \t");
    element = start == std::string_view::npos ? std::string_view{} : element.substr(start);
    element = element.substr(0, element.find_last_not_of(" \t") + 1);
    use(element);
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

/// Collects a head that comes in pieces, and looks at each byte once.
class HeadCollector {
 public:
  enum class State : std::uint8_t {
    need_more,
    complete,   ///< text() ends with the empty line.
    bare_line,  ///< A line ends with LF alone.
    too_large,  ///< No end within the limit.
  };

  explicit HeadCollector(std::size_t bytes_max) noexcept : bytes_max_(bytes_max) {}

  /// Takes the bytes of the head from the front of `input`.
  [[nodiscard]] State feed(std::span<const char>& input);
  [[nodiscard]] std::string_view text() const noexcept { return text_; }

 private:
  std::string text_{};
  std::size_t bytes_max_;
};

}  // namespace stratwire::transport
