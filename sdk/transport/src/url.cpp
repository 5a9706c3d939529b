#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <optional>

#include <stratwire/transport/url.hpp>

#include "address.hpp"
#include "text.hpp"

namespace stratwire::transport {
namespace {

constexpr std::size_t kHostBytesMax = 253;  // RFC 1035 2.3.4, without the final dot

Error invalid(std::string_view input, std::string_view what) {
  return {Errc::invalid_url, 0, quoted(input) + ' ' + std::string(what)};
}

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}
bool is_host_char(char c) noexcept {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
         c == '_';
}

// What can be said without knowing the parts.
std::optional<Error> check_bytes(std::string_view text) {
  if (text.empty()) return Error{Errc::invalid_url, 0, "the URL is empty; write ws://host:port"};
  if (text.size() > kUrlBytesMax) {
    return invalid(text, "is longer than " + std::to_string(kUrlBytesMax) + " bytes; shorten it");
  }
  const auto wrong = std::find_if(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte >= 0x7f;
  });
  if (wrong != text.end()) {
    return invalid(text,
                   "has a blank, a control character or a byte that is not ASCII at position " +
                       std::to_string(wrong - text.begin()) +
                       "; write it percent-encoded, a host name in its xn-- form");
  }
  if (text.find('#') != std::string_view::npos) {
    return invalid(text,
                   "has a fragment, which WebSocket URLs can't have; remove '#' and what "
                   "follows, or write %23");
  }
  return std::nullopt;
}

Error wrong_scheme(std::string_view text, std::string_view scheme, std::string_view rest) {
  const auto refuse = [&](const std::string& what) {
    return Error{Errc::unsupported_scheme, 0, quoted(text) + ' ' + what};
  };
  const std::string instead = "write ws://" + printable(rest);
  if (equal_any_case(scheme, "wss") || equal_any_case(scheme, "wss+unix")) {
    return refuse("asks for TLS, which is not built in this version; " + instead +
                  " or put a TLS proxy in front");
  }
  if (equal_any_case(scheme, "http")) return refuse("is an HTTP address; " + instead);
  if (equal_any_case(scheme, "https")) {
    return refuse("is an HTTPS address; TLS is not built in this version; " + instead);
  }
  return refuse("has a scheme that is not spoken; " + instead + " or ws+unix:///path/to.sock");
}

std::optional<Error> parse_port(std::string_view text, std::string_view port, std::uint16_t& out) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), value);
  if (error != std::errc{} || end != port.data() + port.size() || value == 0 || value > 65535) {
    return invalid(text, "has the wrong port " + quoted(port) + "; write a number from 1 to 65535");
  }
  out = static_cast<std::uint16_t>(value);
  return std::nullopt;
}

// Splits "host:port" or "[v6]:port"; `port` is nothing where there is no colon.
std::optional<Error> split_authority(std::string_view text, std::string_view authority,
                                     std::string_view& host,
                                     std::optional<std::string_view>& port) {
  if (authority.starts_with('[')) {
    const std::size_t end = authority.find(']');
    if (end == std::string_view::npos) {
      return invalid(text, "has an IPv6 address without ']'; write ws://[::1]:8080");
    }
    host = authority.substr(1, end - 1);
    in6_addr unused;
    if (::inet_pton(AF_INET6, std::string(host).c_str(), &unused) != 1) {
      return invalid(text,
                     "has the wrong IPv6 address " + quoted(host) + "; write ws://[::1]:8080");
    }
    const std::string_view rest = authority.substr(end + 1);
    if (rest.empty()) return std::nullopt;
    if (rest[0] != ':') return invalid(text, "has something between ']' and the port; remove it");
    port = rest.substr(1);
    return std::nullopt;
  }
  const std::size_t colon = authority.find(':');
  host = authority.substr(0, colon);
  if (colon == std::string_view::npos) return std::nullopt;
  port = authority.substr(colon + 1);
  if (port->find(':') != std::string_view::npos) {
    return invalid(text,
                   "has more than one ':' in its host; write an IPv6 address in brackets, "
                   "ws://[::1]:8080");
  }
  return std::nullopt;
}

