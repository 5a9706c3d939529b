#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <sys/random.h>

#include <stratwire/transport/random.hpp>

namespace stratwire::transport {

void random_bytes(std::span<char> out) noexcept {
  while (!out.empty()) {
    const ssize_t got = ::getrandom(out.data(), out.size(), 0);
    if (got < 0) {
      if (errno == EINTR) continue;
      std::abort();
    }
    out = out.subspan(static_cast<std::size_t>(got));
  }
}

void MaskKeys::refill() noexcept {
  std::array<char, sizeof(keys_)> bytes;
  random_bytes(bytes);
  std::memcpy(keys_.data(), bytes.data(), bytes.size());
  used_ = 0;
}

}  // namespace stratwire::transport
