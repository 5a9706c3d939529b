/// Every limit of the protocol, with its default. Each has a test that reaches it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace stratwire::limits {

/// Longest channel name, in bytes.
inline constexpr std::size_t kChannelNameBytesMax = 128;
/// Most channels that one connection may be subscribed to.
inline constexpr std::size_t kChannelsPerConnectionMax = 1024;
/// Most resume points of one request, over all of its parts (Subscribe.more).
inline constexpr std::size_t kResumePointsMax = 65'536;
/// From one part of a request to the next.
inline constexpr std::chrono::milliseconds kRequestPartsTimeout{10'000};
/// Most heads, and most times, of one Heartbeat; a server with more to tell sends several.
inline constexpr std::size_t kHeartbeatEntriesMax = 1024;
/// Most alternatives of one GoAway.
inline constexpr std::size_t kAlternativesMax = 16;
/// Most servers of one client.
inline constexpr std::size_t kUrlsMax = 64;
/// Most channels of one client that have gates.
inline constexpr std::size_t kGatesMax = 65'536;
/// Largest message that a server takes from a client, in bytes, after fragments are joined.
inline constexpr std::size_t kInboundMessageBytesMax = 64 * 1024;
/// Largest message that a client takes from a server, in bytes.
inline constexpr std::size_t kClientMessageBytesMax = 1024 * 1024;
/// Most fragments of one message; more is a protocol violation.
inline constexpr std::size_t kFragmentsMax = 1024;
/// Deepest nesting of a JSON or MessagePack value carried by an Event.
inline constexpr std::size_t kNestingMax = 64;
/// Whole HTTP head of an upgrade, in bytes.
inline constexpr std::size_t kHandshakeBytesMax = 8 * 1024;
/// From accepted (or connected) to upgraded.
inline constexpr std::chrono::milliseconds kHandshakeTimeout{5'000};
/// How long a peer that was sent a close frame may take to answer.
inline constexpr std::chrono::milliseconds kCloseTimeout{2'000};
/// Server to client, on every native connection.
inline constexpr std::chrono::milliseconds kHeartbeatInterval{1'000};

}  // namespace stratwire::limits
