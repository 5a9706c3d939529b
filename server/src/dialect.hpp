/// How a connection speaks.
#pragma once

#include <cstdint>

#include <stratwire/message.hpp>
#include <stratwire/transport/frame.hpp>

namespace stratwire::server {

enum class Dialect : std::uint8_t {
  json,     ///< stratwire.v1.json
  msgpack,  ///< stratwire.v1.msgpack
  plain,    ///< No subprotocol: JSON data messages, no acknowledgements, greetings, gaps, errors.
};

[[nodiscard]] constexpr Codec codec_of(Dialect dialect) noexcept {
  return dialect == Dialect::msgpack ? Codec::msgpack : Codec::json;
}
[[nodiscard]] constexpr transport::Opcode opcode_of(Codec codec) noexcept {
  return codec == Codec::json ? transport::Opcode::text : transport::Opcode::binary;
}

}  // namespace stratwire::server
