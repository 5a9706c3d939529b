/// The templates of peer.hpp.
#pragma once

#include <stratwire/peer.hpp>

namespace stratwire {

namespace detail {

template <class T>
concept PlainData =
    std::same_as<T, PriceUpdate> || std::same_as<T, AccountUpdate> || std::same_as<T, Event>;

/// Index of T among the bodies of a PeerDelivery; their number for a described struct.
template <class T, std::size_t I = 0>
consteval std::size_t peer_slot() {
  using Bodies = decltype(PeerDelivery::body);
  if constexpr (I == std::variant_size_v<Bodies>) {
    return I;
  } else if constexpr (std::same_as<T, std::variant_alternative_t<I, Bodies>>) {
    return I;
  } else {
    return peer_slot<T, I + 1>();
  }
}
inline constexpr std::size_t kPeerSlots = std::variant_size_v<decltype(PeerDelivery::body)>;

/// Calls `use` with the message as it travels; an Errc where it can't be encoded.
template <class T, class Use>
auto with_data(Codec codec, const T& message, Use&& use) -> decltype(use(DataMessage{})) {
  static_assert(PlainData<T> || Described<T>,
                "a message is a PriceUpdate, an AccountUpdate, an Event, or a described struct");
  if constexpr (PlainData<T>) {
    return use(DataMessage{message});
  } else {
    std::string& data = detail::data_buffer();
    if (auto encoded = encode_data(codec, message, data); !encoded.ok()) {
      if constexpr (std::same_as<decltype(use(DataMessage{})), SendStatus>) {
        return SendStatus::refused;
      } else {
        return encoded.error();
      }
    }
    return use(DataMessage{Event{described_name<T>(), RawValue{codec, data}}});
  }
}

template <class T>
std::optional<T> described_from(const Event* event) {
  if (event == nullptr || event->type != described_name<T>()) return std::nullopt;
  std::optional<T> value{std::in_place};
  if (!decode_data(event->data, *value).ok()) return std::nullopt;
  return value;
}

template <class T>
std::optional<T> data_as(const DataMessage& message) {
  if constexpr (PlainData<T>) {
    const T* const body = std::get_if<T>(&message);
    return body == nullptr ? std::nullopt : std::optional<T>{*body};
  } else {
    return described_from<T>(std::get_if<Event>(&message));
  }
}

template <class T>
std::optional<T> take_from(const PeerDelivery& delivery) {
  if constexpr (peer_slot<T>() == kPeerSlots) {
    return described_from<T>(delivery.get_if<Event>());
  } else {
    const T* const body = delivery.get_if<T>();
    return body == nullptr ? std::nullopt : std::optional<T>{*body};
  }
}

template <class Handler, class T>
inline constexpr bool kTakesPeerDelivery =
    std::is_invocable_v<Handler&, const T&, const PeerDelivery&>;

template <class Handler, class T>
inline constexpr bool kNothrowPeerHandler =
    kTakesPeerDelivery<Handler, T>
        ? std::is_nothrow_invocable_v<Handler&, const T&, const PeerDelivery&>
        : std::is_nothrow_invocable_v<Handler&, const T&>;

}  // namespace detail

template <class T>
std::optional<T> PeerRequest::as() const {
  return detail::data_as<T>(message);
}

template <class T>
std::optional<T> PeerReply::as() const {
  return code == Errc::ok ? detail::data_as<T>(message) : std::nullopt;
}

template <class T>
SendStatus Peer::send(const T& message) {
  return detail::with_data(codec(), message,
                           [this](const DataMessage& data) { return send_data(data); });
}

template <class T>
Result<std::uint64_t> Peer::request(const T& message, std::chrono::nanoseconds timeout) {
  return detail::with_data(codec(), message, [&](const DataMessage& data) {
    return request_data(data, timeout, nullptr);
  });
}

template <class T, class Handler>
Result<std::uint64_t> Peer::request(const T& message, std::chrono::nanoseconds timeout,
                                    Handler handler) {
  static_assert(std::is_nothrow_invocable_v<Handler&, const PeerReply&>,
                "request: the handler takes (const PeerReply&) and is noexcept");
  return detail::with_data(codec(), message, [&](const DataMessage& data) {
    return request_data(data, timeout, std::move(handler));
  });
}

template <class T>
SendStatus Peer::reply(PeerRequestId to, const T& message) {
  return detail::with_data(codec(), message,
                           [&](const DataMessage& data) { return reply_data(to, data); });
}

template <class T, class Handler>
void Peer::on(Handler handler) {
  constexpr std::size_t slot = detail::peer_slot<T>();
  static_assert(slot != detail::kPeerSlots || Described<T>,
                "on<T>: T is one of PeerDelivery::body, or a described struct");
  static_assert(std::is_invocable_v<Handler&, const T&> || detail::kTakesPeerDelivery<Handler, T>,
                "on<T>: the handler takes (const T&) or (const T&, const PeerDelivery&)");
  static_assert(detail::kNothrowPeerHandler<Handler, T>,
                "on<T>: the handler must be noexcept; an exception has nowhere to go");
  std::string_view event_type;
  if constexpr (slot == detail::kPeerSlots) event_type = described_name<T>();
  set_handler(slot, event_type, [call = std::move(handler)](const PeerDelivery& delivery) mutable {
    const std::optional<T> value = detail::take_from<T>(delivery);
    if (!value) return false;
    if constexpr (detail::kTakesPeerDelivery<Handler, T>) {
      call(*value, delivery);
    } else {
      call(*value);
    }
    return true;
  });
}

template <class T>
FromPeer<T> Peer::receive_until(Deadline deadline) {
  static_assert(detail::peer_slot<T>() != detail::kPeerSlots || Described<T>,
                "receive<T>: T is one of PeerDelivery::body, or a described struct");
  for (std::size_t others = 1; const PeerDelivery* const delivery = next(deadline); ++others) {
    if (std::optional<T> value = detail::take_from<T>(*delivery)) {
      return {*std::move(value), *delivery};
    }
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
