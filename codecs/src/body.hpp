/// The body of a message as one of its types.
#pragma once

#include <variant>

#include <stratwire/message.hpp>

namespace stratwire::detail {

template <class T>
[[nodiscard]] inline T& body_as(Message& out) noexcept {
  // Most messages of a connection have the type of the one before.
  if (T* const same = std::get_if<T>(&out.body)) return *same;
  return out.body.emplace<T>();
}

}  // namespace stratwire::detail
