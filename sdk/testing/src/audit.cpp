#include <bit>
#include <variant>

#include <stratwire/codec.hpp>
#include <stratwire/session/channel_name.hpp>
#include <stratwire/testing/audit.hpp>

namespace stratwire::testing {
namespace {

/// FNV-1a (Fowler, Noll, Vo), a length before each text so that no two lists of texts are alike.
class Hash {
 public:
  Hash& add(std::uint64_t value) noexcept {
    for (int shift = 0; shift < 64; shift += 8) byte(static_cast<unsigned char>(value >> shift));
    return *this;
  }
  Hash& add(std::string_view text) noexcept {
    add(static_cast<std::uint64_t>(text.size()));
    for (const char c : text) byte(static_cast<unsigned char>(c));
    return *this;
  }
  [[nodiscard]] std::uint64_t value() const noexcept { return value_; }

 private:
  void byte(unsigned char byte) noexcept { value_ = (value_ ^ byte) * 0x100000001b3U; }
  std::uint64_t value_ = 0xcbf29ce484222325U;
};

/// The same text for all that are the same value: a published JSON text may have blanks, and a
/// number in MessagePack has several forms.
std::string canonical(const RawValue& value) {
  std::string binary;
  std::string text;
  if (!transcode(value, Codec::msgpack, binary).ok()) return std::string(value.bytes);
  if (!transcode({Codec::msgpack, binary}, Codec::json, text).ok()) return binary;
  return text;
}

std::uint64_t hash_of(const PriceUpdate& message) {
  return Hash{}
      .add("price")
      .add(message.input_mint)
      .add(message.output_mint)
      .add(std::bit_cast<std::uint64_t>(message.price))
      .add(message.volume)
      .add(static_cast<std::uint64_t>(message.timestamp))
      .value();
}
std::uint64_t hash_of(const AccountUpdate& message) {
  return Hash{}
      .add("account")
      .add(message.pubkey)
      .add(message.lamports)
      .add(message.slot)
      .add(static_cast<std::uint64_t>(message.timestamp))
      .value();
}
std::uint64_t hash_of(const Event& message) {
  return Hash{}.add("event").add(message.type).add(canonical(message.data)).value();
}

}  // namespace

std::uint64_t content_of(const DataMessage& message) {
  return std::visit([](const auto& body) { return hash_of(body); }, message);
}

void Audit::take(const Delivery& delivery) {
  if (const auto* const gap = delivery.get_if<Gap>()) {
    oracle_.gap(delivery.envelope.channel, *gap);
  } else if (const auto* const state = delivery.get_if<StateEvent>()) {
    oracle_.generation(state->generation);
  } else if (const auto* const answer = delivery.get_if<Subscribed>()) {
    on_subscribed(*answer);
  } else if (const auto* const farewell = delivery.get_if<Unsubscribed>()) {
    on_unsubscribed(*farewell);
  } else if (const auto* const price = delivery.get_if<PriceUpdate>()) {
    on_message(delivery, hash_of(*price));
  } else if (const auto* const account = delivery.get_if<AccountUpdate>()) {
    on_message(delivery, hash_of(*account));
  } else if (const auto* const event = delivery.get_if<Event>()) {
    on_message(delivery, hash_of(*event));
  }
}

void Audit::on_message(const Delivery& delivery, std::uint64_t content) {
  const std::string_view channel = delivery.envelope.channel;
  if (channel.empty()) return;  // Outside any channel nothing is numbered.
  const std::size_t colon = channel.find(':');
  if (!known_.contains(channel) && colon != std::string_view::npos &&
      known_.contains(session::wildcard_of(channel.substr(0, colon)))) {
    begins_anywhere(channel);
  }
  oracle_.handed(channel, delivery.epoch, delivery.envelope.seq, content);
}

void Audit::on_subscribed(const Subscribed& answer) {
  for (const ChannelResult& result : answer.results) {
    if (result.code != Errc::ok || known_.contains(result.channel)) continue;
    // Where the channels of a wildcard stand nobody says.
    if (session::is_wildcard(result.channel)) {
      known_.insert(result.channel);
    } else {
      begins_after(result.channel, result.head);
    }
  }
}

void Audit::on_unsubscribed(const Unsubscribed& answer) {
  for (const ChannelResult& result : answer.results) {
    if (const auto found = known_.find(result.channel); found != known_.end()) known_.erase(found);
    oracle_.stop(result.channel);
  }
}

void Audit::begins_after(std::string_view channel, std::uint64_t seq) {
  known_.emplace(channel);
  oracle_.start(channel, seq);
}

void Audit::begins_anywhere(std::string_view channel) {
  known_.emplace(channel);
  oracle_.start_anywhere(channel);
}

std::string Audit::verdict(const PublishedLedger& ledger) const {
  DeliveryOracle oracle = oracle_;
  oracle.finish(ledger);
  return oracle.clean() ? std::string{} : oracle.report();
}

}  // namespace stratwire::testing
