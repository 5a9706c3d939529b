#include "json_tree.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include <simdjson.h>

#include "json_check.hpp"
#include "number_parse.hpp"

namespace stratwire::detail {
namespace {

namespace ondemand = simdjson::ondemand;

// simdjson unescapes into one buffer per document; a text that was copied there unchanged is
// pointed to in the input instead, which lives as long and is shared with the caller's views.
class Walker {
 public:
  Walker(ondemand::document& document, const char* copy, std::size_t depth_max, Tree& out) noexcept
      : document_(document), copy_(copy), depth_max_(depth_max), out_(out) {}

  bool root() {
    ondemand::json_type type{};
    if (document_.type().get(type) != simdjson::SUCCESS) return false;
    if (type == ondemand::json_type::array || type == ondemand::json_type::object) {
      ondemand::value value;
      if (document_.get_value().get(value) != simdjson::SUCCESS || !container(value, type, 1)) {
        return false;
      }
    } else if (type != ondemand::json_type::string) {
      return word(trimmed({copy_, out_.input.size()}), type);
    } else if (!string(document_)) {
      return false;
    }
    const char* rest = nullptr;
    // Nothing but the end may follow.
    return document_.current_location().get(rest) != simdjson::SUCCESS;
  }

 private:
  [[nodiscard]] std::uint32_t offset_of(const char* at) const noexcept {
    return static_cast<std::uint32_t>(at - copy_);
  }

  // Without the whitespace around it, which simdjson leaves at the end of a token.
  [[nodiscard]] static std::string_view trimmed(std::string_view token) noexcept {
    while (!token.empty() && is_json_space(token.front())) token.remove_prefix(1);
    while (!token.empty() && is_json_space(token.back())) token.remove_suffix(1);
    return token;
  }

  Node& add(Kind kind, std::string_view token) {
    Node& node = out_.nodes.emplace_back();
    node.kind = kind;
    node.offset = offset_of(token.data());
    node.end = node.offset + static_cast<std::uint32_t>(token.size());
    node.next = static_cast<std::uint32_t>(out_.nodes.size());
    return node;
  }

  bool value(ondemand::value value, std::uint32_t depth) {
    ondemand::json_type type{};
    if (value.type().get(type) != simdjson::SUCCESS) return false;
    if (type == ondemand::json_type::array || type == ondemand::json_type::object) {
      return container(value, type, depth + 1);
    }
    if (type == ondemand::json_type::string) return string(value);
    return word(trimmed(value.raw_json_token()), type);
  }

  // A number, true, false or null. It is left on simdjson's cursor, which steps over it by itself:
  // simdjson's own number would refuse integers of more than 64 bits, which other writers do send
  // for large doubles, and would lose the sign of -0.
  bool word(std::string_view token, ondemand::json_type type) {
    if (type == ondemand::json_type::number) {
      const NumberToken scanned = scan_number(token.data(), token.data() + token.size());
      if (!scanned.valid || scanned.end != token.data() + token.size()) return false;
      parse_number(token, scanned.integer, add(Kind::null, token));
      return true;
    }
    if (token == "null") return add(Kind::null, token), true;
    if (token != "true" && token != "false") return false;
    add(Kind::boolean, token).unsigned_value = token == "true" ? 1 : 0;
    return true;
  }

  template <class Value>
  bool string(Value& value) {
    std::string_view token;
    if (simdjson::simdjson_result<std::string_view>(value.raw_json_token()).get(token) !=
        simdjson::SUCCESS) {
      return false;
    }
    std::string_view text;
    if (value.get_string().get(text) != simdjson::SUCCESS) return false;
    add_text(trimmed(token), text);
    return true;
  }

  void add_text(std::string_view token, std::string_view text) {
    Node& node = add(Kind::text, token);
    node.size = static_cast<std::uint32_t>(text.size());
    // Every escape is longer than what it stands for.
    const bool escaped = token.size() != text.size() + 2;
    node.characters = escaped ? text.data() : out_.input.data() + node.offset + 1;
  }

