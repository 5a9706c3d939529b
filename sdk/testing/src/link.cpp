#include "link.hpp"

#include <algorithm>
#include <span>
#include <utility>

namespace stratwire::testing {
namespace {

using transport::Interest;
using transport::IoStatus;

/// Writes of one direction in one step, so that a link that is split does not starve the others.
constexpr int kWritesPerStep = 64;
/// A throttled direction writes about so often in a second.
constexpr std::uint64_t kThrottledWritesPerSecond = 100;
constexpr Instant kForever = Instant::max();

}  // namespace

Link::Link(transport::Socket client, transport::Socket server, const std::vector<Fault>& faults)
    : sockets_{std::move(client), std::move(server)} {
  lane(Direction::up).source = lane(Direction::down).sink = &sockets_[0];
  lane(Direction::up).sink = lane(Direction::down).source = &sockets_[1];
  for (const Fault& fault : faults) lane(fault.direction).faults.push_back(fault);
}

void Link::step(Instant now) {
  for (Lane& each : lanes_) {
    if (!over_) move(each, now);
  }
  if (!over_ && lanes_[0].done() && lanes_[1].done()) {
    for (auto& socket : sockets_) socket.close();
    over_ = true;
  }
}

void Link::apply(const Fault& fault, Instant now) {
  Lane& affected = lane(fault.direction);
  switch (fault.kind) {
    case FaultKind::cut:
      for (Lane& each : lanes_) hang_up(each);
      break;
    case FaultKind::reset:
      reset();
      break;
    case FaultKind::half_close:
      hang_up(affected);
      break;
    case FaultKind::black_hole:
      if (lanes_[0].swallows && lanes_[1].swallows) return;  // Nothing is left to be swallowed.
      for (Lane& each : lanes_) start_swallowing(each);
      break;
    case FaultKind::throttle:
      affected.bytes_per_second = fault.amount;
      affected.next_write = now;
      break;
    case FaultKind::split:
      affected.split_until =
          fault.amount == 0 ? ~std::uint64_t{0} : affected.forwarded + fault.amount;
      break;
    case FaultKind::stall:
      affected.stalled_until =
          fault.amount == 0 ? kForever : now + std::chrono::milliseconds(fault.amount);
      break;
    case FaultKind::delay:
      affected.delay = std::chrono::milliseconds(fault.amount);
      break;
  }
  on_fault(fault);
}

// ---- One direction

void Link::move(Lane& lane, Instant now) {
  lane.unfinished = false;
  lane.blocked = false;
  for (int writes = 0; writes < kWritesPerStep; ++writes) {
    fire_due(lane, now);
    if (over_) return;
    if (lane.swallows) return swallow(lane);
    if (now < lane.stalled_until) return;
    fill(lane, now);
    if (over_) return;
    const std::size_t bytes = allowed(lane, now);
    if (bytes == 0) {
      if (lane.source_ended && lane.waiting() == 0 && !lane.sink_ended) {
        lane.sink->shutdown();
        lane.sink_ended = true;
      }
      return;
    }
    if (!forward(lane, bytes, now)) return;
  }
  lane.unfinished = true;
}

void Link::fire_due(Lane& lane, Instant now) {
  while (!over_ && lane.next_fault < lane.faults.size() &&
         lane.faults[lane.next_fault].offset <= lane.forwarded) {
    apply(lane.faults[lane.next_fault++], now);
  }
}

void Link::fill(Lane& lane, Instant now) {
  if (!lane.wants_input(now)) return;
  lane.buffer.erase(0, std::exchange(lane.begun, 0));
  const std::size_t kept = lane.buffer.size();
  lane.buffer.resize(kBufferBytes + kept);
  const auto got = lane.source->read_some({lane.buffer.data() + kept, kBufferBytes});
  lane.buffer.resize(kept + (got.status == IoStatus::ok ? got.bytes : 0));
  if (got.status == IoStatus::closed) lane.source_ended = true;
  if (got.status == IoStatus::failed) return reset();
  if (got.status == IoStatus::ok && (lane.delay.count() > 0 || !lane.marks.empty())) {
    lane.marks.push_back({now + lane.delay, lane.forwarded + lane.waiting()});
  }
}

std::size_t Link::allowed(const Lane& lane, Instant now) noexcept {
  std::uint64_t bytes = lane.waiting();
  if (!lane.marks.empty()) {
    // What was read before the delay began has no mark of its own and goes with the first one.
    std::uint64_t released = lane.forwarded;
    for (const Mark& mark : lane.marks) {
      if (mark.due <= now) released = mark.end;
    }
    bytes = std::min(bytes, released - lane.forwarded);
  }
  if (lane.next_fault < lane.faults.size()) {
    bytes = std::min(bytes, lane.faults[lane.next_fault].offset - lane.forwarded);
  }
  if (lane.forwarded < lane.split_until) bytes = std::min<std::uint64_t>(bytes, 1);
  if (lane.bytes_per_second != 0) {
    const auto piece =
        std::max<std::uint64_t>(1, lane.bytes_per_second / kThrottledWritesPerSecond);
    bytes = now < lane.next_write ? 0 : std::min(bytes, piece);
  }
  return static_cast<std::size_t>(bytes);
}

/// \return whether to go on
bool Link::forward(Lane& lane, std::size_t bytes, Instant now) {
  const auto sent =
      lane.sink->write_some(std::span<const char>(lane.buffer.data() + lane.begun, bytes));
  if (sent.status == IoStatus::would_block) {
    lane.blocked = true;
    return false;
  }
  if (sent.status != IoStatus::ok) {
    reset();
    return false;
  }
  lane.begun += sent.bytes;
  lane.forwarded += sent.bytes;
  while (!lane.marks.empty() && lane.marks.front().end <= lane.forwarded) lane.marks.pop_front();
  if (lane.bytes_per_second != 0) {
    lane.next_write = std::max(lane.next_write, now) +
                      std::chrono::nanoseconds(sent.bytes * 1'000'000'000 / lane.bytes_per_second);
  }
  return true;
}

void Link::swallow(Lane& lane) {
  std::array<char, 16 * 1024> scrap;
  for (int reads = 0; reads < kWritesPerStep && !lane.source_ended; ++reads) {
    const auto got = lane.source->read_some(scrap);
    if (got.status == IoStatus::would_block) return;
    if (got.status != IoStatus::ok) lane.source_ended = true;
  }
  lane.unfinished = !lane.source_ended;
}

void Link::start_swallowing(Lane& lane) noexcept {
  lane.swallows = true;
  lane.blocked = false;
  lane.stalled_until = {};
  lane.buffer.clear();
  lane.marks.clear();
  lane.begun = 0;
}

/// The sink sees the end, the source sees nothing: closing a socket with unread bytes would send a
/// reset instead.
void Link::hang_up(Lane& lane) noexcept {
  start_swallowing(lane);
  if (!std::exchange(lane.sink_ended, true)) lane.sink->shutdown();
}

void Link::reset() noexcept {
  for (auto& socket : sockets_) {
    socket.set_linger_reset();
    socket.close();
  }
  over_ = true;
}

// ---- What to wait for

Interest Link::interest(Side side, Instant now) const noexcept {
  const Lane& out = lanes_[static_cast<std::size_t>(side)];
  const Lane& in = lanes_[1 - static_cast<std::size_t>(side)];
  const auto bits = (out.wants_input(now) ? static_cast<unsigned>(Interest::read) : 0U) |
                    (in.blocked ? static_cast<unsigned>(Interest::write) : 0U);
  return static_cast<Interest>(bits);
}

std::optional<Instant> Link::due(Instant now) const noexcept {
  std::optional<Instant> due;
  const auto earliest = [&due](Instant at) { due = due ? std::min(*due, at) : at; };
  for (const Lane& each : lanes_) {
    if (each.unfinished) earliest(now);
    if (each.swallows || each.blocked) continue;
    if (now < each.stalled_until) {
      if (each.stalled_until != kForever) earliest(each.stalled_until);
      continue;
    }
    if (each.waiting() == 0) continue;
    if (now < each.next_write) earliest(each.next_write);
    for (const Mark& mark : each.marks) {
      if (mark.due > now) {
        earliest(mark.due);
        break;
      }
    }
  }
  return due;
}

}  // namespace stratwire::testing
