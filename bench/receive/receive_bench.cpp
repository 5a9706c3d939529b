/// How many messages a second one client takes over one connection.
///
/// 1. A bare sender on core 0 writes ready frames as fast as the socket takes them, 64 KiB at a
/// time;
///    it only counts `seq` up in them, so that the client's continuity check has something to
///    check.
/// 2. The receiver is on core 1: the client with no thread of its own, or its I/O thread and the
///    strategy, which share that core and yield to one another.
/// 3. Floors in the same run: recv() alone, and recv() with frames parsed but not decoded.
/// 4. Rows take turns; each figure is the median of the rounds, with the spread beside it.
///
/// On loopback the sender's core also does the receiver's TCP work, so that a row near the recv()
/// floor is limited by the sender.
#include <atomic>
#include <chrono>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>

#include <stratwire/client.hpp>
#include <stratwire/codec.hpp>
#include <stratwire/transport/connector.hpp>
#include <stratwire/transport/frame.hpp>
#include <stratwire/transport/poller.hpp>

#include "../support/rig.hpp"

namespace stratwire::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr const char* kChannel = "prices:SOL-USDC";
constexpr std::uint64_t kFirstSeq = 1'000'000'000;  // Ten digits for hours.
// In the next thousand only the seven digits in front are others, and the same in all frames: the
// sender must not be slowed down by counting.
constexpr std::size_t kFrames = 1000;
constexpr std::size_t kDigits = 10;
constexpr std::size_t kFrontDigits = 7;

/// Frames with rising `seq`, in one buffer.
class Frames {
 public:
  explicit Frames(Codec codec) : codec_(codec) {
    std::string payload;
    for (std::uint64_t i = 0; i < kFrames; ++i) {
      payload.clear();
      const PriceUpdate price{"USDC", "SOL", 142.3317, 12 + i % 7, 1'732'094'400'123'456'789};
      encode(codec, Message{{kChannel, kFirstSeq + i}, price}, payload).value();
      const auto opcode =
          codec == Codec::json ? transport::Opcode::text : transport::Opcode::binary;
      const std::size_t at = bytes_.size();
      transport::append_frame(bytes_, {opcode, {}, transport::FrameHead::Fin::last}, payload);
      seqs_.push_back(at + (bytes_.size() - at - payload.size()) + seq_offset(payload, i));
    }
    message_bytes_ = payload.size();
  }

  /// The next kFrames numbers.
  void count_up() {
    next_ += kFrames;
    if (codec_ == Codec::json) {
      std::array<char, kDigits> digits{};
      write_seq(digits.data(), next_);
      for (const std::size_t at : seqs_) std::memcpy(&bytes_[at], digits.data(), kFrontDigits);
    } else {
      for (std::size_t i = 0; i < kFrames; ++i) write_seq(&bytes_[seqs_[i]], next_ + i);
    }
  }
  [[nodiscard]] std::string_view bytes() const { return bytes_; }
  [[nodiscard]] std::size_t message_bytes() const { return message_bytes_; }

 private:
  [[nodiscard]] std::size_t seq_offset(std::string_view payload, std::uint64_t i) const {
    std::array<char, kDigits> text{};
    write_seq(text.data(), kFirstSeq + i);
    return payload.find(std::string_view{text.data(), codec_ == Codec::json ? kDigits : 8});
  }
  void write_seq(char* at, std::uint64_t seq) const {
    if (codec_ == Codec::json) {
      for (std::size_t i = kDigits; i-- > 0; seq /= 10) at[i] = static_cast<char>('0' + seq % 10);
    } else {
      const std::uint64_t big_endian = __builtin_bswap64(seq);
      std::memcpy(at, &big_endian, sizeof big_endian);
    }
  }

  Codec codec_;
  std::string bytes_{};
  std::vector<std::size_t> seqs_{};
  std::size_t message_bytes_ = 0;
  std::uint64_t next_ = kFirstSeq;
};

/// Serves one connection at a time until it is destroyed.
class Sender {
 public:
  enum class Greeting : std::uint8_t { none, native };

  Sender(Codec codec, Greeting greeting)
      : codec_(codec),
        greeting_(greeting),
        listener_(*transport::Listener::open("127.0.0.1", 0)),
        thread_([this] { run(); }) {}
  ~Sender() { stop(); }
  /// Ends the connection too.
  void stop() {
    // relaxed: nothing is handed over with it; join() orders the rest.
    stop_.store(true, std::memory_order_relaxed);
    if (thread_.joinable()) thread_.join();
  }
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  [[nodiscard]] std::string url() const {
    return "ws://127.0.0.1:" + std::to_string(listener_.local_port());
  }

