/// What any thread asks of the client, on its way to the thread that runs it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <stratwire/client.hpp>
#include <stratwire/limits.hpp>
#include <stratwire/result.hpp>
#include <stratwire/session/send_buffer.hpp>

namespace stratwire::client {

struct Wish {
  std::vector<std::string> channels{};
  Start start = Start::live;
  std::vector<ResumePoint> since{};
};
struct Unwish {
  std::vector<std::string> channels{};
};
struct AddGate {
  std::string channel{};
  std::shared_ptr<detail::GateChannelWords> words{};
};
using Command = std::variant<Wish, Unwish, AddGate, session::Outgoing>;

/// Commands in the order in which they were given.
///
/// Refuses at once what can be refused at once: a bad name, too many channels, a full send buffer.
/// A mutex is fine here: subscribing and sending are rare beside receiving, and the other side
/// holds it for a swap of two vectors.
///
/// \thread  take, report: the thread that runs the client; the rest any thread
class Mailbox {
 public:
  explicit Mailbox(session::SendBufferPolicy policy) noexcept : policy_(policy) {}

  Result<void> subscribe(Wish wish);
  Result<void> unsubscribe(std::vector<std::string> channels);
  /// The words of the channel's gate, the same for all gates of one channel.
  Result<std::shared_ptr<const detail::GateChannelWords>> gate(std::string_view channel);
  /// ok, back_pressured or closed; `state` is where the connection stands.
  [[nodiscard]] SendStatus send(session::Outgoing message, ClientState state);
  /// No lock, no allocation: also from a destructor and a noexcept caller.
  void close() noexcept;

  // ---- The thread that runs the client

  /// One load when there is nothing.
  [[nodiscard]] bool has_work() const noexcept {
    // acquire: pairs with the release in post(); a swap that follows finds the command.
    return work_.load(std::memory_order_acquire) != 0;
  }
  /// Moves the waiting commands to `out`, which is emptied first.
  void take(std::vector<Command>& out);
  [[nodiscard]] bool close_requested() const noexcept {
    // acquire: pairs with the release in close(); what its caller did before is seen.
    return closing_.load(std::memory_order_acquire);
  }
  /// What the send buffer holds after the taken commands were carried out.
  void report(std::size_t messages, std::size_t bytes);
  /// Wishes that were taken have been carried out; see wishes_pending().
  void wishes_done(std::uint32_t count) noexcept {
    // release: pairs with the acquire in wishes_pending(); the state that the wishes led to is
    // stored before.
    pending_wishes_.fetch_sub(count, std::memory_order_release);
  }
  void set_channels_max(std::size_t channels) noexcept;

  // ---- Any thread

  /// subscribe() was called, and the session does not know of it yet.
  [[nodiscard]] bool wishes_pending() const noexcept {
    // acquire: pairs with the release in wishes_done().
    return pending_wishes_.load(std::memory_order_acquire) != 0;
  }

 private:
  void post(Command command);
  [[nodiscard]] Result<void> check(const std::vector<std::string>& channels) const;

  const session::SendBufferPolicy policy_;
  mutable std::mutex mutex_{};
  // Guarded by mutex_.
  std::vector<Command> commands_{};
  std::set<std::string, std::less<>> wished_{};
  std::map<std::string, std::shared_ptr<detail::GateChannelWords>, std::less<>> gates_{};
  std::size_t channels_max_ = limits::kChannelsPerConnectionMax;
  std::size_t held_messages_ = 0;  // In the send buffer, as last reported.
  std::size_t held_bytes_ = 0;
  std::size_t queued_messages_ = 0;  // In commands_.
  std::size_t queued_bytes_ = 0;
  std::size_t taken_messages_ = 0;  // Taken, but not yet in a report.
  std::size_t taken_bytes_ = 0;

  // Written by any thread under mutex_ (and by close()), cleared by take().
  std::atomic<std::uint32_t> work_{0};
  std::atomic<bool> closing_{false};
  std::atomic<std::uint32_t> pending_wishes_{0};
};

}  // namespace stratwire::client
