/// A live table of a server's instruments: last price, messages, rate, sequence, gaps, latency; and
/// how often the line was lost, and what came again from the server's memory.
///
/// Takes everything from the public client: one Row for each channel, redrawn in place a few times
/// a second on a terminal, a line each second elsewhere.
#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cinttypes>
#include <concepts>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/ioctl.h>
#include <unistd.h>
#include <variant>
#include <vector>

#include <stratwire/client.hpp>
#include <stratwire/telemetry/clock.hpp>
#include <stratwire/telemetry/histogram.hpp>
#include <stratwire/telemetry/rate.hpp>

namespace {

namespace telemetry = stratwire::telemetry;
using stratwire::ClientState;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr int kExitOk = 0;
constexpr int kExitLost = 1;
constexpr int kExitUsage = 2;
/// Close code of a server that has sent all it had.
constexpr std::uint16_t kGoingAway = 1001;
/// Failed tries before the first connection.
constexpr unsigned kFirstTriesMax = 3;
/// How long an end by --seconds, or by Ctrl-C, waits for a line that is being mended.
constexpr auto kMendMax = 10s;
constexpr auto kMendOnInterruptMax = 1s;

constexpr const char* kHelp =
    "usage: live_table [--url URL] [--codec json|msgpack] [--channels NAMES] [--seconds N]\n"
    "\n"
    "  --url URL         ws://host:port or ws+unix:///path (default ws://127.0.0.1:8080)\n"
    "  --codec NAME      json or msgpack (default msgpack)\n"
    "  --channels NAMES  comma between; kind:key, or kind:* for all of a kind (default prices:*)\n"
    "  --seconds N       end after so long; else at Ctrl-C, or when the server's feed has ended\n"
    "\n"
    "Exit codes: 0 messages came, none was lost, and the server was there to the end; 1 "
    "otherwise;\n"
    "2 wrong arguments.\n";

struct Options {
  std::string url = "ws://127.0.0.1:8080";
  stratwire::Codec codec = stratwire::Codec::msgpack;
  std::vector<std::string> channels{"prices:*"};
  std::optional<double> seconds{};
};

volatile std::sig_atomic_t g_interrupted = 0;
extern "C" void on_interrupt(int) {
  g_interrupted = g_interrupted + 1;
}

[[gnu::format(printf, 1, 2)]] std::string text(const char* format, ...) {
  char buffer[512];
  va_list values;
  va_start(values, format);
  std::vsnprintf(buffer, sizeof buffer, format, values);
  va_end(values);
  return buffer;
}

std::string as_duration(std::uint64_t ns) {
  const auto value = static_cast<double>(ns);
  if (value < 1e6) return text("%.1fus", value / 1e3);
  if (value < 1e9) return text("%.1fms", value / 1e6);
  return text("%.1fs", value / 1e9);
}

// ---- What is known

/// A rate over the last second or so: over one redraw it would jump about.
class SteadyRate {
 public:
  double update(std::uint64_t count, std::int64_t now_ns) noexcept {
    if (now_ns - updated_at_ns_ >= 1'000'000'000) {
      updated_at_ns_ = now_ns;
      meter_.update(count, now_ns);
    }
    return meter_.per_second();
  }

 private:
  telemetry::RateMeter meter_{};
  std::int64_t updated_at_ns_ = 0;
};

struct Row {
  double price = 0;
  std::uint64_t messages = 0;
  std::uint64_t seq = 0;
  std::uint64_t gaps = 0;
  telemetry::Histogram latency{};
  SteadyRate rate{};
};

/// Everything that the table shows.
///
/// \thread one thread at a time
class Board {
 public:
  void take(const stratwire::Envelope& envelope, std::int64_t received_at,
            const stratwire::PriceUpdate& update) {
    auto& row = row_of(envelope.channel);
    row.price = update.price;
    row.seq = envelope.seq;
    ++row.messages;
    ++messages_;
    row.latency.record(received_at - update.timestamp);
    latency_.record(received_at - update.timestamp);
  }
  void take(const stratwire::Envelope& envelope, std::int64_t, const stratwire::Gap& gap) {
    auto& row = row_of(envelope.channel);
    ++row.gaps;
    ++gaps_;
    if (gap.to >= gap.from) missed_ += gap.to - gap.from + 1;
  }
  template <class T>
  void take(const stratwire::Envelope& envelope, std::int64_t, const T&) {
    auto& row = row_of(envelope.channel);
    row.seq = envelope.seq;
    ++row.messages;
    ++messages_;
  }

