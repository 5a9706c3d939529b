#include "judge.hpp"

#include <algorithm>
#include <utility>

#include <stratwire/session/channel_name.hpp>

namespace stratwire::sim {
namespace {

constexpr std::size_t kFaultsKept = 10;

/// Whether a wish, or an answer, is about that channel.
bool names(std::string_view wish, std::string_view channel) {
  return session::is_wildcard(wish) ? session::covers(wish, channel) : wish == channel;
}

/// Which state may follow which, within one generation.
bool may_follow(ClientState before, ClientState after) noexcept {
  using S = ClientState;
  switch (after) {
    case S::connecting:
      return before == S::closed || before == S::backing_off;
    case S::authenticating:
      return false;
    case S::subscribing:
      return before == S::connecting || before == S::live || before == S::stale;
    case S::recovering:
      return before == S::subscribing || before == S::stale;
    case S::live:
      return before == S::subscribing || before == S::recovering || before == S::stale;
    case S::stale:
      return before == S::subscribing || before == S::recovering || before == S::live;
    case S::backing_off:
      return before != S::closed && before != S::failed && before != S::closing;
    case S::closing:
    case S::closed:
    case S::failed:
      return false;
  }
  return false;
}

}  // namespace

Judge::Judge(Trace& trace, std::string name, Resume resume, const Feed& feed, FaultCounts& faults)
    : trace_(trace), name_(std::move(name)), resume_(resume), feed_(feed), faults_(faults) {
  for (const std::string& channel : feed.names()) watches_[channel];
}

void Judge::fault(std::string text) {
  trace_.tell(name_, [&] { return "FAULT " + text; });
  if (faults_found_.size() < kFaultsKept) faults_found_.push_back(std::move(text));
}

std::string Judge::report() const {
  std::string text;
  for (const std::string& line : faults_found_) text += name_ + ": " + line + '\n';
  if (!oracle_.clean()) text += name_ + ": " + oracle_.report();
  return text;
}

Judge::Watch* Judge::find(std::string_view channel) {
  const auto found = watches_.find(channel);
  if (found != watches_.end()) return &found->second;
  fault("channel that nobody publishes: " + std::string(channel));
  return nullptr;
}

// ---- What the user does

bool Judge::wanted(std::string_view channel) const {
  return std::ranges::any_of(wishes_, [&](const auto& wish) { return names(wish.first, channel); });
}

std::vector<std::string> Judge::wishes() const {
  std::vector<std::string> names;
  for (const auto& [name, wish] : wishes_) names.push_back(name);
  return names;
}

bool Judge::follows(std::string_view channel) const {
  const auto found = watches_.find(channel);
  return found != watches_.end() && found->second.stage == Watch::Stage::on && !found->second.fresh;
}

void Judge::wish(std::span<const std::string> channels) {
  for (const std::string& channel : channels) wishes_[channel];
  for (auto& [channel, watch] : watches_) {
    if (watch.stage != Watch::Stage::off || !wanted(channel)) continue;
    watch.stage = Watch::Stage::pending;
    watch.request = 0;
  }
}

void Judge::unwish(std::span<const std::string> channels) {
  for (const std::string& channel : channels) {
    wishes_.erase(channel);
    positions_.erase(channel);
  }
  for (auto& [channel, watch] : watches_) {
    const bool left = std::ranges::any_of(
        channels, [&](const std::string& name) { return names(name, channel); });
    if (left && watch.stage != Watch::Stage::off) leave(channel, watch);
  }
}

/// What is left of the wishes for a channel may not have been answered yet: then it begins with
/// that answer.
void Judge::leave(std::string_view channel, Watch& watch) {
  std::uint64_t request = 0;
  for (const auto& [name, wish] : wishes_) {
    if (!names(name, channel)) continue;
    if (wish.granted) return;
    request = std::max(request, wish.request);
  }
  watch = Watch{};
  oracle_.stop(channel);
  if (!wanted(channel)) return;
  watch.stage = Watch::Stage::pending;
  watch.request = request;
}

void Judge::restarted() {
  older_generations_ += generation_;
  generation_ = 0;
  least_connection_ = 0;
  state_ = ClientState::closed;
  for (auto& [wildcard, position] : positions_) position.said = false;
  for (auto& [channel, watch] : watches_) watch.request = 0;
  for (auto& [name, wish] : wishes_) wish.request = 0;
}

std::vector<ResumePoint> Judge::points() const {
  std::vector<ResumePoint> points;
  for (const auto& [wildcard, position] : positions_) {
    if (position.caught_up) points.push_back({wildcard, position.epoch, position.seq});
  }
  for (const auto& [channel, watch] : watches_) {
    if (watch.stage != Watch::Stage::on) continue;
    // Of what came through `kind:*` and was never seen nobody knows anything.
    if (watch.fresh && watch.through_wildcard && !wishes(channel)) continue;
    const std::uint64_t epoch = watch.handed_epoch != 0 ? watch.handed_epoch : watch.said_epoch;
    points.push_back({channel, epoch, oracle_.cursor(channel)});
  }
  return points;
}

// ---- What the client hands over

void Judge::start_again(std::string_view channel, Watch& watch, std::uint64_t epoch,
                        std::uint64_t next) {
  oracle_.stop(channel);
  oracle_.start(channel, next - 1);
  watch.stage = Watch::Stage::on;
  watch.fresh = true;
  watch.epoch = epoch;
  watch.next = next;
}

/// A channel that came through `kind:*` and was never seen has no epoch that could end for it.
void Judge::begin_anew(std::string_view channel, Watch& watch, std::uint64_t epoch) {
  if (!watch.fresh || !watch.through_wildcard || watch.epoch == epoch) return;
  start_again(channel, watch, epoch, 1);
}

void Judge::message(const Handed& handed) {
  trace_.tell(name_, [&] {
    return std::string(handed.channel) + ' ' + std::to_string(handed.seq) + " by " +
           std::to_string(handed.connection);
  });
  if (handed.connection < least_connection_) {
    fault("a message of connection " + std::to_string(handed.connection) + " after " +
          std::to_string(least_connection_) + " was announced");
  }
  Watch* const watch = find(handed.channel);
  if (watch == nullptr || watch->stage != Watch::Stage::on) return;
  begin_anew(handed.channel, *watch, handed.epoch);
  // Before its beginning: a server that is behind may still bring it; nobody was promised it.
  if (watch->fresh && watch->through_wildcard && handed.seq < watch->next) return;
  watch->fresh = false;
  watch->handed_epoch = handed.epoch;
  oracle_.handed(handed.channel, handed.epoch, handed.seq, handed.content);
  look_at_oracle(handed.channel);
}

/// So that the trace shows where it happened.
void Judge::look_at_oracle(std::string_view channel) {
  const std::uint64_t found = oracle_.fault_count();
  if (found == std::exchange(oracle_faults_, found)) return;
  trace_.tell(name_, [&] { return "FAULT by the oracle, in " + std::string(channel); });
}

void Judge::gap(std::string_view channel, const Gap& gap) {
  trace_.note(name_, to_string(gap.reason), gap.from, gap.to);
  trace_.tell(name_, [&] { return "  of " + std::string(channel); });
  Watch* const watch = find(channel);
  if (watch == nullptr || watch->stage != Watch::Stage::on) return;
  if (gap.reason == Gap::Reason::retention)
    ++faults_[static_cast<std::size_t>(Fault::beyond_retention)];
  if (gap.reason == Gap::Reason::slow_consumer) ++faults_[static_cast<std::size_t>(Fault::lapped)];
  if (gap.reason == Gap::Reason::conflated) {
    ++faults_[static_cast<std::size_t>(Fault::lapped_conflating)];
  }
  const bool ends_epoch = gap.reason == Gap::Reason::epoch_change;
  Gap told = gap;
  if (!ends_epoch) {
    begin_anew(channel, *watch, gap.epoch);
    // Its `from` may be too low where the log no longer tells what came before the beginning.
    if (watch->fresh && gap.epoch == watch->epoch && gap.to < watch->next) return;
  }
  if (watch->fresh && gap.epoch == watch->epoch) told.from = std::max(gap.from, watch->next);
  if (ends_epoch) watch->ended.insert(gap.epoch);
  // Of messages that were still on their way when the channel was left.
  if (ends_epoch && watch->fresh && gap.epoch != watch->epoch) return;
  watch->fresh = false;
  watch->handed_epoch = ends_epoch ? 0 : gap.epoch;
  oracle_.gap(channel, told);
  look_at_oracle(channel);
  if (ends_epoch) {
    // Who does not resume begins where the answer said; what was before it is within the Gap.
    if (resume_ == Resume::manual && !watch->resumed) {
      start_again(channel, *watch, watch->said_epoch, watch->said_head + 1);
    }
  } else {
    watch->lost_epoch = gap.epoch;
    watch->lost_to = gap.to;
  }
}

void Judge::notice(const Notice& notice, std::uint64_t connection) {
  if (const auto* event = std::get_if<StateEvent>(&notice)) {
    on_state(*event, connection);
  } else if (const auto* answer = std::get_if<Subscribed>(&notice)) {
    on_subscribed(*answer);
  } else if (const auto* error = std::get_if<ErrorReply>(&notice)) {
    fault("an error: " + std::string(to_string(error->code)) + ' ' + error->message);
  }
}

void Judge::on_state(const StateEvent& event, std::uint64_t connection) {
  trace_.note(name_, to_string(event.state), event.generation, event.close_code);
  if (event.generation < generation_) {
    fault("generation " + std::to_string(event.generation) + " after " +
          std::to_string(generation_));
  }
  // A successor takes over from whatever state.
  const bool is_new = event.generation > generation_;
  if (!is_new && !may_follow(state_, event.state)) {
    fault("state " + std::string(to_string(event.state)) + " after " +
          std::string(to_string(state_)));
  }
  if (is_new) least_connection_ = connection;
  generation_ = event.generation;
  state_ = event.state;
  oracle_.generation(older_generations_ + generation_);
  if (state_ != ClientState::live) return;
  check_debts();
  for (auto& [wildcard, position] : positions_) {
    if (!position.said) continue;
    position = {.epoch = position.next_epoch, .seq = position.next_seq, .caught_up = true};
  }
}

/// Live means that all has come that was promised, or a Gap in its place. What flows through a
/// `kind:*` as well may be on its way still.
void Judge::check_debts() {
  for (auto& [channel, watch] : watches_) {
    const std::uint64_t epoch = std::exchange(watch.owed_epoch, 0);
    if (epoch == 0 || epoch != watch.handed_epoch || watch.stage != Watch::Stage::on) continue;
    if (wishes(session::wildcard_of(session::kind_of(channel)))) continue;
    if (const std::uint64_t cursor = oracle_.cursor(channel); cursor < watch.owed_to) {
      fault("live at " + std::to_string(cursor) + " of " + channel + ", which has " +
            std::to_string(watch.owed_to));
    }
  }
}

void Judge::on_subscribed(const Subscribed& answer) {
  for (const ChannelResult& result : answer.results) {
    const auto wish = wishes_.find(result.channel);
    if (wish != wishes_.end() && wish->second.request == answer.id) wish->second.granted = true;
    trace_.tell(name_, [&] {
      return "  " + result.channel + " head " + std::to_string(result.head) + " epoch " +
             std::to_string(result.epoch) + (result.recovered ? " recovered" : "");
    });
    for (auto& [channel, watch] : watches_) {
      if (!names(result.channel, channel)) continue;
      watch.said_epoch = result.epoch;
      watch.said_head = result.head;
      if (result.channel == channel) {
        watch.owed_epoch = result.epoch;
        watch.owed_to = result.head;
      }
    }
    if (result.code != Errc::ok) {
      fault("refused: " + result.channel + ' ' + result.message);
    } else if (session::is_wildcard(result.channel)) {
      grant_kind(result, answer.id);
    } else {
      grant(result, answer.id);
    }
  }
}

void Judge::grant(const ChannelResult& result, std::uint64_t request) {
  Watch* const watch = find(result.channel);
  if (watch == nullptr || !watch->begins_with(request)) return;
  start_again(result.channel, *watch, result.epoch, result.head + 1);
  watch->through_wildcard = false;
}

void Judge::grant_kind(const ChannelResult& result, std::uint64_t request) {
  if (!wishes_.contains(result.channel)) return;
  Position& position = positions_[result.channel];
  position.said = true;
  position.next_epoch = result.epoch;
  position.next_seq = result.head;
  // Of a server that is gone by now nobody knows any more what the position meant.
  if (result.epoch != feed_.epoch()) return;
  for (auto& [channel, watch] : watches_) {
    if (!watch.begins_with(request)) continue;
    if (!session::covers(result.channel, channel)) continue;
    start_again(channel, watch, result.epoch, feed_.head_at(channel, result.head) + 1);
    watch.through_wildcard = true;
  }
}

void Judge::asked(const Subscribe& request) {
  trace_.tell(name_, [&] {
    std::string text = "asks " + std::to_string(request.id) + (request.more ? " (more)" : "");
    for (const std::string& channel : request.channels) text += ' ' + channel;
    for (const ResumePoint& point : request.since) {
      text += " [" + point.channel + ' ' + std::to_string(point.epoch) + ' ' +
              std::to_string(point.seq) + ']';
    }
    return text;
  });
  for (auto& [channel, watch] : watches_) {
    const bool named = std::ranges::any_of(
        request.channels, [&](const std::string& name) { return names(name, channel); });
    if (!named) continue;
    watch.resumed =
        std::ranges::find(request.since, channel, &ResumePoint::channel) != request.since.end();
    // With the latest message it begins anew until something has come.
    if (request.snapshot && !watch.resumed && watch.fresh && watch.through_wildcard) {
      watch.stage = Watch::Stage::pending;
      watch.request = 0;
    }
    if (watch.stage == Watch::Stage::pending && watch.request == 0) watch.request = request.id;
  }
  for (const std::string& name : request.channels) {
    if (const auto wish = wishes_.find(name); wish != wishes_.end()) {
      wish->second.request = request.id;
    }
  }
  for (const ResumePoint& point : request.since) check_point(point);
}

/// A channel that is wanted again goes on where messages that were still on their way had left it,
/// if the client was told of them.
void Judge::resume_pending(const ResumePoint& point, Watch& watch) {
  if (watch.stage != Watch::Stage::pending) return;
  start_again(point.channel, watch, point.epoch, point.seq + 1);
  watch.through_wildcard = false;
}

void Judge::check_point(const ResumePoint& point) {
  if (session::is_wildcard(point.channel)) return;
  Watch* const watch = find(point.channel);
  if (watch == nullptr) return;
  resume_pending(point, *watch);
  // Messages that were still on their way when it was left may have moved the cursor since.
  if (watch->stage == Watch::Stage::on && watch->fresh && point.epoch == watch->epoch &&
      point.seq + 1 < watch->next) {
    start_again(point.channel, *watch, point.epoch, point.seq + 1);
  }
  if (watch->stage != Watch::Stage::on || watch->fresh) return;
  const std::string text =
      point.channel + ' ' + std::to_string(point.seq) + " of epoch " + std::to_string(point.epoch);
  if (watch->ended.contains(point.epoch)) fault("asks in an epoch that has ended: " + text);
  if (point.epoch == watch->lost_epoch && point.seq < watch->lost_to) {
    fault("asks again for what is lost up to " + std::to_string(watch->lost_to) + ": " + text);
  }
  if (point.seq != oracle_.cursor(point.channel)) {
    fault("asks from elsewhere than " + std::to_string(oracle_.cursor(point.channel)) + ": " +
          text);
  }
}

// ---- The verdict

void Judge::finish() {
  for (auto& [channel, watch] : watches_) {
    if (watch.stage == Watch::Stage::pending) fault("not subscribed at the end: " + channel);
    if (watch.stage == Watch::Stage::on) begin_anew(channel, watch, feed_.epoch());
  }
  oracle_.finish(feed_.ledger());
}

}  // namespace stratwire::sim
