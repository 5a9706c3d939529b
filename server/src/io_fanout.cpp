// Cohorts, their logs, and writing: the hot half of an I/O thread.

#include <algorithm>
#include <sys/uio.h>
#include <utility>

#include "io_thread.hpp"

namespace stratwire::server {
namespace {

/// Replies that a connection may have waiting before its requests are left unread.
constexpr std::size_t kUnreadRepliesBytesMax = 256 * 1024;

transport::Opcode opcode_of(Dialect dialect) noexcept {
  return dialect == Dialect::msgpack ? transport::Opcode::binary : transport::Opcode::text;
}

}  // namespace

// ---- Routes

IoThread::Route& IoThread::route_of(Channel& channel) {
  if (channel.id() >= routes_.size()) routes_.resize(channel.id() + 1);
  Route& route = routes_[channel.id()];
  if (route.channel == nullptr) {
    route.channel = &channel;
    const std::string wildcard = std::string(channel.kind()) + ":*";
    for (const auto& [key, cohort] : cohorts_) {
      if (std::ranges::binary_search(cohort->channels, wildcard)) route_to(*cohort, channel);
    }
  }
  return route;
}

void IoThread::route_to(Cohort& cohort, Channel& channel) {
  auto& cohorts = routes_[channel.id()].cohorts[static_cast<std::size_t>(codec_of(cohort.dialect))];
  if (std::ranges::find(cohorts, &cohort) != cohorts.end()) return;
  cohorts.push_back(&cohort);
  cohort.routed_channels.push_back(channel.id());
}

Cohort& IoThread::cohort_of(Dialect dialect, std::vector<std::string> channels) {
  std::string key = cohort_key(dialect, channels);
  const auto found = cohorts_.find(key);
  if (found != cohorts_.end()) return *found->second;

  auto made = std::make_unique<Cohort>();
  Cohort& cohort = *made;
  cohort.dialect = dialect;
  cohort.channels = std::move(channels);
  cohort.appended_at_ms = now_ms_;
  cohorts_.emplace(std::move(key), std::move(made));
  for (const std::string& name : cohort.channels) {
    if (!name.ends_with(":*")) {
      // Granted by the hub, so that the channel exists.
      if (const auto channel = core_.registry.find_or_make(name, ChannelRegistry::Asker::client)) {
        route_of(**channel);
        route_to(cohort, **channel);
      }
      continue;
    }
    const auto kind = std::string_view(name).substr(0, name.size() - 2);
    for (const Route& route : routes_) {
      if (route.channel != nullptr && route.channel->kind() == kind) {
        route_to(cohort, *route.channel);
      }
    }
  }
  return cohort;
}

void IoThread::join(Connection& c, Cohort& cohort) {
  c.cohort = &cohort;
  c.cursor = cohort.log.head();
  c.member_slot = static_cast<std::uint32_t>(cohort.members.size());
  cohort.members.push_back(&c);
  if (!cohort.channels.empty()) counters_.subscribers.add(1);
}

void IoThread::leave(Connection& c) {
  Cohort* const cohort = std::exchange(c.cohort, nullptr);
  if (cohort == nullptr) return;
  if (c.lagging) {
    std::erase(cohort->lagging, &c);
    if (cohort->lagging.empty()) {
      std::erase(lagging_cohorts_, cohort);
      if (!cohort->dirty) cohort->log.reset(pool_);
    }
  }
  cohort->members[c.member_slot] = cohort->members.back();
  cohort->members[c.member_slot]->member_slot = c.member_slot;
  cohort->members.pop_back();
  if (!cohort->channels.empty()) counters_.subscribers.add(-1);
  if (!cohort->members.empty()) return;

  for (const std::uint32_t id : cohort->routed_channels) {
    std::erase(routes_[id].cohorts[static_cast<std::size_t>(codec_of(cohort->dialect))], cohort);
  }
  if (cohort->dirty) std::erase(dirty_, cohort);
  cohorts_.erase(cohort_key(cohort->dialect, cohort->channels));
}

// ---- Frames to logs, logs to sockets

void IoThread::on_frame(const Frame& frame) {
  if (frame.channel == nullptr) {
    for (const auto& [key, cohort] : cohorts_) {
      if (codec_of(cohort->dialect) == frame.codec) {
        append(*cohort, frame.bytes, {.keep = FrameMark::Keep::always});
      }
    }
    return;
  }
  for (Cohort* cohort : route_of(*frame.channel).cohorts[static_cast<std::size_t>(frame.codec)]) {
    if (frame.audience == Frame::Audience::native && cohort->dialect == Dialect::plain) continue;
    append(*cohort, frame.bytes, {.seq = frame.seq, .channel = frame.channel});
  }
}

void IoThread::append(Cohort& cohort, std::span<const char> frame, FrameMark mark) {
  cohort.log.append(frame, mark, pool_);
  if (cohort.dirty) return;
  cohort.dirty = true;
  cohort.appended_at_ms = now_ms_;
  dirty_.push_back(&cohort);
}

void IoThread::write_dirty() {
  // By index: dropping a member may take its cohort out of the list.
  while (!dirty_.empty()) {
    Cohort* const cohort = dirty_.back();
    dirty_.pop_back();
    cohort->dirty = false;
    write_cohort(*cohort);
  }
}

void IoThread::write_cohort(Cohort& cohort) {
  // Backwards: a member that is dropped leaves its place to the last one.
  for (std::size_t i = cohort.members.size(); i-- > 0;) {
    Connection& c = *cohort.members[i];
    if (c.lagging) continue;
    const bool last = cohort.members.size() == 1;
    flush(c);
    // The cohort went with its last member.
    if (last && c.cohort == nullptr) return;
  }
  if (cohort.lagging.empty()) {
    cohort.log.reset(pool_);
  } else {
    relieve(cohort);
  }
}

transport::IoResult IoThread::send_waiting(Connection& c) {
  const std::string_view lane = c.lane_unsent();
  const std::span<const char> log =
      c.cohort != nullptr ? c.cohort->log.from(c.cursor) : std::span<const char>{};
  if (lane.empty()) return c.socket.write_some(log);
  if (log.empty()) return c.socket.write_some(std::span(lane));
  const iovec pieces[] = {{const_cast<char*>(lane.data()), lane.size()},
                          {const_cast<char*>(log.data()), log.size()}};
  return c.socket.write_some(std::span<const iovec>(pieces));
}

void IoThread::flush(Connection& c) {
  for (;;) {
    const std::size_t lane_bytes = c.lane_unsent().size();
    const std::size_t log_bytes =
        c.cohort != nullptr ? c.cohort->log.head() - c.cursor : std::size_t{0};
    if (lane_bytes + log_bytes == 0) break;

    const transport::IoResult result = send_waiting(c);
    if (result.status == transport::IoStatus::would_block) {
      begin_lagging(c);
      return;
    }
    if (result.status != transport::IoStatus::ok) {
      drop(c);
      return;
    }
    c.sent_bytes += result.bytes;
    if (c.phase == Connection::Phase::closing) {
      // It takes what is on its way to it: the time for its answer begins when it has all.
      c.deadline_ms = now_ms_ + limits::kCloseTimeout.count();
    }
    counters_.sent_bytes.add(result.bytes);
    const std::size_t from_lane = std::min(result.bytes, lane_bytes);
    if (from_lane != 0) {
      if (from_lane == lane_bytes) {
        c.lane.reset();
      } else {
        c.lane->take(from_lane);
      }
    }
    if (const std::size_t from_log = result.bytes - from_lane; from_log != 0) {
      const auto waiting = c.cohort->log.marks_from(c.cursor);
      c.cursor += from_log;
      const auto next = std::ranges::upper_bound(waiting, c.cursor, {}, &FrameMark::end);
      counters_.delivered.add(count_data({waiting.begin(), next}));
      const bool between_frames =
          next == waiting.end() || (next != waiting.begin() && std::prev(next)->end == c.cursor);
      c.frame_rest = between_frames ? 0 : static_cast<std::uint32_t>(next->end - c.cursor);
    }
    if (result.bytes < lane_bytes + log_bytes) {
      begin_lagging(c);
      return;
    }
  }
  end_lagging(c);
  // Not close(): with bytes unread the kernel would reset the connection and the peer might never
  // see what was sent. It closes, or its deadline passes.
  if (c.shutdown_when_sent) c.socket.shutdown();
}

void IoThread::begin_lagging(Connection& c) {
  if (c.lagging) return;
  c.lagging = true;
  if (c.cohort != nullptr) {
    if (c.cohort->lagging.empty()) lagging_cohorts_.push_back(c.cohort);
    c.cohort->lagging.push_back(&c);
  }
  update_interest(c);
}

void IoThread::end_lagging(Connection& c) {
  if (c.read_paused) {
    c.read_paused = false;
    resumed_.push_back(c.token);
  }
  if (c.lagging) {
    c.lagging = false;
    if (Cohort* const cohort = c.cohort) {
      std::erase(cohort->lagging, &c);
      if (cohort->lagging.empty()) {
        std::erase(lagging_cohorts_, cohort);
        if (!cohort->dirty) cohort->log.reset(pool_);
      }
    }
  }
  update_interest(c);
}

void IoThread::update_interest(Connection& c) {
  const bool reads = !c.read_paused && !c.awaits_hub;
  const auto interest = static_cast<transport::Interest>((reads ? 1 : 0) | (c.lagging ? 2 : 0));
  if (interest == c.interest) return;
  c.interest = interest;
  (void)poller_.modify(c.socket.fd(), c.token, interest);
}

// ---- Words for one connection

void IoThread::finish_frame(Connection& c) {
  // Nothing may stand inside a frame: the rest of one that was begun goes first.
  if (c.frame_rest == 0) return;
  const auto rest = c.cohort->log.from(c.cursor).first(c.frame_rest);
  counters_.delivered.add(count_data(c.cohort->log.marks_from(c.cursor).first(1)));
  c.lane->bytes.append(rest.data(), rest.size());
  c.cursor += rest.size();
  c.frame_rest = 0;
}

void IoThread::lane_append_frame(Connection& c, transport::Opcode opcode,
                                 std::string_view payload) {
  if (!c.lane) c.lane = std::make_unique<Lane>();
  finish_frame(c);
  transport::append_frame(c.lane->bytes, {opcode}, payload);
  hold_requests_if_unread(c);
}

void IoThread::hold_requests_if_unread(Connection& c) {
  if (c.read_paused || c.lane_unsent().size() <= kUnreadRepliesBytesMax) return;
  c.read_paused = true;
  update_interest(c);
}

void IoThread::reply(Connection& c, const WsMessage& message) {
  if (c.dialect == Dialect::plain && !std::holds_alternative<Pong>(message)) return;
  encoded_.clear();
  if (!encode(codec_of(c.dialect), {{}, message}, encoded_)) return;
  lane_append_frame(c, opcode_of(c.dialect), encoded_);
}

// ---- Slow readers

void IoThread::relieve(Cohort& cohort) {
  const std::uint64_t head = cohort.log.head();
  std::uint64_t slowest = head;
  // Backwards: lap() may drop a member.
  for (std::size_t i = cohort.lagging.size(); i-- > 0;) {
    Connection& c = *cohort.lagging[i];
    if (head - c.cursor > core_.config.lane_bytes_max ||
        cohort.log.marks_from(c.cursor).size() > core_.config.lane_messages_max) {
      const bool last = cohort.members.size() == 1;
      lap(c);
      if (last && c.cohort == nullptr) return;
      if (c.cohort == nullptr) continue;
    }
    slowest = std::min(slowest, c.cursor);
  }
  // Moving what is left costs as much as there is of it: wait until that is the smaller half.
  if (slowest - cohort.log.tail() > cohort.log.size() / 2) cohort.log.trim(slowest);
}

void IoThread::lap(Connection& c) {
  // One that did not even take the gaps of its last lap is beyond help; it comes back and starts
  // anew. So its lane never holds more than the limit and what one lap adds.
  if (c.lane_unsent().size() > core_.config.lane_bytes_max) {
    core_.log(LogLevel::warning,
              "connection " + std::to_string(c.id) + " does not read and was dropped");
    drop(c);
    return;
  }
  if (!c.lane) c.lane = std::make_unique<Lane>();
  finish_frame(c);
  const FrameLog& log = c.cohort->log;
  const auto marks = log.marks_from(c.cursor);
  const auto frame_at = [&](std::size_t i) {
    const std::uint64_t begin = i == 0 ? c.cursor : marks[i - 1].end;
    return log.from(begin).first(marks[i].end - begin);
  };
  const auto keep = [&](std::span<const char> frame) {
    counters_.delivered.add();
    c.lane->bytes.append(frame.data(), frame.size());
  };

  lapped_.clear();
  lapped_by_channel_.assign(routes_.size(), 0);
  for (std::size_t i = 0; i < marks.size(); ++i) {
    const FrameMark& mark = marks[i];
    if (mark.keep == FrameMark::Keep::always) keep(frame_at(i));
    if (mark.channel == nullptr) continue;
    std::uint32_t& place = lapped_by_channel_[mark.channel->id()];
    if (place == 0) {
      lapped_.push_back({mark.channel, mark.seq, mark.seq, i});
      place = static_cast<std::uint32_t>(lapped_.size());
    } else {
      lapped_[place - 1].to = mark.seq;
      lapped_[place - 1].last_mark = i;
    }
  }
  for (const Lapped& lapped : lapped_) {
    const bool conflates = lapped.channel->conflates();
    const std::uint64_t to = conflates ? lapped.to - 1 : lapped.to;
    if (to >= lapped.from) {
      ++c.gaps;
      counters_.gaps.add();
      counters_.missed.add(to - lapped.from + 1);
      if (c.dialect != Dialect::plain) {
        encoded_.clear();
        const Message gap{{lapped.channel->name(), 0},
                          Gap{core_.epoch, lapped.from, to,
                              conflates ? Gap::Reason::conflated : Gap::Reason::slow_consumer}};
        if (encode(codec_of(c.dialect), gap, encoded_)) {
          transport::append_frame(c.lane->bytes, {opcode_of(c.dialect)}, encoded_);
        }
      }
    }
    if (conflates) keep(frame_at(lapped.last_mark));
  }
  c.cursor = log.head();
}

}  // namespace stratwire::server
