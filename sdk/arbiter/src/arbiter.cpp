#include <utility>

#include <stratwire/arbiter.hpp>
#include <stratwire/detail/handlers.hpp>

#include "lines.hpp"

namespace stratwire {
class Arbiter::Impl {
 public:
  explicit Impl(std::unique_ptr<arbiter::Lines> open_lines) : lines(std::move(open_lines)) {}
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  // All at once, so that their close handshakes overlap.
  ~Impl() { lines->close(); }

  std::unique_ptr<arbiter::Lines> lines;
  detail::Handlers<LineDelivery> handlers{};
  std::uint64_t unhandled = 0;
};

Result<Arbiter> Arbiter::open(ArbiterConfig config) {
  auto lines = arbiter::Lines::open(std::move(config));
  if (!lines.ok()) return lines.error();
  return Arbiter{std::make_unique<Impl>(std::move(*lines))};
}

Arbiter::Arbiter(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Arbiter::Arbiter(Arbiter&&) noexcept = default;
Arbiter& Arbiter::operator=(Arbiter&&) noexcept = default;
Arbiter::~Arbiter() = default;

Result<void> Arbiter::subscribe(std::initializer_list<std::string_view> channels) {
  return impl_->lines->subscribe({channels.begin(), channels.end()});
}
Result<void> Arbiter::subscribe(std::span<const std::string> channels) {
  return impl_->lines->subscribe({channels.begin(), channels.end()});
}
Result<void> Arbiter::unsubscribe(std::initializer_list<std::string_view> channels) {
  return impl_->lines->unsubscribe({channels.begin(), channels.end()});
}
Result<void> Arbiter::unsubscribe(std::span<const std::string> channels) {
  return impl_->lines->unsubscribe({channels.begin(), channels.end()});
}

std::size_t Arbiter::poll(std::size_t limit) {
  return drain(
      limit,
      [](void* self, const LineDelivery& delivery) {
        static_cast<Arbiter*>(self)->dispatch(delivery);
      },
      this);
}

std::size_t Arbiter::drain(std::size_t limit, Sink sink, void* context) {
  std::size_t count = 0;
  while (count < limit) {
    const LineDelivery* const delivery = impl_->lines->next();
    if (delivery == nullptr) break;
    sink(context, *delivery);
    ++count;
  }
  return count;
}

const LineDelivery* Arbiter::next(Deadline deadline) {
  for (;;) {
    if (const LineDelivery* const delivery = impl_->lines->next()) return delivery;
    if (impl_->lines->over()) return nullptr;
    if (deadline && std::chrono::steady_clock::now() >= *deadline) return nullptr;
    impl_->lines->wait(deadline.value_or(session::kNever));
  }
}

void Arbiter::dispatch(const LineDelivery& delivery) {
  if (impl_->handlers.run(delivery)) return;
  if (!std::holds_alternative<const Notice*>(delivery.body)) ++impl_->unhandled;
}

void Arbiter::set_handler(std::size_t slot, std::string_view event_type,
                          std::function<bool(const LineDelivery&)> handler) {
  impl_->handlers.set(slot, event_type, std::move(handler));
}

void Arbiter::close() noexcept {
  impl_->lines->close();
}
std::size_t Arbiter::lines() const noexcept {
  return impl_->lines->size();
}
std::string_view Arbiter::line_name(std::size_t line) const noexcept {
  return impl_->lines->name(line);
}
ClientState Arbiter::state(std::size_t line) const noexcept {
  return impl_->lines->client(line).state();
}
Error Arbiter::error(std::size_t line) const {
  return impl_->lines->client(line).error();
}
ArbiterStatistics Arbiter::statistics() const {
  ArbiterStatistics all = impl_->lines->statistics();
  all.unhandled = impl_->unhandled;
  return all;
}

}  // namespace stratwire
