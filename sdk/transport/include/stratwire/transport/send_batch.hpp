/// Many sends of many sockets in one system call.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include <stratwire/transport/error.hpp>
#include <stratwire/transport/socket.hpp>

namespace stratwire::transport {

/// Algorithm: an io_uring of its own, filled, submitted and reaped by one call. Every send is told
///            not to wait (MSG_DONTWAIT), so that all are done when the call returns.
/// When to use: at least kWorthwhile sockets have something to be sent. When not: for fewer, where
///            the ring costs more than it saves; for one socket write_some() is quicker.
///
/// \thread one thread at a time
/// \cost   one system call for all; no allocation. Measured at 9,000 loopback connections: 4.5 us
///         for each, where send() takes 5.4; at 100, of 3.8 us, one alone costs 4.6, of two 4.0
///         each, of four 3.5, of 32 3.3
/// \source io_uring(7), io_uring_enter(2)
class SendBatch {
 public:
  static constexpr std::size_t kMax = 64;
  static constexpr std::size_t kWorthwhile = 4;

  /// \errors  io_failed where the kernel (before 5.7) has no io_uring that can do it, or where this
  ///          process may not use it, as in many containers: send one by one then
  static Outcome<SendBatch> open();
  SendBatch(SendBatch&&) noexcept;
  SendBatch& operator=(SendBatch&&) noexcept;
  ~SendBatch();

  /// One send() of at most `bytes.size()` bytes. Preconditions: size() < kMax; Socket::is_plain().
  ///
  /// \lifetime  socket and bytes until run() returns
  void add(const Socket& socket, std::span<const char> bytes) noexcept;
  [[nodiscard]] std::size_t size() const noexcept;

  /// Sends everything that was added; begins anew.
  ///
  /// \return    what came of each, in the order of add(); valid until the next add()
  [[nodiscard]] std::span<const IoResult> run() noexcept;
  /// False once the ring has failed: what run() could not send then is would_block, and the next
  /// ones go by write_some().
  [[nodiscard]] bool usable() const noexcept;

 private:
  class Ring;
  explicit SendBatch(std::unique_ptr<Ring> ring) noexcept;

  std::unique_ptr<Ring> ring_;
};

}  // namespace stratwire::transport
