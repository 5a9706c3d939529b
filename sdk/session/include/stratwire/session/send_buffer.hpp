/// What the user sent and nobody has answered for yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include <stratwire/error.hpp>
#include <stratwire/session/time.hpp>

namespace stratwire::session {

struct SendBufferPolicy {
  std::size_t messages_max = 1'000;
  std::size_t bytes_max = std::size_t{1} << 20;
  Duration age_max = std::chrono::seconds{30};
  /// What had not left when a connection broke waits for the next one; else it is reported.
  bool kept_offline = true;
};

/// One encoded Publish.
struct Outgoing {
  std::uint64_t wire_id = 0;  ///< Of the Publish; rises from one to the next.
  std::uint64_t user_id = 0;  ///< The caller's own; 0 = told only when something is wrong.
  std::string payload{};
  Instant sent_at{};  ///< When send() was called.
};

/// The fate of one message, told once.
struct Fate {
  std::uint64_t user_id = 0;
  Errc code = Errc::ok;
};

/// Bounded in number, bytes and age; keeps a message until it was answered, so that one that had
/// not left when the connection broke is sent on the next one.
///
/// A message of which the first byte was given to the kernel may have arrived: it is reported as
/// connection_lost, never sent twice.
///
/// \thread one thread at a time
class SendBuffer {
 public:
  explicit SendBuffer(SendBufferPolicy policy) noexcept : policy_(policy) {}

  /// Takes a message; false when it is full.
  [[nodiscard]] bool push(Outgoing message);
  /// Whether push() would take so many bytes more.
  [[nodiscard]] bool has_room(std::size_t payload_bytes) const noexcept {
    return unsent_.size() + in_flight_.size() < policy_.messages_max &&
           bytes_ + payload_bytes <= policy_.bytes_max;
  }

  /// The oldest one that was not written yet; nullptr when there is none.
  [[nodiscard]] const Outgoing* next() const noexcept {
    return unsent_.empty() ? nullptr : &unsent_.front();
  }
  /// next() was put on the connection.
  ///
  /// \param begins_at  bytes that were put on this connection before it
  void written(std::uint64_t begins_at);
  /// next() can't be sent (larger than the server takes).
  [[nodiscard]] Fate refuse_next(Errc code);

  /// The server answered; the caller's id, or nothing when the id is not (or no longer) known.
  [[nodiscard]] std::optional<std::uint64_t> answered(std::uint64_t wire_id);

  /// Whether this id waits for an answer.
  [[nodiscard]] bool knows(std::uint64_t wire_id) const noexcept;

  /// The connection broke after so many of the bytes that were put on it had left.
  ///
  /// \param fates  those of which nobody can know are appended
  void lost(std::uint64_t bytes_left, std::vector<Fate>& fates);
  /// Gives up what is older than the limit, whether it waits for a connection or for an answer.
  void expire(Instant now, std::vector<Fate>& fates);
  /// The end: everything that is still here is reported.
  void close(std::vector<Fate>& fates);

  /// When expire() has something to do; kNever when nothing waits.
  [[nodiscard]] Instant next_expiry() const noexcept;
  [[nodiscard]] std::size_t size() const noexcept { return unsent_.size() + in_flight_.size(); }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  /// Written, and not answered yet.
  [[nodiscard]] std::size_t in_flight() const noexcept { return in_flight_.size(); }

 private:
  struct InFlight {
    Outgoing message;
    std::uint64_t begins_at = 0;
  };
  void drop(const Outgoing& message, Errc code, std::vector<Fate>& fates);

  SendBufferPolicy policy_;
  std::deque<Outgoing> unsent_{};
  std::deque<InFlight> in_flight_{};
  std::size_t bytes_ = 0;
};

}  // namespace stratwire::session
