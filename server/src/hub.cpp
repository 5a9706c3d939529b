#include "hub.hpp"

#include <algorithm>
#include <span>
#include <type_traits>
#include <utility>

#include <stratwire/codec.hpp>
#include <stratwire/transport/frame.hpp>

#include "dialect.hpp"
#include "shard.hpp"

namespace stratwire::server {
namespace {

constexpr std::size_t kBatch = 64;
/// Larger ones no client takes.
constexpr std::size_t kPayloadBytesMax = limits::kClientMessageBytesMax;

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

std::size_t Hub::drain(std::size_t limit) {
  std::size_t handled = 0;
  turn_bytes_ = 0;
  while (handled < limit && turn_bytes_ < kTurnBytesMax) {
    if (batch_next_ == batch_end_) {
      batch_next_ = 0;
      batch_end_ = core_.inbox.pop_batch(consumer_, std::span(batch_));
      if (batch_end_ == 0) break;
    }
    for (; batch_next_ != batch_end_ && turn_bytes_ < kTurnBytesMax; ++batch_next_) {
      if (!links_have_room()) return handled;
      handle(batch_[batch_next_]);
      batch_[batch_next_] = Submission{};
      ++handled;
    }
  }
  return handled;
}

bool Hub::links_have_room() const noexcept {
  return std::ranges::all_of(links_, &HubLink::has_room);
}

void Hub::flush_links() {
  for (HubLink* const link : links_) link->flush();
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

void Hub::handle(const Submission& submission) {
  core_.published.add();
  Frame frame;
  InterestMask wanted = ~InterestMask{0};
  if (Channel* const channel = submission.channel()) {
    adopt(*channel);
    wanted = channel->wanted;
    frame.channel = channel;
    frame.seq = ++channel->head;
  }
  for (const Codec codec : {Codec::json, Codec::msgpack}) {
    if ((wanted & slots_of(codec)) == 0) continue;
    frame.codec = codec;
    submission.visit([&](const auto& body) { encode_and_deliver(frame, body); });
  }
  paced_bytes_ += submission.paced_bytes;
}

template <class Body>
void Hub::encode_and_deliver(Frame frame, const Body& body) {
  auto payload_bytes = encode_body(frame, body);
  if (payload_bytes && *payload_bytes > kPayloadBytesMax) payload_bytes = Errc::too_large;
  if (!payload_bytes) {
    // A value that one codec has no form for (MessagePack binary in JSON): its readers are told.
    core_.log(LogLevel::warning,
              "message " + std::to_string(frame.seq) + " of channel " +
                  (frame.channel == nullptr ? "(broadcast)" : frame.channel->name()) +
                  " can't be encoded: " + payload_bytes.error().message());
    core_.not_encodable.add();
    if (frame.channel == nullptr) return;
    frame.audience = Frame::Audience::native;
    frame_.resize(transport::kServerHeaderBytesMax);
    const Gap gap{core_.epoch, frame.seq, frame.seq, Gap::Reason::upstream};
    if (!encode(frame.codec, Message{{frame.channel->name(), 0}, gap}, frame_)) return;
    payload_bytes = frame_.size() - transport::kServerHeaderBytesMax;
  }
  frame.bytes = transport::seal_frame(
      {opcode_of(frame.codec)},
      std::span(frame_).subspan(transport::kServerHeaderBytesMax, *payload_bytes));
  deliver(frame);
}

template <class Body>
Result<std::size_t> Hub::encode_body(const Frame& frame, const Body& body) {
  const Envelope envelope =
      frame.channel == nullptr ? Envelope{} : Envelope{frame.channel->name(), frame.seq};
  if constexpr (std::is_same_v<Body, Event>) {
    frame_.resize(transport::kServerHeaderBytesMax);
    if (auto encoded = encode(frame.codec, Message{envelope, body}, frame_); !encoded) {
      return encoded.error();
    }
    return frame_.size() - transport::kServerHeaderBytesMax;
  } else {
    const std::size_t needed =
        transport::kServerHeaderBytesMax + encoded_bytes_max(frame.codec, envelope, body);
    if (frame_.size() < needed) frame_.resize(needed);
    return encode(frame.codec, envelope, body,
                  std::span(frame_).subspan(transport::kServerHeaderBytesMax));
  }
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

void Hub::change_interest(InterestChange& change) {
  const std::size_t slot = interest_slot(change.shard, change.codec);
  for (const std::string& name : change.removed) count(name, slot, -1);
  for (const std::string& name : change.added) count(name, slot, +1);
  change.granted.clear();
  for (const std::string& name : change.asked) change.granted.push_back(look_up(name));
}

Subscription Hub::look_up(std::string_view name) {
  if (name.empty() || name.ends_with(":*")) return {};
  const auto channel = core_.registry.find_or_make(name, ChannelRegistry::Asker::client);
  if (!channel) return {0, channel.error()};
  return {(*channel)->head, {}};
}

void Hub::adopt(Channel& channel) {
  if (channel.adopted) return;
  channel.adopted = true;
  adopted_.push_back(&channel);
  const auto kind = kinds_.find(channel.kind());
  if (kind == kinds_.end()) return;
  for (std::size_t slot = 0; slot < kInterestSlots; ++slot) {
    if (kind->second.subscriptions[slot] != 0) channel.wanted |= InterestMask{1} << slot;
  }
}

void Hub::count(std::string_view name, std::size_t slot, int change) {
  const auto parsed = session::parse_channel_name(name, session::Wildcards::allowed);
  if (!parsed) return;
  const InterestMask bit = InterestMask{1} << slot;
  const auto add = [change](std::uint32_t& subscriptions) {
    subscriptions = static_cast<std::uint32_t>(static_cast<std::int64_t>(subscriptions) + change);
  };

  auto kind = kinds_.find(parsed->kind);
  if (kind == kinds_.end()) kind = kinds_.emplace(parsed->kind, Kind{}).first;
  const auto refresh = [&](Channel& channel) {
    const bool wanted = channel.subscriptions[slot] != 0 || kind->second.subscriptions[slot] != 0;
    channel.wanted = wanted ? channel.wanted | bit : channel.wanted & ~bit;
  };
  if (parsed->wildcard) {
    add(kind->second.subscriptions[slot]);
    for (Channel* const channel : adopted_) {
      if (channel->kind() == parsed->kind) refresh(*channel);
    }
    return;
  }
  // Not found: the server's limit of channels; the subscription is refused by look_up().
  if (const auto channel = core_.registry.find_or_make(name, ChannelRegistry::Asker::client)) {
    adopt(**channel);
    add((*channel)->subscriptions[slot]);
    refresh(**channel);
  }
}

}  // namespace stratwire::server
