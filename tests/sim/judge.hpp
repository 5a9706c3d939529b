/// Looks at everything that one client hands over and asks for.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <stratwire/resume.hpp>
#include <stratwire/testing/delivery_oracle.hpp>

#include "fault.hpp"
#include "feed.hpp"
#include "strategy.hpp"
#include "trace.hpp"

namespace stratwire::sim {

/// The promise of PROTOCOL.md 5 is judged by a DeliveryOracle. This tells it what is subscribed to
/// and from where, and checks beside it:
///  * the states come in an order that makes sense, generations rise;
///  * nothing of an older connection comes after a newer one was announced;
///  * a resume point is where the strategy stands, never within or before a Gap that it was handed,
///    and never in an epoch that has ended.
///
/// It lives longer than its client: a strategy that starts again knows where it stood.
///
/// \thread one thread: the simulation's
class Judge final : public Strategy {
 public:
  Judge(Trace& trace, std::string name, Resume resume, const Feed& feed, FaultCounts& faults);

  // ---- What the user does

  void wish(std::span<const std::string> channels);
  void unwish(std::span<const std::string> channels);
  /// The client begins anew, from points().
  void restarted();
  /// What a strategy stores: where it stands in all that it wishes, `kind:*` included.
  [[nodiscard]] std::vector<ResumePoint> points() const;
  [[nodiscard]] std::vector<std::string> wishes() const;
  [[nodiscard]] bool wishes(std::string_view name) const { return wishes_.contains(name); }
  /// Whether something of that channel was handed over, so that a hole in it will show.
  [[nodiscard]] bool follows(std::string_view channel) const;

  // ---- What the client does

  void message(const Handed& handed) override;
  void gap(std::string_view channel, const Gap& gap) override;
  void notice(const Notice& notice, std::uint64_t connection) override;
  void asked(const Subscribe& request) override;

  // ---- The verdict

  /// Nothing more comes.
  void finish();
  void fault(std::string text);
  [[nodiscard]] bool clean() const noexcept { return faults_found_.empty() && oracle_.clean(); }
  [[nodiscard]] std::string report() const;
  [[nodiscard]] const testing::DeliveryOracle& oracle() const noexcept { return oracle_; }
  /// For the invariants of states: the last that was announced.
  [[nodiscard]] ClientState state() const noexcept { return state_; }

 private:
  /// One channel of the feed.
  struct Watch {
    enum class Stage : std::uint8_t {
      off,      ///< Not wanted: whatever comes means nothing.
      pending,  ///< Wanted; begins with the answer to `request`, or to one behind it.
      on,
    };
    Stage stage = Stage::off;
    bool fresh = true;  ///< Nothing has come since it began.
    bool through_wildcard = false;
    bool resumed = false;  ///< The last request that named it had a point.
    std::uint64_t request = 0;
    std::uint64_t epoch = 0;         ///< In which it began.
    std::uint64_t next = 1;          ///< With which it begins.
    std::uint64_t handed_epoch = 0;  ///< Of what was handed over last; 0 after an epoch's end.
    std::uint64_t said_epoch = 0;    ///< Of the last answer that named or covered it,
    std::uint64_t said_head = 0;     ///< and its head, if that was by name.
    // What an answer to its very name owes, before the client may say live.
    std::uint64_t owed_epoch = 0;
    std::uint64_t owed_to = 0;
    // The last range that was handed over as a Gap, and epochs that one has ended.
    std::uint64_t lost_epoch = 0;
    std::uint64_t lost_to = 0;
    std::set<std::uint64_t> ended{};

    /// Ids rise; none of an older connection is answered.
    [[nodiscard]] bool begins_with(std::uint64_t answered) const noexcept {
      return stage == Stage::pending && request != 0 && answered >= request;
    }
  };
  /// What is wished, and whether it was answered since.
  struct Wish {
    std::uint64_t request = 0;  ///< The last one that named it.
    bool granted = false;
  };
  /// A `kind:*`, as its results said.
  struct Position {
    std::uint64_t epoch = 0;
    std::uint64_t seq = 0;
    bool caught_up = false;
    std::uint64_t next_epoch = 0;
    std::uint64_t next_seq = 0;
    bool said = false;
  };

  [[nodiscard]] Watch* find(std::string_view channel);
  [[nodiscard]] bool wanted(std::string_view channel) const;
  void leave(std::string_view channel, Watch& watch);
  void start_again(std::string_view channel, Watch& watch, std::uint64_t epoch, std::uint64_t next);
  void begin_anew(std::string_view channel, Watch& watch, std::uint64_t epoch);
  void on_state(const StateEvent& event, std::uint64_t connection);
  void check_debts();
  void on_subscribed(const Subscribed& answer);
  void grant(const ChannelResult& result, std::uint64_t request);
  void grant_kind(const ChannelResult& result, std::uint64_t request);
  void check_point(const ResumePoint& point);
  void resume_pending(const ResumePoint& point, Watch& watch);
  void look_at_oracle(std::string_view channel);

  Trace& trace_;
  std::string name_;
  Resume resume_;
  const Feed& feed_;
  FaultCounts& faults_;
  testing::DeliveryOracle oracle_{};
  std::map<std::string, Wish, std::less<>> wishes_{};
  std::map<std::string, Watch, std::less<>> watches_{};
  std::map<std::string, Position, std::less<>> positions_{};
  ClientState state_ = ClientState::closed;
  std::uint64_t generation_ = 0;         ///< Of the client that runs now.
  std::uint64_t older_generations_ = 0;  ///< Of those before it.
  std::uint64_t least_connection_ = 0;   ///< Whose messages may still come.
  std::vector<std::string> faults_found_{};
  std::uint64_t oracle_faults_ = 0;
};

}  // namespace stratwire::sim
