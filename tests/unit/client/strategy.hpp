/// A strategy that writes down everything that it is handed, one line each.
#pragma once

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/client.hpp>
#include <stratwire/testing/scripted_peer.hpp>

#include "../../support/report.hpp"

namespace stratwire::testing {

inline std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", value);
  return text;
}

/// "prices:A 7 = 142.5", "gap prices:A 2-4 disconnected", "live #1", "published 5 ok" ...
inline std::string line(const Delivery& delivery) {
  const std::string place =
      std::string{delivery.envelope.channel} + ' ' + std::to_string(delivery.envelope.seq);
  if (const auto* price = delivery.get_if<PriceUpdate>())
    return place + " = " + number(price->price);
  if (const auto* account = delivery.get_if<AccountUpdate>()) {
    return place + " account " + std::string{account->pubkey} + ' ' +
           std::to_string(account->lamports);
  }
  if (const auto* event = delivery.get_if<Event>()) {
    return place + ' ' + std::string{event->type} + ' ' + std::string{event->data.bytes};
  }
  if (const auto* gap = delivery.get_if<Gap>()) {
    return "gap " + std::string{delivery.envelope.channel} + ' ' + std::to_string(gap->from) + '-' +
           std::to_string(gap->to) + ' ' + std::string{to_string(gap->reason)};
  }
  if (const auto* state = delivery.get_if<StateEvent>()) {
    std::string text =
        std::string{to_string(state->state)} + " #" + std::to_string(state->generation);
    if (state->cause.code != Errc::ok) text += ' ' + std::string{to_string(state->cause.code)};
    return text;
  }
  if (const auto* fate = delivery.get_if<Published>()) {
    return "published " + std::to_string(fate->id) + ' ' + std::string{to_string(fate->code)};
  }
  if (const auto* answer = delivery.get_if<Subscribed>()) {
    std::string text = "subscribed";
    for (const ChannelResult& result : answer->results) {
      text += ' ' + result.channel;
      if (result.code != Errc::ok) text += '!' + std::string{to_string(result.code)};
    }
    return text;
  }
  if (delivery.get_if<Unsubscribed>() != nullptr) return "unsubscribed";
  if (delivery.get_if<GoAway>() != nullptr) return "goaway";
  return "error " + std::string{to_string(delivery.get_if<ErrorReply>()->code)};
}

struct Mode {
  Threading threading = Threading::own_thread;
  Codec codec = Codec::json;
  Waiting waiting = Waiting::park;
};
inline std::string mode_name(const ::testing::TestParamInfo<Mode>& info) {
  std::string name = info.param.threading == Threading::caller ? "caller" : "own_thread";
  name += info.param.codec == Codec::json ? "_json" : "_msgpack";
  name += info.param.waiting == Waiting::spin ? "_spin" : "";
  return name;
}
inline const auto kModes = ::testing::Values(
    Mode{Threading::own_thread, Codec::json}, Mode{Threading::own_thread, Codec::msgpack},
    Mode{Threading::caller, Codec::json}, Mode{Threading::caller, Codec::msgpack},
    Mode{Threading::own_thread, Codec::msgpack, Waiting::spin},
    Mode{Threading::caller, Codec::json, Waiting::spin});

inline ClientConfig config_for(const Mode& mode, const ScriptedPeer& peer) {
  ClientConfig config;
  config.url = peer.url();
  config.codec = mode.codec;
  config.threading = mode.threading;
  config.waiting = mode.waiting;
  return config;
}

/// A client and a scripted peer; polling happens while the peer waits.
class Strategy {
 public:
  Strategy(ScriptedPeer& peer, ClientConfig config)
      : client(Client::open(std::move(config)).value()), peer_(peer) {
    peer_.while_waiting = [this] { poll(); };
  }
  /// The peer goes first, so that no test waits for a close handshake that it is not about.
  ~Strategy() {
    for (ScriptedPeer* const peer : {&peer_, other_}) {
      if (peer == nullptr) continue;
      peer->while_waiting = [] {};
      peer->cut();
    }
  }
  /// A second peer of the same client.
  void also(ScriptedPeer& other) {
    other_ = &other;
    other.while_waiting = [this] { poll(); };
  }
  Strategy(const Strategy&) = delete;
  Strategy& operator=(const Strategy&) = delete;

  void poll() {
    client.poll([this](const Delivery& delivery) noexcept { heard.push_back(line(delivery)); });
  }
  /// Polls until this line was heard.
  [[nodiscard]] bool hears(const std::string& text) {
    const bool came = eventually([&] {
      poll();
      return std::find(heard.begin(), heard.end(), text) != heard.end();
    });
    if (!came) {
      std::string all;
      for (const std::string& each : heard) all += each + '\n';
      ADD_FAILURE() << "never heard '" << text << "' but:\n" << all;
    }
    return came;
  }
  /// Subscribes, is granted that, and hears the channel's first message: seq 1, price 1.
  [[nodiscard]] bool follows(const std::string& channel, std::uint64_t epoch) {
    client.subscribe({channel}).value();
    peer_.greet_and_grant(epoch, 0);
    peer_.price(channel, 1, 1);
    return hears(channel + " 1 = 1");
  }
  [[nodiscard]] bool reaches(ClientState state) {
    return eventually([&] {
      poll();
      return client.state() == state;
    });
  }
  /// Everything since the last call.
  std::vector<std::string> take() { return std::exchange(heard, {}); }

  Client client;
  std::vector<std::string> heard{};

 private:
  ScriptedPeer& peer_;
  ScriptedPeer* other_ = nullptr;
};

using Lines = std::vector<std::string>;

class ClientTest : public ::testing::TestWithParam<Mode> {
 protected:
  [[nodiscard]] ClientConfig config() const { return config_for(GetParam(), peer); }

  ScriptedPeer peer{GetParam().codec};
};

}  // namespace stratwire::testing
