/// Two PeerSessions that talk through memory, frame by frame, at a time that the test sets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <stratwire/codec.hpp>
#include <stratwire/session/peer_session.hpp>
#include <stratwire/testing/failure.hpp>

namespace stratwire::testing {

/// A PeerSession with what its owner would do: carries out actions, writes down what is handed
/// over.
///
/// A link is two queues of frames, `out` and the other half's `out`; what is not taken from there
/// is lost with the link. For tests of the rules between two Peers, without sockets; a strategy
/// that has a Peer is tested with two of them in one process.
///
/// \thread one thread at a time
class PeerHalf {
 public:
  explicit PeerHalf(session::PeerSessionConfig config)
      : config_(std::move(config)), decoder_(config_.codec) {
    session = std::make_unique<session::PeerSession>(config_);
  }

  std::unique_ptr<session::PeerSession> session;
  std::deque<std::string> out{};   ///< Frames on their way to the other half.
  bool wants_connect = false;      ///< A Connect action came.
  bool up = false;                 ///< The link is there, as far as this half knows.
  std::uint16_t closed_with = 0;   ///< Code of the last Drop.
  std::vector<std::string> log{};  ///< What was handed over, a line each.
  /// Called for each Request that is handed over.
  std::function<void(const Request&, PeerRequestId)> on_request{};
  /// Called with each message or Gap that is handed over, before it is written down.
  std::function<void(const PeerIdentity&, std::uint64_t seq, const WsMessage&)> on_handed{};
  /// Called for each event of the session, with whom it is about.
  std::function<void(const PeerIdentity&)> on_event{};
  /// Called with what was new and is none of the user's: a late Reply, a Request too many.
  std::function<void(const PeerIdentity&, std::uint64_t seq, const WsMessage&)> on_swallowed{};

  /// Begins anew, as a program that was started again.
  void restart(std::uint64_t epoch, session::Instant now) {
    config_.epoch = epoch;
    session = std::make_unique<session::PeerSession>(config_);
    out.clear();
    up = wants_connect = false;
    session->start(now);
    settle(now);
  }

  /// Does what the session says until it says nothing.
  void settle(session::Instant now) {
    while (auto action = session->next_action()) {
      if (std::holds_alternative<session::PeerSession::Connect>(*action)) {
        wants_connect = true;
      } else if (const auto* drop = std::get_if<session::PeerSession::Drop>(&*action)) {
        closed_with = drop->code;
        up = wants_connect = false;
      } else if (auto* const answer = std::get_if<session::PeerSession::Write>(&*action)) {
        put({{}, std::move(answer->message)});
      } else if (std::holds_alternative<session::PeerSession::Shutdown>(*action)) {
        write(now);
      }
    }
    while (session->has_events()) note(session->next_event());
  }
  /// Puts everything that the session has on the link, at most so many frames.
  void write(session::Instant now, std::size_t frames_max = ~std::size_t{0}) {
    for (; frames_max > 0; --frames_max) {
      const std::string_view payload = session->next_write(now);
      if (payload.empty()) return;
      out.emplace_back(payload);
    }
  }
  /// One frame of the other half comes.
  void take(session::Instant now, const std::string& frame) {
    session->heard(now);
    Message message;
    const auto decoded = decoder_.decode(frame, message);
    if (!decoded.ok()) {
      session->undecodable(decoded.error());
      return settle(now);
    }
    using Verdict = session::PeerSession::Verdict;
    const std::uint64_t received = session->counts().received;
    const Verdict verdict = session->receive(now, message);
    if (verdict == Verdict::deliver_after_gap || verdict == Verdict::gap) hand(0, session->gap());
    if (verdict == Verdict::deliver || verdict == Verdict::deliver_after_gap) {
      hand(message.envelope.seq, message.body);
      if (const auto* request = std::get_if<Request>(&message.body); request && on_request) {
        on_request(*request, {session->other().epoch, request->id});
      }
    } else if (session->counts().received != received && on_swallowed) {
      on_swallowed(session->other(), message.envelope.seq, message.body);
    }
    settle(now);
  }
  /// What was handed over since the last call.
  std::vector<std::string> take_log() { return std::exchange(log, {}); }

