#include "connection.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <stratwire/limits.hpp>

namespace stratwire::client {
namespace {

transport::FrameParser make_parser(std::size_t message_bytes_max) {
  return transport::FrameParser(
      transport::Role::client,
      {message_bytes_max, static_cast<std::uint32_t>(limits::kFragmentsMax)});
}

// The length of a frame that put() has made, header included (RFC 6455 5.2).
std::size_t masked_frame_bytes(const char* frame) noexcept {
  const auto byte = [frame](std::size_t i) { return static_cast<unsigned char>(frame[i]); };
  const unsigned first = byte(1) & 0x7fU;
  const std::size_t length_bytes = first < 126 ? 0 : first == 126 ? 2 : 8;
  std::size_t payload = length_bytes == 0 ? first : 0;
  for (std::size_t i = 0; i < length_bytes; ++i) payload = payload << 8 | byte(2 + i);
  return 2 + length_bytes + sizeof(transport::MaskKey) + payload;
}

}  // namespace

Connection::Connection(std::size_t message_bytes_max)
    : message_bytes_max_(message_bytes_max),
      parser_(make_parser(message_bytes_max)),
      // The largest frame fits beside a whole recv(); what is left of one is moved to the front.
      in_bytes_(message_bytes_max + transport::kFrameHeaderBytesMax + kReadBytesMin),
      in_(new char[in_bytes_]) {}

void Connection::open(transport::Socket socket, std::span<const char> behind_head) {
  socket_ = std::move(socket);
  parser_ = make_parser(message_bytes_max_);
  out_.clear();
  out_begin_ = 0;
  out_frame_ = 0;
  bytes_put_ = 0;
  error_ = 0;
  write_broken_ = false;
  close_put_ = false;
  const std::size_t bytes = std::min(behind_head.size(), in_bytes_);
  std::memcpy(in_.get(), behind_head.data(), bytes);
  unread_ = {in_.get(), bytes};
  bytes_read_ += bytes;
}

transport::Socket Connection::release() noexcept {
  unread_ = {};
  return std::move(socket_);
}

void Connection::make_room() {
  const std::size_t used = static_cast<std::size_t>(unread_.data() - in_.get()) + unread_.size();
  if (!unread_.empty() && in_bytes_ - used >= kReadBytesMin) return;
  std::memmove(in_.get(), unread_.data(), unread_.size());
  unread_ = {in_.get(), unread_.size()};
}

Connection::Read Connection::read() {
  make_room();
  char* const end = unread_.data() + unread_.size();
  // Not more than this: the bytes are used at once, and what fits the cache is read faster.
  const std::size_t room =
      std::min(in_bytes_ - static_cast<std::size_t>(end - in_.get()), kReadBytesMin);
  const transport::IoResult result = socket_.read_some({end, room});
  switch (result.status) {
    case transport::IoStatus::ok:
      unread_ = {unread_.data(), unread_.size() + result.bytes};
      bytes_read_ += result.bytes;
      return Read::some;
    case transport::IoStatus::would_block:
      return Read::nothing;
    case transport::IoStatus::closed:
      return Read::ended;
    case transport::IoStatus::failed:
      error_ = result.error;
      return Read::ended;
  }
  return Read::nothing;
}

void Connection::put(transport::Opcode opcode, std::string_view payload) {
  if (write_broken_ || close_put_) return;
  const std::size_t before = out_.size();
  transport::append_frame(out_, {opcode, keys_.next(), transport::FrameHead::Fin::last}, payload);
  bytes_put_ += out_.size() - before;
}

void Connection::put_close(transport::CloseCode code, std::string_view reason) {
  if (write_broken_ || close_put_) return;
  const std::size_t before = out_.size();
  transport::append_close(out_, code, reason, keys_.next());
  close_put_ = true;
  bytes_put_ += out_.size() - before;
}

void Connection::write() {
  if (waiting() == 0 || write_broken_) return;
  const transport::IoResult result =
      socket_.write_some(std::span<const char>(out_.data() + out_begin_, waiting()));
  switch (result.status) {
    case transport::IoStatus::ok:
      out_begin_ += result.bytes;
      break;
    case transport::IoStatus::would_block:
      break;
    case transport::IoStatus::closed:
    case transport::IoStatus::failed:
      // What the peer sent before it went can still be read; reading finds the end.
      error_ = result.error;
      write_broken_ = true;
      return;
  }
  if (waiting() == 0) {
    out_.clear();
    out_begin_ = 0;
    out_frame_ = 0;
  } else if (out_begin_ > out_.size() / 2) {
    step_over_sent_frames();
    out_.erase(0, out_frame_);
    out_begin_ -= out_frame_;
    out_frame_ = 0;
  }
}

void Connection::step_over_sent_frames() noexcept {
  while (out_begin_ < out_.size()) {
    const std::size_t end = out_frame_ + masked_frame_bytes(out_.data() + out_frame_);
    if (end > out_begin_) return;
    out_frame_ = end;
  }
}

std::string Connection::take_farewell(transport::CloseCode code, std::string_view reason) {
  std::string farewell;
  if (write_broken_) return farewell;
  step_over_sent_frames();
  bool closes = close_put_ && waiting() == 0;
  if (out_frame_ < out_begin_ && waiting() != 0) {
    const char* const frame = out_.data() + out_frame_;
    farewell.assign(out_, out_begin_, out_frame_ + masked_frame_bytes(frame) - out_begin_);
    closes = (frame[0] & 0x0f) == static_cast<int>(transport::Opcode::close);
  }
  if (!closes) transport::append_close(farewell, code, reason, keys_.next());
  out_.clear();
  out_begin_ = 0;
  out_frame_ = 0;
  close_put_ = true;
  return farewell;
}

}  // namespace stratwire::client
