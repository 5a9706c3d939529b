#include "replay.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <fstream>
#include <limits>
#include <string_view>
#include <system_error>
#include <unordered_map>
#include <utility>

#include <stratwire/session/channel_name.hpp>
#include <stratwire/transport/utf8.hpp>

namespace stratwire::app {
namespace {

constexpr std::string_view kHeader = "offset_ns,venue,symbol,kind,price,size,exchange_time_ns";
constexpr std::array<std::string_view, 3> kKinds{"trade", "bid", "ask"};
enum Column : std::size_t {
  offset_ns,
  venue,
  symbol,
  kind,
  price,
  size,
  exchange_time_ns,
  kColumns
};
constexpr std::array<std::string_view, kColumns> kColumnNames{
    "offset_ns", "venue", "symbol", "kind", "price", "size", "exchange_time_ns"};
/// Volumes are whole numbers of this part of a unit.
constexpr double kVolumeUnits = 1e8;
/// No row is longer: what is, has lost its line breaks.
constexpr std::size_t kRowBytesMax = 4096;

struct Row {
  std::uint64_t offset_ns = 0;
  double price = 0;
  std::uint64_t volume = 0;
  std::uint32_t channel = 0;
  std::uint32_t kind = 0;
};

class Replay final : public Feed {
 public:
  std::span<const std::string> channels() const noexcept override { return channels_; }

  const Tick* next() override {
    if (next_ == rows_.size()) return nullptr;
    const auto& row = rows_[next_++];
    tick_.channel = row.channel;
    tick_.update = {.input_mint = kKinds[row.kind],
                    .output_mint = symbols_[row.channel],
                    .price = row.price,
                    .volume = row.volume};
    // Offsets of a recording start anywhere; waiting for the first one would help nobody.
    const auto since_first = row.offset_ns - std::min(row.offset_ns, rows_.front().offset_ns);
    tick_.due = std::chrono::nanoseconds{static_cast<std::int64_t>(since_first)};
    return &tick_;
  }

  std::string description() const override {
    return "replay of " + path_ + ", " + std::to_string(rows_.size()) + " rows on " +
           std::to_string(channels_.size()) + " channels";
  }
  Pacing pacing() const noexcept override { return Pacing::slowest_reader; }

  explicit Replay(std::string path) : path_{std::move(path)} {}

  [[nodiscard]] std::size_t rows() const noexcept { return rows_.size(); }
  void add(Row row, const std::string& channel, std::string_view name) {
    const auto [found, is_new] =
        index_.try_emplace(channel, static_cast<std::uint32_t>(channels_.size()));
    if (is_new) {
      channels_.push_back(channel);
      symbols_.emplace_back(name);
    }
    row.channel = found->second;
    rows_.push_back(row);
  }

