#include "feed.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include <stratwire/telemetry/clock.hpp>

namespace stratwire::app {
namespace {

using Clock = std::chrono::steady_clock;

/// Sleeps until then, or until the thread is asked to stop.
void sleep_until(const std::stop_token& stop, Clock::time_point then) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock{mutex};
  wake.wait_until(lock, stop, then, [] { return false; });
}

}  // namespace

FeedRunner::FeedRunner(Server& server, std::unique_ptr<Feed> feed, Settings settings)
    : server_{server}, feed_{std::move(feed)}, settings_{std::move(settings)} {
  thread_ = std::jthread{[this](const std::stop_token& stop) { run(stop); }};
}

void FeedRunner::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

bool FeedRunner::finished() const noexcept {
  // acquire: pairs with the release in run(); whoever sees the end sees all that led to it.
  return finished_.load(std::memory_order_acquire);
}

void FeedRunner::wait_for_subscribers(const std::stop_token& stop) {
  if (settings_.wait_subscribers == 0) return;
  settings_.log(LogLevel::info,
                "waiting for " + std::to_string(settings_.wait_subscribers) + " subscriber(s)");
  while (!stop.stop_requested() && server_.stats().subscribers < settings_.wait_subscribers) {
    sleep_until(stop, Clock::now() + std::chrono::milliseconds{2});
  }
}

void FeedRunner::publish(const std::stop_token& stop, Publisher& publisher, PriceUpdate& update) {
  // A reader needs a while to take what it was given; the first wait is about one wake-up long.
  auto pause = std::chrono::microseconds{50};
  constexpr auto kPauseMax = std::chrono::microseconds{1'000};
  while (!stop.stop_requested()) {
    update.timestamp = telemetry::wall_ns();
    switch (publisher.publish(update)) {
      case PublishStatus::ok:
        ++report_.published;
        return;
      case PublishStatus::refused:
        ++report_.refused;
        return;
      case PublishStatus::closed:
        closed_ = true;
        return;
      case PublishStatus::back_pressured:
        ++report_.back_pressured;
        sleep_until(stop, Clock::now() + pause);
        pause = std::min(pause * 2, kPauseMax);
    }
  }
}

void FeedRunner::run(const std::stop_token& stop) {
  const auto pacing = settings_.speed > 0 ? feed_->pacing() : Pacing::slowest_reader;
  std::vector<Publisher> publishers;
  for (const auto& channel : feed_->channels()) {
    publishers.push_back(server_.publisher(channel, pacing));
  }
  wait_for_subscribers(stop);
  const auto start = Clock::now();
  while (!stop.stop_requested()) {
    const auto* tick = feed_->next();
    if (tick == nullptr) break;
    if (settings_.speed > 0) {
      const std::chrono::duration<double, std::nano> after{static_cast<double>(tick->due.count()) /
                                                           settings_.speed};
      const auto due = start + std::chrono::duration_cast<Clock::duration>(after);
      if (due > Clock::now()) sleep_until(stop, due);
    }
    auto update = tick->update;
    publish(stop, publishers[tick->channel], update);
    if (closed_) break;
  }
  report_.elapsed = Clock::now() - start;
  if (closed_ || stop.stop_requested()) return;
  // release: pairs with the acquire in finished().
  finished_.store(true, std::memory_order_release);
  settings_.on_end();
}

}  // namespace stratwire::app
