#include "transcode.hpp"

#include <memory>

#include <stratwire/codec.hpp>
#include <stratwire/limits.hpp>

#include "json_check.hpp"
#include "json_tree.hpp"
#include "msgpack_tree.hpp"

namespace stratwire {
namespace detail {
namespace {

template <class Writer>
class TreeWriter {
 public:
  TreeWriter(const Tree& tree, Writer& out) noexcept : tree_(tree), out_(out) {}

  // Recursion is bounded by the depth to which the tree was parsed.
  Fault value(const Node& node) {
    switch (node.kind) {
      case Kind::null:
        out_.null();
        return {};
      case Kind::boolean:
        out_.boolean(node.unsigned_value != 0);
        return {};
      case Kind::unsigned_integer:
        out_.unsigned_integer(node.unsigned_value);
        return {};
      case Kind::signed_integer:
        out_.signed_integer(node.signed_value);
        return {};
      case Kind::floating:
        if (node.floating_value - node.floating_value != 0) {
          return fault(Errc::wrong_type, node.offset);
        }
        out_.floating(node.floating_value);
        return {};
      case Kind::huge:
        return fault(Errc::out_of_range, node.offset);
      case Kind::text:
        out_.text(node.text());
        return {};
      case Kind::opaque:
        return fault(Errc::wrong_type, node.offset);
      case Kind::array:
        return array(node);
      case Kind::object:
        return object(node);
    }
    return {};
  }

 private:
  Fault array(const Node& node) {
    out_.begin_array(node.size);
    for (std::uint32_t at = tree_.index_of(node) + 1; at < node.next; at = tree_.nodes[at].next) {
      if (const Fault wrong = value(tree_.nodes[at])) return wrong;
    }
    out_.end_array();
    return {};
  }

  Fault object(const Node& node) {
    out_.begin_object(node.size);
    for (std::uint32_t at = tree_.index_of(node) + 1; at < node.next;) {
      const Node& key = tree_.nodes[at];
      if (key.kind != Kind::text) return fault(Errc::wrong_type, key.offset);
      out_.key(key.text());
      const Node& member = tree_.nodes[key.next];
      if (const Fault wrong = value(member)) return wrong;
      at = member.next;
    }
    out_.end_object();
    return {};
  }

  const Tree& tree_;
  Writer& out_;
};

template <class Writer>
Fault convert(const Tree& tree, std::string& out) {
  const std::size_t size_before = out.size();
  Writer writer(out);
  const Fault wrong = write_tree(tree, tree.nodes.front(), writer);
  if (wrong) out.resize(size_before);
  return wrong;
}

}  // namespace

template <class Writer>
Fault write_tree(const Tree& tree, const Node& root, Writer& out) {
  return TreeWriter<Writer>(tree, out).value(root);
}

template Fault write_tree(const Tree&, const Node&, JsonWriter&);
template Fault write_tree(const Tree&, const Node&, MsgpackWriter&);

}  // namespace detail

Result<void> check(const RawValue& value) noexcept {
  using namespace detail;
  if (value.bytes.size() > kInputBytesMax) return Errc::too_large;
  const Fault wrong = value.codec == Codec::json ? check_json(value.bytes, limits::kNestingMax)
                                                 : check_msgpack(value.bytes, limits::kNestingMax);
  if (wrong) return wrong.error();
  return {};
}

Result<void> transcode(const RawValue& value, Codec codec, std::string& out) {
  using namespace detail;
  if (value.codec == codec) {
    auto checked = check(value);
    if (checked) out += value.bytes;
    return checked;
  }
  if (value.bytes.size() > kInputBytesMax) return Errc::too_large;
  // Kept for the thread: a JSON parser is large, and events come in streams.
  thread_local Tree tree;
  Fault wrong{};
  if (value.codec == Codec::json) {
    thread_local JsonTreeParser parser;
    wrong = parser.parse(value.bytes, limits::kNestingMax, tree);
  } else {
    wrong = parse_msgpack(value.bytes, limits::kNestingMax, tree);
  }
  if (!wrong) {
    wrong =
        codec == Codec::json ? convert<JsonWriter>(tree, out) : convert<MsgpackWriter>(tree, out);
  }
  if (wrong) return wrong.error();
  return {};
}

}  // namespace stratwire