 private:
  void put(const Message& message) {
    std::string frame;
    const auto encoded = encode(config_.codec, message, frame);
    if (!encoded.ok()) return fail("can't be encoded: " + encoded.error().message());
    out.push_back(std::move(frame));
  }
  void hand(std::uint64_t seq, const WsMessage& body) {
    if (on_handed) on_handed(session->other(), seq, body);
    if (const auto* gap = std::get_if<Gap>(&body)) {
      log.push_back(line(*gap));
    } else if (const auto* event = std::get_if<Event>(&body)) {
      log.push_back(std::to_string(seq) + ' ' + std::string{event->type});
    } else if (const auto* price = std::get_if<PriceUpdate>(&body)) {
      log.push_back(std::to_string(seq) + " price " + std::to_string(price->volume));
    } else if (const auto* request = std::get_if<Request>(&body)) {
      log.push_back(std::to_string(seq) + " request " + std::to_string(request->id));
    } else if (const auto* reply = std::get_if<Reply>(&body)) {
      log.push_back(std::to_string(seq) + ' ' + line(*reply));
    } else if (const auto* error = std::get_if<ErrorReply>(&body)) {
      log.push_back("error " + std::string{to_string(error->code)});
    }
  }
  void note(const session::PeerSession::Event& event) {
    if (on_event) on_event(event.from);
    if (const auto* state = std::get_if<PeerStateEvent>(&event.what)) {
      std::string text = std::string{to_string(state->state)};
      if (state->state == PeerState::linked) {
        text += ' ' + std::string{event.from.name} + '/' + std::to_string(event.from.epoch) + " #" +
                std::to_string(event.from.generation);
      }
      if (state->cause.code != Errc::ok) text += ' ' + std::string{to_string(state->cause.code)};
      log.push_back(std::move(text));
    } else if (const auto* gap = std::get_if<Gap>(&event.what)) {
      if (on_handed) on_handed(event.from, 0, *gap);
      log.push_back(line(*gap));
    } else if (const auto* reply = std::get_if<Reply>(&event.what)) {
      log.push_back("no " + line(*reply));
    } else {
      log.push_back("error " + std::string{to_string(std::get<ErrorReply>(event.what).code)});
    }
  }
  static std::string line(const Gap& gap) {
    return "gap " + std::to_string(gap.from) + '-' + std::to_string(gap.to) + ' ' +
           std::string{to_string(gap.reason)};
  }
  static std::string line(const Reply& reply) {
    return "reply " + std::to_string(reply.id) + ' ' + std::string{to_string(reply.code)};
  }

  session::PeerSessionConfig config_;
  Decoder decoder_;
};

/// A side that listens and one that dials.
///
/// \thread one thread at a time
class PeerPair {
 public:
  explicit PeerPair(session::PeerSessionConfig listening = {},
                    session::PeerSessionConfig dialling = {})
      : a(with(std::move(listening), session::PeerSessionConfig::Role::listen, "alpha", 1'000'000)),
        b(with(std::move(dialling), session::PeerSessionConfig::Role::dial, "beta", 2'000'000)) {
    a.session->start(now);
    b.session->start(now);
    a.settle(now);
    b.settle(now);
  }

  session::Instant now{std::chrono::seconds{1'000'000}};
  PeerHalf a;
  PeerHalf b;
  std::uint64_t connections = 0;  ///< Number of the last one, which both sessions are told.

  /// A new connection, when the dialler wants one: both say PeerHello and hear the other's, the
  /// listener first.
  void connect() {
    while (b.session->state() == PeerState::backing_off) pass(std::chrono::milliseconds{10});
    b.wants_connect = false;
    const std::uint64_t number = ++connections;
    const PeerHello from_a = a.session->hello();
    const PeerHello from_b = b.session->hello();
    meet(a, number, from_b);
    meet(b, number, from_a);
  }
  /// The connection breaks; what was on its way is lost.
  void cut() {
    lose(a);
    lose(b);
  }
  void lose(PeerHalf& half) {
    half.out.clear();
    half.up = false;
    half.session->lost(now, {{Errc::connection_lost}, 0});
    half.settle(now);
  }
  /// Lets both write and read until nothing is left to say.
  void flow() {
    std::size_t frames = 0;
    do {
      a.write(now);
      b.write(now);
      frames = deliver(a, b) + deliver(b, a);
    } while (frames != 0);
  }
  /// Lets time pass; both look at their timers.
  void pass(session::Duration time) {
    now += time;
    for (PeerHalf* half : {&a, &b}) {
      half->session->tick(now);
      half->settle(now);
    }
  }
  /// At most so many frames get across.
  std::size_t deliver(PeerHalf& from, PeerHalf& to, std::size_t frames_max = ~std::size_t{0}) {
    std::size_t frames = 0;
    for (; frames < frames_max && !from.out.empty() && to.up; ++frames) {
      const std::string frame = std::move(from.out.front());
      from.out.pop_front();
      to.take(now, frame);
    }
    return frames;
  }

 private:
  static session::PeerSessionConfig with(session::PeerSessionConfig config,
                                         session::PeerSessionConfig::Role role, const char* name,
                                         std::uint64_t epoch) {
    config.role = role;
    if (config.name.empty()) config.name = name;
    config.epoch = epoch;
    return config;
  }
  void meet(PeerHalf& half, std::uint64_t number, const PeerHello& hello) {
    half.out.clear();
    const auto meeting = half.session->meet(now, number, hello);
    half.up = meeting.answer == session::PeerMeeting::Answer::linked;
    if (!half.up) half.closed_with = meeting.code;
    half.settle(now);
  }
};

}  // namespace stratwire::testing
