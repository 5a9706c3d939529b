// What clients ask, and how connections end.

#include <algorithm>
#include <sched.h>
#include <utility>

#include <stratwire/session/channel_name.hpp>
#include <stratwire/session/server_session.hpp>
#include <stratwire/telemetry/clock.hpp>

#include "io_thread.hpp"

namespace stratwire::server {
namespace {

constexpr std::size_t kNameBytesMax = 64;
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

void IoThread::read(Connection& c) {
  const std::size_t kept = c.unparsed ? c.unparsed->size() : 0;
  if (kept + kReadBytes > receive_buffer_.size()) receive_buffer_.resize(kept + kReadBytes);
  const std::span<char> buffer(receive_buffer_);
  const transport::IoResult result = c.socket.read_some(buffer.subspan(kept, kReadBytes));
  if (result.status == transport::IoStatus::would_block) return;
  if (result.status != transport::IoStatus::ok) {
    drop(c);
    return;
  }
  c.heard_at_ms = now_ms_;
  c.ping_sent = false;
  if (kept != 0) std::ranges::copy(*c.unparsed, buffer.begin());
  take(c, buffer.first(kept + result.bytes));
}

void IoThread::take(Connection& c, std::span<char> input) {
  if (!c.handshake) {
    parse(c, input);
  } else if (c.phase == Connection::Phase::handshake) {
    read_handshake(c, input);
  }
  // Else: behind a request that was answered nothing is read, but taken from the kernel, so that
  // closing does not reset the connection before the peer has the answer.
}

void IoThread::resume(Connection& c) {
  if (!c.unparsed || c.read_paused || c.awaits_hub) return;
  // Into the shared buffer: parse() keeps what it leaves in `unparsed` itself.
  if (c.unparsed->size() > receive_buffer_.size()) receive_buffer_.resize(c.unparsed->size());
  std::ranges::copy(*c.unparsed, receive_buffer_.begin());
  parse(c, std::span(receive_buffer_).first(c.unparsed->size()));
}

void IoThread::parse(Connection& c, std::span<char> input) {
  using Kind = transport::Incoming::Kind;
  bool more = true;
  while (more && c.phase != Connection::Phase::closed && !c.awaits_hub && !c.read_paused) {
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
          lane_append_frame(c, transport::Opcode::pong, incoming.payload);
        }
        break;
      case Kind::pong:
        break;
      case Kind::close:
        if (c.phase == Connection::Phase::closing) {
          if (c.lane_unsent().empty()) {
            drop(c);
          } else {
            // It came with what our close frame is about, which is still to be sent.
            c.shutdown_when_sent = true;
          }
        } else {
          close(c,
                incoming.code == transport::CloseCode::no_status ? transport::CloseCode::normal
                                                                 : incoming.code,
                {});
          c.shutdown_when_sent = true;
        }
        break;
      case Kind::violation:
        counters_.protocol_violations.add();
        core_.log(LogLevel::info, "connection " + std::to_string(c.id) +
                                      " broke the protocol: " + std::string(incoming.payload));
        if (c.phase == Connection::Phase::open) {
          close(c, incoming.code,
                incoming.code == transport::CloseCode::message_too_big
                    ? "a message may have " +
                          std::to_string(core_.config.inbound_message_bytes_max) +
                          " bytes here; send several smaller ones"
                    : std::string(incoming.payload));
        }
        c.shutdown_when_sent = true;
        break;
    }
  }
  if (c.phase == Connection::Phase::closed) return;
  if (input.empty() || c.parser.finished()) {
    c.unparsed.reset();
  } else if (c.unparsed) {
    c.unparsed->assign(input.data(), input.size());
  } else {
    c.unparsed = std::make_unique<std::string>(input.data(), input.size());
  }
  if (hub_ && hub_->has_work() && c.phase == Connection::Phase::open) {
    // It published, most likely: the hub runs next, and what comes of it goes in the same send().
    answered_.push_back(c.token);
  } else {
    flush(c);
  }
}

// ---- Messages

