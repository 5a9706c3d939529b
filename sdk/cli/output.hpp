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
  /// Nothing can be written any more; what comes is thrown away. Notices a reader that has gone
  /// without writing, too.
  [[nodiscard]] bool broken();
  /// errno of what can't be written, for example on a full disk; 0 where the reader has gone.
  [[nodiscard]] int error() const noexcept { return error_; }

 private:
  static constexpr std::size_t kBufferBytes = 256 * 1024;

  int descriptor_;
  bool broken_ = false;
  int error_ = 0;
  std::string buffer_{};
};

}  // namespace stratwire::cli
