#include "client_loop.hpp"

#include <algorithm>
#include <utility>

#include <stratwire/telemetry/clock.hpp>
#include <stratwire/transport/random.hpp>

#include "settings.hpp"

namespace stratwire::client {
namespace {

// Frames wait here for the kernel; more Publish messages wait in the send buffer, where their age
// is watched.
constexpr std::size_t kOutBytesMax = 256 * 1024;
// State events of tries that failed while the strategy took nothing; newer ones replace older ones.
constexpr std::size_t kHandingMax = 1024;
constexpr std::chrono::milliseconds kPartingLook{100};
constexpr std::chrono::hours kConnectingWait{1};

Instant clock_now() {
  return std::chrono::steady_clock::now();
}

std::uint64_t random_seed() {
  std::array<char, sizeof(std::uint64_t)> bytes{};
  transport::random_bytes(bytes);
  std::uint64_t seed = 0;
  std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(&seed));
  return seed;
}

// A counter that follows a figure of the session.
void follow(telemetry::Counter& counter, std::uint64_t figure) noexcept {
  counter.add(figure - counter.value());
}

}  // namespace

// ---- Making

Result<std::unique_ptr<ClientLoop>> ClientLoop::open(ClientConfig config) {
  if (auto valid = validate(config); !valid.ok()) return valid.error();
  auto urls = parse_urls(config);
  if (!urls.ok()) return urls.error();
  auto poller = transport::Poller::open();
  if (!poller) return translate(poller.error());
  auto wakeup = transport::Wakeup::open();
  if (!wakeup) return translate(wakeup.error());
  if (poller->add(wakeup->fd(), kWakeupToken, transport::Interest::read) != 0) {
    return Error{Errc::io_failed, 0, "the system has no room for one more epoll entry"};
  }
  return std::unique_ptr<ClientLoop>(
      new ClientLoop(std::move(config), *std::move(urls), *std::move(poller), *std::move(wakeup)));
}

ClientLoop::ClientLoop(ClientConfig config, std::vector<transport::Url> urls,
                       transport::Poller poller, transport::Wakeup wakeup)
    : config_(std::move(config)),
      urls_(std::move(urls)),
      poller_(std::move(poller)),
      wakeup_(std::move(wakeup)),
      mailbox_(send_buffer_policy(config_.send_buffer)),
      session_(session_config(config_, urls_, random_seed())),
      decoder_(config_.codec) {
  lines_[0] = std::make_unique<Line>(config_.codec, config_.message_bytes_max, poller_, kLineToken);
}

void ClientLoop::start() {
  now_ = clock_now();
  session_.start(now_);
  perform();
}

// ---- Turns

bool ClientLoop::turn() {
  now_ = clock_now();
  bool busy = take_commands();
  if (now_ >= session_.next_tick()) {
    session_.tick(now_);
    busy = true;
  }
  return advance() || busy;
}

void ClientLoop::get_on() {
  now_ = clock_now();
  advance();
}

bool ClientLoop::advance() {
  perform();
  const bool busy = get_on_with_connecting();
  if (busy) perform();
  for (transport::Parting& parting : partings_) {
    if (parting.is_open()) parting.step(now_);
  }
  flush();
  publish_counts();
  return busy;
}

bool ClientLoop::take_commands() {
  if (!mailbox_.has_work()) return false;
  now_ = clock_now();
  carry_out_commands(now_);
  flush();
  return true;
}