 private:
  std::string path_;
  std::vector<Row> rows_{};
  std::vector<std::string> channels_{};
  std::vector<std::string> symbols_{};
  std::unordered_map<std::string, std::uint32_t> index_{};
  std::size_t next_ = 0;
  Tick tick_{};
};

using session::quoted;
using Fields = std::array<std::string_view, kColumns>;

template <class T>
bool parse(std::string_view text, T& out) noexcept {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

std::size_t split(std::string_view line, Fields& fields) {
  std::size_t count = 0;
  while (true) {
    const auto comma = line.find(',');
    if (count < kColumns) fields[count] = line.substr(0, comma);
    ++count;
    if (comma == std::string_view::npos) return count;
    line.remove_prefix(comma + 1);
  }
}

std::string in_column(Column column, std::string_view found, std::string_view cure) {
  return "column " + std::to_string(column + 1) + " (" + std::string{kColumnNames[column]} +
         "): " + quoted(found) + " " + std::string{cure};
}

/// Empty, or what is wrong with the numbers of the row and the cure.
std::string read_numbers(const Fields& fields, Row& row) {
  constexpr std::uint64_t kOffsetMax = std::numeric_limits<std::int64_t>::max();
  if (!parse(fields[offset_ns], row.offset_ns) || row.offset_ns > kOffsetMax) {
    return in_column(offset_ns, fields[offset_ns],
                     "is not a whole number of nanoseconds from 0 on; write e.g. 1500000");
  }
  if (!parse(fields[price], row.price) || !std::isfinite(row.price)) {
    return in_column(price, fields[price], "is not a finite number; write e.g. 142.33");
  }
  double volume = 0;
  // 2^64: the first value that no longer fits.
  if (!parse(fields[size], volume) || !(volume >= 0) ||
      volume * kVolumeUnits >= 18446744073709551616.0) {
    return in_column(size, fields[size],
                     "is not a number from 0 to 184467440737; write e.g. 0.5, or 0 for none");
  }
  row.volume = static_cast<std::uint64_t>(std::round(volume * kVolumeUnits));
  std::int64_t venue_time = 0;
  if (!parse(fields[exchange_time_ns], venue_time)) {
    return in_column(exchange_time_ns, fields[exchange_time_ns],
                     "is not a whole number of nanoseconds; write 0 for none");
  }
  return {};
}

/// Empty, or what is wrong with the row and the cure.
std::string read_row(std::string_view line, Replay& replay) {
  if (line.size() > kRowBytesMax) {
    return "the row has " + std::to_string(line.size()) + " bytes, at most " +
           std::to_string(kRowBytesMax) + " are taken; is a line break missing?";
  }
  if (!transport::is_utf8(line)) {
    return "the row is not UTF-8: " + quoted(line) + "; save the file as UTF-8";
  }
  Fields fields;
  const auto count = split(line, fields);
  if (count != kColumns) {
    return "the row has " + std::to_string(count) + " column(s): " + quoted(line) + "; write " +
           std::to_string(kColumns) + ": " + std::string{kHeader};
  }
  Row row;
  if (auto problem = read_numbers(fields, row); !problem.empty()) return problem;
  for (; row.kind < kKinds.size() && kKinds[row.kind] != fields[kind]; ++row.kind) continue;
  if (row.kind == kKinds.size()) {
    return in_column(kind, fields[kind], "is none of trade, bid, ask");
  }
  if (fields[venue].empty()) return in_column(venue, "", "is empty; write the exchange's name");
  if (fields[symbol].empty()) return in_column(symbol, "", "is empty; write the instrument's name");
  auto channel = "prices:" + std::string{fields[venue]} + ":" + std::string{fields[symbol]};
  const auto name = session::parse_channel_name(channel, session::Wildcards::refused);
  if (!name.ok()) return "columns 2 and 3 (venue, symbol): " + name.error().message();
  replay.add(row, channel, fields[symbol]);
  return {};
}

std::string_view without_line_end(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

Result<ReplayFile> read_replay_file(const std::string& path,
                                    const std::function<void(const std::string&)>& warn) {
  std::ifstream file{path, std::ios::binary};
  std::string line;
  if (!file || (!std::getline(file, line) && !file.eof())) {
    return Error{Errc::io_failed, 0,
                 path + ": " + std::generic_category().message(errno) + "; check --replay's path"};
  }
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  std::string_view header = without_line_end(line);
  if (header.starts_with(kByteOrderMark)) header.remove_prefix(kByteOrderMark.size());
  if (header != kHeader) {
    return Error{Errc::invalid_input, 0,
                 path + ":1: the header is " + quoted(header) + "; the first line must be '" +
                     std::string{kHeader} + "'"};
  }
  ReplayFile result;
  auto replay = std::make_unique<Replay>(path);
  std::uint64_t number = 1;
  while (std::getline(file, line)) {
    ++number;
    const auto row = without_line_end(line);
    if (row.empty()) continue;
    const auto problem = read_row(row, *replay);
    if (problem.empty()) continue;
    ++result.skipped;
    warn(path + ":" + std::to_string(number) + ": " + problem + "; the row is skipped");
  }
  if (replay->rows() == 0) {
    return Error{Errc::invalid_input, 0,
                 path + ": no row can be used (" + std::to_string(result.skipped) +
                     " bad); give a file with rows of '" + std::string{kHeader} + "'"};
  }
  result.rows = replay->rows();
  result.feed = std::move(replay);
  return result;
}

}  // namespace stratwire::app