 private:
  void run() {
    pin(0);
    Frames frames{codec_};
    transport::Socket socket = accept_one(listener_);
    upgrade(socket);
    if (greeting_ == Greeting::native) greet(socket);
    transport::Poller poller = *transport::Poller::open();
    static_cast<void>(poller.add(socket.fd(), 0, transport::Interest::write));
    std::string_view left = frames.bytes();
    // relaxed: as in stop().
    while (!stop_.load(std::memory_order_relaxed)) {
      const auto sent =
          socket.write_some(std::span<const char>(left.data(), std::min(left.size(), kWriteBytes)));
      if (sent.status == transport::IoStatus::would_block) {
        // Asleep until a third of the buffer is free: asking again and again would fight the
        // receiver for the socket's lock, and for the core where two threads share one.
        std::array<transport::Ready, 1> ready{};
        static_cast<void>(poller.wait(ready, std::chrono::milliseconds{10}));
        continue;
      }
      if (sent.status != transport::IoStatus::ok) return;
      left.remove_prefix(sent.bytes);
      if (!left.empty()) continue;
      frames.count_up();
      left = frames.bytes();
    }
  }

  /// Welcome, then the grant of the one subscription.
  void greet(transport::Socket& socket) {
    say(socket, Welcome{1, 7, 60'000, 65'536, 1024, 0});
    transport::FrameParser parser{transport::Role::server};
    std::array<char, 4096> buffer;
    Decoder decoder{codec_};
    Message message;
    std::size_t used = 0;
    for (;;) {
      const auto got = socket.read_some({buffer.data() + used, buffer.size() - used});
      if (got.status == transport::IoStatus::ok) used += got.bytes;
      std::span<char> input(buffer.data(), used);
      const auto event = parser.next(input);
      if (event.kind != transport::Incoming::Kind::message) continue;
      if (!decoder.decode(event.payload, message).ok()) continue;
      if (const auto* request = std::get_if<Subscribe>(&message.body)) {
        say(socket, Subscribed{request->id, {{kChannel, Errc::ok, "", 7, kFirstSeq - 1}}});
        return;
      }
    }
  }
  void say(transport::Socket& socket, WsMessage body) {
    std::string payload;
    encode(codec_, Message{{}, std::move(body)}, payload).value();
    std::string frame;
    const auto opcode = codec_ == Codec::json ? transport::Opcode::text : transport::Opcode::binary;
    transport::append_frame(frame, {opcode, {}, transport::FrameHead::Fin::last}, payload);
    static_cast<void>(socket.write_some(std::span<const char>(frame)));
  }

  static constexpr std::size_t kWriteBytes = 256 * 1024;
  Codec codec_;
  Greeting greeting_;
  transport::Listener listener_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

/// A connected and upgraded socket without a client around it.
transport::Socket dial(const std::string& url) {
  const auto parsed = transport::Url::parse(url);
  transport::Connector connector;
  connector.start(*parsed);
  while (connector.wait(std::chrono::seconds{1}) == transport::Connector::Status::pending) {
  }
  transport::Socket socket = connector.take_socket();
  transport::ClientHandshake handshake{*parsed, {}};
  static_cast<void>(socket.write_some(std::span<const char>(handshake.request())));
  for (;;) {
    // Byte by byte, so that no frame is taken with the head.
    char byte = 0;
    const auto got = socket.read_some({&byte, 1});
    if (got.status != transport::IoStatus::ok) continue;
    std::span<const char> input(&byte, 1);
    if (handshake.feed(input) == transport::ClientHandshake::Step::upgraded) return socket;
  }
}

// ---- Rows: each runs for `time`.

struct Figures {
  double messages_per_second = 0;
  /// Of the receiving thread, system calls included; says what a busy machine does not.
  double cpu_ns_per_message = 0;
};

double thread_cpu_ns() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

/// From its making to figures().
class Stopwatch {
 public:
  explicit Stopwatch(Clock::duration time) : time_(time) {}
  [[nodiscard]] bool running() const { return Clock::now() - start_ < time_; }
  [[nodiscard]] Figures figures(std::uint64_t messages) const {
    const std::chrono::duration<double> took = Clock::now() - start_;
    const auto count = static_cast<double>(std::max<std::uint64_t>(1, messages));
    return {count / took.count(), (thread_cpu_ns() - cpu_ns_) / count};
  }

