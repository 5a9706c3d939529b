/// The peer but for the handlers: whoever calls it drives it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/codec.hpp>
#include <stratwire/peer.hpp>
#include <stratwire/session/peer_session.hpp>
#include <stratwire/transport/connection.hpp>
#include <stratwire/transport/connector.hpp>
#include <stratwire/transport/listener.hpp>
#include <stratwire/transport/poller.hpp>
#include <stratwire/transport/url.hpp>

#include "candidate.hpp"

namespace stratwire::peer {

using session::Duration;
using session::Instant;

/// Sockets, frames, codec and session in one loop:
///
///   next()   the next delivery out of what was read or has happened; nullptr when there is none
///   work()   one recv(), then everything else that can be done now; never blocks
///   flush()  puts what the session has on the link, and gives it to the kernel
///   wait()   sleeps until there is work
///
/// A delivery is valid until the next call of next() or work().
///
/// \thread one thread at a time
class PeerLoop {
 public:
  /// \errors as Peer::open()
  static Result<std::unique_ptr<PeerLoop>> open(PeerConfig config);

  [[nodiscard]] const PeerDelivery* next();
  /// Precondition: next() said nullptr. \return whether something happened
  bool work();
  void flush();
  void wait(Instant until);

  /// Carries out what the session wants; after calls that change it.
  void perform();
  [[nodiscard]] session::PeerSession& session() noexcept { return session_; }
  [[nodiscard]] const session::PeerSession& session() const noexcept { return session_; }
  /// The session has ended and everything was handed over.
  [[nodiscard]] bool done() const noexcept {
    return session_.ended() && !session_.has_events() && !message_held_;
  }
  /// A close frame waits for the kernel.
  [[nodiscard]] bool is_parting() const noexcept;
  [[nodiscard]] const std::string& url() const noexcept { return shown_url_; }
  [[nodiscard]] const PeerConfig& config() const noexcept { return config_; }
  [[nodiscard]] std::uint64_t bytes_read() const noexcept;

 private:
  struct Watched {
    int fd = -1;
    transport::Interest interest = transport::Interest::none;
  };

  PeerLoop(PeerConfig config, transport::Url url, transport::Poller poller,
           std::optional<transport::Listener> listener);

  void perform(const session::PeerSession::Write& write);
  void perform(const session::PeerSession::Drop& drop);
  void perform_shutdown();
  void put_writes(std::size_t waiting_max);

  // Connecting.
  bool get_on_with_connecting();
  bool accept();
  bool step_candidates();
  void met(Candidate& candidate);
  void failed(Candidate& candidate);
  [[nodiscard]] CandidateSettings candidate_settings();
  void add_candidate(std::unique_ptr<Candidate> candidate);
  void stop_listening();

  // Reading.
  bool read();
  enum class Taken : std::uint8_t { delivery, something, nothing };
  Taken take_event();
  Taken take_message(std::string_view payload);
  void on_close_frame(const transport::Incoming& close);
  void on_violation(const transport::Incoming& violation);
  void hand_event();
  void hand_message();

  // Leaving.
  void part_link(std::uint16_t code, std::string_view reason);
  void part(transport::Socket socket, std::string farewell);
  void drop_link();

  void watch(int fd, transport::Interest interest);
  void unwatch(int fd);

  const PeerConfig config_;
  const transport::Url url_;
  std::string shown_url_{};
  transport::Poller poller_;
  std::vector<Watched> watched_{};
  std::optional<transport::Listener> listener_;
  Instant accept_at_{};  // accept() costs a system call: not in every turn of a spinning loop.
  transport::Connector connector_{};
  std::vector<std::unique_ptr<Candidate>> candidates_{};
  std::uint64_t candidates_seen_ = 0;
  std::vector<transport::Parting> parting_{};
  std::unique_ptr<transport::Connection> link_{};
  std::uint64_t bytes_before_ = 0;  // Read from earlier links.
  session::PeerSession session_;
  Decoder decoder_;

  Message message_{};
  bool message_held_ = false;  // message_ comes next, its Gap was handed over.
  session::PeerSession::Event event_{};
  PeerDelivery delivery_{};

  Instant now_{};
  std::int64_t received_at_ = 0;
  std::string encoded_{};
};

}  // namespace stratwire::peer
