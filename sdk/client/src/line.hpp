/// One try to connect, and the connection that it becomes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <stratwire/codec.hpp>
#include <stratwire/error.hpp>
#include <stratwire/session/client_session.hpp>
#include <stratwire/session/time.hpp>
#include <stratwire/transport/connection.hpp>
#include <stratwire/transport/connector.hpp>
#include <stratwire/transport/handshake.hpp>
#include <stratwire/transport/poller.hpp>
#include <stratwire/transport/url.hpp>

namespace stratwire::client {

/// From a URL to an open connection and back to nothing; decides nothing but what an HTTP answer
/// means.
///
/// \thread one thread at a time
class Line {
 public:
  enum class Stage : std::uint8_t { none, connecting, upgrading, open };
  enum class Progress : std::uint8_t { nothing, something, opened, failed };

  /// \param token  what the poller tells of its socket
  Line(Codec codec, std::size_t message_bytes_max, transport::Poller& poller, std::uint64_t token);
  Line(const Line&) = delete;
  Line& operator=(const Line&) = delete;

  /// Precondition: stage() is none.
  void start(session::ConnectionId id, transport::Url url);
  /// Gets on with connecting and upgrading as far as that goes without waiting.
  Progress get_on();
  /// Precondition: get_on() said failed.
  [[nodiscard]] session::Failure take_failure() { return std::move(failure_); }
  /// Cuts whatever there is. The buffers stay.
  void drop();
  /// The socket of an open line, out of the poller; the line is as dropped.
  [[nodiscard]] transport::Socket release();

  /// What to wait for while sleeping; listening to nothing leaves hang-ups unnoticed, too.
  enum class Listen : std::uint8_t { yes, no };
  void listen(Listen listen);

  [[nodiscard]] Stage stage() const noexcept { return stage_; }
  [[nodiscard]] bool is_open() const noexcept { return stage_ == Stage::open; }
  [[nodiscard]] session::ConnectionId id() const noexcept { return id_; }
  [[nodiscard]] const transport::Url& url() const noexcept { return url_; }
  [[nodiscard]] transport::Connector& connector() noexcept { return connector_; }
  /// Precondition: stage() is open.
  [[nodiscard]] transport::Connection& connection() noexcept { return connection_; }
  [[nodiscard]] const transport::Connection& connection() const noexcept { return connection_; }
  /// When bytes were last read.
  session::Arrival arrival{};
  /// A message came on this connection: the server has said what it takes, if it says so at all.
  bool greeted = false;

 private:
  Progress get_on_with_upgrade();
  Progress upgrade_step(transport::ClientHandshake::Step step, std::span<const char> rest);
  Progress fail(const transport::Error& error, session::Loss loss);
  void stop_listening() noexcept;
  [[nodiscard]] int fd() const noexcept {
    return stage_ == Stage::upgrading ? upgrading_.fd() : connection_.fd();
  }

  const Codec codec_;
  transport::Poller& poller_;
  const std::uint64_t token_;
  Stage stage_ = Stage::none;
  session::ConnectionId id_ = session::ConnectionId::none;
  transport::Url url_{};
  transport::Connector connector_{};
  std::optional<transport::ClientHandshake> handshake_{};
  transport::Socket upgrading_{};
  std::size_t request_left_ = 0;
  session::Failure failure_{};
  transport::Connection connection_;
  transport::Interest listening_ = transport::Interest::none;
  bool in_poller_ = false;
};

}  // namespace stratwire::client
