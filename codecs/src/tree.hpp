/// A decoded value of either codec, flat in one vector.
///
/// Both general decoders build it; messages, described structs and transcoding read it. So the
/// rules for members and types are written once, and the codecs can't disagree about them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "fault.hpp"

namespace stratwire::detail {

enum class Kind : std::uint8_t {
  null,
  boolean,
  unsigned_integer,
  signed_integer,  ///< Below zero.
  floating,        ///< Also integers that need more than 64 bits, as the nearest double.
  huge,            ///< A JSON number beyond the largest double.
  text,
  array,
  object,  ///< Children are key, value, key, value ...
  opaque,  ///< MessagePack bin or ext.
};

struct Node {
  union {
    std::uint64_t unsigned_value = 0;  ///< unsigned_integer; boolean as 0 or 1.
    std::int64_t signed_value;
    double floating_value;
    const char* characters;  ///< text; into the input or into the decoder's memory.
  };
  std::uint32_t offset = 0;  ///< First byte in the input.
  std::uint32_t end = 0;     ///< Behind the last byte.
  std::uint32_t next = 0;    ///< Index of the first node that is not inside of this one.
  std::uint32_t size = 0;    ///< Bytes of a text, elements of an array, members of an object.
  Kind kind = Kind::null;

  [[nodiscard]] std::string_view text() const noexcept { return {characters, size}; }
};
static_assert(sizeof(Node) == 32);

/// Deepest nesting of a whole message: an Event inside of another one, with kNestingMax for its
/// data.
inline constexpr std::size_t kMessageNestingMax = 64 + 2;

struct Tree {
  std::vector<Node> nodes{};
  std::string_view input{};
  /// Deepest container, 1 for the outermost, and the first of that depth.
  std::uint32_t depth = 0;
  std::uint32_t deepest_offset = 0;

  void reset(std::string_view bytes) noexcept {
    nodes.clear();
    input = bytes;
    depth = 0;
    deepest_offset = 0;
  }
  void note_depth(std::uint32_t container_depth, std::uint32_t offset) noexcept {
    if (container_depth <= depth) return;
    depth = container_depth;
    deepest_offset = offset;
  }
  [[nodiscard]] std::string_view bytes_of(const Node& node) const noexcept {
    return input.substr(node.offset, node.end - node.offset);
  }
  [[nodiscard]] std::uint32_t index_of(const Node& node) const noexcept {
    return static_cast<std::uint32_t>(&node - nodes.data());
  }
};

}  // namespace stratwire::detail
