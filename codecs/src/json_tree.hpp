/// The general JSON decoder: simdjson's walk over any valid text.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "tree.hpp"

namespace stratwire::detail {

/// \thread one thread at a time
class JsonTreeParser {
 public:
  JsonTreeParser();
  ~JsonTreeParser();

  /// Builds the tree of one JSON text.
  ///
  /// \errors    truncated, syntax, invalid_utf8, too_deep, trailing_bytes, too_large
  /// \lifetime  texts without escapes point into `bytes`, others are valid until the next parse()
  [[nodiscard]] Fault parse(std::string_view bytes, std::size_t depth_max, Tree& out) noexcept;

  /// Memory that is kept for the next parse, in bytes.
  [[nodiscard]] std::size_t bytes_kept() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stratwire::detail
