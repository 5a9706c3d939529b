/// The templates of client.hpp.
#pragma once

#include <stratwire/client.hpp>
#include <stratwire/detail/deliver.hpp>

namespace stratwire {

template <class Handler>
requires std::invocable<Handler&, const Delivery&> std::size_t Client::poll(Handler&& handler,
                                                                            std::size_t limit) {
  return drain(limit, detail::call_handler<std::remove_reference_t<Handler>, Delivery>,
               detail::context_of(handler));
}

template <class T, class Handler>
void Client::on(Handler handler) {
  static_assert(detail::kDeliverable<T, Delivery>,
                "on<T>: T is a message, a Gap, a notice, StateEvent, or a described struct");
  set_handler(detail::slot_for<T, Delivery>(), detail::event_type_of<T, Delivery>(),
              detail::handler_for<T, Delivery>(std::move(handler)));
}

template <class T>
Received<T> Client::receive_until(Deadline deadline) {
  static_assert(detail::kDeliverable<T, Delivery> || std::same_as<T, WsMessage>,
                "receive<T>: T is a message, a Gap, a notice, a described struct, or WsMessage");
  return detail::receive_until<T, Received<T>>(
      deadline, [&] { return next(deadline); },
      [this](const Delivery& delivery) { dispatch(delivery); });
}

}  // namespace stratwire
