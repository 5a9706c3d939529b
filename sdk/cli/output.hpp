/// Standard output in large pieces.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace stratwire::cli {

/// \thread one thread at a time
class Output {
 public:
  explicit Output(int descriptor);

  /// Keeps the text; writes when there is much.
  void append(std::string_view text);
  /// Writes what is kept; waits until the reader has taken it.
  void flush();
  /// The reader has gone; what comes is thrown away. Notices it without writing, too.
  [[nodiscard]] bool broken();

 private:
  static constexpr std::size_t kBufferBytes = 256 * 1024;

  int descriptor_;
  bool broken_ = false;
  std::string buffer_{};
};

}  // namespace stratwire::cli
