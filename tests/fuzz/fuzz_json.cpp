/// The JSON decoder's fast path against its general path.
///
/// 1. The input is taken as one JSON message, as it came from a peer that nobody trusts.
/// 2. The general decoder reads it: it must answer, with an offset inside of the input if refused.
/// 3. The fast path reads it: what it takes, the general decoder must have taken, bit for bit.
/// 4. What was read is encoded and decoded again, and must be the same.
/// 5. A property that does not hold prints itself and the input in hex, and aborts.
#include <cstddef>
#include <cstdint>

#include "codec_properties.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  stratwire::fuzz::check_paths(stratwire::Codec::json, {reinterpret_cast<const char*>(data), size});
  return 0;
}