  [[nodiscard]] std::uint64_t messages() const noexcept { return messages_; }
  [[nodiscard]] std::uint64_t gaps() const noexcept { return gaps_; }
  /// One of the messages was replayed.
  void count_replayed() noexcept { ++replayed_; }

  /// From now on rates are those of the whole run.
  void end_after(double seconds) noexcept { whole_run_seconds_ = seconds; }

  /// Two lines of totals: what came, and what did not.
  std::array<std::string, 2> totals(const stratwire::ClientMetrics& metrics) {
    const auto latency = latency_.snapshot();
    auto came = text("%" PRIu64 " messages  %.0f/s  %zu instruments  p50 %s  p99 %s", messages_,
                     per_second(messages_, rate_, telemetry::monotonic_ns()), rows_.size(),
                     as_duration(latency.percentile(50)).c_str(),
                     as_duration(latency.percentile(99)).c_str());
    if (latency.negative() != 0) {
      came += text("  (clocks differ: %" PRIu64 " latencies not counted)", latency.negative());
    }
    return {came, text("%" PRIu64 " gaps  %" PRIu64 " missed  %" PRIu64 " decode errors  %" PRIu64
                       " reconnects  %" PRIu64 " replayed",
                       gaps_, missed_, metrics.decode_errors,
                       metrics.connects == 0 ? 0 : metrics.connects - 1, replayed_)};
  }

  struct Size {
    std::size_t lines = 0;
    std::size_t columns = 0;
  };

  /// A heading and the busiest instruments.
  std::vector<std::string> table(Size most) {
    std::vector<std::pair<const std::string*, Row*>> busiest;
    for (auto& [name, row] : rows_) busiest.emplace_back(&name, row.get());
    std::stable_sort(busiest.begin(), busiest.end(), [](const auto& a, const auto& b) {
      return a.second->messages > b.second->messages;
    });
    // The figures need 59 columns, the names get the rest.
    const auto name_columns = std::clamp<std::size_t>(most.columns, 71, 91) - 59;
    const auto limit = most.lines;
    std::vector<std::string> lines{text("%-*s %11s %8s %6s %8s %5s %7s %7s",
                                        static_cast<int>(name_columns), "instrument", "price",
                                        "messages", "msg/s", "seq", "gaps", "p50", "p99")};
    const bool all = busiest.size() + 1 <= limit;
    const auto shown = all ? busiest.size() : limit > 2 ? limit - 2 : 0;
    const auto now = telemetry::monotonic_ns();
    for (std::size_t i = 0; i < shown; ++i)
      lines.push_back(line(*busiest[i].first, name_columns, *busiest[i].second, now));
    if (!all) lines.push_back(text("... and %zu more", busiest.size() - shown));
    return lines;
  }

 private:
  Row& row_of(std::string_view channel) {
    const auto found = rows_.find(channel);
    if (found != rows_.end()) return *found->second;
    return *rows_.emplace(channel, std::make_unique<Row>()).first->second;
  }

  double per_second(std::uint64_t messages, SteadyRate& rate, std::int64_t now) const {
    return whole_run_seconds_ > 0 ? static_cast<double>(messages) / whole_run_seconds_
                                  : rate.update(messages, now);
  }

  std::string line(std::string name, std::size_t columns, Row& row, std::int64_t now) const {
    constexpr std::string_view kPrefix = "prices:";
    if (name.starts_with(kPrefix)) name.erase(0, kPrefix.size());
    // The end of a long name tells more than its start: the venue is the same for many.
    if (name.size() > columns) name = '~' + name.substr(name.size() - columns + 1);
    const auto latency = row.latency.snapshot();
    return text("%-*s %11.7g %8" PRIu64 " %6.0f %8" PRIu64 " %5" PRIu64 " %7s %7s",
                static_cast<int>(columns), name.c_str(), row.price, row.messages,
                per_second(row.messages, row.rate, now), row.seq, row.gaps,
                as_duration(latency.percentile(50)).c_str(),
                as_duration(latency.percentile(99)).c_str());
  }

