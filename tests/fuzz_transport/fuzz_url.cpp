/// Parses a text as a Url.
///
/// 1. What is taken, written as text and parsed again, is the same Url.
/// 2. Nothing that is taken can break a line of HTTP: no blank, no control character.
/// 3. What is refused has an error whose text is one printable line.
#include <algorithm>

#include <stratwire/transport/url.hpp>

#include "property.hpp"

namespace stratwire::transport::test {
namespace {

bool is_graphic(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

void check(std::string_view input) {
  const auto url = Url::parse(input);
  if (!url) {
    const std::string& text = url.error().text;
    require(!text.empty() && url.error().code != Errc::ok, "a refusal has a text", input);
    require(std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; }),
            "an error is one printable line", input);
    return;
  }
  const auto again = Url::parse(url->to_string());
  require(again.ok() && *again == *url, "written and parsed again is the same", input);
  require(is_graphic(url->authority()) && is_graphic(url->target) && is_graphic(url->socket_path),
          "nothing breaks a line of HTTP", input);
  require(url->target.starts_with('/'), "a target starts with '/'", input);
  const bool has_place = url->kind == Url::Kind::tcp ? !url->host.empty() && url->port != 0
                                                     : !url->socket_path.empty();
  require(has_place, "there is somewhere to connect to", input);
}

}  // namespace
}  // namespace stratwire::transport::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  stratwire::transport::test::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
