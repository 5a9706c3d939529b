/// ws://host:port/path?query and ws+unix:///path/to.sock:/path?query.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <stratwire/transport/error.hpp>

namespace stratwire::transport {

/// Longest URL that is taken, in bytes.
inline constexpr std::size_t kUrlBytesMax = 4096;
/// Longest path of a socket file; the operating system's limit (sockaddr_un).
inline constexpr std::size_t kUnixPathBytesMax = 107;

/// Where to connect to.
///
/// \thread immutable
struct Url {
  enum class Kind : std::uint8_t { tcp, unix_socket };

  Kind kind = Kind::tcp;
  /// Name or address, IPv6 without brackets; empty for a socket file.
  std::string host{};
  std::uint16_t port = 80;
  /// The socket file, for Kind::unix_socket.
  std::string socket_path{};
  /// What is asked for in HTTP: path and query, starts with '/'.
  std::string target = "/";

  /// Reads `ws://host[:port][/path][?query]`, where host may be `[IPv6]`, or
  /// `ws+unix:///path/to.sock[:/path[?query]]`.
  ///
  /// \errors  invalid_url, unsupported_scheme; the text names the input and the cure
  static Outcome<Url> parse(std::string_view text);

  /// Whether it names this host for sure: a socket file, `localhost` or a loopback address.
  [[nodiscard]] bool is_same_host() const noexcept;
  /// "host:port" as it stands in the `Host` header; "localhost" for a socket file.
  [[nodiscard]] std::string authority() const;
  /// The URL as text, "ws://127.0.0.1:8080/".
  [[nodiscard]] std::string to_string() const;

  friend bool operator==(const Url&, const Url&) = default;
};

}  // namespace stratwire::transport
