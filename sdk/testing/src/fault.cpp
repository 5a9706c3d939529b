#include <algorithm>
#include <charconv>
#include <random>
#include <system_error>

#include <stratwire/testing/fault.hpp>

namespace stratwire::testing {
namespace {

constexpr std::array<std::string_view, kFaultKinds> kKindNames{
    "cut", "reset", "half_close", "black_hole", "throttle", "split", "stall", "delay"};
constexpr std::array<std::string_view, kDirections> kDirectionNames{"up", "down"};

std::string_view next_word(std::string_view& line) {
  const std::size_t begin = std::min(line.find_first_not_of(" \r"), line.size());
  line.remove_prefix(begin);
  const std::size_t end = std::min(line.find_first_of(" \r"), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

bool read_number(std::string_view word, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  return error == std::errc{} && end == word.data() + word.size();
}

template <class Enum, std::size_t kCount>
bool read_name(const std::array<std::string_view, kCount>& names, std::string_view word,
               Enum& value) {
  const auto found = std::find(names.begin(), names.end(), word);
  if (found == names.end()) return false;
  value = static_cast<Enum>(found - names.begin());
  return true;
}

/// Neighbouring numbers become unlike ones, so that connections do not resemble each other.
std::uint64_t mix(std::uint64_t seed, std::uint64_t connection) {
  std::uint64_t z = seed + connection * 0x9e3779b97f4a7c15ULL;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

std::uint64_t between(std::mt19937_64& random, std::uint64_t from, std::uint64_t to) {
  return std::uniform_int_distribution<std::uint64_t>(from, std::max(from, to))(random);
}

/// One fault that ends the connection, one that is only a nuisance, and now and then an early end
/// of the little that a client says.
void add_random(const RandomFaults& random, std::uint64_t connection, std::vector<Fault>& out) {
  if (connection > random.connections_max) return;
  std::mt19937_64 dice(mix(random.seed, connection));
  // Rarely a black hole: it costs as long as a silence takes to be noticed.
  constexpr std::array kEnds{FaultKind::cut,       FaultKind::cut,        FaultKind::reset,
                             FaultKind::reset,     FaultKind::half_close, FaultKind::half_close,
                             FaultKind::black_hole};
  constexpr std::array kNuisances{FaultKind::throttle, FaultKind::split, FaultKind::stall,
                                  FaultKind::delay};
  const auto end_at = between(dice, random.offset_min, random.offset_max);
  const auto direction = between(dice, 0, 3) == 0 ? Direction::up : Direction::down;
  Fault nuisance{connection, direction, 0, kNuisances[between(dice, 0, kNuisances.size() - 1)]};
  nuisance.offset = between(dice, 0, direction == Direction::up ? 400 : end_at);
  switch (nuisance.kind) {
    case FaultKind::throttle:
      nuisance.amount = between(dice, 200'000, 5'000'000);
      break;
    case FaultKind::split:
      nuisance.amount = between(dice, 1, 2'000);
      break;
    default:
      nuisance.amount = between(dice, 1, random.pause_ms_max);
  }
  if (between(dice, 0, 1) == 0) out.push_back(nuisance);
  if (between(dice, 0, 7) == 0) {
    out.push_back({connection, Direction::up, between(dice, 0, 400),
                   kEnds[between(dice, 0, kEnds.size() - 1)]});
  }
  out.push_back({connection, Direction::down, end_at, kEnds[between(dice, 0, kEnds.size() - 1)]});
}

}  // namespace

std::string_view to_string(FaultKind kind) noexcept {
  return kKindNames[static_cast<std::size_t>(kind)];
}

std::string_view to_string(Direction direction) noexcept {
  return kDirectionNames[static_cast<std::size_t>(direction)];
}

bool ends_connection(FaultKind kind) noexcept {
  return kind <= FaultKind::black_hole;
}

std::string to_string(const Fault& fault) {
  std::string text = fault.connection == 0 ? "*" : std::to_string(fault.connection);
  text += ' ';
  text += to_string(fault.direction);
  text += ' ' + std::to_string(fault.offset) + ' ';
  text += to_string(fault.kind);
  if (!ends_connection(fault.kind)) text += ' ' + std::to_string(fault.amount);
  return text;
}

std::optional<Fault> parse_fault(std::string_view line) {
  Fault fault;
  const auto who = next_word(line);
  if (who != "*" && (!read_number(who, fault.connection) || fault.connection == 0)) return {};
  if (!read_name(kDirectionNames, next_word(line), fault.direction)) return {};
  if (!read_number(next_word(line), fault.offset)) return {};
  if (!read_name(kKindNames, next_word(line), fault.kind)) return {};
  const auto amount = next_word(line);
  if (ends_connection(fault.kind) != amount.empty()) return {};
  if (!amount.empty() && !read_number(amount, fault.amount)) return {};
  if (!next_word(line).empty()) return {};
  return fault;
}

std::optional<Plan> Plan::parse(std::string_view text, std::string& bad_line) {
  std::vector<Fault> faults;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    std::string_view rest = line;
    const auto first = next_word(rest);
    if (first.empty() || first.starts_with('#')) continue;
    const auto fault = parse_fault(line);
    if (!fault) {
      bad_line = line;
      return std::nullopt;
    }
    faults.push_back(*fault);
  }
  return Plan{std::move(faults)};
}

std::vector<Fault> Plan::faults_of(std::uint64_t connection) const {
  std::vector<Fault> faults;
  for (const Fault& fault : faults_) {
    if (fault.connection == 0 || fault.connection == connection) faults.push_back(fault);
  }
  if (random_) add_random(*random_, connection, faults);
  std::stable_sort(faults.begin(), faults.end(),
                   [](const Fault& a, const Fault& b) { return a.offset < b.offset; });
  return faults;
}

std::string Plan::to_text(std::uint64_t connections) const {
  std::string text;
  for (const Fault& fault : faults_) text += to_string(fault) + '\n';
  if (!random_) return text;
  text += "# seed " + std::to_string(random_->seed) + '\n';
  for (std::uint64_t connection = 1; connection <= connections; ++connection) {
    std::vector<Fault> faults;
    add_random(*random_, connection, faults);
    for (const Fault& fault : faults) text += to_string(fault) + '\n';
  }
  return text;
}

}  // namespace stratwire::testing
