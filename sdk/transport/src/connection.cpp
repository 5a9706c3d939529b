#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <stratwire/transport/connection.hpp>

namespace stratwire::transport {
namespace {

// The length of a frame that put() has made, header included (RFC 6455 5.2).
std::size_t frame_bytes(const char* frame) noexcept {
  const auto byte = [frame](std::size_t i) { return static_cast<unsigned char>(frame[i]); };
  const unsigned first = byte(1) & 0x7fU;
  const std::size_t length_bytes = first < 126 ? 0 : first == 126 ? 2 : 8;
  std::size_t payload = length_bytes == 0 ? first : 0;
  for (std::size_t i = 0; i < length_bytes; ++i) payload = payload << 8 | byte(2 + i);
  const std::size_t mask_bytes = (byte(1) & 0x80U) != 0 ? sizeof(MaskKey) : 0;
  return 2 + length_bytes + mask_bytes + payload;
}

}  // namespace

// ---- Parting

void Parting::begin(Socket socket, std::string rest, Instant until) {
  socket_ = std::move(socket);
  rest_ = std::move(rest);
  until_ = until;
  say();
}

void Parting::say() {
  const IoResult sent = socket_.write_some(std::span<const char>(rest_));
  if (sent.status == IoStatus::would_block) return;
  rest_.erase(0, sent.status == IoStatus::ok ? sent.bytes : std::string::npos);
  if (rest_.empty()) socket_.shutdown();
}

void Parting::step(Instant now) {
  if (!rest_.empty()) say();
  std::array<char, 4096> scrap;
  // One that goes on sending is read until then, too.
  bool over = now >= until_;
  for (int i = 0; i < 16 && !over; ++i) {
    const IoResult got = socket_.read_some(scrap);
    if (got.status == IoStatus::would_block) return;
    over = got.status != IoStatus::ok;
  }
  if (!over) return;
  socket_.close();
  rest_.clear();
}

// ---- Connection

Connection::Connection(Role role, FrameLimits limits)
    : role_(role),
      limits_(limits),
      parser_(role, limits),
      // The largest frame fits beside a whole recv(); what is left of one is moved to the front.
      in_bytes_(limits.message_bytes_max + kFrameHeaderBytesMax + kReadBytesMin),
      in_(new char[in_bytes_]) {}

void Connection::open(Socket socket, std::span<const char> behind_head) {
  socket_ = std::move(socket);
  parser_ = FrameParser(role_, limits_);
  out_.clear();
  out_begin_ = 0;
  out_frame_ = 0;
  bytes_put_ = 0;
  error_ = 0;
  write_broken_ = false;
  close_put_ = false;
  const std::size_t bytes = std::min(behind_head.size(), in_bytes_);
  if (bytes != 0) std::memcpy(in_.get(), behind_head.data(), bytes);
  unread_ = {in_.get(), bytes};
  bytes_read_ += bytes;
}

Socket Connection::release() noexcept {
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
  const IoResult result = socket_.read_some({end, room});
  switch (result.status) {
    case IoStatus::ok:
      unread_ = {unread_.data(), unread_.size() + result.bytes};
      bytes_read_ += result.bytes;
      return Read::some;
    case IoStatus::would_block:
      return Read::nothing;
    case IoStatus::closed:
      return Read::ended;
    case IoStatus::failed:
      error_ = result.error;
      return Read::ended;
  }
  return Read::nothing;
}

void Connection::put(Opcode opcode, std::string_view payload) {
  if (write_broken_ || close_put_) return;
  const std::size_t before = out_.size();
  append_frame(out_, {opcode, mask_key(), FrameHead::Fin::last}, payload);
  bytes_put_ += out_.size() - before;
}

void Connection::put_close(CloseCode code, std::string_view reason) {
  if (write_broken_ || close_put_) return;
  const std::size_t before = out_.size();
  append_close(out_, code, reason, mask_key());
  close_put_ = true;
  bytes_put_ += out_.size() - before;
}

void Connection::write() {
  if (waiting() == 0 || write_broken_) return;
  const IoResult result =
      socket_.write_some(std::span<const char>(out_.data() + out_begin_, waiting()));
  switch (result.status) {
    case IoStatus::ok:
      out_begin_ += result.bytes;
      break;
    case IoStatus::would_block:
      break;
    case IoStatus::closed:
    case IoStatus::failed:
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
    const std::size_t end = out_frame_ + frame_bytes(out_.data() + out_frame_);
    if (end > out_begin_) return;
    out_frame_ = end;
  }
}

std::string Connection::take_farewell(CloseCode code, std::string_view reason) {
  std::string farewell;
  if (write_broken_) return farewell;
  step_over_sent_frames();
  bool closes = close_put_ && waiting() == 0;
  if (out_frame_ < out_begin_ && waiting() != 0) {
    const char* const frame = out_.data() + out_frame_;
    farewell.assign(out_, out_begin_, out_frame_ + frame_bytes(frame) - out_begin_);
    closes = (frame[0] & 0x0f) == static_cast<int>(Opcode::close);
  }
  if (!closes) append_close(farewell, code, reason, mask_key());
  out_.clear();
  out_begin_ = 0;
  out_frame_ = 0;
  close_put_ = true;
  return farewell;
}

}  // namespace stratwire::transport
