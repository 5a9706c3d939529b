#include "pipe.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace stratwire::sim {
namespace {

using transport::IoResult;
using transport::IoStatus;

/// Between the segments of one write.
constexpr TimeNs kSegmentGap = 2 * kMicro;

}  // namespace

Pipe::Pipe(Scheduler& scheduler, Random random, std::uint64_t id, std::size_t window_bytes)
    : Actor(scheduler), random_(random), id_(id), window_(window_bytes) {}

// ---- As a socket

bool Pipe::readable(Side side) const noexcept {
  const Way& w = way(side);
  return w.arrived != w.read || w.ended || reset_[index(side)];
}

bool Pipe::writable(Side side) const noexcept {
  const Way& w = way(other(side));
  return reset_[index(side)] || w.sender_ended || w.written - w.read < window_;
}

bool Pipe::broken(Side side) const noexcept {
  return reset_[index(side)] || (way(side).ended && way(other(side)).sender_ended);
}

IoResult Pipe::read(Side side, std::span<char> into) {
  Way& w = way(side);
  const std::size_t count = std::min<std::size_t>(into.size(), w.arrived - w.read);
  if (count == 0) {
    if (reset_[index(side)]) return {0, ECONNRESET, IoStatus::failed};
    return {0, 0, w.ended ? IoStatus::closed : IoStatus::would_block};
  }
  std::memcpy(into.data(), w.bytes.data() + (w.read - w.base), count);
  w.read += count;
  if (w.read - w.base > w.bytes.size() / 2) {
    w.bytes.erase(0, w.read - w.base);
    w.base = w.read;
  }
  if (w.full) {
    w.full = false;
    tell(other(side));
  }
  return {count, 0, IoStatus::ok};
}

IoResult Pipe::write(Side side, std::span<const char> from) {
  if (from.empty()) return {};
  Way& w = way(other(side));
  if (reset_[index(side)]) return {0, ECONNRESET, IoStatus::closed};
  if (w.sender_ended) return {0, EPIPE, IoStatus::closed};
  const std::uint64_t used = w.written - w.read;
  if (used >= window_) {
    w.full = true;
    return {0, 0, IoStatus::would_block};
  }
  const std::size_t count = std::min<std::size_t>(from.size(), window_ - used);
  if (count < from.size()) w.full = true;
  if (!w.is_void) {
    if (side == Side::server && middlebox_) {
      passed_.clear();
      middlebox_->pass(from.first(count), passed_);
      put(Side::client, passed_);
    } else {
      put(other(side), from.first(count));
    }
  }
  return {count, 0, IoStatus::ok};
}

void Pipe::shutdown(Side side) {
  Way& w = way(other(side));
  if (w.sender_ended) return;
  w.sender_ended = true;
  put_mark(other(side), Segment::Kind::end);
}

void Pipe::close(Side side) {
  if (closed_[index(side)]) return;
  closed_[index(side)] = true;
  users_[index(side)] = nullptr;
  Way& in = way(side);
  Way& out = way(other(side));
  const bool unread = in.arrived != in.read;
  in.read = in.arrived;
  if (unread) {
    put_mark(other(side), Segment::Kind::reset);
  } else if (!out.sender_ended) {
    put_mark(other(side), Segment::Kind::end);
  }
  out.sender_ended = true;
}

// ---- From one side to the other

void Pipe::put(Side to, std::span<const char> bytes) {
  Way& w = way(to);
  const bool cuts = w.cut_at && w.written + bytes.size() >= *w.cut_at;
  if (cuts) bytes = bytes.first(*w.cut_at - w.written);
  const std::size_t piece_max =
      w.shape.segment_bytes_max != 0 ? w.shape.segment_bytes_max : bytes.size();
  w.bytes.append(bytes.data(), bytes.size());
  while (!bytes.empty()) {
    const std::size_t piece = std::min(piece_max, bytes.size());
    w.written += piece;
    w.segments.push_back({arrival(w, piece), w.written, Segment::Kind::data});
    bytes = bytes.subspan(piece);
  }
  if (cuts) cut(to);
  await(to);
}

TimeNs Pipe::arrival(Way& w, std::size_t bytes) {
  const Shape& shape = w.shape;
  TimeNs at = now() + shape.latency;
  if (shape.jitter != 0) at += random_.between<TimeNs>(0, shape.jitter);
  at = std::max(at, w.last_at + (shape.segment_bytes_max != 0 ? kSegmentGap : 0));
  if (shape.bytes_per_s != 0) {
    at += static_cast<TimeNs>(bytes * static_cast<std::uint64_t>(kSecond) / shape.bytes_per_s);
  }
  if (shape.coalesce != 0) at = (at + shape.coalesce - 1) / shape.coalesce * shape.coalesce;
  w.last_at = at;
  return at;
}

