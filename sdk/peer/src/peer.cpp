#include <algorithm>
#include <sched.h>
#include <vector>

#include <stratwire/detail/handlers.hpp>
#include <stratwire/peer.hpp>
#include <stratwire/queue/machine.hpp>

#include "peer_loop.hpp"

namespace stratwire {
namespace {

using Clock = std::chrono::steady_clock;
using peer::PeerLoop;
using session::Instant;
using Handlers = detail::Handlers<PeerDelivery>;

}  // namespace

class Peer::Impl {
 public:
  explicit Impl(std::unique_ptr<PeerLoop> loop) : loop_(std::move(loop)) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();

  std::size_t drain(std::size_t limit, Sink sink, void* context);
  const PeerDelivery* next(Deadline deadline);
  void dispatch(const PeerDelivery& delivery);

  /// Does what changes the session, and lets what comes of it leave.
  template <class Do>
  auto change(Do&& change_session) {
    auto result = change_session(loop_->session(), Clock::now());
    settle();
    return result;
  }
  Result<std::uint64_t> request(const DataMessage& message, std::chrono::nanoseconds timeout,
                                ReplyHandler handler);
  void close() noexcept {
    loop_->session().close(Clock::now());
    settle();
  }

  [[nodiscard]] PeerLoop& loop() noexcept { return *loop_; }
  [[nodiscard]] Handlers& handlers() noexcept { return handlers_; }
  [[nodiscard]] PeerMetrics metrics() const noexcept;

 private:
  struct Asked {
    std::uint64_t id = 0;
    ReplyHandler handler{};
  };
  /// What has a handler of its own goes there.
  const PeerDelivery* next_now();
  void leave_unhandled(const PeerDelivery& delivery);
  bool run_reply_handler(const PeerDelivery& delivery);
  void settle() {
    // What the handlers of one poll() send leaves together.
    if (draining_) return;
    loop_->perform();
    loop_->flush();
  }

