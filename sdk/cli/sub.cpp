#include "sub.hpp"

#include <algorithm>
#include <concepts>
#include <cstring>
#include <set>
#include <string>
#include <unistd.h>
#include <variant>

#include <stratwire/client.hpp>
#include <stratwire/codec.hpp>
#include <stratwire/session/channel_name.hpp>

#include "output.hpp"
#include "tally.hpp"

namespace stratwire::cli {
namespace {

using Clock = std::chrono::steady_clock;

/// How long Ctrl-C, --seconds and a reader that has gone may go unnoticed while nothing comes.
constexpr std::chrono::milliseconds kLookAround{50};
constexpr std::uint64_t kGapsTold = 8;
// RFC 6455 7.4.1.
constexpr std::uint16_t kNormal = 1000;
constexpr std::uint16_t kGoingAway = 1001;

template <class T>
concept Data = std::same_as<T, PriceUpdate> || std::same_as<T, AccountUpdate> ||
    std::same_as<T, Event> || std::same_as<T, Gap>;

struct Where {
  Envelope envelope{};
  std::uint64_t epoch = 0;
  std::int64_t received_at = 0;
};

template <class T>
std::int64_t timestamp_of(const T& message) noexcept {
  if constexpr (requires { message.timestamp; }) return message.timestamp;
  return 0;
}

class Subscriber {
 public:
  Subscriber(const SubOptions& options, Client client)
      : options_{options}, client_{std::move(client)}, watch_{options.connection} {
    client_.on<StateEvent>([this](const StateEvent& event) noexcept { notice(event); });
    client_.on<Subscribed>([this](const Subscribed& subscribed) noexcept { notice(subscribed); });
    client_.on<ErrorReply>([this](const ErrorReply& error) noexcept { notice(error); });
  }

  int run();

 private:
  template <Data T>
  void data(const Where& where, const T& message);
  template <Data T>
  void print(const Where& where, const T& message);
  void notice(const StateEvent& event);
  void notice(const Subscribed& subscribed);
  void notice(const ErrorReply& error);
  void tell(const Envelope& envelope, const Gap& gap);
  void hint_at_wildcards(const Subscribed& subscribed);
  template <class T>
  void notice(const T&) {}
  bool take_what_waits();
  void wait_for_more();
  [[nodiscard]] int exit_code() const;

