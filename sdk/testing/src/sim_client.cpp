#include "sim_client.hpp"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include <stratwire/transport/url.hpp>

namespace stratwire::sim {
namespace {

using session::ConnectionId;
using transport::IoResult;
using transport::IoStatus;

constexpr std::size_t kReadBytes = 128 * 1024;
constexpr TimeNs kSlowEvery = 10 * kMilli;
constexpr TimeNs kPartingTime = 2 * kSecond;
constexpr TimeNs kLateTime = 5 * kSecond;

std::uint64_t number_of(ConnectionId id) noexcept {
  return static_cast<std::uint64_t>(id);
}

std::string_view subprotocol_of(Codec codec) noexcept {
  return codec == Codec::json ? "stratwire.v1.json" : "stratwire.v1.msgpack";
}

transport::Opcode opcode_of(Codec codec) noexcept {
  return codec == Codec::json ? transport::Opcode::text : transport::Opcode::binary;
}

/// PROTOCOL.md 1.4.
session::Duration retry_after(std::string_view head) {
  constexpr std::string_view kName = "\r\nRetry-After-Ms: ";
  const std::size_t at = head.find(kName);
  if (at == std::string_view::npos) return session::Duration{0};
  const std::string digits(head.substr(at + kName.size(), 10));
  return std::chrono::milliseconds(std::strtoull(digits.c_str(), nullptr, 10));
}

}  // namespace

SimClient::SimClient(Scheduler& scheduler, Trace& trace, Random random, SimClientConfig config,
                     Network& network, Receiver& receiver)
    : Actor(scheduler),
      trace_(trace),
      random_(random),
      config_(std::move(config)),
      network_(network),
      receiver_(receiver),
      session_(config_.session),
      decoder_(config_.codec),
      scrap_(kReadBytes, '\0') {}

SimClient::~SimClient() {
  for (const auto& line : lines_) {
    if (line->pipe) line->pipe->close(Side::client);
  }
}

session::Instant SimClient::instant() const noexcept {
  return session::Instant(session::Duration(now()));
}

std::int64_t SimClient::wall_ns() const noexcept {
  return kUnixStartNs + (now() - kStart) + wall_offset_;
}

transport::MaskKey SimClient::mask_key() noexcept {
  const std::uint64_t bits = random_.next();
  return {static_cast<char>(bits), static_cast<char>(bits >> 8), static_cast<char>(bits >> 16),
          static_cast<char>(bits >> 24)};
}

Pipe* SimClient::pipe() noexcept {
  Line* const line = find(session_.connection());
  return line == nullptr ? nullptr : line->pipe.get();
}

std::string SimClient::describe() const {
  std::string text = config_.name + " is " + std::string(to_string(session_.state())) +
                     ", connection " + std::to_string(number_of(session_.connection())) + ";";
  for (const auto& line : lines_) {
    text += " line " + std::to_string(number_of(line->id)) + " stage " +
            std::to_string(static_cast<int>(line->stage));
    if (line->pipe) text += " pipe " + std::to_string(line->pipe->id());
  }
  return text;
}

// ---- The user

void SimClient::start() {
  session_.start(instant());
  wake_at(now());
}

void SimClient::subscribe(std::span<const std::string> channels, Start start,
                          std::span<const ResumePoint> since) {
  session_.subscribe(channels, start, since);
  wake_at(now());
}

void SimClient::unsubscribe(std::span<const std::string> channels) {
  session_.unsubscribe(channels);
  wake_at(now());
}

void SimClient::recover() {
  stalled_until_ = std::min(stalled_until_, now());
  slow_until_ = std::min(slow_until_, now());
  paused_until_ = std::min(paused_until_, now());
  wake_at(now());
}

// ---- Turns

void SimClient::pipe_changed() {
  wake_at(now() + random_.between<TimeNs>(1, 20) * kMicro);
}

void SimClient::on_event() {
  if (now() < paused_until_) {
    wake_at(paused_until_);
    return;
  }
  turn();
  plan_next_turn();
}

void SimClient::turn() {
  if (now() < stalled_until_ || now() < slow_until_) {
    // As ClientLoop::excuse_silence(): nothing is read, which says nothing about the peer.
    session_.heard(session_.connection(), instant());
    session_.heard(session_.successor(), instant());
  }
  if (instant() >= session_.next_tick()) session_.tick(instant());
  perform();
  // Lines may be added meanwhile.
  for (std::size_t i = 0; i < lines_.size(); ++i) advance(*lines_[i]);
  perform();
  for (const auto& line : lines_) flush(*line);
  look_at_trails();
  std::erase_if(lines_, [](const auto& line) { return line->stage == Line::Stage::over; });
}

void SimClient::plan_next_turn() {
  TimeNs next = kForever;
  if (session_.next_tick() != session::kNever) {
    next = session_.next_tick().time_since_epoch().count();
  }
  bool readable = false;
  for (const auto& line : lines_) {
    next = std::min(next, line->due);
    readable = readable || (line->pipe && line->pipe->readable(Side::client));
  }
  if (readable) {
    const TimeNs may_read = std::max(stalled_until_, read_again_at_);
    next = std::min(next, std::max(may_read, now() + kMicro));
  }
  wake_at(next == kForever ? kForever : std::max(next, now() + kMicro));
}

SimClient::Line* SimClient::find(ConnectionId id) noexcept {
  for (const auto& line : lines_) {
    if (line->id == id && line->stage != Line::Stage::over) return line.get();
  }
  return nullptr;
}

void SimClient::look_at_trails() {
  for (Trail& trail : trails_) {
    if (trail.pipe->arrived(Side::server) == trail.arrived) continue;
    trail.arrived = trail.pipe->arrived(Side::server);
    const Line* const line = find(session_.connection());
    if (line != nullptr && line->stage == Line::Stage::open) {
      network_.old_came_late(*this);
    }
  }
  std::erase_if(trails_, [](const Trail& trail) { return trail.pipe->over(); });
}

// ---- What the session says

void SimClient::perform() {
  while (auto action = session_.next_action()) {
    std::visit([this](const auto& one) { perform(one); }, *action);
  }
}

void SimClient::perform(const session::action::Connect& connect) {
  dial(connect.connection, config_.sites[connect.target]);
}

void SimClient::perform(const session::action::ConnectSuccessor& connect) {
  if (const auto site = network_.site_of(connect.url)) {
    dial(connect.connection, *site);
  } else {
    session_.try_failed(connect.connection, instant(), {{Errc::invalid_url}, session::Loss::fatal});
  }
}

void SimClient::dial(ConnectionId id, std::size_t site) {
  auto line = std::make_unique<Line>(id, site, limits::kClientMessageBytesMax);
  line->due = network_.dial(*this);
  trace_.note(config_.name, "dials", number_of(id), site);
  lines_.push_back(std::move(line));
}

void SimClient::perform(const session::action::Write& write) {
  Line* const line = find(write.connection);
  if (line == nullptr) return;
  if (const auto* const request = std::get_if<Subscribe>(&write.message)) {
    Subscribe sent = *request;
    receiver_.asks(sent);
    put_message(*line, sent);
    return;
  }
  put_message(*line, write.message);
}

void SimClient::perform(const session::action::WritePing& ping) {
  if (Line* const line = find(ping.connection)) put(*line, transport::Opcode::ping, {});
}

void SimClient::perform(const session::action::ProbeClock& probe) {
  if (Line* const line = find(probe.connection)) put_message(*line, Ping{wall_ns()});
}

void SimClient::perform(const session::action::Close& close) {
  Line* const line = find(close.connection);
  if (line == nullptr || line->close_put) return;
  transport::append_close(line->out, transport::CloseCode{close.code}, {}, mask_key());
  line->close_put = true;
}

void SimClient::perform(const session::action::Leave& leave) {
  trace_.note(config_.name, "leaves", number_of(leave.connection));
  if (Line* const line = find(leave.connection)) part(*line, leave.code);
}

void SimClient::perform(const session::action::Drop& drop) {
  trace_.note(config_.name, "drops", number_of(drop.connection));
  if (Line* const line = find(drop.connection)) close(*line);
}

void SimClient::perform(const session::action::HandGap& hand) {
  receiver_.gap(hand.channel, hand.gap);
}

void SimClient::perform(const session::action::HandNotice& hand) {
  receiver_.notice(hand.notice, number_of(session_.connection()));
}

// ---- Connecting

void SimClient::advance(Line& line) {
  switch (line.stage) {
    case Line::Stage::dialling:
      if (now() >= line.due) answer(line);
      break;
    case Line::Stage::upgrading:
      upgrade(line);
      break;
    case Line::Stage::open:
      receive(line);
      break;
    case Line::Stage::late:
    case Line::Stage::parting:
      receive(line);
      if (line.stage != Line::Stage::over && now() >= line.due) close(line);
      break;
    case Line::Stage::over:
      break;
  }
}

void SimClient::answer(Line& line) {
  line.due = kForever;
  line.pipe = network_.arrive(*this, line.site);
  if (!line.pipe) {
    trace_.note(config_.name, "is refused", number_of(line.id));
    line.stage = Line::Stage::over;
    session_.try_failed(line.id, instant(), {{Errc::connect_failed}, session::Loss::refused});
    perform();
    return;
  }
  trace_.note(config_.name, "is connected", number_of(line.id), line.pipe->id());
  line.pipe->attach(Side::client, this);
  line.stage = Line::Stage::upgrading;
  const auto url = transport::Url::parse("ws://site" + std::to_string(line.site) + "/");
  const std::string_view offered[] = {subprotocol_of(config_.codec)};
  transport::ClientHandshake::Key key{};
  for (char& byte : key) byte = static_cast<char>(random_.next());
  line.handshake.emplace(*url, offered, key);
  line.out = line.handshake->request();
  upgrade(line);
}

void SimClient::upgrade(Line& line) {
  using Step = transport::ClientHandshake::Step;
  flush(line);
  const IoResult got = line.pipe->read(Side::client, scrap_);
  if (got.status == IoStatus::would_block) return;
  Step step = Step::failed;
  std::span<const char> rest{scrap_.data(), got.bytes};
  if (got.status == IoStatus::ok) {
    line.head.append(scrap_, 0, got.bytes);
    step = line.handshake->feed(rest);
  } else {
    step = line.handshake->end_of_stream();
  }
  if (step == Step::need_more) return;
  if (step == Step::failed) {
    refused(line);
  } else {
    open(line, rest);
  }
}

void SimClient::refused(Line& line) {
  const unsigned status = line.handshake->http_status();
  const auto& error = line.handshake->error();
  trace_.note(config_.name, "upgrade failed", number_of(line.id), status);
  trace_.tell(config_.name, [&] { return "  " + error.text; });
  const bool never = error.code == transport::Errc::subprotocol_refused;
  const session::Loss loss = never ? session::Loss::fatal : session::loss_of_http(status);
  const session::Duration wait = retry_after(line.head);
  const ConnectionId id = line.id;
  close(line);
  session_.try_failed(id, instant(), {{Errc::not_websocket}, loss, wait});
  perform();
}

void SimClient::open(Line& line, std::span<const char> rest) {
  trace_.note(config_.name, "is open", number_of(line.id), line.pipe->id());
  line.stage = Line::Stage::open;
  line.handshake.reset();
  line.in.assign(rest.begin(), rest.end());
  network_.opened(*this, line.site);
  session_.opened(line.id, instant());
  perform();
  if (line.stage == Line::Stage::open) parse(line);
}

// ---- Reading

/// How much may be read now; what a slow strategy leaves is for later.
std::size_t SimClient::take_allowance() noexcept {
  if (now() < stalled_until_) return 0;
  if (now() >= slow_until_) return kReadBytes;
  if (now() < read_again_at_) return 0;
  read_again_at_ = now() + kSlowEvery;
  return slow_bytes_;
}

void SimClient::receive(Line& line) {
  const bool wanted = line.stage == Line::Stage::open;
  const std::size_t allowance = wanted ? take_allowance() : kReadBytes;
  if (allowance == 0) return;
  const IoResult got = line.pipe->read(Side::client, std::span(scrap_).first(allowance));
  if (got.status == IoStatus::would_block) return;
  if (line.stage == Line::Stage::parting) {
    if (got.status != IoStatus::ok) close(line);
    return;
  }
  if (line.stage == Line::Stage::late && session_.connection() != line.id) {
    network_.told_late(*this);
  }
  if (got.status != IoStatus::ok) {
    ended(line, {{Errc::connection_lost}, 0});
    return;
  }
  session_.heard(line.id, instant());
  perform();
  line.in.append(scrap_, 0, got.bytes);
  parse(line);
}

void SimClient::parse(Line& line) {
  std::span<char> input(line.in);
  using Kind = transport::Incoming::Kind;
  while (line.stage == Line::Stage::open || line.stage == Line::Stage::late) {
    const transport::Incoming incoming = line.parser.next(input);
    if (incoming.kind == Kind::need_more) break;
    take(line, incoming);
    perform();
  }
  line.in.erase(0, line.in.size() - input.size());
}

void SimClient::take(Line& line, const transport::Incoming& incoming) {
  using Kind = transport::Incoming::Kind;
  const auto code = static_cast<std::uint16_t>(incoming.code);
  switch (incoming.kind) {
    case Kind::message:
      take_message(line, incoming.payload);
      break;
    case Kind::ping:
      put(line, transport::Opcode::pong, incoming.payload);
      break;
    case Kind::close:
      trace_.note(config_.name, "reads close", number_of(line.id), code);
      ended(line, {{Errc::connection_lost}, code});
      break;
    case Kind::violation:
      trace_.note(config_.name, "reads a violation", number_of(line.id), code);
      receiver_.notice(ErrorReply{0, Errc::protocol_violation, std::string(incoming.payload)},
                       number_of(line.id));
      ended(line, {{Errc::protocol_violation}, 0});
      break;
    case Kind::pong:
    case Kind::need_more:
      break;
  }
}

void SimClient::take_message(Line& line, std::string_view payload) {
  if (const auto decoded = decoder_.decode(payload, message_); !decoded.ok()) {
    session_.undecodable(decoded.error());
    return;
  }
  if (const auto* price = std::get_if<PriceUpdate>(&message_.body)) return take_data(line, *price);
  if (const auto* event = std::get_if<Event>(&message_.body)) return take_data(line, *event);
  if (const auto* account = std::get_if<AccountUpdate>(&message_.body)) {
    return take_data(line, *account);
  }
  trace_.note(config_.name, "reads type", message_.body.index(), payload.size());
  trace_.tell(config_.name, [&] {
    return "  " + (config_.codec == Codec::json ? std::string(payload) : std::string("(binary)"));
  });
  session_.control(line.id, message_.envelope, std::move(message_.body), {instant(), wall_ns()});
}

template <class T>
void SimClient::take_data(Line& line, const T& body) {
  using Verdict = session::ClientSession::Verdict;
  const Verdict verdict = session_.data(line.id, message_.envelope);
  if (verdict == Verdict::drop) return;
  const std::string_view channel = session_.place().channel;
  if (verdict == Verdict::deliver_after_gap) receiver_.gap(channel, session_.gap());
  // Outside a channel the session knows no place.
  Envelope envelope = message_.envelope;
  if (!envelope.channel.empty()) envelope.channel = channel;
  receiver_.message({envelope, session_.place().epoch, number_of(line.id), wall_ns(), body});
}

// ---- Ends

void SimClient::ended(Line& line, session::Ending ending) {
  const ConnectionId id = line.id;
  trace_.note(config_.name, "lost", number_of(id), ending.close_code);
  if (ending.close_code != 0) {
    part(line, ending.close_code);
  } else {
    close(line);
  }
  session_.lost(id, instant(), std::move(ending));
  perform();
}

void SimClient::part(Line& line, std::uint16_t code) {
  const auto say = static_cast<transport::CloseCode>(code);
  const bool sayable = transport::allowed_on_wire(say);
  if (!line.close_put) {
    transport::append_close(line.out, sayable ? say : transport::CloseCode::normal, {}, mask_key());
    line.close_put = true;
  }
  flush(line);
  line.pipe->shutdown(Side::client);
  line.stage = Line::Stage::parting;
  line.due = now() + kPartingTime;
}

void SimClient::close(Line& line) {
  if (line.stage == Line::Stage::over) return;
  if (!line.pipe) {
    line.stage = Line::Stage::over;
    return;
  }
  if (line.stage == Line::Stage::open &&
      network_.dropped(*this, *line.pipe) == Network::Afterlife::told_late) {
    line.stage = Line::Stage::late;
    line.due = now() + kLateTime;
    return;
  }
  if (line.pipe->in_flight(Side::server) != 0) {
    trails_.push_back({line.pipe, line.pipe->arrived(Side::server)});
  }
  line.stage = Line::Stage::over;
  line.pipe->close(Side::client);
}

// ---- Writing

void SimClient::put(Line& line, transport::Opcode opcode, std::string_view payload) {
  if (line.close_put || line.stage == Line::Stage::late) return;
  transport::append_frame(line.out, {opcode, mask_key(), transport::FrameHead::Fin::last}, payload);
}

void SimClient::put_message(Line& line, const WsMessage& message) {
  encoded_.clear();
  if (!encode(config_.codec, Message{{}, message}, encoded_).ok()) return;
  put(line, opcode_of(config_.codec), encoded_);
}

void SimClient::flush(Line& line) {
  if (line.out.empty() || !line.pipe || line.stage == Line::Stage::over) return;
  const IoResult sent = line.pipe->write(Side::client, line.out);
  // What can't be written will be noticed by reading.
  if (sent.status == IoStatus::ok) line.out.erase(0, sent.bytes);
  if (sent.status == IoStatus::closed || sent.status == IoStatus::failed) line.out.clear();
}

}  // namespace stratwire::sim
