/// The client but for the hand-over to the strategy: whoever owns a thread drives it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <stratwire/client.hpp>
#include <stratwire/codec.hpp>
#include <stratwire/session/client_session.hpp>
#include <stratwire/session/time.hpp>
#include <stratwire/telemetry/counter.hpp>
#include <stratwire/transport/connection.hpp>
#include <stratwire/transport/connector.hpp>
#include <stratwire/transport/handshake.hpp>
#include <stratwire/transport/poller.hpp>
#include <stratwire/transport/url.hpp>

#include "gates.hpp"
#include "mailbox.hpp"

namespace stratwire::client {

using session::Duration;
using session::Instant;

/// Socket, frames, codec and session in one loop, the same for both kinds of Threading:
///
///   turn()   commands, timers, connecting, writing; never blocks
///   next()   the next delivery out of what was read; nullptr when there is none
///   read()   one large recv()
///   wait()   sleeps until one of these has something to do
///
/// Deliveries view the receive buffer, the decoder and this object: valid until the next call of
/// any of the four.
///
/// \thread  notify, state, error, metrics and mailbox: any thread; the rest one thread at a time
class ClientLoop {
 public:
  /// \errors invalid_url, unsupported_scheme, invalid_config, io_failed
  static Result<std::unique_ptr<ClientLoop>> open(ClientConfig config);

  /// What the gates of this client look at; the strategy's word is the caller's to write.
  [[nodiscard]] const std::shared_ptr<detail::GateClientWords>& gate_words() const noexcept {
    return gate_words_;
  }

  void start();
  /// \return whether something happened
  bool turn();
  /// What was put in the mailbox, without a look at the timers; part of every turn().
  ///
  /// \return whether something was there
  bool take_commands();
  [[nodiscard]] const Delivery* next() {
    const Delivery* const delivery = next_delivery();
    if (delivery != nullptr) gates_.handed(*delivery, read_at_);
    return delivery;
  }
  /// Precondition: next() said nullptr. \return whether something came
  bool read();

  /// Whether the socket is listened to while waiting.
  enum class Listen : std::uint8_t { yes, no };
  /// Sleeps until bytes, a command, a timer or `until`; with Listen::no the socket is left alone.
  ///
  /// \param ready  looked at once more before sleeping; true = don't
  template <class Ready>
  void wait(Instant until, Listen listen, Ready&& ready) {
    wakeup_.prepare_sleep();
    if (!mailbox_.has_work() && !ready()) sleep(until, listen);
    wakeup_.end_sleep();
  }
  /// The strategy does not take what was read, so that nothing is read: that says nothing about
  /// the peer.
  void excuse_silence();

  /// The session has ended and everything was handed over.
  [[nodiscard]] bool done() const noexcept {
    return session_.ended() && handed_ == handing_.size() && !message_held_;
  }
  /// A close frame waits for the kernel, though the session may have ended: turn() and wait() a
  /// little longer.
  [[nodiscard]] bool is_parting() const noexcept { return !parting_.all_said(); }
  /// From now on nothing is handed over: nobody will take it.
  void abandon();

  // ---- Any thread

  [[nodiscard]] Mailbox& mailbox() noexcept { return mailbox_; }
  /// After something was put in the mailbox.
  void notify() noexcept;
  /// Ends wait(), without looking at the mailbox.
  void wake() noexcept { wakeup_.notify(); }
  [[nodiscard]] ClientState state() const noexcept;
  [[nodiscard]] Error error() const;
  /// But for what the strategy's side counts.
  [[nodiscard]] ClientMetrics metrics() const noexcept;
  void count_sent() noexcept { counters_.sends.add(); }

 private:
  /// What is to be handed over before anything else that was read.
  using Hand = std::variant<session::action::HandGap, session::action::HandNotice>;
  enum class Stage : std::uint8_t { none, connecting, upgrading, open };
  struct Counters {
    telemetry::Counter messages, bytes, decode_errors, gaps, missed, duplicates, unknown_messages,
        connects, connect_failures, sends_dropped;
    telemetry::SharedCounter sends;
  };
  ClientLoop(ClientConfig config, transport::Url url, transport::Poller poller,
             transport::Wakeup wakeup);

  // Commands and actions.
  void carry_out_commands(Instant now);
  void perform();
  void put(const WsMessage& body);
  void perform_connect(session::ConnectionId connection);
  void perform_close(std::uint16_t code);
  void remember(const Notice& notice);
  void flush_sends();
  void flush();

  // Connecting.
  bool get_on_with_connecting(Instant now);
  bool get_on_with_upgrade(Instant now);
  void upgrade_step(transport::ClientHandshake::Step step, std::span<const char> rest, Instant now);
  void try_failed(Instant now, const transport::Error& error, session::Loss loss);
  void drop();

  // Reading.
  [[nodiscard]] const Delivery* next_delivery();
  [[nodiscard]] const Delivery* hand();
  enum class Taken : std::uint8_t { delivery, something, nothing };
  Taken take_event();
  Taken take_message(std::string_view payload);
  template <class T>
  Taken take_data(const T& body);
  void decode_failed(const Error& error);
  void on_close_frame(const transport::Incoming& close);
  void on_violation(const transport::Incoming& violation);
  void lost(Error cause, std::uint16_t close_code);
  void part(std::uint16_t code, std::string_view reason);

  void sleep(Instant until, Listen listen);
  void listen_for(transport::Interest interest);
  void publish_counts();

  const ClientConfig config_;
  const transport::Url url_;
  transport::Poller poller_;
  transport::Wakeup wakeup_;
  Mailbox mailbox_;
  session::ClientSession session_;
  Decoder decoder_;
  std::shared_ptr<detail::GateClientWords> gate_words_ =
      std::make_shared<detail::GateClientWords>();
  Gates gates_{gate_words_};

  Stage stage_ = Stage::none;
  session::ConnectionId at_ = session::ConnectionId::none;  // Of the connection or try below.
  transport::Connector connector_{};
  std::optional<transport::ClientHandshake> handshake_{};
  transport::Socket upgrading_{};
  std::size_t request_left_ = 0;
  transport::Connection connection_;
  /// The last connection that was said goodbye to, beside what comes next.
  transport::Parting parting_{};
  transport::Interest listening_ = transport::Interest::none;
  bool in_poller_ = false;

  Message message_{};
  Delivery delivery_{};
  bool message_held_ = false;  // message_ comes next, its Gap was handed over.
  Notice notice_{};            // Of the delivery that was handed out last.
  std::vector<Hand> handing_{};
  std::size_t handed_ = 0;
  bool abandoned_ = false;

  Instant now_{};
  Instant read_at_{};
  std::int64_t received_at_ = 0;
  std::uint64_t messages_ = 0;
  std::vector<Command> commands_{};
  std::string encoded_{};
  std::size_t reported_messages_ = 0;
  std::size_t reported_bytes_ = 0;

  // Written by the thread that runs the loop, read by any.
  std::atomic<ClientState> state_{ClientState::connecting};
  std::atomic<bool> connecting_{false};
  Counters counters_{};
  mutable std::mutex error_mutex_{};
  Error error_{};  // guarded by error_mutex_
};

}  // namespace stratwire::client
