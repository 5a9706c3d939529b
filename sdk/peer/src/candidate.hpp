/// A connection on its way to be the link: from connected, or accepted, to the other side's
/// PeerHello.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <stratwire/codec.hpp>
#include <stratwire/message.hpp>
#include <stratwire/session/backoff.hpp>
#include <stratwire/session/time.hpp>
#include <stratwire/transport/connection.hpp>
#include <stratwire/transport/handshake.hpp>
#include <stratwire/transport/poller.hpp>
#include <stratwire/transport/socket.hpp>
#include <stratwire/transport/url.hpp>

namespace stratwire::peer {

struct CandidateSettings {
  Codec codec = Codec::json;
  std::size_t message_bytes_max = 0;
  std::string hello{};       ///< Our PeerHello, encoded.
  std::uint64_t number = 0;  ///< Rises from one candidate to the next.
  session::Instant until{};  ///< Given up then.
};

/// \thread one thread at a time
class Candidate {
 public:
  enum class Status : std::uint8_t {
    waiting,
    met,     ///< hello() came; take_connection().
    failed,  ///< error() says why; take_socket() and take_farewell(), if they hold anything.
  };

  /// The side that dials.
  Candidate(CandidateSettings settings, transport::Socket socket, const transport::Url& url);
  /// The side that listens.
  Candidate(CandidateSettings settings, transport::Socket socket);

  /// Gets on with it as far as that is possible without waiting.
  Status step(session::Instant now);

  [[nodiscard]] std::uint64_t number() const noexcept { return settings_.number; }
  [[nodiscard]] session::Instant until() const noexcept { return settings_.until; }
  [[nodiscard]] int fd() const noexcept;
  [[nodiscard]] transport::Interest interest() const noexcept;

  // Valid after met.

  [[nodiscard]] const PeerHello& hello() const noexcept { return hello_; }
  [[nodiscard]] std::unique_ptr<transport::Connection> take_connection() noexcept {
    return std::move(connection_);
  }

  // Valid after failed.

  [[nodiscard]] const Error& error() const noexcept { return error_; }
  /// What it means for the next try.
  [[nodiscard]] session::Loss loss() const noexcept { return loss_; }
  [[nodiscard]] std::string take_farewell();
  [[nodiscard]] transport::Socket take_socket() noexcept;

 private:
  [[nodiscard]] bool say();
  [[nodiscard]] Status upgrade();
  [[nodiscard]] Status answer_request(std::span<const char> input);
  [[nodiscard]] Status read_response(std::span<const char> input);
  [[nodiscard]] Status greet(std::span<const char> behind_head);
  [[nodiscard]] Status listen();
  [[nodiscard]] Status take_first(std::string_view payload);
  [[nodiscard]] Status turn_away(unsigned status, const std::string& why);
  Status fail(Error error, session::Loss loss);

  CandidateSettings settings_;
  transport::Role role_;
  transport::Socket socket_{};  // Until upgraded.
  std::optional<transport::ClientHandshake> asking_{};
  std::optional<transport::ServerHandshake> answering_{};
  std::string head_{};  // Of the upgrade, that the kernel has not taken yet.
  std::unique_ptr<transport::Connection> connection_{};
  PeerHello hello_{};
  Error error_{};
  session::Loss loss_ = session::Loss::ordinary;
  transport::CloseCode close_code_ = transport::CloseCode::no_status;
};

}  // namespace stratwire::peer
