#include "fanout.hpp"

#include <algorithm>
#include <iterator>
#include <memory>
#include <sys/uio.h>
#include <utility>

#include <stratwire/codec.hpp>
#include <stratwire/session/channel_name.hpp>

namespace stratwire::server {
namespace {

/// Replies that a connection may have waiting before its requests are left unread.
constexpr std::size_t kUnreadRepliesBytesMax = 256 * 1024;
/// Messages of one heartbeat interval whose times are told.
constexpr std::size_t kSamplesMax = 256;

std::size_t bytes_waiting(const Connection& c) noexcept {
  const std::uint64_t of_log = c.cohort != nullptr ? c.cohort->log.head() - c.cursor : 0;
  return c.lane_bytes() + of_log;
}

/// Whether one send() of the log's bytes is all that the connection lacks.
bool has_only_log(const Connection& c) noexcept {
  return c.socket.is_plain() && !c.failed && c.lane_bytes() == 0 &&
         c.cursor != c.cohort->log.head();
}

// always_inline, here and in FrameLog: g++ 12 takes a function that only prefetches for one without
// effects, and leaves out its calls.

/// Brings near what flush() will touch.
[[gnu::always_inline]] inline void prefetch(const Connection& c) noexcept {
  __builtin_prefetch(&c, 1);
  __builtin_prefetch(reinterpret_cast<const char*>(&c) + 64, 1);
}

/// Where nearly everybody has a set of channels of their own, a frame goes to many logs that no
/// cache holds together: they are asked for while it goes to others.
[[gnu::always_inline]] inline void prefetch_ahead(std::span<Cohort* const> cohorts) noexcept {
  constexpr std::size_t kCohort = 6;
  constexpr std::size_t kBuffer = 4;
  constexpr std::size_t kEnds = 2;
  if (cohorts.size() > kCohort) __builtin_prefetch(cohorts[kCohort], 1);
  if (cohorts.size() > kBuffer) cohorts[kBuffer]->log.prefetch_buffer();
  if (cohorts.size() > kEnds) cohorts[kEnds]->log.prefetch_ends();
}

}  // namespace

Fanout::Fanout(Core& core, ShardFigures& figures, ShardHost& host)
    : core_(core), counters_(figures.counters), host_(host), may_batch_(core.config.io_uring) {}

// ---- Routes

Fanout::Route& Fanout::route_of(Channel& channel) {
  if (channel.id() >= routes_.size()) routes_.resize(channel.id() + 1);
  Route& route = routes_[channel.id()];
  if (route.channel == nullptr) {
    route.channel = &channel;
    const std::string wildcard = session::wildcard_of(channel.kind());
    for (const auto& [key, cohort] : cohorts_) {
      if (std::ranges::binary_search(cohort->channels, wildcard) ||
          std::ranges::binary_search(cohort->channels, channel.name())) {
        route_to(*cohort, channel);
      }
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

Cohort& Fanout::cohort_of(Dialect dialect, std::vector<std::string> channels) {
  std::string key = cohort_key(dialect, channels);
  const auto found = cohorts_.find(key);
  if (found != cohorts_.end()) return *found->second;

  auto made = std::make_unique<Cohort>();
  Cohort& cohort = *made;
  cohort.dialect = dialect;
  cohort.channels = std::move(channels);
  cohorts_.emplace(std::move(key), std::move(made));
  for (const std::string& name : cohort.channels) {
    if (!session::is_wildcard(name)) {
      // One that nobody has published yet is found when its first frame comes.
      if (Channel* const channel = core_.registry.find(name)) {
        route_of(*channel);
        route_to(cohort, *channel);
      }
      continue;
    }
    const std::string_view kind = session::kind_of(name);
    for (const Route& route : routes_) {
      if (route.channel != nullptr && route.channel->kind() == kind) {
        route_to(cohort, *route.channel);
      }
    }
  }
  return cohort;
}

void Fanout::join(Connection& c, std::vector<std::string> channels) {
  Cohort& cohort = cohort_of(c.dialect, std::move(channels));
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
        append(*cohort, frame.bytes, FrameMark::Keep::always);
      }
    }
    return;
  }
  Route& route = route_of(*frame.channel);
  note(route, frame);
  const auto& cohorts = route.cohorts[static_cast<std::size_t>(frame.codec)];
  for (std::size_t i = 0; i < cohorts.size(); ++i) {
    prefetch_ahead(std::span(cohorts).subspan(i));
    Cohort* const cohort = cohorts[i];
    if (frame.audience == Frame::Audience::native && cohort->dialect == Dialect::plain) continue;
    append(*cohort, frame.bytes, FrameMark::Keep::by_channel, frame.channel, frame.seq);
  }
}

void Fanout::append(Cohort& cohort, std::span<const char> frame, FrameMark::Keep keep,
                    const Channel* channel, std::uint64_t seq) {
  cohort.log.append(frame, keep, channel, seq, pool_);
  appended_bytes_ += frame.size();
  if (cohort.dirty) return;
  cohort.dirty = true;
  dirty_.push_back(&cohort);
}

void Fanout::write(Now now) {
  stamp_samples(now);
  batches_ = prepare_batch();
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    if (i + 2 < dirty_.size()) {
      __builtin_prefetch(dirty_[i + 2], 1);
      const Cohort& next = *dirty_[i + 1];
      if (!next.members.empty()) prefetch(*next.members.front());
      next.log.prefetch_buffer();
    }
    write_cohort(*dirty_[i], now);
  }
  run_batch(now);
  for (Cohort* const cohort : dirty_) reset_log(*cohort);
  dirty_.clear();
  appended_bytes_ = 0;
}