  const SubOptions& options_;
  Client client_;
  ConnectionWatch watch_;
  Tally tally_{};
  Output output_{STDOUT_FILENO};
  Message message_{};
  std::string line_{};
  bool done_ = false;
  bool gave_up_ = false;
  bool cut_off_ = false;
  std::size_t refused_ = 0;
  std::set<std::string> hinted_{};
  std::uint64_t gaps_told_ = 0;
};

template <Data T>
void Subscriber::print(const Where& where, const T& message) {
  message_ = {where.envelope, message};
  line_.clear();
  if (auto encoded = encode(Codec::json, message_, line_); !encoded.ok()) {
    say("message " + std::to_string(where.envelope.seq) + " of " +
        std::string{where.envelope.channel} + " has no JSON form: " + encoded.error().message());
    return;
  }
  // The wire form ends with '}'; what the client knows beside it goes before that.
  line_.pop_back();
  if constexpr (!std::same_as<T, Gap>) line_ += ",\"epoch\":" + std::to_string(where.epoch);
  line_ += ",\"received_at\":" + std::to_string(where.received_at) + "}\n";
  output_.append(line_);
}

template <Data T>
void Subscriber::data(const Where& where, const T& message) {
  if (done_) return;
  if constexpr (std::same_as<T, Gap>) {
    tally_.gap(where.envelope, message);
    tell(where.envelope, message);
  } else {
    tally_.message(where.envelope, where.epoch, where.received_at, timestamp_of(message));
  }
  if (options_.print == Print::messages) print(where, message);
  done_ = options_.count && tally_.received() >= *options_.count;
}

void Subscriber::notice(const StateEvent& event) {
  if (done_) return;
  switch (watch_.on_state(event)) {
    case ConnectionWatch::Verdict::go_on:
      return;
    case ConnectionWatch::Verdict::lost:
      if (options_.on_close != OnClose::exit) return;
      done_ = true;
      // As servers end that have sent everything; after anything else nobody knows what came behind
      // the last message.
      cut_off_ = event.close_code != kNormal && event.close_code != kGoingAway;
      return;
    case ConnectionWatch::Verdict::give_up:
      done_ = true;
      gave_up_ = true;
  }
}

void Subscriber::notice(const Subscribed& subscribed) {
  std::size_t refused = 0;
  for (const auto& result : subscribed.results) {
    if (result.code == Errc::ok) continue;
    ++refused;
    say(options_.connection.url + " refused channel " + result.channel + ": " +
        Error{result.code, 0, result.message}.message());
  }
  refused_ = refused;
  hint_at_wildcards(subscribed);
  if (refused != 0 && refused == subscribed.results.size()) done_ = true;
}

/// The first few, then one of each power of two: a reader that is too slow has thousands.
void Subscriber::tell(const Envelope& envelope, const Gap& gap) {
  const auto number = ++gaps_told_;
  if (number > kGapsTold && (number & (number - 1)) != 0) return;
  std::string text = number > kGapsTold ? "gap number " + std::to_string(number) + ": " : "gap: ";
  text += std::string{envelope.channel} + " lacks ";
  if (gap.to == 0) {
    text += "what came after " + std::to_string(gap.from - 1);
  } else if (gap.to == gap.from) {
    text += std::to_string(gap.from);
  } else {
    text += std::to_string(gap.from) + " to " + std::to_string(gap.to);
  }
  say(text + " (" + std::string{to_string(gap.reason)} + ")");
}

/// `prices` is a channel of its own, for which nothing may ever come; `prices:*` was meant.
void Subscriber::hint_at_wildcards(const Subscribed& subscribed) {
  for (const auto& result : subscribed.results) {
    const bool has_key =
        result.channel.find(':') != std::string::npos || result.channel.starts_with("token-");
    if (has_key || result.code != Errc::ok || result.head != 0 || done_) continue;
    if (!hinted_.insert(result.channel).second) continue;
    say("nothing was published on channel " + result.channel +
        " so far; for all channels of that "
        "kind subscribe to '" +
        result.channel + ":*', for one of them to " + result.channel + ":KEY");
  }
}

void Subscriber::notice(const ErrorReply& error) {
  say(options_.connection.url + ": " + Error{error.code, 0, error.message}.message());
}

bool Subscriber::take_what_waits() {
  const auto taken = client_.poll([this](const Delivery& delivery) noexcept {
    const Where where{delivery.envelope, delivery.epoch, delivery.received_at};
    std::visit(
        [&]<class T>(const T& body) {
          if constexpr (Data<T>) {
            data(where, body);
          } else {
            std::visit([this](const auto& known) { this->notice(known); }, *body);
          }
        },
        delivery.body);
  });
  return taken != 0;
}

void Subscriber::wait_for_more() {
  const auto received = client_.receive_for<WsMessage>(kLookAround);
  if (!received) return;
  const Where where{{received.channel(), received.seq()}, received.epoch(), received.received_at()};
  std::visit(
      [&]<class T>(const T& body) {
        if constexpr (Data<T>) data(where, body);
      },
      *received);
}

int Subscriber::exit_code() const {
  if (refused_ != 0) return kExitRefused;
  if (gave_up_ || !watch_.was_connected()) return kExitNotConnected;
  if (cut_off_) {
    say("cut off: what the server had behind the last message did not come");
    return kExitLost;
  }
  return tally_.clean(client_.metrics()) ? kExitOk : kExitLost;
}

int Subscriber::run() {
  const auto start = Clock::now();
  while (!done_ && !interrupted()) {
    if (options_.duration && Clock::now() - start >= *options_.duration) break;
    if (take_what_waits()) continue;
    output_.flush();
    if (output_.broken()) break;
    wait_for_more();
  }
  if (options_.print == Print::summary) {
    output_.append(tally_.summary(client_.metrics(),
                                  {watch_.reconnects(), client_.latencies(), client_.clock()}));
  }
  output_.flush();
  client_.close();
  if (output_.error() != 0) {
    say(std::string{"standard output can't be written, what came is lost: "} +
        std::strerror(output_.error()));
    return kExitLost;
  }
  return exit_code();
}

/// One that the client would ignore.
const ResumePoint* point_of_no_channel(const SubOptions& options) {
  const auto found = std::ranges::find_if(options.since, [&](const ResumePoint& point) {
    return std::ranges::none_of(options.channels, [&](const std::string& channel) {
      return channel == point.channel ||
             (session::is_wildcard(channel) && session::covers(channel, point.channel));
    });
  });
  return found == options.since.end() ? nullptr : &*found;
}

}  // namespace

int run_sub(const SubOptions& options) {
  if (const ResumePoint* const point = point_of_no_channel(options)) {
    say("--since: no CHANNEL of this command is or covers '" + point->channel +
        "'; add it, or mend the point");
    return kExitUsage;
  }
  auto client = Client::open(client_config(options.connection, "stratwire sub"));
  if (!client.ok()) {
    say(client.error().message());
    return kExitUsage;
  }
  if (const auto wished = client->subscribe(options.channels, options.since, options.start);
      !wished.ok()) {
    say(wished.error().message());
    return kExitUsage;
  }
  catch_signals();
  return Subscriber{options, std::move(*client)}.run();
}

}  // namespace stratwire::cli
