/// A feed and the thread that publishes it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <stratwire/server.hpp>

namespace stratwire::app {

/// One message of a feed; its texts belong to the feed.
struct Tick {
  std::size_t channel = 0;          ///< Index into Feed::channels().
  PriceUpdate update{};             ///< Without timestamp: that is set when it is published.
  std::chrono::nanoseconds due{0};  ///< Since the start of the feed, at speed 1.
};

/// Where messages come from.
///
/// \thread one thread at a time
class Feed {
 public:
  virtual ~Feed() = default;
  Feed() = default;
  Feed(const Feed&) = delete;
  Feed& operator=(const Feed&) = delete;

  [[nodiscard]] virtual std::span<const std::string> channels() const noexcept = 0;
  /// The next message; nullptr at the end. Valid until the next call.
  [[nodiscard]] virtual const Tick* next() = 0;
  /// For people: "replay of ticks.csv, 16498 rows on 110 channels".
  [[nodiscard]] virtual std::string description() const = 0;
  /// Replays are paced by their readers, feeds are not.
  [[nodiscard]] virtual Pacing pacing() const noexcept = 0;
};

struct FeedReport {
  std::uint64_t published = 0;
  std::uint64_t refused = 0;
  std::uint64_t back_pressured = 0;  ///< Waits because readers, or the hub, were behind.
  std::chrono::nanoseconds elapsed{0};
};

/// Publishes a feed on a thread of its own.
///
/// \thread creating thread only, but for finished()
class FeedRunner {
 public:
  struct Settings {
    double speed = 1;
    std::size_t wait_subscribers = 0;
    /// Called once on the feed's thread, after the last message was taken by the server.
    std::function<void()> on_end{};
    std::function<void(LogLevel, const std::string&)> log{};
  };

  /// The server must live until stop() has returned.
  FeedRunner(Server& server, std::unique_ptr<Feed> feed, Settings settings);
  ~FeedRunner() { stop(); }
  FeedRunner(const FeedRunner&) = delete;
  FeedRunner& operator=(const FeedRunner&) = delete;

  /// Stops where it is and waits for the thread; then report() may be called.
  void stop();
  [[nodiscard]] bool finished() const noexcept;
  [[nodiscard]] const FeedReport& report() const noexcept { return report_; }

 private:
  void run(const std::stop_token& stop);
  void wait_for_subscribers(const std::stop_token& stop);
  void publish(const std::stop_token& stop, Publisher& publisher, PriceUpdate& update);

  Server& server_;
  std::unique_ptr<Feed> feed_;
  Settings settings_;
  FeedReport report_{};
  bool closed_ = false;  ///< The server takes no more; the thread's alone.
  std::atomic<bool> finished_{false};
  std::jthread thread_{};
};

}  // namespace stratwire::app
