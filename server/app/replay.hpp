/// A recorded session from a CSV file.
///
/// Columns: offset_ns,venue,symbol,kind,price,size,exchange_time_ns. A row becomes a PriceUpdate on
/// `prices:<venue>:<symbol>` with output_mint = symbol, input_mint = kind (trade, bid or ask),
/// price and volume = size in units of 1e-8, rounded.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include <stratwire/result.hpp>

#include "feed.hpp"

namespace stratwire::app {

struct ReplayFile {
  std::unique_ptr<Feed> feed{};
  std::uint64_t rows = 0;
  std::uint64_t skipped = 0;  ///< Bad rows; each was warned of.
};

/// Reads the whole file into memory, about 40 bytes for each row.
///
/// \param warn  called for each bad row, which is left out
/// \errors      io_failed; invalid_input when the header is not as above or no row is good
[[nodiscard]] Result<ReplayFile> read_replay_file(
    const std::string& path, const std::function<void(const std::string&)>& warn);

}  // namespace stratwire::app
