#include "fanout.hpp"

#include <algorithm>
#include <memory>
#include <sys/uio.h>
#include <utility>

#include <stratwire/codec.hpp>

namespace stratwire::server {
namespace {

/// Replies that a connection may have waiting before its requests are left unread.
constexpr std::size_t kUnreadRepliesBytesMax = 256 * 1024;

}  // namespace

Fanout::Fanout(Core& core, ShardFigures& figures, ShardHost& host)
    : core_(core), counters_(figures.counters), host_(host) {}

// ---- Routes

Fanout::Route& Fanout::route_of(Channel& channel) {
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

void Fanout::route_to(Cohort& cohort, Channel& channel) {
  auto& cohorts = routes_[channel.id()].cohorts[static_cast<std::size_t>(codec_of(cohort.dialect))];
  if (std::ranges::find(cohorts, &cohort) != cohorts.end()) return;
  cohorts.push_back(&cohort);
  cohort.routed_channels.push_back(channel.id());
}

Cohort& Fanout::cohort_of(Dialect dialect, std::vector<std::string> channels, Now now) {
  std::string key = cohort_key(dialect, channels);
  const auto found = cohorts_.find(key);
  if (found != cohorts_.end()) return *found->second;

  auto made = std::make_unique<Cohort>();
  Cohort& cohort = *made;
  cohort.dialect = dialect;
  cohort.channels = std::move(channels);
  cohort.appended_at_ms = now.ms;
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

void Fanout::join(Connection& c, std::vector<std::string> channels, Now now) {
  Cohort& cohort = cohort_of(c.dialect, std::move(channels), now);
  c.cohort = &cohort;
  c.cursor = cohort.log.head();
  c.member_slot = static_cast<std::uint32_t>(cohort.members.size());
  cohort.members.push_back(&c);
  if (c.lagging) {
    if (cohort.lagging.empty()) lagging_cohorts_.push_back(&cohort);
    cohort.lagging.push_back(&c);
  }
  if (!cohort.channels.empty()) counters_.subscribers.add(1);
}

void Fanout::leave(Connection& c) {
  Cohort* const cohort = std::exchange(c.cohort, nullptr);
  if (cohort == nullptr) return;
  if (c.lagging) stop_lagging(*cohort, c);
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

void Fanout::on_frame(const Frame& frame) {
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

void Fanout::append(Cohort& cohort, std::span<const char> frame, FrameMark mark) {
  cohort.log.append(frame, mark, pool_);
  if (cohort.dirty) return;
  cohort.dirty = true;
  dirty_.push_back(&cohort);
}

void Fanout::write(Now now) {
  for (Cohort* const cohort : dirty_) {
    cohort->dirty = false;
    cohort->appended_at_ms = now.ms;
    write_cohort(*cohort, now);
  }
  dirty_.clear();
}

void Fanout::write_cohort(Cohort& cohort, Now now) {
  for (Connection* const c : cohort.members) {
    if (!c->lagging) flush(*c, now);
  }
  if (cohort.lagging.empty()) {
    cohort.log.reset(pool_);
  } else {
    relieve(cohort);
  }
}

transport::IoResult Fanout::send_waiting(Connection& c) {
  const std::string_view lane = c.lane_unsent();
  const std::span<const char> log =
      c.cohort != nullptr ? c.cohort->log.from(c.cursor) : std::span<const char>{};
  if (lane.empty()) return c.socket.write_some(log);
  if (log.empty()) return c.socket.write_some(std::span(lane));
  const iovec pieces[] = {{const_cast<char*>(lane.data()), lane.size()},
                          {const_cast<char*>(log.data()), log.size()}};
  return c.socket.write_some(std::span<const iovec>(pieces));
}

void Fanout::flush(Connection& c, Now now) {
  while (!c.failed) {
    const std::size_t lane_bytes = c.lane_unsent().size();
    const std::size_t log_bytes =
        c.cohort != nullptr ? c.cohort->log.head() - c.cursor : std::size_t{0};
    if (lane_bytes + log_bytes == 0) {
      end_lagging(c);
      // Not close(): with bytes unread the kernel would reset the connection and the peer might
      // never see what was sent. It closes, or its deadline passes.
      if (c.shutdown_when_sent) c.socket.shutdown();
      return;
    }
    const transport::IoResult result = send_waiting(c);
    if (result.status == transport::IoStatus::would_block) {
      begin_lagging(c);
      return;
    }
    if (result.status != transport::IoStatus::ok) {
      fail(c);
      return;
    }
    if (c.phase == Connection::Phase::closing) {
      // It takes what is on its way to it: the time for its answer begins when it has all.
      c.deadline_ms = now.ms + limits::kCloseTimeout.count();
    }
    const std::size_t from_lane = std::min(result.bytes, lane_bytes);
    sent(c, from_lane, result.bytes - from_lane);
    if (result.bytes < lane_bytes + log_bytes) {
      begin_lagging(c);
      return;
    }
  }
}

void Fanout::sent(Connection& c, std::size_t from_lane, std::size_t from_log) {
  c.sent_bytes += from_lane + from_log;
  counters_.sent_bytes.add(from_lane + from_log);
  if (from_lane != 0) {
    if (from_lane == c.lane_unsent().size()) {
      c.lane.reset();
    } else {
      c.lane->take(from_lane);
    }
  }
  if (from_log == 0) return;
  const auto waiting = c.cohort->log.marks_from(c.cursor);
  c.cursor += from_log;
  const auto next = std::ranges::upper_bound(waiting, c.cursor, {}, &FrameMark::end);
  counters_.delivered.add(count_data({waiting.begin(), next}));
  const bool between_frames =
      next == waiting.end() || (next != waiting.begin() && std::prev(next)->end == c.cursor);
  c.frame_rest = between_frames ? 0 : static_cast<std::uint32_t>(next->end - c.cursor);
}

void Fanout::fail(Connection& c) {
  c.failed = true;
  broken.push_back(c.token);
}

void Fanout::begin_lagging(Connection& c) {
  if (c.lagging) return;
  c.lagging = true;
  if (c.cohort != nullptr) {
    if (c.cohort->lagging.empty()) lagging_cohorts_.push_back(c.cohort);
    c.cohort->lagging.push_back(&c);
  }
  update_interest(c);
}

void Fanout::end_lagging(Connection& c) {
  if (c.read_paused) {
    c.read_paused = false;
    drained.push_back(c.token);
  }
  if (c.lagging) {
    c.lagging = false;
    if (c.cohort != nullptr) stop_lagging(*c.cohort, c);
  }
  update_interest(c);
}

void Fanout::stop_lagging(Cohort& cohort, Connection& c) {
  std::erase(cohort.lagging, &c);
  if (!cohort.lagging.empty()) return;
  std::erase(lagging_cohorts_, &cohort);
  if (!cohort.dirty) cohort.log.reset(pool_);
}

void Fanout::update_interest(Connection& c) {
  const auto interest = static_cast<transport::Interest>((c.reads() ? 1 : 0) | (c.lagging ? 2 : 0));
  if (interest == c.interest) return;
  c.interest = interest;
  host_.change_watch(c.socket.fd(), c.token, interest);
}

// ---- Words for one connection

void Fanout::finish_frame(Connection& c) {
  // Nothing may stand inside a frame: the rest of one that was begun goes first.
  if (c.frame_rest == 0) return;
  const auto rest = c.cohort->log.from(c.cursor).first(c.frame_rest);
  counters_.delivered.add(count_data(c.cohort->log.marks_from(c.cursor).first(1)));
  c.lane->bytes.append(rest.data(), rest.size());
  c.cursor += rest.size();
  c.frame_rest = 0;
}

void Fanout::append_to_lane(Connection& c, transport::Opcode opcode, std::string_view payload) {
  if (!c.lane) c.lane = std::make_unique<Lane>();
  finish_frame(c);
  transport::append_frame(c.lane->bytes, {opcode}, payload);
  hold_requests_if_unread(c);
}

void Fanout::hold_requests_if_unread(Connection& c) {
  if (c.read_paused || c.lane_unsent().size() <= kUnreadRepliesBytesMax) return;
  c.read_paused = true;
  update_interest(c);
}

void Fanout::reply(Connection& c, const WsMessage& message) {
  if (c.dialect == Dialect::plain && !std::holds_alternative<Pong>(message)) return;
  encoded_.clear();
  if (!encode(codec_of(c.dialect), {{}, message}, encoded_)) return;
  append_to_lane(c, opcode_of(codec_of(c.dialect)), encoded_);
}

void Fanout::finish_log(Connection& c) {
  if (c.cohort == nullptr) return;
  const auto rest = c.cohort->log.from(c.cursor);
  if (!rest.empty()) {
    // Theirs from here on, like those that flush() sends.
    counters_.delivered.add(count_data(c.cohort->log.marks_from(c.cursor)));
    if (!c.lane) c.lane = std::make_unique<Lane>();
    c.lane->bytes.append(rest.data(), rest.size());
    hold_requests_if_unread(c);
  }
  c.cursor = c.cohort->log.head();
  c.frame_rest = 0;
}

// ---- Slow readers

void Fanout::relieve(Cohort& cohort) {
  const std::uint64_t head = cohort.log.head();
  std::uint64_t slowest = head;
  for (Connection* const c : cohort.lagging) {
    if (head - c->cursor > core_.config.lane_bytes_max ||
        cohort.log.marks_from(c->cursor).size() > core_.config.lane_messages_max) {
      lap(*c);
    }
    slowest = std::min(slowest, c->cursor);
  }
  // Moving what is left costs as much as there is of it: wait until that is the smaller half.
  if (slowest - cohort.log.tail() > cohort.log.size() / 2) cohort.log.trim(slowest);
}

void Fanout::lap(Connection& c) {
  // One that did not even take the gaps of its last lap is beyond help; it comes back and starts
  // anew. So its lane never holds more than the limit and what one lap adds.
  if (c.lane_unsent().size() > core_.config.lane_bytes_max) {
    if (c.failed) return;
    core_.log(LogLevel::warning,
              "connection " + std::to_string(c.id) + " does not read and was dropped");
    fail(c);
    return;
  }
  if (!c.lane) c.lane = std::make_unique<Lane>();
  finish_frame(c);
  const FrameLog& log = c.cohort->log;
  const auto marks = log.marks_from(c.cursor);
  const auto keep = [&](std::size_t i) {
    const std::uint64_t begin = i == 0 ? c.cursor : marks[i - 1].end;
    const auto frame = log.from(begin).first(marks[i].end - begin);
    counters_.delivered.add();
    c.lane->bytes.append(frame.data(), frame.size());
  };
  for (std::size_t i = 0; i < marks.size(); ++i) {
    if (marks[i].keep == FrameMark::Keep::always) keep(i);
  }
  find_lapped(marks);
  for (const Lapped& lapped : lapped_) {
    tell_gap(c, lapped);
    if (lapped.channel->conflates()) keep(lapped.last_mark);
  }
  c.cursor = log.head();
}

void Fanout::find_lapped(std::span<const FrameMark> marks) {
  lapped_.clear();
  lapped_by_channel_.assign(routes_.size(), 0);
  for (std::size_t i = 0; i < marks.size(); ++i) {
    const FrameMark& mark = marks[i];
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
}

void Fanout::tell_gap(Connection& c, const Lapped& lapped) {
  const bool conflates = lapped.channel->conflates();
  const std::uint64_t to = conflates ? lapped.to - 1 : lapped.to;
  if (to < lapped.from) return;
  counters_.missed.add(to - lapped.from + 1);
  // Plain connections know no Gap; what they miss is counted all the same.
  if (c.dialect == Dialect::plain) return;
  ++c.gaps;
  counters_.gaps.add();
  encoded_.clear();
  const Message gap{{lapped.channel->name(), 0},
                    Gap{core_.epoch, lapped.from, to,
                        conflates ? Gap::Reason::conflated : Gap::Reason::slow_consumer}};
  const Codec codec = codec_of(c.dialect);
  if (encode(codec, gap, encoded_)) {
    transport::append_frame(c.lane->bytes, {opcode_of(codec)}, encoded_);
  }
}

// ---- Time

void Fanout::beat(Now now) {
  // The same bytes for every cohort of a codec.
  std::string frames[2];
  const std::int64_t interval = core_.config.heartbeat_interval.count();
  for (const auto& [key, cohort] : cohorts_) {
    if (cohort->dialect == Dialect::plain || now.ms - cohort->appended_at_ms < interval) continue;
    const Codec codec = codec_of(cohort->dialect);
    std::string& frame = frames[static_cast<std::size_t>(codec)];
    if (frame.empty()) {
      encoded_.clear();
      if (!encode(codec, {{}, Heartbeat{now.wall_ns}}, encoded_)) continue;
      transport::append_frame(frame, {opcode_of(codec)}, encoded_);
    }
    append(*cohort, frame, {.keep = FrameMark::Keep::never});
  }
  write(now);
}

std::uint64_t Fanout::lag_bytes() const noexcept {
  std::uint64_t lag = 0;
  for (const Cohort* cohort : lagging_cohorts_) {
    for (const Connection* c : cohort->lagging) {
      const std::size_t frames = cohort->log.marks_from(c->cursor).size();
      const std::uint64_t bytes = cohort->log.head() - c->cursor + c->lane_unsent().size();
      lag = std::max<std::uint64_t>({lag, bytes, frames * core_.paced_bytes(0)});
    }
  }
  return lag;
}

}  // namespace stratwire::server
