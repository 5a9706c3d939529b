/// The lines of an arbiter: their clients, and what becomes of what they bring.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/arbiter.hpp>
#include <stratwire/queue/wait.hpp>
#include <stratwire/session/line_arbiter.hpp>
#include <stratwire/session/time.hpp>

#include "kept.hpp"
#include "replays.hpp"

namespace stratwire::arbiter {

/// Turns the deliveries of the lines into one stream.
///
/// \thread one thread at a time
class Lines {
 public:
  /// \errors as Arbiter::open()
  static Result<std::unique_ptr<Lines>> open(ArbiterConfig config);

  Result<void> subscribe(std::vector<std::string> channels);
  Result<void> unsubscribe(std::vector<std::string> channels);
  void close() noexcept;

  /// The next delivery; nullptr when nothing waits. Valid until the next call.
  const LineDelivery* next();
  /// Every line is closed or failed, and all that they brought was handed over.
  [[nodiscard]] bool over() const noexcept;
  /// Until next() may have something, or the deadline.
  void wait(Instant until);

  [[nodiscard]] std::size_t size() const noexcept { return lines_.size(); }
  [[nodiscard]] std::string_view name(std::size_t line) const noexcept { return lines_[line].name; }
  [[nodiscard]] const Client& client(std::size_t line) const noexcept {
    return lines_[line].client;
  }
  /// But for `unhandled`.
  [[nodiscard]] ArbiterStatistics statistics() const;

 private:
  struct Line {
    Client client;
    std::string name{};
    session::LineCounts counts{};  // Of Merge::by_arrival.
    bool over = false;
  };

  Lines(ArbiterConfig config, std::shared_ptr<queue::Wait> wait);

  [[nodiscard]] bool one_log() const noexcept { return config_.merge == Merge::one_log; }
  /// What came of a look: something to hand over, something else, or nothing.
  struct Look {
    bool something = false;
    const LineDelivery* delivery = nullptr;
  };
  [[nodiscard]] Look look_at_lines();
  [[nodiscard]] Look look_at_replays();
  void move_on() noexcept;
  void tick();
  [[nodiscard]] bool may_have_next() const noexcept;

  // Out of the session's arbiter.
  const LineDelivery* act();
  const LineDelivery* on(const session::arbiter_action::Release& release);
  const LineDelivery* on(const session::arbiter_action::Discard& discard);
  const LineDelivery* on(const session::arbiter_action::HandGap& hand);
  const LineDelivery* on(const session::arbiter_action::AskReplay& ask);
  const LineDelivery* on(const session::arbiter_action::HandDivergence& hand);

  // Into it.
  const LineDelivery* from_line(std::size_t line, const Delivery& delivery);
  const LineDelivery* hand_kept_back();
  const LineDelivery* arrival(std::size_t line, const Delivery& delivery);
  const LineDelivery* data(std::size_t line, session::CopySource source, const Delivery& delivery);
  void notice(std::size_t line, const Delivery& delivery);
  void answered(std::size_t line, const Subscribed& answer);
  void left(const Unsubscribed& answer);
  void fill_out(std::size_t line, const Delivery& delivery);
  Kept& slot(std::uint32_t index);

  const ArbiterConfig config_;
  const std::shared_ptr<queue::Wait> wait_;
  std::vector<Line> lines_{};
  session::LineArbiter arbiter_;
  Replays replays_;
  Replays::Replayed replayed_{};
  const Delivery* kept_back_ = nullptr;  // Of the line that is looked at: act() comes first.
  std::set<std::string, std::less<>> wished_{};
  std::deque<Kept> slots_{};
  LineDelivery out_{};
  Instant now_{};
  std::size_t at_ = 0;   // The line that is looked at.
  std::size_t run_ = 0;  // Deliveries of it in a row.
  std::uint64_t arrivals_ = 0;
  std::uint64_t gaps_ = 0;
  std::uint64_t missed_ = 0;
};

}  // namespace stratwire::arbiter
