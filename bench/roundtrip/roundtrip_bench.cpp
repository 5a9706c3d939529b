/// How long one message takes from a strategy to a server and back, nothing else going on.
///
/// 1. The answering side is on core 0, the asking side on core 1, in one process.
/// 2. Floors in the same run: a bare TCP (or AF_UNIX) echo of a frame's bytes, and the same with
///    WebSocket frames made, masked and parsed at both ends.
/// 3. Product rows: the client send()s a PriceUpdate to a channel that it is subscribed to, the
///    server stamps and fans it out like any other, the client gets it in poll(). So a round trip
///    holds two decodings, two encodings, the inbox, the hub and the continuity check.
/// 4. Rows take turns; each percentile is the median of the rounds'. No samples are left out.
#include <atomic>
#include <chrono>
#include <cstring>
#include <functional>
#include <memory>
#include <unistd.h>

#include <stratwire/client.hpp>
#include <stratwire/server.hpp>
#include <stratwire/transport/connector.hpp>
#include <stratwire/transport/frame.hpp>
#include <stratwire/transport/poller.hpp>
#include <stratwire/transport/random.hpp>

#include "../support/rig.hpp"

namespace stratwire::bench {
namespace {

using Clock = std::chrono::steady_clock;
using transport::IoStatus;

constexpr const char* kChannel = "prices:SOL-USDC";
constexpr std::size_t kPayloadBytes = 159;

enum class Family : std::uint8_t { tcp, unix_socket };
enum class Framing : std::uint8_t { none, websocket };

std::string socket_path() {
  return "/tmp/stratwire-bench-" + std::to_string(getpid()) + ".sock";
}

/// Waits for bytes as told, then reads them.
class Reader {
 public:
  Reader(transport::Socket& socket, Waiting waiting)
      : socket_(socket), waiting_(waiting), poller_(*transport::Poller::open()) {
    static_cast<void>(poller_.add(socket.fd(), 0, transport::Interest::read));
  }
  /// Bytes read; 0 when the peer has gone.
  std::size_t read(std::span<char> into) {
    for (;;) {
      const auto got = socket_.read_some(into);
      if (got.status == IoStatus::ok) return got.bytes;
      if (got.status != IoStatus::would_block) return 0;
      if (waiting_ == Waiting::spin) continue;
      std::array<transport::Ready, 1> ready{};
      static_cast<void>(poller_.wait(ready, transport::Poller::kNoTimeout));
    }
  }

 private:
  transport::Socket& socket_;
  Waiting waiting_;
  transport::Poller poller_;
};

/// One end of an echo: makes a message's bytes, and knows when one has come.
class Echo {
 public:
  Echo(transport::Role role, Framing framing) : role_(role), framing_(framing), parser_(role) {}

  [[nodiscard]] std::string_view message() {
    if (framing_ == Framing::none) return payload_;
    frame_.clear();
    std::optional<transport::MaskKey> key;
    if (role_ == transport::Role::client) key = keys_.next();
    transport::append_frame(frame_, {transport::Opcode::text, key, transport::FrameHead::Fin::last},
                            payload_);
    return frame_;
  }
  /// Reads until a message is whole; false when the peer has gone.
  bool take(Reader& reader) {
    std::size_t used = 0;
    for (;;) {
      const std::size_t got = reader.read({buffer_.data() + used, buffer_.size() - used});
      if (got == 0) return false;
      used += got;
      if (framing_ == Framing::none) {
        if (used >= kPayloadBytes) return true;
        continue;
      }
      std::span<char> input(buffer_.data(), used);
      if (parser_.next(input).kind == transport::Incoming::Kind::message) return true;
    }
  }

