#include "output.hpp"

#include <cerrno>
#include <poll.h>
#include <unistd.h>

namespace stratwire::cli {

Output::Output(int descriptor) : descriptor_{descriptor} {
  buffer_.reserve(kBufferBytes);
}

void Output::append(std::string_view text) {
  if (buffer_.size() + text.size() > kBufferBytes) flush();
  if (!broken_) buffer_ += text;
}

void Output::flush() {
  std::string_view left = buffer_;
  while (!left.empty() && !broken_) {
    const auto written = ::write(descriptor_, left.data(), left.size());
    if (written >= 0) {
      left.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd writable{descriptor_, POLLOUT, 0};
      ::poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      broken_ = true;
      if (errno != EPIPE) error_ = errno;
    }
  }
  buffer_.clear();
}

bool Output::broken() {
  pollfd state{descriptor_, 0, 0};
  if (!broken_ && ::poll(&state, 1, 0) > 0) broken_ = (state.revents & (POLLERR | POLLNVAL)) != 0;
  return broken_;
}

}  // namespace stratwire::cli
