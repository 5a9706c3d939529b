#include "pub.hpp"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <poll.h>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <variant>

#include <stratwire/client.hpp>
#include <stratwire/session/channel_name.hpp>

#include "publishable.hpp"

namespace stratwire::cli {
namespace {

using Clock = std::chrono::steady_clock;

/// Lines sent and not yet answered: enough to keep the line busy, few enough for the server's
/// inbox.
constexpr std::uint64_t kInFlightMax = 256;
/// A longer line can't be a message: servers take 64 KiB unless told otherwise.
constexpr std::size_t kLineBytesMax = std::size_t{1} << 20;
constexpr std::size_t kReadBytes = 64 * 1024;
/// How long Ctrl-C and answers may go unnoticed while standard input is silent.
constexpr int kLookAroundMs = 20;

std::string lines(std::uint64_t count) {
  return std::to_string(count) + (count == 1 ? " line" : " lines");
}

class Publishing {
 public:
  Publishing(const PubOptions& options, Client client)
      : options_{options},
        client_{std::move(client)},
        watch_{options.connection},
        reader_{options.event} {
    client_.on<StateEvent>([this](const StateEvent& event) noexcept { on_state(event); });
    client_.on<Published>([this](const Published& published) noexcept { on_published(published); });
    client_.on<ErrorReply>([this](const ErrorReply& error) noexcept {
      say(options_.connection.url + ": " + Error{error.code, 0, error.message}.message());
    });
  }

  int run();

 private:
  void on_state(const StateEvent& event);
  void on_published(const Published& published);
  void bad_line(std::uint64_t number, const std::string& problem);
  void take_input();
  void take_lines(std::string_view input);
  void publish_line(std::string_view line);
  void send(const Publishable& message);
  /// Handles what the client has; waits for it, but not for long.
  void listen(std::chrono::milliseconds patience);
  void wait_for_answers();

  const PubOptions& options_;
  Client client_;
  ConnectionWatch watch_;
  LineReader reader_;
  std::string buffer_ = std::string(kReadBytes, '\0');
  std::string partial_{};
  std::uint64_t line_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t answered_ = 0;
  std::uint64_t published_ = 0;
  std::uint64_t bad_ = 0;
  bool input_ended_ = false;
  /// Set once by what makes going on pointless; the exit code.
  std::optional<int> over_{};
};

void Publishing::on_state(const StateEvent& event) {
  if (watch_.on_state(event) == ConnectionWatch::Verdict::give_up) over_ = kExitNotConnected;
}

void Publishing::on_published(const Published& published) {
  ++answered_;
  if (published.code == Errc::ok) ++published_;
  if (published.code == Errc::ok || over_) return;
  const auto problem = Error{published.code, 0, published.message}.message();
  if (published.code == Errc::publish_not_allowed || published.code == Errc::invalid_channel_name ||
      published.code == Errc::unknown_channel_kind) {
    say(options_.connection.url + " refused to publish on " + options_.channel + ": " + problem);
    over_ = kExitRefused;
    return;
  }
  bad_line(published.id, "not published: " + problem);
}

void Publishing::bad_line(std::uint64_t number, const std::string& problem) {
  ++bad_;
  say("line " + std::to_string(number) + ": " + problem);
}

void Publishing::listen(std::chrono::milliseconds patience) {
  if (client_.poll() != 0 || patience.count() == 0) return;
  if (const auto answer = client_.receive_for<Published>(patience)) {
    on_published(*answer);
    // And what came with it, the end of the connection maybe.
    client_.poll();
  }
}

void Publishing::send(const Publishable& message) {
  while (!over_ && !interrupted()) {
    const auto status = std::visit(
        [&](const auto& body) { return client_.send(options_.channel, body, line_); }, message);
    switch (status) {
      case SendStatus::ok:
        ++sent_;
        return;
      case SendStatus::refused:
        return bad_line(line_,
                        "it can't be sent; a number is not finite, a text is not UTF-8, or it is "
                        "longer than the server takes");
      case SendStatus::closed:
        over_ = kExitNotConnected;
        return;
      case SendStatus::back_pressured:
        listen(std::chrono::milliseconds{1});
    }
  }
}

void Publishing::publish_line(std::string_view line) {
  ++line_;
  if (line.find_first_not_of(" \t\r") == std::string_view::npos) return;
  if (line.size() > kLineBytesMax) {
    // How long it was nobody knows: what was too much was not kept.
    return bad_line(line_, "longer than " + std::to_string(kLineBytesMax) +
                               " bytes; split it, or publish less of it");
  }
  const auto message = reader_.read(line);
  if (!message.ok()) {
    return bad_line(line_, problem_of_line(message.error()) +
                               "; see stratwire pub --help for what a line may be");
  }
  while (sent_ - answered_ >= kInFlightMax && !over_ && !interrupted()) {
    listen(std::chrono::milliseconds{kLookAroundMs});
  }
  send(*message);
}

void Publishing::take_lines(std::string_view input) {
  while (!over_ && !interrupted()) {
    const auto end = input.find('\n');
    if (end == std::string_view::npos) {
      // What is too long to be taken need not be kept, only counted as one line.
      if (partial_.size() <= kLineBytesMax) partial_ += input;
      return;
    }
    if (partial_.empty()) {
      publish_line(input.substr(0, end));
    } else {
      partial_ += input.substr(0, end);
      publish_line(std::exchange(partial_, {}));
    }
    input.remove_prefix(end + 1);
  }
}

void Publishing::take_input() {
  pollfd readable{STDIN_FILENO, POLLIN, 0};
  if (::poll(&readable, 1, kLookAroundMs) <= 0) return;
  const auto bytes = ::read(STDIN_FILENO, buffer_.data(), buffer_.size());
  if (bytes > 0) return take_lines({buffer_.data(), static_cast<std::size_t>(bytes)});
  if (bytes < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (bytes < 0)
    bad_line(line_ + 1, std::string{"standard input can't be read: "} + std::strerror(errno));
  input_ended_ = true;
  if (!partial_.empty()) publish_line(std::exchange(partial_, {}));
}

void Publishing::wait_for_answers() {
  auto last_progress = Clock::now();
  while (answered_ < sent_ && !over_ && !interrupted()) {
    const auto before = answered_;
    listen(std::chrono::milliseconds{kLookAroundMs});
    if (answered_ != before) last_progress = Clock::now();
    if (Clock::now() - last_progress < options_.timeout) continue;
    const auto unanswered = sent_ - answered_;
    say(options_.connection.url + " did not answer " + lines(unanswered) + "; whether " +
        (unanswered == 1 ? "it was" : "they were") + " published is not known");
    over_ = watch_.was_connected() ? kExitLost : kExitNotConnected;
  }
}

int Publishing::run() {
  while (!input_ended_ && !over_ && !interrupted()) {
    take_input();
    listen(std::chrono::milliseconds{0});
  }
  wait_for_answers();
  client_.close();
  if (over_) return *over_;
  say(lines(published_) + " published, " + std::to_string(bad_) + " bad");
  return bad_ == 0 && published_ == sent_ ? kExitOk : kExitLost;
}

}  // namespace

int run_pub(const PubOptions& options) {
  const auto name = session::parse_channel_name(options.channel, session::Wildcards::refused);
  if (!name.ok()) {
    say(name.error().message());
    return kExitUsage;
  }
  auto client = Client::open(client_config(options.connection, "stratwire pub"));
  if (!client.ok()) {
    say(client.error().message());
    return kExitUsage;
  }
  catch_signals();
  return Publishing{options, std::move(*client)}.run();
}

}  // namespace stratwire::cli