 private:
  Clock::duration time_;
  Clock::time_point start_ = Clock::now();
  double cpu_ns_ = thread_cpu_ns();
};

Figures run_recv(Codec codec, Clock::duration time) {
  const std::size_t frame_bytes = Frames{codec}.bytes().size() / kFrames;
  Sender sender{codec, Sender::Greeting::none};
  transport::Socket socket = dial(sender.url());
  std::vector<char> buffer(128 * 1024);
  std::uint64_t bytes = 0;
  const Stopwatch watch{time};
  while (watch.running()) {
    const auto got = socket.read_some(buffer);
    if (got.status == transport::IoStatus::ok) bytes += got.bytes;
  }
  return watch.figures(bytes / frame_bytes);
}

Figures run_frames(Codec codec, Clock::duration time) {
  Sender sender{codec, Sender::Greeting::none};
  transport::Socket socket = dial(sender.url());
  transport::FrameParser parser{transport::Role::client};
  std::vector<char> buffer(256 * 1024);
  std::size_t kept = 0;
  std::uint64_t messages = 0;
  const Stopwatch watch{time};
  while (watch.running()) {
    const auto got = socket.read_some({buffer.data() + kept, 128 * 1024});
    if (got.status != transport::IoStatus::ok) continue;
    std::span<char> input(buffer.data(), kept + got.bytes);
    while (parser.next(input).kind == transport::Incoming::Kind::message) ++messages;
    kept = input.size();
    std::memmove(buffer.data(), input.data(), kept);
  }
  return watch.figures(messages);
}

Figures run_client(Codec codec, Threading threading, Clock::duration time) {
  Sender sender{codec, Sender::Greeting::native};
  ClientConfig config;
  config.url = sender.url();
  config.codec = codec;
  config.threading = threading;
  if (threading == Threading::own_thread) config.io_cpu = 1;
  config.waiting = threading == Threading::own_thread ? Waiting::yield : Waiting::spin;
  Client client = Client::open(config).value();
  client.subscribe({kChannel}).value();
  std::uint64_t messages = 0;
  double sum = 0;
  const auto poll = [&] {
    client.poll([&](const Delivery& delivery) noexcept {
      if (const auto* price = delivery.get_if<PriceUpdate>()) {
        ++messages;
        sum += price->price;
      }
    });
  };
  while (messages == 0) poll();
  const std::uint64_t before = messages;
  const Stopwatch watch{time};
  while (watch.running()) {
    for (int i = 0; i < 16; ++i) poll();
  }
  Figures figures = watch.figures(messages - before);
  // Of two threads that share a core, what one uses says nothing.
  if (threading == Threading::own_thread) figures.cpu_ns_per_message = 0;
  sender.stop();
  if (client.metrics().gaps != 0 || client.metrics().duplicates != 0 || sum <= 0) {
    die("messages were lost or came twice: the figure would mean nothing");
  }
  return figures;
}

struct Row {
  Table::Name name;
  std::function<Figures(Clock::duration)> run;
};

int main_of(int argc, char** argv) {
  const double seconds = option(argc, argv, "--seconds", 10);
  const auto rounds = static_cast<std::size_t>(option(argc, argv, "--rounds", 5));
  const std::string json = "floor: recv() alone, JSON frames";
  const std::string msgpack = "floor: recv() alone, MessagePack frames";
  const std::vector<Row> rows = {
      {{json}, [](auto t) { return run_recv(Codec::json, t); }},
      {{msgpack}, [](auto t) { return run_recv(Codec::msgpack, t); }},
      {{"frames counted, JSON", json}, [](auto t) { return run_frames(Codec::json, t); }},
      {{"frames counted, MessagePack", msgpack},
       [](auto t) { return run_frames(Codec::msgpack, t); }},
      {{"PriceUpdate in poll(), JSON, no thread", json},
       [](auto t) { return run_client(Codec::json, Threading::caller, t); }},
      {{"PriceUpdate in poll(), MessagePack, no thread", msgpack},
       [](auto t) { return run_client(Codec::msgpack, Threading::caller, t); }},
      {{"PriceUpdate in poll(), JSON, I/O thread and ring", json},
       [](auto t) { return run_client(Codec::json, Threading::own_thread, t); }},
      {{"PriceUpdate in poll(), MessagePack, I/O thread and ring", msgpack},
       [](auto t) { return run_client(Codec::msgpack, Threading::own_thread, t); }},
  };
  // One row alone, from 1, for a profiler.
  const auto only = static_cast<std::size_t>(option(argc, argv, "--row", 99)) - 1;
  const auto time = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
      seconds / static_cast<double>(rounds) / static_cast<double>(rows.size())));
  pin(1);
  std::printf("receive, one connection over loopback: %zu-byte JSON, %zu-byte MessagePack\n",
              Frames{Codec::json}.message_bytes(), Frames{Codec::msgpack}.message_bytes());
  std::printf(
      "medians of %zu rounds of %.2f s; CPU ns per message of the receiving thread where there is "
      "one\n",
      rounds, std::chrono::duration<double>(time).count());
  Table table{"million messages/s", Table::Better::more, {"M/s", "CPU ns"}};
  for (std::size_t round = 0; round < rounds; ++round) {
    for (const Row& row : rows) {
      if (only < rows.size() && &row != &rows[only]) continue;
      const Figures figures = row.run(time);
      table.add(row.name, {figures.messages_per_second / 1e6, figures.cpu_ns_per_message});
    }
  }
  table.finish(argc, argv);
  return 0;
}

}  // namespace
}  // namespace stratwire::bench

int main(int argc, char** argv) {
  return stratwire::bench::main_of(argc, argv);
}