void ClientLoop::carry_out_commands(Instant now) {
  mailbox_.take(commands_);
  std::uint32_t wishes = 0;
  for (Command& command : commands_) {
    if (auto* const wish = std::get_if<Wish>(&command)) {
      gates_.wished(wish->channels);
      session_.subscribe(wish->channels, wish->start, wish->since);
      ++wishes;
    } else if (auto* const unwish = std::get_if<Unwish>(&command)) {
      gates_.unwished(unwish->channels);
      session_.unsubscribe(unwish->channels);
    } else if (auto* const gate = std::get_if<AddGate>(&command)) {
      const bool known = session_.is_at_message(gate->channel);
      // A message that its Gap was handed over for comes next.
      const std::uint64_t newest = gates_.deliveries() + (message_held_ ? 1 : 0);
      gates_.add(std::move(gate->channel), std::move(gate->words), known ? newest : 0);
    } else {
      session_.send(std::get<session::Outgoing>(std::move(command)));
    }
  }
  if (mailbox_.close_requested()) session_.close(now);
  perform();
  if (wishes != 0) mailbox_.wishes_done(wishes);
  if (!commands_.empty()) reported_messages_ = ~std::size_t{0};  // Report whatever it is now.
}

void ClientLoop::excuse_silence() {
  const Instant now = clock_now();
  for (const auto& line : lines_) {
    if (line != nullptr && line->is_open()) session_.heard(line->id(), now);
  }
}

void ClientLoop::perform() {
  while (auto action = session_.next_action()) perform_one(*action);
}

void ClientLoop::perform_one(session::Action& action) {
  namespace act = session::action;
  if (const auto* connect = std::get_if<act::Connect>(&action)) {
    perform_connect(connect->connection, urls_[connect->target]);
  } else if (const auto* successor = std::get_if<act::ConnectSuccessor>(&action)) {
    perform_successor(*successor);
  } else if (const auto* write = std::get_if<act::Write>(&action)) {
    put(write->connection, write->message);
  } else if (const auto* probe = std::get_if<act::ProbeClock>(&action)) {
    put(probe->connection, Ping{telemetry::wall_ns()});
  } else if (const auto* ping = std::get_if<act::WritePing>(&action)) {
    if (Line* const line = find(ping->connection)) {
      line->connection().put(transport::Opcode::ping, {});
    }
  } else if (const auto* close = std::get_if<act::Close>(&action)) {
    perform_close(*close);
  } else if (const auto* leave = std::get_if<act::Leave>(&action)) {
    perform_leave(*leave);
  } else if (const auto* drop = std::get_if<act::Drop>(&action)) {
    for (const auto& line : lines_) {
      if (line != nullptr && line->id() == drop->connection) line->drop();
    }
  } else if (auto* const gap = std::get_if<act::HandGap>(&action)) {
    gates_.gap_known(gap->channel);
    if (!abandoned_) handing_.emplace_back(std::move(*gap));
  } else if (auto* const notice = std::get_if<act::HandNotice>(&action)) {
    remember(notice->notice);
    if (!abandoned_) handing_.emplace_back(std::move(*notice));
  }
}

/// On an open line; what is for one that has gone is for nobody.
void ClientLoop::put(session::ConnectionId id, const WsMessage& body) {
  Line* const line = find(id);
  if (line == nullptr) return;
  encoded_.clear();
  const Message message{{}, body};
  // The session makes messages that every codec can encode.
  if (!encode(config_.codec, message, encoded_).ok()) return;
  line->connection().put(opcode_of(config_.codec), encoded_);
}

void ClientLoop::perform_connect(session::ConnectionId id, transport::Url url) {
  free_line().start(id, std::move(url));
}

void ClientLoop::perform_successor(const session::action::ConnectSuccessor& successor) {
  auto url = transport::Url::parse(successor.url);
  if (url) return perform_connect(successor.connection, *std::move(url));
  session_.try_failed(successor.connection, now_, {translate(url.error()), {}, {}});
}

void ClientLoop::perform_close(const session::action::Close& close) {
  Line* const line = find(close.connection);
  if (line == nullptr) return;
  flush_sends(*line);
  line->connection().put_close(transport::CloseCode{close.code}, {});
}

void ClientLoop::perform_leave(const session::action::Leave& leave) {
  if (Line* const line = find(leave.connection)) part(*line, leave.code, {});
}

