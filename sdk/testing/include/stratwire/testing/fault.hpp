/// What a chaos proxy does to connections, as values and as lines of text that can be replayed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace stratwire::testing {

enum class Direction : std::uint8_t {
  up,    ///< From the client to the server.
  down,  ///< From the server to the client.
};
inline constexpr std::size_t kDirections = 2;

enum class FaultKind : std::uint8_t {
  cut,         ///< FIN to both; what was not forwarded is lost.
  reset,       ///< RST to both.
  half_close,  ///< FIN in this direction alone; the other one goes on.
  black_hole,  ///< Half-open: both sides are read and nothing is forwarded, no end either.
  throttle,    ///< At most `amount` bytes per second; 0 = as fast as it goes again.
  split,       ///< The next `amount` bytes one by one, each its own write; 0 = all that follow.
  stall,       ///< Not read for `amount` milliseconds; 0 = for ever.
  delay,       ///< Everything that follows is forwarded `amount` milliseconds later.
};
inline constexpr std::size_t kFaultKinds = 8;

[[nodiscard]] std::string_view to_string(FaultKind kind) noexcept;
[[nodiscard]] std::string_view to_string(Direction direction) noexcept;
/// The kinds after which a connection delivers nothing more.
[[nodiscard]] bool ends_connection(FaultKind kind) noexcept;

/// One thing that happens to one connection.
struct Fault {
  /// In the order in which they were accepted, from 1; 0 = every connection.
  std::uint64_t connection = 0;
  Direction direction = Direction::down;
  /// Happens when so many bytes of this direction were forwarded, neither earlier nor later.
  std::uint64_t offset = 0;
  FaultKind kind = FaultKind::cut;
  std::uint64_t amount = 0;

  friend bool operator==(const Fault&, const Fault&) = default;
};

/// "3 down 65536 cut", "* up 0 split 200".
[[nodiscard]] std::string to_string(const Fault& fault);
/// The same read back; nothing if it is no such line.
[[nodiscard]] std::optional<Fault> parse_fault(std::string_view line);

/// Random faults: the same seed gives the same ones to the same connection, whatever the others do.
struct RandomFaults {
  std::uint64_t seed = 1;
  /// Each connection ends at an offset of the down direction in this range.
  std::uint64_t offset_min = 1;
  std::uint64_t offset_max = 256 * 1024;
  /// Milliseconds of stalls and delays at most.
  std::uint64_t pause_ms_max = 20;
  /// Connections from here on are left alone.
  std::uint64_t connections_max = ~std::uint64_t{0};
};

/// What happens to which connection: faults that are named, and random ones.
///
/// \thread one thread at a time
class Plan {
 public:
  Plan() = default;
  explicit Plan(std::vector<Fault> faults) : faults_(std::move(faults)) {}
  explicit Plan(RandomFaults random) : random_(random) {}

  /// Reads one fault per line; lines that are empty or begin with '#' are skipped.
  ///
  /// \param bad_line  the first line that is no fault, if there is one
  static std::optional<Plan> parse(std::string_view text, std::string& bad_line);

  /// All that happens to one connection, those of a direction in the order of their offsets.
  [[nodiscard]] std::vector<Fault> faults_of(std::uint64_t connection) const;
  /// As lines for parse(), the random ones of the first `connections` included.
  [[nodiscard]] std::string to_text(std::uint64_t connections) const;

 private:
  std::vector<Fault> faults_{};
  std::optional<RandomFaults> random_{};
};

}  // namespace stratwire::testing
