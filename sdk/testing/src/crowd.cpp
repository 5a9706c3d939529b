#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <variant>

#include <stratwire/testing/crowd.hpp>
#include <stratwire/transport/handshake.hpp>
#include <stratwire/transport/socket.hpp>
#include <stratwire/transport/url.hpp>

namespace stratwire::testing {
namespace {

constexpr std::size_t kReadBytes = 64 * 1024;

transport::Opcode opcode_of(Codec codec) noexcept {
  return codec == Codec::json ? transport::Opcode::text : transport::Opcode::binary;
}

}  // namespace

std::size_t raise_descriptor_limit() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

struct Crowd::Line {
  transport::Socket socket{};
  std::unique_ptr<transport::ClientHandshake> handshake{};
  transport::FrameParser parser{transport::Role::client, {.message_bytes_max = 4 << 20}};
  std::string input{};
  Member member{};
};

Crowd::Crowd(const Config& config)
    : config_(config),
      poller_(*transport::Poller::open()),
      decoder_(config.codec),
      block_(kReadBytes) {
  for (std::size_t i = 0; i < config.members; ++i) join(i);
}
Crowd::~Crowd() = default;
Crowd::Crowd(Crowd&&) noexcept = default;
Crowd& Crowd::operator=(Crowd&&) noexcept = default;

void Crowd::join(std::size_t index) {
  auto line = std::make_unique<Line>();
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(config_.port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int bytes = config_.receive_buffer_bytes;
  if (bytes != 0) ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  line->member.has_ended =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0;
  line->socket = transport::Socket(fd);
  const auto url = transport::Url::parse("ws://127.0.0.1/");
  line->handshake = std::make_unique<transport::ClientHandshake>(
      *url, std::vector<std::string_view>{config_.codec == Codec::json ? "stratwire.v1.json"
                                                                       : "stratwire.v1.msgpack"});
  send(*line, line->handshake->request());
  static_cast<void>(poller_.add(fd, index, transport::Interest::read));
  lines_.push_back(std::move(line));
}

void Crowd::poll(std::chrono::nanoseconds timeout, const OnData& on_data) {
  std::array<transport::Ready, transport::Poller::kReadyMax> ready;
  const std::size_t count = poller_.wait(ready, timeout);
  for (const auto& each : std::span(ready).first(count)) {
    read(static_cast<std::size_t>(each.token), on_data);
  }
}

void Crowd::stall(std::size_t member) {
  static_cast<void>(poller_.modify(lines_[member]->socket.fd(), member, transport::Interest::none));
}

void Crowd::go_on(std::size_t member) {
  static_cast<void>(poller_.modify(lines_[member]->socket.fd(), member, transport::Interest::read));
}

const Crowd::Member& Crowd::member(std::size_t index) const {
  return lines_[index]->member;
}

std::size_t Crowd::subscribed() const {
  std::size_t count = 0;
  for (const auto& line : lines_) count += line->member.is_subscribed ? 1U : 0U;
  return count;
}

/// Little enough that a fresh socket takes it at once.
void Crowd::send(Line& line, std::string_view bytes) {
  const auto sent = line.socket.write_some(std::span<const char>(bytes));
  if (sent.bytes != bytes.size()) line.member.has_ended = true;
}

void Crowd::send_frame(Line& line, transport::Opcode opcode, std::string_view payload) {
  std::string frame;
  transport::append_frame(frame, {opcode, masks_.next(), transport::FrameHead::Fin::last}, payload);
  send(line, frame);
}

void Crowd::read(std::size_t index, const OnData& on_data) {
  Line& line = *lines_[index];
  const auto got = line.socket.read_some(block_);
  if (got.status == transport::IoStatus::would_block) return;
  if (got.status != transport::IoStatus::ok) {
    line.member.has_ended = true;
    poller_.remove(line.socket.fd());
    return;
  }
  line.input.append(block_.data(), got.bytes);
  if (line.handshake && !upgrade(line)) return;
  std::span<char> rest(line.input);
  while (take_frame(index, rest, on_data)) {
  }
  line.input.erase(0, line.input.size() - rest.size());
}

bool Crowd::upgrade(Line& line) {
  std::span<const char> rest(line.input);
  const auto step = line.handshake->feed(rest);
  line.input.erase(0, line.input.size() - rest.size());
  if (step != transport::ClientHandshake::Step::upgraded) return false;
  line.handshake.reset();
  std::string payload;
  Subscribe wish;
  wish.channels = {config_.channel};
  wish.id = 1;
  static_cast<void>(encode(config_.codec, {{}, wish}, payload));
  send_frame(line, opcode_of(config_.codec), payload);
  return true;
}

bool Crowd::take_frame(std::size_t index, std::span<char>& rest, const OnData& on_data) {
  using Kind = transport::Incoming::Kind;
  Line& line = *lines_[index];
  const transport::Incoming incoming = line.parser.next(rest);
  switch (incoming.kind) {
    case Kind::need_more:
      return false;
    case Kind::ping:
      send_frame(line, transport::Opcode::pong, incoming.payload);
      return true;
    case Kind::close:
    case Kind::violation:
      line.member.close_code = static_cast<std::uint16_t>(incoming.code);
      return false;
    case Kind::pong:
      return true;
    case Kind::message:
      break;
  }
  if (!decoder_.decode(incoming.payload, message_)) {
    ++line.member.broken_promises;
    return true;
  }
  judge(line.member);
  if (on_data && message_.envelope.seq != 0 && !std::holds_alternative<Gap>(message_.body)) {
    on_data(index, message_);
  }
  return true;
}

void Crowd::judge(Member& member) const {
  if (const auto* const answer = std::get_if<Subscribed>(&message_.body)) {
    member.is_subscribed = answer->results.size() == 1 && answer->results[0].code == Errc::ok;
    if (member.is_subscribed) member.cursor = answer->results[0].head;
  } else if (const auto* const gap = std::get_if<Gap>(&message_.body)) {
    if (gap->from != member.cursor + 1 || gap->to < gap->from) ++member.broken_promises;
    ++member.gaps;
    member.missed += gap->to - gap->from + 1;
    member.cursor = gap->to;
  } else if (message_.envelope.seq != 0) {
    if (message_.envelope.seq != member.cursor + 1) ++member.broken_promises;
    ++member.received;
    member.cursor = message_.envelope.seq;
  }
}

}  // namespace stratwire::testing
