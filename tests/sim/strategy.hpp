/// What stands behind a client in a simulation.
#pragma once

#include <cstdint>
#include <string_view>

#include <stratwire/client_state.hpp>
#include <stratwire/message.hpp>

namespace stratwire::sim {

/// A message that was handed over, and the id of the connection that brought it.
struct Handed {
  std::string_view channel{};
  std::uint64_t epoch = 0;
  std::uint64_t seq = 0;
  std::uint64_t content = 0;
  std::uint64_t connection = 0;
};

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