void Pipe::put_mark(Side to, Segment::Kind kind) {
  Way& w = way(to);
  if (w.is_void) return;
  w.segments.push_back({arrival(w, 0), w.written, kind});
  await(to);
}

void Pipe::await(Side to) {
  const Way& w = way(to);
  if (w.segments.empty() || w.held_until == kForever) return;
  wake_at(std::max(w.segments.front().at, w.held_until));
}

void Pipe::on_event() {
  for (const Side to : {Side::client, Side::server}) {
    deliver(to);
    await(to);
  }
}

void Pipe::deliver(Side to) {
  Way& w = way(to);
  if (w.held_until > now()) return;
  bool changed = false;
  while (!w.segments.empty() && w.segments.front().at <= now()) {
    const Segment segment = w.segments.front();
    w.segments.pop_front();
    w.arrived = segment.end;
    changed = true;
    if (segment.kind == Segment::Kind::end) w.ended = true;
    if (segment.kind == Segment::Kind::reset) {
      reset_[index(to)] = true;
      way(other(to)).is_void = true;
    }
  }
  if (!changed) return;
  if (closed_[index(to)]) {
    // Nobody is there: what came is answered with a reset, an end or a reset is not.
    const bool data = w.arrived != w.read;
    w.read = w.arrived;
    if (data && !reset_[index(other(to))]) put_mark(other(to), Segment::Kind::reset);
    return;
  }
  tell(to);
}

void Pipe::tell(Side side) {
  if (users_[index(side)] != nullptr) users_[index(side)]->pipe_changed();
}

// ---- Faults

/// What is in flight behind so many bytes is lost.
void Pipe::keep_flight(Side to, std::uint64_t bytes) {
  Way& w = way(to);
  w.written = std::min(w.written, w.arrived + bytes);
  w.bytes.resize(w.written - w.base);
  while (!w.segments.empty() && w.segments.back().end > w.written) {
    Segment& last = w.segments.back();
    const std::size_t count = w.segments.size();
    const std::uint64_t begin = count > 1 ? w.segments[count - 2].end : w.arrived;
    if (begin < w.written && last.kind == Segment::Kind::data) {
      last.end = w.written;
      return;
    }
    w.segments.pop_back();
  }
}

void Pipe::cut_after(Side to, std::uint64_t bytes, Break how, std::uint64_t& counter) {
  Way& w = way(to);
  if (w.cut_at || w.is_void) return;
  w.cut_at = w.written + bytes;
  w.cut_how = how;
  w.cut_counter = &counter;
  if (bytes == 0) put(to, {});
}

void Pipe::cut(Side to) {
  const Break how = way(to).cut_how;
  ++*way(to).cut_counter;
  keep_flight(other(to), 0);
  for (const Side side : {to, other(to)}) {
    put_mark(side, how);
    way(side).is_void = true;
  }
}

void Pipe::cut_flight(Break how) {
  for (const Side side : {Side::client, Side::server}) {
    keep_flight(side, random_.between<std::uint64_t>(0, in_flight(side)));
    put_mark(side, how);
    way(side).is_void = true;
  }
}

void Pipe::reset() {
  for (const Side side : {Side::client, Side::server}) {
    keep_flight(side, 0);
    put_mark(side, Segment::Kind::reset);
    way(side).is_void = true;
  }
}

void Pipe::half_close(Side to) {
  put_mark(to, Segment::Kind::end);
  way(to).is_void = true;
}

void Pipe::hold(Side to, TimeNs until) {
  Way& w = way(to);
  w.held_until = std::max(w.held_until, until);
}

void Pipe::heal() {
  for (const Side to : {Side::client, Side::server}) {
    Way& w = way(to);
    w.shape = Shape{};
    w.last_at = std::min(w.last_at, now() + w.shape.latency);
    for (Segment& segment : w.segments) segment.at = std::min(segment.at, w.last_at);
    await(to);
  }
  if (middlebox_) middlebox_->disarm();
}

void Pipe::delay(Side to, TimeNs by) {
  Way& w = way(to);
  for (Segment& segment : w.segments) segment.at += by;
  w.last_at = w.segments.empty() ? w.last_at : w.segments.back().at;
}

}  // namespace stratwire::sim