  std::map<std::string, std::unique_ptr<Row>, std::less<>> rows_{};
  telemetry::Histogram latency_{};
  SteadyRate rate_{};
  std::uint64_t messages_ = 0;
  std::uint64_t gaps_ = 0;
  std::uint64_t missed_ = 0;
  std::uint64_t replayed_ = 0;
  double whole_run_seconds_ = 0;
};

// ---- Terminal

/// The terminal's second page, without a cursor; the first one comes back however the program ends.
class Screen {
 public:
  Screen() { put("\x1b[?1049h\x1b[?25l"); }
  ~Screen() { put("\x1b[?25h\x1b[?1049l"); }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  struct Size {
    std::size_t rows = 24;
    std::size_t columns = 80;
  };
  static Size size() {
    winsize window{};
    Size result;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_row > 0 && window.ws_col > 0) {
      result = {window.ws_row, window.ws_col};
    }
    return result;
  }

  /// In one write, over what was there before: no flicker.
  static void draw(const std::vector<std::string>& lines) {
    const auto fits = size();
    std::string page = "\x1b[H";
    for (std::size_t i = 0; i < std::min(lines.size(), fits.rows); ++i) {
      if (i != 0) page += "\r\n";
      page += lines[i].substr(0, fits.columns) + "\x1b[K";
    }
    put(page + "\x1b[J");
  }

 private:
  static void put(std::string_view bytes) {
    std::fwrite(bytes.data(), 1, bytes.size(), stdout);
    std::fflush(stdout);
  }
};

// ---- The strategy

class LiveTable {
 public:
  LiveTable(const Options& options, stratwire::Client client)
      : options_{options}, client_{std::move(client)} {
    client_.on<stratwire::StateEvent>(
        [this](const stratwire::StateEvent& event) noexcept { on_state(event); });
    client_.on<stratwire::GoAway>(
        [this](const stratwire::GoAway&) noexcept { going_away_ = true; });
    client_.on<stratwire::Subscribed>(
        [this](const stratwire::Subscribed& subscribed) noexcept { on_subscribed(subscribed); });
    take_data<stratwire::PriceUpdate>();
    take_data<stratwire::AccountUpdate>();
    take_data<stratwire::Event>();
    take_data<stratwire::Gap>();
  }

