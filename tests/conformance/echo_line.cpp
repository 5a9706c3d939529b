#include "echo_line.hpp"

#include <optional>
#include <utility>

namespace stratwire::conformance {
namespace {

constexpr std::size_t kReadBytes = 256U << 10;

}  // namespace

EchoLine::EchoLine(transport::Socket socket, transport::Role role, std::string_view to_send,
                   std::span<const char> unread, Task task)
    : socket_(std::move(socket)),
      parser_(role, kEchoLimits),
      in_(unread.data(), unread.size()),
      out_(to_send),
      role_(role),
      task_(task) {
  parse();
}

EchoLine EchoLine::farewell(transport::Socket socket, std::string_view to_send) {
  EchoLine line(std::move(socket), transport::Role::server, to_send, {});
  line.begin_ending();
  return line;
}

transport::Interest EchoLine::interest() const noexcept {
  if (unsent() == 0) return transport::Interest::read;
  return unsent() < kUnsentBytesMax ? transport::Interest::read_write : transport::Interest::write;
}

void EchoLine::work() {
  if (unsent() < kUnsentBytesMax) read();
  if (is_open()) write();
}

void EchoLine::read() {
  const std::size_t kept = in_.size();
  in_.resize(kept + kReadBytes);
  const transport::IoResult result = socket_.read_some(std::span(in_).subspan(kept));
  in_.resize(kept + result.bytes);
  switch (result.status) {
    case transport::IoStatus::ok:
      parse();
      return;
    case transport::IoStatus::would_block:
      return;
    case transport::IoStatus::closed:
      // Half closed: what it asked for before that is still due.
      write();
      socket_.close();
      return;
    case transport::IoStatus::failed:
      socket_.close();
      return;
  }
}

void EchoLine::parse() {
  using Kind = transport::Incoming::Kind;
  std::span<char> rest(in_);
  for (bool more = !ending_; more;) {
    const transport::Incoming incoming = parser_.next(rest);
    switch (incoming.kind) {
      case Kind::need_more:
        more = false;
        break;
      case Kind::message:
        on_message(incoming);
        break;
      case Kind::ping:
        put(transport::Opcode::pong, incoming.payload);
        break;
      case Kind::pong:
        break;
      case Kind::close:
        end(incoming.code, {});
        break;
      case Kind::violation:
        end(incoming.code, incoming.payload);
        break;
    }
  }
  in_.erase(0, ending_ ? in_.size() : in_.size() - rest.size());
}

void EchoLine::on_message(const transport::Incoming& message) {
  if (task_ == Task::echo) {
    put(message.opcode, message.payload);
  } else {
    last_message_ = message.payload;
  }
}

void EchoLine::put(transport::Opcode opcode, std::string_view payload) {
  transport::FrameHead head{.opcode = opcode};
  if (role_ == transport::Role::client) head.mask = keys_.next();
  transport::append_frame(out_, head, payload);
}

void EchoLine::end(transport::CloseCode code, std::string_view reason) {
  std::optional<transport::MaskKey> mask;
  if (role_ == transport::Role::client) mask = keys_.next();
  transport::append_close(out_, code, reason, mask);
  begin_ending();
}

void EchoLine::begin_ending() {
  ending_ = true;
  deadline_ = Clock::now() + kCloseTimeout;
}

void EchoLine::write() {
  while (unsent() != 0) {
    const transport::IoResult result =
        socket_.write_some(std::span<const char>(out_).subspan(sent_));
    if (result.status == transport::IoStatus::would_block) return;
    if (result.status != transport::IoStatus::ok) {
      socket_.close();
      return;
    }
    sent_ += result.bytes;
  }
  out_.clear();
  sent_ = 0;
  // RFC 6455 7.1.1: the server ends the connection, the client waits for that.
  if (ending_ && role_ == transport::Role::server && !std::exchange(said_end_, true)) {
    socket_.shutdown();
  }
}

}  // namespace stratwire::conformance
