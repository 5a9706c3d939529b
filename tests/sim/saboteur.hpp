/// Ways to break what a client hands over on purpose, so that the judge can be judged.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

#include "sim_client.hpp"
#include "strategy.hpp"
#include "trace.hpp"

namespace stratwire::sim {

enum class Sabotage : std::uint8_t {
  none,
  lose_message,  ///< One is not handed over.
  hand_twice,    ///< One is handed over twice.
  swap,          ///< Two change places.
  lose_gap,      ///< A Gap is not handed over.
  alter,         ///< One has another content.
  ask_again,     ///< A resume point is one too low.
  stay_silent,   ///< It never connects again; see World::dial().
};

/// Between a client and its strategy: turns messages into their contents, and breaks what it is
/// told to break.
///
/// \thread one thread: the simulation's
class Saboteur final : public Receiver {
 public:
  Saboteur(Trace& trace, Sabotage sabotage, Strategy& strategy)
      : trace_(trace), sabotage_(sabotage), strategy_(strategy) {}

  void message(const Arrived& arrived) override { hand(handed_of(arrived)); }
  void gap(std::string_view channel, const Gap& gap) override {
    if (sabotage_ != Sabotage::lose_gap) strategy_.gap(channel, gap);
  }
  void notice(const Notice& notice, std::uint64_t connection) override {
    strategy_.notice(notice, connection);
  }
  void asks(Subscribe& request) override {
    if (sabotage_ == Sabotage::ask_again) {
      for (ResumePoint& point : request.since) point.seq -= point.seq > 1 ? 1 : 0;
    }
    strategy_.asked(request);
  }

 private:
  /// The message that is taken.
  static constexpr std::uint64_t kSabotagedMessage = 20;

  void hand(const Handed& handed) {
    trace_.mix(handed.seq);
    trace_.mix(handed.content);
    const bool is_it = ++handed_ == kSabotagedMessage;
    if (!is_it || sabotage_ == Sabotage::none) {
      strategy_.message(handed);
      if (swapped_) strategy_.message(*std::exchange(swapped_, std::nullopt));
      return;
    }
    Handed altered = handed;
    altered.content += sabotage_ == Sabotage::alter ? 1 : 0;
    if (sabotage_ == Sabotage::swap) swapped_ = handed;
    if (sabotage_ != Sabotage::lose_message && !swapped_) strategy_.message(altered);
    if (sabotage_ == Sabotage::hand_twice) strategy_.message(handed);
  }

  Trace& trace_;
  Sabotage sabotage_;
  Strategy& strategy_;
  std::uint64_t handed_ = 0;
  std::optional<Handed> swapped_{};
};

}  // namespace stratwire::sim
