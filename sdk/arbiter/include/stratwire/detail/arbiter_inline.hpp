/// The templates of arbiter.hpp.
#pragma once

#include <stratwire/arbiter.hpp>

namespace stratwire {

namespace detail {

/// As for a Client; a Divergence has the place of `described`, whose handlers have names.
inline constexpr std::size_t kLineSlots = static_cast<std::size_t>(HandlerSlot::described) + 1;

template <class T>
inline constexpr bool kLineDeliverable = std::same_as<T, Divergence> || kDeliverable<T>;

template <class Handler, class T>
inline constexpr bool kTakesLineDelivery =
    std::is_invocable_v<Handler&, const T&, const LineDelivery&>;

template <class Handler, class T>
inline constexpr bool kNothrowLineHandler =
    kTakesLineDelivery<Handler, T>
        ? std::is_nothrow_invocable_v<Handler&, const T&, const LineDelivery&>
        : std::is_nothrow_invocable_v<Handler&, const T&>;

template <class T>
inline constexpr bool kDescribedOnly =
    !std::same_as<T, Divergence> && handler_slot<T>() == HandlerSlot::described;

}  // namespace detail

template <class Handler>
requires std::invocable<Handler&, const LineDelivery&> std::size_t Arbiter::poll(
    Handler&& handler, std::size_t limit) {
  static_assert(std::is_nothrow_invocable_v<Handler&, const LineDelivery&>,
                "poll: the handler must be noexcept; an exception has nowhere to go");
  return drain(
      limit,
      [](void* context, const LineDelivery& delivery) {
        (*static_cast<std::remove_reference_t<Handler>*>(context))(delivery);
      },
      const_cast<void*>(static_cast<const void*>(&handler)));
}

template <class T>
std::optional<T> Arbiter::take(const LineDelivery& delivery) {
  if constexpr (std::same_as<T, WsMessage>) {
    return std::visit(
        [](const auto& body) -> std::optional<WsMessage> {
          if constexpr (std::is_constructible_v<WsMessage, decltype(body)>) {
            return WsMessage{body};
          } else {
            return std::nullopt;
          }
        },
        delivery.body);
  } else if constexpr (detail::kDescribedOnly<T>) {
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
void Arbiter::on(Handler handler) {
  static_assert(detail::kLineDeliverable<T>,
                "on<T>: T is a message, a Gap, a Divergence, a notice, or a described struct");
  static_assert(std::is_invocable_v<Handler&, const T&> || detail::kTakesLineDelivery<Handler, T>,
                "on<T>: the handler takes (const T&) or (const T&, const LineDelivery&)");
  static_assert(detail::kNothrowLineHandler<Handler, T>,
                "on<T>: the handler must be noexcept; an exception has nowhere to go");
  std::string_view event_type;
  if constexpr (detail::kDescribedOnly<T>) event_type = described_name<T>();
  set_handler(static_cast<std::size_t>(detail::handler_slot<T>()), event_type,
              [call = std::move(handler)](const LineDelivery& delivery) mutable {
                const auto run = [&](const T& value) {
                  if constexpr (detail::kTakesLineDelivery<Handler, T>) {
                    call(value, delivery);
                  } else {
                    call(value);
                  }
                };
                if constexpr (detail::kDescribedOnly<T>) {
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
LineReceived<T> Arbiter::receive_until(Deadline deadline) {
  static_assert(detail::kLineDeliverable<T> || std::same_as<T, WsMessage>,
                "receive<T>: T is a message, a Gap, a Divergence, a notice, a described struct, or "
                "WsMessage");
  for (std::size_t others = 1; const LineDelivery* const delivery = next(deadline); ++others) {
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
