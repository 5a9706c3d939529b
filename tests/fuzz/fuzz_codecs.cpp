/// One codec against the other.
///
/// 1. The input is taken as a JSON message, then as a MessagePack message.
/// 2. If it is one, it is encoded in the other codec, decoded there, encoded back, decoded, and
///    encoded in the other codec again.
/// 3. The message itself must be the same after the first of these, the bytes after the second.
/// 4. Only the value that an Event carries may be refused on the way: MessagePack has values that
///    JSON has no form for, and JSON has numbers beyond any double.
/// 5. A property that does not hold prints itself and the input in hex, and aborts.
#include <cstddef>
#include <cstdint>

#include "codec_properties.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  stratwire::fuzz::check_codecs(stratwire::Codec::json, input);
  stratwire::fuzz::check_codecs(stratwire::Codec::msgpack, input);
  return 0;
}
