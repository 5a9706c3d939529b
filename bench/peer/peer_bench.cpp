/// How long a request takes from one strategy to another and its reply back, nothing else going on.
///
/// 1. The answering side is on core 0, the asking side on core 1, in one process; both spin.
/// 2. Floor in the same run: a bare echo of as many bytes over the same kind of socket, without
///    frames, numbers, log or acknowledgements.
/// 3. Product rows: Peer::request() with a PriceUpdate, the handler over there replies with
///    another, and receive<PeerReply>() has it. So a round trip holds two encodings, two
///    decodings, two appends to logs and what the acknowledgements cost.
/// 4. Rows take turns; each percentile is the median of the rounds'. No samples are left out.
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <vector>

#include <stratwire/peer.hpp>
#include <stratwire/transport/connector.hpp>
#include <stratwire/transport/listener.hpp>

#include "../support/rig.hpp"

namespace stratwire::bench {
namespace {

using Clock = std::chrono::steady_clock;
using transport::IoStatus;

/// Of a Request in JSON, with its frame.
constexpr std::size_t kFloorBytes = 190;

enum class Family : std::uint8_t { tcp, unix_socket };

std::string socket_path() {
  return "/tmp/stratwire-bench-peer-" + std::to_string(getpid()) + ".sock";
}

double microseconds(Clock::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

// ---- Floor

/// Reads so many bytes, spinning; false when the other side has gone.
bool read_all(transport::Socket& socket, std::size_t bytes) {
  std::array<char, 4096> buffer;
  for (std::size_t used = 0; used < bytes;) {
    const auto got = socket.read_some(buffer);
    if (got.status == IoStatus::ok) {
      used += got.bytes;
    } else if (got.status != IoStatus::would_block) {
      return false;
    }
  }
  return true;
}

std::vector<double> run_floor(Family family, Clock::duration time) {
  auto listener = family == Family::tcp ? *transport::Listener::open("127.0.0.1", 0)
                                        : *transport::Listener::open_unix(socket_path());
  const std::string payload(kFloorBytes, 'x');
  std::thread answering([&] {
    pin(0);
    transport::Socket socket = accept_one(listener);
    while (read_all(socket, kFloorBytes)) {
      static_cast<void>(socket.write_some(std::span<const char>(payload)));
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
  const auto end = Clock::now() + time;
  for (auto start = Clock::now(); start < end; start = Clock::now()) {
    static_cast<void>(socket.write_some(std::span<const char>(payload)));
    if (!read_all(socket, kFloorBytes)) die("the answering side went away");
    samples.push_back(microseconds(Clock::now() - start));
  }
  socket.close();
  answering.join();
  return samples;
}

// ---- The product

Peer open_peer(PeerConfig config, Codec codec) {
  config.codec = codec;
  config.waiting = Waiting::spin;
  return Peer::open(std::move(config)).value();
}

/// Answers until it is told that it is over.
void answer(Peer& peer, const std::atomic<bool>& over) {
  pin(0);
  peer.on_request([&peer](const PeerRequest& request) noexcept {
    if (peer.reply(request.id, PriceUpdate{"USDC", "SOL", 142.3317, 12, 7}) != SendStatus::ok) {
      die("reply() did not take the message");
    }
  });
  // relaxed: nothing hangs on when it is seen.
  while (!over.load(std::memory_order_relaxed)) peer.poll();
  peer.close();
  while (peer.state() != PeerState::closed) peer.poll();
}

std::vector<double> run_product(Family family, Codec codec, Clock::duration time) {
  PeerConfig listening{.name = "answers"};
  listening.listen = family == Family::tcp ? "ws://127.0.0.1:0" : "ws+unix://" + socket_path();
  Peer other = open_peer(listening, codec);
  PeerConfig dialing{.name = "asks"};
  dialing.dial = other.url();
  Peer peer = open_peer(dialing, codec);
  std::atomic<bool> over{false};
  std::thread answering([&] { answer(other, over); });
  while (peer.state() != PeerState::linked) peer.poll();

  std::vector<double> samples;
  const PriceUpdate price{"USDC", "SOL", 142.3317, 12, 1'732'094'400'123'456'789};
  const auto end = Clock::now() + time;
  for (auto start = Clock::now(); start < end; start = Clock::now()) {
    if (!peer.request(price, std::chrono::seconds{0}).ok()) die("request() took nothing");
    const auto reply = peer.receive<PeerReply>();
    if (!reply || reply->code != Errc::ok) die("the link ended: " + peer.error().message());
    samples.push_back(microseconds(Clock::now() - start));
  }
  peer.close();
  // relaxed: as in answer().
  over.store(true, std::memory_order_relaxed);
  while (peer.state() != PeerState::closed) peer.poll();
  answering.join();
  return samples;
}

struct Row {
  Table::Name name;
  std::function<std::vector<double>(Clock::duration)> run;
};

int main_of(int argc, char** argv) {
  const double seconds = option(argc, argv, "--seconds", 10);
  const auto rounds = static_cast<std::size_t>(option(argc, argv, "--rounds", 3));
  const auto floor = [](Family family) {
    return [=](Clock::duration time) { return run_floor(family, time); };
  };
  const auto product = [](Family family, Codec codec) {
    return [=](Clock::duration time) { return run_product(family, codec, time); };
  };
  const std::string bare = "floor: bare TCP";
  const std::string bare_unix = "floor: bare AF_UNIX";
  const std::vector<Row> rows = {
      {{bare}, floor(Family::tcp)},
      {{"request and reply, JSON, TCP", bare}, product(Family::tcp, Codec::json)},
      {{"request and reply, MessagePack, TCP", bare}, product(Family::tcp, Codec::msgpack)},
      {{bare_unix}, floor(Family::unix_socket)},
      {{"request and reply, MessagePack, AF_UNIX", bare_unix},
       product(Family::unix_socket, Codec::msgpack)},
  };
  const auto time = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
      seconds / static_cast<double>(rounds) / static_cast<double>(rows.size())));
  pin(1);
  std::printf("request and reply between two peers, both spin; medians of %zu rounds of %.2f s\n",
              rounds, std::chrono::duration<double>(time).count());
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
