// What clients send, but for subscriptions.

#include <algorithm>
#include <utility>

#include <stratwire/session/channel_name.hpp>
#include <stratwire/session/server_session.hpp>

#include "shard.hpp"

namespace stratwire::server {
namespace {

/// Longer ones are cut.
constexpr std::size_t kHelloNameBytesMax = 64;
/// What a read may bring at once; more is there at the next turn.
constexpr std::size_t kReadBytes = 256 * 1024;

/// The first `bytes_max` bytes of a UTF-8 text, or less where a code point would be cut.
std::string_view cut_at_code_point(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  while (bytes_max > 0 && (static_cast<unsigned char>(text[bytes_max]) & 0xc0U) == 0x80U) {
    --bytes_max;
  }
  return text.substr(0, bytes_max);
}

}  // namespace

// ---- Bytes in

bool Shard::read(Connection& c) {
  const std::size_t kept = c.unparsed ? c.unparsed->size() : 0;
  if (kept + kReadBytes > receive_buffer_.size()) receive_buffer_.resize(kept + kReadBytes);
  const std::span<char> buffer(receive_buffer_);
  const transport::IoResult result = c.socket.read_some(buffer.subspan(kept, kReadBytes));
  if (result.status == transport::IoStatus::would_block) return false;
  if (result.status != transport::IoStatus::ok) {
    drop(c);
    return true;
  }
  c.note_life(now_.ms);
  if (kept != 0) std::ranges::copy(*c.unparsed, buffer.begin());
  take(c, buffer.first(kept + result.bytes));
  return true;
}

void Shard::take(Connection& c, std::span<char> input) {
  if (!c.handshake) {
    parse(c, input);
  } else if (c.phase == Connection::Phase::handshake) {
    read_handshake(c, input);
  }
  // Else: behind a request that was answered nothing is read, but taken from the kernel, so that
  // closing does not reset the connection before the peer has the answer.
}

void Shard::resume(Connection& c) {
  if (!c.unparsed || !c.reads()) return;
  // Into the shared buffer: parse() keeps what it leaves in `unparsed` itself.
  if (c.unparsed->size() > receive_buffer_.size()) receive_buffer_.resize(c.unparsed->size());
  std::ranges::copy(*c.unparsed, receive_buffer_.begin());
  parse(c, std::span(receive_buffer_).first(c.unparsed->size()));
}

void Shard::parse(Connection& c, std::span<char> input) {
  using Kind = transport::Incoming::Kind;
  bool more = true;
  while (more && c.phase != Connection::Phase::closed && c.reads()) {
    const transport::Incoming incoming = c.parser.next(input);
    switch (incoming.kind) {
      case Kind::need_more:
        more = false;
        break;
      case Kind::message:
        if (c.phase == Connection::Phase::open) on_message(c, incoming.opcode, incoming.payload);
        break;
      case Kind::ping:
        if (c.phase == Connection::Phase::open) {
          fanout_.append_urgent(c, transport::Opcode::pong, incoming.payload);
        }
        break;
      case Kind::pong:
        break;
      case Kind::close:
        on_close_frame(c, incoming.code);
        break;
      case Kind::violation:
        on_violation(c, incoming);
        break;
    }
  }
  if (c.phase == Connection::Phase::closed) return;
  keep_unparsed(c, input);
  if (published_ && c.phase == Connection::Phase::open) {
    // The hub runs next, on this thread: what comes of it goes in the same send().
    answered_.push_back(c.token);
  } else {
    fanout_.flush(c, now_);
  }
}

void Shard::on_close_frame(Connection& c, transport::CloseCode code) {
  if (c.phase == Connection::Phase::closing) {
    if (c.lane_bytes() == 0) {
      drop(c);
    } else {
      // It came with what our close frame is about, which is still to be sent.
      c.shutdown_when_sent = true;
    }
    return;
  }
  close(c, code == transport::CloseCode::no_status ? transport::CloseCode::normal : code, {});
  c.shutdown_when_sent = true;
}

void Shard::on_violation(Connection& c, const transport::Incoming& violation) {
  counters_.protocol_violations.add();
  core_.log(LogLevel::info, "connection " + std::to_string(c.id) +
                                " broke the protocol: " + std::string(violation.payload));
  if (violation.code == transport::CloseCode::message_too_big) {
    close(c, violation.code,
          "a message may have " + std::to_string(core_.config.inbound_message_bytes_max) +
              " bytes here; split the request into several");
  } else {
    close(c, violation.code, violation.payload);
  }
  c.shutdown_when_sent = true;
}

void Shard::keep_unparsed(Connection& c, std::span<const char> input) {
  if (input.empty() || c.parser.finished()) {
    c.unparsed.reset();
  } else if (c.unparsed) {
    c.unparsed->assign(input.data(), input.size());
  } else {
    c.unparsed = std::make_unique<std::string>(input.data(), input.size());
  }
}

// ---- Messages

void Shard::on_message(Connection& c, transport::Opcode opcode, std::string_view payload) {
  counters_.received_messages.add();
  const bool binary = opcode == transport::Opcode::binary;
  if (binary != (c.dialect == Dialect::msgpack)) {
    counters_.protocol_violations.add();
    close(c, transport::CloseCode::unsupported_data,
          binary ? "this subprotocol is JSON: send text frames"
                 : "this subprotocol is MessagePack: send binary frames");
    return;
  }
  Decoder& decoder = binary ? msgpack_decoder_ : json_decoder_;
  if (const auto decoded = decoder.decode(payload, message_); !decoded) {
    counters_.bad_messages.add();
    Error error = decoded.error();
    if (!error.member.empty()) error.context.append("'").append(error.member).append("': ");
    error.context += std::string(describe(error.code)) + " At byte " +
                     std::to_string(error.offset) + " of " + std::to_string(payload.size()) + ": " +
                     session::quoted(payload.substr(error.offset));
    refuse(c, 0, std::move(error));
    return;
  }
  on_request(c, message_.body);
}

void Shard::on_request(Connection& c, const WsMessage& body) {
  if (const auto* ping = std::get_if<Ping>(&body)) {
    fanout_.reply(c, Pong{ping->t1, now_.wall_ns, now_.wall_ns});
  } else if (const auto* subscribe = std::get_if<Subscribe>(&body)) {
    if (!hold(c, body)) on_subscribe(c, *subscribe);
  } else if (const auto* unsubscribe = std::get_if<Unsubscribe>(&body)) {
    if (!hold(c, body)) on_unsubscribe(c, *unsubscribe);
  } else if (const auto* publish = std::get_if<Publish>(&body)) {
    on_publish(c, *publish);
  } else if (const auto* hello = std::get_if<Hello>(&body)) {
    c.name = std::make_unique<std::string>(cut_at_code_point(hello->name, kHelloNameBytesMax));
  } else if (!std::holds_alternative<Pong>(body)) {
    counters_.bad_messages.add();
    refuse(c, 0,
           {Errc::unknown_message_type, 0,
            "clients send Hello, Subscribe, Unsubscribe, Publish, Ping and Pong only; to "
            "publish data, wrap it in a Publish"});
  }
}

void Shard::refuse(Connection& c, std::uint64_t id, Error error) {
  fanout_.reply(c, ErrorReply{id, error.code, error.context, retryable(error.code), 0});
}

void Shard::on_publish(Connection& c, const Publish& request) {
  if (core_.config.network_publish == NetworkPublish::refused) {
    answer_publish(c, request.id, Errc::publish_not_allowed,
                   "this server takes no messages from the network; it must be started with "
                   "--allow-publish");
    return;
  }
  const auto checked = session::check_publish_channel(request.channel, *core_.registry.kinds());
  if (!checked) {
    answer_publish(c, request.id, checked.error().code, checked.error().context);
    return;
  }
  const auto channel = core_.registry.find_or_make(request.channel);
  if (!channel) {
    answer_publish(c, request.id, channel.error().code, channel.error().context);
    return;
  }
  std::visit(
      [&](const auto& message) {
        if (const Errc code = check_publishable(message); code != Errc::ok) {
          answer_publish(c, request.id, code, std::string(describe(code)));
          return;
        }
        publish(c, request.id, Publication(*channel, message));
      },
      request.message);
}

void Shard::publish(Connection& c, std::uint64_t id, Publication publication) {
  publication.published_ns = now_.wall_ns;
  switch (core_.submit(publication)) {
    case PublishStatus::ok:
      published_ = published_ || index_ == 0;
      answer_publish(c, id, Errc::ok, {});
      break;
    case PublishStatus::back_pressured:
      answer_publish(c, id, Errc::back_pressured, "the server's inbox is full; try again later");
      break;
    case PublishStatus::refused:
    case PublishStatus::closed:
      answer_publish(c, id, Errc::closed, "the server is going away");
      break;
  }
}

void Shard::answer_publish(Connection& c, std::uint64_t id, Errc code, std::string text) {
  if (code != Errc::ok) counters_.refused_requests.add();
  fanout_.reply(c, Published{id, code, std::move(text)});
}

}  // namespace stratwire::server
