/// What a transport call that can fail returns. This library knows nothing of the codecs, so that
/// it has its own list; `client` and `server` translate it (names are the same where the meaning
/// is).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace stratwire::transport {

/// What went wrong. The comment says what to do about it.
enum class Errc : std::uint8_t {
  ok = 0,
  invalid_url,          ///< Write ws://host:port/path or ws+unix:///path.
  unsupported_scheme,   ///< Only ws:// and ws+unix:// are built in this version.
  resolve_failed,       ///< The host has no address; check the name and the resolver.
  connect_failed,       ///< Nobody listens there; check the port and that the server is up.
  address_in_use,       ///< Another program listens there; stop it or take another port.
  listen_failed,        ///< The address can't be listened on; the text has the system's reason.
  not_websocket,        ///< The peer answered, but not with a WebSocket upgrade.
  subprotocol_refused,  ///< No subprotocol in common; offer one that the server speaks.
  invalid_handshake,    ///< The upgrade breaks RFC 6455 section 4.
  too_large,            ///< The peer's HTTP head is larger than kHandshakeBytesMax.
  connection_lost,      ///< The peer closed in the middle of the upgrade.
  io_failed,            ///< The operating system refused; the text has its reason.
};

/// The code's name, "connect_failed".
[[nodiscard]] std::string_view to_string(Errc code) noexcept;

/// A code, the operating system's own number, and one sentence that names the input and the cure.
struct Error {
  Errc code = Errc::ok;
  /// `errno` of the call that failed; 0 where no system call was involved.
  int system = 0;
  std::string text{};
};

/// A value or an Error.
///
/// \thread one thread at a time
template <class T>
class [[nodiscard]] Outcome {
 public:
  Outcome(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Outcome(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  [[nodiscard]] bool ok() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return ok(); }

  /// The error; `Errc::ok` when there is none.
  [[nodiscard]] const Error& error() const noexcept {
    static const Error none{};
    return ok() ? none : *std::get_if<1>(&state_);
  }

  /// Precondition: ok().
  [[nodiscard]] T& operator*() & noexcept { return *std::get_if<0>(&state_); }
  [[nodiscard]] const T& operator*() const& noexcept { return *std::get_if<0>(&state_); }
  [[nodiscard]] T&& operator*() && noexcept { return std::move(*std::get_if<0>(&state_)); }
  [[nodiscard]] T* operator->() noexcept { return std::get_if<0>(&state_); }
  [[nodiscard]] const T* operator->() const noexcept { return std::get_if<0>(&state_); }

 private:
  std::variant<T, Error> state_;
};

}  // namespace stratwire::transport
