/// Any message, appended to a string.
#include <array>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <stratwire/codec.hpp>

#include "message_types.hpp"
#include "value_writer.hpp"
#include "wire_order.hpp"

namespace stratwire {
namespace {

using namespace detail;

// Objects in JSON, arrays in MessagePack: the order of the calls is the layout of both.
class JsonMessage {
 public:
  static constexpr Codec kCodec = Codec::json;

  explicit JsonMessage(std::string& out) noexcept : writer_(out) {}

  void begin(std::string_view type, std::uint8_t /*id*/, std::size_t members) {
    begin_item(members);
    writer_.plain_key("type");
    writer_.plain_text(type);
  }
  void begin_item(std::size_t members) { writer_.begin_object(members); }
  void end() { writer_.end_object(); }
  void name(std::string_view name) { writer_.plain_key(name); }
  JsonWriter& writer() noexcept { return writer_; }

 private:
  JsonWriter writer_;
};

class MsgpackMessage {
 public:
  static constexpr Codec kCodec = Codec::msgpack;

  explicit MsgpackMessage(std::string& out) noexcept : writer_(out) {}

  void begin(std::string_view /*type*/, std::uint8_t id, std::size_t members) {
    begin_item(members + 1);
    writer_.unsigned_integer(id);
  }
  void begin_item(std::size_t members) { writer_.begin_array(members); }
  void end() noexcept {}
  void name(std::string_view /*name*/) noexcept {}
  MsgpackWriter& writer() noexcept { return writer_; }