Outcome<Url> parse_tcp(std::string_view text, std::string_view rest) {
  const std::size_t authority_bytes = std::min(rest.find_first_of("/?"), rest.size());
  const std::string_view authority = rest.substr(0, authority_bytes);
  const std::string_view target = rest.substr(authority_bytes);
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) {
    // The text must not repeat a password.
    return Error{
        Errc::invalid_url, 0,
        "'ws://***" + printable(rest.substr(at)) +
            "' has user information, which is refused as it ends up in logs; remove what is "
            "before '@' and authenticate after connecting"};
  }
  Url url;
  std::string_view host;
  std::optional<std::string_view> port;
  if (auto error = split_authority(text, authority, host, port)) return *error;
  if (host.empty()) return invalid(text, "has no host; write ws://host:port");
  if (!authority.starts_with('[') &&
      (host.size() > kHostBytesMax || !std::all_of(host.begin(), host.end(), is_host_char))) {
    return invalid(text,
                   "has a host that is no name; it may have letters, digits, '-', '.' and '_', "
                   "at most 253");
  }
  if (port) {
    if (auto error = parse_port(text, *port, url.port)) return *error;
  }
  url.host = host;
  if (target.starts_with('?')) url.target += target;
  if (target.starts_with('/')) url.target = target;
  return url;
}

Outcome<Url> parse_unix(std::string_view text, std::string_view rest) {
  Url url;
  url.kind = Url::Kind::unix_socket;
  const std::size_t colon = rest.find(':');
  const std::string_view path = rest.substr(0, colon);
  if (!path.starts_with('/') || path.ends_with('/')) {
    return invalid(text, "has no absolute path of a socket file; write ws+unix:///path/to.sock");
  }
  if (path.find('?') != std::string_view::npos) {
    return invalid(text, "has a query behind the socket file; write " +
                             quoted("ws+unix://" + std::string(path.substr(0, path.find('?'))) +
                                    ":/" + std::string(path.substr(path.find('?')))));
  }
  if (path.size() > kUnixPathBytesMax) {
    return invalid(text, "has a socket path of " + std::to_string(path.size()) +
                             " bytes; the system takes " + std::to_string(kUnixPathBytesMax));
  }
  url.socket_path = path;
  if (colon != std::string_view::npos) {
    url.target = rest.substr(colon + 1);
    if (!url.target.starts_with('/')) {
      return invalid(text,
                     "has an HTTP path that does not start with '/'; write "
                     "ws+unix:///path/to.sock:/path");
    }
  }
  return url;
}

}  // namespace

Outcome<Url> Url::parse(std::string_view text) {
  if (auto error = check_bytes(text)) return *error;
  const std::size_t end = text.find("://");
  // "localhost/a?b=c://d" has no scheme either.
  if (end == std::string_view::npos || text.find_first_of("/?:") < end) {
    return invalid(text, text.starts_with('/') ? "has no scheme; write ws+unix://" + printable(text)
                                               : "has no scheme; write ws://" + printable(text));
  }
  const std::string_view scheme = text.substr(0, end);
  const std::string_view rest = text.substr(end + 3);
  if (equal_any_case(scheme, "ws")) return parse_tcp(text, rest);
  if (equal_any_case(scheme, "ws+unix")) return parse_unix(text, rest);
  if (scheme.empty()) return invalid(text, "has no scheme; write ws://" + printable(rest));
  return wrong_scheme(text, scheme, rest);
}

bool Url::is_same_host() const noexcept {
  return kind == Kind::unix_socket || host == "localhost" || host == "::1" ||
         host.starts_with("127.");
}

std::string Url::authority() const {
  if (kind == Kind::unix_socket) return "localhost";
  if (port != 80) return host_port(host, port);
  const std::string with_port = host_port(host, port);
  return with_port.substr(0, with_port.size() - 3);
}

std::string Url::to_string() const {
  if (kind == Kind::tcp) return "ws://" + authority() + target;
  return "ws+unix://" + socket_path + (target == "/" ? "" : ':' + target);
}

}  // namespace stratwire::transport
