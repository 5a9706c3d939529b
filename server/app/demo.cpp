#include "demo.hpp"

#include <array>
#include <cmath>
#include <string_view>

namespace stratwire::app {
namespace {

struct Instrument {
  std::string_view name;
  double price;
  /// Ticks of this one among those of all; a few are busy, most are not, as in a real feed.
  unsigned weight;
};

constexpr std::array<Instrument, 20> kInstruments{{
    {"SOL", 142.33, 30},     {"BTC", 64250.5, 30}, {"ETH", 3120.75, 24}, {"JUP", 0.8412, 12},
    {"BONK", 0.0000231, 12}, {"WIF", 2.154, 10},   {"JTO", 2.981, 8},    {"PYTH", 0.3715, 8},
    {"RAY", 1.932, 7},       {"ORCA", 3.411, 6},   {"RNDR", 7.245, 6},   {"HNT", 6.03, 5},
    {"MSOL", 168.4, 5},      {"STEP", 0.0871, 4},  {"MNGO", 0.0214, 4},  {"SRM", 0.0402, 3},
    {"SAMO", 0.0071, 3},     {"FIDA", 0.312, 2},   {"COPE", 0.058, 1},   {"LINK", 14.87, 2},
}};
constexpr std::string_view kQuote = "USDC";

/// splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014). Ours,
/// because the library's distributions differ from one to the next.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_{seed} {}
  std::uint64_t next() noexcept {
    auto z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// \return 0 up to, not including, 1
  double fraction() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  std::uint64_t state_;
};

class Demo final : public Feed {
 public:
  explicit Demo(const DemoSettings& settings) : settings_{settings}, random_{settings.seed} {
    for (std::size_t i = 0; i < kInstruments.size(); ++i) {
      channels_.push_back("prices:" + std::string{kInstruments[i].name} + "-" +
                          std::string{kQuote});
      prices_[i] = kInstruments[i].price;
      weights_ += kInstruments[i].weight;
    }
  }

  std::span<const std::string> channels() const noexcept override { return channels_; }

  const Tick* next() override {
    if (settings_.messages != 0 && made_ == settings_.messages) return nullptr;
    const auto which = draw_instrument();
    // A step of at most 5 basis points; the price stays above 0 and keeps 6 significant digits, as
    // those of exchanges do.
    auto& price = prices_[which];
    price = rounded(price * (1 + (random_.fraction() - 0.5) * 0.001));
    tick_.channel = which;
    tick_.update = {.input_mint = kQuote,
                    .output_mint = kInstruments[which].name,
                    .price = price,
                    .volume = 1 + random_.next() % 1'000'000};
    tick_.due = std::chrono::nanoseconds{
        static_cast<std::int64_t>(static_cast<double>(made_) * 1e9 / settings_.rate)};
    ++made_;
    return &tick_;
  }

  std::string description() const override {
    return "demo of " + std::to_string(channels_.size()) + " instruments, " +
           std::to_string(std::llround(settings_.rate)) + " messages/s, seed " +
           std::to_string(settings_.seed);
  }
  Pacing pacing() const noexcept override { return Pacing::live; }

 private:
  std::size_t draw_instrument() noexcept {
    auto left = random_.next() % weights_;
    std::size_t which = 0;
    while (left >= kInstruments[which].weight) left -= kInstruments[which++].weight;
    return which;
  }

  static double rounded(double price) noexcept {
    // A whole number divided by a power of ten: the double next to the decimal that is meant.
    const auto digits = 5 - static_cast<int>(std::floor(std::log10(price)));
    const auto scale = std::pow(10.0, std::abs(digits));
    return digits >= 0 ? std::round(price * scale) / scale : std::round(price / scale) * scale;
  }

  DemoSettings settings_;
  Random random_;
  std::uint64_t made_ = 0;
  std::uint64_t weights_ = 0;
  std::vector<std::string> channels_{};
  std::array<double, kInstruments.size()> prices_{};
  Tick tick_{};
};

}  // namespace

std::unique_ptr<Feed> make_demo_feed(const DemoSettings& settings) {
  return std::make_unique<Demo>(settings);
}

}  // namespace stratwire::app
