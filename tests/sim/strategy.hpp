/// What stands behind a client in a simulation.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>

#include <stratwire/client_state.hpp>
#include <stratwire/message.hpp>

#include "feed.hpp"
#include "sim_client.hpp"

namespace stratwire::sim {

/// A message that was handed over, and the id of the connection that brought it.
struct Handed {
  std::string_view channel{};
  std::uint64_t epoch = 0;
  std::uint64_t seq = 0;
  std::uint64_t content = 0;
  std::uint64_t connection = 0;
};

/// What a message comes to for those who judge contents.
[[nodiscard]] inline Handed handed_of(const Arrived& arrived) {
  const std::string_view channel = arrived.envelope.channel;
  const std::uint64_t content =
      std::visit([&](const auto& body) { return content_of(channel, body); }, arrived.body);
  return {channel, arrived.epoch, arrived.envelope.seq, content, arrived.connection};
}

/// Takes what a client hands over, in its order. A Judge is one; what merges several clients would
/// be one for each of them, with a Judge behind it.
class Strategy {
 public:
  Strategy() = default;
  Strategy(const Strategy&) = delete;
  Strategy& operator=(const Strategy&) = delete;
  virtual ~Strategy() = default;

  virtual void message(const Handed& handed) = 0;
  virtual void gap(std::string_view channel, const Gap& gap) = 0;
  /// \param connection  the one that the client follows now
  virtual void notice(const Notice& notice, std::uint64_t connection) = 0;
  /// The client has put this on a connection.
  virtual void asked(const Subscribe& request) = 0;
};

}  // namespace stratwire::sim
