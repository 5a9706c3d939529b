/// The templates of client.hpp.
#pragma once

#include <stratwire/client.hpp>

namespace stratwire {

namespace detail {

/// One handler for each type that a Delivery can hold; described structs share kDescribedSlot.
enum class HandlerSlot : std::uint8_t {
  price_update,
  account_update,
  event,
  gap,
  state_event,
  subscribed,
  unsubscribed,
  published,
  error_reply,
  go_away,
  described,
};

template <class T>
consteval HandlerSlot handler_slot() {
  if constexpr (std::same_as<T, PriceUpdate>) return HandlerSlot::price_update;
  if constexpr (std::same_as<T, AccountUpdate>) return HandlerSlot::account_update;
  if constexpr (std::same_as<T, Event>) return HandlerSlot::event;
  if constexpr (std::same_as<T, Gap>) return HandlerSlot::gap;
  if constexpr (std::same_as<T, StateEvent>) return HandlerSlot::state_event;
  if constexpr (std::same_as<T, Subscribed>) return HandlerSlot::subscribed;
  if constexpr (std::same_as<T, Unsubscribed>) return HandlerSlot::unsubscribed;
  if constexpr (std::same_as<T, Published>) return HandlerSlot::published;
  if constexpr (std::same_as<T, ErrorReply>) return HandlerSlot::error_reply;
  if constexpr (std::same_as<T, GoAway>) return HandlerSlot::go_away;
  return HandlerSlot::described;
}

template <class T>
inline constexpr bool kDeliverable = handler_slot<T>() != HandlerSlot::described || Described<T>;

template <class Handler, class T>
inline constexpr bool kTakesDelivery = std::is_invocable_v<Handler&, const T&, const Delivery&>;

template <class Handler, class T>
inline constexpr bool kNothrowHandler =
    kTakesDelivery<Handler, T> ? std::is_nothrow_invocable_v<Handler&, const T&, const Delivery&>
                               : std::is_nothrow_invocable_v<Handler&, const T&>;

}  // namespace detail

template <class T>
std::optional<T> Client::take(const Delivery& delivery) {
  if constexpr (std::same_as<T, WsMessage>) {
    return std::visit(
        [](const auto& body) -> std::optional<WsMessage> {
          if constexpr (std::is_pointer_v<std::remove_cvref_t<decltype(body)>>) {
            return std::nullopt;
          } else {
            return WsMessage{body};
          }
        },
        delivery.body);
  } else if constexpr (detail::handler_slot<T>() == detail::HandlerSlot::described) {
    const Event* const event = delivery.get_if<Event>();
    if (event == nullptr || event->type != described_name<T>()) return std::nullopt;
    std::optional<T> value{std::in_place};
    if (!decode_data(event->data, *value).ok()) return std::nullopt;
    return value;
  } else {
    const T* const body = delivery.get_if<T>();
    return body == nullptr ? std::nullopt : std::optional<T>{*body};
  }
}

template <class T, class Handler>
void Client::on(Handler handler) {
  static_assert(detail::kDeliverable<T>,
                "on<T>: T is a message, a Gap, a notice, StateEvent, or a described struct");
  static_assert(std::is_invocable_v<Handler&, const T&> || detail::kTakesDelivery<Handler, T>,
                "on<T>: the handler takes (const T&) or (const T&, const Delivery&)");
  static_assert(detail::kNothrowHandler<Handler, T>,
                "on<T>: the handler must be noexcept; an exception has nowhere to go");
  constexpr detail::HandlerSlot slot = detail::handler_slot<T>();
  std::string_view event_type;
  if constexpr (slot == detail::HandlerSlot::described) event_type = described_name<T>();
  set_handler(static_cast<std::size_t>(slot), event_type,
              [call = std::move(handler)](const Delivery& delivery) mutable {
                const auto run = [&](const T& value) {
                  if constexpr (detail::kTakesDelivery<Handler, T>) {
                    call(value, delivery);
                  } else {
                    call(value);
                  }
                };
                if constexpr (slot == detail::HandlerSlot::described) {
                  const std::optional<T> value = take<T>(delivery);
                  if (value) run(*value);
                  return value.has_value();
                } else {
                  run(*delivery.get_if<T>());
                  return true;
                }
              });
}

template <class T>
Received<T> Client::receive_until(Deadline deadline) {
  static_assert(detail::kDeliverable<T> || std::same_as<T, WsMessage>,
                "receive<T>: T is a message, a Gap, a notice, a described struct, or WsMessage");
  for (std::size_t others = 1; const Delivery* const delivery = next(deadline); ++others) {
    if (std::optional<T> value = take<T>(*delivery)) return {*std::move(value), *delivery};
    dispatch(*delivery);
    // A stream of other types must not outlast the deadline; the clock is not read for each.
    if (deadline && others % kPollBatchMax == 0 &&
        Deadline::value_type::clock::now() >= *deadline) {
      break;
    }
  }
  return {};
}

}  // namespace stratwire
