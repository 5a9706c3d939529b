/// The numbers and names that messages have on the wire (PROTOCOL.md, "Messages").
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <variant>

#include <stratwire/message.hpp>

namespace stratwire::detail {

/// Names in the order of WsMessage; the number of a type is its place there, counted from 1.
inline constexpr std::array<std::string_view, 22> kMessageNames{
    "PriceUpdate", "AccountUpdate", "Event",     "Gap",     "Subscribe",  "Unsubscribe",
    "Ping",        "Pong",          "Hello",     "Welcome", "Subscribed", "Unsubscribed",
    "Publish",     "Published",     "Heartbeat", "GoAway",  "Error",      "CaughtUp",
    "PeerHello",   "Ack",           "Request",   "Reply"};
static_assert(kMessageNames.size() == std::variant_size_v<WsMessage>);

template <class T, std::size_t Index = 0>
constexpr std::size_t message_index() {
  if constexpr (std::is_same_v<T, std::variant_alternative_t<Index, WsMessage>>) {
    return Index;
  } else {
    return message_index<T, Index + 1>();
  }
}

template <class T>
inline constexpr std::uint8_t kTypeId = static_cast<std::uint8_t>(message_index<T>() + 1);
template <class T>
inline constexpr std::string_view kTypeName = kMessageNames[message_index<T>()];

}  // namespace stratwire::detail
