/// An arbiter of lines and its owner, for tests.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <stratwire/session/line_arbiter.hpp>

namespace stratwire::session {

using namespace std::chrono_literals;
using Verdict = LineArbiter::Verdict;
using Link = LineArbiter::Link;
using Lines = std::vector<std::string>;

inline constexpr std::uint64_t kEpoch = 77;
inline constexpr std::uint64_t kNextEpoch = 78;
inline constexpr const char* kChannel = "prices:A";
inline const Instant t0{1000s};

/// An arbiter whose lines are up, and an owner that writes down all that it hands over.
class Desk : public LineArbiter {
 public:
  explicit Desk(LineArbiterConfig config = {}) : LineArbiter(config) {
    for (std::size_t line = 0; line < config.lines; ++line) link(line, Link::up, t0);
  }
  using LineArbiter::gap;
  using LineArbiter::link;

  /// A message that says `content`; by default what every line says of this number.
  Verdict copy(std::size_t line, std::uint64_t seq, std::uint64_t content = 0,
               CopySource source = CopySource::live) {
    return give({line, source, channel, epoch, seq, (content == 0 ? seq : content) << 8, 100, 0});
  }
  Verdict replayed(std::size_t line, std::uint64_t seq) {
    return copy(line, seq, 0, CopySource::replay);
  }
  Verdict give(const LineCopy& copy) {
    const Decision decision = message(copy, now);
    const std::string text = std::to_string(copy.seq) + " of " + std::to_string(copy.line);
    if (decision.verdict == Verdict::deliver) heard.push_back(text);
    if (decision.verdict == Verdict::hold) slots[decision.slot] = text;
    act();
    return decision.verdict;
  }
  void lost(std::size_t line, std::uint64_t from, std::uint64_t to,
            Gap::Reason reason = Gap::Reason::disconnected, CopySource source = CopySource::live) {
    gap(line, source, channel, {epoch, from, to, reason}, now);
    act();
  }
  void subscribed(std::size_t line, std::uint64_t head) {
    started(line, channel, epoch, head, now);
    act();
  }
  void goes(std::size_t line, Link to) {
    link(line, to, now);
    act();
  }
  void ended(std::size_t line, Replayed replayed = Replayed::all) {
    replay_ended(line, asked, replayed, now);
    act();
  }
  void after(Duration passed) {
    now += passed;
    tick(now);
    act();
  }
  /// What was handed over and asked for since the last call.
  Lines take() { return std::exchange(heard, {}); }

  Instant now = t0;
  std::string channel = kChannel;
  std::string asked = kChannel;  // What replays are asked of.
  std::uint64_t epoch = kEpoch;
  std::map<std::uint32_t, std::string> slots{};
  Lines heard{};

 private:
  void act() {
    while (const auto action = next_action()) std::visit([this](auto& a) { on(a); }, *action);
  }
  void on(const arbiter_action::Release& release) {
    heard.push_back(slots.at(release.slot));
    slots.erase(release.slot);
  }
  void on(const arbiter_action::Discard& discard) { EXPECT_EQ(slots.erase(discard.slot), 1u); }
  void on(const arbiter_action::HandGap& hand) {
    heard.push_back("gap " + std::to_string(hand.gap.from) + '-' + std::to_string(hand.gap.to) +
                    ' ' + std::string{to_string(hand.gap.reason)} +
                    (hand.gap.epoch == kEpoch ? "" : " of the next epoch"));
  }
  void on(const arbiter_action::AskReplay& ask) {
    EXPECT_EQ(ask.channel, asked);
    heard.push_back("ask " + std::to_string(ask.line) + " since " + std::to_string(ask.seq) +
                    (ask.epoch == kEpoch ? "" : " of the next epoch"));
  }
  void on(const arbiter_action::HandDivergence& hand) {
    EXPECT_EQ(hand.divergence.channel, channel);
    heard.push_back("divergence " + std::to_string(hand.divergence.seq) + ": " +
                    std::to_string(hand.divergence.first) + " and " +
                    std::to_string(hand.divergence.other));
  }
};

inline LineArbiterConfig lines(std::size_t count) {
  LineArbiterConfig config;
  config.lines = count;
  return config;
}

}  // namespace stratwire::session