 private:
  MsgpackWriter writer_;
};

template <class Out>
void member(Out& out, std::string_view name, std::uint64_t value) {
  out.name(name);
  out.writer().unsigned_integer(value);
}
template <class Out>
void member(Out& out, std::string_view name, std::uint32_t value) {
  member(out, name, std::uint64_t{value});
}
template <class Out>
void member(Out& out, std::string_view name, std::int64_t value) {
  out.name(name);
  out.writer().signed_integer(value);
}
template <class Out>
void member(Out& out, std::string_view name, std::string_view value) {
  out.name(name);
  out.writer().text(value);
}
template <class Out>
void member(Out& out, std::string_view name, const std::string& value) {
  member(out, name, std::string_view(value));
}
template <class Out>
void member(Out& out, std::string_view name, bool value) {
  out.name(name);
  out.writer().boolean(value);
}
template <class Out, class Items, class Write>
void member_list(Out& out, std::string_view name, const Items& items, Write&& write_item) {
  out.name(name);
  out.writer().begin_array(items.size());
  for (const auto& item : items) write_item(item);
  out.writer().end_array();
}
template <class Out>
void member(Out& out, std::string_view name, const std::vector<std::string>& texts) {
  member_list(out, name, texts, [&](const std::string& text) { out.writer().text(text); });
}

// Only texts and raw values can be refused; raw values bring an offset.
using Refusal = Result<void>;

template <class Out>
Refusal refusal_of(Out& out) {
  const Errc code = out.writer().refused();
  if (code == Errc::ok) return {};
  return code;
}

template <class Out, class Answer>
void write_results(Out& out, const Answer& message) {
  out.begin(kTypeName<Answer>, kTypeId<Answer>, 2);
  member(out, "id", message.id);
  member_list(out, "results", message.results, [&](const ChannelResult& result) {
    out.begin_item(6);
    member(out, "channel", result.channel);
    member(out, "code", to_string(result.code));
    member(out, "message", result.message);
    member(out, "epoch", result.epoch);
    member(out, "head", result.head);
    member(out, "recovered", result.recovered);
    out.end();
  });
  out.end();
}

template <class Out>
void write(Out& out, const Envelope&, const Subscribe& message) {
  out.begin(kTypeName<Subscribe>, kTypeId<Subscribe>, 5);
  member(out, "id", message.id);
  member(out, "channels", message.channels);
  member_list(out, "since", message.since, [&](const ResumePoint& point) {
    out.begin_item(3);
    member(out, "channel", point.channel);
    member(out, "epoch", point.epoch);
    member(out, "seq", point.seq);
    out.end();
  });
  member(out, "snapshot", message.snapshot);
  member(out, "more", message.more);
  out.end();
}
template <class Out>
void write(Out& out, const Envelope&, const Unsubscribe& message) {
  out.begin(kTypeName<Unsubscribe>, kTypeId<Unsubscribe>, 2);
  member(out, "id", message.id);
  member(out, "channels", message.channels);
  out.end();
}
template <class Out>
void write(Out& out, const Envelope&, const Subscribed& message) {
  write_results(out, message);
}
template <class Out>
void write(Out& out, const Envelope&, const Unsubscribed& message) {
  write_results(out, message);
}

template <class Out>
void write(Out& out, const Envelope& envelope, const Gap& message) {
  const bool named = Out::kCodec == Codec::msgpack || !envelope.channel.empty();
  out.begin(kTypeName<Gap>, kTypeId<Gap>, 5);
  if (named) member(out, "ch", envelope.channel);
  member(out, "epoch", message.epoch);
  member(out, "from", message.from);
  member(out, "to", message.to);
  member(out, "reason", to_string(message.reason));
  out.end();
}

template <class Out>
void write(Out& out, const Envelope&, const Ping& message) {
  out.begin(kTypeName<Ping>, kTypeId<Ping>, 1);
  member(out, "t1", message.t1);
  out.end();
}

template <class Out>
void write(Out& out, const Envelope&, const Pong& message) {
  out.begin(kTypeName<Pong>, kTypeId<Pong>, 3);
  member(out, "t1", message.t1);
  member(out, "t2", message.t2);
  member(out, "t3", message.t3);
  out.end();
}

template <class Out>
void write(Out& out, const Envelope&, const Hello& message) {
  out.begin(kTypeName<Hello>, kTypeId<Hello>, 1);
  member(out, "name", message.name);
  out.end();
}

template <class Out>
void write(Out& out, const Envelope&, const Welcome& message) {
  out.begin(kTypeName<Welcome>, kTypeId<Welcome>, 6);
  member(out, "client_id", message.client_id);
  member(out, "epoch", message.epoch);
  member(out, "heartbeat_ms", message.heartbeat_ms);
  member(out, "message_bytes_max", message.message_bytes_max);
  member(out, "channels_max", message.channels_max);
  member(out, "timestamp", message.timestamp);
  out.end();
}

template <class Out>
void write(Out& out, const Envelope&, const Published& message) {
  out.begin(kTypeName<Published>, kTypeId<Published>, 3);
  member(out, "id", message.id);
  member(out, "code", to_string(message.code));
  member(out, "message", message.message);
  out.end();
}

template <class Out>
void write(Out& out, const Envelope&, const Heartbeat& message) {
  out.begin(kTypeName<Heartbeat>, kTypeId<Heartbeat>, 3);
  member(out, "timestamp", message.timestamp);
  member_list(out, "heads", message.heads, [&](const ChannelHead& head) {
    out.begin_item(2);
    member(out, "channel", head.channel);
    member(out, "seq", head.seq);
    out.end();
  });
  member_list(out, "times", message.times, [&](const HopTimes& times) {
    out.begin_item(4);
    member(out, "channel", times.channel);
    member(out, "seq", times.seq);
    member(out, "published", times.published);
    member(out, "written", times.written);
    out.end();
  });
  out.end();
}

template <class Out>
void write(Out& out, const Envelope&, const GoAway& message) {
  out.begin(kTypeName<GoAway>, kTypeId<GoAway>, 3);
  member(out, "deadline_ms", message.deadline_ms);
  member(out, "reconnect_after_ms", message.reconnect_after_ms);
  member(out, "alternatives", message.alternatives);
  out.end();
}

template <class Out>
void write(Out& out, const Envelope&, const ErrorReply& message) {
  out.begin(kTypeName<ErrorReply>, kTypeId<ErrorReply>, 5);
  member(out, "id", message.id);
  member(out, "code", to_string(message.code));
  member(out, "message", message.message);
  member(out, "temporary", message.temporary);
  member(out, "retry_after_ms", message.retry_after_ms);
  out.end();
}

template <class Out>
void write(Out& out, const Envelope&, const CaughtUp& message) {
  out.begin(kTypeName<CaughtUp>, kTypeId<CaughtUp>, 1);
  member(out, "id", message.id);
  out.end();
}

template <class Out>
void write(Out& out, const Envelope&, const PeerHello& message) {
  out.begin(kTypeName<PeerHello>, kTypeId<PeerHello>, 4);
  member(out, "name", message.name);
  member(out, "epoch", message.epoch);
  member(out, "received_epoch", message.received_epoch);
  member(out, "received_seq", message.received_seq);
  out.end();
}

template <class Out>
void write(Out& out, const Envelope&, const Ack& message) {
  out.begin(kTypeName<Ack>, kTypeId<Ack>, 1);
  member(out, "seq", message.seq);
  out.end();
}

// ---- Data messages

template <class Fixed>
Refusal append_fixed(Codec codec, const Envelope& envelope, const Fixed& message,
                     std::string& out) {
  const std::size_t room = encoded_bytes_max(codec, envelope, message);
  std::array<char, 2048> near;
  if (room <= near.size()) {
    const Result<std::size_t> bytes = encode(codec, envelope, message, near);
    if (!bytes) return bytes.error();
    out.append(near.data(), *bytes);
    return {};
  }
  const std::size_t size_before = out.size();
  out.resize(size_before + room);
  const Result<std::size_t> bytes =
      encode(codec, envelope, message, std::span(out).subspan(size_before));
  if (!bytes) return bytes.error();
  out.resize(size_before + *bytes);
  return {};
}

Refusal append_event(Codec codec, const Envelope& envelope, const Event& message,
                     std::string& out) {
  if (codec == Codec::json) {
    JsonMessage json(out);
    json.begin(kTypeName<Event>, kTypeId<Event>, 4);
    if (!envelope.channel.empty()) {
      member(json, "ch", envelope.channel);
      member(json, "seq", envelope.seq);
    }
    member(json, "event", message.type);
    if (json.writer().refused() != Errc::ok) return json.writer().refused();
    json.name("data");
    if (Refusal refused = transcode(message.data, codec, out); !refused) return refused;
    json.end();
    return {};
  }
  MsgpackMessage packed(out);
  packed.begin(kTypeName<Event>, kTypeId<Event>, 4);
  // At full width, so that a server finds and a decoder reads it at a known place.
  std::array<char, 9> sequence{'\xcf'};
  store_big_endian(sequence.data() + 1, envelope.channel.empty() ? 0 : envelope.seq);
  packed.writer().raw({sequence.data(), sequence.size()});
  packed.writer().text(envelope.channel);
  packed.writer().text(message.type);
  if (packed.writer().refused() != Errc::ok) return packed.writer().refused();
  return transcode(message.data, codec, out);
}

Refusal append_data(Codec codec, const Envelope& envelope, const PriceUpdate& message,
                    std::string& out) {
  return append_fixed(codec, envelope, message, out);
}
Refusal append_data(Codec codec, const Envelope& envelope, const AccountUpdate& message,
                    std::string& out) {
  return append_fixed(codec, envelope, message, out);
}
Refusal append_data(Codec codec, const Envelope& envelope, const Event& message, std::string& out) {
  return append_event(codec, envelope, message, out);
}

// ---- Messages that carry a data message, always as their last member

template <class Out>
Refusal end_with(Out& writer, const DataMessage& message, std::string& out) {
  writer.name("message");
  if (Refusal refused = refusal_of(writer); !refused) return refused;
  Refusal refused = std::visit(
      [&](const auto& data) { return append_data(Out::kCodec, Envelope{}, data, out); }, message);
  if (refused) writer.end();
  return refused;
}

template <class Out>
Refusal append_carrier(const Envelope&, const Publish& message, std::string& out) {
  Out writer(out);
  writer.begin(kTypeName<Publish>, kTypeId<Publish>, 3);
  member(writer, "id", message.id);
  member(writer, "channel", message.channel);
  return end_with(writer, message.message, out);
}

template <class Out>
Refusal append_carrier(const Envelope& envelope, const Request& message, std::string& out) {
  Out writer(out);
  writer.begin(kTypeName<Request>, kTypeId<Request>, 4);
  member(writer, "seq", envelope.seq);
  member(writer, "id", message.id);
  member(writer, "deadline_ms", message.deadline_ms);
  return end_with(writer, message.message, out);
}

template <class Out>
Refusal append_carrier(const Envelope& envelope, const Reply& message, std::string& out) {
  const bool answered = message.code == Errc::ok;
  Out writer(out);
  writer.begin(kTypeName<Reply>, kTypeId<Reply>, answered ? 5 : 4);
  member(writer, "seq", envelope.seq);
  member(writer, "id", message.id);
  member(writer, "code", to_string(message.code));
  member(writer, "text", message.text);
  if (answered) return end_with(writer, message.message, out);
  writer.end();
  return refusal_of(writer);
}

template <class Out>
Refusal append(const Message& message, std::string& out) {
  return std::visit(
      [&](const auto& body) -> Refusal {
        if constexpr (requires { append_data(Out::kCodec, message.envelope, body, out); }) {
          return append_data(Out::kCodec, message.envelope, body, out);
        } else if constexpr (requires { append_carrier<Out>(message.envelope, body, out); }) {
          return append_carrier<Out>(message.envelope, body, out);
        } else {
          Out writer(out);
          write(writer, message.envelope, body);
          return refusal_of(writer);
        }
      },
      message.body);
}

}  // namespace

Result<void> encode(Codec codec, const Message& message, std::string& out) {
  const std::size_t size_before = out.size();
  Refusal refused = codec == Codec::json ? append<JsonMessage>(message, out)
                                         : append<MsgpackMessage>(message, out);
  if (!refused) out.resize(size_before);
  return refused;
}

}  // namespace stratwire
