/// What the load generator is asked to do.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace stratwire::bench {

enum class Protocol : std::uint8_t { websocket, resp, nats };

enum class Mode : std::uint8_t {
  fan_out,     ///< Subscribe, then count what comes in a window.
  idle,        ///< Subscribe and stay: time of the upgrades, memory of the server.
  round_trip,  ///< One connection: send a text, wait for one message, again.
};

struct Options {
  Mode mode = Mode::fan_out;
  Protocol protocol = Protocol::websocket;
  std::uint16_t port = 0;
  std::string unix_path{};
  std::string subprotocol{};
  std::size_t connections = 1;
  std::size_t channels = 1;        ///< Channels that the server publishes.
  std::size_t per_connection = 1;  ///< Of these, at random, for each connection.
  /// Text to subscribe with; {channels} becomes the quoted names, {names} the bare ones.
  std::string subscribe = R"({"type":"Subscribe","id":1,"channels":[{channels}]})";
  /// Text of a round trip.
  std::string ping = R"({"type":"Ping","t1":1732094400123456789})";
  double warmup_s = 0.5;
  double window_s = 2;
  bool spin = false;     ///< Never sleep in epoll_wait: shortest latency, a whole core.
  bool latency = false;  ///< Read the intended time of every message.
  int cpu = -1;          ///< Core of this program.
  std::uint64_t seed = 1;
  std::vector<int> watched{};  ///< Processes whose CPU time and memory are read.

  /// Ends the program with a word on what is wrong.
  [[nodiscard]] static Options parse(int argc, char** argv);
};

}  // namespace stratwire::bench
