/// From a tree of one codec to the bytes of another.
#pragma once

#include "tree.hpp"
#include "value_writer.hpp"

namespace stratwire::detail {

/// Writes one value of a tree.
///
/// \errors  wrong_type and not_finite for what the other codec has no form for, out_of_range for a
///          number beyond the largest double
template <class Writer>
[[nodiscard]] Fault write_tree(const Tree& tree, const Node& root, Writer& out);

extern template Fault write_tree(const Tree&, const Node&, JsonWriter&);
extern template Fault write_tree(const Tree&, const Node&, MsgpackWriter&);

}  // namespace stratwire::detail
