#include "msgpack_tree.hpp"

#include <array>
#include <new>

#include <msgpack.hpp>

#include "utf8.hpp"

namespace stratwire::detail {
namespace {

// msgpack-c does not say where a value stands. Its callbacks come in the order of the bytes, so
// that the visitor finds the place by itself: each value is its header and, for a text, what
// follows. This is the length of the header for a first byte.
std::size_t header_bytes(unsigned char first) noexcept {
  if (first < 0xc0 || first >= 0xe0) return 1;
  constexpr std::array<unsigned char, 32> kBytes{
      1, 1, 1, 1,                    // nil, (never used), false, true
      2, 3, 5, 3, 4, 6,              // bin 8 16 32, ext 8 16 32 with their type
      5, 9, 2, 3, 5, 9, 2, 3, 5, 9,  // float 32 64, uint 8 16 32 64, int 8 16 32 64
      2, 2, 2, 2, 2,                 // fixext 1 2 4 8 16 with their type
      2, 3, 5, 3, 5, 3, 5};          // str 8 16 32, array 16 32, map 16 32
  return kBytes[first - 0xc0U];
}

// What msgpack-c's null_visitor offers is listed here in full: it finds these by name.
class Visitor {
 public:
  Visitor(std::string_view bytes, std::size_t depth_max, Tree& out) noexcept
      : bytes_(bytes), depth_max_(depth_max), out_(out) {
    open_.fill(0);
  }

  [[nodiscard]] Fault fault_found() const noexcept { return fault_; }
  [[nodiscard]] std::size_t position() const noexcept { return at_; }

  bool visit_nil() { return add(Kind::null, 0), true; }
  bool visit_boolean(bool value) {
    add(Kind::boolean, 0).unsigned_value = value ? 1 : 0;
    return true;
  }
  bool visit_positive_integer(std::uint64_t value) {
    add(Kind::unsigned_integer, 0).unsigned_value = value;
    return true;
  }
  bool visit_negative_integer(std::int64_t value) {
    // The signed widths also hold positive numbers; one kind for each sign keeps readers simple.
    if (value >= 0) return visit_positive_integer(static_cast<std::uint64_t>(value));
    add(Kind::signed_integer, 0).signed_value = value;
    return true;
  }
  bool visit_float32(float value) { return visit_float64(static_cast<double>(value)); }
  bool visit_float64(double value) {
    add(Kind::floating, 0).floating_value = value;
    return true;
  }
  bool visit_str(const char* text, std::uint32_t size) {
    Node& node = add(Kind::text, size);
    node.size = size;
    node.characters = text;
    const std::size_t valid = size == 0 ? 0 : utf8_valid_prefix({text, size});
    if (valid == size) return true;
    return refuse(Errc::invalid_utf8, node.end - size + valid);
  }
  bool visit_bin(const char* /*bytes*/, std::uint32_t size) {
    add(Kind::opaque, size);
    return true;
  }
  bool visit_ext(const char* /*bytes*/, std::uint32_t size) {
    // The size counts the type byte, which is part of the header here.
    add(Kind::opaque, size - 1);
    return true;
  }
  bool start_array(std::uint32_t count) { return start(Kind::array, count); }
  bool start_array_item() { return true; }
  bool end_array_item() { return true; }
  bool end_array() { return finish(); }
  bool start_map(std::uint32_t count) { return start(Kind::object, count); }
  bool start_map_key() { return true; }
  bool end_map_key() { return true; }
  bool start_map_value() { return true; }
  bool end_map_value() { return true; }
  bool end_map() { return finish(); }
  void parse_error(std::size_t /*parsed*/, std::size_t /*at*/) { refuse(Errc::syntax, at_); }
  void init() {}
  [[nodiscard]] bool referenced() const { return false; }
  void set_referenced(bool /*referenced*/) {}

 private:
  bool refuse(Errc code, std::size_t offset) noexcept {
    fault_ = fault(code, offset);
    return false;
  }

  Node& add(Kind kind, std::size_t payload) {
    Node& node = out_.nodes.emplace_back();
    node.kind = kind;
    node.offset = static_cast<std::uint32_t>(at_);
    at_ += header_bytes(static_cast<unsigned char>(bytes_[at_])) + payload;
    node.end = static_cast<std::uint32_t>(at_);
    node.next = static_cast<std::uint32_t>(out_.nodes.size());
    return node;
  }

  bool start(Kind kind, std::uint32_t count) {
    out_.note_depth(depth_ + 1, static_cast<std::uint32_t>(at_));
    if (depth_ >= depth_max_) return refuse(Errc::too_deep, at_);
    open_[depth_++] = static_cast<std::uint32_t>(out_.nodes.size());
    add(kind, 0).size = count;
    return true;
  }

  bool finish() {
    Node& node = out_.nodes[open_[--depth_]];
    node.end = static_cast<std::uint32_t>(at_);
    node.next = static_cast<std::uint32_t>(out_.nodes.size());
    return true;
  }

  std::string_view bytes_;
  std::size_t depth_max_;
  Tree& out_;
  std::size_t at_ = 0;
  std::uint32_t depth_ = 0;
  std::array<std::uint32_t, kMessageNestingMax> open_;  // Node of each open container.
  Fault fault_{};
};

// msgpack::parse() allocates a stack for each call; this one keeps it.
class Parser : public msgpack::detail::context<Parser> {
 public:
  /// \return whether a whole value was there and the visitor refused nothing
  bool parse(std::string_view bytes, Visitor& visitor) {
    visitor_ = &visitor;
    init();
    std::size_t consumed = 0;
    return execute(bytes.data(), bytes.size(), consumed) == msgpack::PARSE_SUCCESS;
  }
  [[nodiscard]] Visitor& visitor() const noexcept { return *visitor_; }

 private:
  Visitor* visitor_ = nullptr;
};

}  // namespace

Fault parse_msgpack(std::string_view bytes, std::size_t depth_max, Tree& out) noexcept try {
  out.reset(bytes);
  if (bytes.size() > kInputBytesMax) return fault(Errc::too_large, 0);
  Visitor visitor(bytes, depth_max, out);
  // Kept for the thread: messages come in streams. It is as deep as the deepest of them.
  thread_local Parser parser;
  const bool complete = parser.parse(bytes, visitor);
  if (visitor.fault_found()) return visitor.fault_found();
  if (!complete) return fault(Errc::truncated, bytes.size());
  if (visitor.position() != bytes.size()) return fault(Errc::trailing_bytes, visitor.position());
  return {};
} catch (const std::bad_alloc&) {
  return fault(Errc::too_large, 0);
}

Fault check_msgpack(std::string_view bytes, std::size_t depth_max) noexcept {
  // Kept for the thread, as above.
  thread_local Tree tree;
  return parse_msgpack(bytes, depth_max, tree);
}

}  // namespace stratwire::detail
