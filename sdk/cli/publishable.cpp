#include "publishable.hpp"

#include <algorithm>
#include <cstddef>

namespace stratwire::cli {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

/// Steps through text that is known to be valid JSON.
class Scanner {
 public:
  explicit Scanner(std::string_view json) noexcept : json_{json} {}

  /// The next token: a whole string with its quotes, or one character that is not blank; empty at
  /// the end.
  std::string_view next() noexcept {
    at_ = std::min(json_.find_first_not_of(kBlanks, at_), json_.size());
    if (at_ == json_.size()) return {};
    const auto start = at_++;
    if (json_[start] == '"') {
      while (json_[at_] != '"') at_ += json_[at_] == '\\' ? 2u : 1u;
      ++at_;
    }
    return json_.substr(start, at_ - start);
  }

 private:
  std::string_view json_;
  std::size_t at_ = 0;
};

/// The string value of the outermost member "type", with its quotes; empty when there is none.
std::string_view type_of(std::string_view json) {
  Scanner scanner{json};
  if (scanner.next() != "{") return {};
  int depth = 1;
  bool at_key = true;
  for (auto token = scanner.next(); !token.empty(); token = scanner.next()) {
    if (token == "{" || token == "[") ++depth;
    if (token == "}" || token == "]") --depth;
    if (depth == 1 && at_key && token == "\"type\"") {
      scanner.next();
      const auto value = scanner.next();
      return value.starts_with('"') ? value : std::string_view{};
    }
    if (depth == 1) at_key = token == ",";
  }
  return {};
}

std::string quoted_member(std::string_view member) {
  return "member '" + std::string{member} + "': ";
}

bool is_ours(std::string_view type) noexcept {
  return type == "\"PriceUpdate\"" || type == "\"AccountUpdate\"" || type == "\"Event\"";
}

}  // namespace

std::string problem_of_line(const Error& error) {
  // Up to the cure, which is that of a message on the wire, not of a line.
  std::string text{error.context.empty() ? describe(error.code) : error.context};
  const bool is_syntax = error.code == Errc::syntax;
  if (is_syntax) text = error.member.empty() ? "no valid JSON from here on" : "is there twice";
  text.resize(std::min(text.find(';'), text.size()));
  if (text.ends_with('.')) text.pop_back();
  // "NaN and infinity ..." stays as it is.
  const bool sentence = !text.empty() && text[0] >= 'A' && text[0] <= 'Z';
  if (sentence && !text.starts_with("NaN")) text[0] = static_cast<char>(text[0] - 'A' + 'a');
  if (!error.member.empty()) text = quoted_member(error.member) + text;
  text += " (";
  text += to_string(error.code);
  if (error.offset != 0 || is_syntax) text += ", byte " + std::to_string(error.offset + 1);
  return text + ')';
}

Result<Publishable> LineReader::read(std::string_view line) {
  const auto json = trimmed(line);
  // Into the other codec and away: the check that it is one valid value.
  scratch_.clear();
  const RawValue value{Codec::json, json};
  if (auto valid = transcode(value, Codec::msgpack, scratch_); !valid.ok()) return valid.error();
  if (!is_ours(type_of(json))) return Publishable{Event{event_, value}};
  if (auto decoded = decoder_.decode(json, message_); !decoded.ok()) return decoded.error();
  if (const auto* price = std::get_if<PriceUpdate>(&message_.body)) return Publishable{*price};
  if (const auto* account = std::get_if<AccountUpdate>(&message_.body)) {
    return Publishable{*account};
  }
  if (const auto* event = std::get_if<Event>(&message_.body)) return Publishable{*event};
  return Errc::unknown_message_type;
}

}  // namespace stratwire::cli