  int run() {
    {
      std::optional<Screen> screen;
      if (isatty(STDOUT_FILENO) == 1) screen.emplace();
      watch(screen ? 200ms : 1'000ms, screen.has_value());
      mend();
    }
    client_.close();
    return finish();
  }

 private:
  template <class T>
  void take_data() {
    client_.on<T>([this](const T& message, const stratwire::Delivery& delivery) noexcept {
      board_.take(delivery.envelope, delivery.received_at, message);
      // Nothing live comes before the replay is done.
      if (state_ == ClientState::recovering) board_.count_replayed();
    });
  }

  void on_state(const stratwire::StateEvent& event) {
    state_ = event.state;
    was_live_ = was_live_ || event.state == ClientState::live;
    if (event.state == ClientState::backing_off) problem_ = event.cause.message();
    if (event.state == ClientState::live) problem_.clear();
    // A server that says goodbye and closes has ended its feed, and its last message came before;
    // one that is gone without a word may come back.
    ended_ = ended_ || (event.state == ClientState::backing_off && event.close_code == kGoingAway);
    over_ = over_ || ended_ || event.state == ClientState::failed ||
            (event.state == ClientState::backing_off &&
             (going_away_ || (!was_live_ && event.attempt >= kFirstTriesMax)));
  }

  void on_subscribed(const stratwire::Subscribed& subscribed) {
    for (const auto& result : subscribed.results) {
      if (result.code == stratwire::Errc::ok) continue;
      problem_ = result.channel + ": " + result.message;
      refused_ = true;
      over_ = true;
    }
  }

  [[nodiscard]] double elapsed() const {
    return std::chrono::duration<double>(Clock::now() - start_).count();
  }

  void watch(Clock::duration interval, bool in_place) {
    auto next_drawing = Clock::now();
    while (!over_ && g_interrupted == 0) {
      if (options_.seconds && elapsed() >= *options_.seconds) break;
      // No message of this type ever comes: all that does goes to a handler meanwhile.
      [[maybe_unused]] const auto none = client_.receive_for<stratwire::Unsubscribed>(20ms);
      if (Clock::now() < next_drawing) continue;
      next_drawing = Clock::now() + interval;
      if (in_place) {
        draw();
      } else {
        const auto [came, lost] = board_.totals(client_.metrics());
        std::printf("%6.1f s  %s  %s  %s\n", elapsed(), std::string{to_string(state_)}.c_str(),
                    came.c_str(), lost.c_str());
        std::fflush(stdout);
      }
    }
  }

  /// A line that was lost just before the end says nothing about what was lost: lets it come back.
  void mend() {
    const int interrupts = g_interrupted;
    const auto end = Clock::now() + (interrupts == 0 ? kMendMax : kMendOnInterruptMax);
    while (!over_ && was_live_ && state_ != ClientState::live && g_interrupted == interrupts &&
           Clock::now() < end) {
      [[maybe_unused]] const auto none = client_.receive_for<stratwire::Unsubscribed>(20ms);
    }
  }

  void draw() {
    auto [came, lost] = board_.totals(client_.metrics());
    std::vector<std::string> lines{
        text("stratwire  %s  %s  %s  %.0f s", std::string{to_string(state_)}.c_str(),
             options_.url.c_str(), options_.codec == stratwire::Codec::json ? "json" : "msgpack",
             elapsed()),
        std::move(came), std::move(lost), problem_};
    const auto fits = Screen::size();
    const auto left = fits.rows > lines.size() ? fits.rows - lines.size() : 1;
    for (auto& line : board_.table({left, fits.columns})) lines.push_back(std::move(line));
    Screen::draw(lines);
  }

  int finish() {
    constexpr Board::Size kMost{.lines = 22, .columns = 80};
    const auto seconds = elapsed();
    board_.end_after(seconds);
    for (const auto& line : board_.table(kMost)) std::printf("%s\n", line.c_str());
    const auto metrics = client_.metrics();
    for (const auto& line : board_.totals(metrics)) std::printf("%s\n", line.c_str());
    // Without a connection nobody knows what is published at the other end.
    const bool whole = ended_ || state_ == ClientState::live;
    const bool clean = board_.messages() != 0 && board_.gaps() == 0 && metrics.decode_errors == 0 &&
                       metrics.duplicates == 0 && !refused_ && whole;
    if (!clean && !problem_.empty()) std::printf("%s\n", problem_.c_str());
    std::printf("%s after %.1f s\n",
                clean                    ? "nothing was lost"
                : board_.messages() == 0 ? "no message came"
                : !whole                 ? "NOT complete: the server went away without a word"
                                         : "NOT everything came",
                seconds);
    return clean ? kExitOk : kExitLost;
  }

  const Options& options_;
  stratwire::Client client_;
  Board board_{};
  ClientState state_ = ClientState::connecting;
  std::string problem_{};
  bool was_live_ = false;
  bool going_away_ = false;
  bool refused_ = false;
  bool ended_ = false;
  bool over_ = false;
  Clock::time_point start_ = Clock::now();
};

// ---- Arguments

[[noreturn]] void usage_error(const std::string& problem) {
  std::fprintf(stderr, "live_table: %s; see live_table --help\n", problem.c_str());
  std::exit(kExitUsage);
}

void set_option(Options& options, std::string_view name, std::string_view value) {
  if (name == "--url") {
    options.url = value;
  } else if (name == "--codec") {
    if (value != "json" && value != "msgpack") {
      usage_error("--codec is json or msgpack, not '" + std::string{value} + "'");
    }
    options.codec = value == "json" ? stratwire::Codec::json : stratwire::Codec::msgpack;
  } else if (name == "--channels") {
    options.channels.clear();
    for (std::size_t start = 0; start <= value.size();) {
      const auto comma = std::min(value.find(',', start), value.size());
      options.channels.emplace_back(value.substr(start, comma - start));
      start = comma + 1;
    }
  } else if (name == "--seconds") {
    double seconds = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), seconds);
    if (error != std::errc{} || end != value.data() + value.size() || !(seconds > 0)) {
      usage_error("--seconds is a number above 0, not '" + std::string{value} + "'");
    }
    options.seconds = seconds;
  } else {
    usage_error("there is no option '" + std::string{name} + "'");
  }
}

Options read_options(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; i += 2) {
    if (std::strcmp(argv[i], "--help") == 0 || std::strcmp(argv[i], "-h") == 0) {
      std::fputs(kHelp, stdout);
      std::exit(kExitOk);
    }
    if (i + 1 == argc) usage_error("option '" + std::string{argv[i]} + "' needs a value");
    set_option(options, argv[i], argv[i + 1]);
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = read_options(argc, argv);
  auto client =
      stratwire::Client::open({.url = options.url, .codec = options.codec, .name = "live table"});
  if (!client.ok()) usage_error(client.error().message());
  if (const auto wished = client->subscribe(options.channels); !wished.ok()) {
    usage_error(wished.error().message());
  }
  std::signal(SIGINT, on_interrupt);
  std::signal(SIGTERM, on_interrupt);
  return LiveTable{options, std::move(*client)}.run();
}
