#include "hub.hpp"

#include <algorithm>
#include <chrono>
#include <span>
#include <utility>

#include <stratwire/session/channel_name.hpp>

#include "dialect.hpp"
#include "shard.hpp"

namespace stratwire::server {
namespace {

constexpr std::size_t kBatch = 64;
/// Logs that nobody publishes to are looked at in turn: all of 65,536 within a minute.
constexpr std::int64_t kAgingMs = 50;
constexpr std::size_t kLogsAgedAtOnce = 64;

session::Instant instant(Now now) noexcept {
  return session::Instant(std::chrono::milliseconds(now.ms));
}

/// Bits of a codec in an InterestMask, of all threads.
constexpr InterestMask slots_of(Codec codec) noexcept {
  InterestMask mask = 0;
  for (std::size_t t = 0; t < kIoThreadsMax; ++t)
    mask |= InterestMask{1} << interest_slot(t, codec);
  return mask;
}

}  // namespace

Hub::Hub(Core& core, Shard& local)
    : core_(core), local_(local), consumer_(core.inbox), batch_(kBatch) {}

std::size_t Hub::drain(std::size_t limit, Now now) {
  now_ = now;
  if (now.ms >= next_aging_ms_) age_logs();
  turn_bytes_ = 0;
  const std::size_t handled = std::exchange(handled_, 0) + drain_inbox(limit);
  // Sent next: what comes past the inbox has a turn of its own again.
  turn_bytes_ = 0;
  return handled;
}

bool Hub::try_handle(const Publication& publication) {
  if (has_work() || has_enough() || !links_have_room()) return false;
  handle(publication);
  ++handled_;
  return true;
}

std::size_t Hub::drain_inbox(std::size_t limit) {
  std::size_t handled = 0;
  while (handled < limit && !has_enough()) {
    if (batch_next_ == batch_end_) {
      batch_next_ = 0;
      batch_end_ = core_.inbox.pop_batch(consumer_, std::span(batch_));
      if (batch_end_ == 0) break;
    }
    for (; batch_next_ != batch_end_ && !has_enough(); ++batch_next_) {
      if (!links_have_room()) return handled;
      handle(batch_[batch_next_].publication());
      batch_[batch_next_] = Submission{};
      ++handled;
    }
  }
  return handled;
}

bool Hub::links_have_room() const noexcept {
  return std::ranges::all_of(links_, &HubLink::has_room);
}

bool Hub::has_enough() const noexcept {
  return turn_bytes_ >= core_.turn.bytes || local_.has_enough();
}

void Hub::flush_links() {
  for (HubLink* const link : links_) link->flush();
}

void Hub::go_away_behind_links() {
  for (HubLink* const link : links_) link->forward_go_away();
}

void Hub::close_all_behind_links() {
  for (HubLink* const link : links_) link->forward_close_all();
}

void Hub::settle_paced() noexcept {
  if (paced_bytes_ == 0) return;
  core_.paced_bytes_in_flight.fetch_sub(
      static_cast<std::int64_t>(std::exchange(paced_bytes_, 0)),
      // release: pairs with the acquire in Core::pressure_bytes(), and comes behind the store of
      // the lag, so that no byte is ever missing from the sum.
      std::memory_order_release);
}

void Hub::handle(const Publication& publication) {
  core_.published.add();
  // One, passed on by reference: a copy would wait for the stores above it, log included, because
  // it loads wider than they were written (90 ns for each message with many logs).
  Frame frame;
  InterestMask wanted = ~InterestMask{0};
  if (Channel* const channel = publication.channel) {
    adopt(*channel);
    wanted = channel->wanted;
    channel->head_position = ++position_;
    frame.channel = channel;
    frame.seq = channel->log.append(position_, instant(now_), publication.record(record_));
    frame.published_ns = publication.published_ns;
  }
  for (const Codec codec : {Codec::json, Codec::msgpack}) {
    if ((wanted & slots_of(codec)) == 0) continue;
    frame.codec = codec;
    frame.audience = Frame::Audience::everybody;
    publication.visit([&](const auto& body) { encode_and_deliver(frame, body); });
  }
  paced_bytes_ += publication.paced_bytes;
}

template <class Body>
void Hub::encode_and_deliver(Frame& frame, const Body& body) {
  const Envelope envelope =
      frame.channel == nullptr ? Envelope{} : Envelope{frame.channel->name(), frame.seq};
  auto ready = encoder_.data(frame.codec, envelope, body);
  if (!ready) {
    // A value that one codec has no form for (MessagePack binary in JSON): its readers are told.
    core_.not_encodable.add();
    core_.log(LogLevel::warning,
              "message " + std::to_string(frame.seq) + " of channel " +
                  (frame.channel == nullptr ? "(broadcast)" : frame.channel->name()) +
                  " can't be encoded: " + ready.error().message());
    if (frame.channel == nullptr) return;
    frame.audience = Frame::Audience::native;
    const Gap gap{core_.epoch, frame.seq, frame.seq, Gap::Reason::upstream};
    ready = encoder_.any(frame.codec, {{frame.channel->name(), 0}, gap});
    if (!ready) return;
  }
  frame.bytes = *ready;
  deliver(frame);
}

void Hub::deliver(const Frame& frame) {
  turn_bytes_ += frame.bytes.size();
  const auto wants = [&](std::size_t shard) {
    return frame.channel == nullptr ||
           (frame.channel->wanted & InterestMask{1} << interest_slot(shard, frame.codec)) != 0;
  };
  if (wants(0)) local_.on_frame(frame);
  for (std::size_t i = 0; i < links_.size(); ++i) {
    if (wants(i + 1)) links_[i]->forward(frame);
  }
}

void Hub::age_logs() {
  next_aging_ms_ = now_.ms + kAgingMs;
  core_.log_budget.evict_older_than(instant(now_), kLogsAgedAtOnce);
  core_.log_bytes.set(static_cast<std::int64_t>(core_.log_budget.bytes()));
  core_.log_evicted.set(static_cast<std::int64_t>(core_.log_budget.evicted()));
}

// ---- Interest

void Hub::change_interest(InterestChange& change, Now now) {
  now_ = now;
  change.applied = false;
  if (!change.replays) {
    apply(change);
    look_up(change);
    return;
  }
  if (!change.replay) {
    const auto find = [&](std::string_view name) { return core_.registry.find(name); };
    for (const std::string& name : change.asked) {
      if (Channel* const channel = find(name)) adopt(*channel);
    }
    replayer_.plan(change, stand(), find);
  }
  if (replayer_.next_piece(change, stand())) apply(change);
}

void Hub::apply(InterestChange& change) {
  const std::size_t slot = interest_slot(change.shard, codec_of(change.dialect));
  for (const std::string& name : change.removed) count(name, slot, -1);
  for (const std::string& name : change.added) count(name, slot, +1);
  change.applied = true;
}

Stand Hub::stand() const noexcept {
  return {instant(now_), core_.epoch, position_, adopted_};
}

void Hub::look_up(InterestChange& change) {
  change.granted.clear();
  for (const std::string& name : change.asked) {
    Subscription granted;
    if (session::is_wildcard(name)) {
      granted.head = position_;
    } else if (const Channel* const channel = core_.registry.find(name)) {
      granted.head = channel->log.head();
    }
    change.granted.push_back(granted);
  }
}

void Hub::adopt(Channel& channel) {
  if (channel.adopted) return;
  channel.adopted = true;
  adopted_.push_back(&channel);
  if (const auto waiting = names_.find(channel.name()); waiting != names_.end()) {
    channel.subscriptions = waiting->second;
    names_.erase(waiting);
  }
  for (std::size_t slot = 0; slot < kInterestSlots; ++slot) refresh(channel, slot);
}

void Hub::refresh(Channel& channel, std::size_t slot) {
  const auto kind = kinds_.find(channel.kind());
  const bool wanted =
      channel.subscriptions[slot] != 0 || (kind != kinds_.end() && kind->second[slot] != 0);
  const InterestMask bit = InterestMask{1} << slot;
  channel.wanted = wanted ? channel.wanted | bit : channel.wanted & ~bit;
}

void Hub::count(std::string_view name, std::size_t slot, int change) {
  const auto parsed = session::parse_channel_name(name, session::Wildcards::allowed);
  if (!parsed) return;
  if (!parsed->wildcard) {
    count_name(*parsed, slot, change);
    return;
  }
  auto kind = kinds_.find(parsed->kind);
  if (kind == kinds_.end()) kind = kinds_.emplace(parsed->kind, InterestCounts{}).first;
  kind->second[slot] += static_cast<std::uint32_t>(change);
  for (Channel* const channel : adopted_) {
    if (channel->kind() == parsed->kind) refresh(*channel, slot);
  }
}

void Hub::count_name(const session::ChannelName& name, std::size_t slot, int change) {
  if (Channel* const channel = core_.registry.find(name.text)) {
    adopt(*channel);
    channel->subscriptions[slot] += static_cast<std::uint32_t>(change);
    refresh(*channel, slot);
    return;
  }
  // It becomes a channel when somebody publishes it; names that clients invent cost nobody else.
  auto waiting = names_.find(name.text);
  if (waiting == names_.end()) {
    waiting = names_.emplace(std::string(name.text), InterestCounts{}).first;
  }
  waiting->second[slot] += static_cast<std::uint32_t>(change);
  if (std::ranges::all_of(waiting->second, [](std::uint32_t count) { return count == 0; })) {
    names_.erase(waiting);
  }
}

}  // namespace stratwire::server
