/// The templates of peer.hpp.
#pragma once

#include <stratwire/detail/deliver.hpp>
#include <stratwire/peer.hpp>

namespace stratwire {

namespace detail {

template <class T>
concept PlainData =
    std::same_as<T, PriceUpdate> || std::same_as<T, AccountUpdate> || std::same_as<T, Event>;

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
std::optional<T> data_as(const DataMessage& message) {
  if constexpr (PlainData<T>) {
    const T* const body = std::get_if<T>(&message);
    return body == nullptr ? std::nullopt : std::optional<T>{*body};
  } else {
    return described_from<T>(std::get_if<Event>(&message));
  }
}

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
  static_assert(detail::kNothrowHandler<Handler, PeerReply, PeerDelivery>,
                "request: the handler takes (const PeerReply&) or (const PeerReply&, const "
                "PeerDelivery&), and is noexcept");
  return detail::with_data(codec(), message, [&](const DataMessage& data) {
    if constexpr (detail::kTakesDelivery<Handler, PeerReply, PeerDelivery>) {
      return request_data(data, timeout, std::move(handler));
    } else {
      return request_data(
          data, timeout,
          [call = std::move(handler)](const PeerReply& reply, const PeerDelivery&) mutable {
            call(reply);
          });
    }
  });
}

template <class T>
SendStatus Peer::reply(PeerRequestId to, const T& message) {
  return detail::with_data(codec(), message,
                           [&](const DataMessage& data) { return reply_data(to, data); });
}

template <class Handler>
requires std::invocable<Handler&, const PeerDelivery&> std::size_t Peer::poll(Handler&& handler,
                                                                              std::size_t limit) {
  return drain(limit, detail::call_handler<std::remove_reference_t<Handler>, PeerDelivery>,
               detail::context_of(handler));
}

template <class T, class Handler>
void Peer::on(Handler handler) {
  static_assert(detail::kDeliverable<T, PeerDelivery>,
                "on<T>: T is one of PeerDelivery::body, or a described struct");
  set_handler(detail::slot_for<T, PeerDelivery>(), detail::event_type_of<T, PeerDelivery>(),
              detail::handler_for<T, PeerDelivery>(std::move(handler)));
}

template <class T>
FromPeer<T> Peer::receive_until(Deadline deadline) {
  static_assert(detail::kDeliverable<T, PeerDelivery>,
                "receive<T>: T is one of PeerDelivery::body, or a described struct");
  return detail::receive_until<T, FromPeer<T>>(
      deadline, [&] { return next(deadline); },
      [this](const PeerDelivery& delivery) { dispatch(delivery); });
}

}  // namespace stratwire