// State and error for any thread; and what is handed over late is kept short.
void ClientLoop::remember(const Notice& notice) {
  if (const auto* const answer = std::get_if<Subscribed>(&notice)) gates_.answered(*answer);
  if (const auto* const answer = std::get_if<Unsubscribed>(&notice)) gates_.left(*answer);
  const auto* const event = std::get_if<StateEvent>(&notice);
  if (event == nullptr) return;
  gates_.state_known(*event);
  {
    const std::lock_guard hold(told_mutex_);
    error_ = event->cause;
  }
  // release: pairs with the acquire in state(); error() says why.
  state_.store(event->state, std::memory_order_release);
  const std::size_t waiting = handing_.size() - handed_;
  if (event->state != ClientState::connecting || waiting < kHandingMax) return;
  const auto is_state = [](const Hand& hand, ClientState state) {
    const auto* const other = std::get_if<session::action::HandNotice>(&hand);
    const auto* const change = other ? std::get_if<StateEvent>(&other->notice) : nullptr;
    return change != nullptr && change->state == state;
  };
  // connecting, backing_off, connecting ...: the newest pair says all.
  if (is_state(handing_[handing_.size() - 1], ClientState::backing_off) &&
      is_state(handing_[handing_.size() - 2], ClientState::connecting)) {
    handing_.resize(handing_.size() - 2);
  }
}

void ClientLoop::flush_sends(Line& line) {
  transport::Connection& connection = line.connection();
  while (connection.waiting() < kOutBytesMax) {
    const session::Outgoing* const next = session_.next_send();
    if (next == nullptr) break;
    const std::uint64_t begins_at = connection.bytes_put();
    connection.put(opcode_of(config_.codec), next->payload);
    session_.send_written(begins_at);
  }
}

void ClientLoop::flush() {
  for (const auto& line : lines_) {
    if (line == nullptr || !line->is_open()) continue;
    // Not before the Welcome, which says how large a message may be (PROTOCOL.md 1.2).
    if (line->greeted && line->id() == session_.connection()) flush_sends(*line);
    if (line->connection().waiting() == 0) continue;
    line->connection().write();
    session_.left(line->id(), line->connection().bytes_left());
  }
  report_to_mailbox();
}

void ClientLoop::report_to_mailbox() {
  const auto& sends = session_.sends();
  // What became of a message takes its place until the strategy has heard of it: one that sends
  // and never polls is told back_pressured, instead of its reports filling the memory.
  const auto is_report = [](const Hand& hand) {
    const auto* const notice = std::get_if<session::action::HandNotice>(&hand);
    return notice != nullptr && std::holds_alternative<Published>(notice->notice);
  };
  const auto reports = std::count_if(handing_.begin() + static_cast<std::ptrdiff_t>(handed_),
                                     handing_.end(), is_report);
  const std::size_t messages = sends.size() + static_cast<std::size_t>(reports);
  if (messages == reported_messages_ && sends.bytes() == reported_bytes_) return;
  reported_messages_ = messages;
  reported_bytes_ = sends.bytes();
  mailbox_.report(reported_messages_, reported_bytes_);
}

// ---- Connections

/// An open line.
Line* ClientLoop::find(session::ConnectionId id) noexcept {
  for (const auto& line : lines_) {
    if (line != nullptr && line->is_open() && line->id() == id) return line.get();
  }
  return nullptr;
}

/// The session has at most two connections and tries at a time.
Line& ClientLoop::free_line() {
  if (lines_[0]->stage() == Line::Stage::none) return *lines_[0];
  if (lines_[1] == nullptr) {
    lines_[1] =
        std::make_unique<Line>(config_.codec, config_.message_bytes_max, poller_, kLineToken + 1);
  }
  lines_[1]->drop();
  return *lines_[1];
}

bool ClientLoop::get_on_with_connecting() {
  bool busy = false;
  for (const auto& line : lines_) {
    if (line == nullptr) continue;
    const session::ConnectionId id = line->id();
    switch (line->get_on()) {
      case Line::Progress::nothing:
        break;
      case Line::Progress::something:
        busy = true;
        break;
      case Line::Progress::opened:
        // What was wished for before there was a connection is asked for before it is called live.
        take_commands();
        line->arrival = {now_, telemetry::wall_ns()};
        gates_.heard(now_);
        session_.opened(id, now_);
        busy = true;
        break;
      case Line::Progress::failed:
        session_.try_failed(id, now_, line->take_failure());
        busy = true;
        break;
    }
  }
  return busy;
}