  const std::unique_ptr<PeerLoop> loop_;
  Handlers handlers_{};
  std::vector<Asked> asked_{};  // Ids rise.
  std::uint64_t unhandled_ = 0;
  bool draining_ = false;
};

const PeerDelivery* Peer::Impl::next_now() {
  for (;;) {
    const PeerDelivery* const delivery = loop_->next();
    if (delivery == nullptr || !run_reply_handler(*delivery)) return delivery;
  }
}

bool Peer::Impl::run_reply_handler(const PeerDelivery& delivery) {
  const PeerReply* const reply = delivery.get_if<PeerReply>();
  if (reply == nullptr || asked_.empty()) return false;
  const auto at =
      std::lower_bound(asked_.begin(), asked_.end(), reply->id,
                       [](const Asked& asked, std::uint64_t id) { return asked.id < id; });
  if (at == asked_.end() || at->id != reply->id) return false;
  // Out of the list first: the handler may ask again.
  const ReplyHandler handler = std::move(at->handler);
  asked_.erase(at);
  const bool was_draining = std::exchange(draining_, true);
  handler(*reply, delivery);
  draining_ = was_draining;
  settle();
  return true;
}

std::size_t Peer::Impl::drain(std::size_t limit, Sink sink, void* context) {
  draining_ = true;
  std::size_t handed = 0;
  for (bool worked = false; handed < limit;) {
    if (const PeerDelivery* const delivery = next_now()) {
      sink(context, *delivery);
      ++handed;
    } else if (std::exchange(worked, true)) {
      break;
    } else {
      loop_->work();
    }
  }
  draining_ = false;
  settle();
  return handed;
}

const PeerDelivery* Peer::Impl::next(Deadline deadline) {
  for (;;) {
    if (const PeerDelivery* const delivery = next_now()) return delivery;
    const bool busy = loop_->work();
    if (const PeerDelivery* const delivery = next_now()) return delivery;
    if (loop_->done()) return nullptr;
    if (deadline && Clock::now() >= *deadline) return nullptr;
    if (busy) continue;
    switch (loop_->config().waiting) {
      case Waiting::park:
        loop_->wait(deadline.value_or(session::kNever));
        break;
      case Waiting::yield:
        sched_yield();
        break;
      case Waiting::spin:
        queue::Machine::relax();
        break;
    }
  }
}

void Peer::Impl::dispatch(const PeerDelivery& delivery) {
  const bool was_draining = std::exchange(draining_, true);
  const bool taken = handlers_.run(delivery);
  draining_ = was_draining;
  if (!taken) leave_unhandled(delivery);
  settle();
}

void Peer::Impl::leave_unhandled(const PeerDelivery& delivery) {
  if (const auto* request = delivery.get_if<PeerRequest>()) {
    const auto* event = std::get_if<Event>(&request->message);
    std::string text = "nothing answers Requests here";
    if (event != nullptr) text = "nothing answers '" + std::string{event->type} + "' here";
    loop_->session().refuse(Clock::now(), request->id, text);
  }
  const bool is_message = delivery.seq != 0 || delivery.get_if<Gap>() != nullptr;
  if (is_message) ++unhandled_;
}

Result<std::uint64_t> Peer::Impl::request(const DataMessage& message,
                                          std::chrono::nanoseconds timeout, ReplyHandler handler) {
  auto asked = loop_->session().request(Clock::now(), message, timeout);
  if (asked.ok() && handler) asked_.push_back({*asked, std::move(handler)});
  settle();
  return asked;
}

PeerMetrics Peer::Impl::metrics() const noexcept {
  const session::PeerSession& session = std::as_const(*loop_).session();
  PeerMetrics metrics;
  static_cast<session::PeerSessionCounts&>(metrics) = session.counts();
  metrics.bytes = loop_->bytes_read();
  metrics.unhandled = unhandled_;
  metrics.unacknowledged = session.log().size();
  metrics.unacknowledged_bytes = session.log().bytes();
  metrics.requests_open = session.requests_open();
  return metrics;
}

Peer::Impl::~Impl() {
  draining_ = false;
  close();
  const Instant end = Clock::now() + limits::kCloseTimeout;
  // Nobody takes what still comes.
  while ((!loop_->done() || loop_->is_parting()) && Clock::now() < end) {
    while (loop_->next() != nullptr) {
    }
    if (!loop_->work() && (!loop_->done() || loop_->is_parting())) loop_->wait(end);
  }
}

// ---- Peer

Result<Peer> Peer::open(PeerConfig config) {
  auto loop = PeerLoop::open(std::move(config));
  if (!loop.ok()) return loop.error();
  return Peer{std::make_unique<Impl>(std::move(*loop))};
}

Peer::Peer(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Peer::Peer(Peer&&) noexcept = default;
Peer& Peer::operator=(Peer&&) noexcept = default;
Peer::~Peer() = default;

SendStatus Peer::send_data(const DataMessage& message) {
  return impl_->change([&](auto& session, Instant now) { return session.send(now, message); });
}
Result<std::uint64_t> Peer::request_data(const DataMessage& message,
                                         std::chrono::nanoseconds timeout, ReplyHandler handler) {
  return impl_->request(message, timeout, std::move(handler));
}
SendStatus Peer::reply_data(PeerRequestId to, const DataMessage& message) {
  return impl_->change([&](auto& session, Instant now) { return session.reply(now, to, message); });
}
SendStatus Peer::refuse(PeerRequestId to, std::string_view text) {
  return impl_->change([&](auto& session, Instant now) { return session.refuse(now, to, text); });
}

std::size_t Peer::poll(std::size_t limit) {
  return drain(
      limit,
      [](void* impl, const PeerDelivery& delivery) {
        static_cast<Impl*>(impl)->dispatch(delivery);
      },
      impl_.get());
}
std::size_t Peer::drain(std::size_t limit, Sink sink, void* context) {
  return impl_->drain(limit, sink, context);
}
const PeerDelivery* Peer::next(Deadline deadline) {
  return impl_->next(deadline);
}
void Peer::dispatch(const PeerDelivery& delivery) {
  impl_->dispatch(delivery);
}
void Peer::set_handler(std::size_t slot, std::string_view event_type,
                       std::function<bool(const PeerDelivery&)> handler) {
  impl_->handlers().set(slot, event_type, std::move(handler));
}

void Peer::close() noexcept {
  impl_->close();
}
PeerState Peer::state() const noexcept {
  return impl_->loop().session().state();
}
const Error& Peer::error() const noexcept {
  return impl_->loop().session().cause();
}
PeerIdentity Peer::other() const noexcept {
  return impl_->loop().session().other();
}
PeerMetrics Peer::metrics() const noexcept {
  return impl_->metrics();
}
Codec Peer::codec() const noexcept {
  return impl_->loop().config().codec;
}
const std::string& Peer::url() const noexcept {
  return impl_->loop().url();
}

}  // namespace stratwire