 private:
  transport::Role role_;
  Framing framing_;
  std::string payload_ = std::string(kPayloadBytes, 'x');
  std::string frame_{};
  transport::FrameParser parser_;
  transport::MaskKeys keys_{};
  std::array<char, 4096> buffer_{};
};

double microseconds(Clock::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

// ---- Floors

std::vector<double> run_floor(Family family, Framing framing, Waiting waiting,
                              Clock::duration time) {
  auto listener = family == Family::tcp ? *transport::Listener::open("127.0.0.1", 0)
                                        : *transport::Listener::open_unix(socket_path());
  std::thread answering([&] {
    pin(0);
    transport::Socket socket = accept_one(listener);
    Reader reader{socket, waiting};
    Echo echo{transport::Role::server, framing};
    while (echo.take(reader)) {
      static_cast<void>(socket.write_some(std::span<const char>(echo.message())));
    }
  });
  transport::Url url;
  url.host = "127.0.0.1";
  url.port = listener.local_port();
  if (family == Family::unix_socket) {
    url.kind = transport::Url::Kind::unix_socket;
    url.socket_path = socket_path();
  }
  transport::Connector connector;
  connector.start(url);
  while (connector.wait(std::chrono::seconds{1}) == transport::Connector::Status::pending) {
  }
  transport::Socket socket = connector.take_socket();
  std::vector<double> samples;
  {
    Reader reader{socket, waiting};
    Echo echo{transport::Role::client, framing};
    const auto end = Clock::now() + time;
    for (auto start = Clock::now(); start < end; start = Clock::now()) {
      static_cast<void>(socket.write_some(std::span<const char>(echo.message())));
      if (!echo.take(reader)) die("the answering side went away");
      samples.push_back(microseconds(Clock::now() - start));
    }
  }
  socket.close();
  answering.join();
  return samples;
}

// ---- The product

std::vector<double> run_product(Family family, Codec codec, Waiting waiting, Threading threading,
                                Clock::duration time) {
  ServerConfig settings;
  settings.port = 0;
  settings.waiting = waiting;
  settings.io_cpu = 0;
  settings.network_publish = NetworkPublish::allowed;
  if (family == Family::unix_socket) settings.unix_path = socket_path();
  Server server = Server::open(settings).value();
  ClientConfig config;
  config.url = family == Family::tcp ? "ws://" + server.local_addr() : "ws+unix://" + socket_path();
  config.codec = codec;
  config.threading = threading;
  config.waiting = waiting;
  if (threading == Threading::own_thread) config.io_cpu = 1;
  Client client = Client::open(config).value();
  client.subscribe({kChannel}).value();
  while (client.state() != ClientState::live) client.poll();

  const PriceUpdate price{"USDC", "SOL", 142.3317, 12, 1'732'094'400'123'456'789};
  std::vector<double> samples;
  const auto end = Clock::now() + time;
  for (auto start = Clock::now(); start < end; start = Clock::now()) {
    if (client.send(kChannel, price) != SendStatus::ok) die("send() did not take the message");
    if (!client.receive<PriceUpdate>()) die("the connection ended: " + client.error().message());
    samples.push_back(microseconds(Clock::now() - start));
  }
  return samples;
}

struct Row {
  Table::Name name;
  std::function<std::vector<double>(Clock::duration)> run;
};

std::vector<Row> all_rows() {
  const auto floor = [](Family family, Framing framing, Waiting waiting) {
    return [=](Clock::duration time) { return run_floor(family, framing, waiting, time); };
  };
  const auto product = [](Family family, Codec codec, Waiting waiting, Threading threading) {
    return
        [=](Clock::duration time) { return run_product(family, codec, waiting, threading, time); };
  };
  const std::string bare = "floor: bare TCP, both spin";
  const std::string frames = "floor: WebSocket frames over TCP, both spin";
  const std::string frames_unix = "floor: WebSocket frames over AF_UNIX, both spin";
  const std::string bare_asleep = "floor: bare TCP, both sleep";
  const std::string frames_asleep = "floor: WebSocket frames over TCP, both sleep";
  return {
      {{bare}, floor(Family::tcp, Framing::none, Waiting::spin)},
      {{frames, bare}, floor(Family::tcp, Framing::websocket, Waiting::spin)},
      {{"client and server, JSON, both spin, no client thread", frames},
       product(Family::tcp, Codec::json, Waiting::spin, Threading::caller)},
      {{"client and server, MessagePack, both spin, no client thread", frames},
       product(Family::tcp, Codec::msgpack, Waiting::spin, Threading::caller)},
      {{frames_unix}, floor(Family::unix_socket, Framing::websocket, Waiting::spin)},
      {{"client and server, MessagePack, AF_UNIX, both spin, no client thread", frames_unix},
       product(Family::unix_socket, Codec::msgpack, Waiting::spin, Threading::caller)},
      {{bare_asleep}, floor(Family::tcp, Framing::none, Waiting::park)},
      {{frames_asleep, bare_asleep}, floor(Family::tcp, Framing::websocket, Waiting::park)},
      {{"client and server, JSON, both sleep, no client thread", frames_asleep},
       product(Family::tcp, Codec::json, Waiting::park, Threading::caller)},
      {{"client and server, JSON, both sleep, client with I/O thread", frames_asleep},
       product(Family::tcp, Codec::json, Waiting::park, Threading::own_thread)},
  };
}

int main_of(int argc, char** argv) {
  const double seconds = option(argc, argv, "--seconds", 10);
  const auto rounds = static_cast<std::size_t>(option(argc, argv, "--rounds", 3));
  const std::vector<Row> rows = all_rows();
  const auto time = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
      seconds / static_cast<double>(rounds) / static_cast<double>(rows.size())));
  pin(1);
  std::printf("round trip of one %zu-byte message; medians of %zu rounds of %.2f s\n",
              kPayloadBytes, rounds, std::chrono::duration<double>(time).count());
  Table table{"us"};
  for (std::size_t round = 0; round < rounds; ++round) {
    for (const Row& row : rows) table.add_samples(row.name, row.run(time));
  }
  table.finish(argc, argv);
  return 0;
}

}  // namespace
}  // namespace stratwire::bench

int main(int argc, char** argv) {
  return stratwire::bench::main_of(argc, argv);
}
