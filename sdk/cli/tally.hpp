/// Checks and counts what a subscriber is handed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include <stratwire/client.hpp>
#include <stratwire/telemetry/histogram.hpp>

namespace stratwire::cli {

/// Trusts nobody: sequence numbers are checked here again, beside what the client checks.
///
/// \thread one thread at a time
class Tally {
 public:
  void message(const Envelope& envelope, std::uint64_t epoch, std::int64_t received_at,
               std::int64_t timestamp);
  void gap(const Envelope& envelope, const Gap& gap);

  [[nodiscard]] std::uint64_t received() const noexcept { return received_; }
  /// Everything came, once and in order.
  [[nodiscard]] bool clean(const ClientMetrics& metrics) const noexcept;
  /// What the client measured beside its counters.
  struct Measured {
    std::uint64_t reconnects = 0;
    ClientLatencies hops{};
    std::optional<ClockEstimate> clock{};
  };
  /// One line of JSON.
  [[nodiscard]] std::string summary(const ClientMetrics& metrics, const Measured& measured) const;

 private:
  struct Cursor {
    std::uint64_t epoch = 0;
    std::uint64_t last = 0;  ///< 0 = any number may come next.
  };
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };

  Cursor& cursor_of(std::string_view channel);

  std::unordered_map<std::string, Cursor, Hash, std::equal_to<>> cursors_{};
  telemetry::Histogram latency_{};
  std::uint64_t received_ = 0;
  std::uint64_t gaps_ = 0;
  std::uint64_t missed_ = 0;
  std::uint64_t unannounced_ = 0;
  std::uint64_t duplicates_ = 0;
  std::uint64_t out_of_order_ = 0;
  std::int64_t first_at_ = 0;
  std::int64_t last_at_ = 0;
};

}  // namespace stratwire::cli
