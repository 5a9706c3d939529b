/// The decoder for everything valid, without the fixed-layout paths before it.
#pragma once

#include <memory>
#include <string_view>

#include <stratwire/message.hpp>

#include "json_tree.hpp"
#include "tree.hpp"

namespace stratwire::detail {

/// \thread one thread at a time
class GeneralDecoder {
 public:
  explicit GeneralDecoder(Codec codec);

  /// \lifetime views in `out` are valid until the next decode() or until `bytes` goes
  [[nodiscard]] Fault decode(std::string_view bytes, Message& out) noexcept;

  /// Memory that is kept for the next message, in bytes; never more than kBytesKeptMax.
  [[nodiscard]] std::size_t bytes_kept() const noexcept;
  static constexpr std::size_t kBytesKeptMax = 256 * 1024;

 private:
  // One large message must not cost memory for the rest of a connection's life.
  void release_excess();

  Codec codec_;
  Tree tree_{};
  std::unique_ptr<JsonTreeParser> json_{};
};

}  // namespace stratwire::detail
