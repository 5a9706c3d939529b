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
  auto url = transport::Url::parse(config.url);
  if (!url) return translate(url.error());
  auto poller = transport::Poller::open();
  if (!poller) return translate(poller.error());
  auto wakeup = transport::Wakeup::open();
  if (!wakeup) return translate(wakeup.error());
  if (poller->add(wakeup->fd(), kWakeupToken, transport::Interest::read) != 0) {
    return Error{Errc::io_failed, 0, "the system has no room for one more epoll entry"};
  }
  return std::unique_ptr<ClientLoop>(
      new ClientLoop(std::move(config), *std::move(url), *std::move(poller), *std::move(wakeup)));
}

ClientLoop::ClientLoop(ClientConfig config, transport::Url url, transport::Poller poller,
                       transport::Wakeup wakeup)
    : config_(std::move(config)),
      url_(std::move(url)),
      poller_(std::move(poller)),
      wakeup_(std::move(wakeup)),
      mailbox_(send_buffer_policy(config_.send_buffer)),
      session_(session_config(config_, url_, random_seed())),
      decoder_(config_.codec),
      connection_(transport::Role::client,
                  {config_.message_bytes_max, static_cast<std::uint32_t>(limits::kFragmentsMax)}) {}

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
  perform();
  if (stage_ == Stage::connecting || stage_ == Stage::upgrading) {
    busy |= get_on_with_connecting(now_);
    perform();
  }
  if (parting_.is_open()) parting_.step(now_);
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
      session_.subscribe(wish->channels);
      ++wishes;
    } else if (auto* const unwish = std::get_if<Unwish>(&command)) {
      gates_.unwished(unwish->channels);
      session_.unsubscribe(unwish->channels);
    } else if (auto* const gate = std::get_if<AddGate>(&command)) {
      gates_.add(std::move(gate->channel), std::move(gate->words));
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
  session_.heard(at_, clock_now());
}

void ClientLoop::perform() {
  while (auto action = session_.next_action()) {
    if (const auto* connect = std::get_if<session::action::Connect>(&*action)) {
      perform_connect(connect->connection);
    } else if (const auto* next = std::get_if<session::action::ConnectSuccessor>(&*action)) {
      // One connection at a time: the server that leaves is left when it closes.
      session_.try_failed(next->connection, now_, {Error{Errc::connect_failed}, {}, {}});
    } else if (const auto* write = std::get_if<session::action::Write>(&*action)) {
      put(write->message);
    } else if (std::get_if<session::action::ProbeClock>(&*action) != nullptr) {
      put(Ping{telemetry::wall_ns()});
    } else if (std::get_if<session::action::WritePing>(&*action) != nullptr) {
      connection_.put(transport::Opcode::ping, {});
    } else if (const auto* close = std::get_if<session::action::Close>(&*action)) {
      perform_close(close->code);
    } else if (std::get_if<session::action::Drop>(&*action) != nullptr) {
      drop();
    } else if (auto* const gap = std::get_if<session::action::HandGap>(&*action)) {
      gates_.gap_known(gap->channel);
      if (!abandoned_) handing_.emplace_back(std::move(*gap));
    } else if (auto* const notice = std::get_if<session::action::HandNotice>(&*action)) {
      remember(notice->notice);
      if (!abandoned_) handing_.emplace_back(std::move(*notice));
    }
  }
}

void ClientLoop::put(const WsMessage& body) {
  encoded_.clear();
  const Message message{{}, body};
  // The session makes messages that every codec can encode.
  if (!encode(config_.codec, message, encoded_).ok()) return;
  connection_.put(opcode_of(config_.codec), encoded_);
}

void ClientLoop::perform_connect(session::ConnectionId connection) {
  drop();
  at_ = connection;
  connector_.start(url_);
  stage_ = Stage::connecting;
  // release: pairs with the acquire in notify(); the connector is there to be interrupted.
  connecting_.store(true, std::memory_order_release);
}

void ClientLoop::perform_close(std::uint16_t code) {
  flush_sends();
  connection_.put_close(transport::CloseCode{code}, {});
}