void IoThread::on_message(Connection& c, transport::Opcode opcode, std::string_view payload) {
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
  const WsMessage& body = message_.body;
  if (const auto* ping = std::get_if<Ping>(&body)) {
    const std::int64_t now = telemetry::wall_ns();
    reply(c, Pong{ping->t1, now, telemetry::wall_ns()});
  } else if (const auto* subscribe = std::get_if<Subscribe>(&body)) {
    on_subscribe(c, *subscribe);
  } else if (const auto* unsubscribe = std::get_if<Unsubscribe>(&body)) {
    on_unsubscribe(c, *unsubscribe);
  } else if (const auto* publish = std::get_if<Publish>(&body)) {
    on_publish(c, *publish);
  } else if (const auto* hello = std::get_if<Hello>(&body)) {
    c.name = std::make_unique<std::string>(cut_at_code_point(hello->name, kNameBytesMax));
  } else if (!std::holds_alternative<Pong>(body)) {
    counters_.bad_messages.add();
    refuse(c, 0,
           {Errc::unknown_message_type, 0,
            "clients send Hello, Subscribe, Unsubscribe, Publish, Ping and Pong only; to "
            "publish data, wrap it in a Publish"});
  }
}

void IoThread::refuse(Connection& c, std::uint64_t id, Error error) {
  reply(c, ErrorReply{id, error.code, error.context, retryable(error.code), 0});
}

void IoThread::on_subscribe(Connection& c, const Subscribe& request) {
  const auto kinds = core_.registry.kinds();
  auto plan = session::plan_subscribe(c.cohort->channels, request,
                                      {*kinds, core_.config.channels_per_connection_max});
  if (!plan) {
    counters_.refused_requests.add();
    refuse(c, request.id, plan.error());
    return;
  }
  for (const ChannelResult& result : plan->results) {
    if (result.code != Errc::ok) counters_.refused_requests.add();
  }
  auto change = std::make_unique<InterestChange>();
  change->added = std::move(plan->added);
  // The hub is asked for those that stand already too: a client that subscribes again wants heads.
  change->asked.reserve(plan->results.size());
  for (const ChannelResult& result : plan->results) {
    change->asked.push_back(result.code == Errc::ok ? result.channel : std::string{});
  }
  pending_replies_[c.token] = {std::move(plan->channels), std::move(plan->results), request.id,
                               PendingReply::Kind::subscribed};
  request_interest(c, std::move(change));
}

void IoThread::on_unsubscribe(Connection& c, const Unsubscribe& request) {
  auto plan = session::plan_unsubscribe(c.cohort->channels, request);
  for (const ChannelResult& result : plan.results) {
    if (result.code != Errc::ok) counters_.refused_requests.add();
  }
  auto change = std::make_unique<InterestChange>();
  change->removed = std::move(plan.removed);
  pending_replies_[c.token] = {std::move(plan.channels), std::move(plan.results), request.id,
                               PendingReply::Kind::unsubscribed};
  request_interest(c, std::move(change));
}

void IoThread::request_interest(Connection& c, std::unique_ptr<InterestChange> change) {
  change->thread = index_;
  change->connection_token = c.token;
  change->codec = codec_of(c.dialect);
  if (hub_) {
    hub_->change_interest(*change);
    on_interest(*change);
    return;
  }
  c.awaits_hub = true;
  update_interest(c);
  auto shared = std::make_shared<std::unique_ptr<InterestChange>>(std::move(change));
  core_.threads[0]->post([this, shared] {
    core_.threads[0]->hub_->change_interest(**shared);
    forward_interest(std::move(*shared));
  });
}

void IoThread::on_interest(InterestChange& change) {
  const auto pending = pending_replies_.find(change.connection_token);
  Connection* const c = find(change.connection_token);
  if (c == nullptr || c->cohort == nullptr || pending == pending_replies_.end()) {
    // It went while it waited, and took back what it had before; take back this change too.
    std::swap(change.added, change.removed);
    tell_hub(std::make_unique<InterestChange>(std::move(change)));
    return;
  }
  PendingReply reply_now = std::move(pending->second);
  pending_replies_.erase(pending);

  for (std::size_t i = 0; i < change.granted.size(); ++i) {
    ChannelResult& result = reply_now.results[i];
    if (result.code != Errc::ok) continue;
    const Subscription& granted = change.granted[i];
    if (granted.error.code != Errc::ok) {
      counters_.refused_requests.add();
      result.code = granted.error.code;
      result.message = granted.error.context;
      std::erase(reply_now.channels, result.channel);
      continue;
    }
    result.epoch = core_.epoch;
    result.head = granted.head;
  }

  // What the old log still owes goes first; then the answer, whose heads say where the stream
  // stands; then the new channels.
  finish_log(*c);
  if (reply_now.channels != c->cohort->channels) {
    const bool lagged = c->lagging;
    leave(*c);
    join(*c, cohort_of(c->dialect, std::move(reply_now.channels)));
    if (lagged) {
      c->lagging = false;
      begin_lagging(*c);
    }
  }
  if (reply_now.kind == PendingReply::Kind::subscribed) {
    reply(*c, Subscribed{reply_now.id, std::move(reply_now.results)});
  } else {
    for (ChannelResult& result : reply_now.results) result.epoch = core_.epoch;
    reply(*c, Unsubscribed{reply_now.id, std::move(reply_now.results)});
  }
  if (c->awaits_hub) {
    c->awaits_hub = false;
    update_interest(*c);
    resume(*c);
    if (c->phase != Connection::Phase::closed) flush(*c);
  }
}

