/// Settings and errors, translated for the libraries below.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include <stratwire/client_config.hpp>
#include <stratwire/result.hpp>
#include <stratwire/session/client_session.hpp>
#include <stratwire/session/send_buffer.hpp>
#include <stratwire/transport/error.hpp>
#include <stratwire/transport/frame.hpp>
#include <stratwire/transport/url.hpp>

namespace stratwire::client {

inline constexpr std::uint64_t kWakeupToken = 0;
/// Of the first connection; a successor's is the next one.
inline constexpr std::uint64_t kLineToken = 1;

/// \errors invalid_config, naming the setting, its value and its range
[[nodiscard]] Result<void> validate(const ClientConfig& config);
[[nodiscard]] session::SendBufferPolicy send_buffer_policy(const SendBufferLimits& limits) noexcept;
/// `url` and `urls`, in this order.
///
/// \errors invalid_url, unsupported_scheme, invalid_config
[[nodiscard]] Result<std::vector<transport::Url>> parse_urls(const ClientConfig& config);
[[nodiscard]] session::ClientSessionConfig session_config(const ClientConfig& config,
                                                          std::span<const transport::Url> urls,
                                                          std::uint64_t seed);
/// Loopback or AF_UNIX, as far as the URL tells.
[[nodiscard]] session::Nearness nearness_of(const transport::Url& url) noexcept;

[[nodiscard]] Error translate(const transport::Error& error);
/// What is said of a connection that ended without a close frame.
[[nodiscard]] Error end_of_connection(const transport::Url& url, int system);

[[nodiscard]] constexpr std::string_view subprotocol_of(Codec codec) noexcept {
  return codec == Codec::json ? "stratwire.v1.json" : "stratwire.v1.msgpack";
}
[[nodiscard]] constexpr transport::Opcode opcode_of(Codec codec) noexcept {
  return codec == Codec::json ? transport::Opcode::text : transport::Opcode::binary;
}

}  // namespace stratwire::client