// State and error for any thread; and what is handed over late is kept short.
void ClientLoop::remember(const Notice& notice) {
  if (const auto* const answer = std::get_if<Subscribed>(&notice)) gates_.answered(*answer);
  const auto* const event = std::get_if<StateEvent>(&notice);
  if (event == nullptr) return;
  gates_.state_known(event->state);
  {
    const std::lock_guard hold(error_mutex_);
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

void ClientLoop::flush_sends() {
  while (connection_.waiting() < kOutBytesMax) {
    const session::Outgoing* const next = session_.next_send();
    if (next == nullptr) break;
    const std::uint64_t begins_at = connection_.bytes_put();
    connection_.put(opcode_of(config_.codec), next->payload);
    session_.send_written(begins_at);
  }
}

void ClientLoop::flush() {
  if (stage_ == Stage::open) {
    flush_sends();
    if (connection_.waiting() != 0) {
      connection_.write();
      session_.left(at_, connection_.bytes_left());
    }
  }
  const auto& sends = session_.sends();
  // What became of a message takes its place until the strategy has heard of it: one that sends
  // and never polls is told back_pressured, instead of its reports filling the memory.
  const std::size_t messages = sends.size() + handing_.size() - handed_;
  if (messages == reported_messages_ && sends.bytes() == reported_bytes_) return;
  reported_messages_ = messages;
  reported_bytes_ = sends.bytes();
  mailbox_.report(reported_messages_, reported_bytes_);
}

void ClientLoop::drop() {
  connector_.cancel();
  // release: as in perform_connect().
  connecting_.store(false, std::memory_order_release);
  if (in_poller_) {
    const int fd = stage_ == Stage::upgrading ? upgrading_.fd() : connection_.fd();
    if (fd >= 0) poller_.remove(fd);
    in_poller_ = false;
  }
  handshake_.reset();
  upgrading_.close();
  static_cast<void>(connection_.release());
  stage_ = Stage::none;
}

void ClientLoop::abandon() {
  abandoned_ = true;
  handing_.clear();
  handed_ = 0;
  message_held_ = false;
}

// ---- Waiting

void ClientLoop::listen_for(transport::Interest interest) {
  const int fd = stage_ == Stage::upgrading ? upgrading_.fd() : connection_.fd();
  if (interest == transport::Interest::none || fd < 0) {
    // Removed, because errors and hang-ups would be told all the time otherwise.
    if (in_poller_ && fd >= 0) poller_.remove(fd);
    in_poller_ = false;
    return;
  }
  if (in_poller_ && listening_ == interest) return;
  const int failed = in_poller_ ? poller_.modify(fd, kSocketToken, interest)
                                : poller_.add(fd, kSocketToken, interest);
  in_poller_ = failed == 0;
  listening_ = interest;
}

void ClientLoop::sleep(Instant until, Listen listen) {
  Instant end = std::min(until, session_.next_tick());
  if (parting_.is_open()) {
    // It is looked at now and then only: what it holds interests nobody.
    end = std::min(end, now_ + std::chrono::milliseconds{100});
  }
  const Duration left = end == session::kNever ? transport::Poller::kNoTimeout
                                               : std::max(end - clock_now(), Duration{0});
  if (stage_ == Stage::connecting) {
    connector_.wait(end == session::kNever ? Duration{std::chrono::hours{1}} : left);
    return;
  }
  const bool writing = stage_ == Stage::upgrading ? request_left_ != 0 : connection_.waiting() != 0;
  if (stage_ == Stage::none || (stage_ == Stage::open && listen == Listen::no)) {
    listen_for(transport::Interest::none);
  } else {
    listen_for(writing ? transport::Interest::read_write : transport::Interest::read);
  }
  std::array<transport::Ready, 4> ready{};
  const std::size_t count = poller_.wait(ready, left);
  for (std::size_t i = 0; i < count; ++i) {
    if (ready[i].token == kWakeupToken) wakeup_.drain();
  }
}

// ---- Any thread

void ClientLoop::notify() noexcept {
  wakeup_.notify();
  // acquire: pairs with the release in perform_connect(). The fence in notify() above orders it
  // behind the command, as prepare_sleep()'s orders the look for commands behind the store.
  if (connecting_.load(std::memory_order_acquire)) connector_.interrupt();
}

ClientState ClientLoop::state() const noexcept {
  // acquire: pairs with the release in remember().
  const ClientState state = state_.load(std::memory_order_acquire);
  return state == ClientState::live && mailbox_.wishes_pending() ? ClientState::subscribing : state;
}

Error ClientLoop::error() const {
  const std::lock_guard hold(error_mutex_);
  return error_;
}

void ClientLoop::publish_counts() {
  const session::ClientSessionCounts& counts = session_.counts();
  follow(counters_.messages, messages_);
  follow(counters_.bytes, connection_.bytes_read());
  follow(counters_.gaps, counts.gaps);
  follow(counters_.missed, counts.missed);
  follow(counters_.duplicates, counts.duplicates);
  follow(counters_.unknown_messages, counts.unknown_messages);
  follow(counters_.connects, counts.connects);
  follow(counters_.connect_failures, counts.connect_failures);
  follow(counters_.sends_dropped, counts.sends_dropped);
}

ClientMetrics ClientLoop::metrics() const noexcept {
  ClientMetrics metrics;
  metrics.messages = counters_.messages.value();
  metrics.bytes = counters_.bytes.value();
  metrics.gaps = counters_.gaps.value();
  metrics.missed = counters_.missed.value();
  metrics.duplicates = counters_.duplicates.value();
  metrics.decode_errors = counters_.decode_errors.value();
  metrics.unknown_messages = counters_.unknown_messages.value();
  metrics.connects = counters_.connects.value();
  metrics.connect_failures = counters_.connect_failures.value();
  metrics.sends = counters_.sends.value();
  metrics.sends_dropped = counters_.sends_dropped.value();
  return metrics;
}

}  // namespace stratwire::client