void ClientLoop::abandon() {
  abandoned_ = true;
  handing_.clear();
  handed_ = 0;
  message_held_ = false;
}

// ---- Waiting

void ClientLoop::sleep(Instant until, Listen listen) {
  Instant end = std::min(until, session_.next_tick());
  for (const transport::Parting& parting : partings_) {
    // They are looked at now and then only: what they hold interests nobody.
    if (parting.is_open()) end = std::min(end, now_ + kPartingLook);
  }
  Line* connecting = nullptr;  // The session has at most one try at a time.
  for (const auto& line : lines_) {
    if (line == nullptr) continue;
    line->listen(listen);
    if (line->stage() == Line::Stage::connecting) connecting = line.get();
  }
  Duration left = end == session::kNever ? transport::Poller::kNoTimeout
                                         : std::max(end - clock_now(), Duration{0});
  if (connecting != nullptr) {
    // A connector has a poller of its own, which listens to ours meanwhile.
    const bool ever = left == transport::Poller::kNoTimeout;
    connecting->connector().wait(ever ? kConnectingWait : left, poller_.fd());
    left = Duration{0};
  }
  std::array<transport::Ready, 4> ready{};
  const std::size_t count = poller_.wait(ready, left);
  for (std::size_t i = 0; i < count; ++i) {
    if (ready[i].token == kWakeupToken) wakeup_.drain();
  }
}

// ---- Any thread

ClientState ClientLoop::state() const noexcept {
  // acquire: pairs with the release in remember().
  const ClientState state = state_.load(std::memory_order_acquire);
  return state == ClientState::live && mailbox_.wishes_pending() ? ClientState::subscribing : state;
}

Error ClientLoop::error() const {
  const std::lock_guard hold(told_mutex_);
  return error_;
}

std::optional<ClockEstimate> ClientLoop::clock() const {
  const Instant now = clock_now();
  const std::lock_guard hold(told_mutex_);
  const auto estimate = clock_.estimate(now);
  if (!estimate) return std::nullopt;
  return ClockEstimate{estimate->offset, estimate->error};
}

void ClientLoop::publish_counts() {
  const session::ClientSessionCounts& counts = session_.counts();
  follow(counters_.messages, messages_);
  std::uint64_t bytes = 0;
  for (const auto& line : lines_) bytes += line == nullptr ? 0 : line->connection().bytes_read();
  follow(counters_.bytes, bytes);
  follow(counters_.gaps, counts.gaps);
  follow(counters_.missed, counts.missed);
  follow(counters_.duplicates, counts.duplicates);
  follow(counters_.refused, counts.refused);
  follow(counters_.unknown_messages, counts.unknown_messages);
  follow(counters_.connects, counts.connects);
  follow(counters_.connect_failures, counts.connect_failures);
  follow(counters_.sends_dropped, counts.sends_dropped);
  follow(counters_.stales, counts.stales);
  follow(counters_.handovers, counts.handovers);
}

ClientMetrics ClientLoop::metrics() const noexcept {
  ClientMetrics metrics;
  metrics.messages = counters_.messages.value();
  metrics.bytes = counters_.bytes.value();
  metrics.gaps = counters_.gaps.value();
  metrics.missed = counters_.missed.value();
  metrics.duplicates = counters_.duplicates.value();
  metrics.refused = counters_.refused.value();
  metrics.decode_errors = counters_.decode_errors.value();
  metrics.unknown_messages = counters_.unknown_messages.value();
  metrics.connects = counters_.connects.value();
  metrics.connect_failures = counters_.connect_failures.value();
  metrics.sends = counters_.sends.value();
  metrics.sends_dropped = counters_.sends_dropped.value();
  metrics.stales = counters_.stales.value();
  metrics.handovers = counters_.handovers.value();
  return metrics;
}

}  // namespace stratwire::client