void IoThread::on_publish(Connection& c, const Publish& request) {
  const auto answer = [&](Errc code, std::string text) {
    if (code != Errc::ok) counters_.refused_requests.add();
    reply(c, Published{request.id, code, std::move(text)});
  };
  if (core_.config.network_publish == NetworkPublish::refused) {
    answer(Errc::publish_not_allowed,
           "this server takes no messages from the network; it must be started with "
           "--allow-publish");
    return;
  }
  const auto checked = session::check_publish_channel(request.channel, *core_.registry.kinds());
  if (!checked) {
    answer(checked.error().code, checked.error().context);
    return;
  }
  const auto channel = core_.registry.find_or_make(request.channel, ChannelRegistry::Asker::client);
  if (!channel) {
    answer(channel.error().code, channel.error().context);
    return;
  }
  std::visit(
      [&](const auto& message) {
        if (const Errc code = check_publishable(message); code != Errc::ok) {
          answer(code, std::string(describe(code)));
          return;
        }
        switch (core_.submit(Submission(*channel, message))) {
          case PublishStatus::ok:
            answer(Errc::ok, {});
            break;
          case PublishStatus::back_pressured:
            answer(Errc::back_pressured, "the server's inbox is full; try again later");
            break;
          case PublishStatus::refused:
          case PublishStatus::closed:
            answer(Errc::closed, "the server is going away");
            break;
        }
      },
      request.message);
}

// ---- Ends

void IoThread::finish_log(Connection& c) {
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

void IoThread::close(Connection& c, transport::CloseCode code, std::string_view reason) {
  if (c.phase != Connection::Phase::open) return;
  finish_log(c);
  forget_interest(c);
  if (!c.lane) c.lane = std::make_unique<Lane>();
  transport::append_close(c.lane->bytes, code, reason);
  c.phase = Connection::Phase::closing;
  c.deadline_ms = now_ms_ + limits::kCloseTimeout.count();
  c.awaits_hub = false;
  c.read_paused = false;
  leave(c);
  update_interest(c);
}

void IoThread::forget_interest(Connection& c) {
  pending_replies_.erase(c.token);
  if (c.cohort == nullptr || c.cohort->channels.empty()) return;
  auto change = std::make_unique<InterestChange>();
  change->removed = c.cohort->channels;
  change->thread = index_;
  change->codec = codec_of(c.dialect);
  tell_hub(std::move(change));
}

void IoThread::tell_hub(std::unique_ptr<InterestChange> change) {
  if (hub_) {
    hub_->change_interest(*change);
    return;
  }
  auto shared = std::make_shared<std::unique_ptr<InterestChange>>(std::move(change));
  core_.threads[0]->post([this, shared] { core_.threads[0]->hub_->change_interest(**shared); });
}

void IoThread::drop(Connection& c) {
  if (c.phase == Connection::Phase::closed) return;
  forget_interest(c);
  leave(c);
  c.phase = Connection::Phase::closed;
  poller_.remove(c.socket.fd());
  c.socket.close();
  counters_.disconnected.add();
  --open_connections_;
  dropped_.push_back(&c);
  core_.connection_gone();
}

void IoThread::close_all() {
  closing_all_ = true;
  for (const auto& slot : slots_) {
    if (!slot) continue;
    Connection& c = *slot;
    if (c.phase == Connection::Phase::handshake) {
      drop(c);
    } else if (c.phase == Connection::Phase::open) {
      reply(c, GoAway{0, 0});
      close(c, transport::CloseCode::going_away, "server is going away");
      flush(c);
    }
  }
}

void IoThread::begin_drain() {
  listeners_.clear();
  while (hub_->has_work()) {
    if (hub_->drain(~std::size_t{0}) == 0) sched_yield();
    for (std::size_t t = 1; t < core_.threads.size(); ++t) core_.threads[t]->flush_ring();
    write_dirty();
  }
  for (std::size_t t = 1; t < core_.threads.size(); ++t) core_.threads[t]->forward_close_all();
  close_all();
}

}  // namespace stratwire::server
