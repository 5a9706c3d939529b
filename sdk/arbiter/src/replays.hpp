/// Replays of what no line has brought, each on a connection of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <stratwire/client.hpp>
#include <stratwire/queue/wait.hpp>
#include <stratwire/session/line_arbiter.hpp>
#include <stratwire/session/time.hpp>

namespace stratwire::arbiter {

using session::Duration;
using session::Instant;

/// Asks the servers of lines for what is after some points.
///
/// A connection beside the line, because a server ignores points of channels that flow already, and
/// because the line must not stop for it. One at a time for each line; what is asked for meanwhile
/// goes with the next one.
///
/// \thread one thread at a time
class Replays {
 public:
  Replays(const std::vector<ClientConfig>& lines, std::shared_ptr<queue::Wait> wait,
          Duration replay_max);

  /// \param beside  for `kind:*`, where channels of the kind are; they are not asked for themselves
  void ask(std::size_t line, ResumePoint point, std::vector<ResumePoint> beside = {});

  struct Replayed {
    std::size_t line = 0;
    /// Valid until the next call; nullptr when only `ended` has something.
    const Delivery* delivery = nullptr;
    /// Channels whose replay is over, well or not.
    std::vector<std::string> ended{};
    session::LineArbiter::Replayed outcome = session::LineArbiter::Replayed::not_all;
  };
  /// The next thing that came; false when there is none.
  [[nodiscard]] bool next(Instant now, Replayed& out);

  [[nodiscard]] bool idle() const noexcept { return busy_ == 0; }
  [[nodiscard]] Instant next_tick() const noexcept;
  /// Whether next() may have something.
  [[nodiscard]] bool may_have_next() const noexcept;
  void close() noexcept;

 private:
  struct Asked {
    ResumePoint point{};
    std::vector<ResumePoint> beside{};
  };
  struct Active {
    Client client;
    std::vector<std::string> channels{};
    Instant until{};
    bool answered = false;
  };
  struct Line {
    ClientConfig config{};
    std::vector<Asked> waiting{};
    std::optional<Active> active{};
  };

  bool look_at(std::size_t index, Instant now, Replayed& out);
  bool begin(Line& line, Instant now, Replayed& out);
  void finish(Line& line, Replayed& out);
  void see_off();
  void count() noexcept;

  std::vector<Line> lines_{};
  std::shared_ptr<queue::Wait> wait_;
  Duration replay_max_;
  std::vector<Client> parting_{};
  std::size_t busy_ = 0;  // Lines with something to do, and connections that are parting.
  bool closed_ = false;
};

}  // namespace stratwire::arbiter