void Fanout::write_cohort(Cohort& cohort, Now now) {
  const std::size_t count = cohort.members.size();
  for (std::size_t i = 0; i < count; ++i) {
    // Behind each send() the kernel has used the near caches for itself.
    if (i + 1 < count) prefetch(*cohort.members[i + 1]);
    Connection& c = *cohort.members[i];
    if (c.lagging) continue;
    if (!batches_ || !has_only_log(c)) {
      flush(c, now);
      continue;
    }
    in_batch_[batch_->size()] = &c;
    batch_->add(c.socket, cohort.log.from(c.cursor));
    if (batch_->size() == transport::SendBatch::kMax) run_batch(now);
  }
}

/// What was said for the cohort is sent, but to those that lag.
void Fanout::reset_log(Cohort& cohort) {
  cohort.dirty = false;
  if (cohort.lagging.empty()) {
    cohort.log.reset(pool_);
  } else {
    relieve(cohort);
  }
}

/// Whether the sends of this turn go together: there are enough, and there is a ring.
bool Fanout::prepare_batch() {
  if (!may_batch_) return false;
  std::size_t sends = 0;
  for (const Cohort* const cohort : dirty_) {
    sends += cohort->members.size() - cohort->lagging.size();
    if (sends >= transport::SendBatch::kWorthwhile) break;
  }
  if (sends < transport::SendBatch::kWorthwhile) return false;
  if (!batch_) {
    auto opened = transport::SendBatch::open();
    if (opened.ok()) {
      batch_ = *std::move(opened);
    } else {
      core_.log(LogLevel::info, opened.error().text);
    }
  }
  may_batch_ = batch_ && batch_->usable();
  return may_batch_;
}

void Fanout::run_batch(Now now) {
  if (!batches_ || batch_->size() == 0) return;
  const auto results = batch_->run();
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (i + 1 < results.size()) prefetch(*in_batch_[i + 1]);
    // Once more, as after every send(): it may have been waited for.
    if (wrote(*in_batch_[i], results[i], now)) flush(*in_batch_[i], now);
  }
  batches_ = batch_->usable();
}

transport::IoResult Fanout::send_waiting(Connection& c) {
  const std::span<const char> log =
      c.cohort != nullptr ? c.cohort->log.from(c.cursor) : std::span<const char>{};
  if (c.lane_bytes() == 0) return c.socket.write_some(log);
  const auto [begun, urgent, rest] = c.lane->unsent();
  const auto piece = [](auto bytes) {
    return iovec{const_cast<char*>(bytes.data()), bytes.size()};
  };
  const iovec pieces[] = {piece(begun), piece(urgent), piece(rest), piece(log)};
  return c.socket.write_some(std::span<const iovec>(pieces));
}

void Fanout::flush(Connection& c, Now now) {
  while (!c.failed) {
    if (bytes_waiting(c) == 0) {
      end_lagging(c);
      // Not close(): with bytes unread the kernel would reset the connection and the peer might
      // never see what was sent. It closes, or its deadline passes.
      if (c.shutdown_when_sent) c.socket.shutdown();
      return;
    }
    if (!wrote(c, send_waiting(c), now)) return;
  }
}

/// False when the connection takes no more for now, or at all.
bool Fanout::wrote(Connection& c, const transport::IoResult& result, Now now) {
  if (result.status == transport::IoStatus::would_block) {
    begin_lagging(c, now);
    return false;
  }
  if (result.status != transport::IoStatus::ok) {
    fail(c);
    return false;
  }
  if (c.phase == Connection::Phase::closing) {
    // It takes what is on its way to it: the time for its answer begins when it has all.
    c.deadline_ms = now.ms + limits::kCloseTimeout.count();
  }
  c.progress_ms = now.ms;
  // There was no room before: the peer made some.
  if (c.lagging) c.note_life(now.ms);
  const std::size_t from_lane = std::min(result.bytes, c.lane_bytes());
  sent(c, from_lane, result.bytes - from_lane);
  if (bytes_waiting(c) == 0) return true;
  take_requests_if_read(c);
  begin_lagging(c, now);
  return false;
}

