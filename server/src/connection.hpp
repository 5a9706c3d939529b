/// One connection: a socket, a position in its cohort's log, and words of its own between frames.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <stratwire/transport/frame.hpp>
#include <stratwire/transport/handshake.hpp>
#include <stratwire/transport/poller.hpp>
#include <stratwire/transport/socket.hpp>

#include "cohort.hpp"
#include "lane.hpp"

namespace stratwire::server {

/// Kept small: ten thousand idle ones are ordinary. What is needed only sometimes is behind a
/// pointer.
///
/// \thread the shard's thread only
struct Connection {
  enum class Phase : std::uint8_t {
    handshake,  ///< HTTP.
    open,
    closing,  ///< Our close frame is on its way or was sent; waits for the peer's.
    closed,   ///< Removed at the end of the turn.
  };

  explicit Connection(transport::Socket opened, transport::FrameLimits limits)
      : socket(std::move(opened)), parser(transport::Role::server, limits) {}

  // What sending a frame touches comes first: two cache lines.
  transport::Socket socket;
  std::unique_ptr<Lane> lane{};
  Cohort* cohort = nullptr;
  std::uint64_t cursor = 0;  ///< Position in the cohort's log; behind it nothing was sent.
  std::uint64_t sent_bytes = 0;
  std::int64_t progress_ms = 0;  ///< While lagging: when the kernel took something last.
  std::uint32_t frame_rest = 0;  ///< Of the frame that the cursor lies in; 0 between frames.
  std::uint32_t gaps = 0;
  Phase phase = Phase::handshake;
  Dialect dialect = Dialect::json;
  transport::Interest interest = transport::Interest::read;  ///< As the host has it.
  bool lagging = false;        ///< Waits for the socket to become writable.
  bool read_paused = false;    ///< Does not read its replies: no more requests are taken.
  bool awaits_hub = false;     ///< A subscription is being made; later requests wait.
  bool awaits_page = false;    ///< Figures for a page are being gathered.
  bool replaying = false;      ///< Has not been sent all of a replay yet.
  bool pulling = false;        ///< The hub makes the replay's next piece.
  bool holds_request = false;  ///< One that waits for the end of the replay; later ones wait too.
  bool drained = false;        ///< Stands in Fanout::drained.
  bool failed = false;         ///< Fanout has told of its end; nothing more is sent.
  bool slow = false;           ///< Fanout has told that it is beyond its hard limit.
  bool counted = true;         ///< In Core::connections; one too many is not.
  bool ping_sent = false;
  bool shutdown_when_sent = false;  ///< Say that no more comes as soon as the lane is empty.

  std::uint32_t member_slot = 0;
  std::uint64_t id = 0;
  std::uint64_t token = 0;        ///< Slot and generation, as the host tells it.
  std::int64_t connected_at = 0;  ///< \units Unix nanoseconds
  std::int64_t heard_at_ms = 0;   ///< Monotonic; of the last sign of life.
  std::int64_t deadline_ms = 0;   ///< Of handshake and closing.
  transport::FrameParser parser;
  std::unique_ptr<transport::ServerHandshake> handshake{};
  /// Bytes that were read and are not yet a whole frame.
  std::unique_ptr<std::string> unparsed{};
  std::unique_ptr<std::string> name{};  ///< From Hello.

  /// Whether what comes in may be taken now.
  [[nodiscard]] bool reads() const noexcept {
    return !read_paused && !awaits_hub && !awaits_page && !holds_request;
  }
  [[nodiscard]] std::size_t lane_bytes() const noexcept { return lane ? lane->unsent_bytes() : 0; }
  /// A sign of life: whatever it is, no ping is open any more.
  void note_life(std::int64_t now_ms) noexcept {
    heard_at_ms = now_ms;
    ping_sent = false;
  }
};

}  // namespace stratwire::server
