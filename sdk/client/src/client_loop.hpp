/// The client but for the hand-over to the strategy: whoever owns a thread drives it.
#pragma once

#include <algorithm>
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
#include <stratwire/transport/connector.hpp>
#include <stratwire/transport/poller.hpp>
#include <stratwire/transport/url.hpp>

#include "gates.hpp"
#include "hops.hpp"
#include "line.hpp"
#include "mailbox.hpp"

namespace stratwire::client {

using session::Duration;
using session::Instant;

/// Socket, frames, codec and session in one loop, the same for both kinds of Threading:
///
///   turn()   commands, timers, connecting, writing; never blocks
///   next()   the next delivery out of what was read; nullptr when there is none
///   read()   one large recv() for each connection
///   wait()   sleeps until one of these has something to do
///
/// There is one connection, or two for as long as a successor takes over from a server that leaves.
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
  /// Connecting and writing, without a look at the timers; part of every turn().
  void get_on();
  [[nodiscard]] const Delivery* next() {
    const Delivery* const delivery = next_delivery();
    if (delivery == nullptr) return nullptr;
    gates_.handed(*delivery, lines_[reading_]->arrival.at);
    // What is replayed is late on purpose.
    if (Hops::is_sample(*delivery) && session_.state() == ClientState::live) [[unlikely]]
      hops_.received(*delivery);
    return delivery;
  }
  /// Precondition: next() said nullptr. \return whether something came
  bool read();

  /// Whether the socket is listened to while waiting.
  using Listen = Line::Listen;
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
  [[nodiscard]] bool is_parting() const noexcept {
    const auto said = [](const transport::Parting& parting) { return parting.all_said(); };
    return !std::all_of(partings_.begin(), partings_.end(), said);
  }
  /// From now on nothing is handed over: nobody will take it.
  void abandon();

  // ---- Any thread

  [[nodiscard]] Mailbox& mailbox() noexcept { return mailbox_; }
  /// After something was put in the mailbox.
  void notify() noexcept { wakeup_.notify(); }
  /// Ends wait(), without looking at the mailbox.
  void wake() noexcept { wakeup_.notify(); }
  [[nodiscard]] ClientState state() const noexcept;
  [[nodiscard]] Error error() const;
  /// But for what the strategy's side counts.
  [[nodiscard]] ClientMetrics metrics() const noexcept;
  void count_sent() noexcept { counters_.sends.add(); }
  [[nodiscard]] std::optional<ClockEstimate> clock() const;
  /// But for what the strategy's side measures.
  [[nodiscard]] ClientLatencies latencies() const { return hops_.latencies(); }

 private:
  /// What is to be handed over before anything else that was read.
  using Hand = std::variant<session::action::HandGap, session::action::HandNotice>;
  struct Counters {
    telemetry::Counter messages, bytes, decode_errors, gaps, missed, duplicates, refused,
        unknown_messages, connects, connect_failures, sends_dropped, stales, handovers;
    telemetry::SharedCounter sends;
  };
  ClientLoop(ClientConfig config, std::vector<transport::Url> urls, transport::Poller poller,
             transport::Wakeup wakeup);

  // Commands and actions.
  void carry_out_commands(Instant now);
  void perform();
  void perform_one(session::Action& action);
  void perform_connect(session::ConnectionId id, transport::Url url);
  void perform_successor(const session::action::ConnectSuccessor& successor);
  void perform_close(const session::action::Close& close);
  void perform_leave(const session::action::Leave& leave);
  void put(session::ConnectionId id, const WsMessage& body);
  void remember(const Notice& notice);
  void flush_sends(Line& line);
  void flush();
  void report_to_mailbox();

  // Connections.
  [[nodiscard]] Line* find(session::ConnectionId id) noexcept;
  [[nodiscard]] Line& free_line();
  bool advance();  // get_on() at `now_`; whether there was something to connect.
  bool get_on_with_connecting();
  void lost(Line& line, Error cause, std::uint16_t close_code);
  void part(Line& line, std::uint16_t code, std::string_view reason);
  bool read(Line& line);

  // Reading.
  [[nodiscard]] const Delivery* next_delivery();
  [[nodiscard]] const Delivery* hand();
  [[nodiscard]] const Delivery* hand_held();
  enum class Taken : std::uint8_t { delivery, something, nothing };
  Taken take_event();
  Taken take_event_of_other();
  Taken take_event(Line& line);
  Taken take_other(Line& line, const transport::Incoming& event);
  Taken take_message(Line& line, std::string_view payload);
  using Verdict = session::ClientSession::Verdict;
  Verdict admit(Line& line);
  Taken take_price(Line& line, const PriceUpdate& price);
  template <class T>
  Taken take_data(Line& line, const T& body);
  Taken take_gap();
  Taken take_control(Line& line);
  void decode_failed(const Error& error);
  void on_close_frame(Line& line, const transport::Incoming& close);
  void on_violation(Line& line, const transport::Incoming& violation);

  void sleep(Instant until, Listen listen);
  void publish_counts();

  const ClientConfig config_;
  /// That actions name by their index; a successor's are its own.
  const std::vector<transport::Url> urls_;
  transport::Poller poller_;
  transport::Wakeup wakeup_;
  Mailbox mailbox_;
  session::ClientSession session_;
  Decoder decoder_;
  std::shared_ptr<detail::GateClientWords> gate_words_ =
      std::make_shared<detail::GateClientWords>();
  Gates gates_{gate_words_};
  Hops hops_{};

  // The second one is made when a successor is first needed; both stay.
  std::array<std::unique_ptr<Line>, 2> lines_{};
  std::size_t reading_ = 0;  // The line that next() takes from.
  /// Connections that were said goodbye to; when there are more, the oldest is cut.
  std::array<transport::Parting, 4> partings_{};
  std::size_t parted_ = 0;

  Message message_{};
  Delivery delivery_{};
  bool message_held_ = false;  // message_ comes next, its Gap was handed over.
  Notice notice_{};            // Of the delivery that was handed out last.
  std::vector<Hand> handing_{};
  std::size_t handed_ = 0;
  bool abandoned_ = false;

  Instant now_{};
  std::uint64_t messages_ = 0;
  std::vector<Command> commands_{};
  std::string encoded_{};
  std::size_t reported_messages_ = 0;
  std::size_t reported_bytes_ = 0;
  std::size_t reported_channels_max_ = 0;

  // Written by the thread that runs the loop, read by any.
  std::atomic<ClientState> state_{ClientState::connecting};
  Counters counters_{};
  mutable std::mutex told_mutex_{};
  Error error_{};                 // guarded by told_mutex_
  session::ClockOffset clock_{};  // guarded by told_mutex_
};

}  // namespace stratwire::client
