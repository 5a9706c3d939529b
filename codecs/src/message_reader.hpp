/// From a tree to a message: which members a message has, and what they may be.
#pragma once

#include <stratwire/message.hpp>

#include "tree.hpp"

namespace stratwire::detail {

/// \errors    missing_member, wrong_type, out_of_range, not_finite, unknown_message_type, too_deep,
///            syntax for a member that is there twice
/// \lifetime  texts point where those of the tree do
[[nodiscard]] Fault read_message(Codec codec, const Tree& tree, Message& out);

}  // namespace stratwire::detail