void Fanout::sent(Connection& c, std::size_t from_lane, std::size_t from_log) {
  c.sent_bytes += from_lane + from_log;
  counters_.sent_bytes.add(from_lane + from_log);
  if (from_lane != 0) {
    if (from_lane == c.lane_bytes()) {
      c.lane.reset();
    } else {
      c.lane->take(from_lane);
    }
  }
  if (from_log == 0) return;
  const FrameLog& log = c.cohort->log;
  if (c.cursor == log.tail() && from_log == log.size()) {
    // Everything at once, the usual case.
    c.cursor = log.head();
    c.frame_rest = 0;
    counters_.delivered.add(log.data_frames());
    return;
  }
  const auto waiting = log.marks_from(c.cursor);
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

void Fanout::begin_lagging(Connection& c, Now now) {
  if (c.lagging) return;
  c.lagging = true;
  c.progress_ms = now.ms;
  if (c.cohort != nullptr) {
    if (c.cohort->lagging.empty()) lagging_cohorts_.push_back(c.cohort);
    c.cohort->lagging.push_back(&c);
  }
  update_interest(c);
}

void Fanout::end_lagging(Connection& c) {
  if (c.read_paused || c.replaying) tell_drained(c);
  c.read_paused = false;
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
  const std::uint32_t messages = count_data(c.cohort->log.marks_from(c.cursor).first(1));
  counters_.delivered.add(messages);
  c.lane->append_rest({rest.data(), rest.size()}, messages);
  c.cursor += rest.size();
  c.frame_rest = 0;
}

void Fanout::append_to_lane(Connection& c, transport::Opcode opcode, std::string_view payload) {
  if (!c.lane) c.lane = std::make_unique<Lane>();
  finish_frame(c);
  c.lane->append_frame(opcode, payload, Cause::reply);
  hold_requests_if_unread(c);
}

void Fanout::append_urgent(Connection& c, transport::Opcode opcode, std::string_view payload) {
  if (!c.lagging) {
    // All goes at once: who reads in time gets its answers in the order of its questions.
    append_to_lane(c, opcode, payload);
    return;
  }
  if (!c.lane) c.lane = std::make_unique<Lane>();
  finish_frame(c);
  c.lane->append_urgent(opcode, payload);
  hold_requests_if_unread(c);
}

void Fanout::append_ready(Connection& c, std::string_view frames, std::uint32_t messages) {
  if (frames.empty()) return;
  if (!c.lane) c.lane = std::make_unique<Lane>();
  finish_frame(c);
  counters_.delivered.add(messages);
  c.lane->append(frames, messages, Cause::feed);
}

void Fanout::cut(Connection& c) {
  if (c.frame_rest != 0) {
    // It was begun, so that nothing waits in the lane.
    if (!c.lane) c.lane = std::make_unique<Lane>();
    finish_frame(c);
  } else if (c.lane) {
    c.lane->forget_unbegun();
  }
  if (c.cohort != nullptr) c.cursor = c.cohort->log.head();
}

/// What its requests brought and it has not read, as a share of what it may leave unread. Nothing
/// of what it is kept counts: to unsubscribe is what helps one that can't follow.
bool Fanout::leaves_unread(const Connection& c, std::size_t halves) const noexcept {
  return c.lane && (c.lane->bytes_of(Cause::reply) > kUnreadRepliesBytesMax / 2 * halves ||
                    c.lane->bytes_of(Cause::change) > core_.config.lane_bytes_max / 2 * halves);
}

void Fanout::hold_requests_if_unread(Connection& c) {
  if (c.read_paused || !leaves_unread(c, 2)) return;
  c.read_paused = true;
  update_interest(c);
}

/// Not as soon as there is room for one reply: stopping and going on costs system calls.
void Fanout::take_requests_if_read(Connection& c) {
  if (!c.read_paused || leaves_unread(c, 1)) return;
  c.read_paused = false;
  tell_drained(c);
  update_interest(c);
}

void Fanout::tell_drained(Connection& c) {
  if (c.drained) return;
  c.drained = true;
  drained.push_back(c.token);
}

void Fanout::reply(Connection& c, const WsMessage& message) {
  if (c.dialect == Dialect::plain && !std::holds_alternative<Pong>(message)) return;
  encoded_.clear();
  if (!encode(codec_of(c.dialect), {{}, message}, encoded_)) return;
  const transport::Opcode opcode = opcode_of(codec_of(c.dialect));
  if (std::holds_alternative<Pong>(message)) {
    append_urgent(c, opcode, encoded_);
  } else {
    append_to_lane(c, opcode, encoded_);
  }
}

void Fanout::finish_log(Connection& c) {
  if (c.cohort == nullptr || c.cursor == c.cohort->log.head()) return;
  if (!c.lane) c.lane = std::make_unique<Lane>();
  finish_frame(c);
  // Theirs from here on, like those that flush() sends. One by one: a pong may go in between.
  for (const FrameMark& mark : c.cohort->log.marks_from(c.cursor)) {
    const auto frame = c.cohort->log.from(c.cursor).first(mark.end - c.cursor);
    const std::uint32_t messages = mark.is_data() ? 1 : 0;
    counters_.delivered.add(messages);
    c.lane->append({frame.data(), frame.size()}, messages, Cause::change);
    c.cursor = mark.end;
  }
  hold_requests_if_unread(c);
}

// ---- Time

void Fanout::note(Route& route, const Frame& frame) {
  route.seq = frame.seq;
  const std::uint32_t id = frame.channel->id();
  if (route.beat != beat_) {
    route.beat = beat_;
    active_.push_back(id);
  }
  if (frame.seq % kHopSampleEvery != 0 || frame.published_ns == 0) return;
  // A message comes once for each codec.
  const bool is_new =
      samples_.empty() || samples_.back().channel != id || samples_.back().seq != frame.seq;
  if (is_new && samples_.size() < kSamplesMax) {
    samples_.push_back({id, frame.seq, frame.published_ns, 0});
  }
}

/// They are written now.
void Fanout::stamp_samples(Now now) {
  for (; samples_written_ < samples_.size(); ++samples_written_) {
    samples_[samples_written_].written_ns = now.wall_ns;
  }
}

void Fanout::beat(Now now) {
  stamp_samples(now);
  gather_heads();
  gather_times();
  // The same bytes for every cohort of a codec that has nothing of its own to be told.
  std::string frames[2];
  for (const auto& [key, cohort] : cohorts_) {
    if (cohort->dialect == Dialect::plain) continue;
    if (!cohort->heads.empty() || !cohort->times.empty()) {
      append_own_heartbeats(*cohort, now);
      continue;
    }
    const Codec codec = codec_of(cohort->dialect);
    std::string& frame = frames[static_cast<std::size_t>(codec)];
    if (frame.empty()) {
      const auto ready = encoder_.any(codec, {{}, Heartbeat{now.wall_ns}});
      if (ready) frame.assign(ready->data(), ready->size());
    }
    append(*cohort, frame, FrameMark::Keep::never);
  }
  write(now);
}

/// Channels that had messages in the interval before the last one and none in the last one.
void Fanout::gather_heads() {
  for (const std::uint32_t id : active_before_) {
    const Route& route = routes_[id];
    if (route.beat + 1 != beat_) continue;
    for (const auto& cohorts : route.cohorts) {
      for (Cohort* const cohort : cohorts) {
        if (cohort->dialect == Dialect::plain) continue;
        cohort->heads.push_back({route.channel->name(), route.seq});
      }
    }
  }
  active_before_.swap(active_);
  active_.clear();
  ++beat_;
}

void Fanout::gather_times() {
  for (const Sample& sample : samples_) {
    const Route& route = routes_[sample.channel];
    for (const auto& cohorts : route.cohorts) {
      for (Cohort* const cohort : cohorts) {
        if (cohort->dialect == Dialect::plain) continue;
        cohort->times.push_back(
            {route.channel->name(), sample.seq, sample.published_ns, sample.written_ns});
      }
    }
  }
  samples_.clear();
  samples_written_ = 0;
}

void Fanout::append_own_heartbeats(Cohort& cohort, Now now) {
  Heartbeat heartbeat{now.wall_ns};
  const auto take = [](auto& from, auto& to) {
    to.clear();
    const std::size_t count = std::min(from.size(), limits::kHeartbeatEntriesMax);
    std::move(from.end() - static_cast<std::ptrdiff_t>(count), from.end(), std::back_inserter(to));
    from.resize(from.size() - count);
  };
  while (!cohort.heads.empty() || !cohort.times.empty()) {
    take(cohort.heads, heartbeat.heads);
    take(cohort.times, heartbeat.times);
    const auto ready = encoder_.any(codec_of(cohort.dialect), {{}, heartbeat});
    if (ready) append(cohort, *ready, FrameMark::Keep::never);
  }
}

std::uint64_t Fanout::lag_bytes() const noexcept {
  std::uint64_t lag = 0;
  for (const Cohort* cohort : lagging_cohorts_) {
    for (const Connection* c : cohort->lagging) {
      const std::size_t frames = cohort->log.marks_from(c->cursor).size();
      const std::uint64_t bytes = cohort->log.head() - c->cursor + c->lane_bytes();
      lag = std::max<std::uint64_t>({lag, bytes, frames * core_.paced_bytes(0)});
    }
  }
  return lag;
}

}  // namespace stratwire::server
