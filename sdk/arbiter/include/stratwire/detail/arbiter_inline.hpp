/// The templates of arbiter.hpp.
#pragma once

#include <stratwire/arbiter.hpp>
#include <stratwire/detail/deliver.hpp>

namespace stratwire {

template <class Handler>
requires std::invocable<Handler&, const LineDelivery&> std::size_t Arbiter::poll(
    Handler&& handler, std::size_t limit) {
  return drain(limit, detail::call_handler<std::remove_reference_t<Handler>, LineDelivery>,
               detail::context_of(handler));
}

template <class T, class Handler>
void Arbiter::on(Handler handler) {
  static_assert(detail::kDeliverable<T, LineDelivery>,
                "on<T>: T is a message, a Gap, a Divergence, a notice, or a described struct");
  set_handler(detail::slot_for<T, LineDelivery>(), detail::event_type_of<T, LineDelivery>(),
              detail::handler_for<T, LineDelivery>(std::move(handler)));
}

template <class T>
LineReceived<T> Arbiter::receive_until(Deadline deadline) {
  static_assert(detail::kDeliverable<T, LineDelivery> || std::same_as<T, WsMessage>,
                "receive<T>: T is a message, a Gap, a Divergence, a notice, a described struct, or "
                "WsMessage");
  return detail::receive_until<T, LineReceived<T>>(
      deadline, [&] { return next(deadline); },
      [this](const LineDelivery& delivery) { dispatch(delivery); });
}

}  // namespace stratwire
