/// Numbers and members of a tree: the rules that messages and described structs share.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>

#include "tree.hpp"

namespace stratwire::detail {

/// Why a node is no integer. One of more than 64 bits has become a double: its type is right, its
/// size is not.
[[nodiscard]] inline Errc not_an_integer(const Tree& tree, const Node& node) noexcept {
  if (node.kind == Kind::huge) return Errc::out_of_range;
  if (node.kind != Kind::floating) return Errc::wrong_type;
  const std::string_view text = tree.bytes_of(node);
  const bool integer = text != "-0" && text.find_first_not_of("-0123456789") == text.npos;
  return integer ? Errc::out_of_range : Errc::wrong_type;
}

[[nodiscard]] inline Errc to_integer(const Tree& tree, const Node& node,
                                     std::uint64_t& out) noexcept {
  if (node.kind == Kind::signed_integer) return Errc::out_of_range;
  if (node.kind != Kind::unsigned_integer) return not_an_integer(tree, node);
  out = node.unsigned_value;
  return Errc::ok;
}

[[nodiscard]] inline Errc to_integer(const Tree& tree, const Node& node,
                                     std::int64_t& out) noexcept {
  if (node.kind == Kind::signed_integer) {
    out = node.signed_value;
    return Errc::ok;
  }
  if (node.kind != Kind::unsigned_integer) return not_an_integer(tree, node);
  if (node.unsigned_value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return Errc::out_of_range;
  }
  out = static_cast<std::int64_t>(node.unsigned_value);
  return Errc::ok;
}

/// Integers are taken too: many writers send doubles without a fraction as such.
[[nodiscard]] inline Errc to_double(const Node& node, double& out) noexcept {
  switch (node.kind) {
    case Kind::unsigned_integer:
      out = static_cast<double>(node.unsigned_value);
      return Errc::ok;
    case Kind::signed_integer:
      out = static_cast<double>(node.signed_value);
      return Errc::ok;
    case Kind::floating:
      out = node.floating_value;
      return out - out == 0 ? Errc::ok : Errc::not_finite;
    case Kind::huge:
      return Errc::out_of_range;
    default:
      return Errc::wrong_type;
  }
}

struct Lookup {
  const Node* value = nullptr;
  /// The key that is there for the second time: nobody can know which one the sender meant.
  const Node* twice = nullptr;
};

/// Precondition: `object` is of Kind::object
[[nodiscard]] inline Lookup find_member(const Tree& tree, const Node& object,
                                        std::string_view name) noexcept {
  Lookup found;
  for (std::uint32_t at = tree.index_of(object) + 1; at < object.next;) {
    const Node& key = tree.nodes[at];
    const Node& value = tree.nodes[key.next];
    if (key.kind == Kind::text && key.text() == name) {
      if (found.value != nullptr) {
        found.twice = &key;
        return found;
      }
      found.value = &value;
    }
    at = value.next;
  }
  return found;
}

}  // namespace stratwire::detail
