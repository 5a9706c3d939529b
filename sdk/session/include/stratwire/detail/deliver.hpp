/// What Client, Arbiter and Peer have in common when they hand things over: which handler is whose,
/// and how a T is taken out of a delivery.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include <stratwire/client_state.hpp>
#include <stratwire/describe.hpp>
#include <stratwire/message.hpp>

namespace stratwire::detail {

using Deadline = std::optional<std::chrono::steady_clock::time_point>;

// ---- Slots: a place for each type that a Delivery can hold

/// Index of T among the alternatives; their number if it is none of them.
template <class T, class... Ts>
consteval std::size_t index_in(std::type_identity<std::variant<Ts...>> /*variant*/) {
  std::size_t index = 0;
  // Ends at the first that is a T.
  (void)((std::same_as<T, Ts> || (++index, false)) || ...);
  return index;
}

template <class Delivery>
using Bodies = decltype(Delivery::body);

/// Whether its last body is a `const Notice*`.
template <class Delivery>
inline constexpr bool kHasNotices =
    index_in<const Notice*>(std::type_identity<Bodies<Delivery>>{}) + 1 ==
    std::variant_size_v<Bodies<Delivery>>;

/// Bodies, then what a notice may be. The described structs share what comes behind.
template <class Delivery>
inline constexpr std::size_t kSlots = std::variant_size_v<Bodies<Delivery>> +
                                      (kHasNotices<Delivery> ? std::variant_size_v<Notice> - 1 : 0);

template <class T, class Delivery>
consteval std::size_t slot_for() {
  constexpr std::size_t kBodies = std::variant_size_v<Bodies<Delivery>>;
  constexpr std::size_t kBody = index_in<T>(std::type_identity<Bodies<Delivery>>{});
  if constexpr (kBody == kBodies && kHasNotices<Delivery>) {
    return kBodies - 1 + index_in<T>(std::type_identity<Notice>{});
  }
  return kBody;
}

template <class Delivery>
[[nodiscard]] std::size_t slot_of(const Delivery& delivery) noexcept {
  if constexpr (kHasNotices<Delivery>) {
    const auto* const notice = std::get_if<const Notice*>(&delivery.body);
    if (notice != nullptr) return delivery.body.index() + (*notice)->index();
  }
  return delivery.body.index();
}

template <class T, class Delivery>
inline constexpr bool kDescribed = slot_for<T, Delivery>() == kSlots<Delivery>;

template <class T, class Delivery>
inline constexpr bool kDeliverable = !kDescribed<T, Delivery> || Described<T>;

// ---- Taking

template <class T>
std::optional<T> described_from(const Event* event) {
  if (event == nullptr || event->type != described_name<T>()) return std::nullopt;
  std::optional<T> value{std::in_place};
  if (!decode_data(event->data, *value).ok()) return std::nullopt;
  return value;
}

/// The body as a T: one of its types, a described struct, or WsMessage.
template <class T, class Delivery>
std::optional<T> take(const Delivery& delivery) {
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
  } else if constexpr (kDescribed<T, Delivery>) {
    return described_from<T>(delivery.template get_if<Event>());
  } else {
    const T* const body = delivery.template get_if<T>();
    return body == nullptr ? std::nullopt : std::optional<T>{*body};
  }
}

/// The next T as a Received; what comes before it goes to `dispatch`.
///
/// \param next      () -> const Delivery*; waits until the deadline, nullptr when none came
/// \param dispatch  void(const Delivery&)
template <class T, class Received, class Next, class Dispatch>
Received receive_until(Deadline deadline, Next&& next, Dispatch&& dispatch) {
  constexpr std::size_t kOthersBetweenLooks = 256;
  for (std::size_t others = 1; const auto* const delivery = next(); ++others) {
    if (std::optional<T> value = take<T>(*delivery)) return {*std::move(value), *delivery};
    dispatch(*delivery);
    // A stream of other types must not outlast the deadline; the clock is not read for each.
    if (deadline && others % kOthersBetweenLooks == 0 &&
        Deadline::value_type::clock::now() >= *deadline) {
      break;
    }
  }
  return {};
}

// ---- Handlers

template <class Delivery>
using Sink = void (*)(void* context, const Delivery& delivery);

/// Calls the handler of poll() that `context` points to.
template <class Handler, class Delivery>
void call_handler(void* context, const Delivery& delivery) {
  static_assert(std::is_nothrow_invocable_v<Handler&, const Delivery&>,
                "poll: the handler must be noexcept; an exception has nowhere to go");
  (*static_cast<Handler*>(context))(delivery);
}
template <class Handler>
void* context_of(Handler& handler) noexcept {
  return const_cast<void*>(static_cast<const void*>(&handler));
}

template <class Handler, class T, class Delivery>
inline constexpr bool kTakesDelivery = std::is_invocable_v<Handler&, const T&, const Delivery&>;

template <class Handler, class T, class Delivery>
inline constexpr bool kNothrowHandler =
    kTakesDelivery<Handler, T, Delivery>
        ? std::is_nothrow_invocable_v<Handler&, const T&, const Delivery&>
        : std::is_nothrow_invocable_v<Handler&, const T&>;

/// The name under which Events of the described struct travel; empty for all other types.
template <class T, class Delivery>
constexpr std::string_view event_type_of() noexcept {
  if constexpr (kDescribed<T, Delivery>) {
    return described_name<T>();
  } else {
    return {};
  }
}

/// A handler of on<T>() as one for every delivery in T's slot; it returns false for what is no T.
template <class T, class Delivery, class Handler>
auto handler_for(Handler handler) {
  static_assert(std::is_invocable_v<Handler&, const T&> || kTakesDelivery<Handler, T, Delivery>,
                "on<T>: the handler takes (const T&), or (const T&, const ...Delivery&)");
  static_assert(kNothrowHandler<Handler, T, Delivery>,
                "on<T>: the handler must be noexcept; an exception has nowhere to go");
  return [call = std::move(handler)](const Delivery& delivery) mutable {
    const auto run = [&](const T& value) {
      if constexpr (kTakesDelivery<Handler, T, Delivery>) {
        call(value, delivery);
      } else {
        call(value);
      }
    };
    if constexpr (kDescribed<T, Delivery>) {
      const std::optional<T> value = take<T>(delivery);
      if (value) run(*value);
      return value.has_value();
    } else {
      run(*delivery.template get_if<T>());
      return true;
    }
  };
}

}  // namespace stratwire::detail
