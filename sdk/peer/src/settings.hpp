/// Settings and errors, translated for the libraries below.
#pragma once

#include <cstdint>
#include <string_view>

#include <stratwire/peer_config.hpp>
#include <stratwire/result.hpp>
#include <stratwire/session/peer_session.hpp>
#include <stratwire/transport/error.hpp>
#include <stratwire/transport/frame.hpp>
#include <stratwire/transport/url.hpp>

namespace stratwire::peer {

/// \errors invalid_config, naming the setting, its value and its range
[[nodiscard]] Result<void> validate(const PeerConfig& config);
/// What is dialled or listened on; port 0 is allowed for the latter.
///
/// \errors invalid_url, unsupported_scheme
[[nodiscard]] Result<transport::Url> url_of(const PeerConfig& config);
[[nodiscard]] session::PeerSessionConfig session_config(const PeerConfig& config,
                                                        const transport::Url& url,
                                                        std::uint64_t epoch, std::uint64_t seed);
[[nodiscard]] Error translate(const transport::Error& error);

[[nodiscard]] constexpr std::string_view subprotocol_of(Codec codec) noexcept {
  return codec == Codec::json ? "stratwire.peer.v1.json" : "stratwire.peer.v1.msgpack";
}
[[nodiscard]] constexpr transport::Opcode opcode_of(Codec codec) noexcept {
  return codec == Codec::json ? transport::Opcode::text : transport::Opcode::binary;
}
[[nodiscard]] constexpr transport::FrameLimits frame_limits(
    std::size_t message_bytes_max) noexcept {
  return {message_bytes_max, static_cast<std::uint32_t>(limits::kFragmentsMax)};
}

}  // namespace stratwire::peer