  bool container(ondemand::value value, ondemand::json_type type, std::uint32_t depth) {
    const std::string_view token = value.raw_json_token();
    const std::uint32_t offset = offset_of(token.data());
    out_.note_depth(depth, offset);
    if (depth > depth_max_) return false;
    const std::size_t index = out_.nodes.size();
    const bool is_array = type == ondemand::json_type::array;
    add(is_array ? Kind::array : Kind::object, token.substr(0, 1));
    std::uint32_t size = 0;
    if (!(is_array ? elements(value, depth, size) : members(value, depth, size))) return false;
    Node& node = out_.nodes[index];
    node.size = size;
    node.next = static_cast<std::uint32_t>(out_.nodes.size());
    node.end = end_of_container();
    return true;
  }

  bool elements(ondemand::value container, std::uint32_t depth, std::uint32_t& size) {
    ondemand::array array;
    if (container.get_array().get(array) != simdjson::SUCCESS) return false;
    for (simdjson::simdjson_result<ondemand::value> element : array) {
      ondemand::value item;
      if (std::move(element).get(item) != simdjson::SUCCESS || !value(item, depth)) return false;
      ++size;
    }
    return true;
  }

  bool members(ondemand::value container, std::uint32_t depth, std::uint32_t& size) {
    ondemand::object object;
    if (container.get_object().get(object) != simdjson::SUCCESS) return false;
    for (simdjson::simdjson_result<ondemand::field> member : object) {
      ondemand::field field;
      if (std::move(member).get(field) != simdjson::SUCCESS || !key(field) ||
          !value(field.value(), depth)) {
        return false;
      }
      ++size;
    }
    return true;
  }

  bool key(ondemand::field& field) {
    const char* const first = field.key().raw();
    std::string_view text;
    if (field.unescaped_key().get(text) != simdjson::SUCCESS) return false;
    const char* last = first;
    while (*last != '"') last += *last == '\\' ? 2 : 1;
    add_text({first - 1, static_cast<std::size_t>(last + 1 - (first - 1))}, text);
    return true;
  }

  // Behind the bracket that was just passed: simdjson stands at the token behind it.
  [[nodiscard]] std::uint32_t end_of_container() const noexcept {
    const char* at = nullptr;
    if (document_.current_location().get(at) != simdjson::SUCCESS) {
      at = copy_ + out_.input.size();
    }
    while (is_json_space(at[-1])) --at;
    return offset_of(at);
  }

  ondemand::document& document_;
  const char* copy_;
  std::size_t depth_max_;
  Tree& out_;
};

}  // namespace

struct JsonTreeParser::State {
  ondemand::parser parser{};
  std::vector<char> copy{};

  /// By doubling: simdjson would allocate anew for every text that is a byte longer than all
  /// before.
  void make_room(std::size_t bytes) {
    if (bytes <= parser.capacity()) return;
    if (parser.allocate(std::bit_ceil(std::max(bytes, kCapacityMin))) != simdjson::SUCCESS) {
      throw std::bad_alloc{};
    }
  }

  static constexpr std::size_t kCapacityMin = 256;
};

JsonTreeParser::JsonTreeParser() : state_(std::make_unique<State>()) {}
JsonTreeParser::~JsonTreeParser() = default;

std::size_t JsonTreeParser::bytes_kept() const noexcept {
  // An index of four bytes for each byte of input, and five thirds of it for unescaped texts.
  return state_->copy.capacity() + state_->parser.capacity() * 6;
}

Fault JsonTreeParser::parse(std::string_view bytes, std::size_t depth_max, Tree& out) noexcept try {
  out.reset(bytes);
  if (bytes.size() > kInputBytesMax) return fault(Errc::too_large, 0);
  // simdjson reads beyond the end; what it reads there must be ours.
  state_->copy.resize(bytes.size() + simdjson::SIMDJSON_PADDING);
  if (!bytes.empty()) std::memcpy(state_->copy.data(), bytes.data(), bytes.size());
  std::memset(state_->copy.data() + bytes.size(), ' ', simdjson::SIMDJSON_PADDING);
  const simdjson::padded_string_view padded(state_->copy.data(), bytes.size(), state_->copy.size());
  state_->make_room(bytes.size());
  ondemand::document document;
  if (state_->parser.iterate(padded).get(document) == simdjson::SUCCESS &&
      Walker(document, state_->copy.data(), depth_max, out).root()) {
    return {};
  }
  const Fault found = check_json(bytes, depth_max);
  return found ? found : fault(Errc::syntax, 0);
} catch (const std::bad_alloc&) {
  return fault(Errc::too_large, 0);
}

}  // namespace stratwire::detail
