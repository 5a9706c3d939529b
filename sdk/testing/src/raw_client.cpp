#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <netinet/in.h>
#include <poll.h>
#include <span>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

#include <stratwire/testing/raw_client.hpp>
#include <stratwire/transport/handshake.hpp>
#include <stratwire/transport/url.hpp>

namespace stratwire::testing {
namespace {

transport::Socket connected(int fd, const sockaddr* address, socklen_t bytes) {
  if (::connect(fd, address, bytes) == 0) return transport::Socket(fd);
  ::close(fd);
  return {};
}

}  // namespace

RawClient::RawClient(transport::Socket socket) : socket_(std::move(socket)) {}

RawClient RawClient::tcp(std::uint16_t port, int receive_buffer_bytes) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  // Before connect(): the window is agreed on there.
  const int bytes = receive_buffer_bytes;
  if (bytes != 0) ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  return RawClient(connected(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address));
}

RawClient RawClient::unix_socket(std::string_view path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof address.sun_path - 1));
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return RawClient(connected(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address));
}

// ---- Bytes

bool RawClient::send_bytes(std::string_view bytes) {
  const auto deadline = Clock::now() + kPatience;
  while (!bytes.empty()) {
    const transport::IoResult sent = socket_.write_some(std::span(bytes));
    if (sent.status == transport::IoStatus::ok) {
      bytes.remove_prefix(sent.bytes);
    } else if (sent.status != transport::IoStatus::would_block || !wait_for(POLLOUT, deadline)) {
      return false;
    }
  }
  return true;
}

std::string RawClient::read_to_end() {
  const auto deadline = Clock::now() + kPatience;
  while (receive(deadline) == Read::ok) {
  }
  return std::exchange(input_, {});
}

void RawClient::reset() noexcept {
  socket_.set_linger_reset();
  socket_.close();
}

// ---- WebSocket

bool RawClient::upgrade(std::vector<std::string_view> subprotocols) {
  const auto url = transport::Url::parse("ws://127.0.0.1/");
  transport::ClientHandshake handshake(*url, subprotocols);
  if (!send_bytes(handshake.request())) return false;
  const auto deadline = Clock::now() + kPatience;
  for (;;) {
    std::span<const char> rest(input_);
    const auto step = handshake.feed(rest);
    input_.erase(0, input_.size() - rest.size());
    if (step == transport::ClientHandshake::Step::upgraded) {
      subprotocol_ = handshake.subprotocol();
      return true;
    }
    if (step == transport::ClientHandshake::Step::failed || receive(deadline) != Read::ok) {
      refusal_ = handshake.error().text;
      return false;
    }
  }
}

bool RawClient::send_frame(Opcode opcode, std::string_view payload, transport::FrameHead::Fin fin) {
  std::string frame;
  transport::append_frame(frame, {opcode, masks_.next(), fin}, payload);
  return send_bytes(frame);
}

bool RawClient::send_close(transport::CloseCode code, std::string_view reason) {
  std::string frame;
  transport::append_close(frame, code, reason, masks_.next());
  return send_bytes(frame);
}

std::optional<RawFrame> RawClient::read_frame(std::chrono::nanoseconds patience) {
  using Kind = transport::Incoming::Kind;
  const auto deadline = Clock::now() + patience;
  for (;;) {
    std::span<char> input = std::span(input_).subspan(parsed_);
    const transport::Incoming incoming = parser_.next(input);
    parsed_ = input_.size() - input.size();
    std::string payload(incoming.payload);
    switch (incoming.kind) {
      case Kind::message:
        return RawFrame{incoming.opcode, std::move(payload)};
      case Kind::ping:
        return RawFrame{Opcode::ping, std::move(payload)};
      case Kind::pong:
        return RawFrame{Opcode::pong, std::move(payload)};
      case Kind::close:
        return RawFrame{Opcode::close, std::move(payload), incoming.code};
      case Kind::violation:
        return RawFrame{Opcode::close, "(ours) " + payload, incoming.code};
      case Kind::need_more:
        break;
    }
    input_.erase(0, std::exchange(parsed_, 0));
    if (receive(deadline) != Read::ok) return std::nullopt;
  }
}

// ---- Waiting

bool RawClient::wait_for(short events, Clock::time_point deadline) {
  for (;;) {
    auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    const bool is_last = !while_waiting || left <= std::chrono::milliseconds{1};
    if (!is_last) {
      while_waiting();
      left = std::chrono::milliseconds{1};
    }
    pollfd waiting{socket_.fd(), events, 0};
    const int ready =
        ::poll(&waiting, 1, static_cast<int>(std::max<long>(0, static_cast<long>(left.count()))));
    if (ready > 0) return true;
    if (ready == 0 ? is_last : errno != EINTR) return false;
  }
}

Read RawClient::receive(Clock::time_point deadline) {
  for (;;) {
    std::array<char, 64 * 1024> block;
    const transport::IoResult got = socket_.read_some(block);
    if (got.status == transport::IoStatus::ok) {
      input_.append(block.data(), got.bytes);
      return last_read_ = Read::ok;
    }
    if (got.status != transport::IoStatus::would_block) return last_read_ = Read::ended;
    if (!wait_for(POLLIN, deadline)) return last_read_ = Read::timed_out;
  }
}

}  // namespace stratwire::testing
