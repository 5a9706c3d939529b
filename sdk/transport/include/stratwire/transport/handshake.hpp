/// The HTTP upgrade of RFC 6455 section 4, both ends, without I/O; plain HTTP requests fall out of
/// it for the server's own pages.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/transport/error.hpp>
#include <stratwire/transport/url.hpp>

namespace stratwire::transport {

/// Largest HTTP head that either end takes, in bytes.
inline constexpr std::size_t kHandshakeBytesMax = 8 * 1024;

/// The server's half: reads one request, then makes one response.
///
/// Stricter than most: one Host, Upgrade, Sec-WebSocket-Key and Sec-WebSocket-Version each, a key
/// of 16 bytes, no body, HTTP/1.1. It keeps no deadline: drop a connection that is not through in
/// time.
///
/// \thread one thread at a time
/// \source RFC 6455 4.2
class ServerHandshake {
 public:
  enum class Step : std::uint8_t {
    need_more,
    upgrade,       ///< A valid upgrade: accept() it, or respond() with a refusal.
    http_request,  ///< A GET or HEAD without upgrade: respond().
    refused,       ///< Send refusal(), then close.
  };

  ServerHandshake();
  ~ServerHandshake();
  ServerHandshake(ServerHandshake&&) noexcept;
  ServerHandshake& operator=(ServerHandshake&&) noexcept;

  /// Takes what belongs to the request's head from the front of `input`; what is left there after
  /// upgrade are frames. Once it said something else than need_more it says the same again.
  [[nodiscard]] Step feed(std::span<const char>& input);

  // Valid after upgrade and http_request, as long as this object is.

  /// "GET" or "HEAD".
  [[nodiscard]] std::string_view method() const noexcept;
  /// The target up to '?', as sent; starts with '/'.
  [[nodiscard]] std::string_view path() const noexcept;
  /// The target behind '?', as sent; empty without.
  [[nodiscard]] std::string_view query() const noexcept;
  /// The first value of that name in the query, percent-decoded; nothing when it is not there.
  [[nodiscard]] std::optional<std::string> query_value(std::string_view name) const;
  /// All that were offered, in order.
  [[nodiscard]] const std::vector<std::string>& subprotocols() const noexcept;
  /// The field's first value, any case; empty without ("Origin", "User-Agent", "Authorization").
  [[nodiscard]] std::string_view header(std::string_view name) const noexcept;

  /// The 101 response.
  ///
  /// Precondition: the last step was upgrade.
  ///
  /// \param subprotocol  one that was offered, or empty for none
  [[nodiscard]] std::string accept(std::string_view subprotocol) const;

  /// Any other response, which ends the connection after it (`Connection: close`). A HEAD gets no
  /// body.
  [[nodiscard]] std::string respond(unsigned status, std::string_view content_type,
                                    std::string_view body) const;

  // Valid after refused.

  /// The whole response.
  [[nodiscard]] std::string_view refusal() const noexcept;
  /// Its HTTP status.
  [[nodiscard]] unsigned refusal_status() const noexcept;
  /// Its body: one line that names the fault and the cure.
  [[nodiscard]] std::string_view refusal_text() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The client's half: makes one request, then reads one response.
///
/// \thread one thread at a time
/// \source RFC 6455 4.1
class ClientHandshake {
 public:
  using Key = std::array<char, 16>;
  enum class Step : std::uint8_t { need_more, upgraded, failed };

  /// \param subprotocols  in order of preference; tokens (RFC 7230 3.2.6)
  /// \param key           16 random bytes (random.hpp)
  ClientHandshake(const Url& url, std::span<const std::string_view> subprotocols, const Key& key);
  /// With a random key of its own.
  ClientHandshake(const Url& url, std::span<const std::string_view> subprotocols);
  ~ClientHandshake();
  ClientHandshake(ClientHandshake&&) noexcept;
  ClientHandshake& operator=(ClientHandshake&&) noexcept;

  /// The request's bytes, to be sent whole.
  [[nodiscard]] std::string_view request() const noexcept;

  /// Takes what belongs to the response from the front of `input`; what is left there after
  /// upgraded are frames. A response that is no upgrade is read on to the first line of its body.
  [[nodiscard]] Step feed(std::span<const char>& input);
  /// The peer closed. Not need_more.
  [[nodiscard]] Step end_of_stream();

  /// What the server chose; empty for none.
  [[nodiscard]] std::string_view subprotocol() const noexcept;
  /// not_websocket, subprotocol_refused, invalid_handshake, too_large, connection_lost; the text
  /// has the URL, the HTTP status and the first line of the body where there is one.
  [[nodiscard]] const Error& error() const noexcept;
  /// HTTP status of the response; 0 before there is one.
  [[nodiscard]] unsigned http_status() const noexcept;
  /// How long the response asks to wait before the next try: `Retry-After-Ms`, else `Retry-After`
  /// in seconds, at most kRetryAfterMax; 0 when it does not say.
  [[nodiscard]] std::chrono::milliseconds retry_after() const noexcept;

  static constexpr std::chrono::hours kRetryAfterMax{1};

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace stratwire::transport
