/// A ClientSession with a server and a socket made of function calls.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/session/client_session.hpp>

namespace stratwire::session {
using namespace std::chrono_literals;
using Names = std::vector<std::string>;
using Verdict = ClientSession::Verdict;

inline constexpr Instant t0{1h};
inline constexpr std::uint64_t kEpoch = 77;

/// One line for each action, so that a test reads like a protocol.
inline std::string line(const Action& action) {
  struct Text {
    std::string operator()(const action::Connect&) const { return "connect"; }
    std::string operator()(const action::ConnectSuccessor& a) const { return "successor " + a.url; }
    std::string operator()(const action::WritePing&) const { return "ping"; }
    std::string operator()(const action::ProbeClock&) const { return "probe"; }
    std::string operator()(const action::Leave&) const { return "leave"; }
    std::string operator()(const action::Close& a) const {
      return "close " + std::to_string(a.code);
    }
    std::string operator()(const action::Drop&) const { return "drop"; }
    std::string operator()(const action::HandGap& a) const {
      return "gap " + std::string{a.channel} + ' ' + std::to_string(a.gap.from) + '-' +
             std::to_string(a.gap.to) + ' ' + std::string{to_string(a.gap.reason)};
    }
    std::string operator()(const action::Write& a) const {
      if (const auto* hello = std::get_if<Hello>(&a.message)) return "hello " + hello->name;
      if (const auto* pong = std::get_if<Pong>(&a.message))
        return "pong " + std::to_string(pong->t1);
      std::string text = "unsubscribe";
      const Names* names = nullptr;
      if (const auto* ask = std::get_if<Subscribe>(&a.message)) {
        text = "subscribe";
        names = &ask->channels;
      } else if (const auto* leave = std::get_if<Unsubscribe>(&a.message)) {
        names = &leave->channels;
      }
      if (names == nullptr) return "other";
      for (const std::string& name : *names) text += ' ' + name;
      return text;
    }
    std::string operator()(const action::HandNotice& a) const {
      if (const auto* state = std::get_if<StateEvent>(&a.notice)) {
        std::string text =
            std::string{to_string(state->state)} + " #" + std::to_string(state->generation);
        if (state->cause.code != Errc::ok) text += ' ' + std::string{to_string(state->cause.code)};
        return text;
      }
      if (std::holds_alternative<Subscribed>(a.notice)) return "subscribed";
      if (std::holds_alternative<Unsubscribed>(a.notice)) return "unsubscribed";
      if (std::holds_alternative<GoAway>(a.notice)) return "goaway";
      if (const auto* fate = std::get_if<Published>(&a.notice)) {
        return "published " + std::to_string(fate->id) + ' ' + std::string{to_string(fate->code)};
      }
      return "error " + std::string{to_string(std::get<ErrorReply>(a.notice).code)};
    }
  };
  return std::visit(Text{}, action);
}

class ClientSessionTest : public ::testing::Test {
 protected:
  explicit ClientSessionTest(ClientSessionConfig with = config()) : session(std::move(with)) {}

  static ClientSessionConfig config() {
    ClientSessionConfig config;
    config.seed = 7;
    config.clock_interval = 0s;
    return config;
  }

  /// Everything that the session wants done since the last call.
  Names actions() {
    Names lines;
    while (auto action = session.next_action()) {
      if (const auto* write = std::get_if<action::Write>(&*action)) {
        if (const auto* ask = std::get_if<Subscribe>(&write->message)) asked = *ask;
        if (const auto* leave = std::get_if<Unsubscribe>(&write->message)) left = *leave;
      }
      if (const auto* notice = std::get_if<action::HandNotice>(&*action)) {
        if (const auto* state = std::get_if<StateEvent>(&notice->notice)) last = *state;
      }
      lines.push_back(line(*action));
    }
    return lines;
  }
  void connect(std::uint64_t epoch = kEpoch, std::uint32_t heartbeat_ms = 1000) {
    if (session.state() == ClientState::connecting) {
      session.start(now);
    } else {
      now = session.next_tick();
      session.tick(now);
    }
    session.opened(session.connection(), now);
    from_server(Welcome{1, epoch, heartbeat_ms, 64 * 1024, 1024, 0});
    actions_ignored = actions();
  }
  void from_server(WsMessage message, Envelope envelope = {}) {
    session.heard(session.connection(), now);
    session.control(session.connection(), envelope, std::move(message), {now, 0});
  }
  void answer(std::vector<ChannelResult> results) {
    from_server(Subscribed{asked.id, std::move(results)});
  }
  Verdict data(std::string_view channel, std::uint64_t seq) {
    return session.data(session.connection(), {channel, seq});
  }
  void send(std::uint64_t id, std::size_t bytes = 10) {
    session.send({id * 2, id, std::string(bytes, 'x'), now});
  }
  void lose() { session.lost(session.connection(), now, {{Errc::connection_lost}, 0}); }

  Instant now = t0;
  ClientSession session;
  Subscribe asked{};
  Unsubscribe left{};
  StateEvent last{};
  Names actions_ignored{};
};

}  // namespace stratwire::session
