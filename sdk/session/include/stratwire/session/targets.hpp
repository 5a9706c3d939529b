/// Which of several servers is tried next.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include <stratwire/session/time.hpp>

namespace stratwire::session {

enum class TargetOrder : std::uint8_t {
  in_order,  ///< As they are listed; the first one is preferred at the start.
  shuffled,  ///< By the seed, so that clients with one list spread over its servers.
};

/// Goes round a list of servers, whoever is asked to wait left out as long as another may be tried.
///
/// \thread one thread at a time
class Targets {
 public:
  /// \param count  at least 1
  Targets(std::size_t count, TargetOrder order, std::uint64_t seed);

  /// The one of the try that is under way, or of the connection.
  [[nodiscard]] std::size_t current() const noexcept { return order_[at_]; }
  /// current() asked not to be tried before.
  void not_before(Instant earliest) noexcept { not_before_[order_[at_]] = earliest; }

  /// A try of current() failed. \return whether each has failed since the last begin_round()
  [[nodiscard]] bool failed() noexcept { return ++failed_ >= order_.size(); }
  void begin_round() noexcept { failed_ = 0; }
  /// A connection to current() is up.
  void opened() noexcept;
  /// It was kept for so long that what came before it does not count.
  void kept() noexcept { returns_ = 0; }
  /// current() once more, if it may be tried at `due` and has not been come back to kReturnsMax
  /// times without keeping a connection; else as move_on().
  Instant come_back(Instant due) noexcept;
  /// Moves on to the next one that may be tried at `due`, else to the one that may be tried first.
  ///
  /// \return when that is, `due` at the earliest
  Instant move_on(Instant due) noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return order_.size(); }

  static constexpr std::uint32_t kReturnsMax = 3;

 private:
  std::vector<std::size_t> order_;
  std::vector<Instant> not_before_;
  std::size_t at_ = 0;
  std::size_t failed_ = 0;
  std::size_t opened_ = 0;     // Where the last connection was up,
  std::uint32_t returns_ = 0;  // and how often it was come back to.
};

}  // namespace stratwire::session
