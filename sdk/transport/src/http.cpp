#include "http.hpp"

#include <algorithm>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "text.hpp"

namespace stratwire::transport {
namespace {

namespace http = boost::beast::http;

template <class Parser>
std::string parse(std::string_view text, Parser& parser, HttpHead& out) {
  // The size was checked by the collector, and no body is read.
  parser.header_limit(static_cast<std::uint32_t>(text.size() + 1));
  parser.body_limit(boost::none);
  parser.skip(true);
  boost::beast::error_code error;
  const std::size_t used = parser.put(boost::asio::buffer(text.data(), text.size()), error);
  if (error) return error.message();
  if (!parser.is_header_done() || used != text.size()) return "bytes behind the empty line";
  const auto& message = parser.get();
  out.version = message.version();
  for (const auto& field : message) {
    out.fields.emplace_back(field.name_string(), field.value());
  }
  return {};
}

}  // namespace

std::string parse_request(std::string_view text, HttpHead& out) {
  http::request_parser<http::empty_body> parser;
  std::string fault = parse(text, parser, out);
  if (!fault.empty()) return fault;
  out.method = std::string(parser.get().method_string());
  out.target = std::string(parser.get().target());
  return {};
}

std::string parse_response(std::string_view text, HttpHead& out) {
  http::response_parser<http::empty_body> parser;
  std::string fault = parse(text, parser, out);
  if (!fault.empty()) return fault;
  out.status = parser.get().result_int();
  out.reason = std::string(parser.get().reason());
  return {};
}

std::size_t HttpHead::count(std::string_view name) const noexcept {
  return static_cast<std::size_t>(
      std::count_if(fields.begin(), fields.end(),
                    [name](const auto& field) { return equal_any_case(field.first, name); }));
}

std::string_view HttpHead::first(std::string_view name) const noexcept {
  const auto found = std::find_if(fields.begin(), fields.end(), [name](const auto& field) {
    return equal_any_case(field.first, name);
  });
  return found == fields.end() ? std::string_view{} : found->second;
}

bool HttpHead::has_token(std::string_view name, std::string_view token) const noexcept {
  bool found = false;
  for (const auto& [field, value] : fields) {
    if (!equal_any_case(field, name)) continue;
    for_each_element(value, [&](std::string_view one) {
      if (equal_any_case(one, token)) found = true;
    });
  }
  return found;
}

bool is_token(std::string_view text) noexcept {
  static constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

HeadCollector::State HeadCollector::feed(std::span<const char>& input) {
  const std::size_t before = text_.size();
  const std::size_t taken = std::min(input.size(), bytes_max_ - before);
  text_.append(input.data(), taken);
  for (std::size_t at = before; at < text_.size(); ++at) {
    if (text_[at] != '\n') continue;
    if (at == 0 || text_[at - 1] != '\r') {
      input = input.subspan(taken);
      return State::bare_line;
    }
    if (at >= 3 && text_[at - 2] == '\n') {
      text_.resize(at + 1);
      input = input.subspan(at + 1 - before);
      return State::complete;
    }
  }
  input = input.subspan(taken);
  return text_.size() == bytes_max_ ? State::too_large : State::need_more;
}

}  // namespace stratwire::transport
